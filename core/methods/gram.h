/*
 * Inner products of the vectors that a method turns and scales: the inputs, or,
 * where there is a base, their differences from it,
 *
 *	v_i = x_i, or x_i - base		G_ij = v_i . v_j
 *
 * The products of two binary32 numbers are exact in double, and are summed
 * there; where mergekit's roundings are replayed those of two task vectors are
 * rounded first, as it does. A Gram matrix is symmetric, so only i <= j is
 * kept, row by row.
 */
#ifndef LMFS_METHODS_GRAM_H
#define LMFS_METHODS_GRAM_H

#include "core/methods/body.h"

/* Partials of a scan take about as many bytes at once. */
#define GRAM_WINDOW_BYTES (32u << 20)

/* How many vectors there are, and which input gives the i-th. */
static inline size_t gram_vectors(const struct method_args *args)
{
	return args->inputs - (args->base != METHOD_NO_BASE);
}

static inline size_t gram_input(const struct method_args *args, size_t i)
{
	return i + (i >= args->base);
}

/* How many products n vectors have, and which is that of i <= j. */
static inline size_t gram_pairs(size_t n)
{
	return n * (n + 1) / 2;
}

static inline size_t gram_pair(size_t n, size_t i, size_t j)
{
	return i * n - i * (i + 1) / 2 + j;
}

static inline double gram_norm(const double *gram, size_t n, size_t i)
{
	return sqrt(gram[gram_pair(n, i, i)]);
}

/* sum_ij c_i c_j G_ij: the square of the norm of sum_i c_i v_i. */
static inline double gram_square(const double *gram, size_t n, const double *c)
{
	double total = 0;

	for (size_t i = 0; i < n; i++) {
		const double *row = gram + gram_pair(n, i, 0);
		double sum = 0;

		for (size_t j = i + 1; j < n; j++)
			sum += c[j] * row[j];
		total += c[i] * (c[i] * row[i] + 2 * sum);
	}
	return total;
}

/* The product of two elements, which mergekit rounds where it is not one of
 * those that a norm is of. */
static inline double gram_term(float a, float b, bool square)
{
	return ROUNDS && !square ? (double)R(a * b) : (double)a * (double)b;
}

/* The products of `a` with x - o; a count below LANES is a plain sum. */
static inline double gram_dot(const float *a, const float *x, const float *o,
			      size_t count, bool square)
{
	double lanes[LANES] = { 0 };
	double sum = 0;
	size_t k = 0;

	if (count < LANES) {
		for (; k < count; k++)
			sum += gram_term(a[k], R(x[k] - o[k]), square);
		return sum;
	}
	for (; k + LANES <= count; k += LANES)
		for (size_t j = 0; j < LANES; j++)
			lanes[j] += gram_term(a[k + j], R(x[k + j] - o[k + j]),
					      square);
	for (size_t j = 0; k + j < count; j++)
		lanes[j] += gram_term(a[k + j], R(x[k + j] - o[k + j]), square);
	return lanes_total(lanes);
}

static inline void gram_add_deltas(const struct method_args *args,
				   const struct tile *tile, size_t at,
				   size_t count, double *gram)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const float *base = tile->in[args->base] + at;
	size_t n = gram_vectors(args);

	for (size_t i = 0; i < n; i++) {
		const float *x = tile->in[gram_input(args, i)] + at;

		for (size_t k = 0; k < count; k++)
			delta[k] = R(x[k] - base[k]);
		for (size_t j = i; j < n; j++)
			*gram++ += gram_dot(delta,
					    tile->in[gram_input(args, j)] + at,
					    base, count, i == j);
	}
}

/* Add the products over the elements [at, at + count) of a tile. */
static inline void gram_add_part(const struct method_args *args,
				 const struct tile *tile, size_t at,
				 size_t count, double *gram)
{
	if (args->base != METHOD_NO_BASE) {
		gram_add_deltas(args, tile, at, count, gram);
		return;
	}
	for (size_t i = 0; i < args->inputs; i++)
		for (size_t j = i; j < args->inputs; j++)
			*gram++ += lanes_dot(tile->in[i] + at, tile->in[j] + at,
					     count);
}

/* scan_run() over the whole tensor, in as many parts as memory asks for. */
static inline int gram_scan(const struct method_args *args,
			    const struct scan *scan,
			    const struct scan_step *step, void *total)
{
	uint64_t window = max_u64(1, GRAM_WINDOW_BYTES / step->partial_size) *
			  SCAN_BLOCK_ELEMENTS;
	int rc = 0;

	for (uint64_t at = 0; !rc && at < args->elements; at += window)
		rc = scan_run(scan, at, min_u64(window, args->elements - at),
			      step, total);
	return rc;
}

static inline void gram_add(const struct method_args *args,
			    const struct tile *tile, const void *ctx,
			    void *partial)
{
	gram_add_part(args, tile, 0, tile->count, partial);
}

static inline void gram_fold(const struct method_args *args, const void *ctx,
			     void *total, const void *partial)
{
	const double *part = partial;
	double *gram = total;

	for (size_t p = 0; p < gram_pairs(gram_vectors(args)); p++)
		gram[p] += part[p];
}

/* Bytes of the Gram matrix over the whole tensor, and the matrix. */
static inline size_t gram_size(const struct method_args *args)
{
	return gram_pairs(gram_vectors(args)) * sizeof(double);
}

static inline int gram_reduce(const struct method_args *args,
			      const struct scan *scan, double *gram)
{
	const struct scan_step step = {
		.partial_size = gram_size(args),
		.add = gram_add,
		.fold = gram_fold,
	};
	int rc = gram_scan(args, scan, &step, gram);

	for (size_t p = 0; p < gram_pairs(gram_vectors(args)); p++)
		gram[p] = one_nan(gram[p]);
	return rc;
}

/* out = sum_i c_i v_i (+ base), in the order of the recipe. */
static inline void gram_combine(const struct method_args *args,
				const struct tile *tile, const float *c)
{
	const float *restrict base = NULL;
	float *restrict out = tile->out;
	size_t count = tile->count;

	if (args->base != METHOD_NO_BASE)
		base = tile->in[args->base];
	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < gram_vectors(args); i++) {
		const float *restrict x = tile->in[gram_input(args, i)];
		float f = c[i];

		if (base)
			for (size_t k = 0; k < count; k++)
				out[k] = R(out[k] + R(f * R(x[k] - base[k])));
		else
			for (size_t k = 0; k < count; k++)
				out[k] = R(out[k] + R(f * x[k]));
	}
	for (size_t k = 0; base && k < count; k++)
		out[k] = R(base[k] + out[k]);
}

#endif
