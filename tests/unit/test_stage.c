#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fs/stage.h"
#include "fs/target.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define CHILD_SECONDS 20 /* that a child lives where a test goes wrong */

/* The names in a folder but "." and "..", each with a blank after it. */
static void names_in(const char *dir, char *text, size_t size)
{
	struct dirent **entries;
	int count = scandir(dir, &entries, NULL, alphasort);

	assert_true(count >= 0);
	text[0] = '\0';
	for (int i = 0; i < count; i++) {
		size_t len = strlen(text);

		if (strcmp(entries[i]->d_name, ".") != 0 &&
		    strcmp(entries[i]->d_name, "..") != 0)
			snprintf(text + len, size - len, "%s ",
				 entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

static void assert_names(const char *dir, const char *expected)
{
	char text[1024];

	names_in(dir, text, sizeof(text));
	assert_string_equal(text, expected);
}

static struct stage *open_at(const struct fixture *fx, const char *name)
{
	struct error err = { 0 };
	struct stage *stage = NULL;
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	if (stage_open(path, 0, &stage, &err) < 0)
		fail_msg("%s", err.text);
	return stage;
}

static void add_file(const struct stage *stage, const char *name)
{
	int fd = openat(stage_fd(stage), name, O_WRONLY | O_CREAT, 0666);

	assert_true(fd >= 0);
	close(fd);
}

static void the_final_name_appears_whole(void **state)
{
	struct error err = { 0 };
	char path[FIXTURE_PATH_MAX];
	struct stage *stage;
	struct fixture fx;

	fixture_open(&fx);
	stage = open_at(&fx, "model");
	fixture_path(&fx, "model", path);
	assert_string_equal(stage_target(stage), path);
	assert_int_equal(mkdirat(stage_fd(stage), "sub", 0777), 0);
	add_file(stage, "sub/a");
	add_file(stage, "b");
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(stage_publish(stage, &err), 0);
	assert_names(path, "b sub ");
	stage_close(stage);
	assert_names(path, "b sub ");
	assert_names(fx.dir, "model ");
	fixture_close(&fx);
}

static void what_is_not_published_is_removed(void **state)
{
	struct stage *stage;
	struct fixture fx;

	fixture_open(&fx);
	stage = open_at(&fx, "model");
	assert_int_equal(mkdirat(stage_fd(stage), "sub", 0777), 0);
	add_file(stage, "sub/a");
	stage_close(stage);
	assert_names(fx.dir, "");
	stage_close(NULL);
	fixture_close(&fx);
}

static void an_empty_folder_is_replaced(void **state)
{
	static const char *const names[] = { "model", "model/", "./model//",
					     "x/../model" };
	struct error err = { 0 };
	char path[FIXTURE_PATH_MAX];
	struct stage *stage;
	struct fixture fx;

	fixture_open(&fx);
	fixture_path(&fx, "x", path);
	assert_int_equal(mkdir(path, 0777), 0);
	fixture_path(&fx, "model", path);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(mkdir(path, 0777), 0);
		stage = open_at(&fx, names[i]);
		assert_string_equal(stage_target(stage), path);
		assert_int_equal(stage_publish(stage, &err), 0);
		stage_close(stage);
		assert_int_equal(rmdir(path), 0);
	}
	fixture_close(&fx);
}

/* %s in a sentence stands for the folder of the test. */
static void wrong_targets_say_what_is_wrong(void **state)
{
	static const struct {
		const char *name, *sentence;
	} rows[] = {
		{ "full", "%s/full is not empty; name a new folder" },
		{ "file", "%s/file: Not a directory" },
		{ "no/where",
		  "%s/no/where: the folder to write it in: No such file or "
		  "directory" },
		{ "file/x", "%s/file/x: Not a directory" },
	};
	char path[FIXTURE_PATH_MAX], sentence[2 * FIXTURE_PATH_MAX];
	struct error err;
	struct stage *stage;
	struct fixture fx;

	fixture_open(&fx);
	fixture_write(&fx, "file", "x", 1);
	fixture_write(&fx, "full/file", "x", 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *rest = rows[i].sentence + strlen("%s");

		/* fixture_path() would make the folders. */
		assert_true(snprintf(path, sizeof(path), "%s/%s", fx.dir,
				     rows[i].name) < (int)sizeof(path));
		snprintf(sentence, sizeof(sentence), "%s%s", fx.dir, rest);
		assert_int_equal(stage_open(path, 0, &stage, &err), -EINVAL);
		assert_string_equal(err.text, sentence);
	}
	assert_int_equal(stage_open("/", 0, &stage, &err), -EINVAL);
	assert_string_equal(err.text, "the root cannot be replaced");
	assert_int_equal(stage_open("", 0, &stage, &err), -EINVAL);
	assert_string_equal(err.text, "the folder to write has no name");
	assert_names(fx.dir, "file full ");
	fixture_close(&fx);
}

static void a_folder_in_the_root_has_a_parent(void **state)
{
	struct target target;
	struct error err;

	assert_int_equal(target_init(&target, "/proc", &err), -EINVAL);
	assert_string_equal(err.text, "/proc is not empty; name a new folder");
	assert_string_equal(target.parent, "/");
	assert_string_equal(target.name, "proc");
	target_done(&target);
	assert_int_equal(target_init(&target, "/not/../lmfs-missing", &err),
			 -EINVAL);
	target_done(&target);
	assert_int_equal(target_init(&target, "/lmfs-missing/", &err), 0);
	assert_string_equal(target.path, "/lmfs-missing");
	assert_string_equal(target.parent, "/");
	target_done(&target);
}

static void a_disk_too_small_is_known_before(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct error err = { 0 };
	struct stage *stage;
	struct fixture fx;

	fixture_open(&fx);
	fixture_path(&fx, "model", path);
	assert_int_equal(stage_open(path, UINT64_MAX, &stage, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "the merged model has 18 EB, but "));
	assert_names(fx.dir, "");
	fixture_close(&fx);
}

static void a_target_that_filled_meanwhile_is_not_replaced(void **state)
{
	struct error err = { 0 };
	struct stage *stage;
	struct fixture fx;

	fixture_open(&fx);
	stage = open_at(&fx, "model");
	fixture_write(&fx, "model/other", "x", 1);
	assert_int_equal(stage_publish(stage, &err), -ENOTEMPTY);
	stage_close(stage);
	assert_names(fx.dir, "model ");
	fixture_close(&fx);
}

/*
 * A child opens a stage, fills it, and says so; then it waits. Returns its pid.
 */
static pid_t start_child(const struct fixture *fx, const char *name)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct stage *stage;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(CHILD_SECONDS);
		stage = open_at(fx, name);
		add_file(stage, "half");
		if (write(ready[1], "r", 1) == 1)
			pause();
		stage_close(stage);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static int wait_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void signals_take_the_temporary_folder_away(void **state)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct fixture fx;
	int status;

	fixture_open(&fx);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		pid_t pid = start_child(&fx, "model");

		kill(pid, numbers[i]);
		status = wait_child(pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), numbers[i]);
		assert_names(fx.dir, "");
	}
	fixture_close(&fx);
}

static void an_ignored_signal_stays_ignored(void **state)
{
	struct fixture fx;
	pid_t pid;

	fixture_open(&fx);
	signal(SIGHUP, SIG_IGN);
	pid = start_child(&fx, "model");
	signal(SIGHUP, SIG_DFL);
	kill(pid, SIGHUP);
	kill(pid, SIGTERM);
	assert_int_equal(WTERMSIG(wait_child(pid)), SIGTERM);
	assert_names(fx.dir, "");
	fixture_close(&fx);
}

static void what_a_killed_maker_left_goes_with_the_next(void **state)
{
	char left[64];
	struct stage *stage;
	struct fixture fx;
	pid_t pid;

	fixture_open(&fx);
	fixture_write(&fx, "other/.keep", "", 0);
	fixture_write(&fx, ".model2.llmergefs-1-0/half", "", 0);
	pid = start_child(&fx, "model");
	snprintf(left, sizeof(left),
		 ".model.llmergefs-%d-0 .model2.llmergefs-1-0 other ", pid);
	kill(pid, SIGKILL);
	wait_child(pid);
	assert_names(fx.dir, left);
	stage = open_at(&fx, "model");
	stage_close(stage);
	assert_names(fx.dir, ".model2.llmergefs-1-0 other ");
	fixture_close(&fx);
}

static void what_a_living_maker_has_stays(void **state)
{
	char kept[64];
	struct error err = { 0 };
	struct stage *stage;
	struct fixture fx;
	pid_t pid;

	fixture_open(&fx);
	pid = start_child(&fx, "model");
	stage = open_at(&fx, "model");
	assert_int_equal(stage_publish(stage, &err), 0);
	stage_close(stage);
	snprintf(kept, sizeof(kept), ".model.llmergefs-%d-0 model ", pid);
	assert_names(fx.dir, kept);
	kill(pid, SIGTERM);
	wait_child(pid);
	assert_names(fx.dir, "model ");
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_final_name_appears_whole),
		cmocka_unit_test(what_is_not_published_is_removed),
		cmocka_unit_test(an_empty_folder_is_replaced),
		cmocka_unit_test(wrong_targets_say_what_is_wrong),
		cmocka_unit_test(a_folder_in_the_root_has_a_parent),
		cmocka_unit_test(a_disk_too_small_is_known_before),
		cmocka_unit_test(
			a_target_that_filled_meanwhile_is_not_replaced),
		cmocka_unit_test(signals_take_the_temporary_folder_away),
		cmocka_unit_test(an_ignored_signal_stays_ignored),
		cmocka_unit_test(what_a_killed_maker_left_goes_with_the_next),
		cmocka_unit_test(what_a_living_maker_has_stays),
	};

	return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
