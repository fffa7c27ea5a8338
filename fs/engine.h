/*
 * The one place where core and cache meet: reads of shards, made of header
 * bytes, copied bytes, merged bytes and cached chunks. It owns the threads that
 * compute, the cache and the statistics; lenses come and go.
 *
 *	reader's thread        engine_read(): all at hand? -> bytes, at once
 *	                           | no
 *	                       parked; the thread is free again
 *	makers (cache tasks)       |-> states, chunks --wake--.
 *	                           |   (states from surveys)
 *	helpers                    |     take part in reductions
 *	readers                    '--> keys; the rest of the read -> done()
 *
 * A read is answered in two steps: it gathers what is not made on the spot (the
 * state of a reduction, chunks of rows), parking as often as something is not
 * there yet, and then fills the caller's bytes, which cannot wait for anything
 * but sources. So no thread waits while another makes, and whatever a reduction
 * takes, reads that do not need it go on.
 *
 * A state that is a whole tensor is no part of the lens, as small ones are: a
 * read refers to it until it is answered, so that the cache's memory is kept
 * within its budget, and finds it on disk again, else has it made again.
 *
 * Elementwise bytes are made where they are wanted. They go through chunks, as
 * rows do, and are kept on disk, so that whoever needs them next finds them:
 * all of them with ENGINE_CACHE_ALL; with ENGINE_CACHE_AUTO those of a tensor
 * that several recipes of the mount make, where that is dearer than to read it
 * back, and of one that was asked for (engine_keep). Whether a tensor is cut
 * into chunks is decided once a read, by the census' clock when it began, so
 * that both steps of it agree.
 */
#ifndef LMFS_ENGINE_H
#define LMFS_ENGINE_H

#include "core/kernels.h"
#include "fs/census.h"

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
	bool cache_shards;     /* finished files are kept there, too */
};

struct engine_stats {
	uint64_t reads, bytes_served;	     /* answered, and their bytes */
	uint64_t bytes_copied, bytes_merged; /* for the reader, on the spot */
	uint64_t bytes_chunks;		     /* served from chunks */
	uint64_t bytes_shards;		     /* and from finished files */
	uint64_t parked, cancelled, errors;  /* reads */
	uint64_t nonfinite; /* elements made so from finite inputs */
	uint64_t reductions, surveys, chunks; /* made */
	uint64_t shards_kept, shards_bad;     /* finished files */
	double merge_seconds;		      /* summed over threads */
	double reduce_seconds; /* from begin to end of each, summed */
	uint64_t reading;      /* reads that are not answered, now */
	uint64_t queued;       /* makes and reads that wait for a thread, now */
	struct cache_stats cache;
	struct census_stats census;
};

/* What one method of the table (method_at) has done. */
struct engine_method_stats {
	uint64_t bytes_merged; /* on the spot and into chunks */
	uint64_t reductions;
	double merge_seconds, reduce_seconds;
};

struct engine;

/*
 * Warnings (an unusable cache folder) go to the report; NULL on failure. It
 * starts threads: a daemon forks before.
 */
struct engine *engine_open(const struct engine_options *options,
			   struct report *report);

/*
 * Make a lens known, before its first read: from now on its tensors count as
 * shared with those of others. 0 or -ENOMEM.
 */
int engine_add(struct engine *engine, struct lens *lens, struct error *err);

/* No read in flight, all lenses forgotten; waits for what is being made and
 * kept. NULL is fine. */
void engine_close(struct engine *engine);

enum { ENGINE_PARKED = 1 };

/* A read; it must live until it is answered. */
struct engine_read {
	const struct lens *lens;
	const struct layout_file *file;
	uint64_t off;
	size_t len;	 /* at most ENGINE_READ_MAX, within the file */
	bool beforehand; /* nobody reads it: it is not counted as a read */
	bool tiled; /* the engine's own: what is dear goes through chunks */
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
	uint64_t began;		       /* by the census' clock */
	size_t gathered;	       /* bytes whose needs are there */
	const struct blob **chunks;    /* and large states: references, in order
					* of use */
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
 * Readers whose reads are small though they go on and on, as those of a mapping
 * are where the kernel reads ahead by little, get what is dear to make from
 * chunks of ENGINE_CHUNK_BYTES that are begun before they are asked for, on as
 * many threads as there are. Off at first.
 */
void engine_tile_ahead(struct engine *engine);

/*
 * What warming does, one thing a call, waiting for it; not from a thread of the
 * engine's. The lens is held by the caller (lens_hold) or cannot go otherwise.
 * Failures are sentences, as of a read.
 */

/* Make the state of a job, if it has one and it is not there. */
int engine_make_state(struct engine *engine, const struct lens *lens,
		      const struct job *job, struct error *err);

/* From now on the bytes of this job, which is no copy, go through the cache,
 * and to its disk. */
void engine_keep(struct engine *engine, const struct lens *lens,
		 const struct job *job);

/* Make the chunk at `off` of a job that engine_keep() was called for, its state
 * too, and set *len to what it has from there. */
int engine_make_chunk(struct engine *engine, const struct lens *lens,
		      const struct job *job, uint64_t off, uint64_t *len,
		      struct error *err);

/* Whether there is a cache on disk, so that keeping means something. */
bool engine_keeps(const struct engine *engine);

/* Wait until no read is unanswered, or the lens is retired, for a moment
 * (ENGINE_YIELD_MS) at most: whether there are such reads still. */
#define ENGINE_YIELD_MS 50
bool engine_yield(struct engine *engine, const struct lens *lens);

/*
 * Makes that nobody waits for come one at a time, so that a read that needs one
 * never finds a queue of them before it. Wait for the turn, ENGINE_YIELD_MS at
 * most: whether it is the caller's, until the same thread ends it.
 */
bool engine_take_turn(struct engine *engine);
void engine_end_turn(struct engine *engine);

/*
 * Finished files of the layout in the cache's folder (cache/shelf.h), which
 * only an engine with cache_shards writes, and all use. One is read through,
 * against its checksum, before its first use by a mount.
 */
struct engine_opening {
	const struct lens *lens;
	const struct layout_file *file;
	/* Where engine_open_shard() answers ENGINE_PARKED: once, on a thread of
	 * the engine's, with what it would have answered. */
	void (*done)(struct engine_opening *opening, int fd);
	/* The engine's own. */
	struct engine *engine;
	struct task task;
};

/* Look for a kept file: 0, and *fd is its descriptor, which the caller closes,
 * or -1 where there is none; or ENGINE_PARKED. */
int engine_open_shard(struct engine *engine, struct engine_opening *opening,
		      int *fd);

/* As engine_read(), out of the kept file. False: that cannot be read. */
bool engine_read_shard(struct engine *engine, const struct lens *lens, int fd,
		       uint64_t off, size_t len, void *buf);

/* A reader has closed the file, or a part of it was read: what was mostly read
 * is kept, in the background, by an engine that keeps files. */
void engine_shard_read(const struct lens *lens, const struct layout_file *file,
		       size_t len);
void engine_shard_closed(struct engine *engine, const struct lens *lens,
			 const struct layout_file *file);

/* Whether warming keeps finished files, instead of their tensors. */
bool engine_keeps_shards(const struct engine *engine);

/* Before each piece of a file that is made, `next` is told how many bytes are
 * done; false ends it. */
struct keep_step {
	bool (*next)(void *ctx, uint64_t done);
	void *ctx;
};

/*
 * Make a file and keep it, unless it is there: 0, -ECANCELED where the step has
 * ended it, or a failure. The lens is held, or cannot go otherwise; not from a
 * thread of the engine's.
 */
int engine_keep_shard(struct engine *engine, const struct lens *lens,
		      const struct layout_file *file,
		      const struct keep_step *step, struct error *err);

/* Nothing is checked or kept any more; what is parked is answered. */
void engine_stop_shards(struct engine *engine);

/* The lens cannot go (engine_forget waits) between the two. */
void lens_hold(struct engine *engine, const struct lens *lens);
void lens_release(struct engine *engine, const struct lens *lens);

/*
 * Put what the slots of a lens hold, before lens_close(). No read of it comes
 * any more; those that are parked are answered first, and what is being made
 * for it is finished.
 */
void engine_forget(struct engine *engine, struct lens *lens);

void engine_stats(struct engine *engine, struct engine_stats *stats);

/* Of the i-th method of the table. */
void engine_method_stats(struct engine *engine, size_t i,
			 struct engine_method_stats *stats);

/* Log trouble of the cache's folder, where there is some that was not said. */
void engine_log_trouble(struct engine *engine);

#endif
