#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include "tests/unit/volume_fixture.h"

#include <cmocka.h>

static const struct timespec root_time = { 1000, 0 };
static const struct timespec volume_time = { 2000, 0 };
static const struct node text = {
	.kind = NODE_TEXT,
	.size = 3,
	.text = "abc",
};

static int make_nothing(void *ctx, char **out, size_t *len)
{
	return -EIO;
}

static void count_end(void *ctx)
{
	atomic_fetch_add((atomic_int *)ctx, 1);
}

struct tree *open_mount_tree(void)
{
	const struct node live = { .kind = NODE_LIVE, .make = make_nothing };
	const struct node control = { .kind = NODE_CONTROL };
	struct tree *tree = tree_open(root_time);
	struct error err;

	assert_non_null(tree);
	assert_int_equal(tree_add(tree, ".llmergefs/log", &live, &err), 0);
	assert_int_equal(tree_add(tree, ".llmergefs/control", &control, &err),
			 0);
	return tree;
}

struct volume *open_volume(const char *const *paths)
{
	struct volume *volume = volume_open(volume_time);
	struct error err;

	assert_non_null(volume);
	for (; *paths; paths++)
		if (volume_add(volume, *paths, &text, &err))
			fail_msg("%s", err.text);
	return volume;
}

const char *const volume_files[] = { "config.json", "code/a.py",
				     ".llmergefs/recipe.json", NULL };

void attach_volume(struct tree *tree, const char *name, struct volume *volume,
		   struct volume *before, atomic_int *ended)
{
	struct error err;

	if (tree_attach(tree, name, volume, before, ended ? count_end : NULL,
			ended, &err))
		fail_msg("%s", err.text);
}

const struct node *root_node(struct tree *tree)
{
	return tree_node(tree, TREE_ROOT);
}

const struct node *find_node(struct tree *tree, const char *path)
{
	AUTO_FREE char *parts = strdup(path);
	const struct node *node = root_node(tree);
	char *rest = parts, *name;

	while (node && (name = strsep(&rest, "/")))
		node = tree_lookup(tree, node, name);
	return node;
}
