/*
 * The selection of ties: exactly k elements of a task vector survive, of equal
 * magnitudes those that come first, however they lie across the blocks of the
 * reduction.
 */
#include <math.h>

#include "tests/unit/job_fixture.h"
#include "tests/unit/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define ELEMENTS ((size_t)3 * SCAN_BLOCK_ELEMENTS + 77)

/* What gives the sum of magnitudes back that a trimmed vector had. */
static double factor_of(const float *delta, const float *mask)
{
	double before = 0, after = 0;

	for (size_t j = 0; j < ELEMENTS; j++) {
		before += fabs((double)delta[j]);
		after += fabs((double)delta[j] * (double)mask[j]);
	}
	/* Norms below 1e-7 are left alone. */
	return before < 1e-7 || after < 1e-7 ? 1 : before / after;
}

/* The base is 0 and weights are 1: what survives is what is not 0. */
static void assert_survivors(const float *delta, double density, bool rescale,
			     const char *label)
{
	struct job_fixture jf;
	float *zeros = calloc(ELEMENTS, sizeof(float));
	float *mask = calloc(ELEMENTS, sizeof(float));
	float *out = calloc(ELEMENTS, sizeof(float));
	struct pool *pool = pool_open(3, NULL);
	double factor;

	job_open(&jf, method_by_name("ties"), 2, 0, 1, ELEMENTS);
	job_input(&jf, 0, DTYPE_F32, zeros);
	job_input(&jf, 1, DTYPE_F32, delta);
	job_set_all(&jf, "weight", 1);
	job_set_all(&jf, "density", density);
	job_set_all(&jf, "normalize", 0);
	job_set_all(&jf, "rescale", rescale);
	job_make(&jf, cpu_level_best(), pool, out, NULL);
	reference_trim(delta, ELEMENTS, density, mask);
	factor = rescale ? factor_of(delta, mask) : 1;
	for (size_t j = 0; j < ELEMENTS; j++) {
		double want = (double)(delta[j] * mask[j]) * factor;

		if (fabs((double)out[j] - want) >
		    (rescale ? 2e-7 * fabs(want) : 0))
			fail_msg("%s, density %g: element %zu is %g, not %g",
				 label, density, j, (double)out[j], want);
	}
	pool_close(pool);
	job_close(&jf);
	free(zeros);
	free(mask);
	free(out);
}

static const double densities[] = {
	1e-12, 1.0 / ELEMENTS, 1e-3, 0.25, 0.3333, 0.5, 0.9, 0.999999,
};

static void all_equal(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = fixture_random(seed) % 2 ? 0.5f : -0.5f;
}

static void few_values(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = (float)(1 + fixture_random(seed) % 5) * 0x1p-10f;
}

/* Equals in the last block only, after blocks without any. */
static void late_equals(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = j < n - 200 ? 0x1p-20f * (float)(j % 1000) : 1.0f;
}

static void neighbours_in_bits(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++) {
		uint32_t bits = 0x3b000000 + fixture_random(seed) % 4;

		memcpy(&x[j], &bits, sizeof(bits));
	}
}

/* One bin of the survey, and all of its magnitudes: it has to be divided. */
static void cluster(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++) {
		uint32_t bits = 0x3b000000 + (fixture_random(seed) & 0xffff);

		memcpy(&x[j], &bits, sizeof(bits));
	}
}

/* Each bin lies in a block or two, which are full of it. */
static void ascending(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = 1 + (float)j / (float)n;
}

/* Where a bin is an octave. */
static void tiny(float *x, size_t n, uint64_t *seed)
{
	for (size_t j = 0; j < n; j++)
		x[j] = fixture_normal(seed, 0x1p-70f);
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

static void exactly_k_survive(void **state)
{
	static const struct {
		const char *label;
		void (*fill)(float *x, size_t n, uint64_t *seed);
	} data[] = {
		{ "all equal", all_equal },
		{ "few values", few_values },
		{ "late equals", late_equals },
		{ "neighbours in bits", neighbours_in_bits },
		{ "cluster", cluster },
		{ "ascending", ascending },
		{ "tiny", tiny },
		{ "normal", normal },
		{ "subnormal and huge", subnormal_and_huge },
	};
	float *delta = calloc(ELEMENTS, sizeof(float));
	uint64_t seed = 1;

	for (size_t i = 0; i < ARRAY_LEN(data); i++) {
		data[i].fill(delta, ELEMENTS, &seed);
		for (size_t d = 0; d < ARRAY_LEN(densities); d++)
			assert_survivors(delta, densities[d], false,
					 data[i].label);
		assert_survivors(delta, 0.3333, true, data[i].label);
	}
	free(delta);
}

/*
 * With many inputs there is less room for each: the bytes of an input's
 * selection do not depend on its company.
 */
static void company_changes_no_selection(void **state)
{
	struct job_fixture jf;
	float *x = calloc(ELEMENTS, sizeof(float));
	float *alone = calloc(ELEMENTS, sizeof(float));
	float *among = calloc(ELEMENTS, sizeof(float));
	uint64_t seed = 3;

	few_values(x, ELEMENTS, &seed);
	for (size_t inputs = 2; inputs <= 12; inputs += 10) {
		job_open(&jf, method_by_name("ties"), inputs, 0, 1, ELEMENTS);
		memset(among, 0, ELEMENTS * sizeof(float));
		job_input(&jf, 0, DTYPE_F32, among);
		for (size_t i = 1; i < inputs; i++)
			job_input(&jf, i, DTYPE_F32, x);
		job_set_all(&jf, "weight", 0);
		job_set(&jf, "weight", 1, 1);
		job_set_all(&jf, "density", 0.37);
		job_make(&jf, cpu_level_best(), NULL,
			 inputs == 2 ? alone : among, NULL);
		job_close(&jf);
	}
	assert_memory_equal(alone, among, ELEMENTS * sizeof(float));
	free(x);
	free(alone);
	free(among);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_k_survive),
		cmocka_unit_test(company_changes_no_selection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
