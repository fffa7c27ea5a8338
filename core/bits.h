/*
 * A binary32 and its bits, for the files that are compiled once a CPU level.
 */
#ifndef LMFS_BITS_H
#define LMFS_BITS_H

#include "core/base/base.h"

static inline uint32_t float_bits(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static inline float float_from_bits(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

#endif
