#include "core/recipe_check.h"

#include <errno.h>
#include <stdio.h>

#include "core/where.h"

/* A slice under check, and how sentences call it. */
struct check {
	const struct recipe *recipe;
	const struct slice *slice;
	struct where place; /* "models", "slices[1].sources" */
	struct report *report;
};

size_t recipe_base_index(const struct recipe *recipe, const struct slice *slice)
{
	if (recipe->method->base == BASE_UNUSED || !slice->has_base)
		return METHOD_NO_BASE;
	for (size_t i = 0; i < slice->count; i++)
		if (model_ref_equal(&slice->sources[i].model, &slice->base))
			return i;
	return METHOD_NO_BASE;
}

static void check_duplicates(const struct check *check)
{
	const struct slice *slice = check->slice;

	for (size_t i = 1; i < slice->count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (!model_ref_equal(&slice->sources[i].model,
					     &slice->sources[j].model))
				continue;
			report_error(check->report, EINVAL,
				     "%s: %s: %s is listed twice, first as "
				     "%s; an input counts once, so give it "
				     "its whole weight there",
				     check->recipe->path,
				     slice->sources[i].path,
				     slice->sources[i].model.text,
				     slice->sources[j].path);
			break;
		}
	}
}

/* True where the base is as the method wants it. */
static bool check_base(const struct check *check)
{
	const struct merge_method *method = check->recipe->method;
	const struct slice *slice = check->slice;

	if (method->base == BASE_UNUSED)
		return true;
	if (!slice->has_base && method->base == BASE_OPTIONAL)
		return true;
	if (!slice->has_base) {
		report_error(check->report, EINVAL,
			     "%s: base_model: missing; %s needs the model that "
			     "the others were made from",
			     check->recipe->path, method->name);
		return false;
	}
	if (recipe_base_index(check->recipe, slice) != METHOD_NO_BASE)
		return true;
	report_error(check->report, EINVAL,
		     "%s: %s: base_model %s is not among them; %s needs it "
		     "there, with its own layer_range",
		     check->recipe->path, check->place.text, slice->base.text,
		     method->name);
	return false;
}

/* The methods in which a model may have a base of its own. */
static struct where own_base_methods(void)
{
	struct where names = where_at("%s", "");

	for (size_t i = 0; i < method_count(); i++) {
		struct where before = names;

		if (method_at(i)->own_bases)
			names = where_at("%s%s%s", before.text,
					 before.text[0] ? ", " : "",
					 method_at(i)->name);
	}
	return names;
}

/* What is wrong with a source's base of its own. */
static void check_own_base(const struct check *check, size_t i)
{
	const struct merge_method *method = check->recipe->method;
	const struct slice_source *source = &check->slice->sources[i];
	const char *path = check->recipe->path;

	if (!method->own_bases)
		report_error(check->report, EINVAL,
			     "%s: %s.llmergefs.base_model: %s has no use for a "
			     "base of %s's own; it takes one in %s",
			     path, source->path, method->name,
			     source->model.text, own_base_methods().text);
	else if (i == recipe_base_index(check->recipe, check->slice))
		report_error(check->report, EINVAL,
			     "%s: %s.llmergefs.base_model: %s is the recipe's "
			     "base_model and has no task vector; take the key "
			     "away",
			     path, source->path, source->model.text);
	else if (model_ref_equal(&source->model, &source->own_base))
		report_error(check->report, EINVAL,
			     "%s: %s.llmergefs.base_model: %s names itself, so "
			     "that its task vector would be 0; name the model "
			     "that it was made from",
			     path, source->path, source->model.text);
}

/* Whether one of the sources before it has this model and these layers. */
static bool is_counted(const struct slice *slice, size_t i)
{
	const struct slice_source *source = &slice->sources[i];

	for (size_t j = 0; j < i; j++)
		if (slice->sources[j].has_own_base &&
		    slice->sources[j].begin == source->begin &&
		    model_ref_equal(&slice->sources[j].own_base,
				    &source->own_base))
			return true;
	return false;
}

static void check_own_bases(const struct check *check)
{
	const struct slice *slice = check->slice;
	size_t inputs = slice->count;

	for (size_t i = 0; i < slice->count; i++) {
		if (!slice->sources[i].has_own_base)
			continue;
		check_own_base(check, i);
		inputs += !is_counted(slice, i);
	}
	if (inputs > METHOD_INPUTS_MAX)
		report_error(check->report, EINVAL,
			     "%s: %s: %zu models with their own bases; at most "
			     "%d",
			     check->recipe->path, check->place.text, inputs,
			     METHOD_INPUTS_MAX);
}

/* "exactly 2 models", "at least 1 model". */
static struct where count_text(size_t min, size_t max)
{
	if (min == max)
		return where_at("exactly %zu model%s", min,
				min == 1 ? "" : "s");
	if (max == METHOD_ANY_COUNT)
		return where_at("at least %zu model%s", min,
				min == 1 ? "" : "s");
	return where_at("%zu to %zu models", min, max);
}

static void check_count(const struct check *check)
{
	const struct merge_method *method = check->recipe->method;
	size_t base = recipe_base_index(check->recipe, check->slice);
	size_t models = check->slice->count - (base != METHOD_NO_BASE);
	size_t with_base = method->base == BASE_REQUIRED;
	size_t max = method->models_max;
	bool added = method->base == BASE_UNUSED && check->slice->has_base &&
		     check->recipe->whole_models;
	static const char *const ends[] = {
		[BASE_UNUSED] = "",
		[BASE_OPTIONAL] = " besides base_model",
		[BASE_REQUIRED] = " with base_model one of them",
	};

	if (models >= method->models_min && models <= max)
		return;
	max = max == METHOD_ANY_COUNT ? max : max + with_base;
	report_error(check->report, EINVAL, "%s: %s: %s takes %s%s; got %zu%s",
		     check->recipe->path, check->place.text, method->name,
		     count_text(method->models_min + with_base, max).text,
		     ends[method->base], models + with_base,
		     added ? ", base_model being one" : "");
}

static void check_lengths(const struct check *check)
{
	const struct slice_source *first = &check->slice->sources[0];

	for (size_t i = 1; i < check->slice->count; i++) {
		const struct slice_source *other = &check->slice->sources[i];

		if (other->end - other->begin == first->end - first->begin)
			continue;
		report_error(check->report, EINVAL,
			     "%s: %s: layer_range [%llu, %llu] has %llu "
			     "layers, %s has %llu; all sources of a slice "
			     "need the same number",
			     check->recipe->path, other->path,
			     (unsigned long long)other->begin,
			     (unsigned long long)other->end,
			     (unsigned long long)(other->end - other->begin),
			     first->path,
			     (unsigned long long)(first->end - first->begin));
	}
}

static bool given_above(const struct check *check, const char *name)
{
	return json_member(check->slice->parameters, name) ||
	       json_member(check->recipe->parameters, name);
}

/* A required option of each model that is given nowhere for some of them. */
static void check_per_model(const struct check *check,
			    const struct method_option *option)
{
	const struct merge_method *method = check->recipe->method;
	size_t base = recipe_base_index(check->recipe, check->slice);

	for (size_t i = 0; i < check->slice->count; i++) {
		const struct slice_source *source = &check->slice->sources[i];
		bool added = strcmp(source->path, "base_model") == 0;

		if (json_member(source->parameters, option->name) ||
		    (i == base && !method->base_has_options))
			continue;
		report_error(check->report, EINVAL,
			     added ? "%s: %s: %s merges the base as one more "
				     "model, and it has no %s: list it under "
				     "`models` with one, or give one for all "
				     "under the recipe's `parameters`"
				   : "%s: %s: %s needs a %s for each model: "
				     "give it under the model's `parameters`, "
				     "or for all under the recipe's",
			     check->recipe->path, source->path, method->name,
			     option->name);
	}
}

static void check_required(const struct check *check)
{
	const struct merge_method *method = check->recipe->method;

	for (size_t i = 0; i < method->options_count; i++) {
		const struct method_option *option = &method->options[i];

		if (!option->required || given_above(check, option->name))
			continue;
		if (option->scope == OPTION_PER_MODEL)
			check_per_model(check, option);
		else
			report_error(check->report, EINVAL,
				     "%s: %s: %s needs a %s: give it under "
				     "the recipe's `parameters`",
				     check->recipe->path, check->place.text,
				     method->name, option->name);
	}
}

/* The first source from `at` on that is not the base; NULL: none is left. */
static const struct slice_source *next_model(const struct check *check,
					     size_t *at)
{
	size_t base = recipe_base_index(check->recipe, check->slice);

	*at += *at == base;
	return *at < check->slice->count ? &check->slice->sources[(*at)++]
					 : NULL;
}

/* What is known of a whole model goes by its place in each slice. */
static void check_same_models(const struct check *check,
			      const struct check *first)
{
	const struct slice_source *model, *other;
	size_t at = 0, other_at = 0;

	do {
		model = next_model(check, &at);
		other = next_model(first, &other_at);
		if (!model == !other &&
		    (!model || model_ref_equal(&model->model, &other->model)))
			continue;
		report_error(check->report, EINVAL,
			     "%s: %s: %s weighs whole models, so all slices "
			     "need the same models in the same order as %s, "
			     "besides the base; %s is %s",
			     check->recipe->path, check->place.text,
			     check->recipe->method->name, first->place.text,
			     other ? other->model.text : model->model.text,
			     other ? "not there" : "one more");
		return;
	} while (model);
}

void recipe_check(const struct recipe *recipe, struct report *report)
{
	struct check first = { 0 };

	for (size_t i = 0; i < recipe->slices_count; i++) {
		const struct check check = {
			.recipe = recipe,
			.slice = &recipe->slices[i],
			.place = recipe->whole_models
					 ? where_at("models")
					 : where_at("slices[%zu].sources", i),
			.report = report,
		};

		check_duplicates(&check);
		if (check_base(&check))
			check_count(&check);
		check_own_bases(&check);
		check_lengths(&check);
		check_required(&check);
		if (i == 0)
			first = check;
		else if (recipe->method->combine)
			check_same_models(&check, &first);
	}
}
