/*
 * task_arithmetic: the base plus a weighted sum of task vectors (Ilharco et
 * al., "Editing Models with Task Arithmetic", 2023); the formula is in
 * task_family.h.
 */
#include "core/methods/task_family.h"

static void task_arithmetic_tile(const struct method_args *args,
				 const void *state, const struct tile *tile)
{
	task_sum(args, state, tile, NULL);
}

static const struct method_option options[TASK_OPTIONS_COUNT] = TASK_OPTIONS(
	-INFINITY, "accepted, as in mergekit; changes nothing", 0, 0);

METHOD(task_arithmetic) = {
	.name = "task_arithmetic",
	.summary = "the base plus a weighted sum of task vectors",
	.version = 1,
	.element_ps = 210,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.own_bases = true,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.tile = task_arithmetic_tile,
};
