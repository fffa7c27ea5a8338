/*
 * The one place where core and cache meet: reads of shards, made of header
 * bytes, copied bytes, merged bytes and cached chunks. It owns the threads that
 * compute, the cache and the statistics; lenses come and go.
 *
 *	reader's thread        engine_read(): all at hand? -> bytes, at once
 *	                           | no
 *	                       parked; the thread is free again
 *	makers (cache tasks)       |-> states, chunks --wake--.
 *	helpers                    |     take part in reductions
 *	readers                    '--> keys; the rest of the read -> done()
 *
 * A read is answered in two steps: it gathers what is not made on the spot (the
 * state of a reduction, chunks of rows), parking as often as something is not
 * there yet, and then fills the caller's bytes, which cannot wait for anything
 * but sources. So no thread waits while another makes, and whatever a reduction
 * takes, reads that do not need it go on.
 *
 * Elementwise bytes are made where they are wanted; with ENGINE_CACHE_ALL they
 * go through chunks as rows do, so that a second mount finds them on disk.
 */
#ifndef LMFS_ENGINE_H
#define LMFS_ENGINE_H

#include "core/kernels.h"
#include "fs/lens.h"

#define ENGINE_READ_MAX (1u << 20)    /* bytes of one read */
#define ENGINE_CHUNK_BYTES (1u << 20) /* of output, about; whole rows */

enum engine_cache { ENGINE_CACHE_AUTO, ENGINE_CACHE_ALL, ENGINE_CACHE_OFF };

struct engine_options {
	size_t threads; /* 0: as many as the machine has */
	enum cpu_level level;
	enum engine_cache cache;
	const char *cache_dir; /* NULL: nothing is kept on disk */
	size_t cache_mem;      /* bytes */
	uint64_t cache_disk;   /* bytes */
};

struct engine_stats {
	uint64_t reads, bytes_served;	     /* answered, and their bytes */
	uint64_t bytes_copied, bytes_merged; /* for the reader, on the spot */
	uint64_t bytes_chunks;		     /* served from chunks */
	uint64_t parked, cancelled, errors;  /* reads */
	uint64_t nonfinite;	     /* elements made so from finite inputs */
	uint64_t reductions, chunks; /* made */
	double merge_seconds;	     /* summed over threads */
	double reduce_seconds;	     /* from begin to end of each, summed */
	struct cache_stats cache;
};

struct engine;

/*
 * Warnings (an unusable cache folder) go to the report; NULL on failure. It
 * starts threads: a daemon forks before.
 */
struct engine *engine_open(const struct engine_options *options,
			   struct report *report);

/* No read in flight, all lenses forgotten; waits for what is being made and
 * kept. NULL is fine. */
void engine_close(struct engine *engine);

enum { ENGINE_PARKED = 1 };

/* A read; it must live until it is answered. */
struct engine_read {
	const struct lens *lens;
	const struct layout_file *file;
	uint64_t off;
	size_t len; /* at most ENGINE_READ_MAX, within the file */
	/*
	 * Called once where engine_read() answers ENGINE_PARKED, on a thread of
	 * the engine's, maybe before engine_read() has returned: `data` are the
	 * len bytes, valid during the call, or NULL and a negative rc (err says
	 * why; -EINTR after engine_cancel()). It may free the read.
	 */
	void (*done)(struct engine_read *read, int rc, const void *data,
		     const struct error *err);
	/* The engine's own; zero at first. */
	struct engine *engine;
	struct cache_waiter waiter;
	struct task task;
	const struct blob *woken_with; /* what it waited for, a reference */
	const struct job *wants_state; /* the job whose state; NULL: a chunk */
	bool cancelled;		       /* under the engine's `cancel` */
	size_t gathered;	       /* bytes whose needs are there */
	const struct blob **chunks;    /* references, in order of use */
	size_t chunks_count, chunks_room;
};

/*
 * Read into buf: 0; ENGINE_PARKED: buf is not used any more, `done` is called
 * for the answer, and the caller must not touch the read again; -EIO with the
 * sentence; or -EINTR after engine_cancel().
 */
int engine_read(struct engine *engine, struct engine_read *read, void *buf,
		struct error *err);

/*
 * Give up a read, from any thread, while it is not answered: true if it was
 * waiting, and its `done` will not be called any more. False: it is at work,
 * and is answered soon, at the latest when it would wait next.
 */
bool engine_cancel(struct engine *engine, struct engine_read *read);

/* The same as engine_read, of any length, waiting for what is parked. Not from
 * a thread of the engine's. */
int engine_read_wait(struct engine *engine, const struct lens *lens,
		     const struct layout_file *file, uint64_t off, size_t len,
		     void *buf, struct error *err);

/*
 * The calling thread's own ENGINE_READ_MAX bytes, 64-byte aligned, for reading
 * into; they end with the thread or the engine. NULL: no memory.
 */
void *engine_buffer(struct engine *engine);

/*
 * Put what the slots of a lens hold, before lens_close(). No read of it comes
 * any more; those that are parked are answered first, and what is being made
 * for it is finished.
 */
void engine_forget(struct engine *engine, struct lens *lens);

void engine_stats(struct engine *engine, struct engine_stats *stats);

/* Log trouble of the cache's folder, where there is some that was not said. */
void engine_log_trouble(struct engine *engine);

#endif
