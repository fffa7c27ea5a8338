/*
 * One lock guards the queue, the list of shares and the count of helpers in
 * each. A share is one pool_each(): it lies on the caller's stack, and its
 * indices are handed out by an atomic counter.
 *
 * No deadlock: a caller waits only for helpers that are inside its share, each
 * of which runs one fn at a time. A helper that itself waits does so for
 * helpers that came to its own share later than it came to this one; so along
 * any chain of waits time only moves forward, and no chain closes.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/base/pool.h"

struct share {
	struct share *next;
	size_t count;
	void (*fn)(void *ctx, size_t i);
	void *ctx;
	atomic_size_t claimed; /* the next index; stays >= count when all are */
	size_t helpers;	       /* workers inside, under the pool's lock */
	pthread_cond_t left;   /* helpers is 0 */
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a task or a share came, or the pool closes */
	struct task *head;
	struct task **tail;
	size_t queued;
	struct share *shares;
	bool closing;
	size_t count;
	pthread_t threads[POOL_THREADS_MAX];
};

/* Make calls until every index is claimed. */
static void share_run(struct share *share)
{
	size_t i;

	while ((i = atomic_fetch_add(&share->claimed, 1)) < share->count)
		share->fn(share->ctx, i);
}

static struct share *open_share(struct pool *pool)
{
	struct share *share = pool->shares;

	while (share && atomic_load(&share->claimed) >= share->count)
		share = share->next;
	return share;
}

static struct task *pop_task(struct pool *pool)
{
	struct task *task = pool->head;

	if (!task)
		return NULL;
	pool->head = task->next;
	if (!pool->head)
		pool->tail = &pool->head;
	task->next = NULL;
	pool->queued--;
	return task;
}

/* Called with the lock held, which it gives up while it works. */
static void help_share(struct pool *pool, struct share *share)
{
	share->helpers++;
	pthread_mutex_unlock(&pool->lock);
	share_run(share);
	pthread_mutex_lock(&pool->lock);
	/* Signalled under the lock: after it the share may be gone. */
	if (--share->helpers == 0)
		pthread_cond_signal(&share->left);
}

static void run_task(struct pool *pool, struct task *task)
{
	pthread_mutex_unlock(&pool->lock);
	task->run(task);
	pthread_mutex_lock(&pool->lock);
}

static void *worker(void *arg)
{
	struct pool *pool = arg;
	struct share *share;
	struct task *task;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		if ((share = open_share(pool)))
			help_share(pool, share);
		else if ((task = pop_task(pool)))
			run_task(pool, task);
		else if (pool->closing)
			break;
		else
			pthread_cond_wait(&pool->work, &pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

static int start_threads(struct pool *pool, size_t threads)
{
	int rc = 0;

	while (rc == 0 && pool->count < threads) {
		rc = thread_start(&pool->threads[pool->count], worker, pool);
		pool->count += rc == 0;
	}
	return rc;
}

size_t pool_machine_threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	return processors > 0 ? min_u64((uint64_t)processors, POOL_THREADS_MAX)
			      : 1;
}

struct pool *pool_open(size_t threads, struct error *err)
{
	struct pool *pool;
	int rc;

	if (threads == 0 || threads > POOL_THREADS_MAX) {
		fail(err, EINVAL, "a pool has 1 to %d threads, not %zu",
		     POOL_THREADS_MAX, threads);
		return NULL;
	}
	pool = calloc(1, sizeof(*pool));
	if (!pool) {
		fail(err, ENOMEM, "no memory for a pool of threads");
		return NULL;
	}
	pool->tail = &pool->head;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	rc = start_threads(pool, threads);
	if (rc) {
		fail(err, -rc, "cannot start thread %zu of %zu: %s",
		     pool->count + 1, threads, strerror(-rc));
		pool_close(pool);
		return NULL;
	}
	return pool;
}

void pool_close(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

size_t pool_threads(const struct pool *pool)
{
	return pool ? pool->count : 0;
}

size_t pool_queued(struct pool *pool)
{
	size_t queued;

	pthread_mutex_lock(&pool->lock);
	queued = pool->queued;
	pthread_mutex_unlock(&pool->lock);
	return queued;
}

bool pool_inside(const struct pool *pool)
{
	pthread_t self = pthread_self();

	for (size_t i = 0; i < pool->count; i++)
		if (pthread_equal(pool->threads[i], self))
			return true;
	return false;
}

void pool_submit(struct pool *pool, struct task *task)
{
	task->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->tail = task;
	pool->tail = &task->next;
	pool->queued++;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

static void share_open(struct pool *pool, struct share *share)
{
	pthread_cond_init(&share->left, NULL);
	pthread_mutex_lock(&pool->lock);
	share->next = pool->shares;
	pool->shares = share;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

/* Nobody comes in any more; wait until all are out. */
static void share_close(struct pool *pool, struct share *share)
{
	struct share **link = &pool->shares;

	pthread_mutex_lock(&pool->lock);
	while (*link != share)
		link = &(*link)->next;
	*link = share->next;
	while (share->helpers > 0)
		pthread_cond_wait(&share->left, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_destroy(&share->left);
}

void pool_each(struct pool *pool, size_t count, void (*fn)(void *ctx, size_t i),
	       void *ctx)
{
	struct share share = { .count = count, .fn = fn, .ctx = ctx };
	bool shared = pool && count > 1;

	if (shared)
		share_open(pool, &share);
	share_run(&share);
	if (shared)
		share_close(pool, &share);
}
