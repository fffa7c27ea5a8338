/*
 * Identity: XXH3-128 over
 *
 *	size || (inode, mtime) or the SHA-256 name of a Hugging Face blob ||
 *	the first IDENTITY_HEAD bytes || IDENTITY_SAMPLES blocks of
 *	IDENTITY_BLOCK bytes, evenly spaced from the first byte to the last
 *
 * where numbers are 8 bytes in the machine's order: a cache is one machine's.
 * The samples of a blob guard its name, since a model saved through a link of
 * the cache rewrites the blob in place and leaves it the old name.
 */
#include <errno.h>
#include <sys/stat.h>

#include "core/source_inside.h"

#define IDENTITY_HEAD (1u << 20)
#define IDENTITY_SAMPLES 16
#define IDENTITY_BLOCK 4096
#define SHA256_HEX_LEN 64
#define HEX "0123456789abcdef"

/* The SHA-256 name if the absolute path ends in /blobs/<name>, else NULL. */
static const char *blob_name(const char *path)
{
	static const char folder[] = "/blobs";
	const size_t folder_len = sizeof(folder) - 1;
	const char *slash = strrchr(path, '/'), *name = slash + 1;

	if ((size_t)(slash - path) < folder_len ||
	    memcmp(slash - folder_len, folder, folder_len) != 0)
		return NULL;
	return strlen(name) == SHA256_HEX_LEN &&
			       strspn(name, HEX) == SHA256_HEX_LEN
		       ? name
		       : NULL;
}

/* Add what tells this file from others that look the same in the samples. */
static void add_version(const struct source *source, struct hasher *hasher)
{
	AUTO_FREE char *real = realpath(source->path, NULL);
	const char *blob = real ? blob_name(real) : NULL;
	uint64_t file[] = { source->stamp.inode,
			    (uint64_t)source->stamp.mtime.tv_sec,
			    (uint64_t)source->stamp.mtime.tv_nsec };
	struct stamp now = { 0 };
	struct stat st;

	/* The link may lead elsewhere since the file was opened. */
	if (blob && stat(real, &st) == 0)
		now = stamp_of(&st);
	if (blob && stamp_order(&now, &source->stamp) == 0)
		hasher_add(hasher, blob, SHA256_HEX_LEN);
	else
		hasher_add(hasher, file, sizeof(file));
}

/* range * i / (IDENTITY_SAMPLES - 1), without overflow. */
static uint64_t sample_off(uint64_t range, unsigned i)
{
	const uint64_t steps = IDENTITY_SAMPLES - 1;

	return range / steps * i + range % steps * i / steps;
}

static int add_content(const struct source *source, struct hasher *hasher,
		       struct error *err)
{
	AUTO_FREE char *buf = malloc(IDENTITY_HEAD);
	uint64_t head = min_u64(source->stamp.size, IDENTITY_HEAD);
	uint64_t block = min_u64(source->stamp.size, IDENTITY_BLOCK);
	uint64_t range = source->stamp.size - block;
	int rc;

	if (!buf)
		return fail(err, EIO, "%s: no memory", source->path);
	rc = source_read(source, buf, head, 0, err);
	if (rc)
		return rc;
	hasher_add(hasher, buf, head);
	for (unsigned i = 0; head < source->stamp.size && i < IDENTITY_SAMPLES;
	     i++) {
		rc = source_read(source, buf, block, sample_off(range, i), err);
		if (rc)
			return rc;
		hasher_add(hasher, buf, block);
	}
	return 0;
}

static int identify(const struct source *source, struct hash128 *identity,
		    struct error *err)
{
	AUTO_HASHER struct hasher *hasher = hasher_open();
	int rc;

	if (!hasher)
		return fail(err, EIO, "%s: no memory", source->path);
	hasher_add(hasher, &source->stamp.size, sizeof(source->stamp.size));
	add_version(source, hasher);
	rc = add_content(source, hasher, err);
	if (rc)
		return rc;
	*identity = hasher_value(hasher);
	return 0;
}

struct hash128 source_likeness(const struct source *source)
{
	const struct stamp *stamp = &source->stamp;
	uint64_t numbers[] = { stamp->device, stamp->inode, stamp->size,
			       (uint64_t)stamp->mtime.tv_sec,
			       (uint64_t)stamp->mtime.tv_nsec };

	return hash_bytes(numbers, sizeof(numbers));
}

int source_identity(const struct source *source, struct hash128 *identity,
		    struct error *err)
{
	struct source_live *live = source->live;
	bool known;
	int rc;

	pthread_mutex_lock(&live->lock);
	known = live->identified;
	*identity = live->identity;
	pthread_mutex_unlock(&live->lock);
	if (known)
		return 0;
	/* Two threads may both compute it, to the same value: no lock is held
	 * over reads. */
	rc = identify(source, identity, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&live->lock);
	live->identity = *identity;
	live->identified = true;
	pthread_mutex_unlock(&live->lock);
	return 0;
}
