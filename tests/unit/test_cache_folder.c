/*
 * The folder of a cache, shared by processes: writers that are killed, a budget
 * that holds over all of them, an account that heals, and the order in which
 * objects go.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cache/evict.h"
#include "cache/folder.h"
#include "cache/object.h"
#include "core/base/file.h"
#include "tests/unit/cache_fixture.h"

#include <cmocka.h>

enum { KIB = 1024, HOUR = 3600, ITEM = 60 * KIB, CHARGE = 64 * KIB };

struct setup {
	struct fixture fx;
	struct folder *folder;
	uint64_t bytes_max;
};

static void reopen(struct setup *s, uint64_t bytes_max)
{
	folder_close(s->folder);
	s->folder = folder_open(s->fx.dir, bytes_max);
	assert_non_null(s->folder);
	assert_int_equal(folder_prepare(s->folder, NULL), 0);
}

static void setup_open(struct setup *s, uint64_t bytes_max)
{
	*s = (struct setup){ 0 };
	fixture_open(&s->fx);
	reopen(s, bytes_max);
}

static void setup_close(struct setup *s)
{
	folder_close(s->folder);
	fixture_close(&s->fx);
}

static struct object object_of(enum cache_class class, uint64_t number)
{
	return (struct object){ class, key_of(number), ITEM };
}

/* Begin and write an object, but do not publish it. */
static int stage(struct folder *folder, const struct object *object,
		 struct staged *staged)
{
	unsigned char data[ITEM];
	int rc;

	fill_pattern(data, sizeof(data), object->key);
	rc = folder_stage(folder, object, staged);
	return rc ? rc
		  : object_write(staged->fd, object->key, data, sizeof(data));
}

static int save(struct folder *folder, enum cache_class class, uint64_t number)
{
	struct object object = object_of(class, number);
	struct staged staged;
	int rc;

	rc = stage(folder, &object, &staged);
	if (rc == 0)
		rc = folder_publish(&staged, &object);
	folder_unstage(folder, &staged);
	return rc;
}

static void must_save(struct setup *s, enum cache_class class, uint64_t number)
{
	assert_int_equal(save(s->folder, class, number), 0);
}

/* As folder_load(); the bytes of a success must be right. */
static int load(struct folder *folder, enum cache_class class, uint64_t number)
{
	struct object object = object_of(class, number);
	unsigned char data[ITEM];
	struct blob blob = { data, sizeof(data) };
	int rc;

	rc = folder_load(folder, &object, data);
	return rc == 0 && !has_pattern(&blob, object.key) ? -EILSEQ : rc;
}

static void object_path(const struct setup *s, enum cache_class class,
			uint64_t number, char path[FIXTURE_PATH_MAX])
{
	char name[FOLDER_NAME_MAX];

	folder_name(class, key_of(number), name);
	fixture_path(&s->fx, name, path);
}

/* Make an object look as if it was last used so many seconds ago. */
static void set_age(const struct setup *s, enum cache_class class,
		    uint64_t number, time_t seconds)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - seconds },
				     { .tv_sec = time(NULL) - seconds } };
	char path[FIXTURE_PATH_MAX];

	object_path(s, class, number, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* What the folder really holds: cmocka and nftw leave no other way to sum. */
static uint64_t walk_bytes, walk_staged;

static int add_file(const char *path, const struct stat *st, int type,
		    struct FTW *where)
{
	bool staged = strstr(path, "/" FOLDER_STAGING "/");

	if (type == FTW_F && st->st_size >= OBJECT_HEADER_BYTES &&
	    (staged || where->level == 3)) {
		walk_bytes += evict_charge((uint64_t)st->st_size);
		walk_staged += staged;
	}
	return 0;
}

static void walk_folder(const struct setup *s)
{
	walk_bytes = walk_staged = 0;
	nftw(s->fx.dir, add_file, 8, FTW_PHYS);
}

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
	struct object object = object_of(CACHE_STATE, 1);
	struct staged staged;
	struct setup s;
	pid_t child;
	int status;

	setup_open(&s, 1024 * KIB);
	child = fork_child();
	if (child == 0) {
		stage(s.folder, &object, &staged);
		raise(SIGKILL);
	}
	status = wait_child(child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	walk_folder(&s);
	assert_int_equal(walk_staged, 1);
	assert_int_equal(load(s.folder, CACHE_STATE, 1), -ENOENT);
	must_save(&s, CACHE_STATE, 2);
	walk_folder(&s);
	assert_int_equal(walk_staged, 0);
	assert_int_equal(walk_bytes, CHARGE);
	assert_int_equal(folder_bytes(s.folder), CHARGE);
	setup_close(&s);
}

static void test_living_writer_is_let_be(void **state)
{
	struct object object = object_of(CACHE_STATE, 1);
	struct staged staged;
	struct setup s;

	setup_open(&s, 4 * CHARGE);
	assert_int_equal(stage(s.folder, &object, &staged), 0);
	reopen(&s, 4 * CHARGE); /* as another process, which counts anew */
	for (uint64_t i = 2; i < 8; i++)
		must_save(&s, CACHE_STATE, i);
	walk_folder(&s);
	assert_int_equal(walk_bytes, 4 * CHARGE);
	assert_int_equal(folder_publish(&staged, &object), 0);
	folder_unstage(s.folder, &staged);
	assert_int_equal(load(s.folder, CACHE_STATE, 1), 0);
	setup_close(&s);
}

static void test_unpublished_file_goes(void **state)
{
	struct object object = object_of(CACHE_STATE, 1);
	struct staged staged;
	struct setup s;

	setup_open(&s, 1024 * KIB);
	assert_int_equal(stage(s.folder, &object, &staged), 0);
	folder_unstage(s.folder, &staged);
	walk_folder(&s);
	assert_int_equal(walk_bytes, 0);
	must_save(&s, CACHE_STATE, 2);
	assert_int_equal(folder_bytes(s.folder), CHARGE);
	setup_close(&s);
}

/* All that is being written is more than the budget: nothing to evict. */
static void test_budget_counts_what_is_being_written(void **state)
{
	struct object objects[2] = { object_of(CACHE_CHUNK, 1),
				     object_of(CACHE_CHUNK, 2) };
	struct staged staged, refused;
	struct setup s;

	setup_open(&s, CHARGE + CHARGE / 2);
	assert_int_equal(stage(s.folder, &objects[0], &staged), 0);
	assert_int_equal(folder_stage(s.folder, &objects[1], &refused), -EBUSY);
	folder_unstage(s.folder, &refused);
	folder_unstage(s.folder, &staged);
	setup_close(&s);
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
	struct setup s;

	setup_open(&s, COUNT * CHARGE);
	for (uint64_t i = COUNT; i-- > 0;) {
		must_save(&s, objects[i].class, i);
		set_age(&s, objects[i].class, i, objects[i].hours * HOUR);
	}
	for (uint64_t gone = 1; gone < COUNT; gone++) {
		must_save(&s, CACHE_STATE, 100 + gone);
		for (uint64_t i = 0; i < COUNT; i++)
			assert_int_equal(load(s.folder, objects[i].class, i) ==
						 0,
					 i >= gone);
		/* Loading was a use; make them as old again. */
		for (uint64_t i = gone; i < COUNT; i++)
			set_age(&s, objects[i].class, i,
				objects[i].hours * HOUR);
	}
	setup_close(&s);
}

static void test_use_saves_from_eviction(void **state)
{
	struct setup s;

	setup_open(&s, 2 * CHARGE);
	must_save(&s, CACHE_CHUNK, 1);
	must_save(&s, CACHE_CHUNK, 2);
	set_age(&s, CACHE_CHUNK, 1, 9 * HOUR);
	set_age(&s, CACHE_CHUNK, 2, 5 * HOUR);
	assert_int_equal(load(s.folder, CACHE_CHUNK, 1), 0);
	must_save(&s, CACHE_CHUNK, 3);
	assert_int_equal(load(s.folder, CACHE_CHUNK, 1), 0);
	assert_int_equal(load(s.folder, CACHE_CHUNK, 2), -ENOENT);
	setup_close(&s);
}

/* Time stamps of the future, or from before 1970, do no harm. */
static void test_odd_times_of_use(void **state)
{
	struct setup s;

	setup_open(&s, 3 * CHARGE);
	for (uint64_t i = 1; i <= 3; i++)
		must_save(&s, CACHE_CHUNK, i);
	set_age(&s, CACHE_CHUNK, 1, -1000 * HOUR);
	set_age(&s, CACHE_CHUNK, 2, time(NULL) + 1000);
	must_save(&s, CACHE_CHUNK, 4);
	assert_int_equal(load(s.folder, CACHE_CHUNK, 1), 0);
	assert_int_equal(load(s.folder, CACHE_CHUNK, 2), -ENOENT);
	setup_close(&s);
}

/* One object more may be added by hand, or an account be lost by a crash. */
static void test_account_heals(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} accounts[] = {
		{ "", 0 },
		{ "nonsense", 8 },
		{ "lmfsuse\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 24 },
		/* Sound, but it says 0 bytes. */
		{ "lmfsuse\0\0\0\0\0\0\0\0\0"
		  "\377\377\377\377\377\377\377\377",
		  24 },
	};
	struct setup s;

	for (size_t i = 0; i < ARRAY_LEN(accounts); i++) {
		setup_open(&s, 4 * CHARGE);
		for (uint64_t k = 0; k < 4; k++)
			must_save(&s, CACHE_CHUNK, k);
		fixture_write(&s.fx, "account", accounts[i].text,
			      accounts[i].len);
		reopen(&s, 4 * CHARGE);
		must_save(&s, CACHE_CHUNK, 9);
		walk_folder(&s);
		assert_int_equal(walk_bytes, 4 * CHARGE);
		assert_int_equal(folder_bytes(s.folder), 4 * CHARGE);
		setup_close(&s);
	}
}

/* What is replaced by its like is not counted twice for long. */
static void test_same_object_again_needs_no_eviction(void **state)
{
	struct setup s;

	setup_open(&s, 3 * CHARGE);
	must_save(&s, CACHE_CHUNK, 1);
	for (size_t i = 0; i < 9; i++)
		must_save(&s, CACHE_CHUNK, 2);
	assert_int_equal(load(s.folder, CACHE_CHUNK, 1), 0);
	setup_close(&s);
}

enum { CHILDREN = 2, WRITES = 60, BUDGET = 8 * CHARGE };

/* Half of the keys are the children's own, half they have in common. */
static int write_many(const struct setup *s, uint64_t child)
{
	struct folder *folder = folder_open(s->fx.dir, BUDGET);
	uint64_t number;
	int rc;

	for (uint64_t i = 0; i < WRITES; i++) {
		number = i % 2 ? i : 1000 * (child + 1) + i;
		rc = save(folder, CACHE_CHUNK, number);
		if (rc && rc != -EBUSY)
			return 1;
		rc = load(folder, CACHE_CHUNK, i / 2);
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
	struct setup s;

	setup_open(&s, BUDGET);
	for (size_t i = 0; i < CHILDREN; i++) {
		children[i] = fork_child();
		if (children[i] == 0)
			_exit(write_many(&s, i));
	}
	while (running > 0) {
		for (size_t i = 0; i < running; i++)
			while (i < running && !stop_child(children[i]))
				children[i] = children[--running];
		walk_folder(&s);
		assert_true(walk_bytes <= BUDGET);
		for (size_t i = 0; i < running; i++)
			kill(children[i], SIGCONT);
		usleep(2000);
	}
	assert_int_equal(walk_staged, 0);
	assert_true(walk_bytes >= BUDGET / 2);
	setup_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_writer_leaves_nothing),
		cmocka_unit_test(test_living_writer_is_let_be),
		cmocka_unit_test(test_unpublished_file_goes),
		cmocka_unit_test(test_budget_counts_what_is_being_written),
		cmocka_unit_test(test_chunks_go_first_and_oldest_first),
		cmocka_unit_test(test_use_saves_from_eviction),
		cmocka_unit_test(test_odd_times_of_use),
		cmocka_unit_test(test_account_heals),
		cmocka_unit_test(test_same_object_again_needs_no_eviction),
		cmocka_unit_test(test_processes_keep_one_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
