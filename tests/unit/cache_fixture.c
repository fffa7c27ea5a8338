#include "tests/unit/cache_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What a maker gets: owned by it, as the contract of the cache says. */
struct order {
	struct cache_fixture *cf;
	struct hash128 key;
};

struct hash128 key_of(uint64_t number)
{
	return hash_bytes(&number, sizeof(number));
}

static unsigned char pattern_byte(struct hash128 key, size_t i)
{
	return (unsigned char)(key.hi + i * (key.lo | 1) + (i >> 8));
}

void fill_pattern(void *data, size_t size, struct hash128 key)
{
	unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		bytes[i] = pattern_byte(key, i);
}

bool has_pattern(const struct blob *blob, struct hash128 key)
{
	const unsigned char *bytes = blob->data;

	for (size_t i = 0; i < blob->size; i++)
		if (bytes[i] != pattern_byte(key, i))
			return false;
	return true;
}

static int make_pattern(void *ctx, void *data, size_t size, struct error *err)
{
	struct order *order = ctx;
	struct cache_fixture *cf = order->cf;
	int rc = cf->hook ? cf->hook(cf, order->key) : 0;

	atomic_fetch_add(&cf->makes, 1);
	fill_pattern(data, size, order->key);
	/* In brackets it is not the macro of cmocka. */
	return rc ? (fail)(err, -rc, "the maker of the test failed") : 0;
}

static void free_order(void *ctx)
{
	struct order *order = ctx;

	atomic_fetch_add(&order->cf->frees, 1);
	free(order);
}

struct cache_request request_of(struct cache_fixture *cf, uint64_t number,
				enum cache_class class, size_t size)
{
	struct order *order = malloc(sizeof(*order));

	assert_non_null(order);
	*order = (struct order){ cf, key_of(number) };
	return (struct cache_request){ .key = order->key,
				       .class = class,
				       .keep = !cf->loose,
				       .size = size,
				       .make = make_pattern,
				       .ctx = order,
				       .free_ctx = free_order };
}

const struct blob *get_checked(struct cache_fixture *cf, uint64_t number,
			       enum cache_class class, size_t size)
{
	struct cache_request request = request_of(cf, number, class, size);
	const struct blob *blob = NULL;
	struct error err;

	assert_int_equal(cache_get_wait(cf->cache, &request, &blob, &err), 0);
	assert_non_null(blob);
	assert_int_equal(blob->size, size);
	assert_int_equal((uintptr_t)blob->data % 64, 0);
	assert_true(has_pattern(blob, key_of(number)));
	return blob;
}

void touch_checked(struct cache_fixture *cf, uint64_t number,
		   enum cache_class class, size_t size)
{
	cache_put(cf->cache, get_checked(cf, number, class, size));
}

struct cache_stats stats_of(struct cache_fixture *cf)
{
	struct cache_stats stats;

	cache_stats(cf->cache, &stats);
	return stats;
}

void cache_fixture_reopen(struct cache_fixture *cf,
			  const struct cache_options *options)
{
	cache_close(cf->cache);
	report_done(&cf->report);
	cf->report = (struct report)REPORT_INIT;
	cf->cache = cache_open(options, cf->pool, &cf->report);
	assert_non_null(cf->cache);
}

void cache_fixture_open(struct cache_fixture *cf, size_t threads,
			const struct cache_options *options)
{
	struct error err;

	*cf = (struct cache_fixture){ .pool = pool_open(threads, &err) };
	assert_non_null(cf->pool);
	cache_fixture_reopen(cf, options);
}

void cache_fixture_close(struct cache_fixture *cf)
{
	cache_close(cf->cache);
	pool_close(cf->pool);
	report_done(&cf->report);
}
