/*
 * What an engine is inside, which its files share: engine.c (life, statistics),
 * engine_read.c (the course of a read), engine_wait.c (one that is waited for),
 * engine_piece.c (what a read is cut into), engine_make.c (what is made: bytes,
 * chunks, states), engine_ahead.c (states that will be needed next),
 * engine_tiles.c (bytes that will be), engine_warm.c (all of it, beforehand),
 * engine_shards.c (finished files), engine_keep.c (the same, made), workspace.c
 * (memory of a thread).
 */
#ifndef LMFS_ENGINE_INSIDE_H
#define LMFS_ENGINE_INSIDE_H

#include <pthread.h>

#include "cache/shelf.h"
#include "fs/engine.h"
#include "fs/workspace.h"

struct engine_counters {
	atomic_uint_fast64_t reads, bytes_served, bytes_copied, bytes_merged;
	atomic_uint_fast64_t bytes_chunks, parked, cancelled, errors, nonfinite;
	atomic_uint_fast64_t reductions, chunks, surveys;
	atomic_uint_fast64_t bytes_shards, shards_kept, shards_bad;
	atomic_uint_fast64_t reading; /* now */
};

struct method_counters {
	atomic_uint_fast64_t bytes_merged, merge_ns, reductions, reduce_ns;
};

struct tiles; /* engine_tiles.c */

struct engine {
	enum cpu_level level;
	enum engine_cache cache_kind;
	bool keeps;    /* there is a cache on disk */
	uint64_t room; /* for large states: of the disk, else memory */
	atomic_bool short_of_room;     /* that has been said */
	atomic_bool is_ahead;	       /* a state is being made ahead */
	_Atomic(struct tiles *) tiles; /* NULL: nothing is tiled */
	struct census *census;
	struct pool *makers;  /* the cache's: at most one make a thread */
	struct pool *helpers; /* of reductions; NULL: there is one thread */
	struct pool *readers; /* finish parked reads, never behind a make */
	struct cache *cache;
	struct workspaces *workspaces;
	struct shelf *shelf;  /* finished files; NULL: there is no disk */
	struct pool *checker; /* reads them through, one at a time */
	struct pool *keeper;  /* writes what was read; NULL: nothing is kept */
	atomic_bool closing;  /* nothing is kept or checked any more */
	struct engine_counters counters;
	struct method_counters *methods; /* as method_at(), then all others */
	pthread_mutex_t cancel; /* read->cancelled; goes before `lock` */
	pthread_mutex_t lock;	/* lens->live->busy, slot->tensor_key */
	pthread_cond_t quiet;	/* some lens->live->busy is 0 */
	pthread_mutex_t turn;	/* of who makes beforehand; before all others */
	const struct blob *large; /* the large state used last, under `lock` */
};

static inline void count(atomic_uint_fast64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void count_down(atomic_uint_fast64_t *counter)
{
	atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
}

/* A part of a tensor that is cached as one. */
struct chunk {
	uint64_t off; /* of its first byte in the tensor */
	size_t size;
};

/* The one that holds the byte at off < job->size. */
struct chunk chunk_at(const struct job *job, uint64_t off);

/* Whether the bytes of a job that is no copy go through chunks, and to the
 * disk, to who goes by the census' clock at `now`. */
bool job_is_kept(const struct engine *engine, const struct lens *lens,
		 const struct job *job, uint64_t now);

/* A run of a read that is answered from one place. */
struct piece {
	struct span span;
	size_t len;   /* bytes, at most span.len */
	bool chunked; /* from the chunk, else made or copied */
	struct chunk chunk;
};

/* The piece that begins `at` < read->len bytes into the read. It is the same
 * whenever it is asked for. */
struct piece piece_at(const struct engine_read *read, size_t at);

/*
 * A state of more bytes, which is a whole tensor, is not kept for the life of a
 * lens: the cache's budget decides. A read refers to it until it is answered,
 * and the one used last stays, whatever the budget. Its job's bytes do not go
 * through chunks: they are elementwise.
 */
#define STATE_KEPT_MAX (8u << 20)

static inline bool has_large_state(const struct job *job)
{
	return job->state_size > STATE_KEPT_MAX;
}

/* Give back references to chunks or states; a large state's becomes the
 * engine's own, in place of that of another. */
void put_references(struct engine *engine, const struct blob **blobs,
		    size_t count);

/* The state of the job of a lens, where it is there already; NULL: it is not,
 * or the job needs none, or it is large. */
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
		  const struct job *job, struct chunk chunk,
		  struct cache_request *request, struct error *err);

/* The key of a tensor, worked out once; may read sources. */
int job_tensor_key(struct engine *engine, const struct lens *lens,
		   const struct job *job, struct hash128 *key,
		   struct error *err);

/* A read of any length of this lens, file and range, waited for. */
int read_wait(struct engine *engine, const struct engine_read *what, void *buf,
	      struct error *err);

/* One more read that is not answered, or one less. */
static inline void count_reading(const struct engine_read *read, bool more)
{
	if (read->beforehand)
		return;
	if (more)
		count(&read->engine->counters.reading, 1);
	else
		count_down(&read->engine->counters.reading);
}

/* The key of a file of the layout, worked out once; may read sources. */
int shard_key(struct engine *engine, const struct lens *lens,
	      const struct layout_file *file, struct hash128 *key,
	      struct error *err);

/* The kept file, sound, or -1. May read sources, and all of the file. */
int shard_find(struct engine *engine, const struct lens *lens,
	       const struct layout_file *file);

/* What was read, or written, of a file that was so before, and still is, is
 * sound. */
void shard_note_sound(struct engine *engine, struct lens_shard *shard, int fd,
		      const struct stat *before);

/* The bytes of this read are made: begin what the next ones will need. */
void look_ahead(const struct engine_read *read);

/* Begin what nobody has asked for yet: a chunk of a job, whose state is there,
 * or (NULL) its state; of those one at a time, by engine->is_ahead, which is
 * taken back at its end. */
bool begin_ahead(struct engine *engine, const struct lens *lens,
		 const struct job *job, const struct chunk *chunk);

/* Whether chunks of a job are worth it where reads are small. */
bool tiling_pays(const struct job *job);

/* A read begins: whether it goes on where another ended, and so is tiled; what
 * comes after it is begun. */
bool tiles_take(struct engine *engine, const struct engine_read *read);
void tiles_close(struct tiles *tiles); /* NULL is fine */

/* Make or copy a piece that is not chunked; its state is there, and is given
 * where it is large, else NULL. */
int make_piece(const struct engine_read *read, const struct piece *piece,
	       const struct blob *large, void *out, struct error *err);

#endif
