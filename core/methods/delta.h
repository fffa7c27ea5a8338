/*
 * The task vector of a model (Ilharco et al., "Editing Models with Task
 * Arithmetic", 2023): what it has beyond the base that it starts from.
 */
#ifndef LMFS_METHODS_DELTA_H
#define LMFS_METHODS_DELTA_H

#include "core/methods/body.h"

/* Of input i, for which method_is_model(). */
static inline void task_delta(const struct method_args *args,
			      const struct tile *tile, size_t i,
			      float *restrict delta)
{
	const float *restrict origin = tile->in[method_origin(args, i)];
	const float *restrict x = tile->in[i];
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		delta[k] = R(x[k] - origin[k]);
}

/* sum += factor * delta, as torch rounds it. */
static inline void task_add_scaled(float *restrict sum,
				   const float *restrict delta, float factor,
				   size_t count)
{
	for (size_t k = 0; k < count; k++)
		sum[k] += R(delta[k] * factor);
}

/* The base, and the sum that stands in its place so far. */
static inline void task_onto_base(const struct method_args *args,
				  const struct tile *tile)
{
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + R(out[k]));
}

/* For a scan_step whose partial result is one sum an input. */
static inline void fold_sums(const struct method_args *args, const void *ctx,
			     void *total, const void *partial)
{
	const double *part = partial;
	double *sums = total;

	for (size_t i = 0; i < args->inputs; i++)
		sums[i] += part[i];
}

#endif
