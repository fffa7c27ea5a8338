/*
 * Products and eigenvectors against plain loops, for sides that no block fits;
 * and the same bits whoever else computes.
 */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>

#include "core/matrix.h"
#include "tests/unit/job_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Views of random numbers, wide or narrow, turned or not. */
static double *random_wide(uint64_t seed, size_t count)
{
	double *x = malloc(count * sizeof(*x));

	for (size_t k = 0; k < count; k++)
		x[k] = (double)fixture_normal(&seed, 1);
	return x;
}

static float *random_narrow(uint64_t seed, size_t count)
{
	float *x = malloc(count * sizeof(*x));

	for (size_t k = 0; k < count; k++)
		x[k] = fixture_normal(&seed, 1);
	return x;
}

static double element(struct matrix m, size_t row, size_t col)
{
	size_t at = row * m.row_step + col * m.col_step;

	return m.wide ? m.wide[at] : (double)m.narrow[at];
}

static double naive(struct matrix a, struct matrix b, size_t row, size_t col)
{
	long double sum = 0;

	for (size_t k = 0; k < a.cols; k++)
		sum += (long double)element(a, row, k) *
		       (long double)element(b, k, col);
	return (double)sum;
}

static void assert_product(struct matrix out, struct matrix a, struct matrix b,
			   double start)
{
	double least = out.wide ? 1e-12 : 1e-5;

	for (size_t r = 0; r < out.rows; r++)
		for (size_t c = 0; c < out.cols; c++)
			assert_true(fabs(element(out, r, c) - start -
					 naive(a, b, r, c)) <
				    least * sqrt((double)a.cols));
}

/*
 * Only a reduction has a scan, which products find threads by: a method whose
 * reduction is the test.
 */
static void (*body)(const struct matrix_work *work);

static size_t any_state(const struct method_args *args)
{
	return 64;
}

static size_t any_scratch(const struct method_args *args)
{
	return 3 * MATRIX_LANE_DOUBLES * sizeof(double);
}

static int run_body(const struct method_args *args, const struct scan *scan,
		    void *state, void *scratch)
{
	const struct matrix_work work = { scan, scratch, 3 };

	body(&work);
	return 0;
}

static int refuse(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	return scan_refuse(scan, EDOM, "it is refused");
}

static int reduce_with(int (*reduce)(const struct method_args *args,
				     const struct scan *scan, void *state,
				     void *scratch),
		       size_t threads, struct error *err)
{
	const struct merge_method method = {
		.name = "test",
		.version = 1,
		.state_size = any_state,
		.scratch_size = any_scratch,
		.reduce = reduce,
	};
	struct pool *pool = threads ? pool_open(threads, NULL) : NULL;
	struct job_fixture jf;
	char state[64];
	int rc;

	job_open(&jf, &method, 0, METHOD_NO_BASE, 2, 2);
	jf.job.state_size = sizeof(state);
	rc = merge_state(&jf.job, CPU_LEVEL_baseline, pool, state, err);
	pool_close(pool);
	job_close(&jf);
	return rc;
}

static void run(void (*test)(const struct matrix_work *work), size_t threads)
{
	body = test;
	assert_int_equal(reduce_with(run_body, threads, NULL), 0);
}

static const size_t shapes[][3] = { { 1, 1, 1 },
				    { 3, 700, 5 },
				    { 257, 1, 300 },
				    { 256, 512, 256 },
				    { 300, 90, 530 } };

static void multiply_all(const struct matrix_work *work)
{
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		size_t m = shapes[s][0], k = shapes[s][1], n = shapes[s][2];
		AUTO_FREE double *wide = random_wide(s, m * k);
		AUTO_FREE float *narrow = random_narrow(s + 9, k * n);
		AUTO_FREE double *sum = calloc(m * n, sizeof(*sum));
		AUTO_FREE float *out = calloc(m * n, sizeof(*out));
		struct matrix a = matrix_wide(wide, m, k);
		struct matrix b = matrix_turned(matrix_narrow(narrow, n, k));
		struct matrix c = matrix_wide(sum, m, n);

		matrix_multiply(work, c, a, b);
		assert_product(c, a, b, 0);
		for (size_t j = 0; j < m * n; j++)
			sum[j] = 7;
		matrix_add_product(work, c, a, b);
		assert_product(c, a, b, 7);
		/* The same the other way round, into binary32 on its side. */
		c = matrix_turned(matrix_narrow(out, m, n));
		matrix_multiply(work, c, matrix_turned(b), matrix_turned(a));
		assert_product(c, matrix_turned(b), matrix_turned(a), 0);
	}
}

static void products_are_those_of_plain_loops(void **state)
{
	run(multiply_all, 0);
	run(multiply_all, 3);
}

static void gram_all(const struct matrix_work *work)
{
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		size_t m = shapes[s][0], k = shapes[s][1];
		AUTO_FREE float *x = random_narrow(s, m * k);
		AUTO_FREE double *out = malloc(m * m * sizeof(*out));
		struct matrix a = matrix_narrow(x, m, k);

		matrix_gram(work, out, a);
		assert_product(matrix_wide(out, m, m), a, matrix_turned(a), 0);
		for (size_t i = 0; i < m; i++)
			for (size_t j = 0; j < i; j++)
				assert_true(out[i * m + j] == out[j * m + i]);
	}
}

static void gram_matrices_are_symmetric_to_the_bit(void **state)
{
	run(gram_all, 2);
}

/* Not a number is one number in binary32: states are plain bytes. */
static void nan_all(const struct matrix_work *work)
{
	double x[2] = { NAN, -NAN };
	double one = 1;
	float out[2], want = NAN;

	matrix_multiply(work, matrix_narrow(out, 2, 1), matrix_wide(x, 2, 1),
			matrix_wide(&one, 1, 1));
	assert_memory_equal(&out[0], &want, sizeof(want));
	assert_memory_equal(&out[1], &want, sizeof(want));
}

static void there_is_one_nan(void **state)
{
	run(nan_all, 0);
}

#define SIDE 301
#define DEEP 333

static double *once; /* the product that all must have */

static void compare_with_once(const struct matrix_work *work)
{
	AUTO_FREE double *a = random_wide(1, SIDE * DEEP);
	AUTO_FREE double *b = random_wide(2, DEEP * SIDE);
	AUTO_FREE double *out = malloc(SIDE * SIDE * sizeof(*out));

	matrix_multiply(work, matrix_wide(out, SIDE, SIDE),
			matrix_wide(a, SIDE, DEEP), matrix_wide(b, DEEP, SIDE));
	if (!once)
		once = TAKE(out);
	else
		assert_memory_equal(out, once, SIDE * SIDE * sizeof(*out));
}

static void threads_change_no_bit(void **state)
{
	for (size_t threads = 0; threads < 5; threads++)
		run(compare_with_once, threads);
	free(TAKE(once));
}

/* --- eigenvectors ------------------------------------------------------- */

static double *symmetric(size_t n, uint64_t seed)
{
	double *a = random_wide(seed, n * n);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			a[i * n + j] = a[j * n + i];
	return a;
}

static void assert_eigen(size_t n, const double *a, size_t count,
			 const double *values, const double *vectors)
{
	for (size_t v = 0; v < count; v++) {
		const double *q = vectors + v * n;

		if (v > 0)
			assert_true(values[v - 1] <= values[v]);
		for (size_t w = 0; w <= v; w++) {
			double dot = 0;

			for (size_t k = 0; k < n; k++)
				dot += q[k] * vectors[w * n + k];
			assert_true(fabs(dot - (w == v)) < 1e-11);
		}
		for (size_t i = 0; i < n; i++) {
			double sum = 0;

			for (size_t k = 0; k < n; k++)
				sum += a[i * n + k] * q[k];
			assert_true(fabs(sum - values[v] * q[i]) < 1e-10);
		}
	}
}

static void eigenvectors_are_rows(void **state)
{
	static const size_t sides[] = { 1, 2, 37, 150 };

	for (size_t s = 0; s < ARRAY_LEN(sides); s++) {
		size_t n = sides[s];
		size_t top = n / 2 + 1;
		AUTO_FREE double *a = symmetric(n, s);
		AUTO_FREE double *q = symmetric(n, s);
		AUTO_FREE double *values = malloc(n * sizeof(*values));
		AUTO_FREE double *best = malloc(n * sizeof(*best));
		AUTO_FREE double *few = malloc(top * n * sizeof(*few));
		AUTO_FREE double *work =
			malloc((gemm_eigen_work(n) + gemm_eigen_top_work(n)) *
			       sizeof(*work));

		assert_int_equal(gemm_eigen(n, q, values, work), 0);
		assert_eigen(n, a, n, values, q);
		memcpy(q, a, n * n * sizeof(*q));
		assert_int_equal(gemm_eigen_top(n, q, top, best, few, work), 0);
		assert_eigen(n, a, top, best, few);
		for (size_t v = 0; v < top; v++)
			assert_true(fabs(best[v] - values[n - top + v]) <
				    1e-10);
	}
}

/* Many threads at once get what one gets. */
struct crowd {
	const double *a, *q;
	size_t n;
	atomic_int wrong;
};

static void eigen_in_crowd(void *ctx, size_t i)
{
	struct crowd *crowd = ctx;
	size_t n = crowd->n;
	AUTO_FREE double *q = malloc(n * n * sizeof(*q));
	AUTO_FREE double *values = malloc(n * sizeof(*values));
	AUTO_FREE double *work = malloc(gemm_eigen_work(n) * sizeof(*work));

	memcpy(q, crowd->a, n * n * sizeof(*q));
	if (gemm_eigen(n, q, values, work) ||
	    memcmp(q, crowd->q, n * n * sizeof(*q)))
		atomic_fetch_add(&crowd->wrong, 1);
}

static void any_number_may_compute_at_once(void **state)
{
	const size_t n = 120;
	AUTO_FREE double *a = symmetric(n, 3);
	AUTO_FREE double *q = symmetric(n, 3);
	AUTO_FREE double *values = malloc(n * sizeof(*values));
	AUTO_FREE double *work = malloc(gemm_eigen_work(n) * sizeof(*work));
	struct crowd crowd = { .a = a, .q = q, .n = n };
	struct pool *pool = pool_open(4, NULL);

	assert_int_equal(gemm_eigen(n, q, values, work), 0);
	pool_each(pool, 64, eigen_in_crowd, &crowd);
	pool_close(pool);
	assert_int_equal(crowd.wrong, 0);
}

static void what_is_too_large_is_refused(void **state)
{
	double x = 0;

	assert_int_equal(gemm_eigen(GEMM_SIDE_MAX + 1, &x, &x, &x), -ENOTSUP);
	assert_int_equal(gemm_eigen_top(GEMM_SIDE_MAX + 1, &x, 1, &x, &x, &x),
			 -ENOTSUP);
}

static void a_reduction_says_why_it_fails(void **state)
{
	struct error err = { 0 };

	assert_int_equal(reduce_with(refuse, 1, &err), -EDOM);
	assert_string_equal(err.text,
			    "model.layers.0.mlp.up_proj.weight: it is refused");
}

static void the_library_names_itself(void **state)
{
	char name[GEMM_NAME_MAX], again[GEMM_NAME_MAX];

	gemm_name(name);
	gemm_name(again);
	assert_string_equal(name, again);
	assert_int_equal(strncmp(name, "OpenBLAS 0.", 11), 0);
	assert_true(strchr(name + 11, ' '));
	assert_true(gemm_rate() > 1e6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_are_those_of_plain_loops),
		cmocka_unit_test(gram_matrices_are_symmetric_to_the_bit),
		cmocka_unit_test(there_is_one_nan),
		cmocka_unit_test(threads_change_no_bit),
		cmocka_unit_test(eigenvectors_are_rows),
		cmocka_unit_test(any_number_may_compute_at_once),
		cmocka_unit_test(what_is_too_large_is_refused),
		cmocka_unit_test(a_reduction_says_why_it_fails),
		cmocka_unit_test(the_library_names_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
