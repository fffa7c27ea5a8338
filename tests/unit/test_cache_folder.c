/*
 * The folder of a cache, shared by processes: writers that are killed, a budget
 * that holds over all of them, and what an object looks like.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cache/object.h"
#include "core/base/file.h"
#include "tests/unit/folder_fixture.h"

#include <cmocka.h>

static pid_t fork_child(void)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

static int wait_child(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* SIGKILL after the bytes are written, before they have their name. */
static void test_killed_writer_leaves_nothing(void **state)
{
	struct object object = item_of(CACHE_STATE, 1);
	struct staged staged;
	struct folder_fixture s;
	struct folder_weight weight;
	pid_t child;
	int status;

	folder_fixture_open(&s, 16 * CHARGE);
	child = fork_child();
	if (child == 0) {
		item_stage(s.folder, &object, &staged);
		raise(SIGKILL);
	}
	status = wait_child(child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	weight = folder_weigh(&s);
	assert_int_equal(weight.staged, 1);
	assert_int_equal(item_load(s.folder, CACHE_STATE, 1), -ENOENT);
	item_must_save(&s, CACHE_STATE, 2);
	weight = folder_weigh(&s);
	assert_int_equal(weight.staged, 0);
	assert_int_equal(weight.bytes, CHARGE);
	assert_int_equal(folder_bytes(s.folder), CHARGE);
	folder_fixture_close(&s);
}

static void test_living_writer_is_let_be(void **state)
{
	struct object object = item_of(CACHE_STATE, 1);
	struct staged staged;
	struct folder_fixture s;
	struct folder_weight weight;

	folder_fixture_open(&s, 4 * CHARGE);
	assert_int_equal(folder_stage(s.folder, &object, &staged), 0);
	folder_fixture_reopen(
		&s, 4 * CHARGE); /* as another process, which counts anew */
	for (uint64_t i = 2; i < 8; i++)
		item_must_save(&s, CACHE_STATE, i);
	assert_int_equal(item_write(&object, &staged), 0);
	weight = folder_weigh(&s);
	assert_int_equal(weight.bytes, 4 * CHARGE);
	assert_int_equal(folder_publish(&staged, &object), 0);
	folder_unstage(s.folder, &staged);
	assert_int_equal(item_load(s.folder, CACHE_STATE, 1), 0);
	folder_fixture_close(&s);
}

static void test_unpublished_file_goes(void **state)
{
	struct object object = item_of(CACHE_STATE, 1);
	struct staged staged;
	struct folder_fixture s;
	struct folder_weight weight;

	folder_fixture_open(&s, 16 * CHARGE);
	assert_int_equal(item_stage(s.folder, &object, &staged), 0);
	folder_unstage(s.folder, &staged);
	weight = folder_weigh(&s);
	assert_int_equal(weight.bytes, 0);
	item_must_save(&s, CACHE_STATE, 2);
	assert_int_equal(folder_bytes(s.folder), CHARGE);
	folder_fixture_close(&s);
}

/* All that is being written is more than the budget: nothing to evict. */
static void test_budget_counts_what_is_being_written(void **state)
{
	struct object objects[2] = { item_of(CACHE_CHUNK, 1),
				     item_of(CACHE_CHUNK, 2) };
	struct staged staged, refused;
	struct folder_fixture s;

	folder_fixture_open(&s, CHARGE + CHARGE / 2);
	assert_int_equal(item_stage(s.folder, &objects[0], &staged), 0);
	assert_int_equal(folder_stage(s.folder, &objects[1], &refused), -EBUSY);
	folder_unstage(s.folder, &refused);
	folder_unstage(s.folder, &staged);
	folder_fixture_close(&s);
}

static void test_bad_object_is_removed(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct folder_fixture s;

	folder_fixture_open(&s, 4 * CHARGE);
	item_must_save(&s, CACHE_CHUNK, 1);
	item_path(&s, CACHE_CHUNK, 1, path);
	assert_int_equal(truncate(path, CHARGE / 2), 0);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 1), -EBADMSG);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 1), -ENOENT);
	folder_fixture_close(&s);
}

/* The bytes of an object are part of the contract with older folders. */
static void test_object_is_as_drawn(void **state)
{
	static const char expected[] =
		"lmfsobj\0\1\0\0\0\0\0\0\0"
		"\010\7\6\5\4\3\2\1\030\027\026\025\024\023\022\021"
		"\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
	struct hash128 key = { 0x0102030405060708, 0x1112131415161718 };
	struct hash128 check = hash_bytes("abc", 3);
	AUTO_FREE char *text = NULL;
	char path[FIXTURE_PATH_MAX];
	AUTO_FD int fd = -1;
	struct folder_fixture s;
	size_t len;

	folder_fixture_open(&s, CHARGE);
	fixture_path(&s.fx, "object", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(object_write(fd, key, "abc", 3), 0);
	assert_int_equal(file_slurp(path, CHARGE, &text, &len, NULL), 0);
	assert_int_equal(len, OBJECT_HEADER_BYTES + 3);
	assert_memory_equal(text, expected, 48);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal((unsigned char)text[48 + i],
				 check.hi >> 8 * i & 255);
		assert_int_equal((unsigned char)text[56 + i],
				 check.lo >> 8 * i & 255);
	}
	assert_memory_equal(text + OBJECT_HEADER_BYTES, "abc", 3);
	folder_fixture_close(&s);
}

enum { CHILDREN = 2, WRITES = 60, BUDGET = 8 * CHARGE };

/* Half of the keys are the children's own, half they have in common. */
static int write_many(const struct folder_fixture *s, uint64_t child)
{
	struct folder *folder = folder_open(s->fx.dir, BUDGET);
	uint64_t number;
	int rc;

	for (uint64_t i = 0; i < WRITES; i++) {
		number = i % 2 ? i : 1000 * (child + 1) + i;
		rc = item_save(folder, CACHE_CHUNK, number);
		if (rc && rc != -EBUSY)
			return 1;
		rc = item_load(folder, CACHE_CHUNK, i / 2);
		if (rc && rc != -ENOENT)
			return 2;
	}
	folder_close(folder);
	return 0;
}

/* Stop a process where it is; false: it had ended, and well. */
static bool stop_child(pid_t child)
{
	int status;

	kill(child, SIGSTOP);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	if (WIFSTOPPED(status))
		return true;
	assert_int_equal(status, 0);
	return false;
}

/* What all processes hold together is seen while all of them stand still. */
static void test_processes_keep_one_budget(void **state)
{
	pid_t children[CHILDREN];
	size_t running = CHILDREN;
	struct folder_fixture s;
	struct folder_weight weight;

	folder_fixture_open(&s, BUDGET);
	for (size_t i = 0; i < CHILDREN; i++) {
		children[i] = fork_child();
		if (children[i] == 0)
			_exit(write_many(&s, i));
	}
	while (running > 0) {
		for (size_t i = 0; i < running; i++)
			while (i < running && !stop_child(children[i]))
				children[i] = children[--running];
		weight = folder_weigh(&s);
		assert_true(weight.bytes <= BUDGET);
		for (size_t i = 0; i < running; i++)
			kill(children[i], SIGCONT);
		usleep(2000);
	}
	assert_int_equal(weight.staged, 0);
	assert_true(weight.bytes >= BUDGET / 2);
	folder_fixture_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_writer_leaves_nothing),
		cmocka_unit_test(test_living_writer_is_let_be),
		cmocka_unit_test(test_unpublished_file_goes),
		cmocka_unit_test(test_budget_counts_what_is_being_written),
		cmocka_unit_test(test_bad_object_is_removed),
		cmocka_unit_test(test_object_is_as_drawn),
		cmocka_unit_test(test_processes_keep_one_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
