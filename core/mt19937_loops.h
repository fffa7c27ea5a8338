/*
 * The loops of core/mt19937.c that are worth vectors; core/kernels_tmpl.c
 * compiles them for each CPU level. Whole words and exclusive ors: the levels
 * cannot differ.
 */
#ifndef LMFS_MT19937_LOOPS_H
#define LMFS_MT19937_LOOPS_H

#include "core/base/base.h"

#define MT19937_WORDS 624
#define MT19937_MIDDLE 397
#define MT19937_TWIST 0x9908b0dfu
#define MT19937_HIGH 0x80000000u

/* Make the `count` words after the window x. */
static inline void mt19937_twist(uint32_t *x, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		uint32_t y = (x[k] & MT19937_HIGH) | (x[k + 1] & ~MT19937_HIGH);
		uint32_t odd = -(y & 1) & MT19937_TWIST;

		x[k + MT19937_WORDS] = x[k + MT19937_MIDDLE] ^ y >> 1 ^ odd;
	}
}

static inline void mt19937_temper(const uint32_t *restrict x, size_t count,
				  uint32_t *restrict numbers)
{
	for (size_t k = 0; k < count; k++) {
		uint32_t y = x[k];

		y ^= y >> 11;
		y ^= y << 7 & 0x9d2c5680u;
		y ^= y << 15 & 0xefc60000u;
		numbers[k] = y ^ y >> 18;
	}
}

/* A loop of its own: what a compiler makes of two nested ones is slower. */
static __attribute__((noinline)) void
mt19937_add_four(uint32_t *restrict sum, const uint32_t *const four[4])
{
	const uint32_t *restrict a = four[0], *restrict b = four[1];
	const uint32_t *restrict c = four[2], *restrict d = four[3];

	for (size_t k = 0; k < MT19937_WORDS; k++)
		sum[k] ^= a[k] ^ b[k] ^ c[k] ^ d[k];
}

/* sum ^= the windows that begin `at[0]`, `at[1]`, ... words from x on. */
static inline void mt19937_add_windows(uint32_t *sum, const uint32_t *x,
				       const uint16_t *at, size_t count)
{
	static const uint32_t none[MT19937_WORDS];

	for (size_t i = 0; i < count; i += 4) {
		const uint32_t *four[4];

		for (size_t j = 0; j < 4; j++)
			four[j] = i + j < count ? x + at[i + j] : none;
		mt19937_add_four(sum, four);
	}
}

#endif
