/*
 * What selections gather in one pass, once the range that the k-th magnitude
 * lies in is known (top_k.h): of each block of the scan, how many elements of
 * which magnitudes in the range it has. Out of that the k-th magnitude is
 * found, and the block of the last element selected.
 */
#ifndef LMFS_METHODS_GATHER_H
#define LMFS_METHODS_GATHER_H

#include "core/methods/selection.h"

/* Bits of a magnitude that are settled at a time. */
#define SETTLE_BITS 8

/* What a block's elements in the range are; a slot without count is free. */
struct gather_table {
	uint64_t is_full; /* a magnitude had no slot: the table is no good */
	struct gather_slot {
		uint32_t excess, count;
	} slots[GATHER_SLOTS];
};

struct gather_pass {
	const struct top_k_set *set;
	size_t room;	/* for each selection */
	uint64_t block; /* the next one to be folded */
};

static inline void table_count(struct gather_table *table, uint32_t excess)
{
	uint32_t at = excess * 0x9e3779b1u >> (32 - GATHER_SLOT_BITS);

	for (uint32_t n = 0; n < GATHER_SLOTS; n++) {
		struct gather_slot *slot =
			&table->slots[(at + n) % GATHER_SLOTS];

		if (slot->count && slot->excess != excess)
			continue;
		slot->excess = excess;
		slot->count++;
		return;
	}
	table->is_full = true;
}

/* Runs without any element in the range, most of them, are passed over. */
static inline void table_add(struct gather_table *table,
			     const struct magnitude_range *range,
			     const float *restrict values, size_t count)
{
	uint32_t least = range->least;
	unsigned open = range->open;

	for (size_t k = 0, end; k < count && !table->is_full; k = end) {
		uint32_t some = 0;

		end = min_u64(count, k + GATHER_RUN);
		for (size_t j = k; j < end; j++)
			some |= (magnitude(values[j]) ^ least) >> open == 0;
		for (size_t j = k; some && j < end; j++)
			if (range_has(range, magnitude(values[j])))
				table_count(table,
					    magnitude(values[j]) - least);
	}
}

/* A range without open bits whose elements are all selected is known. */
static inline bool is_gathered(const struct top_k *top)
{
	return top->sought &&
	       (top->threshold.open > 0 || top->left < top->equals);
}

static inline size_t count_gathered(const struct top_k_set *set)
{
	size_t count = 0;

	for (size_t s = 0; s < set->count; s++)
		count += is_gathered(&set->tops[s]);
	return count;
}

static inline void gather_add(const struct method_args *args,
			      const struct tile *tile, const void *ctx,
			      void *partial)
{
	float values[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct gather_pass *pass = ctx;
	struct gather_table *table = partial;

	for (size_t s = 0; s < pass->set->count; s++) {
		const struct top_k *top = &pass->set->tops[s];

		if (!is_gathered(top))
			continue;
		if (!table->is_full) {
			pass->set->values(args, tile, top->input, values);
			table_add(table, &top->threshold, values, tile->count);
		}
		table++;
	}
}

static inline void gather_take(struct top_k *top,
			       const struct gather_table *table, uint64_t block,
			       size_t room)
{
	top->crowded |= table->is_full;
	for (size_t n = 0; n < GATHER_SLOTS && !top->crowded; n++) {
		const struct gather_slot *slot = &table->slots[n];

		if (!slot->count)
			continue;
		if (top->gathered_count == room)
			top->crowded = true;
		else
			top->gathered[top->gathered_count++] =
				(struct gathered){ (uint32_t)block,
						   slot->excess, slot->count };
	}
}

/* Blocks come in order. The total is the pass itself. */
static inline void gather_fold(const struct method_args *args, const void *ctx,
			       void *total, const void *partial)
{
	const struct gather_table *table = partial;
	struct gather_pass *pass = total;

	for (size_t s = 0; s < pass->set->count; s++)
		if (is_gathered(&pass->set->tops[s]))
			gather_take(&pass->set->tops[s], table++, pass->block,
				    pass->room);
	pass->block++;
}

/* The blocks of the elements [first, first + count). */
static inline int gather(const struct method_args *args,
			 const struct scan *scan, struct gather_pass *pass,
			 uint64_t first, uint64_t count)
{
	const struct scan_step step = {
		.partial_size =
			count_gathered(pass->set) * sizeof(struct gather_table),
		.add = gather_add,
		.fold = gather_fold,
		.ctx = pass,
	};

	pass->block = first / SCAN_BLOCK_ELEMENTS;
	return step.partial_size ? scan_run(scan, first, count, &step, pass)
				 : 0;
}

/* More than half of a block's slots, or more than there is room for, unless
 * many are equal. */
static inline bool may_be_crowded(const struct top_k *top, uint64_t blocks,
				  size_t room)
{
	return is_gathered(top) &&
	       (top->equals > room || top->equals / blocks > GATHER_SLOTS / 2);
}

/* Gather a sample, and forget it, to see which selections are crowded. */
static inline int gather_sample(const struct method_args *args,
				const struct scan *scan,
				struct gather_pass *pass)
{
	const struct top_k_set *set = pass->set;
	uint64_t blocks = blocks_of_tensor(args);
	uint64_t samples = min_u64(SAMPLE_BLOCKS_MAX, blocks / SAMPLE_SHARE);
	size_t doubtful = 0;
	int rc = 0;

	for (size_t s = 0; s < set->count; s++)
		doubtful += may_be_crowded(&set->tops[s], blocks, pass->room);
	if (!doubtful || !samples)
		return 0;
	for (uint64_t n = 0; n < samples && !rc; n++)
		rc = gather(args, scan, pass,
			    (2 * n + 1) * blocks / (2 * samples) *
				    SCAN_BLOCK_ELEMENTS,
			    SCAN_BLOCK_ELEMENTS);
	for (size_t s = 0; s < set->count; s++) {
		struct top_k *top = &set->tops[s];

		top->crowded |=
			top->gathered_count * blocks > pass->room * samples;
		top->gathered_count = 0;
	}
	return rc;
}

/* Find the k-th magnitude, a few bits at a time, from the greatest on. */
static inline struct magnitude_range settle_threshold(struct top_k *top)
{
	struct magnitude_range range = top->threshold;

	while (range.open > 0) {
		uint64_t counts[1u << SETTLE_BITS] = { 0 };
		unsigned bits = (unsigned)min_u64(range.open, SETTLE_BITS);
		unsigned open = range.open - bits;
		uint32_t digit = (1u << bits) - 1;

		for (size_t n = 0; n < top->gathered_count; n++) {
			const struct gathered *at = &top->gathered[n];
			uint32_t magnitude = top->threshold.least | at->excess;

			if (range_has(&range, magnitude))
				counts[magnitude >> open & digit] += at->count;
		}
		for (; digit > 0 && counts[digit] < top->left; digit--)
			top->left -= counts[digit];
		top->equals = counts[digit];
		range.least |= digit << open;
		range.open = open;
	}
	return range;
}

/* Out of what was gathered, what was sought. */
static inline void settle(struct top_k *top)
{
	struct magnitude_range range = settle_threshold(top);
	uint32_t excess = range.least - top->threshold.least;
	struct magnitude_bin above = { 0 };
	uint64_t missing = top->left;

	for (size_t n = 0; n < top->gathered_count; n++) {
		const struct gathered *at = &top->gathered[n];

		if (at->excess > excess) {
			above.count += at->count;
			above.excess += (uint64_t)at->count * at->excess;
		} else if (at->excess == excess && missing) {
			top->block = at->block;
			top->block_left = min_u64(missing, at->count);
			missing -= top->block_left;
		}
	}
	top->selected += range_sum(&top->threshold, &above);
	top->selected +=
		(double)top->left * (double)float_from_bits(range.least);
	top->threshold = range;
	top->sought = false;
}

#endif
