#include <assert.h>
#include <errno.h>

#include "cache/making.h"

/* A cleared waiter->entry says that it is not parked any more. */
static struct cache_waiter *take_waiters(struct making *making)
{
	struct cache_waiter *list = TAKE(making->waiters);

	making->waiters_end = &making->waiters;
	for (struct cache_waiter *w = list; w; w = w->next)
		w->entry = NULL;
	return list;
}

void making_park(struct making *making, struct cache_waiter *waiter)
{
	waiter->next = NULL;
	waiter->entry = making;
	*making->waiters_end = waiter;
	making->waiters_end = &waiter->next;
	making->cache->parked++;
}

void making_unpark(struct making *making, struct cache_waiter *waiter)
{
	struct cache_waiter **link = &making->waiters;

	while (*link != waiter)
		link = &(*link)->next;
	*link = waiter->next;
	if (!*link)
		making->waiters_end = link;
	waiter->entry = NULL;
}

/* A waiter may free itself in `done`. */
static void call_waiters(struct cache_waiter *list, const struct blob *blob,
			 const struct error *err)
{
	struct cache_waiter *next;

	for (; list; list = next) {
		next = list->next;
		list->done(list, blob, err);
	}
}

void making_free_ctx(const struct cache_request *request)
{
	if (request->free_ctx)
		request->free_ctx(request->ctx);
}

static bool is_kept(const struct cache_request *request)
{
	return request->class != CACHE_CHUNK || request->keep;
}

static struct object object_of(const struct cache_request *request)
{
	return (struct object){ .class = request->class,
				.key = request->key,
				.size = request->size };
}

/* Take the entry out where it did not come to be; its getters start anew. */
static struct cache_waiter *give_up(struct making *making, uint64_t *counter)
{
	struct cache *cache = making->cache;

	table_remove(&cache->table, making->entry);
	cache->making--;
	(*counter)++;
	return take_waiters(making);
}

/* Whether anybody waits still, of whom the making goes on; its bytes are
 * counted from the first time on. Else the entry is gone. */
static bool begin(struct making *making)
{
	struct cache *cache = making->cache;
	struct entry *gone = NULL;
	bool wanted;

	pthread_mutex_lock(&cache->lock);
	wanted = making->waiters;
	if (wanted && !making->charged) {
		table_charge(&cache->table, making->entry);
		gone = table_trim(&cache->table);
	} else if (!wanted) {
		if (making->charged)
			table_discharge(&cache->table, making->entry);
		give_up(making, &cache->abandoned);
		gone = making->entry;
	}
	making->charged = true;
	pthread_mutex_unlock(&cache->lock);
	entry_free_all(gone);
	return wanted;
}

static void publish(struct making *making, bool made)
{
	struct cache *cache = making->cache;
	struct entry *entry = making->entry;
	struct cache_waiter *list;

	pthread_mutex_lock(&cache->lock);
	list = take_waiters(making);
	for (struct cache_waiter *w = list; w; w = w->next)
		table_hold(&cache->table, entry);
	entry->making = NULL;
	cache->making--;
	cache->made += made;
	pthread_mutex_unlock(&cache->lock);
	call_waiters(list, &entry->blob, NULL);
}

static void refuse(struct making *making, const struct error *err)
{
	struct cache *cache = making->cache;
	struct cache_waiter *list;

	pthread_mutex_lock(&cache->lock);
	table_discharge(&cache->table, making->entry);
	list = give_up(making, &cache->failed);
	pthread_mutex_unlock(&cache->lock);
	entry_free_all(making->entry);
	call_waiters(list, NULL, err);
}

/* The cache may be closed as soon as the lock is given up. */
static void leave(struct cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	if (--cache->active == 0)
		pthread_cond_signal(&cache->idle);
	pthread_mutex_unlock(&cache->lock);
}

/* What it took to make the bytes is not needed any more. */
static void put_ingredients(struct making *making)
{
	making_free_ctx(&making->request);
	cache_put(making->cache, making->below);
}

static void drop(struct making *making)
{
	struct cache *cache = making->cache;

	put_ingredients(making);
	free(making);
	leave(cache);
}

/* The bytes are there, or cannot be had. */
static void end(struct making *making, int rc, bool made, struct error *err)
{
	struct cache *cache = making->cache;
	struct object object = object_of(&making->request);
	bool kept = made && cache->disk && is_kept(&making->request);

	put_ingredients(making);
	if (rc) {
		err->code = -rc;
		refuse(making, err);
	} else {
		publish(making, made);
		if (kept)
			disk_save(cache->disk, &object,
				  making->entry->blob.data);
		cache_put(cache, &making->entry->blob);
	}
	free(making);
	leave(cache);
}

/* What the bytes are made from, if anything, is there. */
static void make(struct making *making)
{
	const struct cache_request *request = &making->request;
	struct error err = { 0 };
	int rc;

	if (making->below)
		request->got(request->ctx, making->below);
	rc = request->make(request->ctx, making->data, request->size, &err);
	end(making, rc, true, &err);
}

static void make_again(struct task *task)
{
	struct making *making = CONTAINER_OF(task, struct making, task);
	struct error err = making->below_err;

	if (!begin(making))
		drop(making);
	else if (making->below)
		make(making);
	else
		end(making, -err.code, false, &err);
}

/* On the thread of another maker, which is not kept. */
static void below_is_there(struct cache_waiter *waiter, const struct blob *blob,
			   const struct error *err)
{
	struct making *making = CONTAINER_OF(waiter, struct making, waiter);

	making->below = blob;
	if (err)
		making->below_err = *err;
	making->task.run = make_again;
	pool_submit(making->cache->pool, &making->task);
}

/*
 * Get what the bytes are made from: 0 (it may be nothing), CACHE_PARKED (the
 * making goes on elsewhere, and may be over by now), or -errno.
 */
static int get_below(struct making *making, struct error *err)
{
	const struct cache_request *request = &making->request;
	struct cache_request below;
	int rc;

	if (!request->needs)
		return 0;
	rc = request->needs(request->ctx, &below, err);
	if (rc <= 0)
		return rc;
	assert(below.class < request->class);
	making->waiter.done = below_is_there;
	return cache_get(making->cache, &below, &making->waiter, &making->below,
			 err);
}

/* Find the bytes on disk, or make them. */
static void fill(struct making *making)
{
	const struct cache_request *request = &making->request;
	struct object object = object_of(request);
	struct disk *disk = making->cache->disk;
	struct error err = { 0 };
	int rc;

	making->data = blob_alloc(request->size);
	making->entry->blob.data = making->data; /* it goes with the entry */
	if (!making->data) {
		rc = fail(&err, ENOMEM, "no memory for %zu bytes",
			  request->size);
		end(making, rc, false, &err);
		return;
	}
	if (disk && disk_load(disk, &object, making->data)) {
		end(making, 0, false, &err);
		return;
	}
	rc = get_below(making, &err);
	if (rc < 0)
		end(making, rc, false, &err);
	else if (rc == 0)
		make(making);
}

static void making_run(struct task *task)
{
	struct making *making = CONTAINER_OF(task, struct making, task);

	if (begin(making))
		fill(making);
	else
		drop(making);
}

struct making *making_add(struct cache *cache,
			  const struct cache_request *request)
{
	AUTO_FREE struct making *making = calloc(1, sizeof(*making));

	if (!making)
		return NULL;
	making->entry = table_add(&cache->table, request->key, request->size);
	if (!making->entry)
		return NULL;
	making->task.run = making_run;
	making->cache = cache;
	making->request = *request;
	making->waiters_end = &making->waiters;
	making->entry->making = making;
	cache->making++;
	cache->active++;
	return TAKE(making);
}
