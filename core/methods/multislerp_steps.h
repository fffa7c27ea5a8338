/*
 * multislerp as mergekit computes it, each operation rounded to the work type:
 * with the vectors v_i and the rounded weights w_i,
 *
 *	u_i = v_i / (|v_i| + eps)	m = sum_i w_i u_i	m <- m / |m|
 *	tau = sum_i w_i (u_i - (u_i.m) m)	r = |tau| + eps
 *	out = (m cos r + tau sin r / r) sum_i w_i |v_i|  (+ base)
 *
 * In exact arithmetic tau is 0; here it is what rounding leaves. Four passes
 * find |v_i|, |m|, u_i.m and |tau|.
 */
#ifndef LMFS_METHODS_MULTISLERP_STEPS_H
#define LMFS_METHODS_MULTISLERP_STEPS_H

#include "core/methods/chain.h"

/* The state, and after it for every vector its weight, |v_i| + eps, u_i.m. */
struct multislerp_steps {
	float eps;
	float mean_norm; /* below eps: the vectors' weighted sum is the result
			  */
	float length;	 /* sum_i w_i |v_i| */
	float along, aside; /* cos r, sin r / r */
	float weights[];
};

static inline size_t multislerp_steps_size(const struct method_args *args)
{
	return sizeof(struct multislerp_steps) +
	       3 * gram_vectors(args) * sizeof(float);
}

static inline float step_divisor(const struct method_args *args,
				 const struct multislerp_steps *st, size_t i)
{
	return st->weights[gram_vectors(args) + i];
}

static inline float step_dot(const struct method_args *args,
			     const struct multislerp_steps *st, size_t i)
{
	return st->weights[2 * gram_vectors(args) + i];
}

static inline void step_unit(const struct method_args *args,
			     const struct multislerp_steps *st,
			     const struct tile *tile, size_t i, float *unit)
{
	chain_vector(args, tile, i, unit);
	chain_divide(unit, step_divisor(args, st, i), tile->count);
}

/* sum_i w_i u_i, not yet divided. */
static inline void step_mean(const struct method_args *args,
			     const struct multislerp_steps *st,
			     const struct tile *tile, float *restrict mean)
{
	float unit[TILE_ELEMENTS] __attribute__((aligned(64)));
	size_t count = tile->count;

	memset(mean, 0, count * sizeof(*mean));
	for (size_t i = 0; i < gram_vectors(args); i++) {
		float w = st->weights[i];

		step_unit(args, st, tile, i, unit);
		for (size_t k = 0; k < count; k++)
			mean[k] += R(w * unit[k]);
	}
	for (size_t k = 0; k < count; k++)
		mean[k] = R(mean[k]);
}

static inline void step_direction(const struct method_args *args,
				  const struct multislerp_steps *st,
				  const struct tile *tile, float *mean)
{
	step_mean(args, st, tile, mean);
	chain_divide(mean, st->mean_norm, tile->count);
}

static inline void step_tangent(const struct method_args *args,
				const struct multislerp_steps *st,
				const struct tile *tile,
				const float *restrict mean, float *restrict tau)
{
	float unit[TILE_ELEMENTS] __attribute__((aligned(64)));
	size_t count = tile->count;

	memset(tau, 0, count * sizeof(*tau));
	for (size_t i = 0; i < gram_vectors(args); i++) {
		float w = st->weights[i];
		float dot = step_dot(args, st, i);

		step_unit(args, st, tile, i, unit);
		for (size_t k = 0; k < count; k++)
			tau[k] += R(w * R(unit[k] - R(dot * mean[k])));
	}
	for (size_t k = 0; k < count; k++)
		tau[k] = R(tau[k]);
}

static inline void add_mean(const struct method_args *args,
			    const struct tile *tile, const void *ctx,
			    double *sums)
{
	float mean[TILE_ELEMENTS] __attribute__((aligned(64)));

	step_mean(args, ctx, tile, mean);
	*sums += lanes_dot(mean, mean, tile->count);
}

static inline void add_dots(const struct method_args *args,
			    const struct tile *tile, const void *ctx,
			    double *sums)
{
	float mean[TILE_ELEMENTS] __attribute__((aligned(64)));
	float unit[TILE_ELEMENTS] __attribute__((aligned(64)));

	step_direction(args, ctx, tile, mean);
	for (size_t i = 0; i < gram_vectors(args); i++) {
		step_unit(args, ctx, tile, i, unit);
		sums[i] += lanes_dot_rounded(unit, mean, tile->count);
	}
}

static inline void add_tangent(const struct method_args *args,
			       const struct tile *tile, const void *ctx,
			       double *sums)
{
	float mean[TILE_ELEMENTS] __attribute__((aligned(64)));
	float tau[TILE_ELEMENTS] __attribute__((aligned(64)));

	step_direction(args, ctx, tile, mean);
	step_tangent(args, ctx, tile, mean, tau);
	*sums += lanes_dot(tau, tau, tile->count);
}

/* st->weights holds the weights, before they are divided by their sum. */
static inline void step_weights(const struct method_args *args, bool normalizes,
				struct multislerp_steps *st)
{
	float sum = 0;

	for (size_t i = 0; i < gram_vectors(args); i++)
		sum += st->weights[i];
	for (size_t i = 0; normalizes && i < gram_vectors(args); i++)
		st->weights[i] = R(st->weights[i] / R(sum));
}

static inline void step_lengths(const struct method_args *args,
				const double *squares,
				struct multislerp_steps *st)
{
	size_t n = gram_vectors(args);

	for (size_t i = 0; i < n; i++) {
		float norm = chain_norm(squares[i]);

		st->weights[n + i] = R(norm + st->eps);
		st->length += R(norm * st->weights[i]);
	}
	st->length = R(st->length);
}

static inline void step_arc(double square, struct multislerp_steps *st)
{
	float r = R(chain_norm(square) + st->eps);

	st->along = R((float)cos((double)r));
	st->aside = R(R((float)sin((double)r)) / r);
}

/* The weights, as rounded, are in the state; sums: of every vector. */
static inline int multislerp_steps_find(const struct method_args *args,
					const struct scan *scan,
					struct multislerp_steps *st,
					double *sums)
{
	size_t n = gram_vectors(args);
	const struct chain_pass squares = { n, chain_squares, NULL };
	const struct chain_pass mean = { 1, add_mean, st };
	const struct chain_pass dots = { n, add_dots, st };
	const struct chain_pass tangent = { 1, add_tangent, st };
	int rc = chain_sums(args, scan, &squares, sums);

	if (rc)
		return rc;
	step_lengths(args, sums, st);
	rc = chain_sums(args, scan, &mean, sums);
	st->mean_norm = chain_norm(*sums);
	if (rc || st->mean_norm < st->eps)
		return rc;
	rc = chain_sums(args, scan, &dots, sums);
	for (size_t i = 0; i < n; i++)
		st->weights[2 * n + i] = R(chain_number(sums[i]));
	if (!rc)
		rc = chain_sums(args, scan, &tangent, sums);
	step_arc(*sums, st);
	return rc;
}

static inline void multislerp_steps_tile(const struct method_args *args,
					 const struct multislerp_steps *st,
					 const struct tile *tile)
{
	float mean[TILE_ELEMENTS] __attribute__((aligned(64)));
	float tau[TILE_ELEMENTS] __attribute__((aligned(64)));
	float *restrict out = tile->out;
	size_t count = tile->count;

	if (st->mean_norm < st->eps) {
		gram_combine(args, tile, st->weights);
		return;
	}
	step_direction(args, st, tile, mean);
	step_tangent(args, st, tile, mean, tau);
	for (size_t k = 0; k < count; k++) {
		float turned =
			R(R(mean[k] * st->along) + R(tau[k] * st->aside));

		out[k] = R(turned * st->length);
	}
	if (args->base == METHOD_NO_BASE)
		return;
	for (size_t k = 0; k < count; k++)
		out[k] = R(tile->in[args->base][k] + out[k]);
}

#endif
