/*
 * Looking at the folder of a cache and cleaning it up: what is said is so, what
 * is bad goes, nothing else ever goes, and those who use it go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cache/account.h"
#include "cache/inspect.h"
#include "core/base/file.h"
#include "tests/unit/folder_fixture.h"

#include <cmocka.h>

enum { HOUR = 3600, PLENTY = 64 * CHARGE, OTHER_USER = 12345, ROUNDS = 400 };

static void set_age(const struct folder_fixture *s, enum cache_class class,
		    uint64_t number, time_t seconds)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - seconds },
				     { .tv_sec = time(NULL) - seconds } };
	char path[FIXTURE_PATH_MAX];

	item_path(s, class, number, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool exists(const struct folder_fixture *s, const char *name)
{
	char path[FIXTURE_PATH_MAX];
	struct stat st;

	fixture_path(&s->fx, name, path);
	return lstat(path, &st) == 0;
}

static bool item_exists(const struct folder_fixture *s, enum cache_class class,
			uint64_t number)
{
	char name[FOLDER_NAME_MAX];

	folder_name(class, key_of(number), name);
	return exists(s, name);
}

/* Leave a file in staging whose writer was killed. */
static void kill_a_writer(const struct folder_fixture *s)
{
	struct object object = item_of(CACHE_CHUNK, 999);
	struct staged staged;
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		item_stage(s->folder, &object, &staged);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

/* Files that somebody has put where ours are. */
static const char *const strange[] = {
	"states/00/readme",
	"chunks/ab/00000000000000000000000000000000", /* of another folder */
	"chunks/ab/ABcdef00000000000000000000000000",
	"chunks/ab/abcdef0000000000000000000000000",
	"chunks/notes",
	"staging/notes",
	"notes",
};
enum { STRANGE_WALKED = 5 }; /* those where objects or staged files are */

static void put_strange(const struct folder_fixture *s)
{
	for (size_t i = 0; i < ARRAY_LEN(strange); i++)
		fixture_write(&s->fx, strange[i], "mine", 4);
}

static void assert_strange_are_left(const struct folder_fixture *s)
{
	for (size_t i = 0; i < ARRAY_LEN(strange); i++)
		assert_true(exists(s, strange[i]));
}

/* The account says what is there, for processes that have counted before. */
static void assert_account(struct folder_fixture *s)
{
	struct folder *other = folder_open(s->fx.dir, PLENTY);

	assert_int_equal(folder_prepare(other, NULL), 0);
	assert_int_equal(folder_bytes(other), folder_weigh(s).bytes);
	folder_close(other);
}

static void visit_count(void *ctx, const struct inspect_object *object)
{
	size_t *count = ctx;

	++*count;
	assert_int_equal(object->bytes, CHARGE);
}

static void test_list_tells_what_is_there(void **state)
{
	struct object object = item_of(CACHE_CHUNK, 9);
	time_t now = time(NULL);
	struct inspect_list list;
	struct staged staged;
	struct folder_fixture s;
	size_t count = 0;

	folder_fixture_open(&s, PLENTY);
	for (uint64_t i = 1; i <= 3; i++) {
		item_must_save(&s, CACHE_CHUNK, i);
		set_age(&s, CACHE_CHUNK, i, (time_t)i * HOUR);
	}
	item_must_save(&s, CACHE_STATE, 1);
	kill_a_writer(&s);
	assert_int_equal(folder_stage(s.folder, &object, &staged), 0);
	kill_a_writer(&s);
	assert_int_equal(
		inspect_list(s.folder, visit_count, &count, &list, NULL), 0);
	assert_int_equal(count, 4);
	assert_int_equal(list.classes[CACHE_CHUNK].count, 3);
	assert_int_equal(list.classes[CACHE_CHUNK].bytes, 3 * CHARGE);
	assert_in_range(list.classes[CACHE_CHUNK].oldest, now - 3 * HOUR,
			now - 3 * HOUR + 9);
	assert_in_range(list.classes[CACHE_CHUNK].newest, now - HOUR,
			now - HOUR + 9);
	assert_int_equal(list.classes[CACHE_STATE].count, 1);
	assert_int_equal(list.writing.count, 1);
	assert_int_equal(list.writing.bytes, CHARGE);
	assert_int_equal(list.leftovers.count, 2);
	assert_int_equal(list.leftovers.bytes, 2 * CHARGE);
	assert_int_equal(list.strange, 0);
	assert_int_equal(folder_weigh(&s).staged, 3);
	folder_unstage(s.folder, &staged);
	folder_fixture_close(&s);
}

/* Nor is a writer's lock tried, which might be in its way. */
static void test_list_goes_without_the_lock(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct inspect_list list;
	struct folder_fixture s;

	folder_fixture_open(&s, PLENTY);
	item_must_save(&s, CACHE_CHUNK, 1);
	kill_a_writer(&s);
	fixture_path(&s.fx, "account", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(inspect_list(s.folder, NULL, NULL, &list, NULL), 0);
	assert_int_equal(list.classes[CACHE_CHUNK].count, 1);
	assert_int_equal(list.writing.count, 1);
	assert_int_equal(list.leftovers.count, 0);
	folder_fixture_close(&s);
}

struct verdicts {
	size_t sound, bad, removed;
};

static void note_verdict(void *ctx, const struct inspect_verdict *verdict)
{
	struct verdicts *verdicts = ctx;

	verdicts->sound += verdict->code == 0;
	verdicts->bad += verdict->code != 0;
	verdicts->removed += verdict->removed;
}

static struct verdicts verify(struct folder_fixture *s,
			      struct inspect_freed *freed)
{
	struct verdicts verdicts = { 0 };

	assert_int_equal(
		inspect_verify(s->folder, note_verdict, &verdicts, freed, NULL),
		0);
	return verdicts;
}

static void flip(const struct folder_fixture *s, uint64_t number, uint64_t off)
{
	char path[FIXTURE_PATH_MAX];
	unsigned char byte;
	AUTO_FD int fd = -1;

	item_path(s, CACHE_CHUNK, number, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(file_read_at(fd, &byte, 1, off), 0);
	byte ^= 1;
	assert_int_equal(file_write_at(fd, &byte, 1, off), 0);
}

static void resize(const struct folder_fixture *s, uint64_t number, off_t size)
{
	char path[FIXTURE_PATH_MAX];

	item_path(s, CACHE_CHUNK, number, path);
	assert_int_equal(truncate(path, size), 0);
}

/* Every kind of damage: of the payload, the header, the length, the name. */
static size_t damage(const struct folder_fixture *s)
{
	char path[FIXTURE_PATH_MAX], other[FIXTURE_PATH_MAX];
	size_t bad = 0;

	flip(s, bad++, ITEM / 2);
	flip(s, bad++, 0);
	flip(s, bad++, 20);
	flip(s, bad++, 33);
	flip(s, bad++, 63);
	resize(s, bad++, 0);
	resize(s, bad++, 63);
	resize(s, bad++, ITEM);
	resize(s, bad++, (off_t)1 << 40);
	item_path(s, CACHE_CHUNK, 100, path);
	item_path(s, CACHE_CHUNK, bad++, other);
	assert_int_equal(rename(path, other), 0);
	return bad;
}

static void test_verify_removes_what_is_bad_and_no_more(void **state)
{
	struct inspect_freed freed;
	struct verdicts verdicts;
	struct folder_fixture s;
	size_t bad;

	folder_fixture_open(&s, PLENTY);
	for (uint64_t i = 0; i < 20; i++)
		item_must_save(&s, CACHE_CHUNK, i);
	item_must_save(&s, CACHE_CHUNK, 100);
	item_must_save(&s, CACHE_STATE, 1);
	put_strange(&s);
	bad = damage(&s);
	verdicts = verify(&s, &freed);
	assert_int_equal(verdicts.bad, bad);
	assert_int_equal(verdicts.removed, bad);
	assert_int_equal(verdicts.sound, 20 - bad + 1);
	assert_int_equal(freed.objects.count, bad);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(item_exists(&s, CACHE_CHUNK, i), i >= bad);
	assert_strange_are_left(&s);
	verdicts = verify(&s, &freed);
	assert_int_equal(verdicts.bad, 0);
	assert_int_equal(freed.left, (20 - bad + 1) * CHARGE);
	folder_fixture_close(&s);
}

static void test_verify_removes_what_dead_writers_left(void **state)
{
	struct object object = item_of(CACHE_CHUNK, 9);
	struct inspect_freed freed;
	struct staged staged;
	struct folder_fixture s;

	folder_fixture_open(&s, PLENTY);
	item_must_save(&s, CACHE_CHUNK, 1);
	assert_int_equal(item_stage(s.folder, &object, &staged), 0);
	kill_a_writer(&s);
	assert_int_equal(verify(&s, &freed).bad, 0);
	assert_int_equal(freed.leftovers.count, 1);
	assert_int_equal(freed.leftovers.bytes, CHARGE);
	assert_int_equal(freed.writing, CHARGE);
	assert_int_equal(folder_weigh(&s).staged, 1);
	assert_account(&s);
	assert_int_equal(folder_publish(&staged, &object), 0);
	folder_unstage(s.folder, &staged);
	assert_int_equal(item_load(s.folder, CACHE_CHUNK, 9), 0);
	folder_fixture_close(&s);
}

/* Write, replace and evict without end; nothing of it fails. */
static void use_folder(const struct folder_fixture *s)
{
	struct folder *folder = folder_open(s->fx.dir, 8 * CHARGE);
	int rc = 0;

	for (uint64_t i = 0; rc == 0 || rc == -EBUSY || rc == -ENOENT; i++)
		rc = i % 2 ? item_save(folder, CACHE_CHUNK, i % 16)
			   : item_load(folder, CACHE_CHUNK, (i + 3) % 16);
	_exit(1);
}

static pid_t fork_user(const struct folder_fixture *s)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		use_folder(s);
	}
	return child;
}

static void end_user(pid_t child)
{
	int status;

	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* What comes and goes meanwhile is not bad, and its users see no error. */
static void test_folder_in_use_is_no_trouble(void **state)
{
	struct inspect_freed freed;
	struct inspect_list list;
	struct folder_fixture s;
	pid_t child;
	size_t sound = 0;

	folder_fixture_open(&s, PLENTY);
	child = fork_user(&s);
	for (size_t i = 0; i < ROUNDS; i++) {
		struct verdicts verdicts = verify(&s, &freed);

		sound += verdicts.sound;
		assert_int_equal(verdicts.bad, 0);
		assert_int_equal(
			inspect_list(s.folder, NULL, NULL, &list, NULL), 0);
		assert_int_equal(list.leftovers.count, 0);
		assert_int_equal(freed.leftovers.count, 0);
		if (i % 8 == 0)
			assert_int_equal(inspect_clear(s.folder, &freed, NULL),
					 0);
		if (i % 8 == 4)
			assert_int_equal(inspect_trim(s.folder, 4 * CHARGE,
						      &freed, NULL),
					 0);
	}
	end_user(child);
	assert_true(sound >= ROUNDS / 4);
	assert_true(folder_weigh(&s).bytes <= 8 * CHARGE);
	folder_fixture_close(&s);
}

static void test_trim_leaves_at_most_and_oldest_go_first(void **state)
{
	struct inspect_freed freed;
	struct folder_fixture s;

	folder_fixture_open(&s, PLENTY);
	for (uint64_t i = 0; i < 8; i++) {
		item_must_save(&s, i % 2 ? CACHE_STATE : CACHE_CHUNK, i);
		set_age(&s, i % 2 ? CACHE_STATE : CACHE_CHUNK, i,
			(time_t)(i + 1) * HOUR);
	}
	put_strange(&s);
	kill_a_writer(&s);
	/* Chunks 6, 4, 2 and 0 go, then state 7. */
	assert_int_equal(inspect_trim(s.folder, 4 * CHARGE - 1, &freed, NULL),
			 0);
	assert_int_equal(freed.objects.count, 5);
	assert_int_equal(freed.objects.bytes, 5 * CHARGE);
	assert_int_equal(freed.leftovers.count, 1);
	assert_int_equal(freed.left, 3 * CHARGE);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(
			item_exists(&s, i % 2 ? CACHE_STATE : CACHE_CHUNK, i),
			i == 1 || i == 3 || i == 5);
	assert_strange_are_left(&s);
	assert_int_equal(inspect_trim(s.folder, 3 * CHARGE, &freed, NULL), 0);
	assert_int_equal(freed.objects.count, 0);
	folder_fixture_close(&s);
}

static void test_trim_says_what_is_being_written(void **state)
{
	struct object object = item_of(CACHE_CHUNK, 9);
	struct inspect_freed freed;
	struct staged staged;
	struct folder_fixture s;
	struct error err;

	folder_fixture_open(&s, PLENTY);
	item_must_save(&s, CACHE_CHUNK, 1);
	assert_int_equal(folder_stage(s.folder, &object, &staged), 0);
	assert_int_equal(inspect_trim(s.folder, 0, &freed, &err), -EBUSY);
	assert_non_null(strstr(err.text, "being written"));
	assert_int_equal(freed.objects.count, 1);
	assert_int_equal(freed.writing, CHARGE);
	folder_unstage(s.folder, &staged);
	folder_fixture_close(&s);
}

static void test_clear_removes_all_and_users_go_on(void **state)
{
	struct inspect_freed freed;
	struct folder_fixture s;
	struct folder *other;

	folder_fixture_open(&s, PLENTY);
	for (uint64_t i = 0; i < 4; i++) {
		item_must_save(&s, CACHE_STATE, i);
		item_must_save(&s, CACHE_CHUNK, i);
	}
	set_age(&s, CACHE_CHUNK, 1, -HOUR);
	put_strange(&s);
	kill_a_writer(&s);
	other = folder_open(s.fx.dir, UINT64_MAX);
	assert_int_equal(inspect_clear(other, &freed, NULL), 0);
	folder_close(other);
	assert_int_equal(freed.objects.count, 8);
	assert_int_equal(freed.leftovers.count, 1);
	assert_int_equal(freed.left, 0);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(item_load(s.folder, CACHE_STATE, i), -ENOENT);
		assert_int_equal(item_load(s.folder, CACHE_CHUNK, i), -ENOENT);
	}
	assert_strange_are_left(&s);
	assert_true(exists(&s, "CACHEDIR.TAG"));
	item_must_save(&s, CACHE_STATE, 1);
	assert_int_equal(item_load(s.folder, CACHE_STATE, 1), 0);
	assert_int_equal(folder_bytes(s.folder), CHARGE);
	folder_fixture_close(&s);
}

/* What every one of the four answers. */
static void assert_refused(struct folder_fixture *s, int code, const char *text)
{
	struct inspect_freed freed;
	struct inspect_list list;
	struct verdicts verdicts;
	struct error errs[4] = { 0 };

	assert_int_equal(inspect_list(s->folder, NULL, NULL, &list, &errs[0]),
			 -code);
	assert_int_equal(inspect_verify(s->folder, note_verdict, &verdicts,
					&freed, &errs[1]),
			 -code);
	assert_int_equal(inspect_trim(s->folder, 0, &freed, &errs[2]), -code);
	assert_int_equal(inspect_clear(s->folder, &freed, &errs[3]), -code);
	for (size_t i = 0; i < 4; i++)
		assert_non_null(strstr(errs[i].text, text));
	assert_true(item_exists(s, CACHE_STATE, 1));
}

static void test_what_is_no_cache_of_ours_is_refused(void **state)
{
	static const char *const tags[] = {
		"",
		"Signature: 8a477f597d28d172789f06886806bc55\n",
		"Signature: 8a477f597d28d172789f06886806bc55\n"
		"# This folder is a cache of another program.\n",
	};
	char path[FIXTURE_PATH_MAX];
	struct folder_fixture s;

	folder_fixture_open(&s, PLENTY);
	item_must_save(&s, CACHE_STATE, 1);
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		fixture_write(&s.fx, "CACHEDIR.TAG", tags[i], strlen(tags[i]));
		assert_refused(&s, EINVAL, "is not a cache of llmergefs");
	}
	fixture_path(&s.fx, "CACHEDIR.TAG", path);
	assert_int_equal(unlink(path), 0);
	assert_refused(&s, EINVAL, "is not a cache of llmergefs");
	folder_fixture_close(&s);
}

/* A process may be killed between making the tag and writing it. */
static void test_empty_tag_is_written_by_the_next(void **state)
{
	struct inspect_list list;
	struct folder_fixture s;

	folder_fixture_open(&s, PLENTY);
	fixture_write(&s.fx, "CACHEDIR.TAG", "", 0);
	folder_fixture_reopen(&s, PLENTY);
	assert_int_equal(inspect_list(s.folder, NULL, NULL, &list, NULL), 0);
	folder_fixture_close(&s);
}

static void test_what_is_of_others_is_refused(void **state)
{
	struct folder_fixture s;

	folder_fixture_open(&s, PLENTY);
	item_must_save(&s, CACHE_STATE, 1);
	assert_int_equal(chmod(s.fx.dir, 0770), 0);
	assert_refused(&s, EPERM, "can be written by other users");
	assert_int_equal(chmod(s.fx.dir, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(s.fx.dir, OTHER_USER, OTHER_USER), 0);
		assert_refused(&s, EPERM, "belongs to user 12345");
		assert_int_equal(chown(s.fx.dir, 0, 0), 0);
	}
	folder_fixture_close(&s);
}

/* Put a link to a folder with its like in the place of a part of the cache. */
static void link_away(const struct folder_fixture *s, const char *name)
{
	char from[FIXTURE_PATH_MAX], to[FIXTURE_PATH_MAX];

	fixture_path(&s->fx, name, from);
	fixture_path(&s->fx, "away", to);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(symlink(to, from), 0);
}

static void check_link(const char *link)
{
	struct inspect_freed freed;
	struct folder_fixture s;
	struct error err;

	folder_fixture_open(&s, CHARGE);
	item_must_save(&s, CACHE_STATE, 1);
	link_away(&s, link);
	assert_int_equal(inspect_clear(s.folder, &freed, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "a link or a file stands where"));
	assert_int_equal(inspect_trim(s.folder, 0, &freed, &err), -ENOTDIR);
	/* Nor does a writer make room there. */
	folder_fixture_reopen(&s, CHARGE);
	assert_int_equal(item_save(s.folder, CACHE_STATE, 2), -ENOTDIR);
	assert_int_equal(item_load(s.folder, CACHE_STATE, 1), 0);
	folder_fixture_close(&s);
}

static void test_links_are_not_followed(void **state)
{
	char name[FOLDER_NAME_MAX];

	check_link("states");
	folder_name(CACHE_STATE, key_of(1), name);
	*strrchr(name, '/') = '\0';
	check_link(name);
}

static void test_missing_folder_is_an_empty_cache(void **state)
{
	struct inspect_list list;
	struct inspect_freed freed;
	struct verdicts verdicts;
	struct folder_fixture s;
	char path[FIXTURE_PATH_MAX];

	folder_fixture_open(&s, PLENTY);
	fixture_path(&s.fx, "none", path);
	folder_close(s.folder);
	s.folder = folder_open(path, PLENTY);
	assert_int_equal(inspect_list(s.folder, NULL, NULL, &list, NULL), 0);
	verdicts = verify(&s, &freed);
	assert_int_equal(verdicts.sound + verdicts.bad, 0);
	assert_int_equal(inspect_trim(s.folder, 0, &freed, NULL), 0);
	assert_int_equal(inspect_clear(s.folder, &freed, NULL), 0);
	assert_false(exists(&s, "none"));
	folder_fixture_close(&s);
}

static void test_strange_files_are_counted_apart(void **state)
{
	struct inspect_list list;
	struct folder_fixture s;

	folder_fixture_open(&s, 2 * CHARGE);
	put_strange(&s);
	assert_int_equal(inspect_list(s.folder, NULL, NULL, &list, NULL), 0);
	assert_int_equal(list.strange, STRANGE_WALKED);
	assert_int_equal(list.classes[CACHE_STATE].count, 0);
	for (uint64_t i = 0; i < 9; i++)
		item_must_save(&s, CACHE_STATE, i);
	assert_strange_are_left(&s);
	folder_fixture_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_tells_what_is_there),
		cmocka_unit_test(test_list_goes_without_the_lock),
		cmocka_unit_test(test_verify_removes_what_is_bad_and_no_more),
		cmocka_unit_test(test_verify_removes_what_dead_writers_left),
		cmocka_unit_test(test_folder_in_use_is_no_trouble),
		cmocka_unit_test(test_trim_leaves_at_most_and_oldest_go_first),
		cmocka_unit_test(test_trim_says_what_is_being_written),
		cmocka_unit_test(test_clear_removes_all_and_users_go_on),
		cmocka_unit_test(test_what_is_no_cache_of_ours_is_refused),
		cmocka_unit_test(test_empty_tag_is_written_by_the_next),
		cmocka_unit_test(test_what_is_of_others_is_refused),
		cmocka_unit_test(test_links_are_not_followed),
		cmocka_unit_test(test_missing_folder_is_an_empty_cache),
		cmocka_unit_test(test_strange_files_are_counted_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
