/*
 * A fixed set of worker threads with one queue, first in, first out. All
 * signals are blocked in the workers. A task is intrusive (a member of what it
 * works on), so submitting cannot fail.
 *
 * pool_each() splits work over the workers and the calling thread, which takes
 * part until all is done: it may be called from a task, and then cannot
 * deadlock, since the caller alone can finish the work. Its helpers go before
 * the queue.
 */
#ifndef LMFS_POOL_H
#define LMFS_POOL_H

#include <pthread.h>

#include "core/base/base.h"
#include "core/base/error.h"

#define POOL_THREADS_MAX 256

struct pool;

struct task {
	void (*run)(struct task *task); /* may free the task */
	struct task *next;		/* the pool's */
};

/* As many threads as the machine has processors, at most POOL_THREADS_MAX. */
size_t pool_machine_threads(void);

/* Start a thread of its own, with all signals blocked: 0 or -errno. */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

struct pool *pool_open(size_t threads, struct error *err);

/* Runs what is queued, then ends the threads. NULL is fine. */
void pool_close(struct pool *pool);

size_t pool_threads(const struct pool *pool); /* NULL: 0 */
size_t pool_queued(struct pool *pool); /* tasks waiting, for statistics */

/* Is the caller one of its workers? Such a one must not wait for a task. */
bool pool_inside(const struct pool *pool);

void pool_submit(struct pool *pool, struct task *task);

/*
 * Call fn(ctx, i) once for every i in [0, count), on any thread, in any order,
 * and return when all calls have returned. With a NULL pool the calling thread
 * makes them all in order.
 */
void pool_each(struct pool *pool, size_t count, void (*fn)(void *ctx, size_t i),
	       void *ctx);

#endif
