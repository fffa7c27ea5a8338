/*
 * One object on disk: a header of 64 bytes, then the payload as it is. Every
 * byte of the header follows from the key and the payload, so that a reader
 * checks it by making it anew: no flipped bit, wrong key or wrong length gets
 * through, and there is nothing to parse.
 */
#ifndef LMFS_OBJECT_H
#define LMFS_OBJECT_H

#include <stdatomic.h>

#include "core/base/hash.h"

enum { OBJECT_HEADER_BYTES = 64 };

/*
 * Fill `size` bytes at data from the file: 0, -EBADMSG where it is not the
 * object that was asked for, whole and sound, or -errno.
 */
int object_read(int fd, struct hash128 key, void *data, size_t size);

/*
 * Check an object of any size, piece by piece: 0, -EBADMSG where it is not the
 * one of this key, whole and sound, or -errno.
 */
int object_check(int fd, struct hash128 key);

/* Bytes of a file. */
struct object_range {
	uint64_t off, size;
};

/*
 * Hash a range piece by piece: 0, -EBADMSG where the file ends before it, as it
 * may meanwhile, -EINTR once *stop is set (may be NULL), or -errno.
 */
int object_hash(int fd, struct object_range range, const atomic_bool *stop,
		struct hash128 *hash);

/* Write an object from the start of an empty file: 0 or -errno. */
int object_write(int fd, struct hash128 key, const void *data, size_t size);

/* Bytes of the file of a payload. */
static inline uint64_t object_bytes(size_t size)
{
	return OBJECT_HEADER_BYTES + (uint64_t)size;
}

#endif
