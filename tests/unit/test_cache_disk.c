/*
 * The cache with a folder: what was made is found again, what is damaged is
 * made again, and no folder, whatever is wrong with it, fails or falsifies a
 * get.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cache/folder.h"
#include "cache/object.h"
#include "core/base/file.h"
#include "tests/unit/disk_fixture.h"

#include <cmocka.h>

enum { KIB = 1024, SIZE = 1000 };

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void test_made_once_over_two_lives(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct disk_fixture s;

	disk_fixture_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s.cf, 2, CACHE_CHUNK, 64 * KIB);
	touch_checked(&s.cf, 3, CACHE_STATE, 0);
	disk_fixture_reopen(&s);
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
	disk_fixture_close(&s);
}

static void test_folder_says_that_it_is_a_cache(void **state)
{
	static const char signature[] =
		"Signature: 8a477f597d28d172789f06886806bc55\n";
	AUTO_FREE char *text = NULL;
	char path[FIXTURE_PATH_MAX];
	struct disk_fixture s;
	size_t len;

	disk_fixture_open(&s);
	fixture_path(&s.fx, "a/cache/CACHEDIR.TAG", path);
	assert_int_equal(file_slurp(path, KIB, &text, &len, NULL), 0);
	assert_memory_equal(text, signature, sizeof(signature) - 1);
	assert_int_equal(s.cf.report.count, 0);
	disk_fixture_close(&s);
}

static void test_chunks_stay_in_memory_unless_asked(void **state)
{
	struct disk_fixture s;

	disk_fixture_open(&s);
	s.cf.loose = true;
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s.cf, 2, CACHE_CHUNK, SIZE);
	s.cf.loose = false;
	touch_checked(&s.cf, 3, CACHE_CHUNK, SIZE);
	disk_fixture_reopen(&s);
	assert_true(object_exists(&s, CACHE_STATE, 1));
	assert_false(object_exists(&s, CACHE_CHUNK, 2));
	assert_true(object_exists(&s, CACHE_CHUNK, 3));
	/* One that is there serves whoever asks. */
	s.cf.loose = true;
	touch_checked(&s.cf, 3, CACHE_CHUNK, SIZE);
	assert_int_equal(stats_of(&s.cf).disk_hits, 1);
	disk_fixture_close(&s);
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

static void flip_each_of_header(const struct disk_fixture *s, const char *path,
				uint64_t step)
{
	flip(path, step);
}

static void flip_some_of_payload(const struct disk_fixture *s, const char *path,
				 uint64_t step)
{
	flip(path, OBJECT_HEADER_BYTES + step * 111);
}

static void cut(const struct disk_fixture *s, const char *path, uint64_t step)
{
	resize(path, step * (OBJECT_HEADER_BYTES + SIZE - 1) / 4);
}

static void lengthen(const struct disk_fixture *s, const char *path,
		     uint64_t step)
{
	resize(path, OBJECT_HEADER_BYTES + SIZE + 1 + step);
}

/* A sound object of the same size, but of another key. */
static void swap(const struct disk_fixture *s, const char *path, uint64_t step)
{
	char other[FIXTURE_PATH_MAX];

	object_path(s, CACHE_STATE, 2, other);
	assert_int_equal(rename(other, path), 0);
}

static const struct damage {
	void (*inflict)(const struct disk_fixture *s, const char *path,
			uint64_t step);
	uint64_t steps;
} damages[] = {
	{ flip_each_of_header, OBJECT_HEADER_BYTES },
	{ flip_some_of_payload, 10 },
	{ cut, 5 },
	{ lengthen, 2 },
	{ swap, 1 },
};

static void check_damage(struct disk_fixture *s, const struct damage *damage,
			 uint64_t step)
{
	char path[FIXTURE_PATH_MAX];
	size_t makes;

	touch_checked(&s->cf, 1, CACHE_STATE, SIZE);
	touch_checked(&s->cf, 2, CACHE_STATE, SIZE);
	disk_fixture_reopen(s);
	makes = s->cf.makes;
	object_path(s, CACHE_STATE, 1, path);
	damage->inflict(s, path, step);
	touch_checked(&s->cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(s->cf.makes, makes + 1);
	assert_int_equal(stats_of(&s->cf).disk_bad, 1);
	disk_fixture_reopen(s);
	touch_checked(&s->cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(s->cf.makes, makes + 1); /* and is sound again */
}

static void test_damaged_object_is_made_again(void **state)
{
	struct disk_fixture s;

	disk_fixture_open(&s);
	for (size_t i = 0; i < ARRAY_LEN(damages); i++)
		for (uint64_t step = 0; step < damages[i].steps; step++)
			check_damage(&s, &damages[i], step);
	disk_fixture_close(&s);
}

static void test_link_in_place_of_object_is_not_followed(void **state)
{
	char path[FIXTURE_PATH_MAX], elsewhere[FIXTURE_PATH_MAX];
	struct disk_fixture s;

	disk_fixture_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	disk_fixture_reopen(&s);
	object_path(&s, CACHE_STATE, 1, path);
	fixture_path(&s.fx, "elsewhere", elsewhere);
	assert_int_equal(rename(path, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, path), 0);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	assert_int_equal(s.cf.makes, 2);
	disk_fixture_close(&s);
}

static void test_larger_than_budget_is_not_kept(void **state)
{
	struct disk_fixture s;

	disk_fixture_open(&s);
	s.options.disk_max = 8 * KIB;
	disk_fixture_reopen(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, 8 * KIB);
	touch_checked(&s.cf, 2, CACHE_STATE, 4 * KIB);
	disk_fixture_reopen(&s);
	assert_false(object_exists(&s, CACHE_STATE, 1));
	assert_true(object_exists(&s, CACHE_STATE, 2));
	assert_int_equal(stats_of(&s.cf).disk_write_errors, 0);
	disk_fixture_close(&s);
}

static void test_folder_removed_in_use_is_begun_anew(void **state)
{
	char gone[FIXTURE_PATH_MAX];
	struct disk_fixture s;

	disk_fixture_open(&s);
	touch_checked(&s.cf, 1, CACHE_STATE, SIZE);
	fixture_path(&s.fx, "gone", gone);
	while (!object_exists(&s, CACHE_STATE, 1))
		usleep(1000);
	assert_int_equal(rename(s.dir, gone), 0);
	touch_checked(&s.cf, 2, CACHE_STATE, SIZE);
	disk_fixture_reopen(&s);
	assert_true(object_exists(&s, CACHE_STATE, 2));
	disk_fixture_close(&s);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
