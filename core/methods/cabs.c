/*
 * cabs: task vectors that share no element, pruned evenly (Yang et al., "CABS:
 * Conflict-Aware and Balanced Sparsification for Enhancing Model Merging",
 * 2025).
 *
 *	delta_i = x_i - base
 *	mask_i	keeps, of every m_i consecutive elements of the flattened
 *		tensor, the n_i greatest |delta_i| among those that no mask
 *		before it keeps
 *	out = base + sum_i w_i mask_i delta_i
 *
 * Models come in the order of the recipe. Where fewer than n_i elements of a
 * block are free, or differ from the base, mask_i keeps those: an element that
 * a model leaves as it is stays free for the next. Of equal magnitudes the
 * lowest index is kept first. The last block of a tensor may be short, and n_i
 * of it are kept all the same.
 *
 * Blocks are whole within a tile of 1,024 elements, so m_i is a power of two up
 * to that; there is no state.
 */
#include "core/methods/delta.h"

#define CABS_BLOCK_MAX TILE_ELEMENTS
/* Up to this many elements are ranked, each against each; a greater block is
 * searched for the magnitude that n elements reach. */
#define CABS_RANKED_MAX 8

enum {
	CABS_WEIGHT,
	CABS_N,
	CABS_M,
	CABS_DEFAULT_N,
	CABS_DEFAULT_M,
};

/* One task vector of a tile. Unused elements are 0, of no size, not kept. */
struct pruning {
	float delta[TILE_ELEMENTS];
	/* |delta| as an integer of the same order, NaN the greatest; 0: neither
	 * free nor different. */
	int32_t size[TILE_ELEMENTS];
	int32_t keep[TILE_ELEMENTS]; /* 0 or 1 */
} __attribute__((aligned(64)));

static size_t own_or_default(const struct method_args *args, size_t own,
			     size_t shared, size_t i)
{
	double value = method_value(args, own, i);

	return (size_t)(isnan(value) ? method_value(args, shared, 0) : value);
}

static size_t kept_of(const struct method_args *args, size_t i)
{
	return own_or_default(args, CABS_N, CABS_DEFAULT_N, i);
}

static size_t block_of(const struct method_args *args, size_t i)
{
	return own_or_default(args, CABS_M, CABS_DEFAULT_M, i);
}

static const char *check(const struct method_args *args)
{
	for (size_t i = 0; i < args->inputs; i++) {
		size_t n = kept_of(args, i), m = block_of(args, i);

		if (i == args->base)
			continue;
		if (m & (m - 1))
			return "m_val is not a power of two; blocks of 2, 4, "
			       "8 and so on up to 1024 elements can be pruned";
		if (n > m)
			return "n_val is greater than m_val; n_val of every "
			       "m_val elements are kept, as in 64 of 256";
	}
	return NULL;
}

static void find_delta(const struct method_args *args, const struct tile *tile,
		       size_t i, const int32_t *restrict taken,
		       struct pruning *p)
{
	const float *restrict base = tile->in[args->base];
	const float *restrict x = tile->in[i];
	size_t count = tile->count;

	memset(p->size, 0, sizeof(p->size));
	memset(p->keep, 0, sizeof(p->keep));
	for (size_t k = 0; k < count; k++) {
		float delta = R(x[k] - base[k]);
		int32_t bits = (int32_t)(float_bits(delta) & 0x7fffffffu);
		int32_t size = isnan(delta) ? 0x7fc00000 : bits;

		p->delta[k] = delta;
		p->size[k] = taken[k] ? 0 : size;
	}
}

/* An element is kept unless n elements come before it. The loops are unrolled
 * where m is a constant. */
static ALWAYS_INLINE void rank_block(const int32_t *restrict size, size_t m,
				     size_t n, int32_t *restrict keep)
{
	int32_t before[CABS_RANKED_MAX] = { 0 };

	for (size_t j = 0; j < m; j++)
		for (size_t k = 0; k < m; k++)
			before[k] += size[j] > size[k] - (j < k);
	for (size_t k = 0; k < m; k++)
		keep[k] = size[k] > 0 && before[k] < (int32_t)n;
}

static void keep_ranked(const int32_t *size, size_t m, size_t n, int32_t *keep)
{
	if (m == 8)
		rank_block(size, 8, n, keep);
	else if (m == 4)
		rank_block(size, 4, n, keep);
	else
		rank_block(size, m, n, keep);
}

static size_t count_from(const int32_t *restrict size, size_t m, int32_t least)
{
	int32_t count = 0;

	for (size_t k = 0; k < m; k++)
		count += size[k] >= least;
	return (size_t)count;
}

/* The size that n elements reach, from its highest bit down; *enough: exactly
 * n do. 0: fewer than n have any size. */
static int32_t find_least(const int32_t *size, size_t m, size_t n, bool *enough)
{
	int32_t least = 0;

	*enough = false;
	for (int32_t bit = 1 << 30; bit > 0 && !*enough; bit >>= 1) {
		size_t count = count_from(size, m, least | bit);

		least |= count >= n ? bit : 0;
		*enough = count == n;
	}
	return least;
}

static void keep_greatest(const int32_t *restrict size, size_t m, size_t n,
			  int32_t *restrict keep)
{
	bool enough;
	int32_t least = find_least(size, m, n, &enough);
	int32_t sure = least + (least > 0 && !enough);
	size_t more;

	/* Whatever has a size, where fewer do. */
	sure = max_u64((uint64_t)sure, 1);
	for (size_t k = 0; k < m; k++)
		keep[k] = size[k] >= sure;
	if (least == 0 || enough)
		return;
	more = n - count_from(size, m, sure);
	for (size_t k = 0; more > 0; k++) {
		keep[k] |= size[k] == least;
		more -= size[k] == least;
	}
}

static void prune(size_t count, size_t m, size_t n, struct pruning *p)
{
	for (size_t at = 0; n > 0 && at < count; at += m) {
		if (m <= CABS_RANKED_MAX)
			keep_ranked(p->size + at, m, n, p->keep + at);
		else
			keep_greatest(p->size + at, m, n, p->keep + at);
	}
}

static void cabs_tile(const struct method_args *args, const void *state,
		      const struct tile *tile)
{
	int32_t taken[TILE_ELEMENTS] __attribute__((aligned(64))) = { 0 };
	float *restrict out = tile->out;
	size_t count = tile->count;
	struct pruning p;

	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < args->inputs; i++) {
		float weight = R((float)method_value(args, CABS_WEIGHT, i));

		if (i == args->base)
			continue;
		find_delta(args, tile, i, taken, &p);
		prune(count, block_of(args, i), kept_of(args, i), &p);
		for (size_t k = 0; k < count; k++) {
			float wd = R(p.delta[k] * weight);

			out[k] += p.keep[k] ? wd : 0;
			taken[k] |= p.keep[k];
		}
	}
	task_onto_base(args, tile);
}

/* n and m of a model, or of all where they are given no other. */
#define CABS_COUNT(option, scope_, min_, fallback_, help_)                     \
	{                                                                      \
		.name = (option), .type = OPTION_INT, .scope = (scope_),       \
		.fallback = (fallback_), .min = (min_), .max = CABS_BLOCK_MAX, \
		.help = (help_),                                               \
	}

static const struct method_option options[] = {
	[CABS_WEIGHT] = {
		.name = "weight",
		.type = OPTION_FLOAT,
		.scope = OPTION_PER_MODEL,
		.fallback = 1,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "factor of this model's task vector",
	},
	[CABS_N] = CABS_COUNT("n_val", OPTION_PER_MODEL, 0, OPTION_UNSET,
			      "elements kept of each block; else default_n_val"),
	[CABS_M] = CABS_COUNT("m_val", OPTION_PER_MODEL, 1, OPTION_UNSET,
			      "elements of a block, a power of two; else "
			      "default_m_val"),
	[CABS_DEFAULT_N] = CABS_COUNT("default_n_val", OPTION_GLOBAL, 0, 64,
				      "n_val of models that have none"),
	[CABS_DEFAULT_M] = CABS_COUNT("default_m_val", OPTION_GLOBAL, 1, 256,
				      "m_val of models that have none"),
};

METHOD(cabs) = {
	.name = "cabs",
	.summary = "the greatest elements of every block, each of one model",
	.version = 1,
	.element_ps = 1000,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.whole_tiles = true,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.check = check,
	.tile = cabs_tile,
};
