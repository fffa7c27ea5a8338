/*
 * What task_arithmetic, ties and dare share (Ilharco et al., "Editing Models
 * with Task Arithmetic", 2023): task vectors of the models other than the base,
 *
 *	delta_i = x_i - base		made sparse, as the method does;
 *			from a base of the model's own where it has one (a chat
 *			vector: Huang et al., "Chat Vector", 2023)
 *	wd_i = w_i delta_i
 *	mixed = sum_i m_i wd_i		div = sum_i m_i w_i
 *	out = base + lambda mixed	normalize: lambda mixed / div
 *
 * where m_i is 1 without election; with election (Yadav et al., "TIES-Merging",
 * 2023) it is 1 for the models whose wd_i has the sign of sum_i wd_i, where a
 * sum of 0 counts as positive, and 0 for all others and for wd_i = 0. A divisor
 * that is 0 (without election: below 1e-8) is replaced by 1.
 *
 * mergekit elects so; how SEMANTICS_PAPER does is in task_elect.h. Without
 * election both are the same.
 *
 * Sums start from 0 and follow the order of the recipe. What is not kept is
 * multiplied by 0, so that an infinity among it makes a NaN, as in mergekit.
 */
#ifndef LMFS_METHODS_TASK_FAMILY_H
#define LMFS_METHODS_TASK_FAMILY_H

#include "core/methods/delta.h"

#define TASK_DIVISOR_MIN 1e-8f
#define TASK_NORM_MIN 1e-7f

enum task_option {
	TASK_WEIGHT,
	TASK_DENSITY,
	TASK_NORMALIZE,
	TASK_RESCALE,
	TASK_LAMBDA,
	TASK_INT8_MASK,
	TASK_OPTIONS_COUNT
};

/* The options of a method of the family: what differs between them. */
#define TASK_OPTIONS(density_min, density_help, normalize, rescale)    \
	{                                                              \
		TASK_OPTION_ROWS(density_min, density_help, normalize, \
				 rescale)                              \
	}

/* The same without braces, for a method with options of its own. */
#define TASK_OPTION_ROWS(density_min, density_help, normalize, rescale) \
	[TASK_WEIGHT] = {						\
		.name = "weight",					\
		.type = OPTION_FLOAT,					\
		.scope = OPTION_PER_MODEL,				\
		.required = true,					\
		.fallback = OPTION_UNSET,				\
		.min = -INFINITY,					\
		.max = INFINITY,					\
		.help = "factor of this model's task vector",		\
	},								\
	[TASK_DENSITY] = {						\
		.name = "density",					\
		.type = OPTION_FLOAT,					\
		.scope = OPTION_PER_MODEL,				\
		.in_state = true,					\
		.fallback = 1,						\
		.min = (density_min),					\
		.max = INFINITY,					\
		.help = (density_help),					\
	},								\
	[TASK_NORMALIZE] = {						\
		.name = "normalize",					\
		.type = OPTION_BOOL,					\
		.scope = OPTION_GLOBAL,					\
		.fallback = (normalize),				\
		.min = 0,						\
		.max = 1,						\
		.help = "divide by the sum of the weights",		\
	},								\
	[TASK_RESCALE] = {						\
		.name = "rescale",					\
		.type = OPTION_BOOL,					\
		.scope = OPTION_GLOBAL,					\
		.in_state = true,					\
		.fallback = (rescale),					\
		.min = 0,						\
		.max = 1,						\
		.help = "give a sparse task vector its L1 norm back",	\
	},								\
	[TASK_LAMBDA] = {						\
		.name = "lambda",					\
		.type = OPTION_FLOAT,					\
		.scope = OPTION_GLOBAL,					\
		.fallback = 1,						\
		.min = -INFINITY,					\
		.max = INFINITY,					\
		.help = "factor of the sum of all task vectors",	\
	},								\
	[TASK_INT8_MASK] = {						\
		.name = "int8_mask",					\
		.type = OPTION_BOOL,					\
		.scope = OPTION_GLOBAL,					\
		.fallback = 0,						\
		.min = 0,						\
		.max = 1,						\
		.help = "accepted, as in mergekit; changes nothing",	\
	}

static inline double task_density(const struct method_args *args, size_t i)
{
	return method_value(args, TASK_DENSITY, i);
}

static inline bool task_rescales(const struct method_args *args)
{
	return method_value(args, TASK_RESCALE, 0) != 0;
}

/* Whether random masks give the L1 norm back; the papers do it otherwise. */
static inline bool task_matches_norm(const struct method_args *args)
{
	return task_rescales(args) && args->semantics != SEMANTICS_PAPER;
}

/* |delta| of the whole tensor before and after: what gives the norm back. */
static inline float task_factor(double before, double after)
{
	float s0 = R((float)before);
	float s1 = R((float)after);
	float least = R(TASK_NORM_MIN);

	if (s0 < least || s1 < least)
		return 1;
	return (float)one_nan((double)R(s0 / s1));
}

/* Makes the task_delta() of input i sparse, in place, where its options say so.
 */
typedef void task_sparsify(const struct method_args *args, const void *state,
			   const struct tile *tile, size_t i, float *delta);

static inline void task_sparse(const struct method_args *args,
			       const void *state, const struct tile *tile,
			       task_sparsify *sparsify, size_t i, float *delta)
{
	task_delta(args, tile, i, delta);
	if (sparsify)
		sparsify(args, state, tile, i, delta);
}

static inline float task_weight(const struct method_args *args, size_t i)
{
	return R((float)method_value(args, TASK_WEIGHT, i));
}

static inline void task_weighted(const struct method_args *args,
				 const void *state, const struct tile *tile,
				 task_sparsify *sparsify, size_t i, float *wd)
{
	float w = task_weight(args, i);
	size_t count = tile->count;

	task_sparse(args, state, tile, sparsify, i, wd);
	for (size_t k = 0; k < count; k++)
		wd[k] = R(wd[k] * w);
}

/* tile->out holds `mixed`; `div` is used where the options say so. */
static inline void task_finish(const struct method_args *args,
			       const struct tile *tile,
			       const float *restrict div)
{
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	double lambda = method_value(args, TASK_LAMBDA, 0);
	size_t count = tile->count;

	if (method_value(args, TASK_NORMALIZE, 0))
		for (size_t k = 0; k < count; k++)
			out[k] = R(out[k] / div[k]);
	if (lambda != 1)
		for (size_t k = 0; k < count; k++)
			out[k] = R(out[k] * (float)lambda);
	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + out[k]);
}

/* sum += x */
static inline void task_add(float *restrict sum, const float *restrict x,
			    size_t count)
{
	for (size_t k = 0; k < count; k++)
		sum[k] += x[k];
}

static inline float task_divisor(const struct method_args *args)
{
	float div = 0;

	for (size_t i = 0; i < args->inputs; i++)
		if (method_is_model(args, i))
			div += task_weight(args, i);
	div = R(div);
	return fabsf(div) < R(TASK_DIVISOR_MIN) ? 1 : div;
}

/* Without election. */
static inline void task_sum(const struct method_args *args, const void *state,
			    const struct tile *tile, task_sparsify *sparsify)
{
	float buffer[TILE_ELEMENTS] __attribute__((aligned(64)));
	float divisor = task_divisor(args);
	float *restrict out = tile->out;
	size_t count = tile->count;

	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < args->inputs; i++) {
		if (!method_is_model(args, i))
			continue;
		task_weighted(args, state, tile, sparsify, i, buffer);
		task_add(out, buffer, count);
	}
	for (size_t k = 0; k < count; k++) {
		out[k] = R(out[k]);
		buffer[k] = divisor;
	}
	task_finish(args, tile, buffer);
}

/* For merge_method.check of methods whose papers do not rescale. */
static inline const char *task_check_paper(const struct method_args *args)
{
	if (args->semantics != SEMANTICS_PAPER || !task_rescales(args))
		return NULL;
	return "llmergefs.semantics: paper has no rescale: the paper leaves "
	       "what is kept as it is; take rescale away, or the semantics";
}

#endif
