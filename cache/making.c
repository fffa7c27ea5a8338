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
	return request->class == CACHE_STATE || request->keep;
}

static struct object object_of(const struct cache_request *request)
{
	return (struct object){ request->class, request->key, request->size };
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

/* Begin to count the bytes; false: nobody is left who waits for them. */
static bool begin(struct making *making)
{
	struct cache *cache = making->cache;
	struct entry *gone;
	bool wanted;

	pthread_mutex_lock(&cache->lock);
	wanted = making->waiters;
	if (wanted) {
		table_charge(&cache->table, making->entry);
		gone = table_trim(&cache->table);
	} else {
		give_up(making, &cache->abandoned);
		gone = making->entry;
	}
	pthread_mutex_unlock(&cache->lock);
	entry_free_all(gone);
	return wanted;
}

/* Find the bytes on disk, or make them. */
static int fill(struct making *making, bool *made, struct error *err)
{
	const struct cache_request *request = &making->request;
	struct object object = object_of(request);
	struct disk *disk = making->cache->disk;
	void *data = blob_alloc(request->size);
	int rc;

	making->entry->blob.data = data; /* it goes with the entry */
	if (!data)
		return fail(err, ENOMEM, "no memory for %zu bytes",
			    request->size);
	if (!disk || !disk_load(disk, &object, data)) {
		rc = request->make(request->ctx, data, request->size, err);
		if (rc)
			return rc;
		*made = true;
	}
	return 0;
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

static void make(struct making *making)
{
	struct cache *cache = making->cache;
	struct object object = object_of(&making->request);
	struct error err = { 0 };
	bool made = false;
	int rc;

	rc = fill(making, &made, &err);
	making_free_ctx(&making->request);
	if (rc) {
		err.code = -rc;
		refuse(making, &err);
		return;
	}
	publish(making, made);
	if (made && cache->disk && is_kept(&making->request))
		disk_save(cache->disk, &object, making->entry->blob.data);
	cache_put(cache, &making->entry->blob);
}

/* The cache may be closed as soon as the lock is given up. */
static void leave(struct cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	if (--cache->active == 0)
		pthread_cond_signal(&cache->idle);
	pthread_mutex_unlock(&cache->lock);
}

static void making_run(struct task *task)
{
	struct making *making = CONTAINER_OF(task, struct making, task);
	struct cache *cache = making->cache;

	if (begin(making))
		make(making);
	else
		making_free_ctx(&making->request);
	free(making);
	leave(cache);
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
