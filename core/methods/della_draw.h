/*
 * The coins of whole rows: from the counter a block of RNG_BLOCK elements at a
 * time, or the numbers of a stream.
 */
#ifndef LMFS_METHODS_DELLA_DRAW_H
#define LMFS_METHODS_DELLA_DRAW_H

#include "core/methods/body.h"

/* The draws of `count` elements from the tensor's element `first` on. */
static inline void della_count_draws(const struct method_args *args, size_t i,
				     uint64_t first, size_t count,
				     uint32_t *draws)
{
	for (size_t k = 0, end; k < count; k = end) {
		uint64_t block = (first + k) / RNG_BLOCK;
		uint32_t from = (uint32_t)((first + k) % RNG_BLOCK);
		struct rng_key key = rng_block_key(
			args->seed, args->positions[i], args->name, block);

		end = min_u64(count, k + RNG_BLOCK - from);
		for (size_t j = k; j < end; j++)
			draws[j] = rng_draw(key, from + (uint32_t)(j - k));
	}
}

/* The draws of `count` elements from `at` on of the rows at hand. */
static inline void della_draw(const struct method_args *args,
			      const struct tile *rows, size_t i, size_t at,
			      size_t count, uint32_t *restrict draws)
{
	const uint32_t *restrict numbers;

	if (!rows->draws) {
		della_count_draws(args, i, rows->first + at, count, draws);
		return;
	}
	numbers = rows->draws[i] + at;
	for (size_t k = 0; k < count; k++)
		draws[k] = rng_stream_draw(numbers[k]);
}

#endif
