#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "core/base/file.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

static struct fixture fx;

static int open_fixture(void **state)
{
	fixture_open(&fx);
	return 0;
}

static int close_fixture(void **state)
{
	fixture_close(&fx);
	return 0;
}

static void assert_sentence(const struct error *err, const char *path,
			    const char *rest)
{
	char want[FIXTURE_PATH_MAX + 100];

	snprintf(want, sizeof(want), "%s%s", path, rest);
	assert_string_equal(err->text, want);
}

static void a_regular_file_opens(void **state)
{
	char path[FIXTURE_PATH_MAX], text[3];
	AUTO_FD int fd = -1;
	struct error err;
	struct stat st;

	fixture_write(&fx, "open.txt", "abc", 3);
	fixture_path(&fx, "open.txt", path);
	assert_int_equal(file_open(path, &fd, &st, &err), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(file_read_at(fd, text, 3, 0), 0);
	assert_memory_equal(text, "abc", 3);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void what_is_no_file_is_told(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct error err;
	int fd = -1;

	fixture_path(&fx, "missing", path);
	assert_int_equal(file_open(path, &fd, NULL, &err), -ENOENT);
	assert_sentence(&err, path, ": No such file or directory");
	assert_int_equal(file_open(fx.dir, &fd, NULL, &err), -EINVAL);
	assert_sentence(&err, fx.dir, " is a directory, not a file");
	assert_int_equal(file_open("/dev/null", &fd, NULL, &err), -EINVAL);
	assert_sentence(&err, "/dev/null",
			" is a pipe or a device, not a file");
	assert_int_equal(fd, -1);
}

/* A pipe without a writer would block an ordinary open for ever. */
static void a_pipe_does_not_block(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct error err;
	int fd = -1;

	fixture_path(&fx, "pipe", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_open(path, &fd, NULL, &err), -EINVAL);
	assert_sentence(&err, path, " is a pipe or a device, not a file");
}

static void a_read_is_exact_or_an_error(void **state)
{
	char path[FIXTURE_PATH_MAX], text[4];
	AUTO_FD int fd = -1;

	fixture_write(&fx, "read.txt", "abcdef", 6);
	fixture_path(&fx, "read.txt", path);
	assert_int_equal(file_open(path, &fd, NULL, NULL), 0);
	assert_int_equal(file_read_at(fd, text, 4, 2), 0);
	assert_memory_equal(text, "cdef", 4);
	assert_int_equal(file_read_at(fd, text, 4, 3), -ENODATA);
	assert_int_equal(file_read_at(fd, text, 0, 100), 0);
	assert_int_equal(file_read_at(fd, text, 1, UINT64_MAX), -EOVERFLOW);
	assert_int_equal(file_read_at(fd, text, 1, INT64_MAX), -EOVERFLOW);
	assert_int_equal(file_read_at(-1, text, 1, 0), -EBADF);
}

static void a_write_is_whole_or_an_error(void **state)
{
	char path[FIXTURE_PATH_MAX], text[8];
	AUTO_FD int fd = -1;
	int full;

	fixture_path(&fx, "write.txt", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(file_write_at(fd, "abc", 3, 5), 0);
	assert_int_equal(file_read_at(fd, text, 8, 0), 0);
	assert_memory_equal(text, "\0\0\0\0\0abc", 8);
	assert_int_equal(file_write_at(fd, "x", 1, UINT64_MAX), -EOVERFLOW);
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(file_write_at(full, "x", 1, 0), -ENOSPC);
	close(full);
}

static void a_file_is_slurped_with_a_nul_behind(void **state)
{
	AUTO_FREE char *text = NULL;
	char path[FIXTURE_PATH_MAX];
	struct error err;
	size_t len;

	fixture_write(&fx, "slurp", "a\0b", 3);
	fixture_path(&fx, "slurp", path);
	assert_int_equal(file_slurp(path, 3, &text, &len, &err), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(text, "a\0b", 4);
}

static void an_empty_file_is_slurped(void **state)
{
	AUTO_FREE char *text = NULL;
	char path[FIXTURE_PATH_MAX];
	size_t len = 9;

	fixture_write(&fx, "empty", "", 0);
	fixture_path(&fx, "empty", path);
	assert_int_equal(file_slurp(path, 0, &text, &len, NULL), 0);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
}

/* Files under /proc say that they have no bytes. */
static void a_file_of_unknown_size_is_slurped(void **state)
{
	AUTO_FREE char *text = NULL;
	size_t len;

	assert_int_equal(
		file_slurp("/proc/self/maps", 1 << 20, &text, &len, NULL), 0);
	assert_true(len > 100);
	assert_int_equal(strlen(text), len);
	assert_int_equal(text[len - 1], '\n');
}

static void a_larger_file_is_refused(void **state)
{
	char path[FIXTURE_PATH_MAX], *text = NULL;
	struct error err;
	size_t len;

	fixture_write(&fx, "large", "abcd", 4);
	fixture_path(&fx, "large", path);
	assert_int_equal(file_slurp(path, 3, &text, &len, &err), -EFBIG);
	assert_sentence(&err, path, " is larger than 3 bytes");
	assert_int_equal(file_slurp("/proc/self/maps", 10, &text, &len, &err),
			 -EFBIG);
	assert_null(text);
}

static void directories_are_made_with_parents(void **state)
{
	char path[FIXTURE_PATH_MAX + 20];
	struct stat st;

	snprintf(path, sizeof(path), "%s/made/a//b/c/", fx.dir);
	assert_int_equal(file_mkdirs(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(file_mkdirs(path), 0);
}

static void a_file_in_the_way_is_told(void **state)
{
	char path[FIXTURE_PATH_MAX + 20];

	fixture_write(&fx, "way", "x", 1);
	fixture_path(&fx, "way", path);
	assert_int_equal(file_mkdirs(path), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/way/below", fx.dir);
	assert_int_equal(file_mkdirs(path), -ENOTDIR);
	assert_int_equal(file_mkdirs(""), -ENOENT);
}

static void the_clock_measures_time(void **state)
{
	double start = clock_seconds();

	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	assert_true(clock_seconds() - start >= 0.02);
	assert_true(clock_seconds() - start < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_regular_file_opens),
		cmocka_unit_test(what_is_no_file_is_told),
		cmocka_unit_test(a_pipe_does_not_block),
		cmocka_unit_test(a_read_is_exact_or_an_error),
		cmocka_unit_test(a_write_is_whole_or_an_error),
		cmocka_unit_test(a_file_is_slurped_with_a_nul_behind),
		cmocka_unit_test(an_empty_file_is_slurped),
		cmocka_unit_test(a_file_of_unknown_size_is_slurped),
		cmocka_unit_test(a_larger_file_is_refused),
		cmocka_unit_test(directories_are_made_with_parents),
		cmocka_unit_test(a_file_in_the_way_is_told),
		cmocka_unit_test(the_clock_measures_time),
	};

	return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
