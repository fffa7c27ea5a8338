/*
 * The k elements of greatest magnitude, of every task vector or of what else a
 * method selects by, over the whole tensor; of equal magnitudes those of lower
 * flat index come first, so that exactly k are selected. The result is the k-th
 * magnitude, and an index before which elements of just that magnitude are
 * selected.
 *
 * It is found by a radix selection on the 31 bits of magnitudes, whose order is
 * that of the numbers (with NaN above all): each pass counts the elements of
 * every value of the next bits among those that agree with the bits known so
 * far. Where not all that equal the k-th are selected, one pass in order finds
 * the block of the last one, and a pass over that block finds the element.
 */
#ifndef LMFS_METHODS_TOP_K_H
#define LMFS_METHODS_TOP_K_H

#include "core/methods/task_family.h"

#define MAGNITUDE_BITS 31
#define MAGNITUDE_MASK 0x7fffffffu

/* Bits a pass: the more, the fewer passes, and the larger the histograms. */
#define DIGIT_BITS_WIDE 16
#define DIGIT_BITS_NARROW 11
#define HISTOGRAM_BYTES_MAX (2u << 20)

/* One selection. All zero but for `input` and `k` before it begins. */
struct top_k {
	size_t input;
	uint64_t k;	    /* 0: none is made; at most the elements */
	uint32_t threshold; /* bits of the k-th magnitude, or its first bits */
	uint64_t left;	    /* how many of those with these bits are selected */
	uint64_t equals;    /* how many there are */
	uint64_t cut;	    /* those before this index are selected */
	/* Sums of magnitudes, where asked for: of all, of those selected. */
	double all, selected;
	/* The pass in order: equals so far; the block of the last one
	 * selected; how many of that block's are selected. */
	uint64_t passed, block, block_left;
};

/* The numbers of an input that its selections go by: task_delta(), say. */
typedef void top_k_values(const struct method_args *args,
			  const struct tile *tile, size_t i, float *values);

/* All selections of a tensor. Those of one input follow one another: as long
 * as they know the same bits they share a histogram. */
struct top_k_set {
	struct top_k *tops;
	size_t count;
	top_k_values *values;
	bool sums;
};

struct digit_pass {
	const struct top_k_set *set;
	unsigned shift; /* bits below this pass's */
	unsigned bits;	/* of this pass */
};

struct order_part {
	uint64_t equals;
	double all, above;
};

struct cut_pass {
	const struct top_k_set *set;
	const struct top_k *top;
};

struct cut_part {
	uint64_t seen;
	uint64_t cut;
};

static inline uint32_t magnitude(float x)
{
	return float_bits(x) & MAGNITUDE_MASK;
}

static inline size_t histogram_size(size_t count, unsigned bits)
{
	return count * sizeof(uint64_t) << bits;
}

static inline unsigned digit_bits(size_t count)
{
	if (histogram_size(count, DIGIT_BITS_WIDE) <= HISTOGRAM_BYTES_MAX)
		return DIGIT_BITS_WIDE;
	return DIGIT_BITS_NARROW;
}

/* Selection s counts the same elements as the one before it. */
static inline bool shares_histogram(const struct top_k *tops, size_t s)
{
	return s > 0 && tops[s - 1].k && tops[s - 1].input == tops[s].input &&
	       tops[s - 1].threshold == tops[s].threshold;
}

static inline void digit_add(const struct method_args *args,
			     const struct tile *tile, const void *ctx,
			     void *partial)
{
	float values[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct digit_pass *pass = ctx;
	const struct top_k *tops = pass->set->tops;
	uint32_t mask = (1u << pass->bits) - 1;
	size_t count = tile->count;

	for (size_t s = 0; s < pass->set->count; s++) {
		uint64_t *histogram = (uint64_t *)partial + (s << pass->bits);
		uint32_t known = tops[s].threshold;

		if (!tops[s].k || shares_histogram(tops, s))
			continue;
		pass->set->values(args, tile, tops[s].input, values);
		for (size_t k = 0; k < count; k++) {
			uint32_t bits = magnitude(values[k]) >> pass->shift;

			if (bits >> pass->bits == known)
				histogram[bits & mask]++;
		}
	}
}

static inline void digit_fold(const struct method_args *args, const void *ctx,
			      void *total, const void *partial)
{
	const struct digit_pass *pass = ctx;
	const uint64_t *part = partial;
	uint64_t *sum = total;

	for (size_t b = 0; b < pass->set->count << pass->bits; b++)
		sum[b] += part[b];
}

/* Go down from the greatest digit until the k-th element is reached. */
static inline void take_digit(struct top_k *top, const uint64_t *histogram,
			      unsigned bits)
{
	uint32_t digit = (1u << bits) - 1;

	while (histogram[digit] < top->left && digit > 0)
		top->left -= histogram[digit--];
	top->equals = histogram[digit];
	top->threshold = top->threshold << bits | digit;
}

/* From the last on, as what a selection shares is seen from those before. */
static inline void take_digits(struct top_k *tops, size_t count,
			       const uint64_t *histograms, unsigned bits)
{
	for (size_t s = count; s-- > 0;) {
		size_t owner = s;

		while (shares_histogram(tops, owner))
			owner--;
		if (tops[s].k)
			take_digit(&tops[s], histograms + (owner << bits),
				   bits);
	}
}

static inline int find_thresholds(const struct method_args *args,
				  const struct scan *scan,
				  const struct top_k_set *set,
				  uint64_t *histograms)
{
	unsigned shift = MAGNITUDE_BITS;

	while (shift > 0) {
		unsigned bits =
			(unsigned)min_u64(shift, digit_bits(set->count));
		const struct digit_pass pass = { set, shift - bits, bits };
		const struct scan_step step = {
			.partial_size = histogram_size(set->count, bits),
			.commutes = true,
			.add = digit_add,
			.fold = digit_fold,
			.ctx = &pass,
		};
		int rc;

		memset(histograms, 0, step.partial_size);
		rc = scan_run(scan, 0, args->elements, &step, histograms);
		if (rc)
			return rc;
		take_digits(set->tops, set->count, histograms, bits);
		shift -= bits;
	}
	return 0;
}

static inline void order_add(const struct method_args *args,
			     const struct tile *tile, const void *ctx,
			     void *partial)
{
	float values[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct top_k_set *set = ctx;
	struct order_part *parts = partial;
	size_t count = tile->count;

	for (size_t s = 0; s < set->count; s++) {
		uint32_t threshold = set->tops[s].threshold;
		size_t equals = 0;

		if (!set->tops[s].k)
			continue;
		set->values(args, tile, set->tops[s].input, values);
		for (size_t k = 0; k < count; k++)
			equals += magnitude(values[k]) == threshold;
		parts[s].equals += equals;
		if (!set->sums)
			continue;
		parts[s].all += lanes_abs(values, tile->count);
		for (size_t k = 0; k < count; k++)
			values[k] *= magnitude(values[k]) > threshold ? 1 : 0;
		parts[s].above += lanes_abs(values, tile->count);
	}
}

/* Blocks come in order: `block` stays where the last one selected lies. */
static inline void order_fold(const struct method_args *args, const void *ctx,
			      void *total, const void *partial)
{
	const struct top_k_set *set = ctx;
	const struct order_part *parts = partial;
	struct top_k *tops = total;

	for (size_t s = 0; s < set->count; s++) {
		struct top_k *top = &tops[s];
		uint64_t missing = top->left - min_u64(top->left, top->passed);

		if (missing && missing <= parts[s].equals)
			top->block_left = missing;
		if (!top->block_left)
			top->block += SCAN_BLOCK_ELEMENTS;
		top->passed += parts[s].equals;
		top->all += parts[s].all;
		top->selected += parts[s].above;
	}
}

static inline bool needs_order(const struct top_k_set *set)
{
	for (size_t s = 0; s < set->count; s++)
		if (set->tops[s].left < set->tops[s].equals)
			return true;
	return set->sums;
}

static inline int find_order(const struct method_args *args,
			     const struct scan *scan,
			     const struct top_k_set *set)
{
	const struct scan_step step = {
		.partial_size = set->count * sizeof(struct order_part),
		.add = order_add,
		.fold = order_fold,
		.ctx = set,
	};
	struct top_k *tops = set->tops;
	int rc;

	if (!needs_order(set))
		return 0;
	rc = scan_run(scan, 0, args->elements, &step, tops);
	for (size_t s = 0; s < set->count; s++)
		tops[s].selected += (double)tops[s].left *
				    (double)float_from_bits(tops[s].threshold);
	return rc;
}

static inline void cut_add(const struct method_args *args,
			   const struct tile *tile, const void *ctx,
			   void *partial)
{
	float values[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct cut_pass *pass = ctx;
	struct cut_part *part = partial;

	pass->set->values(args, tile, pass->top->input, values);
	for (size_t k = 0; k < tile->count; k++) {
		if (magnitude(values[k]) != pass->top->threshold)
			continue;
		part->seen++;
		if (part->seen == pass->top->block_left)
			part->cut = tile->first + k + 1;
	}
}

static inline void cut_fold(const struct method_args *args, const void *ctx,
			    void *total, const void *partial)
{
	memcpy(total, partial, sizeof(struct cut_part));
}

static inline int find_cut(const struct method_args *args,
			   const struct scan *scan, const struct top_k_set *set,
			   struct top_k *top)
{
	const struct cut_pass pass = { set, top };
	const struct scan_step step = {
		.partial_size = sizeof(struct cut_part),
		.add = cut_add,
		.fold = cut_fold,
		.ctx = &pass,
	};
	struct cut_part found = { 0 };
	uint64_t count;
	int rc;

	top->cut = UINT64_MAX;
	if (top->left == top->equals)
		return 0;
	count = min_u64(SCAN_BLOCK_ELEMENTS, args->elements - top->block);
	rc = scan_run(scan, top->block, count, &step, &found);
	top->cut = found.cut;
	return rc;
}

/* Bytes of scratch memory that top_k_find() needs for `count` selections. */
static inline size_t top_k_scratch_size(size_t count)
{
	return histogram_size(count, digit_bits(count));
}

/* Make all selections that have a k; `sums` asks for their sums, too. */
static inline int top_k_find(const struct method_args *args,
			     const struct scan *scan,
			     const struct top_k_set *set, void *scratch)
{
	int rc;

	for (size_t s = 0; s < set->count; s++)
		set->tops[s].left = set->tops[s].k;
	rc = find_thresholds(args, scan, set, scratch);
	if (!rc)
		rc = find_order(args, scan, set);
	for (size_t s = 0; s < set->count && !rc; s++)
		if (set->tops[s].k)
			rc = find_cut(args, scan, set, &set->tops[s]);
	return rc;
}

#endif
