/*
 * slerp: spherical linear interpolation of two tensors, each as one vector
 * (K. Shoemake, "Animating Rotation with Quaternion Curves", 1985), v0 being
 * the base's whichever is listed first.
 *
 *	d = v0.v1 / (|v0| |v1|), within [-1, 1]		theta = acos d
 *	out = v0 sin((1-t) theta) / sin theta + v1 sin(t theta) / sin theta
 *
 * Where |d| > 0.9995 the two are interpolated linearly. A norm of at most 1e-8
 * counts as 1. The vectors keep their lengths.
 *
 * The two factors are computed in double and rounded once. They come from the C
 * library's functions, whose last bit of a double varies between versions, but
 * lies 29 bits below what the rounding keeps. (mergekit's binary32 norms are
 * off by up to 1e-5 on tensors of millions of elements; these are not.)
 */
#include "core/methods/words.h"

enum { SLERP_T };

#define SLERP_NORM_MIN 1e-8
#define SLERP_PARALLEL 0.9995

struct slerp_state {
	double square[2]; /* |v0|^2, |v1|^2 */
	double dot;
};

struct slerp_factors {
	float base, other;
};

static size_t other(const struct method_args *args)
{
	return 1 - args->base;
}

static size_t state_size(const struct method_args *args)
{
	return sizeof(struct slerp_state);
}

static void add(const struct method_args *args, const struct tile *tile,
		const void *ctx, void *partial)
{
	const float *v0 = tile->in[args->base];
	const float *v1 = tile->in[other(args)];
	struct slerp_state *sum = partial;

	sum->square[0] += lanes_dot(v0, v0, tile->count);
	sum->square[1] += lanes_dot(v1, v1, tile->count);
	sum->dot += lanes_dot(v0, v1, tile->count);
}

static void fold(const struct method_args *args, const void *ctx, void *total,
		 const void *partial)
{
	const struct slerp_state *part = partial;
	struct slerp_state *sum = total;

	sum->square[0] += part->square[0];
	sum->square[1] += part->square[1];
	sum->dot += part->dot;
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	const struct scan_step step = {
		.partial_size = sizeof(struct slerp_state),
		.add = add,
		.fold = fold,
	};

	struct slerp_state *sums = state;
	int rc = scan_run(scan, 0, args->elements, &step, sums);

	sums->square[0] = one_nan(sums->square[0]);
	sums->square[1] = one_nan(sums->square[1]);
	sums->dot = one_nan(sums->dot);
	return rc;
}

static double norm_of(double square)
{
	double norm = sqrt(square);

	return norm <= SLERP_NORM_MIN ? 1 : norm;
}

/* NaN stays NaN. */
static double clamp_cosine(double d)
{
	if (d > 1)
		return 1;
	return d < -1 ? -1 : d;
}

static struct slerp_factors factors_of(const struct slerp_state *state,
				       double t)
{
	double d = state->dot / norm_of(state->square[0]) /
		   norm_of(state->square[1]);
	double theta;

	d = clamp_cosine(d);
	if (fabs(d) > SLERP_PARALLEL)
		return (struct slerp_factors){ (float)(1 - t), (float)t };
	theta = acos(d);
	return (struct slerp_factors){
		.base = (float)(sin((1 - t) * theta) / sin(theta)),
		.other = (float)(sin(t * theta) / sin(theta)),
	};
}

/* mergekit takes t as binary32. */
static struct slerp_factors factors_at_t(const struct method_args *args,
					 const void *state)
{
	double t = (double)(float)method_value(args, SLERP_T, 0);

	return factors_of(state, t);
}

static void slerp_tile(const struct method_args *args, const void *state,
		       const struct tile *tile)
{
	struct slerp_factors factors = factors_at_t(args, state);
	const float *restrict v0 = tile->in[args->base];
	const float *restrict v1 = tile->in[other(args)];
	float *restrict out = tile->out;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		out[k] = R(factors.base * v0[k] + factors.other * v1[k]);
}

static ALWAYS_INLINE float slerp_element(const float *factors, const float *x,
					 size_t inputs)
{
	return factors[0] * x[0] + factors[1] * x[1];
}

static bool slerp_stored(const struct method_args *args, const void *state,
			 const struct stored *run)
{
	struct slerp_factors by = factors_at_t(args, state);
	const float factors[WORDS_FACTORS_MAX] = { by.base, by.other };
	const void *in[] = { run->in[args->base], run->in[other(args)] };

	return words_run(factors, run, in, 2, slerp_element);
}

static const struct method_option options[] = {
	[SLERP_T] = {
		.name = "t",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.required = true,
		.fallback = OPTION_UNSET,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "0 is the base, 1 the other model",
	},
};

METHOD(slerp) = {
	.name = "slerp",
	.summary = "spherical interpolation between the base and one model",
	.version = 1,
	.element_ps = 90,
	.base = BASE_REQUIRED,
	.models_min = 1,
	.models_max = 1,
	.missing = MISSING_LONE,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.state_size = state_size,
	.reduce = reduce,
	.tile = slerp_tile,
	.stored = STORED(slerp_stored),
};
