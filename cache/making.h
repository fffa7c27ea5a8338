/*
 * The making of one entry: those who wait for it, and the task that finds its
 * bytes on disk or makes them, answers, and keeps what was made. Also what a
 * cache is inside, which its two files share.
 *
 *	queued --begin--> looking --> making --publish--> saving --> ended
 *	   \              on disk       / \
 *	    \                \         /   \- the maker failed: refused
 *	     \- nobody waits  waiting for what it is made from
 */
#ifndef LMFS_MAKING_H
#define LMFS_MAKING_H

#include <pthread.h>

#include "cache/disk.h"
#include "cache/table.h"

struct cache {
	struct pool *pool;
	struct disk *disk; /* NULL: none */
	pthread_mutex_t lock;
	pthread_cond_t idle; /* active is 0 */
	/* What follows is under the lock. */
	struct table table;
	size_t active; /* tasks submitted and not ended */
	uint64_t hits, made, failed, parked, abandoned, making;
};

struct making {
	struct task task;
	struct cache_waiter waiter; /* for what it is made from */
	const struct blob *below;   /* that, a reference; NULL: nothing */
	struct error below_err;	    /* why it cannot be had */
	struct cache *cache;
	struct entry *entry;
	struct cache_request request;
	void *data;   /* of the entry's blob, to be filled */
	bool charged; /* its bytes are counted */
	struct cache_waiter *waiters, **waiters_end; /* in order of coming */
};

/*
 * A new entry, and its maker, whose task has to be submitted. NULL: no memory.
 * The lock of the cache is held here, and in the two functions that follow.
 */
struct making *making_add(struct cache *cache,
			  const struct cache_request *request);

/* Let a waiter wait for it; its `entry` points here as long as it does. */
void making_park(struct making *making, struct cache_waiter *waiter);

/* Let a waiter go that is parked here. */
void making_unpark(struct making *making, struct cache_waiter *waiter);

/* The maker's context is not needed (any more). The lock is not held. */
void making_free_ctx(const struct cache_request *request);

#endif
