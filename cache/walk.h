/*
 * Going through the folder of a cache. What is met there is told apart by its
 * name: objects (states/<2>/<key>, chunks/<2>/<key>, shards/<2>/<key>.<sum>),
 * files being written, and what is none of the cache's, which is counted and
 * let be. No link is followed: one that stands where a folder of the cache
 * belongs is -ENOTDIR.
 *
 * Writers publish and readers remove while one walks. An object that is there
 * all the while is met once; one that comes or goes meanwhile, or is replaced
 * by its like, may be met or not.
 */
#ifndef LMFS_WALK_H
#define LMFS_WALK_H

#include <sys/stat.h>

#include "cache/cache.h"

/* What a visit is told; valid during it. */
struct walk_file {
	int dir;	  /* its directory, open */
	const char *name; /* in it */
	struct stat st;
	enum cache_class class; /* of an object, as is */
	struct hash128 key;	/* this */
	struct hash128 sum;	/* and this of a shard */
};

/* When an object was used last, seconds since 1970. */
static inline uint64_t walk_used(const struct walk_file *file)
{
	time_t used = file->st.st_mtime;

	if (file->class == CACHE_SHARD && file->st.st_atime > used)
		used = file->st.st_atime;
	return used > 0 ? (uint64_t)used : 0;
}

/* An open object is used: note that, where it was not for some minutes. */
void walk_touch(int fd, enum cache_class class);

enum { WALK_SHARD_NAME_LEN = 2 * HASH_HEX_LEN + 1 };

/* What the name of a shard says; false: it is none. */
bool walk_shard_name(const char *name, struct hash128 *key,
		     struct hash128 *sum);

struct walk {
	void (*visit)(void *ctx, const struct walk_file *file);
	void *ctx;
	uint64_t strange; /* files that are none of the cache's */
};

/*
 * Visit the objects below `root`, shards and chunks before states; the files
 * that are being written, or were: 0 or -errno. A folder that is missing has no
 * files.
 */
int walk_objects(struct walk *walk, int root);
int walk_staging(struct walk *walk, int root);

/*
 * Whether the writer of a staged file lives. The lock of the folder is held,
 * for a writer begins its file under it.
 */
bool walk_writer_lives(const struct walk_file *file);

#endif
