/*
 * One number for every vector along the first dimension, the columns of a
 * matrix, made of the products of two vectors: v0.v0, v0.v1 and v1.v1.
 *
 * A block of the scan has some elements of many columns. Where there are more
 * columns than a block has elements, it has one element of some of them.
 */
#ifndef LMFS_METHODS_GRAM_COLUMNS_H
#define LMFS_METHODS_GRAM_COLUMNS_H

#include "core/methods/gram.h"

static inline uint64_t column_count(const struct method_args *args)
{
	return args->elements / args->rows;
}

/* A sum over the elements of some columns, those of one block. */
struct column_partial {
	uint64_t seen; /* elements of the block, so far */
	double sums[];
};

struct column_total {
	uint64_t at; /* the element that the next block begins with */
	double sums[];
};

/* Columns in a block, the first of them being the block's first element's. */
static inline size_t column_width(const struct method_args *args)
{
	return min_u64(column_count(args), SCAN_BLOCK_ELEMENTS);
}

static inline void column_products(const struct method_args *args,
				   const struct tile *tile, size_t at,
				   size_t count, double *sums)
{
	static const float zeros[TILE_ELEMENTS];
	const float *v0 = tile->in[gram_input(args, 0)] + at;
	const float *v1 = tile->in[gram_input(args, 1)] + at;
	const float *base = zeros;
	size_t width = column_width(args);
	double *restrict s00 = sums;
	double *restrict s01 = sums + width;
	double *restrict s11 = sums + 2 * width;

	if (args->base != METHOD_NO_BASE)
		base = tile->in[args->base] + at;
	for (size_t k = 0; k < count; k++) {
		double a = (double)R(v0[k] - base[k]);
		double b = (double)R(v1[k] - base[k]);

		s00[k] += a * a;
		s01[k] += a * b;
		s11[k] += b * b;
	}
}

static inline void column_add(const struct method_args *args,
			      const struct tile *tile, const void *ctx,
			      void *partial)
{
	struct column_partial *part = partial;
	size_t width = column_width(args);

	for (size_t at = 0, count; at < tile->count; at += count) {
		size_t column = part->seen % width;

		count = min_u64(tile->count - at, width - column);
		column_products(args, tile, at, count, part->sums + column);
		part->seen += count;
	}
}

static inline void column_fold(const struct method_args *args, const void *ctx,
			       void *total, const void *partial)
{
	const struct column_partial *part = partial;
	struct column_total *sum = total;
	size_t columns = column_count(args);
	size_t width = column_width(args);
	size_t column = sum->at % columns;

	for (size_t k = 0; k < width; k++) {
		double *of = sum->sums + 3 * column;

		for (size_t p = 0; p < 3; p++)
			of[p] += part->sums[p * width + k];
		column = column + 1 < columns ? column + 1 : 0;
	}
	sum->at += part->seen;
}

static inline size_t column_scratch_size(const struct method_args *args)
{
	return sizeof(struct column_total) +
	       3 * column_count(args) * sizeof(double);
}

/* One number for every column; scratch of column_scratch_size(). */
static inline int
column_reduce(const struct method_args *args, const struct scan *scan,
	      double (*value)(const struct method_args *, const double *),
	      double *state, void *scratch)
{
	const struct scan_step step = {
		.partial_size = sizeof(struct column_partial) +
				3 * column_width(args) * sizeof(double),
		.add = column_add,
		.fold = column_fold,
	};
	const struct column_total *total = scratch;
	int rc = gram_scan(args, scan, &step, scratch);

	for (size_t c = 0; c < column_count(args); c++)
		state[c] = one_nan(value(args, total->sums + 3 * c));
	return rc;
}

#endif
