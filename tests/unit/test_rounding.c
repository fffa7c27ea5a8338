/* The rounding step of method bodies against the kernels' conversions. */
#include "core/kernels.h"
#include "core/methods/body.h"
#include "tests/unit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define STRIDE 997 /* of all bit patterns, but near the limits */

typedef float round_step(float x);

static void check_step(round_step *step, enum dtype dtype, uint32_t bits)
{
	float x = float_from_bits(bits);
	float want = x;

	kernels_at(CPU_LEVEL_baseline)->round[dtype](&want, 1);
	if (float_bits(step(x)) != float_bits(want))
		fail_msg("%08x: %08x, want %08x", bits, float_bits(step(x)),
			 float_bits(want));
}

static void check_all(round_step *step, enum dtype dtype)
{
	static const uint32_t limits[] = { 0,	       0x33000000, 0x38800000,
					   0x477ff000, 0x7f7f8000, 0x7f800000,
					   0x7fc00000 };

	for (uint64_t bits = 0; bits <= UINT32_MAX; bits += STRIDE)
		check_step(step, dtype, (uint32_t)bits);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		for (uint32_t near = 0; near < 0x4000; near++) {
			check_step(step, dtype, limits[i] + near);
			check_step(step, dtype, limits[i] - near);
		}
}

static void bf16_is_the_kernels(void **state)
{
	check_all(round_to_bf16, DTYPE_BF16);
}

static void f16_is_the_kernels(void **state)
{
	check_all(round_to_f16, DTYPE_F16);
}

static void f32_is_left_alone(void **state)
{
	assert_int_equal(float_bits(round_to_f32(-0.0f)), 0x80000000u);
	assert_int_equal(float_bits(round_to_f32(0x1.fffffep-3f)),
			 float_bits(0x1.fffffep-3f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bf16_is_the_kernels),
		cmocka_unit_test(f16_is_the_kernels),
		cmocka_unit_test(f32_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
