#include "fs/lens.h"

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "fs/matrices.h"

static void keep_later(struct timespec *time, struct timespec other)
{
	if (is_later(other, *time))
		*time = other;
}

/* The newest of the recipe and of all that is read for it. */
static struct timespec newest(const struct lens *lens)
{
	struct timespec time = { 0 };
	struct stat st;

	if (stat(lens->recipe->path, &st) == 0)
		time = st.st_mtim;
	for (size_t i = 0; i < lens->plan->count; i++) {
		const struct job *job = &lens->plan->jobs[i];

		for (size_t j = 0; j < job->args.inputs; j++)
			keep_later(&time,
				   source_mtime(job->inputs[j].tensor->source));
	}
	for (size_t i = 0; i < lens->sidecars->count; i++)
		if (lens->sidecars->files[i].source)
			keep_later(
				&time,
				source_mtime(lens->sidecars->files[i].source));
	return time;
}

/* The parts in order, each from those before it. 0 or a negative code. */
static int open_parts(struct lens *lens, struct report *report)
{
	struct error err = { 0 };

	lens->plan = plan_open(lens->recipe, lens->models, report);
	if (!lens->plan)
		return report_result(report);
	matrices_warn(lens->plan, report);
	lens->layout = layout_open(lens->plan, &err);
	if (!lens->layout)
		return report_failure(report, &err);
	lens->sidecars =
		sidecars_open(lens->plan, lens->layout, lens->models, report);
	if (!lens->sidecars)
		return report_result(report);
	lens->slots = calloc(lens->plan->count + 1, sizeof(*lens->slots));
	lens->shards = calloc(lens->layout->count + 1, sizeof(*lens->shards));
	lens->live = calloc(1, sizeof(*lens->live));
	if (!lens->slots || !lens->shards || !lens->live)
		return -ENOMEM;
	lens->mtime = newest(lens);
	return 0;
}

struct lens *lens_open(struct recipe *recipe, struct model_set *models,
		       struct report *report)
{
	struct lens *lens = calloc(1, sizeof(*lens));
	size_t errors = report->errors;
	int rc = -ENOMEM;

	if (lens) {
		lens->recipe = recipe;
		lens->models = model_set_hold(models);
		rc = open_parts(lens, report);
	}
	if (rc == 0 && report->errors == errors)
		return lens;
	if (rc == -ENOMEM && report->errors == errors)
		report_error(report, ENOMEM, "%s: no memory", recipe->path);
	if (lens)
		lens_close(lens);
	else
		recipe_close(recipe);
	return NULL;
}

struct lens *lens_open_alone(struct recipe *recipe, struct report *report)
{
	struct model_set *models =
		recipe ? model_set_open(recipe->dir, NULL) : NULL;
	struct lens *lens = NULL;

	if (models)
		lens = lens_open(recipe, models, report);
	else if (recipe)
		report_error(report, ENOMEM, "%s: no memory", recipe->path);
	if (!models)
		recipe_close(recipe);
	model_set_close(models);
	return lens;
}

struct lens *lens_open_file(const char *recipe_path, struct report *report)
{
	return lens_open_alone(recipe_open(recipe_path, report), report);
}

void lens_close(struct lens *lens)
{
	if (!lens)
		return;
	free(lens->live);
	free(lens->shards);
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

struct lens_shard *lens_shard(const struct lens *lens,
			      const struct layout_file *file)
{
	assert(file >= lens->layout->files &&
	       file < lens->layout->files + lens->layout->count);
	return &lens->shards[file - lens->layout->files];
}
