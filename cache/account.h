/*
 * How many bytes the folder of a cache holds, over all processes that use it,
 * kept in one small file whose flock is the lock of the folder.
 *
 * Bytes are reserved before an object is written, and are given back only by a
 * count of what is there. So the account may say too much (an object was
 * replaced, a write failed, a writer was killed), never too little; too much is
 * put right by the count that comes before anything is evicted. Every process
 * counts once before its first write, since a crash of the machine or a person
 * may have changed the folder behind the account.
 *
 * Waiting for the lock is bounded: a process that was stopped while it held it
 * costs the others what they would have kept, no more.
 *
 * Each process has a budget of its own for the whole folder, and keeps it when
 * it writes: where two differ, the one with the smaller evicts down to that,
 * whoever wrote what goes, and the one with the larger fills up again. So the
 * folder never holds more than the largest of the budgets in use, and never
 * more than one's own right after one has written.
 */
#ifndef LMFS_ACCOUNT_H
#define LMFS_ACCOUNT_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/base.h"

struct account {
	pthread_mutex_t gate; /* flock tells processes apart; this, threads */
	uint64_t bytes_max;
	atomic_uint_least64_t bytes; /* as last seen */
	atomic_bool counted;
};

void account_init(struct account *account, uint64_t bytes_max);
void account_done(struct account *account);

/* Read what the account says, for statistics, without waiting for the lock. */
void account_peek(struct account *account, int root);

/*
 * Take the lock of the folder `root` (a directory): a descriptor for the calls
 * below, or -errno; -ENOLCK where it was held by others for too long.
 */
int account_enter(struct account *account, int root);
void account_leave(struct account *account, int fd);

/*
 * Reserve bytes, evicting what is longest unused where it must: 0, -EFBIG (more
 * than the budget), -EBUSY (too much is being written) or -errno.
 */
int account_reserve(struct account *account, int fd, int root, uint64_t bytes);

/*
 * Count what is there, evict down to bytes_max, and write the account anew;
 * *usage says what went, and what is left. 0 or -errno.
 */
struct usage;
int account_settle(struct account *account, int fd, int root,
		   uint64_t bytes_max, struct usage *usage);

/* Something went without leave: count again before the next reservation. */
void account_doubt(struct account *account);

#endif
