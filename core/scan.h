/*
 * Passes over the inputs of a job (scan_run() of core/method.h): what reduce.c,
 * which begins and ends them, shares with scan.c. A scan has scratch memory for
 * each thread that works on it, kept from one pass to the next.
 */
#ifndef LMFS_SCAN_H
#define LMFS_SCAN_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/feed.h"

/* What a thread needs to work on a block; idle ones wait in a list. */
struct scan_worker;

struct scan {
	const struct job *job;
	const struct kernels *kernels;
	struct pool *pool;	    /* NULL: the calling thread alone */
	const void *survey;	    /* NULL: there is none */
	struct scan_shared *shared; /* what passes change */
};

struct scan_shared {
	pthread_mutex_t lock; /* of all but the flag */
	struct scan_worker *idle;
	int rc; /* of the first failure, with its sentence */
	struct error *err;
	atomic_bool failed; /* later blocks need not be read */
};

/* Zeroed memory for partials and scratch, 64-byte aligned; NULL: none. */
void *scan_alloc(size_t size);

/* There is no memory: -ENOMEM, and said, where nothing has failed before. */
int scan_no_memory(const struct scan *scan);

/* Give up what the workers hold. */
void scan_end(struct scan_shared *shared);

#endif
