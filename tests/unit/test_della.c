/*
 * The ranks of della: whatever the magnitudes of a row are like and however
 * long it is, the coins are those of a ranking by a sort.
 */
#include <math.h>

#include "tests/unit/job_fixture.h"
#include "tests/unit/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void all_equal(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = fixture_random(seed) % 2 ? 0.5f : -0.5f;
}

static void few_values(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = (float)(fixture_random(seed) % 5) * 0x1p-10f;
}

/* All in one bin, and nearly all of them different. */
static void neighbours_in_bits(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++) {
		uint32_t bits = 0x3b000000 + fixture_random(seed) % 65536;

		memcpy(&x[j], &bits, sizeof(bits));
	}
}

/* In a few bins, with some values that many have. */
static void clusters(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++) {
		uint32_t pick = fixture_random(seed);
		uint32_t bits = 0x3b000000 + (pick % 9 << 16);

		if (pick / 9 % 3)
			bits += fixture_random(seed) % 65536;
		memcpy(&x[j], &bits, sizeof(bits));
	}
}

static void normal(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = fixture_normal(seed, 0.01f);
}

static void subnormal_and_huge(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = ldexpf(1 + (float)(fixture_random(seed) % 8) / 8,
			      (int)(fixture_random(seed) % 270) - 145);
}

static const struct {
	const char *label;
	void (*fill)(float *x, size_t n, uint64_t *seed);
} data[] = {
	{ "all equal", all_equal },
	{ "few values", few_values },
	{ "neighbours in bits", neighbours_in_bits },
	{ "clusters", clusters },
	{ "normal", normal },
	{ "subnormal and huge", subnormal_and_huge },
};

static const struct shape_row {
	size_t rows, cols;
} shapes[] = {
	{ 1, 1 },    { 7, 1 },	   { 5, 2 },	 { 900, 3 },
	{ 40, 100 }, { 3, 12345 }, { 1, 70001 },
};

static void assert_coins(struct shape_row shape, size_t d, double epsilon)
{
	struct job_fixture jf;
	size_t n = shape.rows * shape.cols;
	float *x[2] = { calloc(n, sizeof(float)), calloc(n, sizeof(float)) };
	float *want = calloc(n, sizeof(float));
	float *out = calloc(n, sizeof(float));
	struct pool *pool = pool_open(3, NULL);
	uint64_t seed = 5;

	data[d].fill(x[1], n, &seed);
	job_open(&jf, method_by_name("della_linear"), 2, 0, shape.rows,
		 shape.cols);
	job_input(&jf, 0, DTYPE_F32, x[0]);
	job_input(&jf, 1, DTYPE_F32, x[1]);
	job_set_all(&jf, "weight", 1);
	job_set_all(&jf, "density", 0.5);
	job_set_all(&jf, "epsilon", epsilon);
	job_set_all(&jf, "rescale", 0);
	job_make(&jf, cpu_level_best(), pool, out, NULL);
	reference_make(jf.job.method, &jf.job.args, (const float *const *)x,
		       want, NULL);
	for (size_t j = 0; j < n; j++)
		if (out[j] != want[j])
			fail_msg("%s, %zu x %zu, epsilon %g: element %zu is "
				 "%g, not %g",
				 data[d].label, shape.rows, shape.cols, epsilon,
				 j, (double)out[j], (double)want[j]);
	pool_close(pool);
	job_close(&jf);
	free(x[0]);
	free(x[1]);
	free(want);
	free(out);
}

static void coins_are_those_of_a_ranking_by_a_sort(void **state)
{
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++)
		for (size_t d = 0; d < ARRAY_LEN(data); d++) {
			assert_coins(shapes[s], d, 0.4999);
			assert_coins(shapes[s], d, 0.15);
			assert_coins(shapes[s], d, -0.25);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(coins_are_those_of_a_ranking_by_a_sort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
