/*
 * The budget in memory is kept as the kernel counts, too: what is freed goes
 * back to it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/file.h"
#include "tests/unit/cache_fixture.h"

#include <cmocka.h>

enum { KIB = 1024, MIB = KIB * KIB };
enum { THREADS = 6, POOL = 3, ROUNDS = 1000, KEYS = 400 };
enum { BUDGET = 16 * MIB, SMALLEST = 4 * KIB, LARGEST = MIB / 2 };

static uint64_t resident_bytes(void)
{
	unsigned long long pages = 0, all = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%llu %llu", &all, &pages) != 2)
			pages = 0;
		fclose(file);
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct getter {
	pthread_t thread;
	struct cache_fixture *cf;
	uint64_t seed, most;
	bool wrong;
};

/* The same key has the same size: small, and large enough to matter. */
static size_t size_of(uint64_t number)
{
	uint64_t random = number;

	return SMALLEST + fixture_random(&random) % (LARGEST - SMALLEST);
}

/* No assert_* here: cmocka's belong to the thread of the test. */
static void get_put(struct getter *getter)
{
	uint64_t number = fixture_random(&getter->seed) % KEYS;
	struct cache_request request =
		request_of(getter->cf, number, CACHE_CHUNK, size_of(number));
	const struct blob *blob = NULL;

	if (cache_get_wait(getter->cf->cache, &request, &blob, NULL))
		getter->wrong = true;
	cache_put(getter->cf->cache, blob);
}

static void *get_many(void *arg)
{
	struct getter *getter = arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		get_put(getter);
		if (i % 16 == 0)
			getter->most = max_u64(getter->most, resident_bytes());
	}
	return NULL;
}

static uint64_t run_getters(struct cache_fixture *cf)
{
	struct getter getters[THREADS];
	uint64_t most = 0;

	for (size_t i = 0; i < THREADS; i++) {
		getters[i] = (struct getter){ .cf = cf, .seed = i };
		assert_int_equal(pthread_create(&getters[i].thread, NULL,
						get_many, &getters[i]),
				 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(getters[i].thread, NULL);
		most = max_u64(most, getters[i].most);
		assert_false(getters[i].wrong);
	}
	return most;
}

/* A heap would keep, in pieces, as much again. */
static void test_resident_memory_keeps_the_budget(void **state)
{
	struct cache_options options = { .memory_max = BUDGET };
	struct cache_fixture cf;
	uint64_t before, most;

	if (getenv("SAN")) /* sanitizers have memory of their own */
		skip();
	cache_fixture_open(&cf, POOL, &options);
	before = resident_bytes();
	most = run_getters(&cf);
	/* Each getter and each worker may hold one beyond it. */
	assert_in_range(most, before + BUDGET / 2,
			before + BUDGET + (THREADS + POOL) * LARGEST + MIB);
	cache_fixture_close(&cf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resident_memory_keeps_the_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
