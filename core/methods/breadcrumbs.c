/*
 * breadcrumbs: the sum of task vectors without their greatest and least
 * elements; the formulas are in breadcrumbs.h and task_family.h.
 */
#include "core/methods/breadcrumbs.h"

static void breadcrumbs_tile(const struct method_args *args, const void *state,
			     const struct tile *tile)
{
	task_sum(args, state, tile, breadcrumbs_sparsify);
}

static const struct method_option options[BREADCRUMBS_OPTIONS_COUNT] =
	BREADCRUMBS_OPTIONS;

METHOD(breadcrumbs) = {
	.name = "breadcrumbs",
	.summary = "task vectors without outliers and small elements, summed",
	.version = 1,
	.element_ps = 350,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.own_bases = true,
	.has_paper = true,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.check = task_check_paper,
	.state_size = breadcrumbs_state_size,
	.survey = &deltas_survey,
	.scratch_size = breadcrumbs_scratch_size,
	.reduce = breadcrumbs_reduce,
	.tile = breadcrumbs_tile,
};
