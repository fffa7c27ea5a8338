/*
 * Task vectors of one bit an element and one number a tensor (Liu et al.,
 * "BitDelta: Your Fine-Tune May Only Be Worth One Bit", 2024):
 *
 *	s_i = mean |delta_i| over the tensor
 *	b_i = s_i where delta_i >= 0, else -s_i
 *
 * These are the scales that least squares give, before the authors'
 * distillation, which takes data. What bitdelta and task_arithmetic share: the
 * state, the s_i of the inputs whose value of one option is not 0; all others
 * are left as they are.
 */
#ifndef LMFS_METHODS_ONE_BIT_H
#define LMFS_METHODS_ONE_BIT_H

#include "core/methods/delta.h"

static inline bool one_bit_is(const struct method_args *args, size_t option,
			      size_t i)
{
	return method_is_model(args, i) && method_value(args, option, i) != 0;
}

static inline size_t one_bit_state_size(const struct method_args *args,
					size_t option)
{
	for (size_t i = 0; i < args->inputs; i++)
		if (one_bit_is(args, option, i))
			return args->inputs * sizeof(float);
	return 0;
}

static inline size_t one_bit_scratch_size(const struct method_args *args)
{
	return args->inputs * sizeof(double);
}

static inline void one_bit_add(const struct method_args *args,
			       const struct tile *tile, const void *ctx,
			       void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	const size_t *option = ctx;
	double *sums = partial;

	for (size_t i = 0; i < args->inputs; i++) {
		if (!one_bit_is(args, *option, i))
			continue;
		task_delta(args, tile, i, delta);
		sums[i] += lanes_abs(delta, tile->count);
	}
}

static inline int one_bit_reduce(const struct method_args *args, size_t option,
				 const struct scan *scan, void *state,
				 void *scratch)
{
	const struct scan_step step = {
		.partial_size = one_bit_scratch_size(args),
		.add = one_bit_add,
		.fold = fold_sums,
		.ctx = &option,
	};
	const double *sums = scratch;
	float *scales = state;
	int rc = scan_run(scan, 0, args->elements, &step, scratch);

	if (rc || !args->elements)
		return rc;
	for (size_t i = 0; i < args->inputs; i++)
		scales[i] = R((float)one_nan(sums[i] / (double)args->elements));
	return 0;
}

/* The delta of an input that one_bit_is(), in place. */
static inline void one_bit_make(const void *state, size_t i, size_t count,
				float *restrict delta)
{
	float scale = ((const float *)state)[i];

	for (size_t k = 0; k < count; k++)
		delta[k] = delta[k] < 0 ? -scale : scale;
}

#endif
