/*
 * A selection of top_k.h, and how it comes from a survey to a range of
 * magnitudes that has its k-th in it: the bin of the survey, or, where that is
 * crowded, one of the parts that a pass divides it into.
 */
#ifndef LMFS_METHODS_SELECTION_H
#define LMFS_METHODS_SELECTION_H

#include "core/methods/magnitudes.h"

/* Bits that divide a crowded bin. */
#define DIVIDE_BITS 13
#define DIVIDE_BINS (1u << DIVIDE_BITS)

/* Different magnitudes of a block that are told apart; a power of two. */
#define GATHER_SLOT_BITS 10
#define GATHER_SLOTS (1u << GATHER_SLOT_BITS)
/* Elements whose compare is worth a look at each. */
#define GATHER_RUN 64

/* Room for what is gathered: a share of the elements, and a bound for all
 * selections together. */
#define GATHERED_SHARE 128
#define GATHERED_MAX (2u << 20)

/* A sample: one block of so many, at most. */
#define SAMPLE_SHARE 32
#define SAMPLE_BLOCKS_MAX 8

/* Elements of one magnitude in one block. */
struct gathered {
	uint32_t block;
	uint32_t excess; /* of the magnitude over the range's least */
	uint32_t count;
};

/* One selection. The caller sets the first three, and all else to zero. */
struct top_k {
	const struct magnitudes *survey; /* of its values */
	size_t input;
	uint64_t k; /* 0: none is made; at most the elements */
	/* The k-th magnitude is threshold.least, once none of its bits is open.
	 */
	struct magnitude_range threshold;
	uint64_t left;	 /* how many in the range are selected */
	uint64_t equals; /* how many there are */
	uint64_t cut;	 /* those before this index are selected */
	double selected; /* the sum of the magnitudes selected */
	/* While it is sought. */
	bool sought, crowded;
	struct gathered *gathered;
	size_t gathered_count;
	/* The block of the last one selected; how many of its equals are. */
	uint64_t block, block_left;
};

/* All selections of a tensor. */
struct top_k_set {
	struct top_k *tops;
	size_t count;
	magnitude_values *values;
};

static inline uint64_t blocks_of_tensor(const struct method_args *args)
{
	return (args->elements + SCAN_BLOCK_ELEMENTS - 1) / SCAN_BLOCK_ELEMENTS;
}

/* For a block there is room in any case, so that a range without open bits
 * always fits. */
static inline size_t gathered_room(const struct method_args *args, size_t count)
{
	uint64_t room = args->elements / GATHERED_SHARE + GATHER_SLOTS;

	return max_u64(min_u64(room, GATHERED_MAX / max_u64(1, count)),
		       blocks_of_tensor(args));
}

/* Bytes of scratch memory that top_k_find() needs for `count` selections: what
 * divides bins and what is gathered take turns. */
static inline size_t top_k_scratch_size(const struct method_args *args,
					size_t count)
{
	size_t divide = DIVIDE_BINS * sizeof(struct magnitude_bin);

	return count * max_u64(divide, gathered_room(args, count) *
					       sizeof(struct gathered));
}

/* Go down from the greatest bin until the k-th element is reached. */
static inline void find_bin(struct top_k *top)
{
	const struct magnitude_bin *bins = top->survey->bins;
	size_t b = MAGNITUDE_BINS - 1;

	top->sought = true;
	top->left = top->k;
	for (; b > 0 && bins[b].count < top->left; b--) {
		struct magnitude_range range = bin_range(b);

		top->left -= bins[b].count;
		top->selected += range_sum(&range, &bins[b]);
	}
	top->threshold = bin_range(b);
	top->equals = bins[b].count;
}

static inline size_t count_crowded(const struct top_k_set *set)
{
	size_t crowded = 0;

	for (size_t s = 0; s < set->count; s++)
		crowded += set->tops[s].crowded;
	return crowded;
}

/* The crowded selections have bins in a row, in their order. */
static inline void divide_add(const struct method_args *args,
			      const struct tile *tile, const void *ctx,
			      void *partial)
{
	float values[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct top_k_set *set = ctx;
	struct magnitude_bin *bins = partial;

	for (size_t s = 0; s < set->count; s++) {
		struct magnitude_range range = set->tops[s].threshold;
		unsigned bits = (unsigned)min_u64(range.open, DIVIDE_BITS);
		unsigned open = range.open - bits;

		if (!set->tops[s].crowded)
			continue;
		set->values(args, tile, set->tops[s].input, values);
		for (size_t k = 0; k < tile->count; k++) {
			uint32_t excess = magnitude(values[k]) ^ range.least;

			if (excess >> range.open)
				continue;
			bins[excess >> open].count++;
			bins[excess >> open].excess +=
				excess & ((1u << open) - 1);
		}
		bins += DIVIDE_BINS;
	}
}

static inline void divide_fold(const struct method_args *args, const void *ctx,
			       void *total, const void *partial)
{
	const struct top_k_set *set = ctx;
	size_t bins = count_crowded(set) * DIVIDE_BINS;
	const struct magnitude_bin *part = partial;
	struct magnitude_bin *sum = total;

	for (size_t b = 0; b < bins; b++) {
		sum[b].count += part[b].count;
		sum[b].excess += part[b].excess;
	}
}

static inline void take_part(struct top_k *top,
			     const struct magnitude_bin *bins)
{
	struct magnitude_range range = top->threshold;
	unsigned bits = (unsigned)min_u64(range.open, DIVIDE_BITS);
	uint32_t b = (1u << bits) - 1;

	range.open -= bits;
	range.least |= b << range.open;
	for (; b > 0 && bins[b].count < top->left; b--) {
		top->left -= bins[b].count;
		top->selected += range_sum(&range, &bins[b]);
		range.least -= 1u << range.open;
	}
	top->threshold = range;
	top->equals = bins[b].count;
	top->crowded = false;
}

static inline int divide_crowded(const struct method_args *args,
				 const struct scan *scan,
				 const struct top_k_set *set,
				 struct magnitude_bin *bins)
{
	const struct scan_step step = {
		.partial_size = count_crowded(set) * DIVIDE_BINS *
				sizeof(struct magnitude_bin),
		.commutes = true,
		.add = divide_add,
		.fold = divide_fold,
		.ctx = set,
	};
	int rc;

	if (!step.partial_size)
		return 0;
	memset(bins, 0, step.partial_size);
	rc = scan_run(scan, 0, args->elements, &step, bins);
	for (size_t s = 0; s < set->count && !rc; s++) {
		if (!set->tops[s].crowded)
			continue;
		take_part(&set->tops[s], bins);
		bins += DIVIDE_BINS;
	}
	return rc;
}

#endif
