#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

static int open_fixture(void **state)
{
	static struct fixture fx;

	fixture_open(&fx);
	*state = &fx;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

static struct source *get(struct fixture *fx, const char *name)
{
	char path[FIXTURE_PATH_MAX];
	struct source *source = NULL;
	struct error err;

	fixture_path(fx, name, path);
	assert_int_equal(source_get(fx->sources, path, &source, &err), 0);
	return source;
}

static void set_mtime(const struct fixture *fx, const char *name, time_t sec,
		      long nsec)
{
	const struct timespec times[2] = { { sec, nsec }, { sec, nsec } };
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void assert_changed(const struct source *source, const char *how)
{
	char want[FIXTURE_PATH_MAX + 200], byte;
	struct error err;

	assert_int_equal(source_read(source, &byte, 1, 0, &err), -EIO);
	snprintf(want, sizeof(want),
		 "%s changed since it was opened (%s): restart the mount",
		 source_path(source), how);
	assert_string_equal(err.text, want);
}

static void one_file_is_one_source(void **state)
{
	struct fixture *fx = *state;
	char path[FIXTURE_PATH_MAX], link_path[FIXTURE_PATH_MAX];
	struct source *a = fixture_source(fx, "a", "abc", 3);
	struct source *b = fixture_source(fx, "b", "abc", 3);
	size_t count = source_set_count(fx->sources);

	assert_ptr_not_equal(a, b);
	assert_ptr_equal(get(fx, "a"), a);
	fixture_path(fx, "a", path);
	fixture_path(fx, "a-link", link_path);
	assert_int_equal(symlink(path, link_path), 0);
	assert_ptr_equal(get(fx, "a-link"), a);
	fixture_path(fx, "a-hard", link_path);
	assert_int_equal(link(path, link_path), 0);
	assert_ptr_equal(get(fx, "a-hard"), a);
	assert_int_equal(source_set_count(fx->sources), count);
	assert_ptr_equal(source_set_at(fx->sources, count - 1), b);
	assert_int_equal(source_size(a), 3);
}

static bool is_open(const char *path)
{
	char link_path[64], target[FIXTURE_PATH_MAX];

	for (int fd = 0; fd < 256; fd++) {
		ssize_t len;

		snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", fd);
		len = readlink(link_path, target, sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		if (strcmp(target, path) == 0)
			return true;
	}
	return false;
}

/* Two of three sets have the first file, one the second. */
static void a_source_goes_with_the_last_who_has_it(void **state)
{
	struct fixture *fx = *state;
	struct source_set *whole = source_set_open();
	struct source_set *one = source_set_open_in(whole);
	struct source_set *two = source_set_open_in(whole);
	struct source *a, *b, *again;
	char path[FIXTURE_PATH_MAX], other[FIXTURE_PATH_MAX], byte;

	fixture_source(fx, "shared", "abc", 3);
	fixture_source(fx, "alone", "abc", 3);
	fixture_path(fx, "shared", path);
	fixture_path(fx, "alone", other);
	assert_int_equal(source_get(one, path, &a, NULL), 0);
	assert_int_equal(source_get(one, path, &again, NULL), 0);
	assert_ptr_equal(again, a);
	assert_int_equal(source_get(one, other, &b, NULL), 0);
	assert_int_equal(source_get(two, path, &again, NULL), 0);
	assert_ptr_equal(again, a);
	assert_int_equal(source_set_count(whole), 2);
	assert_int_equal(source_set_count(two), 1);
	assert_int_equal(source_read(a, &byte, 1, 0, NULL), 0);
	assert_int_equal(source_read(b, &byte, 1, 0, NULL), 0);
	assert_int_equal(source_set_bytes_read(whole), 2);
	source_set_close(one);
	assert_true(is_open(path));
	assert_false(is_open(other));
	assert_int_equal(source_set_count(whole), 1);
	assert_ptr_equal(source_set_at(whole, 0), a);
	source_set_close(two);
	assert_false(is_open(path));
	assert_int_equal(source_set_count(whole), 0);
	source_set_close(whole);
}

/* Enough for the table to grow, and for every place of it to be found. */
static void many_sources_are_told_apart(void **state)
{
	struct fixture *fx = *state;
	struct source *sources[100];
	char name[16];

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		snprintf(name, sizeof(name), "many/%zu", i);
		sources[i] = fixture_source(fx, name, &i, sizeof(i));
	}
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		size_t read = 0;

		snprintf(name, sizeof(name), "many/%zu", i);
		assert_ptr_equal(get(fx, name), sources[i]);
		assert_int_equal(
			source_read(sources[i], &read, sizeof(read), 0, NULL),
			0);
		assert_int_equal(read, i);
	}
}

static void only_files_are_sources(void **state)
{
	struct fixture *fx = *state;
	char path[FIXTURE_PATH_MAX], want[FIXTURE_PATH_MAX + 80];
	struct source *source;
	struct error err;

	fixture_path(fx, "missing", path);
	assert_int_equal(source_get(fx->sources, path, &source, &err), -ENOENT);
	snprintf(want, sizeof(want), "%s: No such file or directory", path);
	assert_string_equal(err.text, want);
	assert_int_equal(source_get(fx->sources, fx->dir, &source, &err),
			 -EINVAL);
	snprintf(want, sizeof(want), "%s is not a regular file", fx->dir);
	assert_string_equal(err.text, want);
	fixture_path(fx, "pipe", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(source_get(fx->sources, path, &source, &err), -EINVAL);
}

static void a_relative_path_outlives_chdir(void **state)
{
	struct fixture *fx = *state;
	AUTO_FREE char *before = getcwd(NULL, 0);
	struct source *source;
	struct error err;
	char byte;

	fixture_write(fx, "relative", "r", 1);
	assert_int_equal(chdir(fx->dir), 0);
	assert_int_equal(source_get(fx->sources, "relative", &source, &err), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(source_read(source, &byte, 1, 0, &err), 0);
	assert_int_equal(byte, 'r');
	assert_int_equal(source_path(source)[0], '/');
	assert_int_equal(chdir(before), 0);
}

static void bytes_are_read_and_counted(void **state)
{
	struct fixture *fx = *state;
	struct source *source = fixture_source(fx, "read", "0123456789", 10);
	uint64_t before = source_set_bytes_read(fx->sources);
	char want[FIXTURE_PATH_MAX + 80], buf[4] = "";
	struct error err;

	assert_int_equal(source_read(source, buf, 4, 3, &err), 0);
	assert_memory_equal(buf, "3456", 4);
	assert_int_equal(source_set_bytes_read(fx->sources), before + 4);
	assert_int_equal(source_read(source, buf, 4, 8, &err), -EIO);
	snprintf(want, sizeof(want),
		 "%s: cannot read 4 bytes at 8: the file ends before",
		 source_path(source));
	assert_string_equal(err.text, want);
	assert_int_equal(source_set_bytes_read(fx->sources), before + 4);
}

static void bytes_are_copied_from_file_to_file(void **state)
{
	struct fixture *fx = *state;
	struct source *source = fixture_source(fx, "from", "0123456789", 10);
	uint64_t before = source_set_bytes_read(fx->sources);
	char path[FIXTURE_PATH_MAX], buf[8];
	int to;

	fixture_write(fx, "to", "abcdefgh", 8);
	fixture_path(fx, "to", path);
	to = open(path, O_RDWR | O_CLOEXEC);
	assert_true(to >= 0);
	assert_true(source_copy(source, 3, 4, to, 2));
	assert_int_equal(pread(to, buf, 8, 0), 8);
	assert_memory_equal(buf, "ab3456gh", 8);
	assert_int_equal(source_set_bytes_read(fx->sources), before + 4);
	/* Beyond the end; into what takes no bytes; a file that has changed. */
	assert_false(source_copy(source, 8, 4, to, 0));
	assert_false(source_copy(source, 0, 4, -1, 0));
	set_mtime(fx, "from", 1000, 7);
	assert_false(source_copy(source, 0, 4, to, 0));
	assert_int_equal(source_set_bytes_read(fx->sources), before + 4);
	close(to);
}

/* Opened or not yet opened: a file that changed gives no bytes. */
static void a_truncated_file_is_refused(void **state)
{
	struct fixture *fx = *state;

	for (int opened = 0; opened < 2; opened++) {
		struct source *source;
		char path[FIXTURE_PATH_MAX], byte;

		fixture_write(fx, "cut", "0123456789", 10);
		set_mtime(fx, "cut", 1000, 0);
		source = get(fx, "cut");
		if (opened)
			assert_int_equal(source_read(source, &byte, 1, 0, NULL),
					 0);
		fixture_path(fx, "cut", path);
		assert_int_equal(truncate(path, 4), 0);
		set_mtime(fx, "cut", 1000, 0);
		assert_changed(source, "10 bytes then, 4 now");
		assert_int_equal(unlink(path), 0);
	}
}

static void a_rewritten_file_is_refused(void **state)
{
	struct fixture *fx = *state;

	for (int opened = 0; opened < 2; opened++) {
		struct source *source;
		char path[FIXTURE_PATH_MAX], byte;

		fixture_write(fx, "new", "0123456789", 10);
		set_mtime(fx, "new", 1000, 0);
		source = get(fx, "new");
		if (opened)
			assert_int_equal(source_read(source, &byte, 1, 0, NULL),
					 0);
		fixture_write(fx, "new", "9876543210", 10);
		set_mtime(fx, "new", 1000 + !opened, opened);
		assert_changed(source, "it was written to");
		fixture_path(fx, "new", path);
		assert_int_equal(unlink(path), 0);
	}
}

/* Not opened: another file under the name. Opened: the file is still there. */
static void a_replaced_file_is_refused_or_kept(void **state)
{
	struct fixture *fx = *state;
	char path[FIXTURE_PATH_MAX], other[FIXTURE_PATH_MAX], byte;
	struct source *late = fixture_source(fx, "late", "old", 3);
	struct source *held = fixture_source(fx, "held", "old", 3);

	assert_int_equal(source_read(held, &byte, 1, 0, NULL), 0);
	fixture_write(fx, "other", "new", 3);
	fixture_path(fx, "other", other);
	fixture_path(fx, "late", path);
	assert_int_equal(rename(other, path), 0);
	assert_changed(late, "another file has its name");
	assert_int_equal(unlink(path), 0);
	assert_changed(late, "it is gone");
	fixture_write(fx, "other", "new", 3);
	fixture_path(fx, "held", path);
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(source_read(held, &byte, 1, 0, NULL), 0);
	assert_int_equal(byte, 'o');
}

/* What changed is another source to whoever opens it anew. */
static void a_changed_file_can_be_opened_anew(void **state)
{
	struct fixture *fx = *state;
	struct source *old = fixture_source(fx, "anew", "old", 3), *new;
	char byte;

	fixture_write(fx, "anew", "newer", 5);
	new = get(fx, "anew");
	assert_ptr_not_equal(new, old);
	assert_int_equal(source_read(new, &byte, 1, 0, NULL), 0);
	assert_int_equal(byte, 'n');
	assert_changed(old, "3 bytes then, 5 now");
}

static void too_many_files_are_said(void **state)
{
	struct fixture *fx = *state;
	struct source *source = fixture_source(fx, "limit", "x", 1);
	char want[FIXTURE_PATH_MAX + 80], byte;
	struct rlimit old, none;
	struct error err;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(source_read(source, &byte, 1, 0, &err), -EIO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	snprintf(want, sizeof(want),
		 "%s: too many open files: raise the limit (ulimit -n)",
		 source_path(source));
	assert_string_equal(err.text, want);
	/* It can be read once there is room. */
	assert_int_equal(source_read(source, &byte, 1, 0, &err), 0);
}

#define READERS 8

static void *read_and_identify(void *arg)
{
	const struct source *source = arg;
	struct hash128 *identity = malloc(sizeof(*identity));
	struct error err;
	char buf[64];

	assert_non_null(identity);
	for (int i = 0; i < 100; i++)
		if (source_read(source, buf, sizeof(buf), (uint64_t)i, &err) ||
		    buf[0] != (char)i)
			abort();
	if (source_identity(source, identity, &err))
		abort();
	return identity;
}

/* All open and identify it at once; one descriptor stays open. */
static void any_thread_may_read(void **state)
{
	struct fixture *fx = *state;
	struct source *source;
	pthread_t threads[READERS];
	struct hash128 *got[READERS];
	char data[256];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)i;
	source = fixture_source(fx, "shared", data, sizeof(data));
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						read_and_identify, source),
				 0);
	for (size_t i = 0; i < READERS; i++) {
		void *result;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		got[i] = result;
		assert_true(hash_equal(*got[0], *got[i]));
	}
	for (size_t i = 0; i < READERS; i++)
		free(got[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_file_is_one_source),
		cmocka_unit_test(a_source_goes_with_the_last_who_has_it),
		cmocka_unit_test(many_sources_are_told_apart),
		cmocka_unit_test(only_files_are_sources),
		cmocka_unit_test(a_relative_path_outlives_chdir),
		cmocka_unit_test(bytes_are_read_and_counted),
		cmocka_unit_test(bytes_are_copied_from_file_to_file),
		cmocka_unit_test(a_truncated_file_is_refused),
		cmocka_unit_test(a_rewritten_file_is_refused),
		cmocka_unit_test(a_replaced_file_is_refused_or_kept),
		cmocka_unit_test(a_changed_file_can_be_opened_anew),
		cmocka_unit_test(too_many_files_are_said),
		cmocka_unit_test(any_thread_may_read),
	};

	return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
