/*
 * The sum over a tile of a scan of products that are rounded first, as those of
 * sum(a * b) are in mergekit.
 */
#ifndef LMFS_METHODS_ROUNDED_DOT_H
#define LMFS_METHODS_ROUNDED_DOT_H

#include "core/methods/body.h"

static inline double lanes_dot_rounded(const float *a, const float *b,
				       size_t count)
{
	double lanes[LANES] = { 0 };
	size_t k = 0;

	for (; k + LANES <= count; k += LANES)
		for (size_t j = 0; j < LANES; j++)
			lanes[j] += (double)R(a[k + j] * b[k + j]);
	for (size_t j = 0; k + j < count; j++)
		lanes[j] += (double)R(a[k + j] * b[k + j]);
	return lanes_total(lanes);
}

#endif
