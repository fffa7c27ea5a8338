#include <assert.h>
#include <errno.h>

#include "cache/making.h"

/*
 * The lock is held. Sets *blob where the entry is present, else parks the
 * waiter; sets *begun to a maker that has to be submitted.
 */
static int find_or_park(struct cache *cache,
			const struct cache_request *request,
			struct cache_waiter *waiter, const struct blob **blob,
			struct making **begun)
{
	struct entry *entry = table_find(&cache->table, request->key);

	assert(!entry || entry->blob.size == request->size);
	if (entry && !entry->making) {
		table_hold(&cache->table, entry);
		cache->hits++;
		*blob = &entry->blob;
		return 0;
	}
	if (!entry)
		*begun = making_add(cache, request);
	if (!entry && !*begun)
		return -ENOMEM;
	making_park(entry ? entry->making : *begun, waiter);
	return CACHE_PARKED;
}

int cache_get(struct cache *cache, const struct cache_request *request,
	      struct cache_waiter *waiter, const struct blob **blob,
	      struct error *err)
{
	struct cache_request own = *request;
	struct making *begun = NULL;
	int rc;

	pthread_mutex_lock(&cache->lock);
	rc = find_or_park(cache, request, waiter, blob, &begun);
	pthread_mutex_unlock(&cache->lock);
	/* The waiter may be called by now, and the request be gone with it. */
	if (begun)
		pool_submit(cache->pool, &begun->task);
	else
		making_free_ctx(&own);
	if (rc < 0)
		return fail(err, -rc, "no memory to make %zu bytes", own.size);
	return rc;
}

struct sleeper {
	struct cache_waiter waiter;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool done;
	const struct blob *blob;
	struct error err;
};

/* The sleeper is gone once it has got its lock back. */
static void wake(struct cache_waiter *waiter, const struct blob *blob,
		 const struct error *err)
{
	struct sleeper *sleeper = CONTAINER_OF(waiter, struct sleeper, waiter);

	pthread_mutex_lock(&sleeper->lock);
	sleeper->blob = blob;
	if (err)
		sleeper->err = *err;
	sleeper->done = true;
	pthread_cond_signal(&sleeper->woken);
	pthread_mutex_unlock(&sleeper->lock);
}

static void sleep_until_done(struct sleeper *sleeper)
{
	pthread_mutex_lock(&sleeper->lock);
	while (!sleeper->done)
		pthread_cond_wait(&sleeper->woken, &sleeper->lock);
	pthread_mutex_unlock(&sleeper->lock);
}

int cache_get_wait(struct cache *cache, const struct cache_request *request,
		   const struct blob **blob, struct error *err)
{
	struct sleeper sleeper = { .waiter.done = wake };
	int rc;

	assert(!pool_inside(cache->pool));
	pthread_mutex_init(&sleeper.lock, NULL);
	pthread_cond_init(&sleeper.woken, NULL);
	rc = cache_get(cache, request, &sleeper.waiter, blob, err);
	if (rc == CACHE_PARKED) {
		sleep_until_done(&sleeper);
		*blob = sleeper.blob;
		rc = -sleeper.err.code;
	}
	if (sleeper.err.code && err)
		*err = sleeper.err;
	pthread_cond_destroy(&sleeper.woken);
	pthread_mutex_destroy(&sleeper.lock);
	return rc;
}

bool cache_cancel(struct cache *cache, struct cache_waiter *waiter)
{
	struct making *making;

	pthread_mutex_lock(&cache->lock);
	making = waiter->entry;
	if (making)
		making_unpark(making, waiter);
	pthread_mutex_unlock(&cache->lock);
	return making;
}

/* To those who hold a blob it is const; to the cache it is part of an entry. */
static struct entry *blob_entry(const struct blob *blob)
{
	return (struct entry *)((uintptr_t)blob - offsetof(struct entry, blob));
}

void cache_put(struct cache *cache, const struct blob *blob)
{
	struct entry *gone;

	if (!blob)
		return;
	pthread_mutex_lock(&cache->lock);
	table_release(&cache->table, blob_entry(blob));
	gone = table_trim(&cache->table);
	pthread_mutex_unlock(&cache->lock);
	entry_free_all(gone);
}

void cache_stats(struct cache *cache, struct cache_stats *stats)
{
	pthread_mutex_lock(&cache->lock);
	*stats = (struct cache_stats){
		.memory_hits = cache->hits,
		.made = cache->made,
		.failed = cache->failed,
		.parked = cache->parked,
		.abandoned = cache->abandoned,
		.making = cache->making,
		.evicted = cache->table.evicted,
		.memory_bytes = cache->table.bytes,
	};
	pthread_mutex_unlock(&cache->lock);
	if (cache->disk)
		disk_stats(cache->disk, stats);
}

bool cache_trouble(struct cache *cache, struct error *err)
{
	return cache->disk && disk_trouble(cache->disk, err);
}

struct cache *cache_open(const struct cache_options *options, struct pool *pool,
			 struct report *report)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->pool = pool;
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->idle, NULL);
	if (options->dir)
		cache->disk = disk_open(options, report);
	if (!table_init(&cache->table, options->memory_max) ||
	    (options->dir && !cache->disk)) {
		cache_close(cache);
		return NULL;
	}
	return cache;
}

void cache_close(struct cache *cache)
{
	if (!cache)
		return;
	pthread_mutex_lock(&cache->lock);
	while (cache->active > 0)
		pthread_cond_wait(&cache->idle, &cache->lock);
	pthread_mutex_unlock(&cache->lock);
	table_done(&cache->table);
	disk_close(cache->disk);
	pthread_cond_destroy(&cache->idle);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}
