/*
 * What the tests of the cache share: a cache over a folder of the test's own,
 * and makers that fill a pattern which follows from the key, and count.
 */
#ifndef LMFS_TESTS_CACHE_FIXTURE_H
#define LMFS_TESTS_CACHE_FIXTURE_H

#include <stdatomic.h>

#include "cache/cache.h"
#include "tests/unit/fixture.h"

struct cache_fixture {
	struct pool *pool;
	struct cache *cache;
	struct report report; /* of the last cache_open() */
	atomic_size_t makes, frees;
	/* What makers do besides: NULL for nothing, negative to fail. */
	int (*hook)(struct cache_fixture *cf, struct hash128 key);
	bool loose; /* requests do not ask for chunks to be kept on disk */
};

/* Open and close the cache alone; the pool stays. */
void cache_fixture_reopen(struct cache_fixture *cf,
			  const struct cache_options *options);

void cache_fixture_open(struct cache_fixture *cf, size_t threads,
			const struct cache_options *options);
void cache_fixture_close(struct cache_fixture *cf);

/* The key of a number, its two halves different from each other. */
struct hash128 key_of(uint64_t number);

/* A request whose maker fills the pattern of the key; for one use. */
struct cache_request request_of(struct cache_fixture *cf, uint64_t number,
				enum cache_class class, size_t size);

/* Get, waiting; asserts that the bytes are those of the key. */
const struct blob *get_checked(struct cache_fixture *cf, uint64_t number,
			       enum cache_class class, size_t size);

/* The same, put back at once. */
void touch_checked(struct cache_fixture *cf, uint64_t number,
		   enum cache_class class, size_t size);

bool has_pattern(const struct blob *blob, struct hash128 key);
void fill_pattern(void *data, size_t size, struct hash128 key);

struct cache_stats stats_of(struct cache_fixture *cf);

#endif
