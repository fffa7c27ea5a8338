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
 * Most ranks need not be known. Magnitudes are counted by their upper bits;
 *that bounds the ranks in a bin, and so the chances: a draw below the least is
 *kept, one above the greatest dropped. The few elements between are left over.
 *Few enough are compared with all of the row; of more the members of their bins
 * are put in order.
 */
#ifndef LMFS_METHODS_ROW_RANKS_H
#define LMFS_METHODS_ROW_RANKS_H

#include "core/methods/rank_chance.h"
#include "core/methods/top_k.h"

#define RANK_LOW_BITS 16 /* of a magnitude, below its bin */
#define RANK_BINS (1u << (MAGNITUDE_BITS - RANK_LOW_BITS))
#define OCTAVE_LOW_BITS 23
#define RANK_OCTAVES 256u /* runs of bins, of one exponent each */
#define RANK_OCTAVE_BINS (RANK_BINS / RANK_OCTAVES)
/* Up to so many leftovers are compared with all of the row. */
#define RANK_COMPARED_MAX 48
/* Up to so many members are put in order by insertion. */
#define RANK_INSERTION_MAX 32
#define RANK_RADIX_BITS 8
#define RANK_RADIX (1u << RANK_RADIX_BITS)

/* Draws of a bin's members below `kept` keep, others below `open` may. While
 * they are counted `open` is their number. */
struct rank_bin {
	uint32_t kept, open;
};

struct rank_place {
	uint32_t less;	/* elements below the bin */
	uint32_t count; /* of its members */
	/* Once one is left over: where the members are, and how many of them
	 * are there. */
	bool is_open;
	uint32_t at, found;
};

struct leftover {
	uint32_t index; /* in the row */
	uint32_t draw;
};

/* What the ranking of a row needs besides; its arrays have C elements. */
struct rank_work {
	struct rank_bin *bins;
	struct rank_place *places;
	uint32_t *magnitudes;
	struct leftover *leftovers;
	size_t leftover_count;
	uint16_t *members; /* low bits, bin by bin */
	uint16_t *spare;
	size_t member_count;
	bool octaves[RANK_OCTAVES]; /* those with elements */
};

static inline size_t rank_work_size(size_t cols)
{
	return RANK_BINS *
		       (sizeof(struct rank_bin) + sizeof(struct rank_place)) +
	       cols * (sizeof(uint32_t) + sizeof(struct leftover) +
		       2 * sizeof(uint16_t));
}

/* Lay out rank_work_size() bytes. */
static inline struct rank_work rank_work_at(void *memory, size_t cols)
{
	struct rank_work work = { .bins = memory };

	work.places = (struct rank_place *)(work.bins + RANK_BINS);
	work.leftovers = (struct leftover *)(work.places + RANK_BINS);
	work.magnitudes = (uint32_t *)(work.leftovers + cols);
	work.members = (uint16_t *)(work.magnitudes + cols);
	work.spare = work.members + cols;
	return work;
}

/* Count the row's magnitudes; only the octaves that occur are touched. */
static inline void ranks_count(struct rank_work *work, size_t cols)
{
	const uint32_t *magnitudes = work->magnitudes;

	memset(work->octaves, 0, sizeof(work->octaves));
	for (size_t k = 0; k < cols; k++)
		work->octaves[magnitudes[k] >> OCTAVE_LOW_BITS] = true;
	for (size_t o = 0; o < RANK_OCTAVES; o++)
		if (work->octaves[o])
			memset(work->bins + o * RANK_OCTAVE_BINS, 0,
			       RANK_OCTAVE_BINS * sizeof(*work->bins));
	for (size_t k = 0; k < cols; k++)
		work->bins[magnitudes[k] >> RANK_LOW_BITS].open++;
}

/* The members of the bin have the ranks less .. less + count - 1. */
static inline void bin_bound(const struct chance *chance, uint32_t less,
			     struct rank_bin *bin, struct rank_place *place)
{
	uint32_t count = bin->open;
	uint32_t least = chance_limit(chance, 2 * (uint64_t)less);
	uint32_t greatest = least;

	if (count > 1)
		greatest =
			chance_limit(chance, 2 * ((uint64_t)less + count - 1));
	*place = (struct rank_place){ .less = less, .count = count };
	/* The chances fall where epsilon is negative. */
	bin->kept = least < greatest ? least : greatest;
	bin->open = least < greatest ? greatest : least;
}

static inline void ranks_bound(struct rank_work *work,
			       const struct chance *chance)
{
	uint32_t less = 0;

	for (size_t o = 0; o < RANK_OCTAVES; o++) {
		if (!work->octaves[o])
			continue;
		for (size_t b = o * RANK_OCTAVE_BINS;
		     b < (o + 1) * RANK_OCTAVE_BINS; b++) {
			uint32_t count = work->bins[b].open;

			if (!count)
				continue;
			bin_bound(chance, less, &work->bins[b],
				  &work->places[b]);
			less += count;
		}
	}
}

/* Leave an element over: its bin is open from now on. */
static inline void rank_later(struct rank_work *work, size_t index,
			      uint32_t draw)
{
	uint32_t bin = work->magnitudes[index] >> RANK_LOW_BITS;
	struct rank_place *place = &work->places[bin];

	work->leftovers[work->leftover_count++] =
		(struct leftover){ (uint32_t)index, draw };
	if (place->is_open)
		return;
	place->is_open = true;
	place->at = (uint32_t)work->member_count;
	work->member_count += place->count;
}

/* Elements [first, first + count) of the row. Zeros are as good as dropped. */
static inline void ranks_settle(struct rank_work *work, const uint32_t *draws,
				size_t first, size_t count, unsigned char *kept)
{
	for (size_t k = first; k < first + count; k++) {
		uint32_t magnitude = work->magnitudes[k];
		struct rank_bin bin = work->bins[magnitude >> RANK_LOW_BITS];
		uint32_t draw = draws[k - first];

		kept[k] = draw < bin.kept;
		if (draw >= bin.kept && draw < bin.open && magnitude)
			rank_later(work, k, draw);
	}
}

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

/* Few leftovers: equal magnitudes are compared once. */
static inline void leftovers_compare(struct rank_work *work, size_t cols,
				     const struct chance *chance,
				     unsigned char *kept)
{
	uint32_t seen[RANK_COMPARED_MAX];
	uint32_t limits[RANK_COMPARED_MAX];
	size_t count = 0;

	for (size_t l = 0; l < work->leftover_count; l++) {
		struct leftover left = work->leftovers[l];
		uint32_t magnitude = work->magnitudes[left.index];
		size_t at = 0;

		while (at < count && seen[at] != magnitude)
			at++;
		if (at == count) {
			seen[count] = magnitude;
			limits[count++] = chance_limit(
				chance,
				compared_rank_twice(work, cols, magnitude));
		}
		kept[left.index] = left.draw < limits[at];
	}
}

/* All of the row is settled but for what was left over. */
static inline void ranks_finish(struct rank_work *work, size_t cols,
				const struct chance *chance,
				unsigned char *kept)
{
	if (work->leftover_count <= RANK_COMPARED_MAX) {
		leftovers_compare(work, cols, chance, kept);
		return;
	}
	members_collect(work, cols);
	members_order(work);
	for (size_t l = 0; l < work->leftover_count; l++) {
		struct leftover left = work->leftovers[l];
		uint64_t rank = rank_twice(work, left.index);

		kept[left.index] = left.draw < chance_limit(chance, rank);
	}
}

#endif
