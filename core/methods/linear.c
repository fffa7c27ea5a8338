/*
 * linear: a weighted sum (Wortsman et al., "Model soups", 2022).
 *
 *	out = (sum_i w_i x_i) / W	W = sum_i w_i, or 1 without `normalize`
 *
 * The sum is a chain of fused multiply-adds in the order of the recipe, from
 * zero. W is added up in the order of PyTorch's sum of a short binary32 vector,
 * so that a normalised merge, too, is mergekit's to the bit.
 *
 * mergekit 0.1.4 had the weights in the work type, and rounded each product and
 * W, too, to it; the sums were binary32.
 */
#include "core/methods/words.h"

enum { LINEAR_WEIGHT, LINEAR_NORMALIZE };

#define SUM_CHAINS 4
#define SUM_LANES 8

static float weight(const struct method_args *args, size_t i)
{
	return (float)method_value(args, LINEAR_WEIGHT, i);
}

/*
 * Vectors of `lanes` weights go to four chains in turn, the last few of them to
 * the first chain; the result is lane j of the chains' total.
 */
static float weight_chains(const struct method_args *args, size_t vectors,
			   size_t lanes, size_t j)
{
	float chain[SUM_CHAINS] = { 0 };
	size_t whole = vectors - vectors % SUM_CHAINS;

	for (size_t v = 0; v < vectors; v++)
		chain[v < whole ? v % SUM_CHAINS : 0] +=
			weight(args, v * lanes + j);
	return ((chain[0] + chain[1]) + chain[2]) + chain[3];
}

static float weight_sum(const struct method_args *args)
{
	size_t n = args->inputs;
	float sum = 0;

	if (n < SUM_LANES)
		return weight_chains(args, n, 1, 0);
	for (size_t i = n - n % SUM_LANES; i < n; i++)
		sum += weight(args, i);
	for (size_t j = 0; j < SUM_LANES; j++)
		sum += weight_chains(args, n / SUM_LANES, SUM_LANES, j);
	return sum;
}

static void linear_tile_014(const struct method_args *args,
			    const struct tile *tile)
{
	bool normalizes = method_value(args, LINEAR_NORMALIZE, 0) != 0;
	size_t count = tile->count;
	float *restrict out = tile->out;
	float total = 0;

	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < args->inputs; i++) {
		float w = R(weight(args, i));
		const float *restrict x = tile->in[i];

		total += w;
		for (size_t k = 0; k < count; k++)
			out[k] += R(w * x[k]);
	}
	total = normalizes ? R(total) : 1;
	for (size_t k = 0; k < count; k++)
		out[k] = R(R(out[k]) / total);
}

static void linear_tile(const struct method_args *args, const void *state,
			const struct tile *tile)
{
	size_t count = tile->count;
	float *restrict out = tile->out;
	float total = 1;

	if (args->arithmetic == ARITHMETIC_MERGEKIT_014) {
		linear_tile_014(args, tile);
		return;
	}
	for (size_t i = 0; i < args->inputs; i++) {
		float w = weight(args, i);
		const float *restrict x = tile->in[i];

		if (i == 0)
			for (size_t k = 0; k < count; k++)
				out[k] = fmaf(x[k], w, 0);
		else
			for (size_t k = 0; k < count; k++)
				out[k] = fmaf(x[k], w, out[k]);
	}
	if (method_value(args, LINEAR_NORMALIZE, 0))
		total = weight_sum(args);
	if (total == 1 && !ROUNDS)
		return;
	for (size_t k = 0; k < count; k++)
		out[k] = R(out[k] / total);
}

/* By the total, and a weight an input. */
static ALWAYS_INLINE float linear_sum(const float *factors, const float *x,
				      size_t inputs)
{
	float sum = 0;

	for (size_t i = 0; i < inputs; i++)
		sum = fmaf(x[i], factors[1 + i], sum);
	return sum;
}

static ALWAYS_INLINE float linear_mean(const float *factors, const float *x,
				       size_t inputs)
{
	return linear_sum(factors, x, inputs) / factors[0];
}

static bool linear_stored(const struct method_args *args, const void *state,
			  const struct stored *run)
{
	float factors[WORDS_FACTORS_MAX] = { 1 };

	if (args->inputs > WORDS_INPUTS_MAX)
		return false;
	if (method_value(args, LINEAR_NORMALIZE, 0))
		factors[0] = weight_sum(args);
	for (size_t i = 0; i < args->inputs; i++)
		factors[1 + i] = weight(args, i);
	if (factors[0] == 1)
		return words_run(factors, run, run->in, args->inputs,
				 linear_sum);
	return words_run(factors, run, run->in, args->inputs, linear_mean);
}

static const char *check(const struct method_args *args)
{
	if (method_value(args, LINEAR_NORMALIZE, 0) && weight_sum(args) == 0)
		return "the weights sum to 0, so that they cannot be "
		       "normalised; change them or set normalize: false";
	return NULL;
}

static const struct method_option options[] = {
	[LINEAR_WEIGHT] = {
		.name = "weight",
		.type = OPTION_FLOAT,
		.scope = OPTION_PER_MODEL,
		.required = true,
		.fallback = OPTION_UNSET,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "share of this model in the sum",
	},
	[LINEAR_NORMALIZE] = {
		.name = "normalize",
		.type = OPTION_BOOL,
		.scope = OPTION_GLOBAL,
		.fallback = 1,
		.min = 0,
		.max = 1,
		.help = "divide by the sum of the weights",
	},
};

METHOD(linear) = {
	.name = "linear",
	.summary = "weighted average of any number of models",
	.version = 1,
	.element_ps = 140,
	.base = BASE_UNUSED,
	.base_has_options = true,
	.models_min = 1,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.check = check,
	.tile = linear_tile,
	.stored = STORED(linear_stored),
};
