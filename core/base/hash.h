/*
 * XXH3-128, the one hash of the project: cache keys, checksums, the sums that
 * people compare, and the keys of random masks. The value of a hash never
 * depends on the machine: canonical (big-endian) order, 32 hex digits.
 */
#ifndef LMFS_HASH_H
#define LMFS_HASH_H

#include "core/base/base.h"

#define HASH_HEX_LEN 32

struct hash128 {
	uint64_t hi, lo;
};

struct hasher; /* a hash in the making; one thread at a time */

#define AUTO_HASHER AUTO(hasher_auto_close)

struct hash128 hash_bytes(const void *data, size_t len);

struct hasher *hasher_open(void); /* NULL: no memory */
void hasher_add(struct hasher *hasher, const void *data, size_t len);
struct hash128 hasher_value(const struct hasher *hasher); /* of all so far */
void hasher_close(struct hasher *hasher);		  /* NULL is fine */
static inline void hasher_auto_close(struct hasher *const *hasher)
{
	hasher_close(*hasher);
}

static inline bool hash_equal(struct hash128 a, struct hash128 b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* 32 lower-case hex digits and a NUL. */
void hash_hex(struct hash128 hash, char out[HASH_HEX_LEN + 1]);

#endif
