/*
 * The cache in memory: one maker a key, waiters that hold no thread, exact
 * cancelling, and errors for everybody.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include "tests/unit/cache_fixture.h"

#include <cmocka.h>

enum { KIB = 1024, THREADS = 16 };

static const struct cache_options in_memory = { .memory_max = 1024 * KIB };

/* A gate that makers wait at, so that a test decides when they end. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	size_t waiting;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, true, 0 };

static void gate_set(bool open)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = open;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static int pass_gate(struct cache_fixture *cf, struct hash128 key)
{
	pthread_mutex_lock(&gate.lock);
	gate.waiting++;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.open)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.waiting--;
	pthread_mutex_unlock(&gate.lock);
	return 0;
}

static int pass_gate_and_fail(struct cache_fixture *cf, struct hash128 key)
{
	pass_gate(cf, key);
	return -EIO;
}

static void await_maker(void)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.waiting == 0)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

/* A waiter that counts its calls. */
struct parked {
	struct cache_waiter waiter;
	struct cache *cache;
	atomic_int calls;
	struct error err;
	const void *data;
};

static void parked_done(struct cache_waiter *waiter, const struct blob *blob,
			const struct error *err)
{
	struct parked *parked = CONTAINER_OF(waiter, struct parked, waiter);

	if (err)
		parked->err = *err;
	parked->data = blob ? blob->data : NULL;
	cache_put(parked->cache, blob);
	atomic_fetch_add(&parked->calls, 1);
}

static int park(struct cache_fixture *cf, struct parked *parked,
		uint64_t number)
{
	struct cache_request request = request_of(cf, number, CACHE_STATE, KIB);
	const struct blob *blob = NULL;
	int rc;

	*parked = (struct parked){ .waiter.done = parked_done,
				   .cache = cf->cache };
	rc = cache_get(cf->cache, &request, &parked->waiter, &blob, NULL);
	cache_put(cf->cache, blob);
	return rc;
}

/* Ends with the cache closed, so that all that was called has been called. */
static void finish(struct cache_fixture *cf)
{
	cache_close(cf->cache);
	cf->cache = NULL;
}

struct getter {
	pthread_t thread;
	struct cache_fixture *cf;
	const void *data;
	uint64_t seed;
	int code;
};

static void *get_one(void *arg)
{
	struct getter *getter = arg;
	struct cache_request request =
		request_of(getter->cf, 7, CACHE_CHUNK, 64 * KIB);
	const struct blob *blob = NULL;
	struct error err = { 0 };

	getter->code =
		-cache_get_wait(getter->cf->cache, &request, &blob, &err);
	getter->data = blob ? blob->data : NULL;
	cache_put(getter->cf->cache, blob);
	return NULL;
}

static void run_getters(struct cache_fixture *cf, struct getter *getters,
			void *(*run)(void *))
{
	for (size_t i = 0; i < THREADS; i++) {
		getters[i] = (struct getter){ .cf = cf, .seed = i };
		assert_int_equal(pthread_create(&getters[i].thread, NULL, run,
						&getters[i]),
				 0);
	}
}

static void join_getters(struct getter *getters)
{
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(getters[i].thread, NULL);
}

static void await_parked(struct cache_fixture *cf, uint64_t count)
{
	while (stats_of(cf).parked < count)
		usleep(1000);
}

static void test_sixteen_threads_make_once(void **state)
{
	struct getter getters[THREADS];
	struct cache_fixture cf;

	cache_fixture_open(&cf, 4, &in_memory);
	cf.hook = pass_gate;
	gate_set(false);
	run_getters(&cf, getters, get_one);
	await_parked(&cf, THREADS);
	gate_set(true);
	join_getters(getters);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(getters[i].code, 0);
		assert_ptr_equal(getters[i].data, getters[0].data);
	}
	touch_checked(&cf, 7, CACHE_CHUNK, 64 * KIB);
	assert_int_equal(cf.makes, 1);
	assert_int_equal(stats_of(&cf).made, 1);
	assert_int_equal(stats_of(&cf).memory_hits, 1);
	assert_int_equal(stats_of(&cf).making, 0);
	assert_int_equal(cf.frees, THREADS + 1);
	cache_fixture_close(&cf);
}

static void test_failed_maker_tells_everybody(void **state)
{
	struct getter getters[THREADS];
	struct cache_fixture cf;
	struct parked parked;

	cache_fixture_open(&cf, 4, &in_memory);
	cf.hook = pass_gate_and_fail;
	gate_set(false);
	run_getters(&cf, getters, get_one);
	assert_int_equal(park(&cf, &parked, 8), CACHE_PARKED);
	await_parked(&cf, THREADS + 1);
	gate_set(true);
	join_getters(getters);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(getters[i].code, EIO);
		assert_null(getters[i].data);
	}
	while (parked.calls == 0)
		usleep(1000);
	assert_int_equal(cf.makes, 2);
	cf.hook = NULL;
	touch_checked(&cf, 7, CACHE_CHUNK, 64 * KIB); /* absent again */
	assert_int_equal(cf.makes, 3);
	assert_int_equal(stats_of(&cf).failed, 2);
	assert_int_equal(stats_of(&cf).memory_bytes, 64 * KIB);
	finish(&cf);
	assert_int_equal(parked.calls, 1);
	assert_int_equal(parked.err.code, EIO);
	assert_string_equal(parked.err.text, "the maker of the test failed");
	assert_int_equal(cf.frees, THREADS + 2);
	cache_fixture_close(&cf);
}

static void test_parked_holds_no_thread(void **state)
{
	struct cache_fixture cf;
	struct parked slow;

	cache_fixture_open(&cf, 2, &in_memory);
	cf.hook = pass_gate;
	gate_set(false);
	assert_int_equal(park(&cf, &slow, 1), CACHE_PARKED);
	await_maker();
	cf.hook = NULL;
	touch_checked(&cf, 2, CACHE_STATE, KIB); /* served meanwhile */
	assert_int_equal(slow.calls, 0);
	assert_int_equal(stats_of(&cf).making, 1);
	gate_set(true);
	finish(&cf);
	assert_int_equal(slow.calls, 1);
	assert_non_null(slow.data);
	cache_fixture_close(&cf);
}

static void test_cancelled_is_not_called(void **state)
{
	struct parked parked[3], late;
	struct cache_fixture cf;

	for (size_t gone = 0; gone < ARRAY_LEN(parked); gone++) {
		cache_fixture_open(&cf, 2, &in_memory);
		cf.hook = pass_gate;
		gate_set(false);
		for (size_t i = 0; i < ARRAY_LEN(parked); i++)
			assert_int_equal(park(&cf, &parked[i], 1),
					 CACHE_PARKED);
		await_maker();
		assert_true(cache_cancel(cf.cache, &parked[gone].waiter));
		assert_false(cache_cancel(cf.cache, &parked[gone].waiter));
		assert_int_equal(park(&cf, &late, 1), CACHE_PARKED);
		gate_set(true);
		finish(&cf);
		for (size_t i = 0; i < ARRAY_LEN(parked); i++)
			assert_int_equal(parked[i].calls, i != gone);
		assert_int_equal(late.calls, 1);
		cache_fixture_close(&cf);
	}
}

static void test_cancel_is_exact_in_a_race(void **state)
{
	struct cache_fixture cf;
	struct parked parked[200];
	bool cancelled[ARRAY_LEN(parked)] = { false };
	size_t made = 0;

	cache_fixture_open(&cf, 2, &in_memory);
	for (size_t i = 0; i < ARRAY_LEN(parked); i++) {
		assert_int_equal(park(&cf, &parked[i], i), CACHE_PARKED);
		usleep(i % 8 * 4);
		cancelled[i] = cache_cancel(cf.cache, &parked[i].waiter);
	}
	finish(&cf);
	for (size_t i = 0; i < ARRAY_LEN(parked); i++) {
		assert_int_equal(parked[i].calls, !cancelled[i]);
		made += !cancelled[i];
	}
	assert_int_equal(cf.frees, ARRAY_LEN(parked));
	assert_true(cf.makes >= made);
	cache_fixture_close(&cf);
}

static void test_abandoned_maker_does_not_begin(void **state)
{
	struct parked first, second;
	struct cache_fixture cf;

	cache_fixture_open(&cf, 1, &in_memory);
	cf.hook = pass_gate;
	gate_set(false);
	assert_int_equal(park(&cf, &first, 1), CACHE_PARKED);
	await_maker();
	assert_int_equal(park(&cf, &second, 2), CACHE_PARKED);
	assert_true(cache_cancel(cf.cache, &second.waiter));
	gate_set(true);
	touch_checked(&cf, 3, CACHE_STATE, KIB); /* queued behind both */
	assert_int_equal(stats_of(&cf).abandoned, 1);
	assert_int_equal(cf.makes, 2);
	touch_checked(&cf, 2, CACHE_STATE, KIB); /* absent, so made now */
	assert_int_equal(cf.makes, 3);
	assert_int_equal(stats_of(&cf).memory_bytes, 3 * KIB);
	assert_int_equal(cf.frees, 4);
	cache_fixture_close(&cf);
}

static void test_many_keys_are_all_found(void **state)
{
	enum { KEYS = 3000 };
	struct cache_fixture cf;

	cache_fixture_open(&cf, 2, &in_memory);
	for (size_t round = 0; round < 2; round++)
		for (uint64_t i = 0; i < KEYS; i++)
			touch_checked(&cf, i, CACHE_STATE, 16);
	assert_int_equal(cf.makes, KEYS);
	assert_int_equal(stats_of(&cf).memory_hits, KEYS);
	cache_fixture_close(&cf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sixteen_threads_make_once),
		cmocka_unit_test(test_failed_maker_tells_everybody),
		cmocka_unit_test(test_parked_holds_no_thread),
		cmocka_unit_test(test_cancelled_is_not_called),
		cmocka_unit_test(test_cancel_is_exact_in_a_race),
		cmocka_unit_test(test_abandoned_maker_does_not_begin),
		cmocka_unit_test(test_many_keys_are_all_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
