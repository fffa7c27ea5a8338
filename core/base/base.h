/*
 * What every file of the project starts from: attributes, cleanup on scope
 * exit, checked arithmetic, and the list of functions nobody may call.
 *
 * A local that owns something is declared AUTO_FREE, AUTO_FD or AUTO_<noun>;
 * it is released on every way out of the scope. Ownership leaves the scope
 * with TAKE(x) (pointers) or TAKE_FD(fd).
 */
#ifndef LMFS_BASE_H
#define LMFS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/banned.h"

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_USE __attribute__((warn_unused_result))
#define AUTO(destroy) __attribute__((cleanup(destroy)))
#define AUTO_FREE AUTO(auto_free)
#define AUTO_FD AUTO(auto_fd)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Give up a pointer or a descriptor: the value of x, and x is empty. */
#define TAKE(x)                             \
	({                                  \
		__typeof__(x) taken_ = (x); \
		(x) = NULL;                 \
		taken_;                     \
	})
#define TAKE_FD(x)                \
	({                        \
		int taken_ = (x); \
		(x) = -1;         \
		taken_;           \
	})

/*
 * The CPU levels that kernels and methods are compiled for, lowest first. One
 * translation unit a level; the level is chosen at run time (core/kernels.h).
 */
#if defined(__x86_64__) && !defined(LLMERGEFS_BASELINE)
#define CPU_LEVELS(X) X(baseline) X(avx2) X(avx512)
#define CPU_HAS(feature) __builtin_cpu_supports(feature)
#else
#define CPU_LEVELS(X) X(baseline)
#define CPU_HAS(feature) 0
#endif

static inline void auto_free(void *ptr)
{
	void *owned;

	memcpy(&owned, ptr, sizeof(owned));
	free(owned);
}

static inline void auto_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Checked arithmetic for numbers that come from files: false on overflow. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The least multiple of `unit` that is not below x; unit > 0. */
static inline uint64_t round_up_u64(uint64_t x, uint64_t unit)
{
	return (x + unit - 1) / unit * unit;
}

#endif
