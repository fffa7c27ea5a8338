/*
 * dare_ties: sign election over task vectors whose elements are dropped at
 * random; the formulas are in dare.h, task_family.h and task_elect.h.
 */
#include "core/methods/dare.h"
#include "core/methods/task_elect.h"

static void dare_ties_tile(const struct method_args *args, const void *state,
			   const struct tile *tile)
{
	task_elect(args, state, tile, dare_sparsify);
}

static const struct method_option options[TASK_OPTIONS_COUNT] =
	TASK_OPTIONS(0, DARE_DENSITY_HELP, 0, 1);

METHOD(dare_ties) = {
	.name = "dare_ties",
	.summary =
		"task vectors with elements dropped at random, signs elected",
	.version = 1,
	.element_ps = 1120,
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
	.tile = dare_ties_tile,
};
