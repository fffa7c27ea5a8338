/*
 * A source file: a file that weights are read from. It is opened at the first
 * read, once however many models name it (one per device, inode, size and
 * mtime), and it must stay what it was when its header was read: a file whose
 * size, mtime or inode differs is refused with EIO, for a wrong weight is worse
 * than none. A file that is replaced while it is open stays readable.
 *
 * Sources are immutable after models are opened, but for the descriptor and
 * the identity, which are filled once, under a lock of their own; all
 * functions that take a const source may be called from any thread.
 */
#ifndef LMFS_SOURCE_H
#define LMFS_SOURCE_H

#include <time.h>

#include "core/base/base.h"
#include "core/base/error.h"
#include "core/base/hash.h"

struct source;	   /* opaque: path, size, mtime, device, inode, fd, identity */
struct source_set; /* owns sources; any thread may use it */

struct source_set *source_set_open(void); /* NULL: no memory */

/* A set of some of those of another, which it gets them from, and which
 * outlives it:
 * one that no such set has any more is closed. */
struct source_set *source_set_open_in(struct source_set *whole);

void source_set_close(struct source_set *set); /* closes all; NULL is fine */

/* From now on no file of this device is a source: EINVAL. What is served from
 * sources cannot be one itself. */
void source_set_refuse(struct source_set *set, dev_t device);

/*
 * The source at this path (made, or the one already known for the same file).
 * It is stat-ed, not kept open. ENOENT: missing; EINVAL: not a regular file.
 * The path is made absolute, so that a later chdir() does no harm.
 */
int source_get(struct source_set *set, const char *path, struct source **source,
	       struct error *err);

const char *source_path(const struct source *source);
uint64_t source_size(const struct source *source);
struct timespec source_mtime(const struct source *source);

/* The number of sources, and the i-th, in order of their coming. */
size_t source_set_count(struct source_set *set);
const struct source *source_set_at(struct source_set *set, size_t i);

/*
 * Read exactly len bytes at off. Any failure is -EIO with the sentence (file,
 * offset, cause): short file, changed file, I/O error.
 */
int source_read(const struct source *source, void *buf, size_t len,
		uint64_t off, struct error *err);

/*
 * Have the kernel copy len bytes at off into another file: by reference where
 * the file systems can, else without a way through this process. False: it
 * could not, or the source has changed, and what is there means nothing;
 * source_read() says why, or reads it.
 */
bool source_copy(const struct source *source, uint64_t off, uint64_t len,
		 int to, uint64_t to_off);

/*
 * What the content is, for cache keys: the hash of its size, its first MiB (the
 * header, mostly), 16 samples of 4 KiB, and its SHA-256 name where it is a blob
 * of the Hugging Face cache, else inode and mtime. Computed at the first call
 * (reads the file), then remembered. EIO as for source_read().
 */
int source_identity(const struct source *source, struct hash128 *identity,
		    struct error *err);

/*
 * The same without reading: the hash of what stat() told when the source was
 * found. The same file has the same, two copies of it do not.
 */
struct hash128 source_likeness(const struct source *source);

/* Bytes read so far through source_read() from all sources of the set that
 * source_set_open() made. */
uint64_t source_set_bytes_read(const struct source_set *set);

#endif
