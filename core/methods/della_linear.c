/*
 * della_linear: the sum of task vectors whose elements are dropped at random,
 * the lesser ones of a row more often; the formulas are in della.h and
 * task_family.h.
 */
#include "core/methods/della.h"

static void della_linear_rows(const struct method_args *args, const void *state,
			      const struct tile *rows)
{
	della_make(args, state, rows, task_sum);
}

static const struct method_option options[DELLA_OPTIONS_COUNT] =
	DELLA_OPTIONS(0);

METHOD(della_linear) = {
	.name = "della_linear",
	.summary = "task vectors with small elements of rows dropped more "
		   "often, summed",
	.version = 1,
	.element_ps = 4200,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.own_bases = true,
	.has_paper = true,
	.draws = della_draws,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.check = della_check,
	.state_size = della_state_size,
	.scratch_size = dare_scratch_size,
	.reduce = della_reduce,
	.rows = della_linear_rows,
	.rows_scratch = della_rows_scratch,
};
