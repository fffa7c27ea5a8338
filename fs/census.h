/*
 * Who makes the same: all tensors and reductions of the lenses of a mount,
 * counted by what they depend on. A tensor that stands in two or more of them
 * is kept once it is made, where that pays (keeping_pays) and as long as all
 * that are kept fit together: a cache that is walked through from end to end
 * and is too small by a little gives nothing back. The figures of what is
 * shared come from here. Likeness is the key of the cache without the content
 * of the sources: the same file is the same, a copy of it is another (the cache
 * itself knows better).
 *
 * One lock; `since` alone is read without it. A likeness lives as long as one
 * lens that has it.
 */
#ifndef LMFS_CENSUS_H
#define LMFS_CENSUS_H

#include "fs/lens.h"

/* All that make one thing. */
struct likeness {
	struct hash128 key;
	struct likeness *next; /* the census' own */
	size_t count;	       /* jobs that are alike */
	uint64_t bytes;	       /* of each */
	/* The census' clock when it began to be kept; 0: it is not. Of tensors
	 * alone. */
	atomic_uint_fast64_t since;
};

struct census_stats {
	uint64_t tensors, tensor_bytes;	   /* of all lenses */
	uint64_t distinct, distinct_bytes; /* counted once each */
	uint64_t shared_tensors;	   /* distinct ones made by several */
	uint64_t shared_bytes;		   /* of those, each once */
	uint64_t kept_tensors, kept_bytes; /* distinct ones that are kept */
	uint64_t reductions, distinct_reductions, shared_reductions;
};

/* Whether it takes longer to make the bytes of a job, which is no copy, than to
 * read them back from a cache on disk (engine_piece.c). */
bool keeping_pays(const struct job *job);

struct census;

/* kept_max: bytes of all that is kept; 0: nothing is. NULL: no memory. */
struct census *census_open(uint64_t kept_max);
void census_close(struct census *census);

/* Count a lens in, and set its slots' likenesses; copied tensors are not
 * counted. 0, or -ENOMEM, and then it is not counted at all. */
int census_add(struct census *census, struct lens *lens);

/* Count it out; its slots have none then. No read of it comes any more. */
void census_remove(struct census *census, struct lens *lens);

/*
 * A clock that ticks with every event. What has 0 < since <= now has happened,
 * and who goes by one `now` always finds the same. census_mark() sets *since,
 * where it is 0, to the next tick.
 */
uint64_t census_now(const struct census *census);
void census_mark(struct census *census, atomic_uint_fast64_t *since);

void census_stats(struct census *census, struct census_stats *stats);

#endif
