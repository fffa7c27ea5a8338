/*
 * Sums over a tensor, for a computation of mergekit's that is replayed step by
 * step, with its roundings: each pass makes all vectors anew from the scalars
 * that passes before it have found, and finds the next. A sum is exact to a
 * double and then rounded as a tensor of no dimensions would be; mergekit's own
 * is added up in binary32, whose error the rounding nearly always takes away.
 */
#ifndef LMFS_METHODS_CHAIN_H
#define LMFS_METHODS_CHAIN_H

#include "core/methods/gram.h"
#include "core/methods/rounded_dot.h"

struct chain_pass {
	size_t count; /* of sums */
	void (*add)(const struct method_args *args, const struct tile *tile,
		    const void *ctx, double *sums);
	const void *ctx;
};

static inline void chain_add(const struct method_args *args,
			     const struct tile *tile, const void *ctx,
			     void *partial)
{
	const struct chain_pass *pass = ctx;

	pass->add(args, tile, pass->ctx, partial);
}

static inline void chain_fold(const struct method_args *args, const void *ctx,
			      void *total, const void *partial)
{
	const struct chain_pass *pass = ctx;
	const double *part = partial;
	double *sums = total;

	for (size_t i = 0; i < pass->count; i++)
		sums[i] += part[i];
}

static inline int chain_sums(const struct method_args *args,
			     const struct scan *scan,
			     const struct chain_pass *pass, double *sums)
{
	const struct scan_step step = {
		.partial_size = pass->count * sizeof(double),
		.add = chain_add,
		.fold = chain_fold,
		.ctx = pass,
	};

	memset(sums, 0, pass->count * sizeof(double));
	return scan_run(scan, 0, args->elements, &step, sums);
}

/* A number of a state, which is plain bytes. */
static inline float chain_number(double x)
{
	return (float)one_nan(x);
}

/* A norm of the square that a pass has found, in binary32 and rounded. */
static inline float chain_norm_f32(double square)
{
	return chain_number(sqrt(square));
}

static inline float chain_norm(double square)
{
	return R(chain_norm_f32(square));
}

/* The i-th vector: the input, or its difference from the base. */
static inline void chain_vector(const struct method_args *args,
				const struct tile *tile, size_t i,
				float *restrict v)
{
	const float *restrict x = tile->in[gram_input(args, i)];
	const float *restrict base = NULL;
	size_t count = tile->count;

	if (args->base != METHOD_NO_BASE)
		base = tile->in[args->base];
	for (size_t k = 0; k < count; k++)
		v[k] = base ? R(x[k] - base[k]) : x[k];
}

/* For a chain_pass: the squares of the norms of all vectors. */
static inline void chain_squares(const struct method_args *args,
				 const struct tile *tile, const void *ctx,
				 double *sums)
{
	float v[TILE_ELEMENTS] __attribute__((aligned(64)));

	for (size_t i = 0; i < gram_vectors(args); i++) {
		chain_vector(args, tile, i, v);
		sums[i] += lanes_dot(v, v, tile->count);
	}
}

/* x = x / by, of which the quotient is rounded. */
static inline void chain_divide(float *restrict x, float by, size_t count)
{
	for (size_t k = 0; k < count; k++)
		x[k] = R(x[k] / by);
}

#endif
