/*
 * The budget of a folder is hard: whatever its processes do, and whichever of
 * them is killed at whatever moment, at no time does it hold more.
 *
 * All processes are stopped while the folder is weighed, so that what is seen
 * was there at one moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cache/account.h"
#include "cache/inspect.h"
#include "tests/unit/folder_fixture.h"

#include <cmocka.h>

enum { CHILDREN = 3, THREADS = 2, ROUNDS = 120, KEYS = 40 };
/* Less than what all threads write at once. */
enum { ITEMS = 5, BUDGET = ITEMS * CHARGE, SMALL = 2 * CHARGE };

struct writer {
	struct folder *folder;
	uint64_t seed;
};

/* -EBUSY: others write all that there is room for; -ENOLCK: one of them was
 * stopped where it held the lock. */
static bool is_right(int rc)
{
	return rc == 0 || rc == -EBUSY || rc == -ENOLCK;
}

/* Take a while between the beginning and the end, as for a large object. */
static int save_slowly(struct writer *writer, enum cache_class class,
		       uint64_t number)
{
	struct object object = item_of(class, number);
	struct staged staged;
	int rc;

	rc = item_stage(writer->folder, &object, &staged);
	usleep(fixture_random(&writer->seed) % 2000);
	if (rc == 0)
		rc = folder_publish(&staged, &object);
	folder_unstage(writer->folder, &staged);
	return rc;
}

/* Write, replace and read, and so evict, until killed. */
static void *write_without_end(void *arg)
{
	struct writer *writer = arg;
	enum cache_class class;
	uint64_t number;
	int rc;

	for (;;) {
		number = fixture_random(&writer->seed) % KEYS;
		class = number % 4 ? CACHE_CHUNK : CACHE_STATE;
		if (!is_right(save_slowly(writer, class, number)))
			_exit(1);
		rc = item_load(writer->folder, class, number);
		if (rc && rc != -ENOENT)
			_exit(2);
	}
	return NULL;
}

static void live(const struct folder_fixture *s, uint64_t bytes_max,
		 uint64_t seed)
{
	struct folder *folder = folder_open(s->fx.dir, bytes_max);
	struct writer writers[THREADS];
	pthread_t thread;

	for (size_t i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){ folder, seed * THREADS + i };
		if (pthread_create(&thread, NULL, write_without_end,
				   &writers[i]))
			_exit(3);
	}
	pthread_join(thread, NULL);
}

static pid_t begin_child(const struct folder_fixture *s, uint64_t bytes_max,
			 uint64_t seed)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		live(s, bytes_max, seed);
		_exit(4);
	}
	return child;
}

static void kill_child(pid_t child)
{
	int status;

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* None of them ever ends by itself. */
static struct folder_weight weigh_stopped(const struct folder_fixture *s,
					  const pid_t children[CHILDREN])
{
	struct folder_weight weight;
	int status;

	for (size_t i = 0; i < CHILDREN; i++) {
		assert_int_equal(kill(children[i], SIGSTOP), 0);
		assert_int_equal(waitpid(children[i], &status, WUNTRACED),
				 children[i]);
		assert_true(WIFSTOPPED(status));
	}
	weight = folder_weigh(s);
	for (size_t i = 0; i < CHILDREN; i++)
		assert_int_equal(kill(children[i], SIGCONT), 0);
	return weight;
}

static void ignore_sound(void *ctx, const struct inspect_verdict *verdict)
{
	size_t *bad = ctx;

	*bad += verdict->code != 0;
}

/* Everyone is dead: the next write finds a sound folder, and leaves one. */
static void assert_heals(struct folder_fixture *s)
{
	struct inspect_freed freed;
	struct folder_weight weight;
	size_t bad = 0;

	folder_fixture_reopen(s, BUDGET);
	item_must_save(s, CACHE_CHUNK, KEYS);
	weight = folder_weigh(s);
	assert_int_equal(weight.staged, 0);
	assert_true(weight.bytes <= BUDGET);
	assert_int_equal(folder_bytes(s->folder), weight.bytes);
	assert_int_equal(
		inspect_verify(s->folder, ignore_sound, &bad, &freed, NULL), 0);
	assert_int_equal(bad, 0);
	assert_int_equal(freed.leftovers.count, 0);
}

static void test_budget_holds_whoever_is_killed(void **state)
{
	uint64_t random = 1, most = 0, leftovers = 0;
	pid_t children[CHILDREN];
	struct folder_weight weight;
	struct folder_fixture s;
	size_t victim;

	folder_fixture_open(&s, BUDGET);
	for (size_t i = 0; i < CHILDREN; i++)
		children[i] = begin_child(&s, BUDGET, i);
	for (size_t i = 0; i < ROUNDS; i++) {
		usleep(fixture_random(&random) % 10000);
		victim = fixture_random(&random) % CHILDREN;
		kill_child(children[victim]);
		weight = folder_weigh(&s); /* staged is right, bytes may not */
		leftovers += weight.staged;
		children[victim] = begin_child(&s, BUDGET, CHILDREN + i);
		usleep(fixture_random(&random) % 3000);
		weight = weigh_stopped(&s, children);
		assert_true(weight.bytes <= BUDGET);
		most = max_u64(most, weight.bytes);
	}
	for (size_t i = 0; i < CHILDREN; i++)
		kill_child(children[i]);
	assert_true(most >= BUDGET - CHARGE);
	assert_true(leftovers > 0);
	assert_heals(&s);
	folder_fixture_close(&s);
}

/* Two mounts share the folder; each has its own idea of how much is enough. */
static void test_each_process_keeps_its_own_budget(void **state)
{
	struct folder_fixture s;
	struct folder *small;

	folder_fixture_open(&s, BUDGET);
	for (uint64_t i = 0; i < ITEMS; i++)
		item_must_save(&s, CACHE_CHUNK, i);
	small = folder_open(s.fx.dir, SMALL);
	assert_int_equal(item_load(small, CACHE_CHUNK, 1), 0);
	assert_int_equal(folder_weigh(&s).bytes, BUDGET);
	assert_int_equal(item_save(small, CACHE_CHUNK, 100), 0);
	assert_true(folder_weigh(&s).bytes <= SMALL);
	for (uint64_t i = 0; i < 20; i++) {
		item_must_save(&s, CACHE_CHUNK, i);
		assert_true(folder_weigh(&s).bytes <= BUDGET);
	}
	assert_true(folder_weigh(&s).bytes > SMALL);
	assert_int_equal(item_save(small, CACHE_STATE, 1), 0);
	assert_true(folder_weigh(&s).bytes <= SMALL);
	folder_close(small);
	folder_fixture_close(&s);
}

static void test_larger_budget_bounds_both(void **state)
{
	pid_t children[CHILDREN];
	struct folder_fixture s;

	folder_fixture_open(&s, BUDGET);
	for (size_t i = 0; i < CHILDREN; i++)
		children[i] = begin_child(&s, i ? SMALL : BUDGET, i);
	for (size_t i = 0; i < ROUNDS / 2; i++) {
		usleep(3000);
		assert_true(weigh_stopped(&s, children).bytes <= BUDGET);
	}
	for (size_t i = 0; i < CHILDREN; i++)
		kill_child(children[i]);
	assert_heals(&s);
	folder_fixture_close(&s);
}

/* Killed between reserving and writing: the account says too much for a
 * while, which costs nothing that is there. */
static void test_reserved_and_never_written_heals(void **state)
{
	struct folder_fixture s;
	struct account *account;
	AUTO_FD int root = -1;
	int lock;

	folder_fixture_open(&s, BUDGET);
	item_must_save(&s, CACHE_CHUNK, 0);
	root = folder_root(s.folder, NULL);
	account = folder_account(s.folder);
	lock = account_enter(account, root);
	assert_int_equal(account_reserve(account, lock, root, BUDGET / 2), 0);
	account_leave(account, lock);
	for (uint64_t i = 1; i < ITEMS; i++)
		item_must_save(&s, CACHE_CHUNK, i);
	assert_int_equal(folder_weigh(&s).bytes, BUDGET);
	assert_int_equal(folder_bytes(s.folder), BUDGET);
	folder_fixture_close(&s);
}

/* A person empties the folder while one waits for its lock: the one that waits
 * does not take that of a file which nobody else sees. */
static void *enter_later(void *arg)
{
	struct folder_fixture *s = arg;
	struct account account;
	AUTO_FD int root = folder_root(s->folder, NULL);
	struct stat held, named;
	char path[FIXTURE_PATH_MAX];
	bool same = false;
	int lock;

	account_init(&account, BUDGET);
	lock = account_enter(&account, root);
	fixture_path(&s->fx, "account", path);
	if (lock >= 0 && fstat(lock, &held) == 0 && stat(path, &named) == 0)
		same = held.st_ino == named.st_ino;
	if (lock >= 0)
		account_leave(&account, lock);
	account_done(&account);
	return same ? s : NULL;
}

static void test_lock_is_of_the_file_that_is_there(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct folder_fixture s;
	AUTO_FD int root = -1;
	pthread_t thread;
	void *result;
	int lock;

	folder_fixture_open(&s, BUDGET);
	item_must_save(&s, CACHE_CHUNK, 0);
	fixture_path(&s.fx, "account", path);
	root = folder_root(s.folder, NULL);
	lock = account_enter(folder_account(s.folder), root);
	assert_int_equal(pthread_create(&thread, NULL, enter_later, &s), 0);
	usleep(100000);
	assert_int_equal(unlink(path), 0);
	account_leave(folder_account(s.folder), lock);
	pthread_join(thread, &result);
	assert_ptr_equal(result, &s);
	folder_fixture_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_budget_holds_whoever_is_killed),
		cmocka_unit_test(test_each_process_keeps_its_own_budget),
		cmocka_unit_test(test_larger_budget_bounds_both),
		cmocka_unit_test(test_reserved_and_never_written_heals),
		cmocka_unit_test(test_lock_is_of_the_file_that_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
