/*
 * The sparsifier of della and della_linear (Deep, Bhardwaj and Poria,
 * "DELLA-Merging: Reducing Interference in Model Merging through
 * Magnitude-Based Sampling", 2024): every element of a task vector is kept by
 * a coin of its own (core/rng.h, or a stream's numbers), the greater ones of a
 * row more often:
 *
 *	delta'_i = delta_i m_i S0 / S1		m_i ~ Bernoulli(p)
 *	p = density - epsilon + 2 epsilon r / (C-1)
 *	S0 = sum |delta_i|	S1 = sum |delta_i m_i|	over the tensor
 *
 * where r = 0 .. C-1 is the rank of |delta_i| among the C elements of its row,
 * which is a run of the last dimension (row_ranks.h: equal magnitudes have one
 * rank). Without `rescale` the factor is 1. density <= 0 keeps nothing. The
 * state is a factor for every input; it takes a ranking of all rows, as making
 * them does again: masks would be as large as a model.
 *
 * mergekit matches the L1 norm so. SEMANTICS_PAPER divides what is kept by its
 * own p instead, which keeps the expectation of each element and takes no state
 * (rank_divisors.h). The paper's window of chances is 2 epsilon.
 */
#ifndef LMFS_METHODS_DELLA_H
#define LMFS_METHODS_DELLA_H

#include "core/methods/dare.h"
#include "core/methods/della_draw.h"
#include "core/methods/rank_divisors.h"

enum { DELLA_EPSILON = TASK_OPTIONS_COUNT, DELLA_OPTIONS_COUNT };

/* What della_sparsify() gets for a state: the masks of rows in the making. */
struct della_masks {
	const float *factors; /* NULL: all are 1 */
	unsigned char *kept;  /* `count` for each input */
	float *divisors;      /* NULL, or the same in place of `kept` */
	uint64_t first;
	size_t count;
};

static inline bool della_draws(const struct method_args *args, size_t i)
{
	double density = task_density(args, i);

	return method_is_model(args, i) && density > 0 && density < 1;
}

static inline const char *della_check(const struct method_args *args)
{
	for (size_t i = 0; i < args->inputs; i++) {
		double density = task_density(args, i);
		double epsilon = fabs(method_value(args, DELLA_EPSILON, i));

		if (della_draws(args, i) &&
		    !(density - epsilon > 0 && density + epsilon < 1))
			return "density - epsilon and density + epsilon must "
			       "lie between 0 and 1; change epsilon (0.15 "
			       "where it is not given) or the density (1 "
			       "keeps all)";
	}
	return NULL;
}

/* The masks are divisors, too. */
static inline bool della_divides(const struct method_args *args)
{
	return task_rescales(args) && args->semantics == SEMANTICS_PAPER;
}

static inline size_t della_state_size(const struct method_args *args)
{
	if (!task_matches_norm(args))
		return 0;
	for (size_t i = 0; i < args->inputs; i++)
		if (della_draws(args, i))
			return args->inputs * sizeof(float);
	return 0;
}

static inline size_t della_rows_scratch(const struct method_args *args,
					size_t count)
{
	size_t each = della_divides(args) ? sizeof(float) : 1;

	return rank_work_size(args->cols) + args->inputs * count * each;
}

/* Rank a row, the elements from `at` on of the rows at hand. */
static inline struct chance della_rank_row(const struct method_args *args,
					   const struct tile *rows, size_t i,
					   size_t at, struct rank_work *work)
{
	const float *restrict origin = rows->in[method_origin(args, i)] + at;
	const float *restrict x = rows->in[i] + at;
	uint32_t *restrict magnitudes = work->magnitudes;
	size_t cols = args->cols;
	double epsilon = method_value(args, DELLA_EPSILON, i);
	const struct chance chance = {
		.low = RS((float)(task_density(args, i) - epsilon)),
		.epsilon = (float)epsilon,
		.last = (uint32_t)(cols - 1),
		.stream = rows->draws != NULL,
	};

	for (size_t k = 0; k < cols; k++)
		magnitudes[k] = magnitude(R(x[k] - origin[k]));
	work->leftover_count = 0;
	work->member_count = 0;
	ranks_count(work, cols);
	ranks_bound(work, &chance);
	return chance;
}

/* The mask of one row. */
static inline void della_mask_row(const struct method_args *args,
				  const struct tile *rows, size_t i, size_t at,
				  struct rank_work *work, unsigned char *kept)
{
	uint32_t draws[TILE_ELEMENTS] __attribute__((aligned(64)));
	struct chance chance = della_rank_row(args, rows, i, at, work);
	size_t cols = args->cols;

	for (size_t k = 0; k < cols; k += TILE_ELEMENTS) {
		size_t count = min_u64(TILE_ELEMENTS, cols - k);

		della_draw(args, rows, i, at + k, count, draws);
		ranks_settle(work, draws, k, count, kept);
	}
	ranks_finish(work, cols, &chance, kept);
}

/* The same as divisors. */
static inline void della_divisor_row(const struct method_args *args,
				     const struct tile *rows, size_t i,
				     size_t at, struct rank_work *work,
				     float *divisors)
{
	uint32_t draws[TILE_ELEMENTS] __attribute__((aligned(64)));
	struct chance chance = della_rank_row(args, rows, i, at, work);
	size_t cols = args->cols;

	for (size_t k = 0; k < cols; k += TILE_ELEMENTS) {
		size_t count = min_u64(TILE_ELEMENTS, cols - k);

		della_draw(args, rows, i, at + k, count, draws);
		divisors_later(work, draws, k, count, divisors);
	}
	divisors_finish(work, cols, &chance, divisors);
}

/* The masks of one input, row by row. */
static inline void della_mask_input(const struct method_args *args,
				    const struct tile *rows, size_t i,
				    struct rank_work *work,
				    const struct della_masks *masks)
{
	size_t from = i * rows->count;

	for (size_t at = 0; at < rows->count; at += args->cols)
		if (masks->divisors)
			della_divisor_row(args, rows, i, at, work,
					  masks->divisors + from + at);
		else
			della_mask_row(args, rows, i, at, work,
				       masks->kept + from + at);
}

/* The masks of all inputs that have one, in the rows' scratch. */
static inline struct della_masks della_mask(const struct method_args *args,
					    const void *state,
					    const struct tile *rows)
{
	struct rank_work work = rank_work_at(rows->scratch, args->cols);
	unsigned char *memory =
		(unsigned char *)rows->scratch + rank_work_size(args->cols);
	struct della_masks masks = {
		.factors = state,
		.kept = memory,
		.divisors =
			della_divides(args) ? (float *)(void *)memory : NULL,
		.first = rows->first,
		.count = rows->count,
	};

	for (size_t i = 0; i < args->inputs; i++)
		if (della_draws(args, i))
			della_mask_input(args, rows, i, &work, &masks);
	return masks;
}

static inline void della_drop(const struct della_masks *masks,
			      const struct tile *tile, size_t i,
			      float *restrict delta)
{
	const unsigned char *restrict kept =
		masks->kept + i * masks->count + (tile->first - masks->first);
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		delta[k] *= (float)kept[k];
}

/* What is dropped becomes 0 here, too: it is divided by infinity. */
static inline void della_divide(const struct della_masks *masks,
				const struct tile *tile, size_t i,
				float *restrict delta)
{
	const float *restrict divisors = masks->divisors + i * masks->count +
					 (tile->first - masks->first);
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		delta[k] = R(delta[k] / divisors[k]);
}

static inline void della_sparsify(const struct method_args *args,
				  const void *state, const struct tile *tile,
				  size_t i, float *delta)
{
	const struct della_masks *masks = state;
	size_t count = tile->count;

	if (task_density(args, i) >= 1)
		return;
	if (!della_draws(args, i)) {
		memset(delta, 0, count * sizeof(*delta));
		return;
	}
	if (masks->divisors) {
		della_divide(masks, tile, i, delta);
		return;
	}
	della_drop(masks, tile, i, delta);
	if (!masks->factors)
		return;
	for (size_t k = 0; k < count; k++)
		delta[k] = R(delta[k] * masks->factors[i]);
}

/* The inputs' tile that begins `at` elements into the rows. */
static inline struct tile della_tile(const struct method_args *args,
				     const struct tile *rows, size_t at,
				     const float *in[METHOD_INPUTS_MAX])
{
	for (size_t i = 0; i < args->inputs; i++)
		in[i] = rows->in[i] + at;
	return (struct tile){
		.first = rows->first + at,
		.count = min_u64(TILE_ELEMENTS, rows->count - at),
		.in = in,
	};
}

/* task_sum() or task_elect() over whole rows. */
static inline void
della_make(const struct method_args *args, const void *state,
	   const struct tile *rows,
	   void (*combine)(const struct method_args *args, const void *state,
			   const struct tile *tile, task_sparsify *sparsify))
{
	struct della_masks masks = della_mask(args, state, rows);
	const float *in[METHOD_INPUTS_MAX];

	for (size_t at = 0; at < rows->count; at += TILE_ELEMENTS) {
		struct tile tile = della_tile(args, rows, at, in);

		tile.out = rows->out + at;
		combine(args, &masks, &tile, della_sparsify);
	}
}

static inline void della_add(const struct method_args *args,
			     const struct tile *rows, const void *ctx,
			     void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	struct della_masks masks = della_mask(args, NULL, rows);
	const float *in[METHOD_INPUTS_MAX];
	struct dare_sums *sums = partial;

	for (size_t at = 0; at < rows->count; at += TILE_ELEMENTS) {
		struct tile tile = della_tile(args, rows, at, in);

		for (size_t i = 0; i < args->inputs; i++) {
			if (!della_draws(args, i))
				continue;
			task_delta(args, &tile, i, delta);
			sums[i].before += lanes_abs(delta, tile.count);
			della_drop(&masks, &tile, i, delta);
			sums[i].after += lanes_abs(delta, tile.count);
		}
	}
}

static inline int della_reduce(const struct method_args *args,
			       const struct scan *scan, void *state,
			       void *scratch)
{
	const struct scan_step step = {
		.partial_size = dare_scratch_size(args),
		.add = della_add,
		.fold = dare_fold,
	};
	const struct dare_sums *sums = scratch;
	float *factors = state;
	int rc = scan_run(scan, 0, args->elements, &step, scratch);

	for (size_t i = 0; i < args->inputs && !rc; i++)
		if (della_draws(args, i))
			factors[i] = dare_factor(&sums[i]);
	return rc;
}

#define DELLA_OPTIONS(normalize)                                               \
	{                                                                      \
		TASK_OPTION_ROWS(-INFINITY, "share of the elements kept",      \
				 normalize, 1),                                \
			[DELLA_EPSILON] = {                                    \
				.name = "epsilon",                             \
				.type = OPTION_FLOAT,                          \
				.scope = OPTION_PER_MODEL,                     \
				.in_state = true,                              \
				.fallback = 0.15,                              \
				.min = -INFINITY,                              \
				.max = INFINITY,                               \
				.help = "how far the share of a row's "        \
					"greatest and least elements is from " \
					"density",                             \
			},                                                     \
	}

#endif
