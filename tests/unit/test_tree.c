#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "fs/output.h"
#include "fs/tree.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define LONGEST                                                            \
	"0123456789012345678901234567890123456789012345678901234567890123" \
	"0123456789012345678901234567890123456789012345678901234567890123" \
	"0123456789012345678901234567890123456789012345678901234567890123" \
	"012345678901234567890123456789012345678901234567890123456789012"

static const struct timespec root_time = { 1234, 5 };
static const struct node text = {
	.kind = NODE_TEXT,
	.size = 3,
	.mtime = { 99, 7 },
	.text = "abc",
};

static struct tree *open_tree(void)
{
	struct tree *tree = tree_open(root_time);

	assert_non_null(tree);
	return tree;
}

static void add(struct tree *tree, const char *path)
{
	struct error err;

	if (tree_add(tree, tree_root(tree), path, &text, &err))
		fail_msg("%s", err.text);
}

/* By path from the root; NULL: there is none. */
static const struct node *find(struct tree *tree, const char *path)
{
	AUTO_FREE char *parts = strdup(path);
	const struct node *node = tree_root(tree);
	char *rest = parts, *name;

	while (node && (name = strsep(&rest, "/")))
		node = node_child(node, name);
	return node;
}

static void a_new_tree_is_a_root(void **state)
{
	struct tree *tree = open_tree();
	const struct node *root = tree_root(tree);

	assert_int_equal(tree_count(tree), 1);
	assert_int_equal(tree_bytes(tree), 0);
	assert_int_equal(root->ino, TREE_ROOT);
	assert_int_equal(root->kind, NODE_DIR);
	assert_int_equal(root->count, 0);
	assert_ptr_equal(root->parent, root);
	assert_memory_equal(&root->mtime, &root_time, sizeof(root_time));
	assert_ptr_equal(tree_node(tree, TREE_ROOT), root);
	assert_null(node_child(root, ""));
	tree_close(tree);
	tree_close(NULL);
}

static void numbers_go_up_as_nodes_come(void **state)
{
	struct tree *tree = open_tree();

	add(tree, "z");
	add(tree, "a");
	add(tree, "m/n");
	assert_int_equal(tree_count(tree), 5);
	assert_int_equal(find(tree, "z")->ino, 2);
	assert_int_equal(find(tree, "a")->ino, 3);
	assert_int_equal(find(tree, "m")->ino, 4);
	assert_int_equal(find(tree, "m/n")->ino, 5);
	for (uint64_t ino = 1; ino <= 5; ino++)
		assert_int_equal(tree_node(tree, ino)->ino, ino);
	assert_null(tree_node(tree, 0));
	assert_null(tree_node(tree, 6));
	assert_null(tree_node(tree, UINT64_MAX));
	tree_close(tree);
}

static void a_file_is_like_its_model(void **state)
{
	struct tree *tree = open_tree();
	char name[] = "borrowed";
	const struct node *node;

	add(tree, name);
	add(tree, "dir/other");
	memset(name, 'x', sizeof(name) - 1);
	node = find(tree, "borrowed");
	assert_non_null(node);
	assert_string_equal(node->name, "borrowed");
	assert_int_equal(node->kind, NODE_TEXT);
	assert_int_equal(node->size, 3);
	assert_int_equal(node->mtime.tv_sec, 99);
	assert_int_equal(node->mtime.tv_nsec, 7);
	assert_ptr_equal(node->text, text.text);
	assert_ptr_equal(node->parent, tree_root(tree));
	assert_int_equal(tree_bytes(tree), 6);
	tree_close(tree);
}

static void folders_are_made_where_they_are_missing(void **state)
{
	struct tree *tree = open_tree();
	const struct node *deep;

	add(tree, "a/b/c");
	add(tree, "a/b/d");
	add(tree, "a/e");
	assert_int_equal(tree_count(tree), 6);
	deep = find(tree, "a/b");
	assert_int_equal(deep->kind, NODE_DIR);
	assert_int_equal(deep->count, 2);
	assert_memory_equal(&deep->mtime, &root_time, sizeof(root_time));
	assert_ptr_equal(deep->parent, find(tree, "a"));
	assert_ptr_equal(find(tree, "a/b/d")->parent, deep);
	assert_int_equal(find(tree, "a")->count, 2);
	assert_null(find(tree, "a/x"));
	assert_null(find(tree, "a/b/c/d"));
	tree_close(tree);
}

/* Bytes are compared as strcmp does, whatever the order of coming. */
static void children_are_in_order(void **state)
{
	struct tree *tree = open_tree();
	const struct node *root = tree_root(tree);
	uint64_t seed = 1;
	char name[32];

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "%x", fixture_random(&seed));
		add(tree, name);
	}
	add(tree, "\xc3\xa4");
	add(tree, "model-2");
	add(tree, "model-10");
	assert_int_equal(root->count, 503);
	for (size_t i = 1; i < root->count; i++)
		assert_true(strcmp(root->children[i - 1]->name,
				   root->children[i]->name) < 0);
	for (size_t i = 0; i < root->count; i++)
		assert_ptr_equal(node_child(root, root->children[i]->name),
				 root->children[i]);
	assert_null(node_child(root, "model-1"));
	assert_null(node_child(root, "~"));
	tree_close(tree);
}

static void wrong_paths_are_refused(void **state)
{
	static const struct {
		const char *path, *sentence;
	} rows[] = {
		{ "file", "file is there already" },
		{ "dir", "dir is there already" },
		{ "dir/file", "dir/file is there already" },
		{ "file/x", "file/x: file is a file already" },
		{ "dir/file/x/y", "dir/file/x/y: file is a file already" },
		{ "", ": \"\" is no name for a file" },
		{ "/x", "/x: \"\" is no name for a file" },
		{ "new/", "new/: \"\" is no name for a file" },
		{ "new//x", "new//x: \"\" is no name for a file" },
		{ ".", ".: \".\" is no name for a file" },
		{ "..", "..: \"..\" is no name for a file" },
		{ "dir/../x", "dir/../x: \"..\" is no name for a file" },
		{ "new/./x", "new/./x: \".\" is no name for a file" },
		{ LONGEST "0",
		  LONGEST "0: \"" LONGEST "0\" is no name for a file" },
	};
	struct tree *tree = open_tree();
	struct error err;

	add(tree, "file");
	add(tree, "dir/file");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(tree_add(tree, tree_root(tree), rows[i].path,
					  &text, &err),
				 -EINVAL);
		assert_string_equal(err.text, rows[i].sentence);
		/* Nothing of it is left. */
		assert_int_equal(tree_count(tree), 4);
		assert_int_equal(tree_bytes(tree), 6);
	}
	tree_close(tree);
}

static void odd_names_are_names(void **state)
{
	static const char *const names[] = { "...",  ".hidden", " ",
					     "a\nb", "\xff",	LONGEST };
	struct tree *tree = open_tree();

	assert_int_equal(strlen(LONGEST), NAME_MAX);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		add(tree, names[i]);
		assert_non_null(node_child(tree_root(tree), names[i]));
	}
	tree_close(tree);
}

static void write_donor(const struct fixture *fx)
{
	static const struct fixture_tensor tensors[] = {
		{ "model.a", DTYPE_F32, { 1, { 40 } }, NULL },
		{ "model.b", DTYPE_F32, { 1, { 40 } }, NULL },
	};
	static const char recipe[] = "merge_method: passthrough\n"
				     "models: [{model: a}]\n"
				     "llmergefs: {shard_size: 160}\n";

	fixture_safetensors(fx, "a/model.safetensors", tensors, 2);
	fixture_write(fx, "a/config.json", "{}", 2);
	fixture_write(fx, "a/tokenizer.json", "{ }", 3);
	fixture_write(fx, "a/code/deep/model.py", "pass", 4);
	fixture_write(fx, "merge.yml", recipe, sizeof(recipe) - 1);
}

static struct lens *open_lens(const struct fixture *fx)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	char path[FIXTURE_PATH_MAX];
	struct lens *lens;

	fixture_path(fx, "merge.yml", path);
	lens = lens_open(path, &report);
	if (!lens)
		fail_msg("%s", report.notes[0].text);
	return lens;
}

static void check_node(const struct node *node, const struct output_file *file)
{
	const struct lens *lens = file->lens;
	struct timespec mtime = lens->mtime;

	assert_non_null(node);
	assert_int_equal(node->size, file->size);
	assert_ptr_equal(node->shard, file->shard);
	if (file->shard) {
		assert_int_equal(node->kind, NODE_SHARD);
		assert_ptr_equal(node->lens, lens);
	} else if (file->sidecar->source) {
		assert_int_equal(node->kind, NODE_SOURCE);
		assert_ptr_equal(node->source, file->sidecar->source);
		mtime = source_mtime(file->sidecar->source);
	} else {
		assert_int_equal(node->kind, NODE_TEXT);
		assert_ptr_equal(node->text, file->sidecar->text);
	}
	assert_memory_equal(&node->mtime, &mtime, sizeof(mtime));
}

static size_t files_of(const struct tree *tree)
{
	size_t files = 0;

	for (uint64_t ino = 1; ino <= tree_count(tree); ino++)
		files += tree_node(tree, ino)->kind != NODE_DIR;
	return files;
}

/* Two lenses below folders of their own, and one at the root. */
static void a_lens_shows_the_files_that_export_writes(void **state)
{
	static const char *const dirs[] = { "", "one/", "two/" };
	const struct node folder = { .kind = NODE_DIR };
	struct node *parents[ARRAY_LEN(dirs)];
	struct outputs outputs;
	struct fixture fx;
	struct lens *lens;
	struct tree *tree = open_tree();
	struct error err;

	fixture_open(&fx);
	write_donor(&fx);
	lens = open_lens(&fx);
	assert_int_equal(lens->layout->count, 2);
	assert_int_equal(outputs_init(&outputs, lens, &err), 0);
	parents[0] = tree_root(tree);
	for (size_t i = 1; i < ARRAY_LEN(dirs); i++) {
		AUTO_FREE char *name = strndup(dirs[i], strlen(dirs[i]) - 1);

		assert_int_equal(
			tree_add(tree, tree_root(tree), name, &folder, &err),
			0);
		parents[i] = tree_root(tree)->children[i - 1];
	}
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (tree_add_lens(tree, parents[i], lens, &err))
			fail_msg("%s", err.text);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		for (size_t f = 0; f < outputs.count; f++) {
			char path[512];

			snprintf(path, sizeof(path), "%s%s", dirs[i],
				 outputs.files[f].path);
			check_node(find(tree, path), &outputs.files[f]);
		}
	}
	assert_non_null(find(tree, "two/code/deep/model.py"));
	assert_non_null(find(tree, "model.safetensors.index.json"));
	assert_int_equal(files_of(tree), 3 * outputs.count);
	assert_int_equal(tree_bytes(tree), 3 * outputs.bytes);
	/* Once more at the same place is twice the same name. */
	assert_int_equal(tree_add_lens(tree, parents[1], lens, &err), -EINVAL);
	assert_string_equal(err.text, "model-00001-of-00002.safetensors is "
				      "there already");
	tree_close(tree);
	outputs_done(&outputs);
	lens_close(lens);
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_tree_is_a_root),
		cmocka_unit_test(numbers_go_up_as_nodes_come),
		cmocka_unit_test(a_file_is_like_its_model),
		cmocka_unit_test(folders_are_made_where_they_are_missing),
		cmocka_unit_test(children_are_in_order),
		cmocka_unit_test(wrong_paths_are_refused),
		cmocka_unit_test(odd_names_are_names),
		cmocka_unit_test(a_lens_shows_the_files_that_export_writes),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
