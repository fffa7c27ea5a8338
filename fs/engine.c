#include <errno.h>

#include "fs/engine_inside.h"
#include "fs/log.h"
#include "fs/matrices.h"
#include "fs/size.h"

#define READERS_MIN 2
/* Of the disk's budget, for tensors of several lenses; the rest is for states,
 * and for what files take besides their bytes. */
#define KEPT_EIGHTHS 7

static struct pool *open_pool(size_t threads, struct report *report)
{
	struct error err;
	struct pool *pool = pool_open(threads, &err);

	if (!pool)
		report_failure(report, &err);
	return pool;
}

static bool open_pools(struct engine *engine, size_t threads, bool keeps_shards,
		       struct report *report)
{
	engine->makers = open_pool(threads, report);
	if (!engine->makers)
		return false;
	engine->readers = open_pool(max_u64(threads, READERS_MIN), report);
	if (!engine->readers)
		return false;
	if (engine->shelf) {
		engine->checker = open_pool(1, report);
		if (!engine->checker)
			return false;
	}
	if (engine->shelf && keeps_shards) {
		engine->keeper = open_pool(1, report);
		if (!engine->keeper)
			return false;
	}
	if (threads > 1) {
		engine->helpers = open_pool(threads - 1, report);
		if (!engine->helpers)
			return false;
	}
	return true;
}

static bool open_parts(struct engine *engine,
		       const struct engine_options *options,
		       struct report *report)
{
	const struct cache_options cache = {
		.dir = engine->keeps ? options->cache_dir : NULL,
		.memory_max = options->cache_mem,
		.disk_max = options->cache_disk,
	};

	engine->workspaces = workspaces_open(ENGINE_READ_MAX);
	engine->cache = cache_open(&cache, engine->makers, report);
	engine->census = census_open(
		engine->keeps ? options->cache_disk / 8 * KEPT_EIGHTHS : 0);
	engine->methods = calloc(method_count() + 1, sizeof(*engine->methods));
	if (engine->workspaces && engine->cache && engine->census &&
	    engine->methods)
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
	engine->cache_kind = options->cache;
	engine->keeps =
		options->cache != ENGINE_CACHE_OFF && options->cache_dir;
	if (engine->keeps)
		engine->shelf =
			shelf_open(options->cache_dir, options->cache_disk);
	engine->room = engine->keeps ? options->cache_disk : options->cache_mem;
	pthread_mutex_init(&engine->cancel, NULL);
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->quiet, NULL);
	pthread_mutex_init(&engine->turn, NULL);
	if (open_pools(engine, threads, options->cache_shards, report) &&
	    open_parts(engine, options, report))
		return engine;
	engine_close(engine);
	return NULL;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	engine_stop_shards(engine);
	pool_close(engine->keeper);
	pool_close(engine->checker);
	pool_close(engine->readers);
	if (engine->cache)
		cache_put(engine->cache, engine->large);
	cache_close(engine->cache);
	pool_close(engine->makers);
	pool_close(engine->helpers);
	shelf_close(engine->shelf);
	tiles_close(atomic_load(&engine->tiles));
	workspaces_close(engine->workspaces);
	census_close(engine->census);
	free(engine->methods);
	pthread_mutex_destroy(&engine->turn);
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

/* What does not fit is made again whenever it is read, which may be minutes. */
static void warn_of_room(struct engine *engine, const struct lens *lens)
{
	uint64_t bytes = matrices_of(lens->plan).state_bytes;
	char needed[SIZE_TEXT_MAX], room[SIZE_TEXT_MAX];

	if (bytes <= engine->room ||
	    atomic_exchange(&engine->short_of_room, true))
		return;
	log_line(LOG_WARNING,
		 "%s: its whole matrices take %s of the cache, and there is "
		 "room for %s: some are made again whenever they are read; "
		 "raise %s",
		 lens->recipe->path, size_text(bytes, needed),
		 size_text(engine->room, room),
		 engine->keeps ? "--cache-disk"
			       : "--cache-mem, or have a --cache-dir");
}

int engine_add(struct engine *engine, struct lens *lens, struct error *err)
{
	int rc = census_add(engine->census, lens);

	warn_of_room(engine, lens);
	return rc ? fail(err, -rc, "%s: no memory to count its tensors",
			 lens->recipe->path)
		  : 0;
}

static void drop_large(struct engine *engine)
{
	const struct blob *large;

	pthread_mutex_lock(&engine->lock);
	large = TAKE(engine->large);
	pthread_mutex_unlock(&engine->lock);
	cache_put(engine->cache, large);
}

void engine_forget(struct engine *engine, struct lens *lens)
{
	pthread_mutex_lock(&engine->lock);
	while (lens->live->busy > 0)
		pthread_cond_wait(&engine->quiet, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
	for (size_t i = 0; i < lens->plan->count; i++) {
		cache_put(engine->cache,
			  atomic_exchange(&lens->slots[i].state, NULL));
		atomic_store(&lens->slots[i].kept_since, 0);
	}
	drop_large(engine);
	census_remove(engine->census, lens);
}

static void add_method(struct engine_method_stats *stats,
		       const struct method_counters *counters)
{
	stats->bytes_merged += counters->bytes_merged;
	stats->reductions += counters->reductions;
	stats->merge_seconds += (double)counters->merge_ns / 1e9;
	stats->reduce_seconds += (double)counters->reduce_ns / 1e9;
}

void engine_method_stats(struct engine *engine, size_t i,
			 struct engine_method_stats *stats)
{
	*stats = (struct engine_method_stats){ 0 };
	add_method(stats, &engine->methods[i]);
}

void engine_stats(struct engine *engine, struct engine_stats *stats)
{
	const struct engine_counters *c = &engine->counters;
	struct engine_method_stats all = { 0 };

	for (size_t i = 0; i <= method_count(); i++)
		add_method(&all, &engine->methods[i]);
	*stats = (struct engine_stats){
		.reads = c->reads,
		.bytes_served = c->bytes_served,
		.bytes_copied = c->bytes_copied,
		.bytes_merged = c->bytes_merged,
		.bytes_chunks = c->bytes_chunks,
		.bytes_shards = c->bytes_shards,
		.parked = c->parked,
		.cancelled = c->cancelled,
		.errors = c->errors,
		.nonfinite = c->nonfinite,
		.reductions = c->reductions,
		.surveys = c->surveys,
		.chunks = c->chunks,
		.shards_kept = c->shards_kept,
		.shards_bad = c->shards_bad,
		.merge_seconds = all.merge_seconds,
		.reduce_seconds = all.reduce_seconds,
		.reading = c->reading,
		.queued = pool_queued(engine->makers) +
			  pool_queued(engine->readers),
	};
	cache_stats(engine->cache, &stats->cache);
	census_stats(engine->census, &stats->census);
}

void engine_log_trouble(struct engine *engine)
{
	struct error err;

	if (cache_trouble(engine->cache, &err))
		log_line(LOG_WARNING,
			 "the cache on disk is not written for a while: %s",
			 err.text);
}
