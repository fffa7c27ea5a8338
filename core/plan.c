#include "core/plan.h"

#include <errno.h>
#include <stdio.h>

#include "core/names.h"
#include "core/peers.h"
#include "core/planner.h"
#include "core/templates.h"
#include "core/tokenizer.h"

#define AUTO_PLAN AUTO(plan_auto_close)

static void plan_auto_close(struct plan *const *plan)
{
	plan_close(*plan);
}

/* Count a model among those of the recipe, once; false: no memory. */
static bool model_note(struct planner *planner, const struct model *model)
{
	const struct model **all;

	for (size_t i = 0; i < planner->all_count; i++)
		if (planner->all[i] == model)
			return true;
	all = reallocarray(planner->all, planner->all_count + 1, sizeof(*all));
	if (!all)
		return false;
	all[planner->all_count++] = model;
	planner->all = all;
	return true;
}

/* The model that stands at `where` in the recipe. */
static const struct model *model_open(struct planner *planner,
				      const struct model_ref *ref,
				      const char *where)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	const struct model *model = model_get(planner->set, ref, &report);
	AUTO_FREE char *context = NULL;

	if (asprintf(&context, "%s: %s", planner->recipe->path, where) < 0)
		context = NULL;
	report_add_all(planner->report, &report, context ? context : where);
	return model && model_note(planner, model) ? model : NULL;
}

/* Open the bases of a slice's sources' own; NULL where one is missing or bad
 * (reported). */
static const struct model *const *slice_own_bases(struct planner *planner,
						  const struct slice *slice)
{
	const struct model **models = arena_alloc(
		planner->plan->arena, slice->count, sizeof(*models));
	bool ok = models != NULL;

	for (size_t i = 0; models && i < slice->count; i++) {
		const struct slice_source *source = &slice->sources[i];

		if (!source->has_own_base)
			continue;
		models[i] = model_open(
			planner, &source->own_base,
			where_at("%s.llmergefs.base_model", source->path).text);
		ok &= models[i] != NULL;
	}
	return ok ? models : NULL;
}

static bool own_bases_open(struct planner *planner)
{
	const struct recipe *recipe = planner->recipe;
	const struct model *const **models = arena_alloc(
		planner->plan->arena, recipe->slices_count, sizeof(*models));
	bool ok = models != NULL;

	planner->merged_count = planner->all_count;
	for (size_t i = 0; models && i < recipe->slices_count; i++) {
		models[i] = slice_own_bases(planner, &recipe->slices[i]);
		ok &= models[i] != NULL;
	}
	planner->own_bases = models;
	return ok;
}

/* Open the models of one slice; NULL where one is missing or bad (reported). */
static const struct model *const *slice_models(struct planner *planner,
					       const struct slice *slice)
{
	const struct model **models = arena_alloc(
		planner->plan->arena, slice->count, sizeof(*models));
	bool ok = models != NULL;

	for (size_t i = 0; models && i < slice->count; i++) {
		models[i] = model_open(planner, &slice->sources[i].model,
				       slice->sources[i].path);
		ok &= models[i] != NULL;
	}
	return ok ? models : NULL;
}

static bool models_open(struct planner *planner)
{
	const struct recipe *recipe = planner->recipe;
	const struct model *const **models = arena_alloc(
		planner->plan->arena, recipe->slices_count, sizeof(*models));
	const struct model_ref *donor =
		recipe->has_base ? &recipe->base
				 : &recipe->slices[0].sources[0].model;
	bool ok = models != NULL;

	for (size_t i = 0; models && i < recipe->slices_count; i++) {
		models[i] = slice_models(planner, &recipe->slices[i]);
		ok &= models[i] != NULL;
	}
	planner->plan->donor = model_open(planner, donor, "base_model");
	if (recipe->tokenizer_model.path)
		ok &= model_open(planner, &recipe->tokenizer_model,
				 "tokenizer") != NULL;
	planner->models = models;
	ok &= own_bases_open(planner);
	return ok && planner->plan->donor;
}

/* The first `count` models have what the donor has, by `same`. */
static bool all_same(struct planner *planner, size_t count, const char *field,
		     int (*same)(const struct model *a, const struct model *b,
				 struct error *err))
{
	const struct model *donor = planner->plan->donor;
	bool ok = true;

	for (size_t i = 0; i < count; i++) {
		const struct model *model = planner->all[i];
		struct error err = { 0 };
		int rc = model == donor ? 0 : same(donor, model, &err);

		if (rc == 0)
			continue;
		report_error(planner->report, -rc, "%s: %s: %s",
			     planner->recipe->path, field, err.text);
		ok = false;
	}
	return ok;
}

/* The rows of vocabulary tensors, where the recipe has a tokenizer setting. */
static void vocabulary_check(struct planner *planner)
{
	const struct recipe *recipe = planner->recipe;
	struct error err = { 0 };
	uint64_t count = 0;
	int rc;

	if (recipe->chat_template)
		all_same(planner, planner->merged_count, "chat_template",
			 chat_template_same);
	if (!recipe->tokenizer_source)
		return;
	if (!all_same(planner, planner->all_count, "tokenizer", tokenizer_same))
		return;
	rc = tokenizer_count(planner->plan->donor, &count, &err);
	if (rc == 0 && recipe->pad_to_multiple_of > 0 &&
	    count % recipe->pad_to_multiple_of != 0)
		rc = fail(&err, ENOTSUP,
			  "the tokenizer has %llu tokens, no multiple of "
			  "pad_to_multiple_of: %llu; rows of padding are not "
			  "supported yet",
			  (unsigned long long)count,
			  (unsigned long long)recipe->pad_to_multiple_of);
	if (rc < 0)
		report_error(planner->report, -rc, "%s: tokenizer: %s",
			     recipe->path, err.text);
	else
		planner->plan->vocab_size = count;
}

static int by_name(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Jobs in order, and the bytes of all. */
static void jobs_sort(struct planner *planner)
{
	struct plan *plan = planner->plan;

	if (plan->count > 0)
		qsort(plan->jobs, plan->count, sizeof(*plan->jobs), by_name);
	for (size_t i = 0; i < plan->count; i++) {
		if (add_u64(plan->bytes, plan->jobs[i].size, &plan->bytes))
			continue;
		report_error(planner->report, EDOM,
			     "%s: the merged model is larger than any file",
			     planner->recipe->path);
		return;
	}
}

static bool has_job(const struct plan *plan, const char *name)
{
	const struct job key = { .name = name };

	return plan->count > 0 && bsearch(&key, plan->jobs, plan->count,
					  sizeof(key), by_name) != NULL;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Add the names of a model that neither the donor nor the output has. */
static void dropped_add(const struct plan *plan, const struct model *model,
			const struct templates *templates, const char **names,
			size_t *count)
{
	for (size_t i = 0; i < model->count; i++) {
		const char *name = model->tensors[i]->name;

		if (model_tensor(plan->donor, name) || has_job(plan, name) ||
		    templates_match(templates, name))
			continue;
		names[(*count)++] = name;
	}
}

static int dropped_find(struct planner *planner)
{
	AUTO_TEMPLATES struct templates templates = { 0 };
	struct plan *plan = planner->plan;
	const char **names;
	size_t total = 1, count = 0, kept = 0;

	if (!planner->recipe->whole_models &&
	    templates_make(plan->donor, &templates) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < planner->merged_count; i++)
		total += planner->all[i]->count;
	names = arena_alloc(plan->arena, total, sizeof(*names));
	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < planner->merged_count; i++)
		dropped_add(plan, planner->all[i], &templates, names, &count);
	qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
			names[kept++] = names[i];
	plan->dropped = names;
	plan->dropped_count = kept;
	return 0;
}

static int planner_run(struct planner *planner)
{
	const char *path = planner->recipe->path;
	size_t errors = planner->report->errors;
	int rc;

	if (!plan_layers_fit(planner))
		return 0;
	vocabulary_check(planner);
	rc = plan_targets(planner);
	tally_flush(&planner->tally, path, planner->report);
	if (rc < 0)
		return rc;
	if (planner->plan->count == 0 && planner->report->errors == errors)
		report_error(planner->report, EDOM,
			     "%s: there is no tensor to merge", path);
	rc = plan_streams(planner);
	if (rc < 0)
		return rc;
	jobs_sort(planner);
	rc = peers_make(planner->plan->jobs, planner->plan->count,
			planner->plan->arena);
	return rc < 0 ? rc : dropped_find(planner);
}

static void plan_make(struct planner *planner)
{
	struct report *report = planner->report;
	const char *path = planner->recipe->path;
	size_t errors = report->errors;

	planner->plan->arena = arena_open();
	if (!planner->plan->arena) {
		report_error(report, ENOMEM, "%s: no memory", path);
		return;
	}
	if (!models_open(planner)) {
		if (report->errors == errors)
			report_error(report, ENOENT,
				     "%s: a model of it could not be opened",
				     path);
		return;
	}
	if (planner_run(planner) < 0)
		report_error(report, ENOMEM, "%s: no memory", path);
}

struct plan *plan_open(const struct recipe *recipe, struct model_set *models,
		       struct report *report)
{
	AUTO_PLAN struct plan *plan = calloc(1, sizeof(*plan));
	struct planner planner = {
		.recipe = recipe,
		.set = models,
		.report = report,
		.plan = plan,
	};
	size_t errors = report->errors;

	if (!plan) {
		report_error(report, ENOMEM, "%s: no memory", recipe->path);
		return NULL;
	}
	plan->recipe = recipe;
	plan_make(&planner);
	free(planner.all);
	free(planner.drawing);
	return report->errors == errors ? TAKE(plan) : NULL;
}

void plan_close(struct plan *plan)
{
	if (!plan)
		return;
	arena_close(plan->arena);
	free(plan->jobs);
	free(plan);
}
