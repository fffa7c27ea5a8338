/*
 * What a method file starts from. Such a file is compiled once for every CPU
 * level, with CPU_LEVEL set to the level's name: all that it defines is static
 * but for its table row, whose symbol carries the level.
 *
 * The body of a method is written once, over the rounding step R(), which is
 * put around every operation that mergekit rounds to the work type after. Here
 * it is the identity: arithmetic is binary32, with one rounding at the store.
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

#define METHOD_PASTE_(name, level) name##_##level
#define METHOD_PASTE(name, level) METHOD_PASTE_(name, level)
#define METHOD_SYMBOL(name) METHOD_PASTE(name##_method, CPU_LEVEL)

/* METHOD(linear) = { .name = "linear", ... }; at the end of the file. */
#define METHOD(name)                                          \
	extern const struct merge_method METHOD_SYMBOL(name); \
	const struct merge_method METHOD_SYMBOL(name)

static inline float R(float x)
{
	return x;
}

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
