/*
 * The chance of an element of a row to be kept, by its rank among the row's
 * magnitudes, in the type that random sparsifiers work in.
 */
#ifndef LMFS_METHODS_RANK_CHANCE_H
#define LMFS_METHODS_RANK_CHANCE_H

#include "core/methods/body.h"

struct chance {
	float low, epsilon;
	uint32_t last; /* the greatest rank, C-1 */
	bool stream;   /* draws are of a stream */
};

/* Ranks count from 1 in mergekit, which adds the 1 to a rank that is rounded,
 * and takes the least off again; great ones are not all to be told apart in a
 * bfloat16. (Never falls where the rank grows: bins are bound by their ends.)
 */
static inline float rank_rounded(double rank)
{
	return ROUNDS ? RS(RS(RS((float)rank) + 1) - 1) : (float)rank;
}

/* Of an element of that rank, given as twice the rank. */
static inline float chance_at(const struct chance *chance, uint64_t rank_twice)
{
	float q = 0.5f;

	if (chance->last)
		q = RS(rank_rounded((double)rank_twice / 2) /
		       rank_rounded((double)chance->last));
	return RS(chance->low + RS(RS(q * 2) * chance->epsilon));
}

/* Draws below it keep such an element. */
static inline uint32_t chance_limit(const struct chance *chance,
				    uint64_t rank_twice)
{
	float p = chance_at(chance, rank_twice);

	return (uint32_t)min_u64(rng_threshold_of(chance->stream, (double)p),
				 UINT32_MAX);
}

#endif
