/*
 * Finished files in the folder of a cache: what was kept is found and sound,
 * what is not whole never is, and the budget holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cache/inspect.h"
#include "cache/shelf.h"
#include "core/base/file.h"
#include "tests/unit/folder_fixture.h"

#include <cmocka.h>

enum { SIZE = 3 << 20, STEP = 1 << 20, PLENTY = 8 * SIZE };

struct shelf_fixture {
	struct folder_fixture base;
	struct shelf *shelf;
	unsigned char *bytes; /* SIZE of them */
};

static void set_up(struct shelf_fixture *s, uint64_t bytes_max)
{
	folder_fixture_open(&s->base, bytes_max);
	s->shelf = shelf_open(folder_dir(s->base.folder), bytes_max);
	assert_non_null(s->shelf);
	s->bytes = malloc(SIZE);
	assert_non_null(s->bytes);
	for (size_t i = 0; i < SIZE; i++)
		s->bytes[i] = (unsigned char)(i * 2654435761u >> 24);
}

static void tear_down(struct shelf_fixture *s)
{
	free(s->bytes);
	shelf_close(s->shelf);
	folder_fixture_close(&s->base);
}

static int begin(struct shelf_fixture *s, uint64_t number,
		 struct shelf_file *file)
{
	return shelf_begin(s->shelf, key_of(number), SIZE, file);
}

static int keep(struct shelf_fixture *s, uint64_t number)
{
	struct shelf_file file;
	int rc = begin(s, number, &file);

	for (size_t off = 0; rc == 0 && off < SIZE; off += STEP)
		rc = shelf_add(&file, s->bytes + off, STEP);
	if (rc == 0)
		return shelf_finish(&file);
	shelf_abandon(&file);
	return rc;
}

static int find(struct shelf_fixture *s, uint64_t number, struct hash128 *sum)
{
	return shelf_find(s->shelf, key_of(number), SIZE, sum);
}

static void path_of(const struct shelf_fixture *s, uint64_t number,
		    struct hash128 sum, char path[FIXTURE_PATH_MAX])
{
	const struct object object = { .class = CACHE_SHARD,
				       .key = key_of(number),
				       .sum = sum };
	char name[FOLDER_NAME_MAX];

	folder_object_name(&object, name);
	fixture_path(&s->base.fx, name, path);
}

static void flip_a_bit(const struct shelf_fixture *s, uint64_t number,
		       struct hash128 sum)
{
	char path[FIXTURE_PATH_MAX];
	unsigned char byte;
	int fd;

	path_of(s, number, sum, path);
	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_read_at(fd, &byte, 1, SIZE / 2), 0);
	byte ^= 4;
	assert_int_equal(file_write_at(fd, &byte, 1, SIZE / 2), 0);
	close(fd);
}

static void test_what_was_kept_is_found_as_it_was(void **state)
{
	struct shelf_fixture s;
	struct hash128 sum;
	struct stat st;
	unsigned char *found = malloc(SIZE);
	int fd;

	set_up(&s, PLENTY);
	assert_true(shelf_is_empty(s.shelf));
	assert_int_equal(find(&s, 1, &sum), -ENOENT);
	assert_int_equal(keep(&s, 1), 0);
	assert_false(shelf_is_empty(s.shelf));
	fd = find(&s, 1, &sum);
	assert_true(fd >= 0);
	assert_true(hash_equal(sum, hash_bytes(s.bytes, SIZE)));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(file_read_at(fd, found, SIZE, 0), 0);
	assert_memory_equal(found, s.bytes, SIZE);
	assert_int_equal(shelf_check(fd, sum, NULL), 0);
	close(fd);
	/* Neither another key nor another size. */
	assert_int_equal(find(&s, 2, &sum), -ENOENT);
	assert_int_equal(shelf_find(s.shelf, key_of(1), SIZE - 1, &sum),
			 -ENOENT);
	free(found);
	tear_down(&s);
}

static void test_what_is_not_finished_is_not_found(void **state)
{
	struct shelf_fixture s;
	struct shelf_file file;
	struct hash128 sum;

	set_up(&s, PLENTY);
	assert_int_equal(begin(&s, 1, &file), 0);
	assert_int_equal(shelf_add(&file, s.bytes, STEP), 0);
	assert_int_equal(find(&s, 1, &sum), -ENOENT);
	assert_int_equal(folder_weigh(&s.base).staged, 1);
	assert_int_equal(shelf_finish(&file), -ENODATA);
	assert_int_equal(find(&s, 1, &sum), -ENOENT);
	assert_int_equal(begin(&s, 1, &file), 0);
	shelf_abandon(&file);
	assert_int_equal(folder_weigh(&s.base).bytes, 0);
	assert_int_equal(folder_weigh(&s.base).staged, 0);
	tear_down(&s);
}

static void test_a_bad_one_is_told(void **state)
{
	struct shelf_fixture s;
	struct hash128 sum;
	int fd;

	set_up(&s, PLENTY);
	assert_int_equal(keep(&s, 1), 0);
	fd = find(&s, 1, &sum);
	flip_a_bit(&s, 1, sum);
	assert_int_equal(shelf_check(fd, sum, NULL), -EBADMSG);
	close(fd);
	shelf_remove(s.shelf, key_of(1), sum);
	assert_int_equal(find(&s, 1, &sum), -ENOENT);
	tear_down(&s);
}

static void test_a_check_can_be_stopped(void **state)
{
	struct shelf_fixture s;
	atomic_bool stop = true;
	struct hash128 sum;
	int fd;

	set_up(&s, PLENTY);
	assert_int_equal(keep(&s, 1), 0);
	fd = find(&s, 1, &sum);
	assert_int_equal(shelf_check(fd, sum, &stop), -EINTR);
	close(fd);
	tear_down(&s);
}

/* The one used last stays; and what is larger than the budget is refused. */
static void test_the_budget_holds(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000 },
					 { .tv_sec = 1000 } };
	char path[FIXTURE_PATH_MAX];
	struct shelf_fixture s;
	struct hash128 sum;
	struct stat st;
	int fd;

	set_up(&s, 2 * SIZE + STEP);
	for (uint64_t i = 1; i <= 2; i++) {
		assert_int_equal(keep(&s, i), 0);
		path_of(&s, i, hash_bytes(s.bytes, SIZE), path);
		assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	}
	fd = find(&s, 1, &sum);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_atime > 1000);
	assert_int_equal(st.st_mtime, 1000);
	close(fd);
	assert_int_equal(keep(&s, 3), 0);
	assert_int_equal(find(&s, 2, &sum), -ENOENT);
	for (uint64_t i = 1; i <= 3; i += 2) {
		fd = find(&s, i, &sum);
		assert_true(fd >= 0);
		close(fd);
	}
	assert_true(folder_weigh(&s.base).bytes <= 2 * SIZE + STEP);
	tear_down(&s);
	set_up(&s, SIZE - 1);
	assert_int_equal(keep(&s, 1), -EFBIG);
	tear_down(&s);
}

static void judge(void *ctx, const struct inspect_verdict *verdict)
{
	int *codes = ctx;

	assert_int_equal(verdict->object.class, CACHE_SHARD);
	codes[verdict->code != 0]++;
}

/* `cache` lists them, reads them through, and removes the bad ones. */
static void test_inspection_knows_them(void **state)
{
	struct inspect_list list;
	struct inspect_freed freed;
	struct shelf_fixture s;
	int codes[2] = { 0 };
	struct hash128 sum;

	set_up(&s, PLENTY);
	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(keep(&s, i), 0);
	close(find(&s, 2, &sum));
	flip_a_bit(&s, 2, sum);
	assert_int_equal(inspect_list(s.base.folder, NULL, NULL, &list, NULL),
			 0);
	assert_int_equal(list.classes[CACHE_SHARD].count, 3);
	assert_int_equal(list.classes[CACHE_SHARD].bytes, 3 * SIZE);
	assert_int_equal(list.strange, 0);
	assert_int_equal(
		inspect_verify(s.base.folder, judge, codes, &freed, NULL), 0);
	assert_int_equal(codes[0], 2);
	assert_int_equal(codes[1], 1);
	assert_int_equal(freed.objects.count, 1);
	assert_int_equal(find(&s, 2, &sum), -ENOENT);
	assert_int_equal(inspect_clear(s.base.folder, &freed, NULL), 0);
	assert_int_equal(find(&s, 1, &sum), -ENOENT);
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_kept_is_found_as_it_was),
		cmocka_unit_test(test_what_is_not_finished_is_not_found),
		cmocka_unit_test(test_a_bad_one_is_told),
		cmocka_unit_test(test_a_check_can_be_stopped),
		cmocka_unit_test(test_the_budget_holds),
		cmocka_unit_test(test_inspection_knows_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
