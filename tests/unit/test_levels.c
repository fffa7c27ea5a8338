/*
 * The table of kernels by CPU level, and how a level is named.
 */
#include "core/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void types_without_arithmetic_have_no_kernels(void **state)
{
	for (size_t l = 0; l < CPU_LEVEL_COUNT; l++)
		for (size_t d = 0; d < DTYPE_COUNT; d++) {
			const struct kernels *k = kernels_at((enum cpu_level)l);
			bool has = dtype_info((enum dtype)d)->arithmetic;

			assert_true(!!k->load[d] == has);
			assert_true(!!k->store[d] == has);
			assert_true(!!k->nonfinite[d] == has);
		}
}

static void levels_go_by_name(void **state)
{
	enum cpu_level level;

	assert_true(cpu_level_by_name("baseline", &level));
	assert_int_equal(level, CPU_LEVEL_baseline);
	assert_false(cpu_level_by_name("avx3", &level));
	assert_true(
		cpu_level_by_name(cpu_level_name(cpu_level_best()), &level));
	assert_int_equal(level, cpu_level_best());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_without_arithmetic_have_no_kernels),
		cmocka_unit_test(levels_go_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
