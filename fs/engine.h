/*
 * The one place where core and cache meet: reads of shards, made of header
 * bytes, copied bytes, merged bytes and cached chunks. It owns the pool, the
 * cache and the statistics; lenses come and go.
 *
 * A read that needs a state or a chunk that is not there is parked: the calling
 * thread is free again, and the read is finished on the pool when the thing is
 * made. So no thread waits while another makes.
 */
#ifndef LMFS_ENGINE_H
#define LMFS_ENGINE_H

#include "core/kernels.h"
#include "fs/lens.h"

#define ENGINE_READ_MAX (1u << 20) /* bytes of one read */
#define ENGINE_CHUNK_BYTES (1u << 20) /* of output, about; whole rows */

enum engine_cache { ENGINE_CACHE_AUTO, ENGINE_CACHE_ALL, ENGINE_CACHE_OFF };

struct engine_options {
	size_t threads; /* 0: as many as the machine has */
	enum cpu_level level;
	enum engine_cache cache;
	const char *cache_dir; /* NULL: the user's default */
	size_t cache_mem; /* bytes */
	uint64_t cache_disk; /* bytes */
};

struct engine_stats {
	uint64_t reads, bytes_served, bytes_copied, bytes_merged, bytes_chunks;
	uint64_t parked, errors, nonfinite;
	uint64_t source_bytes; /* read from sources */
	double merge_seconds, reduce_seconds; /* summed over threads */
	struct cache_stats cache;
};

struct engine;

/* Warnings (an unusable cache folder) go to the report; NULL on failure. */
struct engine *engine_open(const struct engine_options *options,
			   struct report *report);
void engine_close(struct engine *engine); /* no read in flight; NULL is fine */

enum { ENGINE_PARKED = 1 };

/* A read; it must live until it is answered. */
struct engine_read {
	const struct lens *lens;
	const struct layout_file *file;
	uint64_t off;
	size_t len; /* at most ENGINE_READ_MAX, within the file */
	/*
	 * Called once, on a pool thread, after engine_read() returned
	 * ENGINE_PARKED: `data` are the len bytes, valid during the call, or
	 * NULL and a negative rc (err says why).
	 */
	void (*done)(struct engine_read *read, int rc, const void *data,
		     const struct error *err);
	/* The engine's own. */
	struct engine *engine;
	struct cache_waiter waiter;
	struct task task;
	struct error *failure;
};

/*
 * Read into buf: 0, ENGINE_PARKED (buf is not used any more, `done` will be
 * called), or -EIO with the sentence.
 */
int engine_read(struct engine *engine, struct engine_read *read, void *buf,
		struct error *err);

/* Give up a parked read: true if its `done` will not be called any more. */
bool engine_cancel(struct engine *engine, struct engine_read *read);

/* The same as engine_read, of any length, waiting for what is parked. Not from
 * a pool task. */
int engine_read_wait(struct engine *engine, const struct lens *lens,
		     const struct layout_file *file, uint64_t off, size_t len,
		     void *buf, struct error *err);

/* Put what the slots of a lens hold, before lens_close(). */
void engine_forget(struct engine *engine, struct lens *lens);

struct pool *engine_pool(struct engine *engine);
void engine_stats(struct engine *engine, struct engine_stats *stats);

#endif
