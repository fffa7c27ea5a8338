/*
 * One number for every vector along the first dimension, the columns of a
 * matrix, made of the products of two vectors: v0.v0, v0.v1 and v1.v1.
 *
 * A block of the scan has some elements of many columns. Where there are more
 * columns than a block has elements, it has one element of some of them.
 *
 * Where mergekit's roundings are replayed a second pass finds the products of
 * the two unit vectors, from the norms that the first has found.
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

/* Some elements of a tile, one of each column from `column` on. */
struct column_run {
	size_t at, count;
	uint64_t column;
	const float *v0, *v1, *base;
};

static inline struct column_run column_run_at(const struct method_args *args,
					      const struct tile *tile,
					      size_t at, size_t count)
{
	static const float zeros[TILE_ELEMENTS];

	return (struct column_run){
		.at = at,
		.count = count,
		.column = (tile->first + at) % column_count(args),
		.v0 = tile->in[gram_input(args, 0)] + at,
		.v1 = tile->in[gram_input(args, 1)] + at,
		.base = args->base == METHOD_NO_BASE
				? zeros
				: tile->in[args->base] + at,
	};
}

static inline void column_products(const struct column_run *run, size_t width,
				   double *sums)
{
	double *restrict s00 = sums;
	double *restrict s01 = sums + width;
	double *restrict s11 = sums + 2 * width;

	for (size_t k = 0; k < run->count; k++) {
		double a = (double)R(run->v0[k] - run->base[k]);
		double b = (double)R(run->v1[k] - run->base[k]);

		s00[k] += a * a;
		s01[k] += a * b;
		s11[k] += b * b;
	}
}

/* norms: two for each column. */
static inline void column_unit_products(const struct column_run *run,
					const double *norms,
					double *restrict sums)
{
	norms += 2 * run->column;
	for (size_t k = 0; k < run->count; k++) {
		float a = R(run->v0[k] - run->base[k]);
		float b = R(run->v1[k] - run->base[k]);

		a = R(a / (float)norms[2 * k]);
		b = R(b / (float)norms[2 * k + 1]);
		sums[k] += (double)R(a * b);
	}
}

/* ctx: NULL, or the norms. */
static inline void column_add(const struct method_args *args,
			      const struct tile *tile, const void *ctx,
			      void *partial)
{
	struct column_partial *part = partial;
	size_t width = column_width(args);

	for (size_t at = 0, count; at < tile->count; at += count) {
		size_t column = part->seen % width;
		struct column_run run;

		count = min_u64(tile->count - at, width - column);
		run = column_run_at(args, tile, at, count);
		if (ctx)
			column_unit_products(&run, ctx, part->sums + column);
		else
			column_products(&run, width, part->sums + column);
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

struct column_rule {
	size_t width; /* numbers of a column */
	void (*value)(const struct method_args *args, const double *sums,
		      double *numbers);
	const double *norms; /* of the second pass, whose sum is one */
};

/* Numbers for every column; scratch of column_scratch_size(). */
static inline int column_reduce(const struct method_args *args,
				const struct scan *scan,
				const struct column_rule *rule, double *state,
				void *scratch)
{
	const struct scan_step step = {
		.partial_size = sizeof(struct column_partial) +
				3 * column_width(args) * sizeof(double),
		.add = column_add,
		.fold = column_fold,
		.ctx = rule->norms,
	};
	const struct column_total *total = scratch;
	size_t width = rule->width;
	int rc;

	memset(scratch, 0, column_scratch_size(args));
	rc = gram_scan(args, scan, &step, scratch);
	for (size_t c = 0; c < column_count(args); c++)
		rule->value(args, total->sums + 3 * c, state + c * width);
	for (size_t v = 0; v < column_count(args) * width; v++)
		state[v] = one_nan(state[v]);
	return rc;
}

#endif
