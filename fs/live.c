#include "fs/live.h"

#include <errno.h>
#include <stdio.h>

#include "core/base/text.h"
#include "fs/log.h"

#define LIVE_DIR ".llmergefs/"

static int make_recipe(void *ctx, char **text, size_t *len)
{
	const struct live *live = ctx;

	return lens_recipe_json(live->lens, text, len);
}

static int make_plan(void *ctx, char **text, size_t *len)
{
	const struct live *live = ctx;

	return lens_plan_json(live->lens, text, len);
}

static int make_log(void *ctx, char **text, size_t *len)
{
	(void)ctx;
	*text = log_text(len);
	return *text ? 0 : -ENOMEM;
}

/* One number of stats.json. */
struct figure {
	const char *name;
	uint64_t value;
};

static void write_figures(FILE *out, const struct figure *figures, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s\"%s\": %ju", i ? ", " : "", figures[i].name,
			(uintmax_t)figures[i].value);
}

static void write_reads(FILE *out, const struct engine_stats *s, uint64_t read)
{
	const struct figure figures[] = {
		{ "reads", s->reads },
		{ "bytes_served", s->bytes_served },
		{ "bytes_copied", s->bytes_copied },
		{ "bytes_merged", s->bytes_merged },
		{ "bytes_from_chunks", s->bytes_chunks },
		{ "parked", s->parked },
		{ "cancelled", s->cancelled },
		{ "errors", s->errors },
		{ "source_bytes_read", read },
		{ "reductions_made", s->reductions },
		{ "chunks_made", s->chunks },
	};

	write_figures(out, figures, ARRAY_LEN(figures));
}

static void write_cache(FILE *out, const struct cache_stats *c)
{
	const struct figure figures[] = {
		{ "memory_hits", c->memory_hits },
		{ "disk_hits", c->disk_hits },
		{ "made", c->made },
		{ "failed", c->failed },
		{ "evicted", c->evicted },
		{ "abandoned", c->abandoned },
		{ "making", c->making },
		{ "memory_bytes", c->memory_bytes },
		{ "disk_bytes", c->disk_bytes },
		{ "disk_writes", c->disk_writes },
		{ "disk_write_errors", c->disk_write_errors },
		{ "disk_bad", c->disk_bad },
	};

	write_figures(out, figures, ARRAY_LEN(figures));
}

/* The tensors in which numbers that are not finite came of finite ones. */
static void write_nonfinite(FILE *out, const struct lens *lens)
{
	bool any = false;

	for (size_t i = 0; i < lens->plan->count; i++) {
		uint64_t made = lens->slots[i].nonfinite;

		if (!made)
			continue;
		fputs(any ? ", " : "", out);
		json_write_string(out, lens->plan->jobs[i].name);
		fprintf(out, ": %ju", (uintmax_t)made);
		any = true;
	}
}

static int make_stats(void *ctx, char **text, size_t *len)
{
	const struct live *live = ctx;
	const struct source_set *sources =
		model_set_sources(live->lens->models);
	AUTO_TEXT struct text made = TEXT_INIT;
	struct engine_stats stats;

	if (text_open(&made) < 0)
		return -ENOMEM;
	engine_stats(live->engine, &stats);
	fputs("{\"schema\": \"llmergefs-stats-1\", ", made.out);
	write_reads(made.out, &stats, source_set_bytes_read(sources));
	fputs(", \"merge_seconds\": ", made.out);
	json_write_number(made.out, stats.merge_seconds);
	fputs(", \"reduce_seconds\": ", made.out);
	json_write_number(made.out, stats.reduce_seconds);
	fprintf(made.out, ", \"nonfinite\": %ju, \"nonfinite_tensors\": {",
		(uintmax_t)stats.nonfinite);
	write_nonfinite(made.out, live->lens);
	fputs("}, \"cache\": {", made.out);
	write_cache(made.out, &stats.cache);
	fputs("}}\n", made.out);
	return text_take(&made, text, len);
}

static const struct {
	const char *path;
	node_make make;
} files[] = {
	{ LIVE_DIR "recipe.json", make_recipe },
	{ LIVE_DIR "plan.json", make_plan },
	{ LIVE_DIR "stats.json", make_stats },
	{ LIVE_DIR "log", make_log },
};

int live_add(struct live *live, struct tree *tree, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const struct node model = {
			.kind = NODE_LIVE,
			.mtime = live->lens->mtime,
			.make = files[i].make,
			.ctx = live,
		};
		int rc = tree_add(tree, tree_root(tree), files[i].path, &model,
				  err);

		if (rc)
			return rc;
	}
	return 0;
}
