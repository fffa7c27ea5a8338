/*
 * Products of matrices of any size, on all threads of a reduction: what the
 * methods that take a tensor as one matrix are made of.
 *
 * A matrix is a view: of doubles, or of binary32 (deltas, which are many), by
 * rows or turned. Products are sums in double over a fixed grid of blocks
 * (core/gemm.h), and do not depend on the number of threads.
 *
 * Nobody allocates here: a reduction carves everything out of its scratch.
 */
#ifndef LMFS_MATRIX_H
#define LMFS_MATRIX_H

#include "core/gemm.h"
#include "core/method.h"

/* Blocks that are made at once, at most, and the memory that one takes. */
#define MATRIX_LANES 16
#define MATRIX_LANE_DOUBLES (3 * GEMM_BLOCK_DOUBLES)

/*
 * Singular values below this share of the greatest are taken as 0, and their
 * directions as undetermined: so much of a binary32 matrix is rounding. The
 * squares of those above it are well within a double's precision.
 */
#define MATRIX_SINGULAR_MIN 1e-6

struct matrix {
	double *wide;  /* one of the two */
	float *narrow; /* the other is NULL */
	size_t rows, cols;
	size_t row_step, col_step; /* elements; one of them is 1 */
};

static inline struct matrix matrix_wide(double *at, size_t rows, size_t cols)
{
	return (struct matrix){ at, NULL, rows, cols, cols, 1 };
}

static inline struct matrix matrix_narrow(float *at, size_t rows, size_t cols)
{
	return (struct matrix){ NULL, at, rows, cols, cols, 1 };
}

static inline struct matrix matrix_turned(struct matrix m)
{
	return (struct matrix){ m.wide, m.narrow,   m.cols,
				m.rows, m.col_step, m.row_step };
}

/* Where products find threads, and memory: MATRIX_LANE_DOUBLES a lane. */
struct matrix_work {
	const struct scan *scan;
	double *memory;
	size_t lanes;
};

/* As many lanes as products of matrices of no greater side can use. */
static inline size_t matrix_lanes(size_t side)
{
	size_t blocks = (side + GEMM_BLOCK - 1) / GEMM_BLOCK;

	return min_u64(MATRIX_LANES, blocks * blocks);
}

/* out = a b. `out` overlaps neither. */
void matrix_multiply(const struct matrix_work *work, struct matrix out,
		     struct matrix a, struct matrix b);

/* out += a b; out is wide. */
void matrix_add_product(const struct matrix_work *work, struct matrix out,
			struct matrix a, struct matrix b);

/* out = a a', whole, both halves the same to the bit. */
void matrix_gram(const struct matrix_work *work, double *out, struct matrix a);

/*
 * out = sum_j f_j q_j q_j' for the n rows q_j of `vectors`: the function of a
 * symmetric matrix whose eigenvectors they are. `scratch` is of n x n.
 */
void matrix_compose(const struct matrix_work *work, double *out,
		    struct matrix vectors, const double *f, double *scratch);

/*
 * The square of the least singular value that counts, given the squares,
 * ascending: all below it are taken as 0.
 */
static inline double matrix_least_square(const double *squares, size_t n)
{
	double greatest = squares[n - 1] > 0 ? squares[n - 1] : 0;

	return greatest * MATRIX_SINGULAR_MIN * MATRIX_SINGULAR_MIN;
}

#endif
