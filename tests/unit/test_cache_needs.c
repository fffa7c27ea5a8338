/*
 * Bytes that are made from other bytes: those come first, are made once for all
 * that need them, and nobody waits for them on a thread.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/disk_fixture.h"

#include <cmocka.h>

enum { KIB = 1024, SIZE = 1000, BELOW = 900, STATES = 16 };

/* A key whose bytes are the pattern of its number, made from key BELOW. */
struct recipe {
	struct cache_fixture *cf;
	uint64_t number;
	const struct blob *below;
	int refusal; /* of `needs`; 0: none */
};

static struct {
	atomic_int needs, makes, frees;
	atomic_bool shut; /* BELOW's maker waits */
	atomic_int at_gate;
} seen;

static int wait_at_gate(struct cache_fixture *cf, struct hash128 key)
{
	if (!hash_equal(key, key_of(BELOW)))
		return 0;
	atomic_fetch_add(&seen.at_gate, 1);
	while (atomic_load(&seen.shut))
		usleep(200);
	return 0;
}

static int fail_below(struct cache_fixture *cf, struct hash128 key)
{
	return hash_equal(key, key_of(BELOW)) ? -EIO : 0;
}

static int needs_below(void *ctx, struct cache_request *below,
		       struct error *err)
{
	struct recipe *recipe = ctx;

	atomic_fetch_add(&seen.needs, 1);
	if (recipe->refusal < 0)
		return (fail)(err, -recipe->refusal, "no such survey");
	*below = request_of(recipe->cf, BELOW, CACHE_SURVEY, KIB);
	return 1;
}

static void got_below(void *ctx, const struct blob *below)
{
	((struct recipe *)ctx)->below = below;
}

static int make_from_below(void *ctx, void *data, size_t size,
			   struct error *err)
{
	struct recipe *recipe = ctx;

	assert_non_null(recipe->below);
	assert_true(has_pattern(recipe->below, key_of(BELOW)));
	fill_pattern(data, size, key_of(recipe->number));
	atomic_fetch_add(&seen.makes, 1);
	return 0;
}

static void free_recipe(void *ctx)
{
	atomic_fetch_add(&seen.frees, 1);
	free(ctx);
}

static struct cache_request needy(struct cache_fixture *cf, uint64_t number)
{
	struct recipe *recipe = calloc(1, sizeof(*recipe));

	assert_non_null(recipe);
	*recipe = (struct recipe){ .cf = cf, .number = number };
	return (struct cache_request){ .key = key_of(number),
				       .class = CACHE_STATE,
				       .size = SIZE,
				       .needs = needs_below,
				       .got = got_below,
				       .make = make_from_below,
				       .ctx = recipe,
				       .free_ctx = free_recipe };
}

static void seen_reset(void)
{
	memset(&seen, 0, sizeof(seen));
}

static int get(struct cache_fixture *cf, uint64_t number, struct error *err)
{
	struct cache_request request = needy(cf, number);
	const struct blob *blob = NULL;
	int rc = cache_get_wait(cf->cache, &request, &blob, err);

	if (rc == 0)
		assert_true(has_pattern(blob, key_of(number)));
	cache_put(cf->cache, blob);
	return rc;
}

/* A waiter that counts its calls. */
struct parked {
	struct cache_waiter waiter;
	struct cache *cache;
	atomic_int calls;
	bool right;
};

static void parked_done(struct cache_waiter *waiter, const struct blob *blob,
			const struct error *err)
{
	struct parked *parked = CONTAINER_OF(waiter, struct parked, waiter);

	parked->right = blob;
	cache_put(parked->cache, blob);
	atomic_fetch_add(&parked->calls, 1);
}

static void park(struct cache_fixture *cf, struct parked *parked,
		 uint64_t number)
{
	struct cache_request request = needy(cf, number);
	const struct blob *blob;

	*parked = (struct parked){ .waiter.done = parked_done,
				   .cache = cf->cache };
	assert_int_equal(
		cache_get(cf->cache, &request, &parked->waiter, &blob, NULL),
		CACHE_PARKED);
}

static void await(const atomic_int *counter, int value)
{
	for (int i = 0; atomic_load(counter) < value; i++) {
		assert_true(i < 50000);
		usleep(200);
	}
}

static void open_memory(struct cache_fixture *cf, size_t threads)
{
	static const struct cache_options in_memory = { .memory_max =
								1024 * KIB };

	seen_reset();
	cache_fixture_open(cf, threads, &in_memory);
}

/* One thread makes both. */
static void test_what_is_needed_is_made_first(void **state)
{
	struct cache_fixture cf;
	struct error err;

	open_memory(&cf, 1);
	assert_int_equal(get(&cf, 1, &err), 0);
	assert_int_equal(get(&cf, 1, &err), 0); /* from memory: needs nothing */
	assert_int_equal(get(&cf, 2, &err), 0); /* and what it needs is there */
	assert_int_equal(seen.needs, 2);
	assert_int_equal(seen.makes, 2);
	assert_int_equal(seen.frees, 3);
	assert_int_equal(cf.makes, 1);
	assert_int_equal(cf.frees, 2);
	assert_int_equal(stats_of(&cf).made, 3);
	cache_fixture_close(&cf);
}

/* While BELOW is being made by one of two threads, the other is free. */
static void test_those_in_need_hold_no_thread(void **state)
{
	struct parked parked[STATES];
	struct cache_fixture cf;

	open_memory(&cf, 2);
	cf.hook = wait_at_gate;
	seen.shut = true;
	for (size_t i = 0; i < STATES; i++)
		park(&cf, &parked[i], i);
	await(&seen.at_gate, 1);
	await(&seen.needs, STATES);
	touch_checked(&cf, 500, CACHE_STATE, KIB);
	assert_int_equal(seen.makes, 0);
	atomic_store(&seen.shut, false);
	for (size_t i = 0; i < STATES; i++) {
		await(&parked[i].calls, 1);
		assert_true(parked[i].right);
	}
	assert_int_equal(seen.at_gate, 1);
	assert_int_equal(seen.makes, STATES);
	cache_close(cf.cache);
	cf.cache = NULL;
	assert_int_equal(seen.frees, STATES);
	cache_fixture_close(&cf);
}

static void test_what_cannot_be_had_fails_those_in_need(void **state)
{
	struct cache_fixture cf;
	struct error err = { 0 };

	open_memory(&cf, 1);
	cf.hook = fail_below;
	assert_int_equal(get(&cf, 1, &err), -EIO);
	assert_string_equal(err.text, "the maker of the test failed");
	assert_int_equal(seen.makes, 0);
	assert_int_equal(stats_of(&cf).failed, 2);
	/* Nothing of it stays: the next one begins anew. */
	cf.hook = NULL;
	assert_int_equal(get(&cf, 1, &err), 0);
	assert_int_equal(seen.frees, 2);
	assert_int_equal(stats_of(&cf).memory_bytes, KIB + SIZE);
	cache_fixture_close(&cf);
}

static void test_needs_that_cannot_be_told_are_an_error(void **state)
{
	struct cache_fixture cf;
	struct cache_request request;
	const struct blob *blob;
	struct error err = { 0 };

	open_memory(&cf, 1);
	request = needy(&cf, 1);
	((struct recipe *)request.ctx)->refusal = -EACCES;
	assert_int_equal(cache_get_wait(cf.cache, &request, &blob, &err),
			 -EACCES);
	assert_string_equal(err.text, "no such survey");
	assert_int_equal(stats_of(&cf).memory_bytes, 0);
	cache_fixture_close(&cf);
}

/* Given up while BELOW is being made: that goes on, and nothing is made of it.
 */
static void test_given_up_while_in_need_is_not_made(void **state)
{
	struct cache_fixture cf;
	struct parked parked;

	open_memory(&cf, 1);
	cf.hook = wait_at_gate;
	seen.shut = true;
	park(&cf, &parked, 1);
	await(&seen.at_gate, 1);
	assert_true(cache_cancel(cf.cache, &parked.waiter));
	atomic_store(&seen.shut, false);
	await(&seen.frees, 1);
	touch_checked(&cf, BELOW, CACHE_SURVEY, KIB);
	assert_int_equal(seen.makes, 0);
	assert_int_equal(parked.calls, 0);
	assert_int_equal(stats_of(&cf).abandoned, 1);
	assert_int_equal(stats_of(&cf).memory_bytes, KIB);
	assert_int_equal(cf.makes, 1);
	/* It can be had again. */
	assert_int_equal(get(&cf, 1, NULL), 0);
	cache_fixture_close(&cf);
}

static void test_many_threads_make_what_is_needed_once(void **state)
{
	struct parked parked[STATES];
	struct cache_fixture cf;

	for (size_t round = 0; round < 50; round++) {
		open_memory(&cf, 4);
		for (size_t i = 0; i < STATES; i++)
			park(&cf, &parked[i], i);
		for (size_t i = 0; i < STATES; i++)
			await(&parked[i].calls, 1);
		assert_int_equal(cf.makes, 1);
		assert_int_equal(seen.makes, STATES);
		cache_fixture_close(&cf);
		assert_int_equal(seen.frees, STATES);
	}
}

/* Without room in the cache: what nobody holds is gone, the survey, too. */
static void test_what_is_made_lets_go_of_what_it_needed(void **state)
{
	static const struct cache_options no_room = { .memory_max = 0 };
	struct cache_fixture cf;
	struct error err;

	seen_reset();
	cache_fixture_open(&cf, 2, &no_room);
	assert_int_equal(get(&cf, 1, &err), 0);
	for (int i = 0; stats_of(&cf).memory_bytes > 0; i++) {
		assert_true(i < 50000);
		usleep(200);
	}
	cf.hook = fail_below;
	assert_int_equal(get(&cf, 2, &err), -EIO);
	assert_int_equal(stats_of(&cf).memory_bytes, 0);
	cache_fixture_close(&cf);
}

static void spoil(struct disk_fixture *s, enum cache_class class,
		  uint64_t number)
{
	char path[FIXTURE_PATH_MAX];

	object_path(s, class, number, path);
	assert_int_equal(truncate(path, 100), 0);
}

/* On disk: a state that is there asks for nothing; a damaged survey is made
 * again, and only where a state is. */
static void test_a_damaged_survey_is_made_again(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct disk_fixture s;

	seen_reset();
	disk_fixture_open(&s);
	assert_int_equal(get(&s.cf, 1, NULL), 0);
	disk_fixture_reopen(&s);
	assert_true(object_exists(&s, CACHE_SURVEY, BELOW));
	assert_true(object_exists(&s, CACHE_STATE, 1));
	spoil(&s, CACHE_SURVEY, BELOW);
	assert_int_equal(get(&s.cf, 1, NULL), 0);
	assert_int_equal(seen.needs, 1);
	assert_int_equal(stats_of(&s.cf).disk_bad, 0);
	assert_int_equal(get(&s.cf, 2, NULL), 0);
	assert_int_equal(stats_of(&s.cf).disk_bad, 1);
	assert_int_equal(s.cf.makes, 2);
	disk_fixture_reopen(&s);
	object_path(&s, CACHE_STATE, 2, path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(get(&s.cf, 2, NULL), 0); /* from the sound one */
	assert_int_equal(s.cf.makes, 2);
	assert_int_equal(stats_of(&s.cf).disk_hits, 1);
	disk_fixture_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_needed_is_made_first),
		cmocka_unit_test(test_those_in_need_hold_no_thread),
		cmocka_unit_test(test_what_cannot_be_had_fails_those_in_need),
		cmocka_unit_test(test_needs_that_cannot_be_told_are_an_error),
		cmocka_unit_test(test_given_up_while_in_need_is_not_made),
		cmocka_unit_test(test_many_threads_make_what_is_needed_once),
		cmocka_unit_test(test_what_is_made_lets_go_of_what_it_needed),
		cmocka_unit_test(test_a_damaged_survey_is_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
