/*
 * What an engine is inside, which its files share: engine.c (life, waiting,
 * statistics), engine_read.c (the course of a read), engine_make.c (what is
 * made: bytes, chunks, states), workspace.c (memory of a thread).
 */
#ifndef LMFS_ENGINE_INSIDE_H
#define LMFS_ENGINE_INSIDE_H

#include <pthread.h>

#include "fs/engine.h"
#include "fs/workspace.h"

struct engine_counters {
	atomic_uint_fast64_t reads, bytes_served, bytes_copied, bytes_merged;
	atomic_uint_fast64_t bytes_chunks, parked, cancelled, errors, nonfinite;
	atomic_uint_fast64_t reductions, chunks, merge_ns, reduce_ns;
};

struct engine {
	enum cpu_level level;
	bool chunk_tiles;     /* elementwise bytes go through chunks, too */
	struct pool *makers;  /* the cache's: at most one make a thread */
	struct pool *helpers; /* of reductions; NULL: there is one thread */
	struct pool *readers; /* finish parked reads, never behind a make */
	struct cache *cache;
	struct workspaces *workspaces;
	struct engine_counters counters;
	pthread_mutex_t cancel; /* read->cancelled; goes before `lock` */
	pthread_mutex_t lock;	/* *lens->busy, slot->tensor_key */
	pthread_cond_t quiet;	/* some *lens->busy is 0 */
};

static inline void count(atomic_uint_fast64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* A run of a read that is answered from one place. */
struct piece {
	struct span span;
	size_t len;	    /* bytes, at most span.len */
	bool chunked;	    /* from a chunk, else made or copied */
	uint64_t chunk;	    /* which one of the tensor */
	uint64_t chunk_off; /* of its first byte in the tensor */
	size_t chunk_size;  /* bytes */
};

/* The lens cannot go (engine_forget waits) between the two. */
void lens_hold(struct engine *engine, const struct lens *lens);
void lens_release(struct engine *engine, const struct lens *lens);

/* The piece at off < file->size, of at most len bytes. */
struct piece piece_at(const struct engine *engine,
		      const struct layout_file *file, uint64_t off, size_t len);

/* The state of the job of a lens, where it is there already; NULL: it is not,
 * or the job needs none. */
const struct blob *job_state(const struct lens *lens, const struct job *job);

/* Keep a state, whose reference is taken, for the life of the lens. */
void job_keep_state(struct engine *engine, const struct lens *lens,
		    const struct job *job, const struct blob *state);

/* Whether the key of a chunk can be had without reading sources. */
bool chunk_key_known(const struct lens *lens, const struct job *job);

/*
 * Requests for the cache, each for one use. They may read sources for their
 * keys (chunk_request only where chunk_key_known() is false).
 */
int state_request(struct engine *engine, const struct lens *lens,
		  const struct job *job, struct cache_request *request,
		  struct error *err);
int chunk_request(struct engine *engine, const struct lens *lens,
		  const struct piece *piece, struct cache_request *request,
		  struct error *err);

/* Make or copy a piece that is not chunked; its state is there. */
int make_piece(struct engine *engine, const struct lens *lens,
	       const struct piece *piece, void *out, struct error *err);

#endif
