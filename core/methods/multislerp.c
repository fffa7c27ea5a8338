/*
 * multislerp: the barycentre of any number of directions on the sphere, in one
 * step from their weighted mean (mergekit's multislerp), with x_i the inputs,
 * or their differences from the base where there is one,
 *
 *	n_i = |x_i|	u_i = x_i / (n_i + eps)		m = sum_i w_i u_i
 *	out = cos(eps) (sum_i w_i n_i) m / |m|  (+ base)
 *
 * where `normalize_weights` divides the w_i by their sum first. (The step is
 * along sum_i w_i (u_i - (u_i.m) m / |m|^2), which is 0 for m of the same
 * weights: cos(eps) is all that it leaves.)
 *
 * Where |m| < eps, or so small that the sums of its products do not tell it
 * from 0, it has no direction, and the result is sum_i w_i x_i (+ base).
 *
 * Where mergekit's roundings are replayed the step is made: multislerp_steps.h.
 */
#include "core/methods/multislerp_steps.h"

enum { MULTISLERP_WEIGHT, MULTISLERP_NORMALIZE, MULTISLERP_EPS };

#define MULTISLERP_SQUARE_MIN 1e-15

/* mergekit takes weights as binary32. */
static double weight(const struct method_args *args, size_t i)
{
	return (double)(float)method_value(args, MULTISLERP_WEIGHT,
					   gram_input(args, i));
}

static double weight_sum(const struct method_args *args)
{
	double sum = 0;

	for (size_t i = 0; i < gram_vectors(args); i++)
		sum += weight(args, i);
	return sum;
}

static bool normalizes(const struct method_args *args)
{
	return method_value(args, MULTISLERP_NORMALIZE, 0) != 0;
}

/* A lone model is unchanged, whatever the base is. */
static size_t unchanged(const struct method_args *args)
{
	return gram_vectors(args) == 1 ? gram_input(args, 0) : METHOD_CHANGED;
}

static const char *check(const struct method_args *args)
{
	if (normalizes(args) && gram_vectors(args) > 1 && weight_sum(args) == 0)
		return "the weights sum to 0, so that they cannot be "
		       "normalised; change them or set normalize_weights: "
		       "false";
	return NULL;
}

static size_t state_size(const struct method_args *args)
{
	return ROUNDS ? multislerp_steps_size(args) : gram_size(args);
}

/* Sums of a pass over all vectors. */
static size_t scratch_size(const struct method_args *args)
{
	return gram_vectors(args) * sizeof(double);
}

static int reduce_steps(const struct method_args *args, const struct scan *scan,
			struct multislerp_steps *st, double *sums)
{
	st->eps = R((float)method_value(args, MULTISLERP_EPS, 0));
	for (size_t i = 0; i < gram_vectors(args); i++)
		st->weights[i] = R((float)weight(args, i));
	step_weights(args, normalizes(args), st);
	return multislerp_steps_find(args, scan, st, sums);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	if (ROUNDS)
		return reduce_steps(args, scan, state, scratch);
	return gram_reduce(args, scan, state);
}

/* The factor of every x_i. */
static void factors(const struct method_args *args, const double *gram,
		    float *c)
{
	double w[METHOD_INPUTS_MAX], f[METHOD_INPUTS_MAX];
	double eps = method_value(args, MULTISLERP_EPS, 0);
	double sum = normalizes(args) ? weight_sum(args) : 1;
	size_t n = gram_vectors(args);
	double length = 0, weights = 0;
	double square, scale;

	for (size_t i = 0; i < n; i++) {
		double norm = gram_norm(gram, n, i);

		w[i] = weight(args, i) / sum;
		/* A zero vector without eps has no direction. */
		f[i] = norm + eps == 0 ? 0 : w[i] / (norm + eps);
		length += w[i] * norm;
		weights += fabs(w[i]);
	}
	square = gram_square(gram, n, f);
	if (square < eps * eps ||
	    square <= MULTISLERP_SQUARE_MIN * weights * weights) {
		for (size_t i = 0; i < n; i++)
			c[i] = (float)w[i];
		return;
	}
	scale = cos(eps) * length / sqrt(square);
	for (size_t i = 0; i < n; i++)
		c[i] = (float)(f[i] * scale);
}

static void multislerp_tile(const struct method_args *args, const void *state,
			    const struct tile *tile)
{
	float c[METHOD_INPUTS_MAX];

	if (ROUNDS) {
		multislerp_steps_tile(args, state, tile);
		return;
	}
	factors(args, state, c);
	gram_combine(args, tile, c);
}

static const struct method_option options[] = {
	[MULTISLERP_WEIGHT] = {
		.name = "weight",
		.type = OPTION_FLOAT,
		.scope = OPTION_PER_MODEL,
		.required = true,
		.fallback = OPTION_UNSET,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "share of this model's direction",
	},
	[MULTISLERP_NORMALIZE] = {
		.name = "normalize_weights",
		.type = OPTION_BOOL,
		.scope = OPTION_GLOBAL,
		.fallback = 1,
		.min = 0,
		.max = 1,
		.help = "divide the weights by their sum",
	},
	[MULTISLERP_EPS] = {
		.name = "eps",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.fallback = 1e-8,
		.min = 0,
		.max = INFINITY,
		.help = "added to norms; a shorter mean has no direction",
	},
};

METHOD(multislerp) = {
	.name = "multislerp",
	.summary = "weighted mean direction of models, at their mean length",
	.version = 1,
	.element_ps = 140,
	.base = BASE_OPTIONAL,
	.models_min = 1,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = unchanged,
	.check = check,
	.state_size = state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.tile = multislerp_tile,
};
