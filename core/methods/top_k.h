/*
 * The k elements of greatest magnitude of every task vector, over the whole
 * tensor; of equal magnitudes those of lower flat index come first, so that
 * exactly k are selected. The result is the k-th magnitude, and an index before
 * which elements of just that magnitude are selected.
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

/* The selection of one input. All zero but for `k` before it begins. */
struct top_k {
	uint64_t k;	    /* 0: not for this input; at most the elements */
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

struct digit_pass {
	const struct top_k *tops;
	unsigned shift; /* bits below this pass's */
	unsigned bits;	/* of this pass */
};

struct order_pass {
	const struct top_k *tops;
	bool sums;
};

struct order_part {
	uint64_t equals;
	double all, above;
};

struct cut_pass {
	const struct top_k *top;
	size_t input;
};

struct cut_part {
	uint64_t seen;
	uint64_t cut;
};

static inline uint32_t magnitude(float x)
{
	return float_bits(x) & MAGNITUDE_MASK;
}

static inline size_t histogram_size(const struct method_args *args,
				    unsigned bits)
{
	return args->inputs * sizeof(uint64_t) << bits;
}

static inline unsigned digit_bits(const struct method_args *args)
{
	if (histogram_size(args, DIGIT_BITS_WIDE) <= HISTOGRAM_BYTES_MAX)
		return DIGIT_BITS_WIDE;
	return DIGIT_BITS_NARROW;
}

static inline void digit_add(const struct method_args *args,
			     const struct tile *tile, const void *ctx,
			     void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct digit_pass *pass = ctx;
	uint32_t mask = (1u << pass->bits) - 1;
	size_t count = tile->count;

	for (size_t i = 0; i < args->inputs; i++) {
		uint64_t *histogram = (uint64_t *)partial + (i << pass->bits);
		uint32_t known = pass->tops[i].threshold;

		if (!pass->tops[i].k)
			continue;
		task_delta(args, tile, i, delta);
		for (size_t k = 0; k < count; k++) {
			uint32_t bits = magnitude(delta[k]) >> pass->shift;

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

	for (size_t b = 0; b < args->inputs << pass->bits; b++)
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

static inline int find_thresholds(const struct method_args *args,
				  const struct scan *scan, struct top_k *tops,
				  uint64_t *histogram)
{
	unsigned shift = MAGNITUDE_BITS;

	while (shift > 0) {
		unsigned bits = (unsigned)min_u64(shift, digit_bits(args));
		const struct digit_pass pass = { tops, shift - bits, bits };
		const struct scan_step step = {
			.partial_size = histogram_size(args, bits),
			.commutes = true,
			.add = digit_add,
			.fold = digit_fold,
			.ctx = &pass,
		};
		int rc;

		memset(histogram, 0, step.partial_size);
		rc = scan_run(scan, 0, args->elements, &step, histogram);
		if (rc)
			return rc;
		for (size_t i = 0; i < args->inputs; i++)
			if (tops[i].k)
				take_digit(&tops[i], histogram + (i << bits),
					   bits);
		shift -= bits;
	}
	return 0;
}

static inline void order_add(const struct method_args *args,
			     const struct tile *tile, const void *ctx,
			     void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct order_pass *pass = ctx;
	struct order_part *parts = partial;
	size_t count = tile->count;

	for (size_t i = 0; i < args->inputs; i++) {
		uint32_t threshold = pass->tops[i].threshold;
		size_t equals = 0;

		if (!pass->tops[i].k)
			continue;
		task_delta(args, tile, i, delta);
		for (size_t k = 0; k < count; k++)
			equals += magnitude(delta[k]) == threshold;
		parts[i].equals += equals;
		if (!pass->sums)
			continue;
		parts[i].all += lanes_abs(delta, tile->count);
		for (size_t k = 0; k < count; k++)
			delta[k] *= magnitude(delta[k]) > threshold ? 1 : 0;
		parts[i].above += lanes_abs(delta, tile->count);
	}
}

/* Blocks come in order: `block` stays where the last one selected lies. */
static inline void order_fold(const struct method_args *args, const void *ctx,
			      void *total, const void *partial)
{
	const struct order_part *parts = partial;
	struct top_k *tops = total;

	for (size_t i = 0; i < args->inputs; i++) {
		struct top_k *top = &tops[i];
		uint64_t missing = top->left - min_u64(top->left, top->passed);

		if (missing && missing <= parts[i].equals)
			top->block_left = missing;
		if (!top->block_left)
			top->block += SCAN_BLOCK_ELEMENTS;
		top->passed += parts[i].equals;
		top->all += parts[i].all;
		top->selected += parts[i].above;
	}
}

static inline bool needs_order(const struct method_args *args,
			       const struct top_k *tops)
{
	for (size_t i = 0; i < args->inputs; i++)
		if (tops[i].left < tops[i].equals)
			return true;
	return false;
}

static inline int find_order(const struct method_args *args,
			     const struct scan *scan, struct top_k *tops,
			     bool sums)
{
	const struct order_pass pass = { tops, sums };
	const struct scan_step step = {
		.partial_size = args->inputs * sizeof(struct order_part),
		.add = order_add,
		.fold = order_fold,
		.ctx = &pass,
	};
	int rc;

	if (!sums && !needs_order(args, tops))
		return 0;
	rc = scan_run(scan, 0, args->elements, &step, tops);
	for (size_t i = 0; i < args->inputs; i++)
		tops[i].selected += (double)tops[i].left *
				    (double)float_from_bits(tops[i].threshold);
	return rc;
}

static inline void cut_add(const struct method_args *args,
			   const struct tile *tile, const void *ctx,
			   void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct cut_pass *pass = ctx;
	struct cut_part *part = partial;

	task_delta(args, tile, pass->input, delta);
	for (size_t k = 0; k < tile->count; k++) {
		if (magnitude(delta[k]) != pass->top->threshold)
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
			   const struct scan *scan, struct top_k *top, size_t i)
{
	const struct cut_pass pass = { top, i };
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

/* Bytes of scratch memory that top_k_find() needs. */
static inline size_t top_k_scratch_size(const struct method_args *args)
{
	return histogram_size(args, digit_bits(args));
}

/* Select for all inputs with a k; `sums` asks for the sums, too. */
static inline int top_k_find(const struct method_args *args,
			     const struct scan *scan, struct top_k *tops,
			     void *scratch, bool sums)
{
	int rc;

	for (size_t i = 0; i < args->inputs; i++)
		tops[i].left = tops[i].k;
	rc = find_thresholds(args, scan, tops, scratch);
	if (!rc)
		rc = find_order(args, scan, tops, sums);
	for (size_t i = 0; i < args->inputs && !rc; i++)
		if (tops[i].k)
			rc = find_cut(args, scan, &tops[i], i);
	return rc;
}

#endif
