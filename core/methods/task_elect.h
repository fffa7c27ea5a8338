/*
 * Election of signs in the methods of task_family.h. mergekit elects by
 * weighted task vectors, and divides by the weights of those that agree. As
 * SEMANTICS_PAPER all models have one vote, by their plain task vectors, and
 * the divisor counts them (Yadav et al., "TIES-Merging", 2023; the authors'
 * program of DELLA elects so, too, with its weights of 1):
 *
 *	m_i = 1 where delta_i, sparse, has the sign of sum_i delta_i, else 0
 *	mixed = sum_i m_i w_i delta_i	div = max(1, sum_i m_i)
 *	out = base + lambda mixed	normalize: lambda mixed / div
 *
 * where a sum of 0 has no sign, and nothing is added. A weight scales what its
 * model adds, and neither its vote nor the divisor: with all weights 1 this is
 * the paper's mean under its lambda, and without `normalize` the sum of what
 * agrees. Left as it is: every tensor is trimmed by itself, where the paper
 * trims a model as one vector. (The authors' programs give elements of sum 0 a
 * sign, TIES that of most of the model, DELLA the positive one; the formula in
 * the paper of TIES gives them none.)
 */
#ifndef LMFS_METHODS_TASK_ELECT_H
#define LMFS_METHODS_TASK_ELECT_H

#include "core/methods/task_family.h"

/* A model votes with its task vector. So many votes are kept from the election
 * to the sum; those of more models are made twice. */
#define VOTES_KEPT 4

struct election {
	float votes[VOTES_KEPT][TILE_ELEMENTS] __attribute__((aligned(64)));
	float elected[TILE_ELEMENTS] __attribute__((aligned(64)));
	float div[TILE_ELEMENTS] __attribute__((aligned(64)));
};

static inline size_t voters(const struct method_args *args)
{
	size_t count = 0;

	for (size_t i = 0; i < args->inputs; i++)
		count += method_is_model(args, i);
	return count;
}

/* Where the n-th vote goes: those that are not kept share the last place. */
static inline float *vote_of(struct election *election, size_t n)
{
	return election->votes[min_u64(n, VOTES_KEPT - 1)];
}

static inline bool is_kept(size_t n, size_t models)
{
	return n < VOTES_KEPT - 1 || models <= VOTES_KEPT;
}

/* Add what has the elected sign (1, -1, or 0: none) to the sums. */
static ALWAYS_INLINE void task_agree(struct election *election,
				     const float *restrict vote, float w,
				     const struct tile *tile, bool paper)
{
	const float *restrict elected = election->elected;
	float *restrict mixed = tile->out;
	float *restrict div = election->div;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++) {
		float agrees = vote[k] * elected[k] > 0 ? 1 : 0;

		mixed[k] += (paper ? R(vote[k] * w) : vote[k]) * agrees;
		div[k] += (paper ? 1 : w) * agrees;
	}
}

static ALWAYS_INLINE void elected_signs(float *restrict sum, size_t count,
					bool paper)
{
	for (size_t k = 0; k < count; k++)
		if (paper)
			sum[k] = (float)(sum[k] > 0) - (float)(sum[k] < 0);
		else
			sum[k] = R(sum[k]) >= 0 ? 1 : -1;
}

typedef void task_vote(const struct method_args *args, const void *state,
		       const struct tile *tile, task_sparsify *sparsify,
		       size_t i, float *made);

static ALWAYS_INLINE void elect(const struct method_args *args,
				const void *state, const struct tile *tile,
				task_sparsify *sparsify, bool paper)
{
	struct election election;
	float *vote, *restrict out = tile->out;
	task_vote *const make_vote = paper ? task_sparse : task_weighted;
	size_t count = tile->count, models = voters(args);

	memset(election.elected, 0, count * sizeof(float));
	memset(election.div, 0, count * sizeof(float));
	memset(out, 0, count * sizeof(float));
	for (size_t i = 0, n = 0; i < args->inputs; i++) {
		if (!method_is_model(args, i))
			continue;
		vote = vote_of(&election, n++);
		make_vote(args, state, tile, sparsify, i, vote);
		task_add(election.elected, vote, count);
	}
	elected_signs(election.elected, count, paper);
	for (size_t i = 0, n = 0; i < args->inputs; i++) {
		if (!method_is_model(args, i))
			continue;
		vote = vote_of(&election, n);
		if (!is_kept(n++, models))
			make_vote(args, state, tile, sparsify, i, vote);
		task_agree(&election, vote, task_weight(args, i), tile, paper);
	}
	for (size_t k = 0; k < count; k++) {
		float div = R(election.div[k]);

		out[k] = R(out[k]);
		election.div[k] = div == 0 ? 1 : div;
	}
	task_finish(args, tile, election.div);
}

/* With election. */
static inline void task_elect(const struct method_args *args, const void *state,
			      const struct tile *tile, task_sparsify *sparsify)
{
	if (args->semantics == SEMANTICS_PAPER)
		elect(args, state, tile, sparsify, true);
	else
		elect(args, state, tile, sparsify, false);
}

#endif
