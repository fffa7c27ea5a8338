/*
 * dare_linear: task arithmetic over task vectors whose elements are dropped at
 * random; the formulas are in dare.h and task_family.h.
 */
#include "core/methods/dare.h"

static void dare_linear_tile(const struct method_args *args, const void *state,
			     const struct tile *tile)
{
	task_sum(args, state, tile, dare_sparsify);
}

static const struct method_option options[TASK_OPTIONS_COUNT] =
	TASK_OPTIONS(0, DARE_DENSITY_HELP, 0, 1);

METHOD(dare_linear) = {
	.name = "dare_linear",
	.summary = "task vectors with elements dropped at random, summed",
	.version = 1,
	.element_ps = 540,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.own_bases = true,
	.has_paper = true,
	.draws = dare_draws,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.state_size = dare_state_size,
	.scratch_size = dare_scratch_size,
	.reduce = dare_reduce,
	.tile = dare_linear_tile,
};
