/*
 * Election of signs in the methods of task_family.h. mergekit elects by
 *weighted task vectors and divides by the weights of those that agree;
 *SEMANTICS_PAPER does as the paper does (Yadav et al., "TIES-Merging", 2023):
 *all models have one vote, by their plain task vectors, and the divisor counts
 *them,
 *
 *	m_i = 1 where delta_i, sparse, has the sign of sum_i delta_i, else 0
 *	mixed = sum_i m_i w_i delta_i	div = max(1, sum_i m_i)
 *	out = base + lambda mixed	normalize: lambda mixed / div
 *
 * where a sum of 0 has no sign, and nothing is added. A weight scales what its
 * model adds, and neither its vote nor the divisor: with all weights 1 this is
 * the paper's mean under its lambda, and without `normalize` the sum of what
 * agrees. Left as it is: every tensor is trimmed by itself, where the paper
 *trims a model as one vector. (The paper's program gives elements of sum 0 the
 *sign that most of the model has; the formula in the paper gives them none.)
 */
#ifndef LMFS_METHODS_TASK_ELECT_H
#define LMFS_METHODS_TASK_ELECT_H

#include "core/methods/task_family.h"

/* Add what has the elected sign (1, -1, or 0: none), weighted, and count it. */
static inline void task_agree_plain(const float *restrict delta,
				    const float *restrict elected, float w,
				    const struct tile *tile,
				    float *restrict div)
{
	float *restrict mixed = tile->out;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++) {
		float agrees = delta[k] * elected[k] > 0 ? 1 : 0;

		mixed[k] += R(delta[k] * w) * agrees;
		div[k] += agrees;
	}
}

/* With the paper's election. */
static inline void task_elect_plain(const struct method_args *args,
				    const void *state, const struct tile *tile,
				    task_sparsify *sparsify)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	float elected[TILE_ELEMENTS] __attribute__((aligned(64)));
	float div[TILE_ELEMENTS] __attribute__((aligned(64)));
	float *restrict out = tile->out;
	size_t count = tile->count;

	memset(elected, 0, sizeof(elected));
	memset(div, 0, sizeof(div));
	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < args->inputs; i++) {
		if (!method_is_model(args, i))
			continue;
		task_sparse(args, state, tile, sparsify, i, delta);
		task_add(elected, delta, count);
	}
	for (size_t k = 0; k < count; k++)
		elected[k] = (float)(elected[k] > 0) - (float)(elected[k] < 0);
	for (size_t i = 0; i < args->inputs; i++) {
		float w = R((float)method_value(args, TASK_WEIGHT, i));

		if (!method_is_model(args, i))
			continue;
		task_sparse(args, state, tile, sparsify, i, delta);
		task_agree_plain(delta, elected, w, tile, div);
	}
	for (size_t k = 0; k < count; k++) {
		out[k] = R(out[k]);
		div[k] = div[k] == 0 ? 1 : div[k];
	}
	task_finish(args, tile, div);
}

/* With election. */
static inline void task_elect(const struct method_args *args, const void *state,
			      const struct tile *tile, task_sparsify *sparsify)
{
	if (args->semantics == SEMANTICS_PAPER)
		task_elect_plain(args, state, tile, sparsify);
	else
		task_elect_weighted(args, state, tile, sparsify);
}

#endif
