/*
 * What the methods share that take a tensor as one matrix:
 *
 *	delta_i = x_i - base
 *	out = base + f M(delta_1, ..., delta_n)		f: a factor
 *
 * M is found once, by reduce, and is the state: f does not enter it, so that
 * another one costs elementwise work only. What is no matrix, such as a norm,
 * gets the mean of all deltas for M, as in the authors' programs, and has no
 * state.
 *
 * A tensor is a matrix if it has two dimensions and at most WHOLE_ROWS_MAX
 * rows: a vocabulary's embeddings are as dear as a hundred layers, and no
 * linear map of activations. The option `matrix` decides otherwise; with a
 * filter, for single tensors.
 *
 * Numbers that are not finite would spread all over a matrix, or keep LAPACK
 * from its end: where a delta has one, M is NaN throughout.
 */
#ifndef LMFS_METHODS_WHOLE_H
#define LMFS_METHODS_WHOLE_H

#include "core/matrix.h"
#include "core/methods/body.h"

#define WHOLE_ROWS_MAX 65536

enum { WHOLE_FACTOR, WHOLE_MATRIX, WHOLE_OPTIONS_COUNT };

/* The options that all have; the factor's name differs. */
#define WHOLE_OPTION_ROWS(factor) \
	[WHOLE_FACTOR] = {                                                   \
		.name = (factor),                                            \
		.type = OPTION_FLOAT,                                        \
		.scope = OPTION_GLOBAL,                                      \
		.fallback = 1,                                               \
		.min = -INFINITY,                                            \
		.max = INFINITY,                                             \
		.help = "factor of the merged task vector",                  \
	},                                                                   \
	[WHOLE_MATRIX] = {                                                   \
		.name = "matrix",                                            \
		.type = OPTION_BOOL,                                         \
		.scope = OPTION_GLOBAL,                                      \
		.fallback = OPTION_UNSET,                                    \
		.min = 0,                                                    \
		.max = 1,                                                    \
		.help = "take a tensor of two dimensions as a matrix (none: " \
			"of at most 65536 rows)",                            \
	}

static inline bool whole_is_matrix(const struct method_args *args)
{
	double asked = method_value(args, WHOLE_MATRIX, 0);

	if (args->rank != 2 || !args->elements)
		return false;
	return isnan(asked) ? args->rows <= WHOLE_ROWS_MAX : asked != 0;
}

/* Models other than the base. */
static inline size_t whole_models(const struct method_args *args)
{
	return args->inputs - 1;
}

static inline size_t whole_input(const struct method_args *args, size_t model)
{
	return model + (model >= args->base);
}

/* A delta lies on its side where that makes it wider than high: short x long.
 */
static inline size_t whole_short(const struct method_args *args)
{
	return min_u64(args->rows, args->cols);
}

static inline size_t whole_long(const struct method_args *args)
{
	return max_u64(args->rows, args->cols);
}

static inline struct matrix whole_view(const struct method_args *args, float *x)
{
	struct matrix m = matrix_narrow(x, args->rows, args->cols);

	return args->rows > args->cols ? matrix_turned(m) : m;
}

/* M, as binary32. */
static inline size_t whole_state_size(const struct method_args *args)
{
	return whole_is_matrix(args) ? args->elements * sizeof(float) : 0;
}

/* A part of the scratch: its address now, and where the next begins. */
static inline double *whole_carve(double **scratch, size_t doubles)
{
	double *part = *scratch;

	*scratch += round_up_u64(doubles, 8);
	return part;
}

static inline float *whole_carve_floats(double **scratch, size_t floats)
{
	void *part = whole_carve(scratch, (floats + 1) / 2);

	return part;
}

/* Where products of sides up to the given one find threads and memory. */
static inline size_t whole_work_doubles(size_t side)
{
	return matrix_lanes(side) * MATRIX_LANE_DOUBLES;
}

static inline struct matrix_work whole_work(const struct scan *scan,
					    size_t side, double **scratch)
{
	double *memory = whole_carve(scratch, whole_work_doubles(side));

	return (struct matrix_work){ scan, memory, matrix_lanes(side) };
}

/* Bytes for as many parts of so many doubles together. */
static inline size_t whole_bytes(size_t parts, size_t doubles)
{
	return (doubles + 8 * parts) * sizeof(double);
}

/* What a pass takes deltas of: one model, or the sum over all. */
#define WHOLE_ALL SIZE_MAX

struct whole_load {
	size_t model;
	float *to; /* of the whole tensor */
};

static inline void whole_load_add(const struct method_args *args,
				  const struct tile *tile, const void *ctx,
				  void *partial)
{
	const struct whole_load *load = ctx;
	bool all = load->model == WHOLE_ALL;
	size_t first = all ? 0 : load->model;
	size_t end = all ? whole_models(args) : first + 1;
	const float *restrict base = tile->in[args->base];
	float *restrict to = load->to + tile->first;
	uint64_t *strange = partial;

	for (size_t k = 0; k < tile->count; k++) {
		double sum = 0;

		for (size_t m = first; m < end; m++) {
			const float *x = tile->in[whole_input(args, m)];

			sum += (double)R(x[k] - base[k]);
		}
		to[k] = (float)sum;
		*strange += !isfinite(to[k]);
	}
}

static inline void whole_load_fold(const struct method_args *args,
				   const void *ctx, void *total,
				   const void *partial)
{
	*(uint64_t *)total += *(const uint64_t *)partial;
}

/* What stands in for a state where a delta is not finite. */
enum { WHOLE_UNDEFINED = 1 };

/* Read a delta, or the sum of all: 0, WHOLE_UNDEFINED, or -errno. */
static inline int whole_read(const struct method_args *args,
			     const struct scan *scan, size_t model, float *to)
{
	const struct whole_load load = { model, to };
	const struct scan_step step = {
		.partial_size = sizeof(uint64_t),
		.commutes = true,
		.add = whole_load_add,
		.fold = whole_load_fold,
		.ctx = &load,
	};
	uint64_t strange = 0;
	int rc = scan_run(scan, 0, args->elements, &step, &strange);

	return rc == 0 && strange ? WHOLE_UNDEFINED : rc;
}

/* The end of reduce, for a state of so many floats. */
static inline int whole_end(float *state, size_t floats, int rc)
{
	if (rc != WHOLE_UNDEFINED)
		return rc;
	for (size_t k = 0; k < floats; k++)
		state[k] = NAN;
	return 0;
}

/* What LAPACK answers, as reduce says it. */
static inline int whole_refuse(const struct scan *scan, int rc)
{
	if (rc == 0)
		return 0;
	return scan_refuse(scan, -rc,
			   "LAPACK finds no eigenvectors; set matrix: false "
			   "for this tensor");
}

static inline int whole_eigen(const struct scan *scan, size_t n, double *a,
			      double *values, double *work)
{
	return whole_refuse(scan, gemm_eigen(n, a, values, work));
}

static inline double root(double x)
{
	return x > 0 ? sqrt(x) : 0;
}

/*
 * Roots of the Gram matrix of n rows, X X', of singular values that are not 0
 * to binary32.
 */
struct whole_roots {
	double *up;   /* its square root, n x n; may be NULL */
	double *down; /* the inverse of that; may lie n^2 into `space` */
	double sum;   /* of the singular values of X */
	/* Scratch: n x n, n, gemm_eigen_work(n). */
	double *vectors, *values, *space;
};

static inline int whole_roots(const struct matrix_work *work, struct matrix x,
			      struct whole_roots *roots)
{
	double *values = roots->values;
	size_t n = x.rows;
	struct matrix vectors = matrix_wide(roots->vectors, n, n);
	double least;
	int rc;

	matrix_gram(work, vectors.wide, x);
	rc = whole_eigen(work->scan, n, vectors.wide, values, roots->space);
	if (rc)
		return rc;
	least = matrix_least_square(values, n);
	for (size_t j = 0; j < n; j++) {
		values[j] = values[j] > least ? root(values[j]) : 0;
		roots->sum += values[j];
	}
	if (roots->up)
		matrix_compose(work, roots->up, vectors, values, roots->space);
	for (size_t j = 0; j < n; j++)
		values[j] = values[j] > 0 ? 1 / values[j] : 0;
	matrix_compose(work, roots->down, vectors, values, roots->space);
	return 0;
}

/* For merge_method.check: `side` is that of the greatest matrix that
 * eigenvectors are needed of. */
static inline const char *whole_check(const struct method_args *args,
				      size_t side)
{
	if (!whole_is_matrix(args) || side <= GEMM_SIDE_MAX)
		return NULL;
	return "eigenvectors are needed of more than 32000 rows and columns; "
	       "set matrix: false for this tensor";
}

/* out = base + f mean_i delta_i */
static inline void whole_mean(const struct method_args *args,
			      const struct tile *tile)
{
	float factor = R((float)method_value(args, WHOLE_FACTOR, 0));
	const float *restrict base = tile->in[args->base];
	float models = (float)whole_models(args);
	float *restrict out = tile->out;
	size_t count = tile->count;

	memset(out, 0, count * sizeof(*out));
	for (size_t m = 0; m < whole_models(args); m++) {
		const float *restrict x = tile->in[whole_input(args, m)];

		for (size_t k = 0; k < count; k++)
			out[k] = R(out[k] + R(x[k] - base[k]));
	}
	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + R(factor * R(out[k] / models)));
}

static inline void whole_tile(const struct method_args *args, const void *state,
			      const struct tile *tile)
{
	float factor = R((float)method_value(args, WHOLE_FACTOR, 0));
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;
	const float *restrict merged;

	if (!state) {
		whole_mean(args, tile);
		return;
	}
	merged = (const float *)state + tile->first;
	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + R(factor * R(merged[k])));
}

#endif
