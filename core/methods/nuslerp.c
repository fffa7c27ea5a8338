/*
 * nuslerp: spherical interpolation of two models by weights (mergekit's
 * nuslerp), as whole tensors or vector by vector; with a base, of their task
 * vectors v_i = x_i - base,
 *
 *	t = w1 / (w0 + w1), or 1/2 where |w0 + w1| < 1e-6
 *	d = v0.v1 / (max(|v0|, 1e-7) max(|v1|, 1e-7)), within [-1, 1]
 *	out = v0 sin((1-t) theta) / sin theta + v1 sin(t theta) / sin theta
 *	      (+ base)				theta = acos d
 *
 * and by v0 (1-t) + v1 t where d^2 is 1 in binary32. `nuslerp_flatten` takes
 * the tensor as one vector. Without it the vectors run along the last
 * dimension, which are the rows of a matrix as it is stored, and with
 * `nuslerp_row_wise` along the first, its columns, as in mergekit.
 *
 * The state is the angle of every vector, 0 where interpolation is linear; the
 * weights are no part of it. A column's factors are wanted an element at a
 * time, so sines are computed here.
 */
#include "core/methods/gram_columns.h"
#include "core/methods/gram_spans.h"

enum { NUSLERP_WEIGHT, NUSLERP_ROW_WISE, NUSLERP_FLATTEN };

#define NUSLERP_WEIGHTS_MIN 1e-6
#define NUSLERP_NORM_MIN 1e-7
#define NUSLERP_PARALLEL 1e-16f
#define NUSLERP_COLUMNS_MAX (1u << 20)

/* pi in two parts, of which the first has many zeros to its end. */
#define PI_HIGH 0x1.921fb544p+1
#define PI_LOW 0x1.0b4611a626331p-33
/* Added and taken off, it rounds to a whole number, even where undecided. */
#define ROUNDER 0x1.8p52

struct factors {
	float first, second;
};

static bool is_flat(const struct method_args *args)
{
	return method_value(args, NUSLERP_FLATTEN, 0) != 0;
}

static bool by_columns(const struct method_args *args)
{
	return !is_flat(args) && method_value(args, NUSLERP_ROW_WISE, 0) != 0;
}

static uint64_t span_length(const struct method_args *args)
{
	return is_flat(args) ? args->elements : args->cols;
}

static const char *check(const struct method_args *args)
{
	if (by_columns(args) && column_count(args) > NUSLERP_COLUMNS_MAX)
		return "nuslerp_row_wise needs an angle for every vector along "
		       "the first dimension, and has room for 1048576 of them; "
		       "use another setting for this tensor (by a filter)";
	return NULL;
}

static double share_of_second(const struct method_args *args)
{
	double w0 = method_value(args, NUSLERP_WEIGHT, gram_input(args, 0));
	double w1 = method_value(args, NUSLERP_WEIGHT, gram_input(args, 1));
	double sum = w0 + w1;

	return fabs(sum) < NUSLERP_WEIGHTS_MIN ? 0.5 : w1 / sum;
}

/* NaN stays NaN. */
static double norm_of(double square)
{
	double norm = sqrt(square);

	return norm < NUSLERP_NORM_MIN ? NUSLERP_NORM_MIN : norm;
}

/* The angle, of the products v0.v0, v0.v1, v1.v1. */
static double angle(const struct method_args *args, const double *gram)
{
	double d = gram[1] / norm_of(gram[0]) / norm_of(gram[2]);
	float cosine = (float)d;

	if (1 - cosine * cosine <= NUSLERP_PARALLEL)
		return 0;
	return acos(d);
}

/*
 * For any x of up to a few million: x = k pi + r, sin x = (-1)^k sin r, and a
 * polynomial for |r| <= pi/2, right to 13 digits. Plain operations only, so
 * that it is the same everywhere and can be done for many elements at once.
 */
static inline double sine(double x)
{
	double k = (x * M_1_PI + ROUNDER) - ROUNDER;
	double half = (k * 0.5 + ROUNDER) - ROUNDER;
	double sign = 1 - 4 * fabs(k * 0.5 - half);
	double r = (x - k * PI_HIGH) - k * PI_LOW;
	double s = r * r;
	double p = 1 / 355687428096000.0;

	p = p * s - 1 / 1307674368000.0;
	p = p * s + 1 / 6227020800.0;
	p = p * s - 1 / 39916800.0;
	p = p * s + 1 / 362880.0;
	p = p * s - 1 / 5040.0;
	p = p * s + 1 / 120.0;
	p = p * s - 1 / 6.0;
	return sign * (r + r * s * p);
}

static inline struct factors factors_of(double t, double theta)
{
	double over = 1 / sine(theta);
	double first = sine((1 - t) * theta) * over;
	double second = sine(t * theta) * over;

	return (struct factors){
		.first = (float)(theta == 0 ? 1 - t : first),
		.second = (float)(theta == 0 ? t : second),
	};
}

static size_t state_size(const struct method_args *args)
{
	size_t count = by_columns(args) ? column_count(args)
					: span_count(args, span_length(args));

	return count * sizeof(double);
}

static size_t scratch_size(const struct method_args *args)
{
	if (by_columns(args))
		return column_scratch_size(args);
	return span_scratch_size(args);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	const struct span_rule rule = {
		.length = span_length(args),
		.value = angle,
	};

	if (by_columns(args))
		return column_reduce(args, scan, angle, state, scratch);
	return span_reduce(args, scan, &rule, state, scratch);
}

/* Factors of the two models for every element of a tile. */
struct tile_factors {
	float first[TILE_ELEMENTS], second[TILE_ELEMENTS];
};

static void span_factors(const struct method_args *args, const double *angles,
			 const struct tile *tile, struct tile_factors *c)
{
	double t = share_of_second(args);
	uint64_t length = span_length(args);
	uint64_t at = tile->first;
	size_t k = 0;

	while (k < tile->count) {
		struct factors f = factors_of(t, angles[at / length]);
		size_t end = min_u64(tile->count, k + length - at % length);

		at += end - k;
		for (; k < end; k++) {
			c->first[k] = f.first;
			c->second[k] = f.second;
		}
	}
}

static void column_factors(const struct method_args *args, const double *angles,
			   const struct tile *tile, struct tile_factors *c)
{
	double t = share_of_second(args);
	uint64_t columns = column_count(args);
	uint64_t column = tile->first % columns;

	for (size_t at = 0, count; at < tile->count; at += count) {
		count = min_u64(tile->count - at, columns - column);
		for (size_t k = 0; k < count; k++) {
			struct factors f = factors_of(t, angles[column + k]);

			c->first[at + k] = f.first;
			c->second[at + k] = f.second;
		}
		column = 0;
	}
}

static void nuslerp_tile(const struct method_args *args, const void *state,
			 const struct tile *tile)
{
	struct tile_factors c;
	const float *restrict v0 = tile->in[gram_input(args, 0)];
	const float *restrict v1 = tile->in[gram_input(args, 1)];
	const float *restrict base = NULL;
	float *restrict out = tile->out;
	size_t count = tile->count;

	if (by_columns(args))
		column_factors(args, state, tile, &c);
	else
		span_factors(args, state, tile, &c);
	if (args->base == METHOD_NO_BASE) {
		for (size_t k = 0; k < count; k++)
			out[k] = R(R(c.first[k] * v0[k]) +
				   R(c.second[k] * v1[k]));
		return;
	}
	base = tile->in[args->base];
	for (size_t k = 0; k < count; k++) {
		float a = R(c.first[k] * R(v0[k] - base[k]));
		float b = R(c.second[k] * R(v1[k] - base[k]));

		out[k] = R(base[k] + R(a + b));
	}
}

static const struct method_option options[] = {
	[NUSLERP_WEIGHT] = {
		.name = "weight",
		.type = OPTION_FLOAT,
		.scope = OPTION_PER_MODEL,
		.required = true,
		.fallback = OPTION_UNSET,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "share of this model, of the sum of both",
	},
	[NUSLERP_ROW_WISE] = {
		.name = "nuslerp_row_wise",
		.type = OPTION_BOOL,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 0,
		.min = 0,
		.max = 1,
		.help = "not flat: vectors along the first dimension",
	},
	[NUSLERP_FLATTEN] = {
		.name = "nuslerp_flatten",
		.type = OPTION_BOOL,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 1,
		.min = 0,
		.max = 1,
		.help = "the tensor is one vector; false: its rows are",
	},
};

METHOD(nuslerp) = {
	.name = "nuslerp",
	.summary = "spherical interpolation of two models by weights",
	.version = 1,
	.element_ps = 140,
	.base = BASE_OPTIONAL,
	.models_min = 2,
	.models_max = 2,
	.missing = MISSING_LONE,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.check = check,
	.state_size = state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.tile = nuslerp_tile,
};
