/*
 * Conversion between stored elements and binary32, once per CPU level. All
 * levels give the same bits for all inputs. Stores round to nearest even and
 * write one quiet NaN (0x7fc00000, 0x7e00, 0x7fc0); -0, subnormals and
 * infinities are kept. Loads and stores take any alignment of the bytes.
 *
 * And the loops of the generator MT19937, whose meanings are in
 * core/mt19937_loops.h.
 */
#ifndef LMFS_KERNELS_H
#define LMFS_KERNELS_H

#include "core/dtype.h"
#include "core/method.h"

struct kernels {
	/* NULL where dtype_info(d)->arithmetic is false. */
	void (*load[DTYPE_COUNT])(float *dst, const void *src, size_t count);
	void (*store[DTYPE_COUNT])(void *dst, const float *src, size_t count);
	/* In place to the nearest value of the type; NULL: nothing to do. */
	void (*round[DTYPE_COUNT])(float *x, size_t count);
	/* How many elements would be stored as infinity or NaN. */
	size_t (*nonfinite[DTYPE_COUNT])(const float *x, size_t count);
	void (*mt19937_twist)(uint32_t *x, size_t count);
	void (*mt19937_temper)(const uint32_t *x, size_t count,
			       uint32_t *numbers);
	void (*mt19937_add_windows)(uint32_t *sum, const uint32_t *x,
				    const uint16_t *at, size_t count);
};

const struct kernels *kernels_at(enum cpu_level level);

/* The best level that this CPU runs. */
enum cpu_level cpu_level_best(void);

/* "baseline", "avx2", "avx512". */
const char *cpu_level_name(enum cpu_level level);

/* False: no such level, or not on this CPU. */
bool cpu_level_by_name(const char *name, enum cpu_level *level);

#endif
