/*
 * The magnitudes of a row counted by their upper bits, what that says of their
 * chances (rank_chance.h), and the coins that it settles: the first half of
 * row_ranks.h.
 */
#ifndef LMFS_METHODS_RANK_BINS_H
#define LMFS_METHODS_RANK_BINS_H

#include "core/methods/magnitudes.h"
#include "core/methods/rank_chance.h"

#define RANK_LOW_BITS 16 /* of a magnitude, below its bin */
#define RANK_BINS (1u << (MAGNITUDE_BITS - RANK_LOW_BITS))
#define RANK_OCTAVES 256u /* runs of bins, of one exponent each */
#define RANK_OCTAVE_BINS (RANK_BINS / RANK_OCTAVES)

/* Draws of a bin's members below `kept` keep, others below `open` may. While
 * they are counted `open` is their number, and `kept` all their low bits. */
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
	struct rank_bin all;	    /* the bounds of the whole row's chances */
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
		work->octaves[magnitudes[k] >> MANTISSA_BITS] = true;
	for (size_t o = 0; o < RANK_OCTAVES; o++)
		if (work->octaves[o])
			memset(work->bins + o * RANK_OCTAVE_BINS, 0,
			       RANK_OCTAVE_BINS * sizeof(*work->bins));
	for (size_t k = 0; k < cols; k++) {
		struct rank_bin *bin =
			&work->bins[magnitudes[k] >> RANK_LOW_BITS];

		bin->kept |= magnitudes[k] & ((1u << RANK_LOW_BITS) - 1);
		bin->open++;
	}
}

/*
 * The members of the bin have the ranks less .. less + count - 1, or, where all
 * are equal, the mean of these. Those without low bits are, as most of bfloat16
 * are.
 */
static inline void bin_bound(const struct chance *chance, uint32_t less,
			     struct rank_bin *bin, struct rank_place *place)
{
	uint32_t count = bin->open;
	bool equal = bin->kept == 0 || count == 1;
	uint64_t first = 2 * (uint64_t)less, last = first + 2 * (count - 1);
	uint32_t least =
		chance_limit(chance, equal ? first + count - 1 : first);
	uint32_t greatest = equal ? least : chance_limit(chance, last);

	*place = (struct rank_place){ .less = less, .count = count };
	/* The chances fall where epsilon is negative. */
	bin->kept = least < greatest ? least : greatest;
	bin->open = least < greatest ? greatest : least;
}

static inline void ranks_bound(struct rank_work *work,
			       const struct chance *chance)
{
	uint32_t one = chance_limit(chance, 0);
	uint32_t other = chance_limit(chance, 2 * (uint64_t)chance->last);
	uint32_t less = 0;

	work->all.kept = one < other ? one : other;
	work->all.open = one < other ? other : one;
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
	uint16_t doubtful[TILE_ELEMENTS];
	struct rank_bin all = work->all;
	uint32_t width = all.open - all.kept;
	size_t doubts = 0;

	for (size_t k = 0; k < count; k++)
		kept[first + k] = draws[k] < all.kept;
	for (size_t k = 0; k < count; k++) {
		doubtful[doubts] = (uint16_t)k;
		doubts += draws[k] - all.kept < width;
	}
	for (size_t d = 0; d < doubts; d++) {
		/* cppcheck-suppress uninitvar; written up to `doubts` */
		size_t k = first + doubtful[d];
		uint32_t magnitude = work->magnitudes[k];
		struct rank_bin bin = work->bins[magnitude >> RANK_LOW_BITS];
		uint32_t draw = draws[doubtful[d]];

		kept[k] = draw < bin.kept;
		if (draw >= bin.kept && draw < bin.open && magnitude)
			rank_later(work, k, draw);
	}
}

#endif
