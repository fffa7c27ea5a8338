/*
 * tsv_m: the leading singular vectors of all task vectors, kept from getting
 * into each other's way (Gargiulo et al., "Task Singular Vectors: Reducing Task
 * Interference in Model Merging", 2025). For n models,
 *
 *	delta_i = U_i S_i V_i'		the k = floor(r / n) greatest values,
 *					r = min(rows, columns)
 *	U = [U_1 ... U_n], S = diag(S_1, ..., S_n), V = [V_1 ... V_n]
 *	M = P(U) S P(V)'		P(X): the nearest orthogonal matrix,
 *					Y Z' where X = Y diag(...) Z'
 *
 * By eigenvectors of symmetric matrices: delta_i delta_i' gives U_i and S_i,
 * from which V_i' = diag(1 / S_i) U_i' delta_i; and P(X) = X (X' X)^(-1/2), so
 * that M = U (U' U)^(-1/2) S (V' V)^(-1/2) V'. Singular values that are 0 to
 * binary32 (core/matrix.h) are left out, in S_i as in P; their vectors are
 * random in the authors' program.
 */
#include "core/methods/whole.h"

/* One reduction. Vectors are rows. */
struct merger {
	struct matrix_work work;
	size_t n, wide;		/* sides of a delta on its side */
	size_t kept;		/* singular vectors so far */
	struct matrix delta;	/* that of one model, on its side */
	double *left;		/* U', kept x n */
	double *right;		/* V', kept x wide */
	double *values;		/* S */
	double *square, *other; /* n x n */
	double *squares;	/* n */
	double *space;		/* gemm_eigen_work(n) */
};

static const char *check(const struct method_args *args)
{
	return whole_check(args, whole_short(args));
}

static size_t leading(const struct method_args *args)
{
	return whole_short(args) / whole_models(args);
}

static size_t vectors_max(const struct method_args *args)
{
	return leading(args) * whole_models(args);
}

static size_t scratch_size(const struct method_args *args)
{
	size_t n = whole_short(args);
	size_t vectors = vectors_max(args);

	if (!whole_is_matrix(args))
		return 0;
	return whole_bytes(9, whole_work_doubles(whole_long(args)) +
				      args->elements / 2 + 1 +
				      vectors * (n + whole_long(args) + 1) +
				      2 * n * n + n + gemm_eigen_work(n));
}

static double flops(const struct method_args *args)
{
	double n = (double)whole_short(args);
	double wide = (double)whole_long(args);
	double vectors = (double)vectors_max(args);
	double each = GEMM_EIGEN_FLOPS * pow(n, 3) + n * n * wide;

	return (double)whole_models(args) * each + 2 * vectors * n * wide +
	       2 * GEMM_EIGEN_FLOPS * pow(vectors, 3) +
	       vectors * vectors * (n + wide) + 6 * pow(vectors, 3) +
	       2 * n * vectors * (vectors + wide);
}

/* Take the leading vectors of the delta that was read. */
static int take_vectors(struct merger *m, size_t count)
{
	struct matrix left, right;
	double least;
	size_t taken = 0;
	int rc;

	matrix_gram(&m->work, m->square, m->delta);
	rc = whole_eigen(m->work.scan, m->n, m->square, m->squares, m->space);
	if (rc)
		return rc;
	least = matrix_least_square(m->squares, m->n);
	while (taken < count && m->squares[m->n - 1 - taken] > least) {
		size_t row = m->n - 1 - taken;

		m->values[m->kept + taken] = root(m->squares[row]);
		memcpy(m->left + (m->kept + taken) * m->n,
		       m->square + row * m->n, m->n * sizeof(*m->left));
		taken++;
	}
	left = matrix_wide(m->left + m->kept * m->n, taken, m->n);
	right = matrix_wide(m->right + m->kept * m->wide, taken, m->wide);
	matrix_multiply(&m->work, right, left, m->delta);
	for (size_t j = 0; j < taken; j++)
		for (size_t k = 0; k < m->wide; k++)
			right.wide[j * m->wide + k] /= m->values[m->kept + j];
	m->kept += taken;
	return 0;
}

/* to = (X X')^(-1/2), X having the vectors as rows */
static int inverse_root(struct merger *m, struct matrix vectors, double *to)
{
	struct whole_roots roots = {
		.down = to,
		.vectors = m->square,
		.values = m->squares,
		.space = m->space,
	};

	return whole_roots(&m->work, vectors, &roots);
}

/* out = U (U'U)^(-1/2) S (V'V)^(-1/2) V' */
static int join_vectors(struct merger *m, struct matrix out)
{
	size_t n = m->n;
	size_t kept = m->kept;
	const struct matrix left = matrix_wide(m->left, kept, n);
	const struct matrix right = matrix_wide(m->right, kept, m->wide);
	double *second = m->space + n * n;
	int rc = inverse_root(m, left, m->other);

	if (rc == 0)
		rc = inverse_root(m, right, second);
	if (rc)
		return rc;
	for (size_t j = 0; j < kept; j++)
		for (size_t k = 0; k < kept; k++)
			m->other[j * kept + k] *= m->values[k];
	matrix_multiply(&m->work, matrix_wide(m->square, kept, kept),
			matrix_wide(m->other, kept, kept),
			matrix_wide(second, kept, kept));
	matrix_multiply(&m->work, matrix_wide(m->space, n, kept),
			matrix_turned(left),
			matrix_wide(m->square, kept, kept));
	matrix_multiply(&m->work, out, matrix_wide(m->space, n, kept), right);
	return 0;
}

static struct merger merger_on(const struct method_args *args,
			       const struct scan *scan, double *rest)
{
	size_t n = whole_short(args);
	size_t wide = whole_long(args);
	size_t vectors = vectors_max(args);

	return (struct merger){
		.work = whole_work(scan, wide, &rest),
		.n = n,
		.wide = wide,
		.delta = whole_view(args,
				    whole_carve_floats(&rest, args->elements)),
		.left = whole_carve(&rest, vectors * n),
		.right = whole_carve(&rest, vectors * wide),
		.values = whole_carve(&rest, vectors),
		.square = whole_carve(&rest, n * n),
		.other = whole_carve(&rest, n * n),
		.squares = whole_carve(&rest, n),
		.space = whole_carve(&rest, gemm_eigen_work(n)),
	};
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	struct merger m = merger_on(args, scan, scratch);

	for (size_t i = 0; i < whole_models(args); i++) {
		int rc = whole_read(args, scan, i, m.delta.narrow);

		if (rc == 0)
			rc = take_vectors(&m, leading(args));
		if (rc)
			return whole_end(state, args->elements, rc);
	}
	return m.kept ? join_vectors(&m, whole_view(args, state)) : 0;
}

static const struct method_option options[] = { WHOLE_OPTION_ROWS("lambda") };

METHOD(tsv_m) = {
	.name = "tsv_m",
	.summary = "leading singular vectors of all task vectors, orthogonal",
	.version = 1,
	.element_ps = 60,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.check = check,
	.state_size = whole_state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.flops = flops,
	.tile = whole_tile,
};
