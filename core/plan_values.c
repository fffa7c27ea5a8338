/*
 * The arguments of a method for one tensor: the value of every option for every
 * input, looked up at the input's own name (with the source's layer) where the
 * option is per model, and at the output's name where it is global.
 */
#include "core/planner.h"

#include <errno.h>

#include "core/params.h"

/* The levels that a value is looked for at; a global has no source. */
static struct param_levels levels_of(const struct planner *planner,
				     const struct draft *draft,
				     const struct slice_source *source)
{
	return (struct param_levels){ .at = {
					      source ? source->parameters
						     : NULL,
					      target_slice(planner,
							   draft->target)
						      ->parameters,
					      planner->recipe->parameters,
				      } };
}

static int resolve_global(struct planner *planner, const struct draft *draft,
			  const struct method_option *option, double *values)
{
	const struct param_levels levels = levels_of(planner, draft, NULL);
	struct error err = { 0 };
	int rc = param_resolve(option, &levels, draft->target->name,
			       draft->target->t, &values[0], &err);

	if (rc < 0)
		tally_add(&planner->tally, draft_subject(draft, -rc), "%s",
			  err.text);
	for (size_t i = 1; i < draft->count; i++)
		values[i] = values[0];
	return 0;
}

static int resolve_input(struct planner *planner, const struct draft *draft,
			 const struct method_option *option, size_t i,
			 double *value)
{
	const struct slice_source *source =
		&target_slice(planner, draft->target)
			 ->sources[draft->sources[i]];
	const struct param_levels levels = levels_of(planner, draft, source);
	AUTO_FREE char *name =
		target_input_name(planner, draft->target, draft->sources[i]);
	struct error err = { 0 };
	int rc;

	if (!name)
		return -ENOMEM;
	rc = param_resolve(option, &levels, name, draft->target->t, value,
			   &err);
	if (rc < 0)
		tally_add(&planner->tally, draft_subject(draft, -rc), "%s: %s",
			  source->path, err.text);
	return 0;
}

static int resolve_option(struct planner *planner, const struct draft *draft,
			  const struct method_option *option, double *values)
{
	bool base_too = planner->recipe->method->base_has_options;

	if (option->scope == OPTION_GLOBAL)
		return resolve_global(planner, draft, option, values);
	for (size_t i = 0; i < draft->count; i++) {
		int rc;

		values[i] = option->fallback;
		if (i >= draft->models || (i == draft->base && !base_too))
			continue;
		rc = resolve_input(planner, draft, option, i, &values[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static uint64_t last_dimension(const struct shape *shape)
{
	return shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
}

/* A stream's seed has 32 bits: mergekit takes the low ones. */
static uint64_t seed_of(const struct recipe *recipe)
{
	return recipe->rng == RNG_MT19937 ? (uint32_t)recipe->seed
					  : recipe->seed;
}

/* What does not depend on the method: shape, name, seed. */
static struct method_args args_start(const struct planner *planner,
				     const struct draft *draft)
{
	const struct merge_method *method = planner->recipe->method;

	return (struct method_args){
		.inputs = draft->count,
		.base = draft->base,
		.elements = shape_elements(&draft->shape),
		.cols = last_dimension(&draft->shape),
		.rows = draft->shape.rank > 0 ? draft->shape.dim[0] : 1,
		.rank = draft->shape.rank,
		.seed = seed_of(planner->recipe),
		.rng = planner->recipe->rng,
		.arithmetic = planner->recipe->arithmetic,
		.semantics = method->has_paper ? planner->recipe->semantics
					       : SEMANTICS_MERGEKIT,
		.name = draft->target->name,
	};
}

/* Indices of the inputs among the non-base sources of the slice. */
static const uint32_t *positions_of(struct planner *planner,
				    const struct draft *draft)
{
	uint32_t *positions = arena_alloc(planner->plan->arena, draft->count,
					  sizeof(*positions));
	size_t base = draft->base == METHOD_NO_BASE
			      ? SIZE_MAX
			      : draft->sources[draft->base];

	for (size_t i = 0; positions && i < draft->models; i++) {
		size_t source = draft->sources[i];

		positions[i] = (uint32_t)(source - (source > base));
	}
	return positions;
}

/* draft->origins, where they are not all the base: 0 or -ENOMEM. */
static int args_origins(struct planner *planner, const struct draft *draft,
			struct method_args *args)
{
	size_t *origins;

	if (!draft->has_origins)
		return 0;
	origins = arena_alloc(planner->plan->arena, draft->count,
			      sizeof(*origins));
	if (!origins)
		return -ENOMEM;
	memcpy(origins, draft->origins, draft->count * sizeof(*origins));
	args->origins = origins;
	return 0;
}

/* The arguments of the recipe's method; problems with values are said. */
static int args_merge(struct planner *planner, const struct draft *draft,
		      struct method_args *args)
{
	const struct merge_method *method = planner->recipe->method;
	size_t count = method->options_count * draft->count;
	double *values =
		arena_alloc(planner->plan->arena, count + 1, sizeof(*values));

	*args = args_start(planner, draft);
	args->values = values;
	args->positions = positions_of(planner, draft);
	if (!values || !args->positions ||
	    args_origins(planner, draft, args) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < method->options_count; i++) {
		int rc = resolve_option(planner, draft, &method->options[i],
					&values[i * draft->count]);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int plan_values_kept(struct planner *planner, const struct draft *draft,
		     const struct merge_method *method,
		     struct method_args *args)
{
	double *values =
		arena_alloc(planner->plan->arena, method->options_count + 1,
			    sizeof(*values));

	*args = args_start(planner, draft);
	args->inputs = 1;
	args->base = METHOD_NO_BASE;
	args->values = values;
	args->positions =
		arena_alloc(planner->plan->arena, 1, sizeof(*args->positions));
	for (size_t i = 0; values && i < method->options_count; i++)
		values[i] = method->options[i].fallback;
	return values && args->positions ? 0 : -ENOMEM;
}

/* A combination of values that the method refuses is said. */
static bool args_sound(struct planner *planner, const struct draft *draft,
		       const struct method_args *args)
{
	const struct merge_method *method = planner->recipe->method;
	const char *wrong = method->check ? method->check(args) : NULL;

	if (!wrong)
		return true;
	return tally_add(&planner->tally, draft_subject(draft, EINVAL), "%s",
			 wrong);
}

int plan_values(struct planner *planner, struct draft *draft,
		struct method_args *args, bool *sound)
{
	const struct merge_method *method = planner->recipe->method;
	size_t errors = planner->tally.errors;
	int rc = args_merge(planner, draft, args);

	if (rc < 0)
		return rc;
	*sound = planner->tally.errors == errors &&
		 args_sound(planner, draft, args);
	if (*sound && method->unchanged)
		draft->keep = method->unchanged(args);
	return 0;
}
