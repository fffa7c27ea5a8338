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

	if (tree_add(tree, path, &text, &err))
		fail_msg("%s", err.text);
}

static const struct node *root_of(struct tree *tree)
{
	return tree_node(tree, TREE_ROOT);
}

/* By path from the root; NULL: there is none. */
static const struct node *find(struct tree *tree, const char *path)
{
	AUTO_FREE char *parts = strdup(path);
	const struct node *node = root_of(tree);
	char *rest = parts, *name;

	while (node && (name = strsep(&rest, "/")))
		node = tree_lookup(tree, node, name);
	return node;
}

static void a_new_tree_is_a_root(void **state)
{
	struct tree *tree = open_tree();
	const struct node *root = root_of(tree);

	assert_int_equal(tree_count(tree), 1);
	assert_int_equal(tree_bytes(tree), 0);
	assert_int_equal(root->ino, TREE_ROOT);
	assert_int_equal(root->kind, NODE_DIR);
	assert_int_equal(root->count, 0);
	assert_ptr_equal(root->parent, root);
	assert_memory_equal(&root->mtime, &root_time, sizeof(root_time));
	assert_ptr_equal(tree_node(tree, TREE_ROOT), root);
	assert_null(tree_lookup(tree, root, ""));
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
	assert_ptr_equal(node->parent, root_of(tree));
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
	const struct node *root = root_of(tree);
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
		assert_ptr_equal(
			tree_lookup(tree, root, root->children[i]->name),
			root->children[i]);
	assert_null(tree_lookup(tree, root, "model-1"));
	assert_null(tree_lookup(tree, root, "~"));
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
		assert_int_equal(tree_add(tree, rows[i].path, &text, &err),
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
		assert_non_null(tree_lookup(tree, root_of(tree), names[i]));
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
	lens = lens_open_file(path, &report);
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

static size_t files_of(const struct node *dir)
{
	size_t files = 0;

	for (size_t i = 0; i < dir->count; i++) {
		const struct node *child = dir->children[i];

		files += child->kind == NODE_DIR ? files_of(child) : 1;
	}
	return files;
}

static void check_lens(const struct volume *volume, const char *dir,
		       const struct outputs *outputs)
{
	for (size_t i = 0; i < outputs->count; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "",
			 outputs->files[i].path);
		check_node(volume_find(volume, path), &outputs->files[i]);
	}
}

/* A lens in the volume's own folder, and in two below. */
static void a_lens_shows_the_files_that_export_writes(void **state)
{
	static const char *const dirs[] = { "", "one", "two/deep" };
	struct volume *volume = volume_open(root_time);
	struct tree *tree = open_tree();
	struct outputs outputs;
	struct fixture fx;
	struct lens *lens;
	struct error err;

	fixture_open(&fx);
	write_donor(&fx);
	lens = open_lens(&fx);
	assert_int_equal(lens->layout->count, 2);
	assert_int_equal(outputs_init(&outputs, lens, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (volume_add_lens(volume, dirs[i], lens, &err))
			fail_msg("%s", err.text);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		check_lens(volume, dirs[i], &outputs);
	assert_non_null(volume_find(volume, "two/deep/code/deep/model.py"));
	assert_int_equal(files_of(volume_find(volume, "")), 3 * outputs.count);
	/* Once more at the same place is twice the same name. */
	assert_int_equal(volume_add_lens(volume, "one", lens, &err), -EINVAL);
	assert_string_equal(err.text, "one/model-00001-of-00002.safetensors is "
				      "there already");
	assert_int_equal(tree_attach(tree, "a", volume, NULL, NULL, NULL, &err),
			 0);
	assert_int_equal(tree_bytes(tree), 3 * outputs.bytes);
	assert_non_null(find(tree, "a/one/model.safetensors.index.json"));
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
