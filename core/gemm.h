/*
 * Dense linear algebra in double: the one place that calls BLAS and LAPACK,
 * OpenBLAS' serial build. (The threaded one starts threads before main, which
 * no daemon survives.)
 *
 * That build is for one thread at a time: two calls at once may be given the
 * same buffer, and then both are wrong. (OpenBLAS says so of builds without
 * USE_LOCKING; Debian's 0.3.21 is one.) So there is a lock: any number of
 * threads may call these functions, and one of them computes.
 *
 * OpenBLAS breaks the rule of the same bytes everywhere by itself: they depend
 * on its version, on the CPU that it takes this one for, and on how a product
 * is cut. So products are made of blocks of one size on a fixed grid, each by
 * one thread, and gemm_name() goes into the key of what is made with them.
 *
 * Blocks are row-major. A symmetric matrix is stored whole, and its
 * eigenvectors come as rows.
 */
#ifndef LMFS_GEMM_H
#define LMFS_GEMM_H

#include "core/base/base.h"
#include "core/base/error.h"

/* The sides of a block, and the doubles from one row of it to the next: no
 * power of two, so that a column does not fall on one line of a cache. */
#define GEMM_BLOCK 256
#define GEMM_STRIDE 264
#define GEMM_BLOCK_DOUBLES ((size_t)GEMM_BLOCK * GEMM_STRIDE)

/* The side of the greatest matrix that eigenvectors are found of: LAPACK counts
 * its work space in 32 bits. */
#define GEMM_SIDE_MAX 32000

/*
 * What eigenvectors cost: as much time as GEMM_EIGEN_FLOPS n^3 operations of
 * products, or those of the greatest values alone GEMM_EIGEN_TOP_FLOPS n^3;
 * measured at n = 1,024 to 4,096 on an AMD EPYC (Zen).
 */
#define GEMM_EIGEN_FLOPS 10
#define GEMM_EIGEN_TOP_FLOPS 5

struct gemm_size {
	size_t rows, cols, depth; /* each at most GEMM_BLOCK */
};

/* c += a b, of rows x cols += rows x depth and depth x cols. */
void gemm_block(double *c, const double *a, const double *b,
		struct gemm_size size);

/*
 * Eigenvalues, ascending, and eigenvectors of a symmetric n x n matrix, whose
 * place the vectors take. `work` is of gemm_eigen_work(n) doubles. 0, -ENOTSUP
 * (n is beyond GEMM_SIDE_MAX), or -EDOM: they do not converge.
 */
int gemm_eigen(size_t n, double *a, double *values, double *work);
size_t gemm_eigen_work(size_t n);

/*
 * The same of the `count` greatest alone, ascending: `values` has room for n,
 * `vectors` for count x n; what was in `a` is lost. `work` is of
 * gemm_eigen_top_work(n).
 */
int gemm_eigen_top(size_t n, double *a, size_t count, double *values,
		   double *vectors, double *work);
size_t gemm_eigen_top_work(size_t n);

/* Version, and the CPU that it computes for: "OpenBLAS 0.3.21 Zen". */
#define GEMM_NAME_MAX 80
void gemm_name(char name[GEMM_NAME_MAX]);

/* Whether OpenBLAS takes this CPU for a lesser one, and so is several times
 * slower: the sentence says what to set. */
bool gemm_is_slow(struct error *err);

/* Operations a second of one thread in products, measured for some 20 ms; 0: no
 * memory. */
double gemm_rate(void);

#endif
