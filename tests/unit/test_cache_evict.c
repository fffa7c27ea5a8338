/*
 * What goes from the folder of a cache, in which order, and how the account of
 * its bytes heals.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "tests/unit/folder_fixture.h"

#include <cmocka.h>

enum { HOUR = 3600 };

/* Make an object look as if it was last used so many seconds ago. */
static void set_age(const struct folder_fixture *s, enum cache_class class,
		    uint64_t number, time_t seconds)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - seconds },
				     { .tv_sec = time(NULL) - seconds } };
	char path[FIXTURE_PATH_MAX];

	item_path(s, class, number, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_chunks_go_first_and_oldest_first(void **state)
{
	/* In the order in which they should go, with hours of age. */
	static const struct {
		enum cache_class class;
		time_t hours;
	} objects[] = {
		{ CACHE_CHUNK, 9 },  { CACHE_CHUNK, 5 }, { CACHE_CHUNK, 1 },
		{ CACHE_STATE, 90 }, { CACHE_STATE, 7 }, { CACHE_STATE, 0 },
	};
	enum { COUNT = ARRAY_LEN(objects) };
	struct folder_fixture s;

	folder_fixture_open(&s, COUNT * CHARGE);
	for (uint64_t i = COUNT; i-- > 0;) {
		item_must_save(&s, objects[i].class, i);
		set_age(&s, objects[i].class, i, objects[i].hours * HOUR);
	}
	for (uint64_t gone = 1; gone < COUNT; gone++) {
		item_must_save(&s, CACHE_STATE, 100 + gone);
		for (uint64_t i = 0; i < COUNT; i++)
			assert_int_equal(
				item_load(s.folder, objects[i].class, i) == 0,
				i >= gone);
		/* Loading was a use; make them as old again. */
		for (uint64_t i = gone; i < COUNT; i++)
			set_age(&s, objects[i].class, i,
				objects[i].hours * HOUR);
	}
	folder_fixture_close(&s);
}

static void test_use_saves_from_eviction(void **state)
{
	struct folder_fixture s;

	folder_fixture_open(&s, 2 * CHARGE);
	item_must_save(&s, CACHE_CHUNK, 1);
	item_must_save(&s, CACHE_CHUNK, 2);
	set_age(&s, CACHE_CHUNK, 1, 9 * HOUR);
	set_age(&s, CACHE_CHUNK, 2, 5 * HOUR);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 1), 0);
	item_must_save(&s, CACHE_CHUNK, 3);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 1), 0);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 2), -ENOENT);
	folder_fixture_close(&s);
}

/* Time stamps of the future, or from before 1970, do no harm. */
static void test_odd_times_of_use(void **state)
{
	struct folder_fixture s;

	folder_fixture_open(&s, 3 * CHARGE);
	for (uint64_t i = 1; i <= 3; i++)
		item_must_save(&s, CACHE_CHUNK, i);
	set_age(&s, CACHE_CHUNK, 1, -1000 * HOUR);
	set_age(&s, CACHE_CHUNK, 2, time(NULL) + 1000);
	set_age(&s, CACHE_CHUNK, 3, HOUR);
	item_must_save(&s, CACHE_CHUNK, 4);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 1), 0);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 2), -ENOENT);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 3), 0);
	folder_fixture_close(&s);
}

/* Fill the folder, put another account there, and write on. */
static void check_account(const void *text, size_t len, bool reopened)
{
	struct folder_fixture s;
	struct folder_weight weight;

	folder_fixture_open(&s, 4 * CHARGE);
	for (uint64_t i = 0; i < 4; i++)
		item_must_save(&s, CACHE_CHUNK, i);
	fixture_write(&s.fx, "account", text, len);
	if (reopened)
		folder_fixture_reopen(&s, 4 * CHARGE);
	item_must_save(&s, CACHE_CHUNK, 9);
	weight = folder_weigh(&s);
	assert_int_equal(weight.bytes, 4 * CHARGE);
	assert_int_equal(folder_bytes(s.folder), 4 * CHARGE);
	folder_fixture_close(&s);
}

static void test_damaged_account_heals(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} accounts[] = {
		{ "", 0 },
		{ "nonsense", 8 },
		{ "nonsense\0\0\0\0\0\0\0\0"
		  "\377\377\377\377\377\377\377\377",
		  24 },
		{ "lmfsuse\0\0\0\0\0\0\0\0\0"
		  "\377\377\377\377\377\377\377\376",
		  24 },
	};

	for (size_t i = 0; i < ARRAY_LEN(accounts); i++) {
		check_account(accounts[i].text, accounts[i].len, false);
		check_account(accounts[i].text, accounts[i].len, true);
	}
}

/* After a crash the account may be an old one: this says 0 bytes. */
static void test_old_account_heals(void **state)
{
	check_account("lmfsuse\0\0\0\0\0\0\0\0\0"
		      "\377\377\377\377\377\377\377\377",
		      24, true);
}

/* What is replaced by its like is not counted twice for long. */
static void test_same_object_again_needs_no_eviction(void **state)
{
	struct folder_fixture s;

	folder_fixture_open(&s, 3 * CHARGE);
	item_must_save(&s, CACHE_CHUNK, 1);
	for (size_t i = 0; i < 9; i++)
		item_must_save(&s, CACHE_CHUNK, 2);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 1), 0);
	folder_fixture_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks_go_first_and_oldest_first),
		cmocka_unit_test(test_use_saves_from_eviction),
		cmocka_unit_test(test_odd_times_of_use),
		cmocka_unit_test(test_damaged_account_heals),
		cmocka_unit_test(test_old_account_heals),
		cmocka_unit_test(test_same_object_again_needs_no_eviction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
