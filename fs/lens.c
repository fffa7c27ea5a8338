#include "fs/lens.h"

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

static bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec
				    : a.tv_nsec > b.tv_nsec;
}

/* The newest of the recipe and all sources. */
static struct timespec newest(const struct lens *lens, const char *recipe_path)
{
	const struct source_set *sources = model_set_sources(lens->models);
	struct timespec time = { 0 };
	struct stat st;

	if (stat(recipe_path, &st) == 0)
		time = st.st_mtim;
	for (size_t i = 0; i < source_set_count(sources); i++) {
		struct timespec other = source_mtime(source_set_at(sources, i));

		if (is_later(other, time))
			time = other;
	}
	return time;
}

/* The parts in order, each from those before it. 0 or a negative code. */
static int open_parts(struct lens *lens, const char *recipe_path,
		      struct report *report)
{
	struct error err = { 0 };

	lens->recipe = recipe_open(recipe_path, report);
	if (!lens->recipe)
		return report_result(report);
	lens->models = model_set_open(lens->recipe->dir);
	if (!lens->models)
		return -ENOMEM;
	lens->plan = plan_open(lens->recipe, lens->models, report);
	if (!lens->plan)
		return report_result(report);
	lens->layout = layout_open(lens->plan, &err);
	if (!lens->layout)
		return report_failure(report, &err);
	lens->sidecars =
		sidecars_open(lens->plan, lens->layout, lens->models, report);
	if (!lens->sidecars)
		return report_result(report);
	lens->slots = calloc(lens->plan->count + 1, sizeof(*lens->slots));
	lens->busy = calloc(1, sizeof(*lens->busy));
	if (!lens->slots || !lens->busy)
		return -ENOMEM;
	lens->mtime = newest(lens, recipe_path);
	return 0;
}

struct lens *lens_open(const char *recipe_path, struct report *report)
{
	struct lens *lens = calloc(1, sizeof(*lens));
	int rc = lens ? open_parts(lens, recipe_path, report) : -ENOMEM;

	if (rc == 0 && report->errors == 0)
		return lens;
	if (rc == -ENOMEM && report->errors == 0)
		report_error(report, ENOMEM, "%s: no memory", recipe_path);
	lens_close(lens);
	return NULL;
}

void lens_close(struct lens *lens)
{
	if (!lens)
		return;
	free(lens->busy);
	free(lens->slots);
	sidecars_close(lens->sidecars);
	layout_close(lens->layout);
	plan_close(lens->plan);
	model_set_close(lens->models);
	recipe_close(lens->recipe);
	free(lens);
}

struct lens_slot *lens_slot(const struct lens *lens, const struct job *job)
{
	assert(job >= lens->plan->jobs &&
	       job < lens->plan->jobs + lens->plan->count);
	return &lens->slots[job - lens->plan->jobs];
}
