/*
 * What lies in the folder of a cache, what it weighs, and what of it goes
 * first: chunks and shards before states, and the longest unused first. The
 * time of last use is walk_used(). Files that are none of the cache's are
 * neither counted nor removed.
 *
 * Ages are told apart by the second up to 16 s, then by an eighth of
 * themselves, so that a folder of any size is put in order with one histogram
 * and two walks and no list of its files.
 *
 * The caller holds the lock of the folder (cache/account.h) all the while.
 */
#ifndef LMFS_EVICT_H
#define LMFS_EVICT_H

#include "cache/cache.h"

enum { EVICT_AGES = 496, EVICT_RANKS = CACHE_CLASSES * EVICT_AGES };

struct usage {
	uint64_t bytes;	  /* of all objects, finished or being written */
	uint64_t writing; /* of those being written */
	uint64_t now;	  /* seconds since 1970, when it was counted */
	uint64_t by_rank[EVICT_RANKS]; /* finished ones; rank 0 goes first */
	/* What went: files of killed writers, and objects. */
	uint64_t leftovers, leftover_bytes, evicted, evicted_bytes;
};

/* What a file of so many bytes counts for: whole blocks of 4096. */
uint64_t evict_charge(uint64_t file_bytes);

/*
 * Count what lies below `root` (a directory), and remove what killed writers
 * left in it: 0 or -errno. A missing folder is an empty one.
 */
int evict_count(int root, struct usage *usage);

/*
 * Remove objects in their order until at most bytes_max are left, where there
 * are enough of them; usage->bytes says what is left. 0 or -errno.
 */
int evict_down_to(int root, struct usage *usage, uint64_t bytes_max);

#endif
