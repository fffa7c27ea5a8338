/*
 * wudi: the task vector that is least in the way of all others on the inputs
 * that they span themselves (Cheng et al., "Whoever Started the Interference
 * Should End It: Guiding Data-Free Model Merging via Task Vectors", 2025). For
 * linear layers, whose rows t_i are combinations of their inputs,
 *
 *	minimise over M   sum_i |(M - t_i) t_i'|^2 / |t_i|^2
 *	M = (sum_i t_i (G_i + c) / |t_i|^2) (sum_i (G_i + c) / |t_i|^2)^+
 *	G_i = t_i' t_i, |.|: Frobenius, c: reg times the unit matrix
 *
 * which is the closed form of the authors' program, with its reg. The paper
 * walks towards it by 300 steps of Adam and stops on the way. As there, the
 * pseudo-inverse takes eigenvalues below columns x 2^-23 of the greatest as 0
 * (what torch.linalg.pinv does with binary32), all that is no linear layer
 * stays as it is in the base, and so does a model that is the base.
 *
 * With X the t_i / |t_i| one below the other, sum_i G_i / |t_i|^2 = X' X. Where
 * X has fewer rows than columns, M = (Y + c W) (X X' + c w)^+ X is the same,
 * with Y_i = t_i t_i' / |t_i|, W_i = 1 / |t_i|, w = sum_i 1 / |t_i|^2.
 */
#include <assert.h>

#include "core/methods/whole.h"

enum { WUDI_REG = WHOLE_OPTIONS_COUNT };

/* Whether X is taken by its rows: it has fewer than columns. */
static bool by_rows(const struct method_args *args)
{
	return whole_models(args) * args->rows < args->cols;
}

/* The side of the matrix that is inverted. */
static size_t side_of(const struct method_args *args)
{
	return by_rows(args) ? whole_models(args) * args->rows : args->cols;
}

static size_t unchanged(const struct method_args *args)
{
	return whole_is_matrix(args) ? base_alone(args) : args->base;
}

static const char *check(const struct method_args *args)
{
	return whole_check(args, side_of(args));
}

static size_t scratch_size(const struct method_args *args)
{
	size_t n = side_of(args);
	size_t deltas = by_rows(args) ? whole_models(args) : 1;
	size_t products = by_rows(args) ? 2 * args->rows * n : args->elements;

	if (!whole_is_matrix(args))
		return 0;
	return whole_bytes(8, whole_work_doubles(max_u64(n, whole_long(args))) +
				      deltas * args->elements / 2 + 1 +
				      products + n * n + n +
				      gemm_eigen_work(n) + whole_models(args));
}

static double flops(const struct method_args *args)
{
	double n = (double)side_of(args);
	double rows = (double)args->rows;
	double cols = (double)args->cols;
	double models = (double)whole_models(args);
	double inverse = (GEMM_EIGEN_FLOPS + 2) * pow(n, 3);

	if (by_rows(args))
		return inverse + n * n * cols + 2 * rows * n * (n + cols);
	return inverse + models * 3 * rows * n * n + 2 * rows * n * n;
}

/* One reduction. */
struct merger {
	const struct method_args *args;
	struct matrix_work work;
	size_t n;	/* side of what is inverted */
	double reg;	/* c */
	double ridge;	/* what is added to each eigenvalue: c w */
	double *inner;	/* n x n: X'X or XX', then its inverse */
	double *values; /* n */
	double *space;	/* gemm_eigen_work(n) */
};

/* inner = (inner + ridge)^+ */
static int invert(struct merger *m)
{
	size_t n = m->n;
	double *values = m->values;
	double limit;
	int rc = whole_eigen(m->work.scan, n, m->inner, values, m->space);

	if (rc)
		return rc;
	limit = (values[n - 1] + m->ridge) * (double)m->args->cols * 0x1p-23;
	for (size_t j = 0; j < n; j++) {
		double value = values[j] + m->ridge;

		values[j] = value > limit ? 1 / value : 0;
	}
	matrix_compose(&m->work, m->space + n * n, matrix_wide(m->inner, n, n),
		       values, m->space);
	memcpy(m->inner, m->space + n * n, n * n * sizeof(*m->inner));
	return 0;
}

/* --- by columns --------------------------------------------------------- */

/* sums += t (G + c) / |t|^2; inner, at last the inverse, += G / |t|^2 */
static void add_model(struct merger *m, struct matrix delta, struct matrix sums)
{
	double *gram = m->space;
	size_t n = m->n;
	double square = 0;

	matrix_gram(&m->work, gram, matrix_turned(delta));
	for (size_t j = 0; j < n; j++)
		square += gram[j * n + j];
	if (square == 0)
		return;
	m->ridge += m->reg / square;
	for (size_t k = 0; k < n * n; k++) {
		gram[k] /= square;
		m->inner[k] += gram[k];
	}
	for (size_t j = 0; j < n; j++)
		gram[j * n + j] += m->reg / square;
	matrix_add_product(&m->work, sums, delta, matrix_wide(gram, n, n));
}

static int reduce_by_cols(struct merger *m, float *state, double *rest)
{
	const struct method_args *args = m->args;
	float *delta = whole_carve_floats(&rest, args->elements);
	struct matrix sums = matrix_wide(whole_carve(&rest, args->elements),
					 args->rows, args->cols);
	int rc = 0;

	memset(sums.wide, 0, args->elements * sizeof(*sums.wide));
	for (size_t i = 0; i < whole_models(args) && !rc; i++) {
		rc = whole_read(args, m->work.scan, i, delta);
		if (rc == 0)
			add_model(m,
				  matrix_narrow(delta, args->rows, args->cols),
				  sums);
	}
	if (rc == 0)
		rc = invert(m);
	if (rc)
		return rc;
	matrix_multiply(&m->work, matrix_narrow(state, args->rows, args->cols),
			sums, matrix_wide(m->inner, m->n, m->n));
	return 0;
}

/* --- by rows ------------------------------------------------------------ */

/* Divide row by row, and column by column, by the norms of the models that they
 * are of; a model that is the base has rows of 0. */
static void scale_inner(struct merger *m, double *norms)
{
	size_t rows = m->args->rows;
	size_t n = m->n;

	assert(rows > 0 && n > 0);
	for (size_t i = 0; i < whole_models(m->args); i++) {
		double square = 0;

		for (size_t j = i * rows; j < (i + 1) * rows; j++)
			square += m->inner[j * n + j];
		norms[i] = root(square);
		if (square > 0)
			m->ridge += m->reg / square;
	}
	for (size_t j = 0; j < n; j++)
		for (size_t k = 0; k < n; k++) {
			double norm = norms[j / rows] * norms[k / rows];

			if (norm > 0)
				m->inner[j * n + k] /= norm;
		}
}

/* Y + c W, rows x n; XX' is scaled already. */
static void find_outer(const struct merger *m, const double *norms,
		       double *outer)
{
	size_t rows = m->args->rows;
	size_t n = m->n;

	for (size_t r = 0; r < rows; r++)
		for (size_t k = 0; k < n; k++) {
			size_t model = k / rows;
			size_t row = model * rows + r;
			double *at = &outer[r * n + k];

			*at = m->inner[row * n + k] * norms[model];
			if (row == k && norms[model] > 0)
				*at += m->reg / norms[model];
		}
}

static int read_all(struct merger *m, float *deltas)
{
	int rc = 0;

	for (size_t i = 0; i < whole_models(m->args) && !rc; i++)
		rc = whole_read(m->args, m->work.scan, i,
				deltas + i * m->args->elements);
	return rc;
}

static int reduce_by_rows(struct merger *m, float *state, double *rest)
{
	const struct method_args *args = m->args;
	size_t rows = args->rows;
	size_t n = m->n;
	float *deltas = whole_carve_floats(&rest, n * args->cols);
	double *norms = whole_carve(&rest, whole_models(args));
	double *outer = whole_carve(&rest, rows * n);
	double *left = whole_carve(&rest, rows * n);
	int rc = read_all(m, deltas);

	assert(rows > 0 && n > 0);
	if (rc)
		return rc;
	matrix_gram(&m->work, m->inner, matrix_narrow(deltas, n, args->cols));
	scale_inner(m, norms);
	find_outer(m, norms, outer);
	rc = invert(m);
	if (rc)
		return rc;
	matrix_multiply(&m->work, matrix_wide(left, rows, n),
			matrix_wide(outer, rows, n),
			matrix_wide(m->inner, n, n));
	/* X has the deltas divided by their norms. */
	for (size_t r = 0; r < rows; r++)
		for (size_t k = 0; k < n; k++)
			if (norms[k / rows] > 0)
				left[r * n + k] /= norms[k / rows];
	matrix_multiply(&m->work, matrix_narrow(state, rows, args->cols),
			matrix_wide(left, rows, n),
			matrix_narrow(deltas, n, args->cols));
	return 0;
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	size_t n = side_of(args);
	double *rest = scratch;
	struct merger m = {
		.args = args,
		.work = whole_work(scan, max_u64(n, whole_long(args)), &rest),
		.n = n,
		.reg = method_value(args, WUDI_REG, 0),
		.inner = whole_carve(&rest, n * n),
		.values = whole_carve(&rest, n),
		.space = whole_carve(&rest, gemm_eigen_work(n)),
	};
	int rc;

	memset(m.inner, 0, n * n * sizeof(*m.inner));
	rc = by_rows(args) ? reduce_by_rows(&m, state, rest)
			   : reduce_by_cols(&m, state, rest);
	return whole_end(state, args->elements, rc);
}

static const struct method_option options[] = {
	WHOLE_OPTION_ROWS("lambda"),
	[WUDI_REG] = {
		.name = "reg",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 1e-5,
		.min = 0,
		.max = INFINITY,
		.help = "draws the result to the models' mean, weighted by "
			"1 / |delta|^2; 0: not",
	},
};

METHOD(wudi) = {
	.name = "wudi",
	.summary = "the task vector that disturbs all others least",
	.version = 1,
	.element_ps = 60,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = unchanged,
	.check = check,
	.state_size = whole_state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.flops = flops,
	.tile = whole_tile,
};
