/*
 * The inside of a source, for source.c, source_set.c and source_identity.c
 * only.
 */
#ifndef LMFS_SOURCE_INSIDE_H
#define LMFS_SOURCE_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/source.h"
#include "core/stamp.h"

/* The part of a source that fills after the models are opened. */
struct source_live {
	atomic_int fd;	      /* -1: not opened yet */
	pthread_mutex_t lock; /* of what is below, and of opening */
	bool identified;
	struct hash128 identity;
	atomic_uint_fast64_t *bytes_read; /* of the set */
};

struct source {
	char *path; /* absolute */
	struct stamp stamp;
	struct source_live *live;
	size_t users; /* under the lock of the set that made it */
};

/* Nothing is opened yet. bytes_read is the set's and outlives the source. NULL:
 * no memory. */
struct source *source_open(const char *path, const struct stamp *stamp,
			   atomic_uint_fast64_t *bytes_read);
void source_close(struct source *source); /* NULL is fine */

#endif
