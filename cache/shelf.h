/*
 * Finished files in the folder of a cache, byte for byte as they are served, so
 * that others (a kernel, say) can read them in our place. Nothing of ours is in
 * them: the checksum of all bytes (XXH3-128) stands in the name, so that one
 * rename publishes both, and nothing parts them:
 *
 *	DIR/shards/<2>/<key>.<sum>
 *
 * A file gets its name once its bytes are on the disk. It is read-only, counts
 * towards the budget of the folder, and is evicted among its chunks by the time
 * of its last use, which is its time of access. All functions but those that
 * write one file may be called from any thread.
 */
#ifndef LMFS_SHELF_H
#define LMFS_SHELF_H

#include <stdatomic.h>

#include "cache/folder.h"

struct shelf;

/* As folder_open(); touches nothing yet. */
struct shelf *shelf_open(const char *dir, uint64_t bytes_max);
void shelf_close(struct shelf *shelf); /* NULL is fine */

/* Whether there cannot be any file: one look at the folder. */
bool shelf_is_empty(const struct shelf *shelf);

/*
 * The file of this key and size: a descriptor, which the caller closes, and its
 * checksum; -ENOENT; or -errno. Its bytes have not been looked at.
 */
int shelf_find(const struct shelf *shelf, struct hash128 key, uint64_t size,
	       struct hash128 *sum);

/*
 * Read the file through: 0, -EBADMSG where that is not its checksum, -EINTR
 * once *stop is set (may be NULL), or -errno.
 */
int shelf_check(int fd, struct hash128 sum, const atomic_bool *stop);

/* A bad one: it goes. */
void shelf_remove(struct shelf *shelf, struct hash128 key, struct hash128 sum);

/* A file being written, from its begin to its end. */
struct shelf_file {
	struct shelf *shelf;
	struct object object;
	struct staged staged;
	struct hasher *hasher;
	uint64_t len;
};

/*
 * Reserve room for a file of this size: 0, or -errno as folder_stage(). Then
 * it is ended by one of the last two, in any case.
 */
int shelf_begin(struct shelf *shelf, struct hash128 key, uint64_t size,
		struct shelf_file *file);
int shelf_add(struct shelf_file *file, const void *data, size_t len);
/* All its bytes were added: put them on the disk, and give it its name. */
int shelf_finish(struct shelf_file *file);
void shelf_abandon(struct shelf_file *file);

#endif
