/*
 * task_arithmetic: the base plus a weighted sum of task vectors (Ilharco et
 * al., "Editing Models with Task Arithmetic", 2023); the formula is in
 * task_family.h. With `sparsify: one_bit` a task vector is reduced to its signs
 * and one scale (one_bit.h) before it is weighted.
 */
#include "core/methods/one_bit.h"
#include "core/methods/task_family.h"

enum {
	TASK_SPARSIFY = TASK_OPTIONS_COUNT,
	TASK_ARITHMETIC_OPTIONS_COUNT,
};

/* The values of `sparsify`. */
enum { SPARSIFY_NONE, SPARSIFY_ONE_BIT };

static const char *const sparsify_names[] = {
	[SPARSIFY_NONE] = "none",
	[SPARSIFY_ONE_BIT] = "one_bit",
};

static size_t state_size(const struct method_args *args)
{
	return one_bit_state_size(args, TASK_SPARSIFY);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	return one_bit_reduce(args, TASK_SPARSIFY, scan, state, scratch);
}

static void sparsify(const struct method_args *args, const void *state,
		     const struct tile *tile, size_t i, float *delta)
{
	if (one_bit_is(args, TASK_SPARSIFY, i))
		one_bit_make(state, i, tile->count, delta);
}

static void task_arithmetic_tile(const struct method_args *args,
				 const void *state, const struct tile *tile)
{
	task_sum(args, state, tile, state ? sparsify : NULL);
}

static const struct method_option options[TASK_ARITHMETIC_OPTIONS_COUNT] = {
	TASK_OPTION_ROWS(-INFINITY,
			 "accepted, as in mergekit; changes nothing", 0, 0),
	[TASK_SPARSIFY] = {
		.name = "sparsify",
		.type = OPTION_CHOICE,
		.scope = OPTION_PER_MODEL,
		.in_state = true,
		.fallback = SPARSIFY_NONE,
		.min = SPARSIFY_NONE,
		.max = SPARSIFY_ONE_BIT,
		.help = "one_bit: signs and one scale a tensor, as BitDelta",
		.choices = sparsify_names,
	},
};

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
	.state_size = state_size,
	.scratch_size = one_bit_scratch_size,
	.reduce = reduce,
	.tile = task_arithmetic_tile,
};
