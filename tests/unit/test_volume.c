#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/volume_fixture.h"

#include <cmocka.h>

static const struct node text = {
	.kind = NODE_TEXT,
	.size = 3,
	.text = "abc",
};

/* What tree_list() says, as one line: "name name ". */
static void check_list(struct tree *tree, const struct node *dir,
		       const char *expected)
{
	char line[512];
	size_t count, len = 0;
	AUTO_FREE struct tree_entry *entries = tree_list(tree, dir, &count);

	assert_non_null(entries);
	line[0] = '\0';
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s ",
					entries[i].name);
	assert_string_equal(line, expected);
}

static void a_volume_stands_under_its_name(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *volume = open_volume(volume_files);
	const struct node *dir;

	attach_volume(tree, "a", volume, NULL, NULL);
	dir = find_node(tree, "a");
	assert_ptr_equal(dir, volume_find(volume, ""));
	assert_string_equal(dir->name, "a");
	assert_ptr_equal(dir->parent, root_node(tree));
	assert_false(node_changes(dir));
	assert_int_equal(dir->mtime.tv_sec, 2000);
	assert_int_equal(dir->dirs, 2);
	assert_ptr_equal(find_node(tree, "a/code/a.py"),
			 volume_find(volume, "code/a.py"));
	assert_ptr_equal(find_node(tree, "a/code")->parent, dir);
	assert_ptr_equal(find_node(tree, "a/code/a.py")->volume, volume);
	assert_null(find_node(tree, "a/none"));
	assert_null(find_node(tree, "config.json"));
	check_list(tree, root_node(tree), ".llmergefs a ");
	/* What changes is the root, and the folder that is the mount's. */
	assert_true(node_changes(root_node(tree)));
	assert_true(node_changes(find_node(tree, ".llmergefs")));
	assert_false(node_changes(find_node(tree, "a/.llmergefs")));
	check_list(tree, find_node(tree, ".llmergefs"), "control log ");
	tree_close(tree);
}

static void a_flat_volume_is_among_the_names_of_the_root(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *volume = open_volume(volume_files);
	const struct node *root = root_node(tree), *own;

	own = find_node(tree, ".llmergefs");
	attach_volume(tree, NULL, volume, NULL, NULL);
	check_list(tree, root, ".llmergefs code config.json ");
	assert_int_equal(tree_now(tree, root).dirs, 2);
	assert_ptr_equal(find_node(tree, "code")->parent, root);
	assert_ptr_equal(find_node(tree, "config.json")->parent, root);
	assert_false(node_changes(find_node(tree, "code")));
	/* Its own .llmergefs/ is shown in that of the mount. */
	assert_ptr_equal(find_node(tree, ".llmergefs"), own);
	check_list(tree, own, "control log recipe.json ");
	assert_ptr_equal(find_node(tree, ".llmergefs/recipe.json")->parent,
			 own);
	assert_ptr_equal(find_node(tree, ".llmergefs/recipe.json"),
			 volume_find(volume, ".llmergefs/recipe.json"));
	tree_detach(tree, volume);
	check_list(tree, root, ".llmergefs ");
	check_list(tree, own, "control log ");
	tree_close(tree);
}

static void a_name_that_is_there_is_refused(void **state)
{
	static const char *const twice[] = { "new", ".llmergefs/log", NULL };
	static const char *const file[] = { "new", ".llmergefs", NULL };
	static const char *const folder[] = { "new", "a/x", NULL };
	static const struct {
		const char *name;
		const char *const *paths;
		const char *sentence;
	} rows[] = {
		{ "a", volume_files, "a is there already" },
		{ ".llmergefs", volume_files, ".llmergefs is there already" },
		{ "current", volume_files, "current is there already" },
		{ "x/y", volume_files, "x/y: \"x/y\" is no name for a file" },
		{ "..", volume_files, "..: \"..\" is no name for a file" },
		{ "", volume_files, ": \"\" is no name for a file" },
		{ NULL, twice, ".llmergefs/log is there already" },
		{ NULL, file, ".llmergefs is there already" },
		{ NULL, folder, "a is there already" },
	};
	struct tree *tree = open_mount_tree();
	struct volume *before = open_volume(volume_files);
	struct error err;

	attach_volume(tree, "a", before, NULL, NULL);
	assert_int_equal(tree_link(tree, "current", "a", &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct volume *volume = open_volume(rows[i].paths);
		uint64_t count = tree_count(tree);

		assert_int_equal(tree_attach(tree, rows[i].name, volume, NULL,
					     NULL, NULL, &err),
				 -EINVAL);
		assert_string_equal(err.text, rows[i].sentence);
		check_list(tree, root_node(tree), ".llmergefs a current ");
		check_list(tree, find_node(tree, ".llmergefs"), "control log ");
		assert_int_equal(tree_count(tree), count);
		volume_close(volume); /* it is still ours */
	}
	/* Nothing of the mount's own goes into a volume. */
	assert_int_equal(tree_add(tree, "a/x", &text, &err), -EINVAL);
	assert_string_equal(err.text, "a/x: a is a folder of a recipe");
	tree_close(tree);
}

static void what_can_be_seen_is_counted(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *flat = open_volume(volume_files),
		      *named = open_volume(volume_files);
	struct error err;

	assert_int_equal(tree_count(tree), 4);
	attach_volume(tree, "a", named, NULL, NULL);
	assert_int_equal(tree_count(tree), 4 + 6);
	assert_int_equal(tree_bytes(tree), 9);
	/* Neither its own folder nor its .llmergefs/ is seen. */
	attach_volume(tree, NULL, flat, NULL, NULL);
	assert_int_equal(tree_count(tree), 4 + 6 + 4);
	assert_int_equal(tree_bytes(tree), 18);
	tree_link(tree, "current", "a", &err);
	assert_int_equal(tree_count(tree), 15);
	/* One that is open somewhere is not in the root any more. */
	assert_non_null(find_node(tree, "a"));
	tree_detach(tree, named);
	assert_int_equal(tree_count(tree), 9);
	assert_int_equal(tree_bytes(tree), 9);
	tree_link(tree, "current", NULL, &err);
	assert_int_equal(tree_count(tree), 8);
	tree_close(tree);
}

static void a_listing_is_of_one_time(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *volume = open_volume(volume_files);
	AUTO_FREE struct tree_entry *entries = NULL;
	uint64_t ino;
	size_t count;

	attach_volume(tree, "a", volume, NULL, NULL);
	ino = volume_find(volume, "")->ino;
	entries = tree_list(tree, root_node(tree), &count);
	tree_detach(tree, volume);
	assert_int_equal(count, 2);
	assert_string_equal(entries[1].name, "a");
	assert_int_equal(entries[1].kind, NODE_DIR);
	assert_int_equal(entries[1].ino, ino);
	assert_null(find_node(tree, "a"));
	tree_close(tree);
}

static void a_link_points_where_it_was_last_pointed(void **state)
{
	struct tree *tree = open_mount_tree();
	const struct node *link;
	struct error err;
	char *target;

	assert_int_equal(tree_link(tree, "current", NULL, &err), 0);
	assert_null(tree_link_target(tree, "current"));
	assert_int_equal(tree_link(tree, "current", "a", &err), 0);
	link = find_node(tree, "current");
	assert_int_equal(link->kind, NODE_LINK);
	assert_true(node_changes(link));
	assert_int_equal(tree_now(tree, link).size, 1);
	assert_int_equal(tree_link(tree, "current", "a/lambda=0.4", &err), 0);
	assert_ptr_equal(find_node(tree, "current"), link);
	assert_int_equal(tree_now(tree, link).size, 12);
	target = tree_link_target(tree, "current");
	assert_string_equal(target, "a/lambda=0.4");
	free(target);
	assert_int_equal(tree_link(tree, "current", NULL, &err), 0);
	assert_null(tree_link_target(tree, "current"));
	assert_null(find_node(tree, "current"));
	/* The one who looked it up may still ask. */
	assert_ptr_equal(tree_node(tree, link->ino), link);
	assert_int_equal(tree_link(tree, "current", "b", &err), 0);
	assert_ptr_equal(find_node(tree, "current"), link);
	assert_int_equal(tree_link(tree, ".llmergefs", "b", &err), -EINVAL);
	assert_string_equal(err.text, ".llmergefs is there already");
	assert_int_equal(tree_link(tree, "x/y", "b", &err), -EINVAL);
	/* A name is free for others while the link is away. */
	tree_link(tree, "current", NULL, &err);
	attach_volume(tree, "current", open_volume(volume_files), NULL, NULL);
	assert_int_equal(tree_link(tree, "current", "b", &err), -EINVAL);
	assert_string_equal(err.text, "current is there already");
	assert_null(tree_link_target(tree, "x/y"));
	tree_close(tree);
}

static void the_root_has_the_time_of_its_last_change(void **state)
{
	struct tree *tree = open_mount_tree();
	struct volume *volume = open_volume(volume_files);

	assert_int_equal(tree_now(tree, root_node(tree)).mtime.tv_sec, 1000);
	attach_volume(tree, "a", volume, NULL, NULL);
	assert_int_equal(tree_now(tree, root_node(tree)).mtime.tv_sec, 2000);
	tree_detach(tree, volume);
	assert_true(tree_now(tree, root_node(tree)).mtime.tv_sec > 2000);
	tree_close(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_stands_under_its_name),
		cmocka_unit_test(a_flat_volume_is_among_the_names_of_the_root),
		cmocka_unit_test(a_name_that_is_there_is_refused),
		cmocka_unit_test(what_can_be_seen_is_counted),
		cmocka_unit_test(a_listing_is_of_one_time),
		cmocka_unit_test(a_link_points_where_it_was_last_pointed),
		cmocka_unit_test(the_root_has_the_time_of_its_last_change),
	};

	return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
