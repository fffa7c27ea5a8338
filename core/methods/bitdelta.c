/*
 * bitdelta: task vectors of one bit an element and one number a tensor (Liu et
 * al., "BitDelta: Your Fine-Tune May Only Be Worth One Bit", 2024).
 *
 *	delta_i = x_i - base	s_i = mean |delta_i| over the tensor
 *	b_i = s_i where delta_i >= 0, else -s_i
 *	out = base + sum_i w_i b_i
 *
 * with delta_i in place of b_i where `one_bit` is false. These are the scales
 * that least squares give, before the authors' distillation, which takes data.
 * The authors quantise the projections of attention and MLPs, and leave all
 * other tensors. The state is the s_i.
 */
#include "core/methods/body.h"

enum { BITDELTA_WEIGHT, BITDELTA_ONE_BIT };

static bool is_one_bit(const struct method_args *args, size_t i)
{
	return i != args->base && method_value(args, BITDELTA_ONE_BIT, i);
}

static size_t state_size(const struct method_args *args)
{
	for (size_t i = 0; i < args->inputs; i++)
		if (is_one_bit(args, i))
			return args->inputs * sizeof(float);
	return 0;
}

static size_t scratch_size(const struct method_args *args)
{
	return args->inputs * sizeof(double);
}

static void find_delta(const struct method_args *args, const struct tile *tile,
		       size_t i, float *restrict delta)
{
	const float *restrict base = tile->in[args->base];
	const float *restrict x = tile->in[i];
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		delta[k] = R(x[k] - base[k]);
}

static void add(const struct method_args *args, const struct tile *tile,
		const void *ctx, void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	double *sums = partial;

	for (size_t i = 0; i < args->inputs; i++) {
		if (!is_one_bit(args, i))
			continue;
		find_delta(args, tile, i, delta);
		sums[i] += lanes_abs(delta, tile->count);
	}
}

static void fold(const struct method_args *args, const void *ctx, void *total,
		 const void *partial)
{
	const double *part = partial;
	double *sums = total;

	for (size_t i = 0; i < args->inputs; i++)
		sums[i] += part[i];
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	const struct scan_step step = {
		.partial_size = scratch_size(args),
		.add = add,
		.fold = fold,
	};
	const double *sums = scratch;
	float *scales = state;
	int rc = scan_run(scan, 0, args->elements, &step, scratch);

	if (rc || !args->elements)
		return rc;
	for (size_t i = 0; i < args->inputs; i++)
		scales[i] = R((float)one_nan(sums[i] / (double)args->elements));
	return 0;
}

static void bitdelta_tile(const struct method_args *args, const void *state,
			  const struct tile *tile)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;

	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < args->inputs; i++) {
		float weight = R((float)method_value(args, BITDELTA_WEIGHT, i));
		float scale = state ? ((const float *)state)[i] : 0;

		if (i == args->base)
			continue;
		find_delta(args, tile, i, delta);
		if (is_one_bit(args, i))
			for (size_t k = 0; k < count; k++)
				delta[k] = delta[k] < 0 ? -scale : scale;
		for (size_t k = 0; k < count; k++)
			out[k] += R(delta[k] * weight);
	}
	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + R(out[k]));
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
	.scratch_size = scratch_size,
	.reduce = reduce,
	.tile = bitdelta_tile,
};
