/*
 * The bodies' own exp and log: as near to the exact value as they promise, and
 * NaN where their argument is.
 */
#include <math.h>

#include "core/methods/exp_log.h"
#include "tests/unit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define SAMPLES 200000
#define RELATIVE 2e-15L

static double uniform(uint64_t *seed)
{
	return ldexp((double)fixture_random(seed), -32);
}

static void assert_near(long double got, long double exact, long double off,
			double x)
{
	if (!(fabsl(got - exact) <= off))
		fail_msg("at %a: %La, not %La", x, got, exact);
}

static void exp_is_near(void **state)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < SAMPLES; i++) {
		double range = i % 2 ? 700 : 0x1p-20;
		double x = -range * uniform(&seed);
		long double exact = expl((long double)x);

		assert_near((long double)exp_negative(x), exact,
			    RELATIVE * exact, x);
	}
	assert_true(exp_negative(0) == 1);
	assert_true(exp_negative(-INFINITY) == 0);
	assert_true(exp_negative(-1e300) == 0);
	assert_true(isnan(exp_negative((double)NAN)));
	assert_true(isnan(exp_negative(-(double)NAN)));
}

static void log_is_near(void **state)
{
	uint64_t seed = 2;

	for (size_t i = 0; i < SAMPLES; i++) {
		int exponent = (int)(fixture_random(&seed) % 2000) - 1000;
		double m = 1 + uniform(&seed);
		double x = i % 2 ? ldexp(m, exponent)
				 : 1 + (uniform(&seed) - 0.5) * 0x1p-20;
		long double exact = logl((long double)x);

		assert_near((long double)log_positive(x), exact,
			    RELATIVE * fabsl(exact), x);
	}
	assert_true(log_positive(1) == 0);
	assert_true(isnan(log_positive((double)NAN)));
	assert_true(isnan(log_positive(-(double)NAN)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exp_is_near),
		cmocka_unit_test(log_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
