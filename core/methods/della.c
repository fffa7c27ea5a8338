/*
 * della: sign election over task vectors whose elements are dropped at random,
 * the lesser ones of a row more often; the formulas are in della.h and
 * task_family.h.
 */
#include "core/methods/della.h"
#include "core/methods/task_elect.h"

static void della_rows(const struct method_args *args, const void *state,
		       const struct tile *rows)
{
	della_make(args, state, rows, task_elect);
}

static const struct method_option options[DELLA_OPTIONS_COUNT] =
	DELLA_OPTIONS(1);

METHOD(della) = {
	.name = "della",
	.summary = "task vectors with small elements of rows dropped more "
		   "often, signs elected",
	.version = 1,
	.element_ps = 4600,
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
	.rows = della_rows,
	.rows_scratch = della_rows_scratch,
};
