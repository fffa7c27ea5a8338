#include <errno.h>

#include "fs/engine_inside.h"
#include "fs/log.h"

#define READERS_MIN 2

static struct pool *open_pool(size_t threads, struct report *report)
{
	struct error err;
	struct pool *pool = pool_open(threads, &err);

	if (!pool)
		report_failure(report, &err);
	return pool;
}

static bool open_parts(struct engine *engine,
		       const struct engine_options *options, size_t threads,
		       struct report *report)
{
	const struct cache_options cache = {
		.dir = options->cache == ENGINE_CACHE_OFF ? NULL
							  : options->cache_dir,
		.disk_chunks = options->cache == ENGINE_CACHE_ALL,
		.memory_max = options->cache_mem,
		.disk_max = options->cache_disk,
	};

	engine->makers = open_pool(threads, report);
	if (!engine->makers)
		return false;
	engine->readers = open_pool(max_u64(threads, READERS_MIN), report);
	if (!engine->readers)
		return false;
	if (threads > 1) {
		engine->helpers = open_pool(threads - 1, report);
		if (!engine->helpers)
			return false;
	}
	engine->workspaces = workspaces_open(ENGINE_READ_MAX);
	engine->cache = cache_open(&cache, engine->makers, report);
	if (engine->workspaces && engine->cache)
		return true;
	report_error(report, ENOMEM, "no memory for the engine");
	return false;
}

struct engine *engine_open(const struct engine_options *options,
			   struct report *report)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	size_t threads =
		options->threads ? options->threads : pool_machine_threads();

	if (!engine) {
		report_error(report, ENOMEM, "no memory for the engine");
		return NULL;
	}
	engine->level = options->level;
	engine->chunk_tiles = options->cache == ENGINE_CACHE_ALL;
	pthread_mutex_init(&engine->cancel, NULL);
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->quiet, NULL);
	if (open_parts(engine, options, threads, report))
		return engine;
	engine_close(engine);
	return NULL;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	pool_close(engine->readers);
	cache_close(engine->cache);
	pool_close(engine->makers);
	pool_close(engine->helpers);
	workspaces_close(engine->workspaces);
	pthread_cond_destroy(&engine->quiet);
	pthread_mutex_destroy(&engine->lock);
	pthread_mutex_destroy(&engine->cancel);
	free(engine);
}

void *engine_buffer(struct engine *engine)
{
	struct workspace *workspace = workspace_mine(engine->workspaces);

	return workspace ? workspace->buffer : NULL;
}

/* A reader that sleeps until its read is answered. */
struct sleeper {
	struct engine_read read;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool answered;
	int rc;
	void *buf;
	struct error *err;
};

static void wake(struct engine_read *read, int rc, const void *data,
		 const struct error *err)
{
	struct sleeper *sleeper = CONTAINER_OF(read, struct sleeper, read);

	pthread_mutex_lock(&sleeper->lock);
	if (rc == 0)
		memcpy(sleeper->buf, data, read->len);
	else if (sleeper->err)
		*sleeper->err = *err;
	sleeper->rc = rc;
	sleeper->answered = true;
	pthread_cond_signal(&sleeper->woken);
	pthread_mutex_unlock(&sleeper->lock);
}

static int read_and_sleep(struct engine *engine, struct sleeper *sleeper)
{
	int rc =
		engine_read(engine, &sleeper->read, sleeper->buf, sleeper->err);

	if (rc != ENGINE_PARKED)
		return rc;
	pthread_mutex_lock(&sleeper->lock);
	while (!sleeper->answered)
		pthread_cond_wait(&sleeper->woken, &sleeper->lock);
	pthread_mutex_unlock(&sleeper->lock);
	return sleeper->rc;
}

static int read_part(struct engine *engine, const struct engine_read *what,
		     void *buf, struct error *err)
{
	struct sleeper sleeper = { .read = *what, .buf = buf, .err = err };
	int rc;

	pthread_mutex_init(&sleeper.lock, NULL);
	pthread_cond_init(&sleeper.woken, NULL);
	rc = read_and_sleep(engine, &sleeper);
	pthread_cond_destroy(&sleeper.woken);
	pthread_mutex_destroy(&sleeper.lock);
	return rc;
}

int engine_read_wait(struct engine *engine, const struct lens *lens,
		     const struct layout_file *file, uint64_t off, size_t len,
		     void *buf, struct error *err)
{
	struct engine_read part = {
		.lens = lens,
		.file = file,
		.done = wake,
	};
	unsigned char *out = buf;

	for (size_t at = 0; at < len; at += part.len) {
		int rc;

		part.off = off + at;
		part.len = min_u64(len - at, ENGINE_READ_MAX);
		rc = read_part(engine, &part, out + at, err);
		if (rc)
			return rc;
	}
	return 0;
}

void engine_forget(struct engine *engine, struct lens *lens)
{
	pthread_mutex_lock(&engine->lock);
	while (*lens->busy > 0)
		pthread_cond_wait(&engine->quiet, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
	for (size_t i = 0; i < lens->plan->count; i++)
		cache_put(engine->cache,
			  atomic_exchange(&lens->slots[i].state, NULL));
}

void engine_stats(struct engine *engine, struct engine_stats *stats)
{
	const struct engine_counters *c = &engine->counters;

	*stats = (struct engine_stats){
		.reads = c->reads,
		.bytes_served = c->bytes_served,
		.bytes_copied = c->bytes_copied,
		.bytes_merged = c->bytes_merged,
		.bytes_chunks = c->bytes_chunks,
		.parked = c->parked,
		.cancelled = c->cancelled,
		.errors = c->errors,
		.nonfinite = c->nonfinite,
		.reductions = c->reductions,
		.chunks = c->chunks,
		.merge_seconds = (double)c->merge_ns / 1e9,
		.reduce_seconds = (double)c->reduce_ns / 1e9,
	};
	cache_stats(engine->cache, &stats->cache);
}

void engine_log_trouble(struct engine *engine)
{
	struct error err;

	if (cache_trouble(engine->cache, &err))
		log_line(LOG_WARNING,
			 "the cache on disk is not written for a while: %s",
			 err.text);
}
