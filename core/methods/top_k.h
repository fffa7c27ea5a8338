/*
 * The k elements of greatest magnitude, of every task vector or of what else a
 * method selects by, over the whole tensor; of equal magnitudes those of lower
 * flat index come first, so that exactly k are selected. The result is the k-th
 * magnitude, and an index before which elements of just that magnitude are
 * selected.
 *
 * The survey (magnitudes.h) tells the bin that the k-th magnitude lies in. One
 * pass then gathers what is in the bin: of every block of the scan the
 * magnitudes that occur there, and how often. They are few, be it that few
 * elements lie in the bin or that their magnitudes are equal, and they tell the
 * k-th of all, and in which block the last one selected lies; that block alone
 * is read once more where not all that equal the k-th are selected.
 *
 * A bin that does not look like that, on a sample of the blocks where it has
 * many elements, is crowded: a pass divides it by its next bits first. So a
 * selection takes one pass after the survey, two where a bin is crowded (three
 * where only later blocks show it). Nothing is sorted, and memory does not grow
 * with the tensor beyond a bound.
 */
#ifndef LMFS_METHODS_TOP_K_H
#define LMFS_METHODS_TOP_K_H

#include "core/methods/gather.h"

struct cut_pass {
	const struct top_k_set *set;
	const struct top_k *top;
};

struct cut_part {
	uint64_t seen;
	uint64_t cut;
};

static inline void cut_add(const struct method_args *args,
			   const struct tile *tile, const void *ctx,
			   void *partial)
{
	float values[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct cut_pass *pass = ctx;
	struct cut_part *part = partial;

	pass->set->values(args, tile, pass->top->input, values);
	for (size_t k = 0; k < tile->count; k++) {
		if (magnitude(values[k]) != pass->top->threshold.least)
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
	uint64_t first = top->block * SCAN_BLOCK_ELEMENTS;
	struct cut_part found = { 0 };
	int rc;

	top->cut = UINT64_MAX;
	if (top->left == top->equals)
		return 0;
	rc = scan_run(scan, first,
		      min_u64(SCAN_BLOCK_ELEMENTS, args->elements - first),
		      &step, &found);
	top->cut = found.cut;
	return rc;
}

/* Gather for all that are sought, and settle those that are not crowded: how
 * many remain, or -errno. */
static inline int gather_all(const struct method_args *args,
			     const struct scan *scan, struct gather_pass *pass)
{
	const struct top_k_set *set = pass->set;
	int remain = 0;
	int rc;

	for (size_t s = 0; s < set->count; s++)
		set->tops[s].gathered_count = 0;
	rc = gather(args, scan, pass, 0, args->elements);
	for (size_t s = 0; s < set->count && !rc; s++) {
		if (set->tops[s].sought && !set->tops[s].crowded)
			settle(&set->tops[s]);
		remain += set->tops[s].sought;
	}
	return rc ? rc : remain;
}

/* Make all selections that have a k. */
static inline int top_k_find(const struct method_args *args,
			     const struct scan *scan,
			     const struct top_k_set *set, void *scratch)
{
	struct gather_pass pass = { set, gathered_room(args, set->count), 0 };
	int remain = 0;
	int rc;

	for (size_t s = 0; s < set->count; s++) {
		struct top_k *top = &set->tops[s];

		top->gathered = (struct gathered *)scratch + s * pass.room;
		if (!top->k)
			continue;
		find_bin(top);
		remain++;
	}
	rc = gather_sample(args, scan, &pass);
	while (!rc && remain > 0) {
		rc = divide_crowded(args, scan, set, scratch);
		remain = rc ? 0 : gather_all(args, scan, &pass);
		rc = remain < 0 ? remain : rc;
	}
	for (size_t s = 0; s < set->count && !rc; s++)
		if (set->tops[s].k)
			rc = find_cut(args, scan, set, &set->tops[s]);
	return rc;
}

#endif
