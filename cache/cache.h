/*
 * A 128-bit key to immutable bytes: found in memory, found on disk, or made,
 * once, by one maker, while everybody else who wants them waits without holding
 * a thread. The cache has no idea what the bytes are.
 *
 *	       get              maker done           last put, budget
 *	absent ---> making (waiters parked) ---> present ---> evicted
 *	              \--- maker failed: waiters get its error; absent again
 *
 * Makers run on the pool, at most one a thread of it; the disk is read and
 * written there, too, so that a get never waits for it. The lock of the table
 * is not held while a maker runs, a waiter is called, or a file is touched. A
 * maker that no waiter is left for does not begin. What is made may need other
 * bytes first, of a lower class (a state needs a survey), so that waiting
 * cannot go in circles: its making then waits for them as a reader does,
 * without a thread.
 *
 * Blobs in memory, those being made included, keep within memory_max, least
 * recently used first to go; those somebody holds a reference to stay until it
 * is put. Objects on disk are written after the waiters have been answered,
 * under a temporary name, and published by rename; they carry their key, length
 * and XXH3-128, checked when read: a bad one is a miss, and is removed. A disk
 * that is full, read-only or broken never fails a get: what was made is still
 * handed out.
 */
#ifndef LMFS_CACHE_H
#define LMFS_CACHE_H

#include "core/base/base.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/pool.h"

/* From the lowest on. */
enum cache_class {
	CACHE_SURVEY, /* what states are made from: kept on disk as they are */
	CACHE_STATE,  /* small and dear: kept on disk unless there is none */
	CACHE_CHUNK,  /* large: kept on disk where the request says so */
	CACHE_SHARD,  /* whole files, on disk only: see shelf.h */
	CACHE_CLASSES
};

struct cache_options {
	const char *dir;   /* NULL: nothing on disk */
	size_t memory_max; /* bytes of blobs in memory */
	uint64_t disk_max; /* bytes of the folder, all processes together */
};

struct cache_stats {
	uint64_t memory_hits, disk_hits, made, failed, parked, evicted;
	uint64_t disk_writes, disk_write_errors, disk_bad; /* bad checksums */
	uint64_t memory_bytes, disk_bytes;		   /* now */
	uint64_t making;				   /* now */
	uint64_t abandoned; /* makers that nobody was left to wait for */
};

struct cache;

/* A reference to cached bytes; they do not move or change while it is held. */
struct blob {
	const void *data; /* 64-byte aligned */
	size_t size;
};

/* Fill `size` bytes at data. 0, or -errno with a sentence. */
typedef int (*cache_make)(void *ctx, void *data, size_t size,
			  struct error *err);

struct cache_request;

/*
 * Tell what the bytes of a key are made from, of a lower class: 1 and *below is
 * a request for it, 0: nothing is needed, or -errno with a sentence.
 */
typedef int (*cache_needs)(void *ctx, struct cache_request *below,
			   struct error *err);

/*
 * Somebody who waits, where cache_get() answers CACHE_PARKED. `done` is called
 * once, on a pool thread, with a blob to put, or with NULL and the maker's
 * error (valid during the call); that may be before cache_get() has returned to
 * the one who called it. It must not block for long: what it wakes belongs on
 * the pool.
 */
struct cache_waiter {
	void (*done)(struct cache_waiter *waiter, const struct blob *blob,
		     const struct error *err);
	struct cache_waiter *next; /* the cache's */
	void *entry;		   /* the cache's */
};

enum { CACHE_PARKED = 1 };

/*
 * Never fails for want of a usable folder: that is a warning in the report, and
 * the cache works in memory. Fails without memory only. Borrows the pool.
 */
struct cache *cache_open(const struct cache_options *options, struct pool *pool,
			 struct report *report);

/*
 * No get may be in flight and no blob held; waits for what is being written to
 * disk. NULL is fine.
 */
void cache_close(struct cache *cache);

/*
 * Get the bytes of a key:
 *	0		*blob is a reference (to put)
 *	CACHE_PARKED	they are being made; waiter->done will be called
 *	-errno		they cannot be made (no memory)
 * The same key always comes with the same class and size. `make` is called on a
 * pool thread if nobody makes this key yet; ctx belongs to the maker once it is
 * taken: free_ctx(ctx) is called exactly once, whatever the outcome (may be
 * NULL). The request that begins the making of a key says whether it is kept on
 * disk; it is looked for there in any case.
 */
struct cache_request {
	struct hash128 key;
	enum cache_class class;
	bool keep; /* a chunk on disk, too; others always are */
	size_t size;
	/* Asked on a pool thread where the key has to be made. What it names is
	 * given to `got` before `make`, and stays until that is done. May both
	 * be NULL. */
	cache_needs needs;
	void (*got)(void *ctx, const struct blob *below);
	cache_make make;
	void *ctx;
	void (*free_ctx)(void *ctx);
};
int cache_get(struct cache *cache, const struct cache_request *request,
	      struct cache_waiter *waiter, const struct blob **blob,
	      struct error *err);

/*
 * The same, waiting on this thread: 0, or -errno with the maker's sentence. Not
 * from a pool task, which might wait for one queued behind it.
 */
int cache_get_wait(struct cache *cache, const struct cache_request *request,
		   const struct blob **blob, struct error *err);

/*
 * Take a parked waiter out of its queue (a reader gave up): true if its `done`
 * will not be called any more, false if it was called or is being called.
 */
bool cache_cancel(struct cache *cache, struct cache_waiter *waiter);

/* Give a reference back. NULL is fine. */
void cache_put(struct cache *cache, const struct blob *blob);

void cache_stats(struct cache *cache, struct cache_stats *stats);

/*
 * What is wrong with the folder: true, with the sentence, once for each time
 * that trouble begins. After it the folder is not written for a minute.
 */
bool cache_trouble(struct cache *cache, struct error *err);

#endif
