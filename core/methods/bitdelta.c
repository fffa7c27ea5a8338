/*
 * bitdelta: task vectors of one bit an element and one number a tensor (Liu et
 * al., "BitDelta: Your Fine-Tune May Only Be Worth One Bit", 2024).
 *
 *	delta_i = x_i - base	b_i of one bit an element (one_bit.h)
 *	out = base + sum_i w_i b_i
 *
 * with delta_i in place of b_i where `one_bit` is false. The authors quantise
 * the projections of attention and MLPs, and leave all other tensors.
 */
#include "core/methods/one_bit.h"

enum { BITDELTA_WEIGHT, BITDELTA_ONE_BIT };

static size_t state_size(const struct method_args *args)
{
	return one_bit_state_size(args, BITDELTA_ONE_BIT);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	return one_bit_reduce(args, BITDELTA_ONE_BIT, scan, state, scratch);
}

static void bitdelta_tile(const struct method_args *args, const void *state,
			  const struct tile *tile)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	size_t count = tile->count;

	memset(tile->out, 0, count * sizeof(*tile->out));
	for (size_t i = 0; i < args->inputs; i++) {
		float weight = R((float)method_value(args, BITDELTA_WEIGHT, i));

		if (i == args->base)
			continue;
		task_delta(args, tile, i, delta);
		if (one_bit_is(args, BITDELTA_ONE_BIT, i))
			one_bit_make(state, i, count, delta);
		task_add_scaled(tile->out, delta, weight, count);
	}
	task_onto_base(args, tile);
}

static const struct method_option options[] = {
	[BITDELTA_WEIGHT] = {
		.name = "weight",
		.type = OPTION_FLOAT,
		.scope = OPTION_PER_MODEL,
		.fallback = 1,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "factor of this model's task vector",
	},
	[BITDELTA_ONE_BIT] = {
		.name = "one_bit",
		.type = OPTION_BOOL,
		.scope = OPTION_PER_MODEL,
		.in_state = true,
		.fallback = 1,
		.min = 0,
		.max = 1,
		.help = "false: leave the task vector as it is",
	},
};

METHOD(bitdelta) = {
	.name = "bitdelta",
	.summary = "task vectors of one bit an element, summed",
	.version = 1,
	.element_ps = 200,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.state_size = state_size,
	.scratch_size = one_bit_scratch_size,
	.reduce = reduce,
	.tile = bitdelta_tile,
};
