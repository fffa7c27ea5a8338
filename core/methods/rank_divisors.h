/*
 * What SEMANTICS_PAPER divides an element of a row by: the chance by which it
 * is kept (row_ranks.h), infinity where it is dropped. So every rank has to be
 * known, and the magnitudes of a row are put in order whole.
 */
#ifndef LMFS_METHODS_RANK_DIVISORS_H
#define LMFS_METHODS_RANK_DIVISORS_H

#include "core/methods/row_ranks.h"

/* In place of ranks_settle(): leave all elements over but zeros, whose divisor
 * does not matter. */
static inline void divisors_later(struct rank_work *work, const uint32_t *draws,
				  size_t first, size_t count, float *divisors)
{
	for (size_t k = first; k < first + count; k++) {
		divisors[k] = 1;
		if (work->magnitudes[k])
			rank_later(work, k, draws[k - first]);
	}
}

/* In place of ranks_finish(). */
static inline void divisors_finish(struct rank_work *work, size_t cols,
				   const struct chance *chance, float *divisors)
{
	members_collect(work, cols);
	members_order(work);
	for (size_t l = 0; l < work->leftover_count; l++) {
		struct leftover left = work->leftovers[l];
		uint64_t rank = rank_twice(work, left.index);
		bool kept = left.draw < chance_limit(chance, rank);

		divisors[left.index] =
			kept ? chance_at(chance, rank) : INFINITY;
	}
}

#endif
