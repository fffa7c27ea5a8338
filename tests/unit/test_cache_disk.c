/*
 * The cache with a folder: what was made is found again, what is damaged is
 * made again, and no folder, whatever is wrong with it, fails or falsifies a
 * get.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cache/folder.h"
#include "cache/object.h"
#include "core/base/file.h"
#include "tests/unit/cache_fixture.h"

#include <cmocka.h>

enum { KIB = 1024, MIB = 1024 * KIB, SIZE = 1000 };

struct setup {
	struct fixture fx;
	struct cache_fixture cf;
	char dir[FIXTURE_PATH_MAX]; /* the folder, not there at first */
	struct cache_options options;
};

static void setup_open(struct setup *s)
{
	fixture_open(&s->fx);
	fixture_path(&s->fx, "a/cache", s->dir);
	s->options = (struct cache_options){
		.dir = s->dir,
		.disk_chunks = true,
		.memory_max = MIB,
		.disk_max = 64 * MIB,
	};
	cache_fixture_open(&s->cf, 2, &s->options);
}

static void setup_close(struct setup *s)
{
	cache_fixture_close(&s->cf);
	fixture_close(&s->fx);
}

/* Forget what is in memory, with everything written that is to be written. */
static void reopen(struct setup *s)
{
	cache_fixture_reopen(&s->cf, &s->options);
}

static void object_path(const struct setup *s, enum cache_class class,
			uint64_t number, char path[FIXTURE_PATH_MAX])
{
	char name[FOLDER_NAME_MAX];

	folder_name(class, key_of(number), name);
	assert_true(snprintf(path, FIXTURE_PATH_MAX, "%s/%s", s->dir, name) <
		    FIXTURE_PATH_MAX);
}

static bool object_exists(const struct setup *s, enum cache_class class,
			  uint64_t number)
{
	char path[FIXTURE_PATH_MAX];

	object_path(s, class, number, path);
	return access(path, F_OK) == 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void test_made_once_over_two_lives(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct setup s;

	setup_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s.cf, 2, CACHE_CHUNK, 64 * KIB);
	touch_checked(&s.cf, 3, CACHE_STATE, 0);
	reopen(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s.cf, 2, CACHE_CHUNK, 64 * KIB);
	touch_checked(&s.cf, 3, CACHE_STATE, 0);
	assert_int_equal(s.cf.makes, 3);
	assert_int_equal(stats_of(&s.cf).disk_hits, 3);
	assert_int_equal(stats_of(&s.cf).made, 0);
	assert_int_equal(stats_of(&s.cf).disk_bytes, (4 + 68 + 4) * KIB);
	object_path(&s, CACHE_STATE, 1, path);
	assert_int_equal(mode_of(path), 0600);
	assert_int_equal(mode_of(s.dir), 0700);
	setup_close(&s);
}

static void test_folder_says_that_it_is_a_cache(void **state)
{
	static const char signature[] =
		"Signature: 8a477f597d28d172789f06886806bc55\n";
	AUTO_FREE char *text = NULL;
	char path[FIXTURE_PATH_MAX];
	struct setup s;
	size_t len;

	setup_open(&s);
	fixture_path(&s.fx, "a/cache/CACHEDIR.TAG", path);
	assert_int_equal(file_slurp(path, KIB, &text, &len, NULL), 0);
	assert_memory_equal(text, signature, sizeof(signature) - 1);
	assert_int_equal(s.cf.report.count, 0);
	setup_close(&s);
}

static void test_chunks_stay_in_memory_unless_asked(void **state)
{
	struct setup s;

	setup_open(&s);
	s.options.disk_chunks = false;
	reopen(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s.cf, 2, CACHE_CHUNK, SIZE);
	reopen(&s);
	assert_true(object_exists(&s, CACHE_STATE, 1));
	assert_false(object_exists(&s, CACHE_CHUNK, 2));
	setup_close(&s);
}

/* Damage of an object of SIZE bytes; each must be found out. */
static void flip(const char *path, uint64_t off)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_int_equal(file_read_at(fd, &byte, 1, off), 0);
	byte ^= 0x10;
	assert_int_equal(file_write_at(fd, &byte, 1, off), 0);
}

static void resize(const char *path, uint64_t bytes)
{
	assert_int_equal(truncate(path, (off_t)bytes), 0);
}

static void flip_each_of_header(const struct setup *s, const char *path,
				uint64_t step)
{
	flip(path, step);
}

static void flip_some_of_payload(const struct setup *s, const char *path,
				 uint64_t step)
{
	flip(path, OBJECT_HEADER_BYTES + step * 111);
}

static void cut(const struct setup *s, const char *path, uint64_t step)
{
	resize(path, step * (OBJECT_HEADER_BYTES + SIZE - 1) / 4);
}

static void lengthen(const struct setup *s, const char *path, uint64_t step)
{
	resize(path, OBJECT_HEADER_BYTES + SIZE + 1 + step);
}

/* A sound object of the same size, but of another key. */
static void swap(const struct setup *s, const char *path, uint64_t step)
{
	char other[FIXTURE_PATH_MAX];

	object_path(s, CACHE_STATE, 2, other);
	assert_int_equal(rename(other, path), 0);
}

static const struct damage {
	void (*inflict)(const struct setup *s, const char *path, uint64_t step);
	uint64_t steps;
} damages[] = {
	{ flip_each_of_header, OBJECT_HEADER_BYTES },
	{ flip_some_of_payload, 10 },
	{ cut, 5 },
	{ lengthen, 2 },
	{ swap, 1 },
};

static void check_damage(struct setup *s, const struct damage *damage,
			 uint64_t step)
{
	char path[FIXTURE_PATH_MAX];
	size_t makes;

	touch_checked(&s->cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s->cf, 2, CACHE_STATE, SIZE);
	reopen(s);
	makes = s->cf.makes;
	object_path(s, CACHE_STATE, 1, path);
	damage->inflict(s, path, step);
	touch_checked(&s->cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(s->cf.makes, makes + 1);
	assert_int_equal(stats_of(&s->cf).disk_bad, 1);
	reopen(s);
	touch_checked(&s->cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(s->cf.makes, makes + 1); /* and is sound again */
}

static void test_damaged_object_is_made_again(void **state)
{
	struct setup s;

	setup_open(&s);
	for (size_t i = 0; i < ARRAY_LEN(damages); i++)
		for (uint64_t step = 0; step < damages[i].steps; step++)
			check_damage(&s, &damages[i], step);
	setup_close(&s);
}

static void test_link_in_place_of_object_is_not_followed(void **state)
{
	char path[FIXTURE_PATH_MAX], elsewhere[FIXTURE_PATH_MAX];
	struct setup s;

	setup_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	reopen(&s);
	object_path(&s, CACHE_STATE, 1, path);
	fixture_path(&s.fx, "elsewhere", elsewhere);
	assert_int_equal(rename(path, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, path), 0);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(s.cf.makes, 2);
	setup_close(&s);
}

static void test_larger_than_budget_is_not_kept(void **state)
{
	struct setup s;

	setup_open(&s);
	s.options.disk_max = 8 * KIB;
	reopen(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, 8 * KIB);
	touch_checked(&s.cf, 2, CACHE_STATE, 4 * KIB);
	reopen(&s);
	assert_false(object_exists(&s, CACHE_STATE, 1));
	assert_true(object_exists(&s, CACHE_STATE, 2));
	assert_int_equal(stats_of(&s.cf).disk_write_errors, 0);
	setup_close(&s);
}

static void test_folder_removed_in_use_is_begun_anew(void **state)
{
	char gone[FIXTURE_PATH_MAX];
	struct setup s;

	setup_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	fixture_path(&s.fx, "gone", gone);
	while (!object_exists(&s, CACHE_STATE, 1))
		usleep(1000);
	assert_int_equal(rename(s.dir, gone), 0);
	touch_checked(&s.cf, 2, CACHE_STATE, SIZE);
	reopen(&s);
	assert_true(object_exists(&s, CACHE_STATE, 2));
	setup_close(&s);
}

static void check_warning(struct setup *s, const char *sentence)
{
	assert_int_equal(s->cf.report.count, 1);
	assert_int_equal(s->cf.report.errors, 0);
	assert_string_equal(s->cf.report.notes[0].text, sentence);
	touch_checked(&s->cf, 9, CACHE_STATE, SIZE);
}

static void test_folder_of_others_is_not_used(void **state)
{
	char sentence[ERROR_TEXT_MAX];
	struct setup s;

	setup_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	reopen(&s);
	assert_int_equal(chmod(s.dir, 0770), 0);
	reopen(&s);
	snprintf(sentence, sizeof(sentence),
		 "nothing new is kept in the cache folder: %s can be written "
		 "by other users, who could put false results there; run: "
		 "chmod go-w '%s'",
		 s.dir, s.dir);
	check_warning(&s, sentence);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(stats_of(&s.cf).disk_hits, 0);
	setup_close(&s);
}

static void test_path_that_is_no_folder_is_a_warning(void **state)
{
	char sentence[ERROR_TEXT_MAX];
	struct setup s;

	setup_open(&s);
	fixture_write(&s.fx, "file", "x", 1);
	fixture_path(&s.fx, "file", s.dir);
	reopen(&s);
	snprintf(sentence, sizeof(sentence),
		 "nothing new is kept in the cache folder: %s: Not a directory",
		 s.dir);
	check_warning(&s, sentence);
	setup_close(&s);
}

/*
 * A process that stopped while it held the lock of the folder: gets are
 * answered at once, and what cannot be kept is not.
 */
static void test_lock_held_by_others_delays_nobody(void **state)
{
	char path[FIXTURE_PATH_MAX], expected[ERROR_TEXT_MAX];
	AUTO_FD int fd = -1;
	struct setup s;
	struct error err;
	double start;

	setup_open(&s);
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
	touch_checked(&s.cf, 2, CACHE_STATE, SIZE);
	reopen(&s);
	assert_false(object_exists(&s, CACHE_STATE, 2)); /* it rests */
	setup_close(&s);
}

/*
 * A small file system, in a name space of the test's own, so that it goes with
 * the test; false where that is not allowed.
 */
static bool may_mount;

static bool mount_small(struct setup *s)
{
	if (!may_mount)
		return false;
	fixture_path(&s->fx, "small/cache", s->dir);
	*strrchr(s->dir, '/') = '\0';
	if (mount("tmpfs", s->dir, "tmpfs", 0, "size=256k,mode=700") < 0)
		return false;
	reopen(s);
	return true;
}

static void close_small(struct setup *s)
{
	cache_close(s->cf.cache);
	s->cf.cache = NULL;
	assert_int_equal(umount2(s->dir, MNT_DETACH), 0);
	setup_close(s);
}

static void test_full_disk_fails_no_get(void **state)
{
	char expected[ERROR_TEXT_MAX];
	struct setup s;
	struct error err;

	setup_open(&s);
	if (!mount_small(&s)) {
		setup_close(&s);
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
	reopen(&s);
	for (uint64_t i = 0; i < 8; i++)
		touch_checked(&s.cf, i, CACHE_STATE, 60 * KIB);
	assert_int_equal(stats_of(&s.cf).disk_hits, 3);
	assert_int_equal(stats_of(&s.cf).disk_bad, 0);
	close_small(&s);
}

static void test_read_only_folder_is_still_read(void **state)
{
	char sentence[ERROR_TEXT_MAX], path[FIXTURE_PATH_MAX];
	struct setup s;

	setup_open(&s);
	if (!mount_small(&s)) {
		setup_close(&s);
		skip();
	}
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	reopen(&s);
	assert_int_equal(mount(NULL, s.dir, NULL, MS_REMOUNT | MS_RDONLY, NULL),
			 0);
	/* Turned read-only in use: a write fails, no get does. */
	touch_checked(&s.cf, 2, CACHE_STATE, SIZE);
	reopen(&s);
	assert_int_equal(s.cf.report.count, 0);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s.cf, 2, CACHE_STATE, SIZE);
	assert_int_equal(stats_of(&s.cf).disk_hits, 1);
	assert_int_equal(s.cf.makes, 3);
	/* One that cannot be begun is said at once. */
	fixture_path(&s.fx, "small/new", path);
	s.options.dir = path;
	reopen(&s);
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
		cmocka_unit_test(test_made_once_over_two_lives),
		cmocka_unit_test(test_folder_says_that_it_is_a_cache),
		cmocka_unit_test(test_chunks_stay_in_memory_unless_asked),
		cmocka_unit_test(test_damaged_object_is_made_again),
		cmocka_unit_test(test_link_in_place_of_object_is_not_followed),
		cmocka_unit_test(test_larger_than_budget_is_not_kept),
		cmocka_unit_test(test_folder_removed_in_use_is_begun_anew),
		cmocka_unit_test(test_folder_of_others_is_not_used),
		cmocka_unit_test(test_path_that_is_no_folder_is_a_warning),
		cmocka_unit_test(test_lock_held_by_others_delays_nobody),
		cmocka_unit_test(test_full_disk_fails_no_get),
		cmocka_unit_test(test_read_only_folder_is_still_read),
	};

	may_mount = unshare(CLONE_NEWNS) == 0 &&
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
