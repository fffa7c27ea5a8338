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
 * weights are no part of it. Angles and factors are found in nuslerp_angle.h.
 */
#include "core/methods/nuslerp_angle.h"

enum { NUSLERP_WEIGHT, NUSLERP_ROW_WISE, NUSLERP_FLATTEN };

#define NUSLERP_WEIGHTS_MIN 1e-6
#define NUSLERP_COLUMNS_MAX (1u << 20)

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

static size_t vector_count(const struct method_args *args)
{
	return by_columns(args) ? column_count(args)
				: span_count(args, span_length(args));
}

static size_t state_size(const struct method_args *args)
{
	return vector_count(args) * sizeof(double);
}

/* Of the norms, where they are wanted, and of what a pass needs. */
static size_t norms_size(const struct method_args *args)
{
	return ROUNDS ? 2 * vector_count(args) * sizeof(double) : 0;
}

static size_t scratch_size(const struct method_args *args)
{
	return norms_size(args) + (by_columns(args) ? column_scratch_size(args)
						    : span_scratch_size(args));
}

static int reduce_columns(const struct method_args *args,
			  const struct scan *scan, double *state,
			  double *scratch)
{
	void *work = (char *)scratch + norms_size(args);
	const struct column_rule whole = { 1, find_angle, NULL };
	const struct column_rule norms = { 2, find_norms, NULL };
	const struct column_rule units = { 1, find_rounded_angle, scratch };
	int rc;

	if (!ROUNDS)
		return column_reduce(args, scan, &whole, state, work);
	rc = column_reduce(args, scan, &norms, scratch, work);
	return rc ? rc : column_reduce(args, scan, &units, state, work);
}

static int reduce_spans(const struct method_args *args, const struct scan *scan,
			double *state, double *scratch)
{
	void *work = (char *)scratch + norms_size(args);
	struct span_rule rule = {
		.length = span_length(args),
		.sums = span_sums_max(args),
		.width = ROUNDS ? 2 : 1,
		.add = span_add_gram,
		.value = ROUNDS ? find_norms : find_angle,
	};
	int rc = span_reduce(args, scan, &rule, ROUNDS ? scratch : state, work);

	if (rc || !ROUNDS)
		return rc;
	rule.sums = 1;
	rule.width = 1;
	rule.add = add_units;
	rule.value = find_rounded_angle;
	rule.known = scratch;
	return span_reduce(args, scan, &rule, state, work);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	return by_columns(args) ? reduce_columns(args, scan, state, scratch)
				: reduce_spans(args, scan, state, scratch);
}

/* Factors of the two models for every element of a tile. */
struct tile_factors {
	float first[TILE_ELEMENTS], second[TILE_ELEMENTS];
	float divisor[TILE_ELEMENTS];
};

static void span_factors(const struct method_args *args, const double *angles,
			 const struct tile *tile, struct tile_factors *c)
{
	double t = share_of_second(args);
	uint64_t length = span_length(args);
	uint64_t at = tile->first;
	size_t k = 0;

	while (k < tile->count) {
		struct factors f = factors_at(t, angles[at / length]);
		size_t end = min_u64(tile->count, k + length - at % length);

		at += end - k;
		for (; k < end; k++) {
			c->first[k] = f.first;
			c->second[k] = f.second;
			if (ROUNDS)
				c->divisor[k] = f.divisor;
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
			struct factors f = factors_at(t, angles[column + k]);

			c->first[at + k] = f.first;
			c->second[at + k] = f.second;
			if (ROUNDS)
				c->divisor[at + k] = f.divisor;
		}
		column = 0;
	}
}

/* The quotient where there is a divisor to speak of. */
static inline float over(float x, const float *divisor)
{
	return ROUNDS ? R(x / *divisor) : x;
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
			out[k] = over(R(R(c.first[k] * v0[k]) +
					R(c.second[k] * v1[k])),
				      &c.divisor[k]);
		return;
	}
	base = tile->in[args->base];
	for (size_t k = 0; k < count; k++) {
		float a = R(c.first[k] * R(v0[k] - base[k]));
		float b = R(c.second[k] * R(v1[k] - base[k]));

		out[k] = R(base[k] + over(R(a + b), &c.divisor[k]));
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
