/*
 * The file of an object; all numbers are little-endian:
 *
 *	 0       8         12  16       32       40   48          64
 *	+-------+---------+---+--------+--------+----+-----------+---------
 *	| magic | version | 0 | key    | length | 0  | XXH3-128  | payload
 *	|       |         |   | hi, lo |        |    | of the    |
 *	|       |         |   |        |        |    | payload   |
 *	+-------+---------+---+--------+--------+----+-----------+---------
 *
 * The payload starts at a multiple of 64. The version is raised whenever this
 * drawing changes; an object of another version is a bad one.
 */
#include <endian.h>
#include <errno.h>

#include "cache/object.h"
#include "core/base/file.h"

#define OBJECT_MAGIC "lmfsobj"
#define OBJECT_VERSION 1

struct header {
	char magic[8];
	uint32_t version, zero;
	uint64_t key_hi, key_lo;
	uint64_t length, zeros;
	uint64_t check_hi, check_lo;
};
_Static_assert(sizeof(struct header) == OBJECT_HEADER_BYTES, "as drawn");

enum { PIECE_BYTES = 1 << 20 };

static struct header header_of(struct hash128 key, uint64_t size,
			       struct hash128 check)
{
	return (struct header){
		.magic = OBJECT_MAGIC,
		.version = htole32(OBJECT_VERSION),
		.key_hi = htole64(key.hi),
		.key_lo = htole64(key.lo),
		.length = htole64(size),
		.check_hi = htole64(check.hi),
		.check_lo = htole64(check.lo),
	};
}

static int length_check(int fd, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != object_bytes(size))
		return -EBADMSG;
	return 0;
}

int object_read(int fd, struct hash128 key, void *data, size_t size)
{
	struct header found, expected;
	int rc;

	rc = length_check(fd, size);
	if (rc)
		return rc;
	rc = file_read_at(fd, &found, sizeof(found), 0);
	if (rc)
		return rc;
	rc = file_read_at(fd, data, size, sizeof(found));
	if (rc)
		return rc;
	expected = header_of(key, size, hash_bytes(data, size));
	return memcmp(&found, &expected, sizeof(found)) ? -EBADMSG : 0;
}

int object_hash(int fd, struct object_range range, const atomic_bool *stop,
		struct hash128 *hash)
{
	AUTO_FREE void *piece = malloc(PIECE_BYTES);
	AUTO_HASHER struct hasher *hasher = hasher_open();
	uint64_t done, len;
	int rc;

	if (!piece || !hasher)
		return -ENOMEM;
	for (done = 0; done < range.size; done += len) {
		if (stop && atomic_load(stop))
			return -EINTR;
		len = min_u64(range.size - done, PIECE_BYTES);
		rc = file_read_at(fd, piece, len, range.off + done);
		if (rc)
			return rc == -ENODATA ? -EBADMSG : rc;
		hasher_add(hasher, piece, len);
	}
	*hash = hasher_value(hasher);
	return 0;
}

/* A wrong length is seen before the payload is read, however long that is. */
int object_check(int fd, struct hash128 key)
{
	struct object_range payload = { .off = OBJECT_HEADER_BYTES };
	struct header found, expected;
	struct hash128 check;
	int rc;

	rc = file_read_at(fd, &found, sizeof(found), 0);
	if (rc == 0) {
		payload.size = le64toh(found.length);
		rc = length_check(fd, payload.size);
	}
	if (rc == 0)
		rc = object_hash(fd, payload, NULL, &check);
	if (rc)
		return rc == -ENODATA ? -EBADMSG : rc;
	expected = header_of(key, le64toh(found.length), check);
	return memcmp(&found, &expected, sizeof(found)) ? -EBADMSG : 0;
}

int object_write(int fd, struct hash128 key, const void *data, size_t size)
{
	struct header header = header_of(key, size, hash_bytes(data, size));
	int rc;

	rc = file_write_at(fd, &header, sizeof(header), 0);
	if (rc)
		return rc;
	return file_write_at(fd, data, size, sizeof(header));
}
