/*
 * What a method file starts from. Such a file is compiled once for every CPU
 * level and rounding, with CPU_LEVEL and ROUNDING set to their names: all that
 * it defines is static but for its table row, whose symbol carries both.
 *
 * The body of a method is written once, over the rounding step R(), which is
 * put around every operation that mergekit rounds to the work type after. For
 * f32 it is the identity: arithmetic is binary32, with one rounding at the
 * store. For bf16 and f16 it gives the nearest value of that type.
 *
 * Rules for bodies: no libm but fabsf, fmaf, sqrtf and friends that are exact;
 * sums of floats over elements in LANES lanes (lane = flat index mod LANES),
 * combined in order, in double across blocks; no dependence on tile cuts.
 */
#ifndef LMFS_METHODS_BODY_H
#define LMFS_METHODS_BODY_H

#include <errno.h>
#include <math.h>

#include "core/bits.h"
#include "core/method.h"
#include "core/rng.h"

#define LANES 64

#define ALWAYS_INLINE inline __attribute__((always_inline))

#define METHOD_PASTE_(a, b) a##_##b
#define METHOD_PASTE(a, b) METHOD_PASTE_(a, b)
#define METHOD_SYMBOL(name) \
	METHOD_PASTE(METHOD_PASTE(name##_method, CPU_LEVEL), ROUNDING)

/* METHOD(linear) = { .name = "linear", ... }; at the end of the file. */
#define METHOD(name)                                          \
	extern const struct merge_method METHOD_SYMBOL(name); \
	const struct merge_method METHOD_SYMBOL(name)

static inline float round_to_f32(float x)
{
	return x;
}

/* All NaNs are one: a state holds plain bytes. */
static inline float round_to_bf16(float x)
{
	uint32_t bits = float_bits(x);
	uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;

	return isnan(x) ? (float)NAN : float_from_bits(rounded);
}

/* The unit of a binary16 below 2^-14 is 2^-24, that of a binary32 in [0.5, 1):
 * the addition rounds to it. From 65520 on the nearest is infinity. */
static inline float round_to_f16(float x)
{
	uint32_t bits = float_bits(x);
	uint32_t sign = bits & 0x80000000u;
	uint32_t size = bits & 0x7fffffffu;
	uint32_t normal = (size + 0xfff + (size >> 13 & 1)) & 0xffffe000u;
	float small = (float_from_bits(size) + 0.5f) - 0.5f;
	uint32_t rounded = size < 0x38800000u ? float_bits(small) : normal;

	rounded = size >= 0x477ff000u ? 0x7f800000u : rounded;
	return isnan(x) ? (float)NAN : float_from_bits(rounded | sign);
}

#define R METHOD_PASTE(round_to, ROUNDING)

/* Whether R() does anything: whether mergekit's operations are replayed one by
 * one, or their exact result is rounded once. */
#define ROUNDS_f32 false
#define ROUNDS_bf16 true
#define ROUNDS_f16 true
#define ROUNDS METHOD_PASTE(ROUNDS, ROUNDING)

/* The random sparsifiers' own step: on a CPU they work in binary32 where the
 * rest is binary16. */
#define round_random_f32 round_to_f32
#define round_random_bf16 round_to_bf16
#define round_random_f16 round_to_f32
#define RS METHOD_PASTE(round_random, ROUNDING)

/* For merge_method.unchanged: only the base is left, and its bytes are the
 * result. */
static inline size_t base_alone(const struct method_args *args)
{
	return args->inputs == 1 ? args->base : METHOD_CHANGED;
}

/* A state's numbers are plain bytes: one NaN, whatever the CPU makes. */
static inline double one_nan(double x)
{
	return isnan(x) ? (double)NAN : x;
}

static inline double lanes_total(const double lanes[LANES])
{
	double total = 0;

	for (size_t j = 0; j < LANES; j++)
		total += lanes[j];
	return total;
}

/*
 * Sums over a tile of a scan, which begins at a multiple of LANES: of products,
 * and of magnitudes.
 */
static inline double lanes_dot(const float *a, const float *b, size_t count)
{
	double lanes[LANES] = { 0 };
	size_t k = 0;

	for (; k + LANES <= count; k += LANES)
		for (size_t j = 0; j < LANES; j++)
			lanes[j] += (double)a[k + j] * (double)b[k + j];
	for (size_t j = 0; k + j < count; j++)
		lanes[j] += (double)a[k + j] * (double)b[k + j];
	return lanes_total(lanes);
}

static inline double lanes_abs(const float *x, size_t count)
{
	double lanes[LANES] = { 0 };
	size_t k = 0;

	for (; k + LANES <= count; k += LANES)
		for (size_t j = 0; j < LANES; j++)
			lanes[j] += (double)fabsf(x[k + j]);
	for (size_t j = 0; k + j < count; j++)
		lanes[j] += (double)fabsf(x[k + j]);
	return lanes_total(lanes);
}

#endif
