/*
 * arcee_fusion: take from the model b only what matters most, and leave the
 * rest as it is in the base a (Arcee AI, "Arcee Fusion", 2025).
 *
 *	score = |b - a| KL(row)		KL: of the element's row (row_kl.h)
 *	limit = q2 + 1.5 (q3 - q1)	q_i: the quartiles of the scores
 *	out = a + (b - a) [ score >= limit ]
 *
 * The quartiles are exact: the scores of rank i (N - 1) / 4, from 0, among the
 * N elements of the tensor, found by a radix selection over their bits.
 * (mergekit takes them from a random million of a greater tensor, and finds the
 * divergence in binary32, whose rounding is a thousandth of it and more.)
 */
#include "core/methods/row_kl.h"

#define QUARTILES 3
#define SCORE_BITS 32
#define SCORE_DIGIT_BITS 16
#define SCORE_HISTOGRAM_SIZE (QUARTILES * sizeof(uint64_t) << SCORE_DIGIT_BITS)

#define OUTLIER_RANGES 1.5f

struct fusion {
	float limit;
	float divergence[]; /* of every row */
};

/* The search for one quartile: the bits known of it, its rank among those. */
struct quartile {
	uint32_t bits;
	uint64_t rank;
};

struct score_pass {
	const float *divergence;
	const struct quartile *quartiles;
	unsigned shift; /* bits below this pass's */
	unsigned bits;	/* of this pass */
};

static size_t other(const struct method_args *args)
{
	return 1 - args->base;
}

static size_t state_size(const struct method_args *args)
{
	return sizeof(struct fusion) + kl_rows(args) * sizeof(float);
}

static size_t scratch_size(const struct method_args *args)
{
	return max_u64(kl_rows(args) * sizeof(struct kl_row),
		       SCORE_HISTOGRAM_SIZE);
}

/* A score's bits as a number of the same order; NaN is the greatest. */
static inline uint32_t score_key(float score)
{
	uint32_t bits = float_bits(score);

	if (isnan(score))
		return UINT32_MAX;
	return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static inline float score_of_key(uint32_t key)
{
	if (key == UINT32_MAX)
		return (float)NAN;
	return float_from_bits(key >> 31 ? key & 0x7fffffffu : ~key);
}

/* What a tile's elements would change by, and how much that matters. */
static void find_scores(const struct method_args *args, const struct tile *tile,
			const float *divergence, float *restrict change,
			float *restrict score)
{
	const float *restrict a = tile->in[args->base];
	const float *restrict b = tile->in[other(args)];
	size_t k = 0;

	while (k < tile->count) {
		uint64_t row = (tile->first + k) / args->cols;
		uint64_t left = (row + 1) * args->cols - tile->first;
		size_t end = min_u64(left, tile->count);
		float kl = divergence[row];

		for (; k < end; k++) {
			change[k] = R(b[k] - a[k]);
			score[k] = R(fabsf(change[k]) * kl);
		}
	}
}

static void score_add(const struct method_args *args, const struct tile *tile,
		      const void *ctx, void *partial)
{
	float change[TILE_ELEMENTS] __attribute__((aligned(64)));
	float score[TILE_ELEMENTS] __attribute__((aligned(64)));
	uint32_t keys[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct score_pass *pass = ctx;
	uint32_t mask = (1u << pass->bits) - 1;
	uint64_t *histogram = partial;
	size_t count = tile->count;

	find_scores(args, tile, pass->divergence, change, score);
	for (size_t k = 0; k < count; k++)
		keys[k] = score_key(score[k]) >> pass->shift;
	for (size_t q = 0; q < QUARTILES; q++, histogram += mask + 1)
		for (size_t k = 0; k < count; k++) {
			uint32_t key = keys[k];

			if (key >> pass->bits == pass->quartiles[q].bits)
				histogram[key & mask]++;
		}
}

static void score_fold(const struct method_args *args, const void *ctx,
		       void *total, const void *partial)
{
	const struct score_pass *pass = ctx;
	const uint64_t *part = partial;
	uint64_t *sum = total;

	for (size_t h = 0; h < (size_t)QUARTILES << pass->bits; h++)
		sum[h] += part[h];
}

/* Go up from the least digit until the element of the rank is reached. */
static void take_digit(struct quartile *quartile, const uint64_t *histogram,
		       unsigned bits)
{
	uint32_t last = (1u << bits) - 1;
	uint32_t digit = 0;

	while (digit < last && quartile->rank >= histogram[digit])
		quartile->rank -= histogram[digit++];
	quartile->bits = quartile->bits << bits | digit;
}

static int find_quartiles(const struct method_args *args,
			  const struct scan *scan, const float *divergence,
			  struct quartile quartiles[QUARTILES],
			  uint64_t *histogram)
{
	unsigned shift = SCORE_BITS;

	for (uint64_t q = 0; q < QUARTILES; q++)
		quartiles[q].rank = (q + 1) * (args->elements - 1) / 4;
	while (shift > 0) {
		unsigned bits = (unsigned)min_u64(shift, SCORE_DIGIT_BITS);
		const struct score_pass pass = { divergence, quartiles,
						 shift - bits, bits };
		const struct scan_step step = {
			.partial_size = QUARTILES * sizeof(uint64_t) << bits,
			.commutes = true,
			.add = score_add,
			.fold = score_fold,
			.ctx = &pass,
		};
		int rc;

		memset(histogram, 0, step.partial_size);
		rc = scan_run(scan, 0, args->elements, &step, histogram);
		if (rc)
			return rc;
		for (size_t q = 0; q < QUARTILES; q++)
			take_digit(&quartiles[q], histogram + (q << bits),
				   bits);
		shift -= bits;
	}
	return 0;
}

/* No divergence is below 0, but for rounding; mergekit's is, then. */
static float rounded_divergence(double kl)
{
	if (!ROUNDS && kl < 0)
		return 0;
	return R((float)one_nan(kl));
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	struct quartile quartiles[QUARTILES] = { 0 };
	const struct kl_row *rows = scratch;
	struct fusion *fusion = state;
	float value[QUARTILES];
	int rc = kl_find(args, scan, args->base, other(args), scratch);

	if (rc || !args->elements)
		return rc;
	for (uint64_t r = 0; r < kl_rows(args); r++)
		fusion->divergence[r] = rounded_divergence(rows[r].kl);
	rc = find_quartiles(args, scan, fusion->divergence, quartiles, scratch);
	if (rc)
		return rc;
	for (size_t q = 0; q < QUARTILES; q++)
		value[q] = score_of_key(quartiles[q].bits);
	fusion->limit =
		R(value[1] + R(OUTLIER_RANGES * R(value[2] - value[0])));
	fusion->limit = (float)one_nan((double)fusion->limit);
	return 0;
}

static void arcee_fusion_tile(const struct method_args *args, const void *state,
			      const struct tile *tile)
{
	float change[TILE_ELEMENTS] __attribute__((aligned(64)));
	float score[TILE_ELEMENTS] __attribute__((aligned(64)));
	const float *restrict a = tile->in[args->base];
	const struct fusion *fusion = state;
	float *restrict out = tile->out;
	float limit = fusion->limit;
	size_t count = tile->count;

	find_scores(args, tile, fusion->divergence, change, score);
	for (size_t k = 0; k < count; k++) {
		float taken = score[k] >= limit ? 1 : 0;

		/* mergekit's masks are binary32, and so is the result. */
		out[k] = a[k] + change[k] * taken;
	}
}

METHOD(arcee_fusion) = {
	.name = "arcee_fusion",
	.summary = "the base, with what matters most of one model",
	.version = 1,
	.element_ps = 130,
	.base = BASE_REQUIRED,
	.models_min = 1,
	.models_max = 1,
	.result_f32 = true,
	.missing = MISSING_LONE,
	.state_size = state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.tile = arcee_fusion_tile,
};
