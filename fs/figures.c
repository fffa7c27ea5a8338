#include "fs/figures.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "core/base/file.h"
#include "fs/passthrough.h"

#define STATM "/proc/self/statm"

/* Where what catalog_each() tells goes. */
struct taking {
	struct figures *figures;
	struct figures_recipe **recipe; /* the end of each list */
	struct figures_nonfinite **nonfinite;
	bool failed; /* no memory */
};

/* --- a recipe ----------------------------------------------------------- */

/* "a/lambda=0.4/" of its tensors; parts that are not there are left out. */
static const char *folder_of(struct arena *arena, const char *recipe,
			     const char *point)
{
	return arena_printf(arena, "%s%s%s%s", recipe, *recipe ? "/" : "",
			    point ? point : "", point ? "/" : "");
}

static bool take_nonfinite(struct taking *taking, const struct lens *lens,
			   const char *recipe, const char *point)
{
	struct arena *arena = taking->figures->arena;
	const char *folder = folder_of(arena, recipe, point);

	for (size_t i = 0; folder && i < lens->plan->count; i++) {
		uint64_t count = lens->slots[i].nonfinite;
		struct figures_nonfinite *found;

		if (!count)
			continue;
		found = arena_alloc(arena, 1, sizeof(*found));
		if (!found)
			return false;
		found->name = arena_printf(arena, "%s%s", folder,
					   lens->plan->jobs[i].name);
		found->count = count;
		if (!found->name)
			return false;
		*taking->nonfinite = found;
		taking->nonfinite = &found->next;
	}
	return folder != NULL;
}

static void add_lens(struct figures_recipe *recipe, const struct lens *lens)
{
	recipe->tensors += lens->plan->count;
	recipe->bytes += lens->plan->bytes;
	recipe->reads += lens->live->reads;
	recipe->bytes_served += lens->live->bytes_served;
}

static bool take_generation(struct taking *taking,
			    struct figures_recipe *recipe,
			    const struct generation *generation)
{
	struct arena *arena = taking->figures->arena;
	struct figures_point *points =
		arena_alloc(arena, generation->count, sizeof(*points));

	if (!points)
		return false;
	for (size_t i = 0; i < generation->count; i++) {
		const struct lens *lens = generation->lenses[i];
		const char *name = recipe_file_point(generation->file, i);

		add_lens(recipe, lens);
		/* Rare: tensors are gone through only where there are some. */
		if (taking->figures->engine.nonfinite &&
		    !take_nonfinite(taking, lens, recipe->name, name))
			return false;
		points[i].name = arena_strdup(arena, name ? name : "");
		points[i].reads = lens->live->reads;
		points[i].bytes_served = lens->live->bytes_served;
		if (!points[i].name)
			return false;
	}
	recipe->generation = generation->number;
	recipe->sweeps = recipe_file_sweeps(generation->file);
	if (recipe->sweeps) {
		recipe->points = points;
		recipe->points_count = generation->count;
	} else {
		hash_hex(generation->lenses[0]->recipe->hash, recipe->hash);
	}
	return true;
}

static bool take_recipe(struct taking *taking,
			const struct catalog_recipe *from)
{
	struct arena *arena = taking->figures->arena;
	struct figures_recipe *recipe = arena_alloc(arena, 1, sizeof(*recipe));

	if (!recipe)
		return false;
	recipe->name = arena_strdup(arena, from->name);
	recipe->path = arena_strdup(arena, from->path);
	if (!recipe->name || !recipe->path)
		return false;
	if (from->error) {
		recipe->error = arena_strdup(arena, from->error);
		if (!recipe->error)
			return false;
	}
	recipe->settings = from->settings;
	*taking->recipe = recipe;
	taking->recipe = &recipe->next;
	return !from->generation ||
	       take_generation(taking, recipe, from->generation);
}

static void each_recipe(void *ctx, const struct catalog_recipe *recipe)
{
	struct taking *taking = ctx;

	if (!taking->failed)
		taking->failed = !take_recipe(taking, recipe);
}

/* --- the mount ---------------------------------------------------------- */

/* The second number of the file, in pages; 0: it cannot be told. One read,
 * since the next would be of another moment. */
static uint64_t resident_bytes(void)
{
	AUTO_FD int fd = open(STATM, O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	const char *second;
	long page = sysconf(_SC_PAGESIZE);

	if (fd < 0 || page < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return 0;
	second = strchr(text, ' ');
	return second ? strtoull(second, NULL, 10) * (uint64_t)page : 0;
}

static double cpu_seconds(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return 0;
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int take_methods(struct figures *figures, struct engine *engine)
{
	size_t count = method_count();
	struct figures_method *methods =
		arena_alloc(figures->arena, count, sizeof(*methods));

	if (!methods)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		methods[i].name = method_at(i)->name;
		engine_method_stats(engine, i, &methods[i].stats);
		figures->bytes_computed += methods[i].stats.bytes_merged;
	}
	figures->methods = methods;
	figures->methods_count = count;
	return 0;
}

static void take_numbers(const struct live *live, struct figures *figures)
{
	figures->uptime_seconds = clock_seconds() - live->since;
	figures->cpu_seconds = cpu_seconds();
	figures->resident_bytes = resident_bytes();
	engine_stats(live->engine, &figures->engine);
	figures->source_bytes_read =
		source_set_bytes_read(catalog_sources(live->catalog));
	figures->retired = catalog_retired(live->catalog);
	if (live->access) {
		figures->files_open = access_files(live->access);
		figures->processes = access_processes(live->access);
	}
	if (live->passthrough)
		figures->passthrough_opens =
			passthrough_count(live->passthrough);
	if (live->budgets) {
		figures->memory_max = live->budgets->cache_mem;
		if (live->budgets->cache_dir)
			figures->disk_max = live->budgets->cache_disk;
	}
}

int figures_take(const struct live *live, struct figures *figures)
{
	AUTO_FREE char *current = tree_link_target(live->tree, "current");
	struct taking taking = {
		.figures = figures,
		.recipe = &figures->recipes,
		.nonfinite = &figures->nonfinite,
	};

	*figures = (struct figures){ .mountpoint = live->mountpoint,
				     .arena = arena_open() };
	if (!figures->arena)
		return -ENOMEM;
	take_numbers(live, figures);
	if (take_methods(figures, live->engine) < 0)
		return -ENOMEM;
	catalog_each(live->catalog, each_recipe, &taking);
	if (current)
		figures->current = arena_strdup(figures->arena, current);
	return taking.failed || (current && !figures->current) ? -ENOMEM : 0;
}

void figures_done(struct figures *figures)
{
	arena_close(TAKE(figures->arena));
}
