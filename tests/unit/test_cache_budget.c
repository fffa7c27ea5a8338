/*
 * The budget of the cache in memory: it holds with many threads, counts what is
 * being made, and never frees what somebody refers to.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include "tests/unit/cache_fixture.h"

#include <cmocka.h>

enum { KIB = 1024, THREADS = 16 };
enum { ITEM = 64 * KIB, ITEMS = 40, BUDGET = 4, ROUNDS = 150, POOL = 3 };

static void test_least_recently_used_goes_first(void **state)
{
	struct cache_options options = { .memory_max = 3 * KIB };
	struct cache_fixture cf;

	cache_fixture_open(&cf, 1, &options);
	for (uint64_t i = 0; i < 3; i++)
		touch_checked(&cf, i, CACHE_CHUNK, KIB);
	touch_checked(&cf, 0, CACHE_CHUNK, KIB);
	touch_checked(&cf, 3, CACHE_CHUNK, KIB); /* evicts 1 */
	assert_int_equal(cf.makes, 4);
	touch_checked(&cf, 0, CACHE_CHUNK, KIB);
	touch_checked(&cf, 2, CACHE_CHUNK, KIB);
	assert_int_equal(cf.makes, 4);
	touch_checked(&cf, 1, CACHE_CHUNK, KIB);
	assert_int_equal(cf.makes, 5);
	assert_int_equal(stats_of(&cf).evicted, 2);
	cache_fixture_close(&cf);
}

static void test_referenced_is_never_freed(void **state)
{
	struct cache_options options = { .memory_max = 2 * KIB };
	const struct blob *held, *again;
	struct cache_fixture cf;

	cache_fixture_open(&cf, 1, &options);
	held = get_checked(&cf, 0, CACHE_CHUNK, KIB);
	for (uint64_t i = 1; i < 9; i++)
		touch_checked(&cf, i, CACHE_CHUNK, KIB);
	assert_true(has_pattern(held, key_of(0)));
	again = get_checked(&cf, 0, CACHE_CHUNK, KIB);
	assert_ptr_equal(held, again);
	cache_put(cf.cache, held);
	cache_put(cf.cache, again);
	cache_fixture_close(&cf);
}

static void test_larger_than_budget_goes_when_put(void **state)
{
	struct cache_options options = { .memory_max = 4 * KIB };
	struct cache_fixture cf;

	cache_fixture_open(&cf, 1, &options);
	touch_checked(&cf, 1, CACHE_CHUNK, 9 * KIB);
	/* The maker's own reference may be the last. */
	while (stats_of(&cf).memory_bytes > 0)
		usleep(1000);
	touch_checked(&cf, 2, CACHE_CHUNK, KIB);
	touch_checked(&cf, 1, CACHE_CHUNK, 9 * KIB);
	assert_int_equal(cf.makes, 3);
	touch_checked(&cf, 3, CACHE_CHUNK, 0);
	cache_fixture_close(&cf);
}

struct getter {
	pthread_t thread;
	struct cache_fixture *cf;
	uint64_t seed;
	int code;
};

/* No assert_* here: cmocka's belong to the thread of the test. */
static bool get_put(struct cache_fixture *cf, uint64_t number)
{
	struct cache_request request =
		request_of(cf, number, CACHE_CHUNK, ITEM);
	const struct blob *blob = NULL;
	bool right;

	right = cache_get_wait(cf->cache, &request, &blob, NULL) == 0 &&
		has_pattern(blob, key_of(number));
	cache_put(cf->cache, blob);
	return right;
}

static void *get_many(void *arg)
{
	struct getter *getter = arg;
	uint64_t random = getter->seed;
	struct cache_stats stats;

	for (size_t i = 0; i < ROUNDS; i++) {
		if (!get_put(getter->cf, fixture_random(&random) % ITEMS))
			getter->code = EBADMSG;
		stats = stats_of(getter->cf);
		/* Each getter and each worker may hold one beyond it. */
		if (stats.memory_bytes > (BUDGET + THREADS + POOL) * ITEM)
			getter->code = ENOSPC;
	}
	return NULL;
}

static void test_budget_holds_with_many_threads(void **state)
{
	struct cache_options options = { .memory_max = BUDGET * ITEM };
	struct getter getters[THREADS];
	struct cache_fixture cf;

	cache_fixture_open(&cf, POOL, &options);
	for (size_t i = 0; i < THREADS; i++) {
		getters[i] = (struct getter){ .cf = &cf, .seed = i };
		assert_int_equal(pthread_create(&getters[i].thread, NULL,
						get_many, &getters[i]),
				 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(getters[i].thread, NULL);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(getters[i].code, 0);
	cache_fixture_close(&cf);
}

static void test_budget_is_kept_once_all_is_put(void **state)
{
	struct cache_options options = { .memory_max = BUDGET * ITEM };
	const struct blob *held[2 * BUDGET];
	struct cache_fixture cf;

	cache_fixture_open(&cf, POOL, &options);
	for (uint64_t i = 0; i < ARRAY_LEN(held); i++)
		held[i] = get_checked(&cf, i, CACHE_CHUNK, ITEM);
	assert_int_equal(stats_of(&cf).memory_bytes, ARRAY_LEN(held) * ITEM);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		cache_put(cf.cache, held[i]);
	while (stats_of(&cf).memory_bytes > options.memory_max)
		usleep(1000);
	assert_int_equal(stats_of(&cf).memory_bytes, options.memory_max);
	assert_int_equal(stats_of(&cf).evicted, BUDGET);
	cache_fixture_close(&cf);
}

static int check_budget(struct cache_fixture *cf, struct hash128 key)
{
	return stats_of(cf).memory_bytes > BUDGET * ITEM ? -ENOSPC : 0;
}

/* What is idle goes before a maker begins, not when it has ended. */
static void test_budget_counts_what_is_being_made(void **state)
{
	struct cache_options options = { .memory_max = BUDGET * ITEM };
	struct cache_fixture cf;

	cache_fixture_open(&cf, 1, &options);
	cf.hook = check_budget;
	for (uint64_t i = 0; i < 3 * BUDGET; i++)
		touch_checked(&cf, i, CACHE_CHUNK, ITEM);
	cache_fixture_close(&cf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least_recently_used_goes_first),
		cmocka_unit_test(test_referenced_is_never_freed),
		cmocka_unit_test(test_larger_than_budget_goes_when_put),
		cmocka_unit_test(test_budget_holds_with_many_threads),
		cmocka_unit_test(test_budget_is_kept_once_all_is_put),
		cmocka_unit_test(test_budget_counts_what_is_being_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
