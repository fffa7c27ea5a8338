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

#endif
