/*
 * ties: trim, elect signs, merge what agrees (Yadav et al., "TIES-Merging:
 * Resolving Interference When Merging Models", 2023); election and sum are in
 * task_family.h. Of every task vector the k elements of greatest magnitude are
 * kept,
 *
 *	k = max(1, trunc(density N))	of the N elements of the tensor,
 *
 * where of equal magnitudes those of lower flat index are kept first, so that
 * exactly k are. With `rescale` what is kept is multiplied by S0 / S1, the sums
 * of magnitudes before and after. density <= 0 keeps nothing, density >= 1 all.
 *
 * The state holds, for every input, the magnitude of the k-th element and the
 * index before which elements of just that magnitude are kept. It is found by a
 * radix selection on the 31 bits of magnitudes, whose order is that of the
 * numbers: each pass counts the elements of every value of the next bits among
 * those that agree with the bits known so far. Then one pass in order, where it
 * is needed, finds the block in which the last kept of the equals lies, and a
 * pass over that block finds the element.
 */
#include "core/methods/task_family.h"

#define MAGNITUDE_BITS 31
#define MAGNITUDE_MASK 0x7fffffffu

/* Bits a pass: the more, the fewer passes, and the larger the histograms. */
#define DIGIT_BITS_WIDE 16
#define DIGIT_BITS_NARROW 11
#define HISTOGRAM_BYTES_MAX (2u << 20)

struct trim {
	uint64_t cut; /* elements equal to the threshold are kept before it */
	uint32_t threshold; /* bits of a magnitude; greater ones are kept */
	float factor;	    /* of what is kept; 1 without rescale */
};

/* An input's selection in the making. */
struct pick {
	bool active;	 /* 0 < density < 1 */
	uint32_t prefix; /* the bits of the k-th magnitude known so far */
	uint64_t left;	 /* how many of those with that prefix are kept */
	uint64_t equals; /* how many there are */
	/* Of the pass in order: */
	uint64_t passed;      /* equals in the blocks so far */
	uint64_t block;	      /* where the last kept of the equals lies */
	uint64_t block_left;  /* how many of that block are kept */
	double above, before; /* sums of magnitudes */
};

/* The histograms follow the picks in the scratch memory. */
struct digit_pass {
	const struct pick *picks;
	unsigned shift; /* bits below this pass's */
	unsigned bits;	/* of this pass */
};

struct order_part {
	uint64_t equals;
	double above, before;
};

struct cut_search {
	size_t input;
	uint32_t threshold;
	uint64_t wanted; /* which of the equals, from 1 */
};

struct cut_part {
	uint64_t seen;
	uint64_t index; /* after the wanted one */
};

static uint32_t magnitude(float x)
{
	return float_bits(x) & MAGNITUDE_MASK;
}

static bool is_trimmed(const struct method_args *args, size_t i)
{
	double density = task_density(args, i);

	return i != args->base && density > 0 && density < 1;
}

static uint64_t kept_count(const struct method_args *args, size_t i)
{
	double k = task_density(args, i) * (double)args->elements;

	return max_u64(1, (uint64_t)k);
}

static unsigned digit_bits(const struct method_args *args)
{
	size_t wide = args->inputs * sizeof(uint64_t) << DIGIT_BITS_WIDE;

	return wide <= HISTOGRAM_BYTES_MAX ? DIGIT_BITS_WIDE
					   : DIGIT_BITS_NARROW;
}

static size_t histogram_size(const struct method_args *args, unsigned bits)
{
	return args->inputs * sizeof(uint64_t) << bits;
}

static size_t state_size(const struct method_args *args)
{
	for (size_t i = 0; i < args->inputs; i++)
		if (is_trimmed(args, i))
			return args->inputs * sizeof(struct trim);
	return 0;
}

static size_t scratch_size(const struct method_args *args)
{
	return args->inputs * sizeof(struct pick) +
	       histogram_size(args, digit_bits(args));
}

static void digit_add(const struct method_args *args, const struct tile *tile,
		      const void *ctx, void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct digit_pass *pass = ctx;
	uint32_t mask = (1u << pass->bits) - 1;

	for (size_t i = 0; i < args->inputs; i++) {
		uint64_t *histogram = (uint64_t *)partial + (i << pass->bits);
		uint32_t prefix = pass->picks[i].prefix;

		if (!pass->picks[i].active)
			continue;
		task_delta(args, tile, i, delta);
		for (size_t k = 0; k < tile->count; k++) {
			uint32_t bits = magnitude(delta[k]) >> pass->shift;

			if (bits >> pass->bits == prefix)
				histogram[bits & mask]++;
		}
	}
}

static void digit_fold(const struct method_args *args, const void *ctx,
		       void *total, const void *partial)
{
	const struct digit_pass *pass = ctx;
	const uint64_t *part = partial;
	uint64_t *sum = total;

	for (size_t b = 0; b < args->inputs << pass->bits; b++)
		sum[b] += part[b];
}

/* Go down from the greatest value until `left` elements are passed. */
static void pick_digit(struct pick *pick, const uint64_t *histogram,
		       unsigned bits)
{
	uint32_t digit = (1u << bits) - 1;

	while (histogram[digit] < pick->left && digit > 0)
		pick->left -= histogram[digit--];
	pick->equals = histogram[digit];
	pick->prefix = pick->prefix << bits | digit;
}

static int pick_thresholds(const struct method_args *args,
			   const struct scan *scan, struct pick *picks,
			   uint64_t *histogram)
{
	unsigned shift = MAGNITUDE_BITS;

	while (shift > 0) {
		unsigned bits = min_u64(shift, digit_bits(args));
		const struct digit_pass pass = { picks, shift - bits, bits };
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
			if (picks[i].active)
				pick_digit(&picks[i], histogram + (i << bits),
					   bits);
		shift -= bits;
	}
	return 0;
}

static void order_add(const struct method_args *args, const struct tile *tile,
		      const void *ctx, void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct pick *picks = ctx;
	struct order_part *parts = partial;

	for (size_t i = 0; i < args->inputs; i++) {
		uint32_t threshold = picks[i].prefix;

		if (!picks[i].active)
			continue;
		task_delta(args, tile, i, delta);
		for (size_t k = 0; k < tile->count; k++)
			parts[i].equals += magnitude(delta[k]) == threshold;
		if (!task_rescales(args))
			continue;
		parts[i].before += lanes_abs(delta, tile->count);
		for (size_t k = 0; k < tile->count; k++)
			delta[k] *= magnitude(delta[k]) > threshold ? 1 : 0;
		parts[i].above += lanes_abs(delta, tile->count);
	}
}

static void order_fold(const struct method_args *args, const void *ctx,
		       void *total, const void *partial)
{
	const struct order_part *parts = partial;
	struct pick *picks = total;

	for (size_t i = 0; i < args->inputs; i++) {
		struct pick *pick = &picks[i];

		if (pick->passed < pick->left &&
		    pick->passed + parts[i].equals >= pick->left)
			pick->block_left = pick->left - pick->passed;
		if (!pick->block_left)
			pick->block += SCAN_BLOCK_ELEMENTS;
		pick->passed += parts[i].equals;
		pick->before += parts[i].before;
		pick->above += parts[i].above;
	}
}

static void cut_add(const struct method_args *args, const struct tile *tile,
		    const void *ctx, void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct cut_search *search = ctx;
	struct cut_part *part = partial;

	task_delta(args, tile, search->input, delta);
	for (size_t k = 0; k < tile->count; k++) {
		if (magnitude(delta[k]) != search->threshold)
			continue;
		part->seen++;
		if (part->seen == search->wanted)
			part->index = tile->first + k + 1;
	}
}

static void cut_fold(const struct method_args *args, const void *ctx,
		     void *total, const void *partial)
{
	memcpy(total, partial, sizeof(struct cut_part));
}

static int find_cut(const struct method_args *args, const struct scan *scan,
		    const struct pick *pick, size_t input, uint64_t *cut)
{
	const struct cut_search search = {
		.input = input,
		.threshold = pick->prefix,
		.wanted = pick->block_left,
	};
	const struct scan_step step = {
		.partial_size = sizeof(struct cut_part),
		.add = cut_add,
		.fold = cut_fold,
		.ctx = &search,
	};
	uint64_t count =
		min_u64(SCAN_BLOCK_ELEMENTS, args->elements - pick->block);
	struct cut_part found = { 0 };
	int rc = scan_run(scan, pick->block, count, &step, &found);

	*cut = found.index;
	return rc;
}

/* Whether the pass in order has anything to find. */
static bool needs_order(const struct method_args *args,
			const struct pick *picks)
{
	if (task_rescales(args))
		return true;
	for (size_t i = 0; i < args->inputs; i++)
		if (picks[i].active && picks[i].left < picks[i].equals)
			return true;
	return false;
}

static int order(const struct method_args *args, const struct scan *scan,
		 struct pick *picks)
{
	const struct scan_step step = {
		.partial_size = args->inputs * sizeof(struct order_part),
		.add = order_add,
		.fold = order_fold,
		.ctx = picks,
	};

	if (!needs_order(args, picks))
		return 0;
	return scan_run(scan, 0, args->elements, &step, picks);
}

static int settle(const struct method_args *args, const struct scan *scan,
		  const struct pick *pick, size_t i, struct trim *trim)
{
	double equal = (double)float_from_bits(pick->prefix);

	trim->threshold = pick->prefix;
	trim->cut = UINT64_MAX;
	trim->factor = 1;
	if (task_rescales(args))
		trim->factor = task_factor(
			pick->before, pick->above + (double)pick->left * equal);
	if (pick->left == pick->equals)
		return 0;
	return find_cut(args, scan, pick, i, &trim->cut);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	struct pick *picks = scratch;
	uint64_t *histogram = (void *)(picks + args->inputs);
	struct trim *trims = state;
	int rc;

	for (size_t i = 0; i < args->inputs; i++) {
		picks[i].active = is_trimmed(args, i);
		if (picks[i].active)
			picks[i].left = kept_count(args, i);
	}
	rc = pick_thresholds(args, scan, picks, histogram);
	if (!rc)
		rc = order(args, scan, picks);
	for (size_t i = 0; i < args->inputs && !rc; i++)
		if (picks[i].active)
			rc = settle(args, scan, &picks[i], i, &trims[i]);
	return rc;
}

static void sparsify(const struct method_args *args, const void *state,
		     const struct tile *tile, size_t i, float *delta)
{
	const struct trim *trim = (const struct trim *)state + i;
	uint32_t cut;

	if (!is_trimmed(args, i)) {
		memset(delta, 0, tile->count * sizeof(*delta));
		return;
	}
	cut = (uint32_t)min_u64(tile->count,
				max_u64(trim->cut, tile->first) - tile->first);
	for (uint32_t k = 0; k < tile->count; k++) {
		uint32_t size = magnitude(delta[k]);
		/* Without short circuits, which would keep it off vectors. */
		bool kept = (size > trim->threshold) |
			    ((size == trim->threshold) & (k < cut));

		delta[k] *= kept ? 1 : 0;
	}
	if (!task_rescales(args))
		return;
	for (size_t k = 0; k < tile->count; k++)
		delta[k] = R(delta[k] * trim->factor);
}

static void ties_tile(const struct method_args *args, const void *state,
		      const struct tile *tile)
{
	task_elect(args, state, tile, sparsify);
}

static const struct method_option options[TASK_OPTIONS_COUNT] = TASK_OPTIONS(
	-INFINITY, "share of the elements kept, the greatest first", 1, 0);

METHOD(ties) = {
	.name = "ties",
	.summary = "greatest elements of task vectors, signs elected",
	.version = 1,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = task_unchanged,
	.state_size = state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.tile = ties_tile,
};
