/*
 * Words follow from words,
 *
 *	x_{k+624} = x_{k+397} ^ y >> 1 ^ (y odd: a)
 *	y = the highest bit of x_k, the others of x_{k+1}
 *
 * so that one step T of the window is linear over GF(2), and T^n by a
 * polynomial (Haramoto, Matsumoto, Nishimura, Panneton and L'Ecuyer, "Efficient
 * Jump Ahead for F2-Linear Random Number Generators", 2008): where P is the
 * characteristic polynomial of T, P(T) = 0, and
 *
 *	x^n mod P = sum_i g_i x^i	T^n w = sum_i g_i T^i w
 *
 * The right side is the exclusive or of the windows of w and of the 19936
 * places after it whose g_i is 1. The left side takes a squaring modulo P for
 * each bit of n but the first 14, which are a power below P's degree.
 *
 * P follows from the recurrence. Let a_i be bit i of a, and u = x^624 + x^397,
 * v = x^623 + x^396; then, as the authors of MT19937 show (their appendix A),
 *
 *	P = u v^31 + a_0 u v^30 + a_1 u v^29 + ... + a_30 u + a_31
 *
 * As u v^j = x^(397 + 396 j) (1 + x^227)^(j+1), and (1 + z)^m modulo 2 is the
 * sum of z^k for all k whose bits are among those of m, the terms of P are
 * written down at once. There are 135: x^19937, x^12673, and the others below
 * x^19315.
 */
#include "core/mt19937.h"

#include <assert.h>

#define BITS 19937 /* of a window, and the degree of P */
#define POLY_WORDS ((BITS + 63) / 64)
#define BITS_OF_WORD 32
#define TERMS_MAX 256
/* Words that are reduced at a time: not more bits than P's degree is above
 * the exponents but one, and a divisor of the words. */
#define FOLD 8
#define STEP (MT19937_WORDS - MT19937_MIDDLE) /* 227 */

/* A polynomial of a lower degree than P: bit i of the whole is that of x^i. */
struct poly {
	uint64_t words[POLY_WORDS];
};

/* The exponents of P but for that of its degree. */
struct terms {
	uint16_t exponents[TERMS_MAX];
	size_t count;
};

void mt19937_seed(struct mt19937 *mt, uint32_t seed)
{
	mt->place = 0;
	mt->made = 0;
	mt->x[0] = seed;
	for (uint32_t k = 1; k < MT19937_WORDS; k++)
		mt->x[k] =
			k + 1812433253u * (mt->x[k - 1] ^ mt->x[k - 1] >> 30);
}

void mt19937_copy(struct mt19937 *mt, const struct mt19937 *from)
{
	mt->place = from->place;
	mt->made = from->made;
	memcpy(mt->x, from->x, (MT19937_WORDS + from->made) * sizeof(*mt->x));
}

/* Move the window by up to `made` words. */
static void slide(struct mt19937 *mt, uint32_t count)
{
	mt->place += count;
	mt->made -= count;
	memmove(mt->x, mt->x + count,
		(MT19937_WORDS + mt->made) * sizeof(*mt->x));
}

/* Make at least `count` words, up to MT19937_RUN, after the window. */
static void make(struct mt19937 *mt, const struct kernels *kernels,
		 uint32_t count)
{
	if (mt->made >= count)
		return;
	kernels->mt19937_twist(mt->x + mt->made, count - mt->made);
	mt->made = count;
}

void mt19937_walk(struct mt19937 *mt, const struct kernels *kernels,
		  uint64_t count)
{
	while (count > 0) {
		uint32_t part = (uint32_t)min_u64(count, MT19937_RUN);

		make(mt, kernels, part);
		slide(mt, part);
		count -= part;
	}
}

static inline bool poly_has(const uint64_t *words, unsigned exponent)
{
	return words[exponent / 64] >> exponent % 64 & 1;
}

static inline void poly_flip(uint64_t *words, unsigned exponent)
{
	words[exponent / 64] ^= UINT64_C(1) << exponent % 64;
}

/* p += u v^j */
static void add_uv(struct poly *p, unsigned j)
{
	unsigned m = j + 1;

	/* All k whose bits are among those of m, from m down to 0. */
	for (unsigned k = m;; k = (k - 1) & m) {
		unsigned exponent =
			MT19937_MIDDLE + (MT19937_MIDDLE - 1) * j + STEP * k;

		poly_flip(p->words, exponent);
		if (k == 0)
			return;
	}
}

static void characteristic(struct terms *terms)
{
	struct poly p = { { 0 } };
	const unsigned last = BITS_OF_WORD - 1;

	add_uv(&p, last);
	for (unsigned i = 0; i < last; i++)
		if (MT19937_TWIST >> i & 1)
			add_uv(&p, last - 1 - i);
	if (MT19937_TWIST >> last & 1)
		poly_flip(p.words, 0);
	assert(poly_has(p.words, BITS));
	terms->count = 0;
	for (unsigned e = 0; e < BITS; e++)
		if (poly_has(p.words, e))
			terms->exponents[terms->count++] = (uint16_t)e;
}

/* The bits of a 32-bit number, with a 0 after each. */
static uint64_t spread(uint32_t bits)
{
	uint64_t x = bits;

	x = (x | x << 16) & 0x0000ffff0000ffffu;
	x = (x | x << 8) & 0x00ff00ff00ff00ffu;
	x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
	x = (x | x << 2) & 0x3333333333333333u;
	return (x | x << 1) & 0x5555555555555555u;
}

/*
 * to ^= high x^bits, for polynomials over GF(2) whose coefficients are bits;
 * `high` has FOLD words, with a zero before and after them.
 */
static inline void add_shifted(uint64_t *restrict to,
			       const uint64_t *restrict high, unsigned bits)
{
	uint64_t *restrict at = to + bits / 64;
	unsigned shift = bits % 64;

#pragma GCC unroll 9
	for (size_t k = 0; k <= FOLD; k++)
		at[k] ^= high[k + 1] << shift ^ high[k] >> 1 >> (63 - shift);
}

/*
 * What poly, of 2 POLY_WORDS words, leaves when it is divided by
 * x^BITS + the sum of x^terms[i]; it is in the first half. FOLD
 * words at a time, from the highest on: no term is so high that it would come
 * back to them.
 */
static void reduce(uint64_t *poly, const struct terms *terms)
{
	uint64_t high[FOLD + 2] = { 0 };
	uint64_t *last = poly + POLY_WORDS - 1;

	for (size_t at = (size_t)2 * POLY_WORDS; at > POLY_WORDS;) {
		at -= FOLD;
		memcpy(high + 1, poly + at, FOLD * sizeof(*high));
		for (size_t t = 0; t < terms->count; t++)
			add_shifted(poly, high,
				    (unsigned)at * 64 - BITS +
					    terms->exponents[t]);
	}
	/* The last word is in part below x^BITS. */
	memset(high, 0, sizeof(high));
	high[1] = *last >> BITS % 64;
	*last &= (UINT64_C(1) << BITS % 64) - 1;
	for (size_t t = 0; t < terms->count; t++)
		add_shifted(poly, high, terms->exponents[t]);
}

/* p = p^2 modulo P. */
static void poly_square(struct poly *p, const struct terms *terms)
{
	uint64_t wide[2 * POLY_WORDS];

	for (size_t k = 0; k < POLY_WORDS; k++) {
		wide[2 * k] = spread((uint32_t)p->words[k]);
		wide[2 * k + 1] = spread((uint32_t)(p->words[k] >> 32));
	}
	reduce(wide, terms);
	memcpy(p->words, wide, sizeof(p->words));
}

/* p = p x modulo P. */
static void poly_times_x(struct poly *p, const struct terms *terms)
{
	for (size_t k = POLY_WORDS; k-- > 1;)
		p->words[k] = p->words[k] << 1 | p->words[k - 1] >> 63;
	p->words[0] <<= 1;
	if (!poly_has(p->words, BITS))
		return;
	poly_flip(p->words, BITS);
	for (size_t t = 0; t < terms->count; t++)
		poly_flip(p->words, terms->exponents[t]);
}

/* p = x^n modulo P. */
static void poly_power(struct poly *p, uint64_t n)
{
	struct terms terms;
	unsigned later = 0; /* bits of n that squarings bring in */

	while (n >> later >= BITS)
		later++;
	*p = (struct poly){ { 0 } };
	poly_flip(p->words, (unsigned)(n >> later));
	if (later > 0)
		characteristic(&terms);
	while (later > 0) {
		later--;
		poly_square(p, &terms);
		if (n >> later & 1)
			poly_times_x(p, &terms);
	}
}

/* The exponents among [first, first + MT19937_RUN), from first on. */
static size_t exponents_in(const struct poly *p, size_t first, uint16_t *at)
{
	size_t count = 0;

	for (size_t word = first / 64;
	     word < (first + MT19937_RUN) / 64 && word < POLY_WORDS; word++)
		for (uint64_t left = p->words[word]; left; left &= left - 1)
			at[count++] =
				(uint16_t)(word * 64 - first +
					   (unsigned)__builtin_ctzll(left));
	return count;
}

void mt19937_jump(struct mt19937 *mt, const struct kernels *kernels,
		  uint64_t count)
{
	uint32_t window[MT19937_WORDS] = { 0 };
	uint16_t at[MT19937_RUN];
	uint64_t place = mt->place + count;
	struct poly p;

	poly_power(&p, count);
	for (size_t first = 0; first < BITS; first += MT19937_RUN) {
		size_t found = exponents_in(&p, first, at);

		make(mt, kernels, MT19937_RUN);
		kernels->mt19937_add_windows(window, mt->x, at, found);
		slide(mt, MT19937_RUN);
	}
	memcpy(mt->x, window, sizeof(window));
	mt->place = place;
	mt->made = 0;
}

/* Move on to a place, the faster way. */
static void seek(struct mt19937 *mt, const struct kernels *kernels,
		 uint64_t place)
{
	uint64_t count = place - mt->place;

	assert(place >= mt->place);
	if (count <= mt->made)
		slide(mt, (uint32_t)count);
	else if (count <= MT19937_WALK_MAX)
		mt19937_walk(mt, kernels, count);
	else
		mt19937_jump(mt, kernels, count);
}

void mt19937_draw(struct mt19937 *mt, const struct kernels *kernels,
		  uint64_t place, size_t count, uint32_t *numbers)
{
	for (size_t k = 0, part; k < count; k += part) {
		part = min_u64(count - k, MT19937_RUN);
		/* What was made before stays: it may be wanted again. */
		seek(mt, kernels, place + k);
		make(mt, kernels, (uint32_t)part);
		kernels->mt19937_temper(mt->x + MT19937_WORDS, part,
					numbers + k);
	}
}
