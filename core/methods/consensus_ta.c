/*
 * consensus_ta: task arithmetic without the elements that matter to too few
 * models, by TALL masks (Wang et al., "Localizing Task Information for Improved
 * Model Merging and Compression", 2024).
 *
 *	delta_i = x_i - base		delta = sum_i delta_i
 *	m_i = [ |delta_i| > l_i |delta - delta_i| ]	l_i: tall_mask_lambda
 *	out = base + lambda delta [ sum_i m_i >= k ]	k: prun_thre_k
 *
 * Options have the names of the authors' program, which looks for each task's
 * l_i among 0.2, 0.3, ... 0.6 by validation. k = 2 removes what matters to one
 * model or none, 1 what matters to none, and 0 nothing.
 */
#include "core/methods/body.h"

enum { CONSENSUS_MASK_LAMBDA, CONSENSUS_K, CONSENSUS_LAMBDA };

/* tile->out is the sum of all task vectors. */
static void add_delta(const struct method_args *args, const struct tile *tile,
		      size_t i)
{
	const float *restrict base = tile->in[args->base];
	const float *restrict x = tile->in[i];
	float *restrict sum = tile->out;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		sum[k] += R(x[k] - base[k]);
}

/* votes += m_i */
static void add_vote(const struct method_args *args, const struct tile *tile,
		     size_t i, float *restrict votes)
{
	float lambda = (float)method_value(args, CONSENSUS_MASK_LAMBDA, i);
	const float *restrict base = tile->in[args->base];
	const float *restrict x = tile->in[i];
	const float *restrict sum = tile->out;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++) {
		float delta = R(x[k] - base[k]);
		float rest = fabsf(R(sum[k] - delta));

		votes[k] += fabsf(delta) > R(rest * lambda) ? 1 : 0;
	}
}

static void consensus_tile(const struct method_args *args, const void *state,
			   const struct tile *tile)
{
	float votes[TILE_ELEMENTS] __attribute__((aligned(64)));
	float needed = (float)method_value(args, CONSENSUS_K, 0);
	float lambda = (float)method_value(args, CONSENSUS_LAMBDA, 0);
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;

	memset(out, 0, count * sizeof(*out));
	memset(votes, 0, sizeof(votes));
	for (size_t i = 0; i < args->inputs; i++)
		if (i != args->base)
			add_delta(args, tile, i);
	for (size_t k = 0; k < count; k++)
		out[k] = R(out[k]);
	for (size_t i = 0; i < args->inputs; i++)
		if (i != args->base)
			add_vote(args, tile, i, votes);
	for (size_t k = 0; k < count; k++) {
		float kept = votes[k] >= needed ? 1 : 0;

		out[k] = R(base[k] + R(R(out[k] * kept) * lambda));
	}
}

static const struct method_option options[] = {
	[CONSENSUS_MASK_LAMBDA] = {
		.name = "tall_mask_lambda",
		.type = OPTION_FLOAT,
		.scope = OPTION_PER_MODEL,
		.fallback = 0.4,
		.min = 0,
		.max = INFINITY,
		.help = "the greater, the fewer elements matter to this model",
	},
	[CONSENSUS_K] = {
		.name = "prun_thre_k",
		.type = OPTION_INT,
		.scope = OPTION_GLOBAL,
		.fallback = 2,
		.min = 0,
		.max = METHOD_INPUTS_MAX,
		.help = "models to which an element must matter to be kept",
	},
	[CONSENSUS_LAMBDA] = {
		.name = "lambda",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.fallback = 1,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "factor of the sum of all task vectors",
	},
};

METHOD(consensus_ta) = {
	.name = "consensus_ta",
	.summary = "task vectors without what matters to too few models",
	.version = 1,
	.element_ps = 240,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.tile = consensus_tile,
};
