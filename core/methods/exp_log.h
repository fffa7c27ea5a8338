/*
 * exp and log of a double for the bodies of methods: plain arithmetic without
 * branches, so that loops over them become vectors, and the same bits at every
 * CPU level, which the C library's functions do not promise. Within 2e-15 of
 * the exact value (exp: relative; log: relative, but near 1 absolute below
 * 1e-17, where its argument's own rounding is greater by far).
 */
#ifndef LMFS_METHODS_EXP_LOG_H
#define LMFS_METHODS_EXP_LOG_H

#include "core/methods/body.h"

#define LN2_HIGH 0x1.62e42fee00000p-1 /* with 20 zero bits at its end */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep0
/* Added to a small number, it leaves the nearest integer in the low bits. */
#define ROUNDER 0x1.8p52
#define EXP_LEAST (-708.0) /* below, exp is taken as 0 */
#define DOUBLE_BIAS 1023
#define DOUBLE_FRACTION_BITS 52
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcdu

static inline uint64_t double_bits(double x)
{
	uint64_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static inline double double_from_bits(uint64_t bits)
{
	double x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/*
 * For x <= 0 or NaN, which stays. exp x = 2^n exp r with |r| <= ln 2 / 2, the
 * latter by its Taylor series.
 */
static inline double exp_negative(double x)
{
	double shifted = x * LOG2_E + ROUNDER;
	double n = shifted - ROUNDER;
	double r = (x - n * LN2_HIGH) - n * LN2_LOW;
	double scale = double_from_bits((double_bits(shifted) + DOUBLE_BIAS)
					<< DOUBLE_FRACTION_BITS);
	double p = 1.0 / 6227020800;

	p = p * r + 1.0 / 479001600;
	p = p * r + 1.0 / 39916800;
	p = p * r + 1.0 / 3628800;
	p = p * r + 1.0 / 362880;
	p = p * r + 1.0 / 40320;
	p = p * r + 1.0 / 5040;
	p = p * r + 1.0 / 720;
	p = p * r + 1.0 / 120;
	p = p * r + 1.0 / 24;
	p = p * r + 1.0 / 6;
	p = p * r + 0.5;
	p = p * r + 1;
	p = p * r + 1;
	return x < EXP_LEAST ? 0 : p * scale;
}

/*
 * For a normal x > 0, or NaN, which stays. x = 2^n m with m in [sqrt 1/2,
 * sqrt 2), and log m = 2 artanh((m - 1) / (m + 1)) by its series.
 */
static inline double log_positive(double x)
{
	uint64_t above = double_bits(x) - SQRT_HALF_BITS;
	uint64_t n = above >> DOUBLE_FRACTION_BITS; /* modulo 2^12 */
	double m =
		double_from_bits(double_bits(x) - (n << DOUBLE_FRACTION_BITS));
	/* n + 2^11 fits in 12 bits; as a double, by its bits. */
	double exponent =
		double_from_bits(double_bits(0x1p52) | ((n + 2048) & 4095)) -
		(0x1p52 + 2048);
	double s = (m - 1) / (m + 1);
	double z = s * s;
	double p = 2.0 / 23;

	p = p * z + 2.0 / 21;
	p = p * z + 2.0 / 19;
	p = p * z + 2.0 / 17;
	p = p * z + 2.0 / 15;
	p = p * z + 2.0 / 13;
	p = p * z + 2.0 / 11;
	p = p * z + 2.0 / 9;
	p = p * z + 2.0 / 7;
	p = p * z + 2.0 / 5;
	p = p * z + 2.0 / 3;
	p = (p * z) * s + 2 * s;
	p = exponent * LN2_LOW + p + exponent * LN2_HIGH;
	return isnan(x) ? x : p;
}

#endif
