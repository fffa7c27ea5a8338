/*
 * The sparsifier of dare_linear and dare_ties (Yu et al., "Language Models are
 * Super Mario", 2024): every element of a task vector is kept with probability
 * p = density, by a coin of its own (core/rng.h, or a stream's numbers).
 *
 *	delta'_i = delta_i m_i S0 / S1		m_i ~ Bernoulli(p)
 *	S0 = sum |delta_i|	S1 = sum |delta_i m_i|	over the tensor
 *
 * Without `rescale` the factor is 1. The state is a factor for every input.
 *
 * mergekit matches the L1 norm so. SEMANTICS_PAPER divides by p instead, which
 * keeps the expectation of each element and takes no state:
 *
 *	delta'_i = delta_i m_i / p		p = 0: 0
 */
#ifndef LMFS_METHODS_DARE_H
#define LMFS_METHODS_DARE_H

#include "core/methods/task_family.h"

struct dare_sums {
	double before, after;
};

/* The probability with which an element is kept. */
static inline float dare_chance(const struct method_args *args, size_t i)
{
	return RS((float)task_density(args, i));
}

/* task_factor() in the type that random sparsifiers work in. */
static inline float dare_factor(const struct dare_sums *sums)
{
	float s0 = RS((float)sums->before);
	float s1 = RS((float)sums->after);
	float least = RS(TASK_NORM_MIN);

	if (s0 < least || s1 < least)
		return 1;
	return (float)one_nan((double)RS(s0 / s1));
}

/* Multiply the dropped elements by 0. A tile lies in one block of draws. */
static inline void dare_drop(const struct method_args *args,
			     const struct tile *tile, size_t i, float *delta)
{
	const uint32_t *numbers = tile->draws ? tile->draws[i] : NULL;
	uint64_t threshold =
		rng_threshold_of(numbers, (double)dare_chance(args, i));
	uint32_t last = (uint32_t)(threshold - 1);
	float kept = threshold > 0 ? 1 : 0;
	uint32_t first = (uint32_t)(tile->first % RNG_BLOCK);
	uint32_t count = (uint32_t)tile->count;
	struct rng_key key;

	if (numbers) {
		for (uint32_t k = 0; k < count; k++)
			delta[k] *=
				rng_stream_draw(numbers[k]) <= last ? kept : 0;
		return;
	}
	key = rng_block_key(args->seed, args->positions[i], args->name,
			    tile->first / RNG_BLOCK);
	for (uint32_t k = 0; k < count; k++)
		delta[k] *= rng_draw(key, first + k) <= last ? kept : 0;
}

/* What the paper makes of what is kept. */
static inline void dare_divide(const struct method_args *args, size_t i,
			       float *restrict delta, size_t count)
{
	float p = dare_chance(args, i);

	if (!task_rescales(args) || !(p > 0))
		return;
	for (size_t k = 0; k < count; k++)
		delta[k] = R(delta[k] / p);
}

static inline void dare_sparsify(const struct method_args *args,
				 const void *state, const struct tile *tile,
				 size_t i, float *delta)
{
	size_t count = tile->count;
	float factor;

	if (task_density(args, i) >= 1)
		return;
	dare_drop(args, tile, i, delta);
	if (args->semantics == SEMANTICS_PAPER)
		dare_divide(args, i, delta, count);
	if (!state)
		return;
	factor = ((const float *)state)[i];
	for (size_t k = 0; k < count; k++)
		delta[k] = R(delta[k] * factor);
}

static inline bool dare_draws(const struct method_args *args, size_t i)
{
	return method_is_model(args, i) && task_density(args, i) < 1;
}

static inline size_t dare_state_size(const struct method_args *args)
{
	if (!task_matches_norm(args))
		return 0;
	for (size_t i = 0; i < args->inputs; i++)
		if (dare_draws(args, i))
			return args->inputs * sizeof(float);
	return 0;
}

static inline size_t dare_scratch_size(const struct method_args *args)
{
	return args->inputs * sizeof(struct dare_sums);
}

static inline void dare_add(const struct method_args *args,
			    const struct tile *tile, const void *ctx,
			    void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	struct dare_sums *sums = partial;

	for (size_t i = 0; i < args->inputs; i++) {
		if (!dare_draws(args, i))
			continue;
		task_delta(args, tile, i, delta);
		sums[i].before += lanes_abs(delta, tile->count);
		dare_drop(args, tile, i, delta);
		sums[i].after += lanes_abs(delta, tile->count);
	}
}

static inline void dare_fold(const struct method_args *args, const void *ctx,
			     void *total, const void *partial)
{
	const struct dare_sums *part = partial;
	struct dare_sums *sums = total;

	for (size_t i = 0; i < args->inputs; i++) {
		sums[i].before += part[i].before;
		sums[i].after += part[i].after;
	}
}

static inline int dare_reduce(const struct method_args *args,
			      const struct scan *scan, void *state,
			      void *scratch)
{
	const struct scan_step step = {
		.partial_size = dare_scratch_size(args),
		.add = dare_add,
		.fold = dare_fold,
	};
	const struct dare_sums *sums = scratch;
	float *factors = state;
	int rc = scan_run(scan, 0, args->elements, &step, scratch);

	if (rc)
		return rc;
	for (size_t i = 0; i < args->inputs; i++)
		if (dare_draws(args, i))
			factors[i] = dare_factor(&sums[i]);
	return 0;
}

#define DARE_DENSITY_HELP "probability with which an element is kept"

#endif
