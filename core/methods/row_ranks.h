/*
 * A coin for every element of a row whose chance grows evenly with the rank of
 * the element's magnitude in the row. The C magnitudes have the ranks 0 .. C-1
 * from the least on, equal ones all the mean of theirs; an element is kept
 * where
 *
 *	draw < p(rank) 2^32	p = low + 2 epsilon rank / (C-1)
 *
 * and the rank of a row's only element is taken for the middle one.
 *
 * Most ranks need not be known. A draw below the least chance of all keeps, one
 * above the greatest drops. Magnitudes are counted by their upper bits: that
 * bounds the ranks in a bin, and so the chances, and settles most of the rest
 * in the same way. The few elements between are left over. Where they are of
 * few magnitudes, those are compared with all of the row; else the members of
 * their bins are put in order.
 */
#ifndef LMFS_METHODS_ROW_RANKS_H
#define LMFS_METHODS_ROW_RANKS_H

#include "core/methods/rank_bins.h"

/* Up to so many magnitudes of leftovers are compared with all of the row. */
#define RANK_COMPARED_MAX 48
/* Up to so many members are put in order by insertion. */
#define RANK_INSERTION_MAX 32
#define RANK_RADIX_BITS 8
#define RANK_RADIX (1u << RANK_RADIX_BITS)

static inline void members_collect(struct rank_work *work, size_t cols)
{
	for (size_t k = 0; k < cols; k++) {
		uint32_t magnitude = work->magnitudes[k];
		struct rank_place *place =
			&work->places[magnitude >> RANK_LOW_BITS];

		if (place->is_open)
			work->members[place->at + place->found++] =
				magnitude & ((1u << RANK_LOW_BITS) - 1);
	}
}

static inline void insertion_order(uint16_t *x, size_t count)
{
	for (size_t k = 1; k < count; k++) {
		uint16_t low = x[k];
		size_t at = k;

		for (; at > 0 && x[at - 1] > low; at--)
			x[at] = x[at - 1];
		x[at] = low;
	}
}

static inline void radix_pass(const uint16_t *from, uint16_t *to, size_t count,
			      unsigned shift)
{
	uint32_t at[RANK_RADIX] = { 0 };
	uint32_t sum = 0;

	for (size_t k = 0; k < count; k++)
		at[from[k] >> shift & (RANK_RADIX - 1)]++;
	for (size_t d = 0; d < RANK_RADIX; d++) {
		uint32_t of_digit = at[d];

		at[d] = sum;
		sum += of_digit;
	}
	for (size_t k = 0; k < count; k++)
		to[at[from[k] >> shift & (RANK_RADIX - 1)]++] = from[k];
}

static inline void members_order(struct rank_work *work)
{
	for (size_t l = 0; l < work->leftover_count; l++) {
		uint32_t index = work->leftovers[l].index;
		struct rank_place *place =
			&work->places[work->magnitudes[index] >> RANK_LOW_BITS];
		uint16_t *members = work->members + place->at;

		if (!place->found)
			continue;
		if (place->count <= RANK_INSERTION_MAX) {
			insertion_order(members, place->count);
		} else {
			radix_pass(members, work->spare, place->count, 0);
			radix_pass(work->spare, members, place->count,
				   RANK_RADIX_BITS);
		}
		/* In order: not to be done for the bin's other leftovers. */
		place->found = 0;
	}
}

/* How many members are below `low`. */
static inline uint32_t members_below(const uint16_t *members, uint32_t count,
				     uint32_t low)
{
	uint32_t begin = 0;
	uint32_t end = count;

	while (begin < end) {
		uint32_t middle = begin + (end - begin) / 2;

		if (members[middle] < low)
			begin = middle + 1;
		else
			end = middle;
	}
	return begin;
}

/* Twice the mean rank of the element's magnitude. */
static inline uint64_t rank_twice(const struct rank_work *work, uint32_t index)
{
	uint32_t magnitude = work->magnitudes[index];
	uint32_t low = magnitude & ((1u << RANK_LOW_BITS) - 1);
	const struct rank_place *place =
		&work->places[magnitude >> RANK_LOW_BITS];
	const uint16_t *members = work->members + place->at;
	uint64_t below = members_below(members, place->count, low);
	uint64_t up_to = members_below(members, place->count, low + 1);

	return 2 * place->less + below + up_to - 1;
}

/* Twice the mean rank, from the whole row. */
static inline uint64_t compared_rank_twice(const struct rank_work *work,
					   size_t cols, uint32_t magnitude)
{
	const uint32_t *magnitudes = work->magnitudes;
	uint32_t below = 0;
	uint32_t up_to = 0;

	for (size_t k = 0; k < cols; k++) {
		below += magnitudes[k] < magnitude;
		up_to += magnitudes[k] <= magnitude;
	}
	return (uint64_t)below + up_to - 1;
}

/* Where in `values` the magnitude is; `count`: it is not there. */
static inline size_t value_place(const uint32_t *values, size_t count,
				 uint32_t magnitude)
{
	size_t at = 0;

	while (at < count && values[at] != magnitude)
		at++;
	return at;
}

/* The different magnitudes among the leftovers; more than fit are too many. */
static inline bool leftover_values(const struct rank_work *work,
				   uint32_t values[RANK_COMPARED_MAX],
				   size_t *count)
{
	*count = 0;
	for (size_t l = 0; l < work->leftover_count; l++) {
		uint32_t index = work->leftovers[l].index;
		uint32_t magnitude = work->magnitudes[index];

		if (value_place(values, *count, magnitude) < *count)
			continue;
		if (*count == RANK_COMPARED_MAX)
			return false;
		values[(*count)++] = magnitude;
	}
	return true;
}

/* Few magnitudes: each is compared with all of the row. */
static inline bool leftovers_compare(struct rank_work *work, size_t cols,
				     const struct chance *chance,
				     unsigned char *kept)
{
	uint32_t values[RANK_COMPARED_MAX];
	uint32_t limits[RANK_COMPARED_MAX];
	size_t count;

	if (!leftover_values(work, values, &count))
		return false;
	for (size_t v = 0; v < count; v++)
		limits[v] = chance_limit(
			chance, compared_rank_twice(work, cols, values[v]));
	for (size_t l = 0; l < work->leftover_count; l++) {
		struct leftover left = work->leftovers[l];
		uint32_t magnitude = work->magnitudes[left.index];

		kept[left.index] =
			left.draw <
			limits[value_place(values, count, magnitude)];
	}
	return true;
}

/* All of the row is settled but for what was left over. */
static inline void ranks_finish(struct rank_work *work, size_t cols,
				const struct chance *chance,
				unsigned char *kept)
{
	if (leftovers_compare(work, cols, chance, kept))
		return;
	members_collect(work, cols);
	members_order(work);
	for (size_t l = 0; l < work->leftover_count; l++) {
		struct leftover left = work->leftovers[l];
		uint64_t rank = rank_twice(work, left.index);

		kept[left.index] = left.draw < chance_limit(chance, rank);
	}
}

#endif
