#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/volume_fixture.h"

#include <cmocka.h>

#define READERS 3
#define GENERATIONS 200

static void one_that_is_replaced_leaves_at_once(void **state)
{
	static const char *const next[] = { "config.json", "more",
					    ".llmergefs/recipe.json", NULL };
	static const char *const names[] = { "a", NULL };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct tree *tree = open_mount_tree();
		struct volume *first = open_volume(volume_files);
		struct volume *second = open_volume(next);
		atomic_int first_ended = 0, second_ended = 0;

		attach_volume(tree, names[i], first, NULL, &first_ended);
		assert_int_equal(first_ended, 0);
		/* Nobody has it: it ends before the call does. */
		attach_volume(tree, names[i], second, first, &second_ended);
		assert_int_equal(first_ended, 1);
		assert_null(find_node(tree, names[i] ? "a/code" : "code"));
		assert_ptr_equal(find_node(tree, names[i] ? "a/more" : "more"),
				 volume_find(second, "more"));
		tree_close(tree);
		/* It was there to the end. */
		assert_int_equal(second_ended, 0);
		assert_int_equal(first_ended, 1);
	}
}

static void a_generation_lives_until_it_is_forgotten(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *first = open_volume(volume_files);
	const struct node *dir, *file;
	uint64_t dir_ino, file_ino;
	atomic_int ended = 0;

	attach_volume(tree, "a", first, NULL, &ended);
	dir = find_node(tree, "a");
	dir_ino = dir->ino;
	attach_volume(tree, "a", open_volume(volume_files), first, NULL);
	assert_int_equal(ended, 0);
	assert_ptr_not_equal(find_node(tree, "a"), dir);
	/* Who has its folder goes on as if nothing had happened. */
	assert_ptr_equal(tree_node(tree, dir_ino), dir);
	file = tree_lookup(tree, dir, "config.json");
	assert_non_null(file);
	assert_string_equal(file->text, "abc");
	assert_non_null(tree_lookup(tree, dir, "config.json"));
	file_ino = file->ino;
	assert_int_not_equal(file_ino, find_node(tree, "a/config.json")->ino);
	tree_forget(tree, file_ino, 1);
	tree_forget(tree, dir_ino, 1);
	assert_int_equal(ended, 0);
	assert_ptr_equal(tree_node(tree, file_ino), file);
	tree_forget(tree, file_ino, 1);
	assert_int_equal(ended, 1);
	assert_null(tree_node(tree, file_ino));
	assert_null(tree_node(tree, dir_ino));
	tree_forget(tree, file_ino, 1);
	assert_int_equal(ended, 1);
	tree_close(tree);
}

static void more_forgotten_than_was_counted_is_no_harm(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *volume = open_volume(volume_files);
	const struct node *code, *config;
	atomic_int ended = 0;

	attach_volume(tree, NULL, volume, NULL, &ended);
	code = find_node(tree, "code");
	config = find_node(tree, "config.json");
	tree_forget(tree, config->ino, 100);
	/* What stays is not counted at all. */
	tree_forget(tree, TREE_ROOT, 5);
	tree_forget(tree, find_node(tree, ".llmergefs/log")->ino, 5);
	tree_forget(tree, 0, 1);
	tree_forget(tree, UINT64_MAX, 1);
	tree_detach(tree, volume);
	assert_int_equal(ended, 0);
	assert_ptr_equal(tree_node(tree, code->ino), code);
	tree_forget(tree, code->ino, UINT64_MAX);
	assert_int_equal(ended, 1);
	assert_non_null(find_node(tree, ".llmergefs/log"));
	tree_close(tree);
}

static void numbers_are_never_used_again(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *volume = NULL;
	uint64_t last = 3;
	struct error err;

	for (int i = 0; i < 50; i++) {
		struct volume *next = open_volume(volume_files);
		const struct node *file;

		attach_volume(tree, "a", next, volume, NULL);
		volume = next;
		file = find_node(tree, "a/config.json");
		assert_true(file->ino > last);
		assert_ptr_equal(tree_node(tree, file->ino), file);
		last = file->ino;
		if (i == 25)
			tree_link(tree, "current", "a", &err);
		if (i % 2)
			tree_forget(tree, file->ino, 1);
	}
	assert_int_equal(tree_lookup(tree, root_node(tree), "current")->kind,
			 NODE_LINK);
	tree_close(tree);
}

/* "dir/name " of each, in the order of numbers. */
static void check_stale(struct tree *tree, const char *expected)
{
	char line[512];
	size_t count, len = 0;
	AUTO_FREE struct tree_name *names = tree_stale_names(tree, &count);

	assert_non_null(names);
	line[0] = '\0';
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(
			line + len, sizeof(line) - len, "%s/%s ",
			tree_node(tree, names[i].dir)->name, names[i].name);
	assert_string_equal(line, expected);
}

static void what_the_kernel_still_has_of_one_that_left_is_told(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *named = open_volume(volume_files),
		      *flat = open_volume(volume_files);
	const struct node *code, *file;

	attach_volume(tree, "a", named, NULL, NULL);
	attach_volume(tree, NULL, flat, NULL, NULL);
	assert_non_null(find_node(tree, ".llmergefs/recipe.json"));
	file = find_node(tree, "a/code/a.py");
	code = file->parent;
	assert_false(tree_is_stale(file));
	check_stale(tree, "");
	tree_detach(tree, named);
	assert_true(tree_is_stale(file));
	assert_false(tree_is_stale(root_node(tree)));
	check_stale(tree, "/a a/code code/a.py ");
	tree_forget(tree, code->parent->ino, 1);
	check_stale(tree, "a/code code/a.py ");
	attach_volume(tree, NULL, open_volume(volume_files), flat, NULL);
	check_stale(tree, "a/code code/a.py .llmergefs/recipe.json ");
	tree_forget(tree, file->ino, 1);
	check_stale(tree, "a/code .llmergefs/recipe.json ");
	tree_close(tree);
}

/* The kernel keeps that a name is not there, too, and with it the folder. */
static void what_was_looked_up_in_vain_is_told(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *volume = open_volume(volume_files);
	const struct node *dir, *code;

	attach_volume(tree, "a", volume, NULL, NULL);
	code = find_node(tree, "a/code");
	dir = code->parent;
	for (int i = 0; i < 3; i++)
		assert_null(tree_lookup(tree, code, "none"));
	assert_null(tree_lookup(tree, root_node(tree), "none"));
	check_stale(tree, "");
	tree_detach(tree, volume);
	assert_null(tree_lookup(tree, dir, "later"));
	check_stale(tree, "/a a/code a/later code/none ");
	tree_forget(tree, code->ino, 1);
	check_stale(tree, "a/later code/none ");
	for (int i = 0; i < 5000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		assert_null(tree_lookup(tree, dir, name));
	}
	tree_close(tree);
}

struct crowd {
	struct tree *tree;
	atomic_bool stop;
};

/* Looks a file up by its path, reads it, and forgets all that it counted. */
static void *look_and_forget(void *ctx)
{
	struct crowd *crowd = ctx;
	struct tree *tree = crowd->tree;

	while (!atomic_load(&crowd->stop)) {
		const struct node *dir = find_node(tree, "a"), *file;
		uint64_t dir_ino, file_ino;
		size_t count;

		free(tree_list(tree, root_node(tree), &count));
		free(tree_link_target(tree, "current"));
		tree_now(tree, root_node(tree));
		if (!dir)
			continue;
		dir_ino = dir->ino;
		file = tree_lookup(tree, dir, "config.json");
		file_ino = file->ino;
		if (tree_node(tree, file_ino) != file ||
		    strcmp(file->text, "abc") != 0)
			abort();
		tree_forget(tree, dir_ino, 1);
		if (strcmp(file->name, "config.json") != 0)
			abort();
		tree_forget(tree, file_ino, 1);
	}
	return NULL;
}

static void readers_and_changes_at_once(void **state)
{
	struct crowd crowd = { .tree = open_mount_tree() };
	atomic_int *ended = calloc(GENERATIONS, sizeof(*ended));
	pthread_t threads[READERS];
	struct volume *volume = NULL;
	struct error err;

	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						look_and_forget, &crowd),
				 0);
	for (int i = 0; i < GENERATIONS; i++) {
		struct volume *next = open_volume(volume_files);

		if (i % 10 == 9) {
			tree_detach(crowd.tree, volume);
			volume = NULL;
		}
		attach_volume(crowd.tree, "a", next, volume, &ended[i]);
		tree_link(crowd.tree, "current", i % 3 ? "a" : NULL, &err);
		volume = next;
	}
	atomic_store(&crowd.stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	/* All but the last have ended, each once. */
	for (int i = 0; i < GENERATIONS; i++)
		assert_int_equal(atomic_load(&ended[i]), i < GENERATIONS - 1);
	tree_close(crowd.tree);
	free(ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_replaced_leaves_at_once),
		cmocka_unit_test(a_generation_lives_until_it_is_forgotten),
		cmocka_unit_test(more_forgotten_than_was_counted_is_no_harm),
		cmocka_unit_test(numbers_are_never_used_again),
		cmocka_unit_test(
			what_the_kernel_still_has_of_one_that_left_is_told),
		cmocka_unit_test(what_was_looked_up_in_vain_is_told),
		cmocka_unit_test(readers_and_changes_at_once),
	};

	return cmocka_run_group_tests_name("volume_forget", tests, NULL, NULL);
}
