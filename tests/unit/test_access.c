#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "core/base/file.h"
#include "fs/access.h"
#include "fs/access_look.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define MIB (1u << 20)
#define THREADS 4
#define ROUNDS 50

static struct access *open_log(const struct fixture *fx, char *path)
{
	struct error err;
	struct access *access;

	fixture_path(fx, "access.log", path);
	access = access_open(path, &err);
	if (!access)
		fail_msg("%s", err.text);
	return access;
}

static char *log_of(const char *path)
{
	struct error err;
	size_t len;
	char *text;

	if (file_slurp(path, MIB, &text, &len, &err))
		fail_msg("%s", err.text);
	return text;
}

static size_t lines_of(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

/* Reads of `len` bytes at these offsets, in units of len, by one process. */
static char *pattern_of(const uint64_t *at, size_t count, size_t len)
{
	struct access_file *file;
	char path[FIXTURE_PATH_MAX];
	struct access *access;
	struct fixture fx;
	char *text;

	fixture_open(&fx);
	access = open_log(&fx, path);
	file = access_begin(access, getpid(), 7);
	for (size_t i = 0; i < count; i++)
		access_read(file, at[i] * len, len);
	access_end(file);
	access_close(access);
	text = log_of(path);
	fixture_close(&fx);
	return text;
}

static void open_files_and_processes_are_counted(void **state)
{
	struct access *access = access_open(NULL, NULL);
	struct access_file *a = access_begin(access, getpid(), 5);
	struct access_file *b = access_begin(access, getpid(), 5);
	struct access_file *c = access_begin(access, 1, 6);

	access_read(a, 0, 10);
	access_read(NULL, 0, 10);
	access_end(NULL);
	assert_int_equal(access_files(access), 3);
	assert_int_equal(access_processes(access), 2);
	access_end(b);
	assert_int_equal(access_files(access), 2);
	assert_int_equal(access_processes(access), 2);
	access_end(a);
	access_end(c);
	assert_int_equal(access_files(access), 0);
	assert_int_equal(access_processes(access), 0);
	access_close(access);
	access_close(NULL);
}

static void a_line_tells_of_a_process_once_it_has_closed_all(void **state)
{
	char path[FIXTURE_PATH_MAX], part[64];
	struct access_file *a, *b, *c;
	struct access *access;
	struct fixture fx;
	char *text;
	int year, month, day, hour, minute, second;

	fixture_open(&fx);
	access = open_log(&fx, path);
	a = access_begin(access, getpid(), 5);
	b = access_begin(access, getpid(), 9);
	c = access_begin(access, getpid(), 5);
	access_read(a, 0, 1000);
	access_read(c, 1000, 24);
	access_end(a);
	access_end(b);
	text = log_of(path);
	assert_string_equal(text, "");
	free(text);
	access_end(c);
	text = log_of(path);
	assert_int_equal(lines_of(text), 1);
	assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d:%dZ ", &year, &month,
				&day, &hour, &minute, &second),
			 6);
	snprintf(part, sizeof(part), " pid=%d comm=", (int)getpid());
	assert_has(text, part);
	assert_has(text, " files=2 opens=3 reads=2 bytes=1024 sequential=1.00 "
			 "pattern=read,sequential seconds=0.");
	free(text);
	/* It appends. */
	access_end(access_begin(access, getpid(), 5));
	access_close(access);
	access = open_log(&fx, path);
	access_end(access_begin(access, getpid(), 5));
	access_close(access);
	text = log_of(path);
	assert_int_equal(lines_of(text), 3);
	assert_has(text, " files=1 opens=1 reads=0 bytes=0 sequential=0.00 "
			 "pattern=none seconds=0.");
	free(text);
	fixture_close(&fx);
}

static void where_reads_go_on_it_is_sequential(void **state)
{
	static const uint64_t straight[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	/* As the kernel's read-ahead sends them. */
	static const uint64_t mixed[] = { 0, 2, 1, 3, 5, 4, 6, 7 };
	static const uint64_t streams[] = { 0,	  5000, 1, 5001, 9000, 2,
					    5002, 9001, 3, 9002, 5003, 4 };
	static const uint64_t leaps[] = { 500, 100, 900, 300, 700, 1200, 200 };
	static const uint64_t one[] = { 500 };
	static const struct {
		const uint64_t *at;
		size_t count;
		const char *expected;
	} rows[] = {
		{ straight, 8, "sequential=1.00 pattern=read,sequential" },
		{ mixed, 8, "sequential=1.00 pattern=read,sequential" },
		{ streams, 12, "sequential=0.83 pattern=read,sequential" },
		{ leaps, 7, "sequential=0.14 pattern=read,random" },
		{ one, 1, "sequential=1.00 pattern=read,sequential" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *text =
			pattern_of(rows[i].at, rows[i].count, 4096);

		assert_has(text, rows[i].expected);
	}
}

static void a_mapping_is_found_in_the_list(void **state)
{
	static const char list[] =
		"7f00-8000 r--p 00000000 fd:01 12 /usr/lib/libc.so\n"
		"10000-20000 r--p 00001000 00:2f 12   /mnt/a b/model\n"
		"20000-30000 r--s 00000000 00:05 13 /dev/zero (deleted)\n"
		"30000-40000 rw-s 00000000 00:01 14 /memfd:x (deleted)\n"
		"40000-50000 rw-p 00000000 00:00 0\n"
		"nonsense\n";
	static const struct {
		uint64_t ino, off;
		bool expected;
	} rows[] = {
		{ 12, 0x1000, true },  { 12, 0x10fff, true },
		{ 12, 0xfff, false },  { 12, 0x11000, false },
		{ 12, 0, false },      { 13, 0, false },
		{ 14, 0, false },      { 0, 0, false },
		{ 11, 0x1000, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char copy[sizeof(list)];
		FILE *maps;

		memcpy(copy, list, sizeof(list));
		maps = fmemopen(copy, sizeof(list) - 1, "r");
		assert_int_equal(maps_have(maps, rows[i].ino, rows[i].off),
				 rows[i].expected);
		fclose(maps);
	}
}

/* A file is mapped by this very process. It is known where its file system has
 * no device, as that of a mount. */
static void one_who_maps_is_told_from_one_who_reads(void **state)
{
	char path[FIXTURE_PATH_MAX], log[FIXTURE_PATH_MAX];
	AUTO_FREE char *bytes = calloc(1, MIB), *text = NULL;
	struct access_file *file;
	struct access *access;
	struct fixture fx;
	struct statfs fs;
	struct stat st;
	void *map;
	int fd;

	fixture_open(&fx);
	fixture_write(&fx, "model", bytes, MIB);
	fixture_path(&fx, "model", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(fstatfs(fd, &fs), 0);
	map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	access = open_log(&fx, log);
	file = access_begin(access, getpid(), st.st_ino);
	for (uint64_t i = 0; i < 16; i++)
		access_read(file, i * 4096, 4096);
	access_end(file);
	access_close(access);
	munmap(map, MIB);
	close(fd);
	text = log_of(log);
	fixture_close(&fx);
	assert_has(text, " reads=16 bytes=65536 ");
	assert_has(text, fs.f_type == TMPFS_MAGIC ? "pattern=mmap,sequential"
						  : "sequential=1.00");
}

static void who_is_gone_is_not_waited_for(void **state)
{
	struct looker *looker = looker_open();
	double begin = clock_seconds();

	for (int i = 0; i < 100; i++) {
		assert_false(looker_ask(looker, INT32_MAX, 5, 0));
		assert_false(looker_ask(looker, 0, 5, 0));
	}
	assert_true(clock_seconds() - begin < 5);
	looker_close(looker);
	looker_close(NULL);
	/* One that nobody asked has no thread. */
	looker_close(looker_open());
}

/* Names with anything in them stay one word of the line. */
static void a_name_is_one_word(void **state)
{
	static const struct {
		const char *name, *expected;
	} rows[] = {
		{ "python3", "python3" },
		{ "a b\tc", "a?b?c" },
		{ "x\ny\033", "x" },
		{ "", "?" },
		{ "m\xc3\xb6=1", "m\xc3\xb6=1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[ACCESS_COMM_MAX];
		int status;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			prctl(PR_SET_NAME, rows[i].name);
			proc_name(getpid(), name);
			_exit(strcmp(name, rows[i].expected) != 0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			fail_msg("%s", rows[i].expected);
	}
}

static void *report_thread(void *ctx)
{
	*(pid_t *)ctx = proc_of_thread(gettid());
	return NULL;
}

static void a_thread_counts_for_its_process(void **state)
{
	pthread_t thread;
	pid_t pid = 0;

	pthread_create(&thread, NULL, report_thread, &pid);
	pthread_join(thread, NULL);
	assert_int_equal(pid, getpid());
	assert_int_equal(proc_of_thread(0), 0);
	assert_int_equal(proc_of_thread(INT32_MAX), INT32_MAX);
}

static void *read_much(void *ctx)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct access_file *mine = access_begin(ctx, getpid(), 5);

		for (uint64_t k = 0; k < 20; k++)
			access_read(mine, k * 4096, 4096);
		access_end(mine);
	}
	return NULL;
}

struct shared {
	struct access_file *file;
	atomic_uint turn;
};

static void *read_shared(void *ctx)
{
	struct shared *shared = ctx;

	for (int i = 0; i < 1000; i++)
		access_read(shared->file,
			    4096ull * atomic_fetch_add(&shared->turn, 1), 4096);
	return NULL;
}

/* Every read of every thread is in exactly one line. */
static void nothing_is_lost_between_threads(void **state)
{
	pthread_t threads[2 * THREADS];
	char path[FIXTURE_PATH_MAX];
	struct shared shared = { 0 };
	uint64_t reads = 0, opens = 0;
	AUTO_FREE char *text = NULL;
	struct access *access;
	struct fixture fx;

	fixture_open(&fx);
	access = open_log(&fx, path);
	shared.file = access_begin(access, 1, 8);
	for (int i = 0; i < THREADS; i++) {
		pthread_create(&threads[2 * i], NULL, read_much, access);
		pthread_create(&threads[2 * i + 1], NULL, read_shared, &shared);
	}
	for (int i = 0; i < 2 * THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(access_files(access), 1);
	access_end(shared.file);
	access_close(access);
	text = log_of(path);
	fixture_close(&fx);
	for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
		const char *more = strstr(at, " opens=");
		uint64_t o, r;

		assert_int_equal(sscanf(more, " opens=%ju reads=%ju", &o, &r),
				 2);
		opens += o;
		reads += r;
	}
	assert_int_equal(opens, THREADS * ROUNDS + 1);
	assert_int_equal(reads, THREADS * (ROUNDS * 20 + 1000));
}

static void a_log_that_cannot_be_written_is_refused(void **state)
{
	struct fixture fx;
	struct error err;

	fixture_open(&fx);
	assert_null(access_open(fx.dir, &err));
	assert_has(err.text, fx.dir);
	assert_has(err.text, "cannot be opened to append the access log");
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_files_and_processes_are_counted),
		cmocka_unit_test(
			a_line_tells_of_a_process_once_it_has_closed_all),
		cmocka_unit_test(where_reads_go_on_it_is_sequential),
		cmocka_unit_test(a_mapping_is_found_in_the_list),
		cmocka_unit_test(one_who_maps_is_told_from_one_who_reads),
		cmocka_unit_test(who_is_gone_is_not_waited_for),
		cmocka_unit_test(a_name_is_one_word),
		cmocka_unit_test(a_thread_counts_for_its_process),
		cmocka_unit_test(nothing_is_lost_between_threads),
		cmocka_unit_test(a_log_that_cannot_be_written_is_refused),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
