/*
 * iso_c: the sum of all task vectors with all its directions made equally
 * strong (Marczak et al., "No Task Left Behind: Isotropic Model Merging with
 * Common and Task-Specific Subspaces", 2025).
 *
 *	sum_i delta_i = U S V'		of r = min(rows, columns) values
 *	M = mean(S) U V'
 *
 * U V' is found without S and V: with D = sum_i delta_i on its side, short by
 * long, and D D' = Q diag(S^2) Q', it is Q diag(1 / S) Q' D. A direction whose
 * singular value is 0 to binary32 (core/matrix.h) is left out; the authors'
 * program takes one at random there.
 */
#include "core/methods/whole.h"

static const char *check(const struct method_args *args)
{
	return whole_check(args, whole_short(args));
}

static size_t scratch_size(const struct method_args *args)
{
	size_t n = whole_short(args);

	if (!whole_is_matrix(args))
		return 0;
	return whole_bytes(5, whole_work_doubles(whole_long(args)) +
				      args->elements / 2 + 1 + n * n + n +
				      gemm_eigen_work(n));
}

static double flops(const struct method_args *args)
{
	double n = (double)whole_short(args);
	double wide = (double)whole_long(args);

	return GEMM_EIGEN_FLOPS * pow(n, 3) + 2 * pow(n, 3) + 3 * n * n * wide;
}

/* What each eigenvector of D D' is multiplied by: mean(S) / S. */
static void find_factors(double *squares, size_t n)
{
	double least = matrix_least_square(squares, n);
	double mean = 0;

	for (size_t j = 0; j < n; j++)
		mean += root(squares[j]);
	mean /= (double)n;
	for (size_t j = 0; j < n; j++)
		squares[j] = squares[j] > least ? mean / root(squares[j]) : 0;
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	size_t n = whole_short(args);
	double *rest = scratch;
	struct matrix_work work = whole_work(scan, whole_long(args), &rest);
	float *sum = whole_carve_floats(&rest, args->elements);
	double *vectors = whole_carve(&rest, n * n);
	double *squares = whole_carve(&rest, n);
	double *space = whole_carve(&rest, gemm_eigen_work(n));
	int rc = whole_read(args, scan, WHOLE_ALL, sum);

	if (rc)
		return whole_end(state, args->elements, rc);
	matrix_gram(&work, vectors, whole_view(args, sum));
	rc = whole_eigen(scan, n, vectors, squares, space);
	if (rc)
		return rc;
	find_factors(squares, n);
	matrix_compose(&work, space + n * n, matrix_wide(vectors, n, n),
		       squares, space);
	matrix_multiply(&work, whole_view(args, state),
			matrix_wide(space + n * n, n, n),
			whole_view(args, sum));
	return 0;
}

static const struct method_option options[] = { WHOLE_OPTION_ROWS("lambda") };

METHOD(iso_c) = {
	.name = "iso_c",
	.summary = "the sum of task vectors, all singular values made equal",
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
