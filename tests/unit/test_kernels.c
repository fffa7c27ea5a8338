/*
 * Loads, stores and roundings: every level gives the bits that the definition
 * of the format gives. The references below go by numbers (ldexp, rint), not by
 * bits, so that they share nothing with the kernels.
 */
#include <math.h>

#include "core/kernels.h"
#include "tests/unit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define HALVES 65536
#define RANDOM_PATTERNS (1u << 22)
#define SMALL 100 /* longer than any vector and its tail */

struct half_format {
	enum dtype dtype;
	int fraction_bits;
	int exponent_min; /* of the least normal number */
	double max;	  /* the greatest finite number */
	uint16_t nan;
};

static const struct half_format formats[] = {
	{ DTYPE_F16, 10, -14, 65504, 0x7e00 },
	{ DTYPE_BF16, 7, -126, 0x1.fep127, 0x7fc0 },
};

static float float_from(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static uint32_t bits_from(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static bool level_runs(size_t i, enum cpu_level *level)
{
	return cpu_level_by_name(cpu_level_name((enum cpu_level)i), level);
}

/* The number that a half stands for; NaN is left to the caller. */
static double half_value(const struct half_format *f, uint16_t half)
{
	int fraction = half & ((1 << f->fraction_bits) - 1);
	int exponent = (half & 0x7fff) >> f->fraction_bits;
	int exponent_max = 0x7fff >> f->fraction_bits;
	double magnitude;

	if (exponent == exponent_max)
		magnitude = fraction ? (double)NAN : (double)INFINITY;
	else if (exponent == 0)
		magnitude = ldexp(fraction, f->exponent_min - f->fraction_bits);
	else
		magnitude = ldexp(fraction + (1 << f->fraction_bits),
				  exponent - 1 + f->exponent_min -
					  f->fraction_bits);
	return half & 0x8000 ? -magnitude : magnitude;
}

/* x to the nearest number of the format, ties to even; not for NaN. */
static double nearest(const struct half_format *f, double x)
{
	int exponent = f->exponent_min;
	double unit;

	if (isinf(x) || x == 0)
		return x;
	if (ilogb(x) > exponent)
		exponent = ilogb(x);
	unit = ldexp(1, exponent - f->fraction_bits);
	x = rint(x / unit) * unit;
	return fabs(x) > f->max ? copysign((double)INFINITY, x) : x;
}

static void assert_stores(const struct half_format *f, const float *x,
			  size_t count)
{
	uint16_t *stored = malloc(count * sizeof(*stored));
	float *rounded = malloc(count * sizeof(*rounded));
	enum cpu_level level;

	for (size_t l = 0; l < CPU_LEVEL_COUNT; l++) {
		const struct kernels *kernels = kernels_at((enum cpu_level)l);
		size_t nonfinite = 0;

		if (!level_runs(l, &level))
			continue;
		memcpy(rounded, x, count * sizeof(*x));
		kernels->store[f->dtype](stored, x, count);
		kernels->round[f->dtype](rounded, count);
		for (size_t i = 0; i < count; i++) {
			double want = nearest(f, (double)x[i]);
			double got = half_value(f, stored[i]);

			nonfinite += !isfinite(got);
			if (isnan(x[i])) {
				assert_int_equal(stored[i], f->nan);
				assert_true(isnan(rounded[i]));
				continue;
			}
			if (got != want || !signbit(got) != !signbit(want))
				fail_msg("%s: %a is stored as %a, not %a",
					 cpu_level_name(level), (double)x[i],
					 got, want);
			assert_int_equal(bits_from(rounded[i]),
					 bits_from((float)got));
		}
		assert_int_equal(kernels->nonfinite[f->dtype](x, count),
				 nonfinite);
	}
	free(stored);
	free(rounded);
}

static void loads_of_all_halves_are_exact(void **state)
{
	uint16_t *halves = malloc(HALVES * sizeof(*halves));
	float *x = malloc(HALVES * sizeof(*x));
	float *baseline = malloc(HALVES * sizeof(*x));
	enum cpu_level level;

	for (uint32_t h = 0; h < HALVES; h++)
		halves[h] = (uint16_t)h;
	for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
		kernels_at(CPU_LEVEL_baseline)
			->load[formats[f].dtype](baseline, halves, HALVES);
		for (uint32_t h = 0; h < HALVES; h++) {
			double want = half_value(&formats[f], (uint16_t)h);

			if (isnan(want))
				assert_true(isnan(baseline[h]));
			else
				assert_int_equal(bits_from(baseline[h]),
						 bits_from((float)want));
		}
		for (size_t l = 0; l < CPU_LEVEL_COUNT; l++) {
			if (!level_runs(l, &level))
				continue;
			kernels_at(level)->load[formats[f].dtype](x, halves,
								  HALVES);
			assert_memory_equal(x, baseline, HALVES * sizeof(*x));
		}
	}
	free(halves);
	free(x);
	free(baseline);
}

/* Between half h and the next; of the greatest, where 2^max would be next. */
static float halfway(const struct half_format *f, uint16_t h)
{
	double a = half_value(f, h);
	double b = half_value(f, (uint16_t)(h + 1));

	if (isinf(b))
		b = a + (a - half_value(f, (uint16_t)(h - 1)));
	return (float)((a + b) / 2);
}

/* Every number of the format, every halfway case, and their neighbours. */
static void stores_round_to_nearest_even(void **state)
{
	float *x = malloc(HALVES * 6 * sizeof(*x));

	for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
		size_t n = 0;

		for (uint32_t h = 0; h < HALVES - 1; h++) {
			double a = half_value(&formats[f], (uint16_t)h);
			float pair[2] = { (float)a,
					  halfway(&formats[f], (uint16_t)h) };

			if (!isfinite(a))
				continue;
			for (size_t p = 0; p < 2; p++) {
				x[n++] = pair[p];
				x[n++] = nextafterf(pair[p], INFINITY);
				x[n++] = nextafterf(pair[p], -INFINITY);
			}
		}
		assert_true(n > HALVES * 5);
		assert_stores(&formats[f], x, n);
	}
	free(x);
}

static void stores_of_any_bits_agree(void **state)
{
	float *x = malloc(RANDOM_PATTERNS * sizeof(*x));
	uint64_t seed = 1;

	for (size_t i = 0; i < RANDOM_PATTERNS; i++)
		x[i] = float_from(fixture_random(&seed));
	for (size_t f = 0; f < ARRAY_LEN(formats); f++)
		assert_stores(&formats[f], x, RANDOM_PATTERNS);
	free(x);
}

static const float specials[] = {
	0.0f,	     -0.0f,    INFINITY,  -INFINITY, 0x1p-149f, -0x1p-149f,
	0x1p-126f,   0x1p-25f, 0x1p-24f,  0x1p-14f,  65504,	65519.996f,
	65520,	     -65520,   0x1p-133f, 0x1p-134f, 3.4e38f,	0x1.fffffep127f,
	0x1.ffp127f, 1,	       -1,	  1e-40f,
};

static void specials_are_kept(void **state)
{
	for (size_t f = 0; f < ARRAY_LEN(formats); f++)
		assert_stores(&formats[f], specials, ARRAY_LEN(specials));
}

/* One quiet NaN, whatever sign and payload: files do not depend on the CPU. */
static void nans_are_stored_as_one(void **state)
{
	static const uint32_t nans[] = { 0x7f800001, 0x7fc00000, 0xffc00000,
					 0xffffffff, 0x7fbfffff, 0xff800001,
					 0x7fc12345, 0xffa00000 };
	float x[SMALL];
	uint32_t f32[SMALL];
	uint64_t f64[SMALL];
	enum cpu_level level;

	for (size_t i = 0; i < SMALL; i++)
		x[i] = float_from(nans[i % ARRAY_LEN(nans)]);
	for (size_t f = 0; f < ARRAY_LEN(formats); f++)
		assert_stores(&formats[f], x, SMALL);
	for (size_t l = 0; l < CPU_LEVEL_COUNT; l++) {
		if (!level_runs(l, &level))
			continue;
		kernels_at(level)->store[DTYPE_F32](f32, x, SMALL);
		kernels_at(level)->store[DTYPE_F64](f64, x, SMALL);
		for (size_t i = 0; i < SMALL; i++) {
			assert_int_equal(f32[i], 0x7fc00000);
			assert_true(f64[i] == 0x7ff8000000000000u);
		}
		assert_int_equal(
			kernels_at(level)->nonfinite[DTYPE_F32](x, SMALL),
			SMALL);
	}
}

static void doubles_round_once_and_widen_exactly(void **state)
{
	static const double in[] = {
		1 + 0x1p-24,	 1 + 0x1p-24 + 0x1p-50,
		1 + 3 * 0x1p-24, 0x1p-150,
		0x1p-149 * 1.5,	 1e300,
		0x1.ffffffp127,	 -0.0,
		0x1.fffffefp127,
	};
	static const float want[] = {
		1,	  1 + 0x1p-23f, 1 + 0x1p-22f,	 0, 0x1p-148f, INFINITY,
		INFINITY, -0.0f,	0x1.fffffep127f,
	};
	float x[ARRAY_LEN(in)];
	double wide[ARRAY_LEN(in)];
	enum cpu_level level;

	for (size_t l = 0; l < CPU_LEVEL_COUNT; l++) {
		if (!level_runs(l, &level))
			continue;
		kernels_at(level)->load[DTYPE_F64](x, in, ARRAY_LEN(in));
		assert_memory_equal(x, want, sizeof(x));
		kernels_at(level)->store[DTYPE_F64](wide, x, ARRAY_LEN(in));
		for (size_t i = 0; i < ARRAY_LEN(in); i++)
			assert_true(wide[i] == (double)x[i] &&
				    !signbit(wide[i]) == !signbit(x[i]));
	}
}

/* Every count and every alignment, with the bytes around left alone. */
static void any_count_and_alignment_do(void **state)
{
	static const enum dtype dtypes[] = { DTYPE_F64, DTYPE_F32, DTYPE_F16,
					     DTYPE_BF16 };
	unsigned char whole[SMALL * 8];
	unsigned char part[SMALL * 8 + 16];
	float x[SMALL];
	float back[SMALL];
	uint64_t seed = 2;
	enum cpu_level level;

	for (size_t i = 0; i < SMALL; i++)
		x[i] = fixture_normal(&seed, 1);
	for (size_t d = 0; d < ARRAY_LEN(dtypes) * CPU_LEVEL_COUNT; d++) {
		enum dtype dtype = dtypes[d / CPU_LEVEL_COUNT];
		size_t size = dtype_info(dtype)->bits / 8;

		if (!level_runs(d % CPU_LEVEL_COUNT, &level))
			continue;
		kernels_at(CPU_LEVEL_baseline)->store[dtype](whole, x, SMALL);
		for (size_t n = 0; n <= SMALL; n++) {
			unsigned char *at = part + 1 + n % 8;

			memset(part, 0xa5, sizeof(part));
			kernels_at(level)->store[dtype](at, x, n);
			assert_memory_equal(at, whole, n * size);
			assert_int_equal(at[-1], 0xa5);
			assert_int_equal(at[n * size], 0xa5);
			memset(back, 0xa5, sizeof(back));
			kernels_at(level)->load[dtype](back, at, n);
			kernels_at(level)->store[dtype](part, back, n);
			assert_memory_equal(part, whole, n * size);
			if (n < SMALL)
				assert_int_equal(bits_from(back[n]),
						 0xa5a5a5a5);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_of_all_halves_are_exact),
		cmocka_unit_test(stores_round_to_nearest_even),
		cmocka_unit_test(stores_of_any_bits_agree),
		cmocka_unit_test(specials_are_kept),
		cmocka_unit_test(nans_are_stored_as_one),
		cmocka_unit_test(doubles_round_once_and_widen_exactly),
		cmocka_unit_test(any_count_and_alignment_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
