/*
 * A cache whose folder cannot be used, or not any more: that is said, and no
 * get fails or waits for it.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "tests/unit/disk_fixture.h"

#include <cmocka.h>

enum { KIB = 1024, SIZE = 1000 };

static void check_warning(struct disk_fixture *s, const char *sentence)
{
	assert_int_equal(s->cf.report.count, 1);
	assert_int_equal(s->cf.report.errors, 0);
	assert_string_equal(s->cf.report.notes[0].text, sentence);
	touch_checked(&s->cf, 9, CACHE_STATE, SIZE);
}

static void test_folder_that_others_can_write_is_not_used(void **state)
{
	char sentence[ERROR_TEXT_MAX];
	struct disk_fixture s;

	disk_fixture_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	disk_fixture_reopen(&s);
	assert_int_equal(chmod(s.dir, 0770), 0);
	disk_fixture_reopen(&s);
	snprintf(sentence, sizeof(sentence),
		 "nothing new is kept in the cache folder: %s can be written "
		 "by other users, who could put false results there; run: "
		 "chmod go-w '%s'",
		 s.dir, s.dir);
	check_warning(&s, sentence);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(stats_of(&s.cf).disk_hits, 0);
	disk_fixture_close(&s);
}

static void test_folder_of_another_user_is_not_used(void **state)
{
	enum { SOMEBODY = 12345 };
	char sentence[ERROR_TEXT_MAX];
	struct disk_fixture s;

	if (geteuid() != 0)
		skip();
	disk_fixture_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	disk_fixture_reopen(&s);
	assert_int_equal(chown(s.dir, SOMEBODY, SOMEBODY), 0);
	disk_fixture_reopen(&s);
	snprintf(sentence, sizeof(sentence),
		 "nothing new is kept in the cache folder: %s belongs to user "
		 "12345, who could put false results there; choose a folder "
		 "of your own",
		 s.dir);
	check_warning(&s, sentence);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(stats_of(&s.cf).disk_hits, 0);
	disk_fixture_close(&s);
}

static void test_path_that_is_no_folder_is_a_warning(void **state)
{
	char sentence[ERROR_TEXT_MAX];
	struct disk_fixture s;

	disk_fixture_open(&s);
	fixture_write(&s.fx, "file", "x", 1);
	fixture_path(&s.fx, "file", s.dir);
	disk_fixture_reopen(&s);
	snprintf(sentence, sizeof(sentence),
		 "nothing new is kept in the cache folder: %s: Not a directory",
		 s.dir);
	check_warning(&s, sentence);
	disk_fixture_close(&s);
}

/*
 * A process that stopped while it held the lock of the folder: gets are
 * answered at once, and what cannot be kept is not.
 */
static void test_lock_held_by_others_delays_nobody(void **state)
{
	char path[FIXTURE_PATH_MAX], expected[ERROR_TEXT_MAX];
	AUTO_FD int fd = -1;
	struct disk_fixture s;
	struct error err;
	double start;

	disk_fixture_open(&s);
	fixture_path(&s.fx, "a/cache/account", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	start = clock_seconds();
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	assert_true(clock_seconds() - start < 1.0);
	while (stats_of(&s.cf).disk_write_errors == 0)
		usleep(10000);
	assert_true(cache_trouble(s.cf.cache, &err));
	snprintf(expected, sizeof(expected),
		 "cannot write to the cache folder %s: No locks available; "
		 "what is made is not kept there for the next 60 seconds",
		 s.dir);
	assert_string_equal(err.text, expected);
	assert_false(cache_trouble(s.cf.cache, &err)); /* told once */
	assert_int_equal(flock(fd, LOCK_UN), 0);
	touch_checked(&s.cf, 2, CACHE_STATE, SIZE);
	disk_fixture_reopen(&s);
	assert_false(object_exists(&s, CACHE_STATE, 2)); /* it rests */
	disk_fixture_close(&s);
}

static bool may_mount; /* in a name space that ends with the test */

/* A small file system for the folder; false where that is not allowed. */
static bool mount_small(struct disk_fixture *s)
{
	if (!may_mount)
		return false;
	fixture_path(&s->fx, "small/cache", s->dir);
	*strrchr(s->dir, '/') = '\0';
	if (mount("tmpfs", s->dir, "tmpfs", 0, "size=256k,mode=700") < 0)
		return false;
	disk_fixture_reopen(s);
	return true;
}

static void close_small(struct disk_fixture *s)
{
	cache_close(s->cf.cache);
	s->cf.cache = NULL;
	assert_int_equal(umount2(s->dir, MNT_DETACH), 0);
	disk_fixture_close(s);
}

static void test_full_disk_fails_no_get(void **state)
{
	char expected[ERROR_TEXT_MAX];
	struct disk_fixture s;
	struct error err;

	disk_fixture_open(&s);
	if (!mount_small(&s)) {
		disk_fixture_close(&s);
		skip();
	}
	for (uint64_t i = 0; i < 8; i++)
		touch_checked(&s.cf, i, CACHE_STATE, 60 * KIB);
	while (stats_of(&s.cf).disk_write_errors == 0)
		usleep(1000);
	assert_int_equal(stats_of(&s.cf).disk_writes, 3);
	assert_true(cache_trouble(s.cf.cache, &err));
	snprintf(expected, sizeof(expected),
		 "cannot write to the cache folder %s: No space left on "
		 "device; what is made is not kept there for the next 60 "
		 "seconds",
		 s.dir);
	assert_string_equal(err.text, expected);
	disk_fixture_reopen(&s);
	for (uint64_t i = 0; i < 8; i++)
		touch_checked(&s.cf, i, CACHE_STATE, 60 * KIB);
	assert_int_equal(stats_of(&s.cf).disk_hits, 3);
	assert_int_equal(stats_of(&s.cf).disk_bad, 0);
	close_small(&s);
}

static void test_read_only_folder_is_still_read(void **state)
{
	char sentence[ERROR_TEXT_MAX], path[FIXTURE_PATH_MAX];
	struct disk_fixture s;

	disk_fixture_open(&s);
	if (!mount_small(&s)) {
		disk_fixture_close(&s);
		skip();
	}
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	disk_fixture_reopen(&s);
	assert_int_equal(mount(NULL, s.dir, NULL, MS_REMOUNT | MS_RDONLY, NULL),
			 0);
	/* Turned read-only in use: a write fails, no get does. */
	touch_checked(&s.cf, 2, CACHE_STATE, SIZE);
	disk_fixture_reopen(&s);
	assert_int_equal(s.cf.report.count, 0);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s.cf, 2, CACHE_STATE, SIZE);
	assert_int_equal(stats_of(&s.cf).disk_hits, 1);
	assert_int_equal(s.cf.makes, 3);
	/* One that cannot be begun is said at once. */
	fixture_path(&s.fx, "small/new", path);
	s.options.dir = path;
	disk_fixture_reopen(&s);
	snprintf(sentence, sizeof(sentence),
		 "nothing new is kept in the cache folder: %s: Read-only file "
		 "system",
		 path);
	check_warning(&s, sentence);
	close_small(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folder_that_others_can_write_is_not_used),
		cmocka_unit_test(test_folder_of_another_user_is_not_used),
		cmocka_unit_test(test_path_that_is_no_folder_is_a_warning),
		cmocka_unit_test(test_lock_held_by_others_delays_nobody),
		cmocka_unit_test(test_full_disk_fails_no_get),
		cmocka_unit_test(test_read_only_folder_is_still_read),
	};

	may_mount = unshare(CLONE_NEWNS) == 0 &&
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
