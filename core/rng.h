/*
 * Random masks from draws of 32 bits, which are compared with a threshold.
 *
 * From a counter, where a recipe says nothing else: the draw of an element
 * depends on the seed, the position of its model among the recipe's non-base
 * models, the name of the output tensor and the element's flat index, and on
 * nothing else. So any range can be made first, on any machine, wherever the
 * folders lie.
 *
 * XXH3-128 of (seed, position, block of RNG_BLOCK elements, XXH3-128 of the
 * name) keys a block; a keyed 32-bit hash of the index in the block gives the
 * draw. The generator can never change: every mask would.
 */
#ifndef LMFS_RNG_H
#define LMFS_RNG_H

#include "core/base/base.h"

#define RNG_BLOCK 4096

struct rng_key {
	uint32_t k0, k1;
};

/*
 * The message that is hashed: seed (8 bytes), position (4), block (8), and the
 * low and high halves of the XXH3-128 of the name without its NUL (8 and 8),
 * all little-endian. Of the result's low half, k0 is the low word.
 */
#define RNG_MESSAGE_SIZE 36

struct rng_key rng_block_key(uint64_t seed, uint32_t position, const char *name,
			     uint64_t block);

/* The draw of element `index` (0 .. RNG_BLOCK - 1) of a block. Uniform on 32
 * bits; an element is kept with probability p where draw < rng_threshold(p). */
static inline uint32_t rng_draw(struct rng_key key, uint32_t index)
{
	uint32_t x = index * 0x9e3779b9u + key.k0;

	x ^= x >> 16;
	x *= 0x7feb352du;
	x ^= x >> 15;
	x ^= key.k1;
	x *= 0x846ca68bu;
	x ^= x >> 16;
	return x;
}

/* round(p * 2^32), for 0 <= p <= 1. */
static inline uint64_t rng_threshold(double p)
{
	return (uint64_t)(p * 0x1p32 + 0.5);
}

/*
 * The same for a number x of RNG_MT19937's stream, of which mergekit takes the
 * 24 lower bits for a fraction: kept where (x mod 2^24) 2^-24 < p. As a draw
 * and a threshold, these bits come first, and what lies above a multiple of 2^8
 * is below the next.
 */
static inline uint32_t rng_stream_draw(uint32_t x)
{
	return x << 8;
}

/* For a stream the least whole number that is not below p * 2^32. */
static inline uint64_t rng_threshold_of(bool stream, double p)
{
	uint64_t whole = (uint64_t)(p * 0x1p32);

	if (!stream)
		return rng_threshold(p);
	return whole + ((double)whole < p * 0x1p32);
}

#endif
