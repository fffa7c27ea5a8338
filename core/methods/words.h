/*
 * One pass over bfloat16 as files hold it, which loads, computes and stores,
 * for methods whose arithmetic is so little that the passes over a tile cost
 * more than it does. For merge_method.stored.
 *
 * Two elements are one 32-bit word. The low one becomes a binary32 by a shift
 * and the high one by a mask, and their results are put together again by a
 * shift and a mask, so that no vector is widened or narrowed on the way.
 *
 * A method gives the formula of one element, an inline function of its inputs
 * and of some factors, and words_run() makes a loop of it for each number of
 * inputs: only where the compiler knows the number it keeps sums in registers.
 */
#ifndef LMFS_METHODS_WORDS_H
#define LMFS_METHODS_WORDS_H

#include "core/methods/body.h"

#define WORDS_INPUTS_MAX 8
#define WORDS_FACTORS_MAX (WORDS_INPUTS_MAX + 2)

/* Words in files, at any address. */
typedef uint32_t file_word __attribute__((aligned(1), may_alias));

#define WORD_HIGH 0xffff0000u
#define BFLOAT16_OVERFLOW 0x7f7f8000u /* from here on it rounds to infinity */

/* x: `inputs` elements; factors: WORDS_FACTORS_MAX. What a formula asks costs
 * both of its answers, for every element. */
typedef float words_formula(const float *factors, const float *x,
			    size_t inputs);

/* To nearest even; of infinities and NaNs nothing sensible. */
static inline uint32_t word_round(float x)
{
	uint32_t bits = float_bits(x);

	return bits + 0x7fff + (bits >> 16 & 1);
}

static inline uint32_t greater_magnitude(uint32_t greatest, float x)
{
	uint32_t bits = float_bits(x) & ~0x80000000u;

	return bits > greatest ? bits : greatest;
}

/* The bits of the greatest magnitude made. */
static ALWAYS_INLINE uint32_t words_loop(const float *given, size_t count,
					 const void *const *in, void *out,
					 size_t inputs, words_formula *formula)
{
	/* What is stored may alias anything but what is local. */
	const file_word *from[WORDS_INPUTS_MAX];
	file_word *restrict words = out;
	float factors[WORDS_FACTORS_MAX];
	uint32_t greatest = 0;

	memcpy(factors, given, sizeof(factors));
	for (size_t i = 0; i < inputs; i++)
		from[i] = in[i];
	for (size_t k = 0; k < count; k++) {
		float low[WORDS_INPUTS_MAX], high[WORDS_INPUTS_MAX];
		float a, b;

		for (size_t i = 0; i < inputs; i++) {
			low[i] = float_from_bits(from[i][k] << 16);
			high[i] = float_from_bits(from[i][k] & WORD_HIGH);
		}
		a = formula(factors, low, inputs);
		b = formula(factors, high, inputs);
		greatest = greater_magnitude(greatest, a);
		greatest = greater_magnitude(greatest, b);
		words[k] = word_round(a) >> 16 | (word_round(b) & WORD_HIGH);
	}
	return greatest;
}

/*
 * Make the elements of a run from those of `in`, its inputs in the formula's
 * order. True: every one is finite, and so the bytes are those of tiles.
 */
static ALWAYS_INLINE bool words_run(const float *factors,
				    const struct stored *run,
				    const void *const *in, size_t inputs,
				    words_formula *formula)
{
	uint32_t greatest;

	switch (inputs) {
#define WORDS_CASE(n)                                                        \
	case n:                                                              \
		greatest = words_loop(factors, run->count / 2, in, run->out, \
				      n, formula);                           \
		break;
		WORDS_CASE(1)
		WORDS_CASE(2)
		WORDS_CASE(3)
		WORDS_CASE(4)
		WORDS_CASE(5)
		WORDS_CASE(6)
		WORDS_CASE(7)
		WORDS_CASE(8)
#undef WORDS_CASE
	default:
		return false;
	}
	return greatest < BFLOAT16_OVERFLOW;
}

/* For merge_method.stored: a replay of roundings goes by tiles. */
#define STORED(function) (ROUNDS ? NULL : (function))

#endif
