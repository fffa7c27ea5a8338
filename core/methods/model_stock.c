/*
 * model_stock: the average of fine-tunes, drawn towards the base by as much as
 * they disagree (Jang et al., "Model Stock: All we need is just a few
 * fine-tuned models", 2024). With N models w_i, o_i = w_i - w_0,
 *
 *	c = mean over i < j of  o_i.o_j / max(|o_i| |o_j|, 1e-6), within [-1, 1]
 *	t = N c / (1 + (N-1) c)			0 where |1 + (N-1) c| < 1e-6
 *	out = t mean_i w_i + (1-t) w_0
 *
 * over the tensor as one vector, or with `filter_wise` over each row for
 * itself. The state is t, of the tensor or of every row. (mergekit 0.1.4 has no
 * least divisor.)
 */
#include "core/methods/gram_spans.h"
#include "core/methods/words.h"

enum { STOCK_FILTER_WISE };

#define STOCK_NORMS_MIN 1e-6
#define STOCK_DIVISOR_MIN 1e-6

static uint64_t span_length(const struct method_args *args)
{
	return method_value(args, STOCK_FILTER_WISE, 0) ? args->cols
							: args->elements;
}

/* Each step rounded, as in mergekit. */
static float rounded_cosine(const double *gram, size_t n, size_t i, size_t j)
{
	float norm_i = R((float)gram_norm(gram, n, i));
	float norm_j = R((float)gram_norm(gram, n, j));
	float norms = R(norm_i * norm_j);
	float least = R((float)STOCK_NORMS_MIN);
	float d = R((float)gram[gram_pair(n, i, j)]);

	d = R(d / (norms < least ? least : norms));
	if (d > 1)
		return 1;
	return d < -1 ? -1 : d;
}

static double rounded_ratio(const struct method_args *args, const double *gram)
{
	size_t n = gram_vectors(args);
	size_t pairs = n * (n - 1) / 2;
	float models = (float)n;
	float sum = 0;
	float c, divisor;

	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			sum += rounded_cosine(gram, n, i, j);
	c = R(sum / (float)pairs);
	divisor = R(1 + R((models - 1) * c));
	if (args->arithmetic != ARITHMETIC_MERGEKIT_014 &&
	    fabsf(divisor) < R((float)STOCK_DIVISOR_MIN))
		return 0;
	return (double)R(R(models * c) / divisor);
}

/* NaN stays NaN. */
static double cosine(const double *gram, size_t n, size_t i, size_t j)
{
	double norms = gram_norm(gram, n, i) * gram_norm(gram, n, j);
	double d = gram[gram_pair(n, i, j)] /
		   (norms < STOCK_NORMS_MIN ? STOCK_NORMS_MIN : norms);

	if (d > 1)
		return 1;
	return d < -1 ? -1 : d;
}

static double ratio(const struct method_args *args, const double *gram)
{
	size_t n = gram_vectors(args);
	double models = (double)n;
	double sum = 0;
	double c, divisor;

	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			sum += cosine(gram, n, i, j);
	c = sum / (models * (models - 1) / 2);
	divisor = 1 + (models - 1) * c;
	if (args->arithmetic != ARITHMETIC_MERGEKIT_014 &&
	    fabs(divisor) < STOCK_DIVISOR_MIN)
		return 0;
	return models * c / divisor;
}

static void find_ratio(const struct method_args *args, const double *gram,
		       double *t)
{
	*t = ROUNDS ? rounded_ratio(args, gram) : ratio(args, gram);
}

static size_t state_size(const struct method_args *args)
{
	return span_count(args, span_length(args)) * sizeof(double);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	const struct span_rule rule = {
		.length = span_length(args),
		.sums = span_sums_max(args),
		.width = 1,
		.add = span_add_gram,
		.value = find_ratio,
	};

	return span_reduce(args, scan, &rule, state, scratch);
}

/* out = mean of the models */
static void average(const struct method_args *args, const struct tile *tile)
{
	float models = (float)gram_vectors(args);
	float *restrict out = tile->out;
	size_t count = tile->count;

	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < gram_vectors(args); i++) {
		const float *restrict x = tile->in[gram_input(args, i)];

		for (size_t k = 0; k < count; k++)
			out[k] = R(out[k] + x[k]);
	}
	for (size_t k = 0; k < count; k++)
		out[k] = R(out[k] / models);
}

static void model_stock_tile(const struct method_args *args, const void *state,
			     const struct tile *tile)
{
	const double *ratios = state;
	uint64_t length = span_length(args);
	uint64_t end = tile->first + tile->count;

	average(args, tile);
	for (uint64_t at = tile->first, next; at < end; at = next) {
		float t = (float)ratios[at / length];
		float rest = R((float)(1 - ratios[at / length]));
		const float *restrict base =
			tile->in[args->base] + (at - tile->first);
		float *restrict out = tile->out + (at - tile->first);
		size_t count;

		next = min_u64(end, at - at % length + length);
		count = next - at;
		for (size_t k = 0; k < count; k++)
			out[k] = R(R(t * out[k]) + R(rest * base[k]));
	}
}

/* By the number of models, t and 1 - t; the first input is the base. */
static ALWAYS_INLINE float stock_element(const float *factors, const float *x,
					 size_t inputs)
{
	float sum = 0;

	for (size_t i = 1; i < inputs; i++)
		sum += x[i];
	return factors[1] * (sum / factors[0]) + factors[2] * x[0];
}

static bool model_stock_stored(const struct method_args *args,
			       const void *state, const struct stored *run)
{
	const double *ratio = state;
	const float factors[WORDS_FACTORS_MAX] = {
		(float)gram_vectors(args),
		(float)*ratio,
		(float)(1 - *ratio),
	};
	const void *in[WORDS_INPUTS_MAX];

	if (args->inputs > WORDS_INPUTS_MAX ||
	    span_count(args, span_length(args)) != 1)
		return false;
	in[0] = run->in[args->base];
	for (size_t i = 0; i < gram_vectors(args); i++)
		in[1 + i] = run->in[gram_input(args, i)];
	return words_run(factors, run, in, args->inputs, stock_element);
}

static const struct method_option options[] = {
	[STOCK_FILTER_WISE] = {
		.name = "filter_wise",
		.type = OPTION_BOOL,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 0,
		.min = 0,
		.max = 1,
		.help = "a ratio for every row, not one for the tensor",
	},
};

METHOD(model_stock) = {
	.name = "model_stock",
	.summary = "average of fine-tunes, nearer the base where they differ",
	.version = 1,
	.element_ps = 140,
	.base = BASE_REQUIRED,
	.models_min = 2,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_DROP,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.state_size = state_size,
	.scratch_size = span_scratch_size,
	.reduce = reduce,
	.tile = model_stock_tile,
	.stored = STORED(model_stock_stored),
};
