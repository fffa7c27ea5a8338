#include "fs/tree.h"

#include <errno.h>
#include <limits.h>

#define ROOM_MIN 8

struct tree {
	struct arena *arena;
	struct node **nodes; /* [ino - 1] */
	size_t count, room;
	uint64_t bytes;
};

static bool grow(struct node ***list, size_t count, size_t *room)
{
	size_t wanted = max_u64(ROOM_MIN, 2 * *room);
	struct node **grown;

	if (count < *room)
		return true;
	grown = reallocarray(*list, wanted, sizeof(struct node *));
	if (!grown)
		return false;
	*list = grown;
	*room = wanted;
	return true;
}

/* How many children come before the name. */
static size_t rank_of(const struct node *dir, const char *name)
{
	size_t begin = 0, end = dir->count;

	while (begin < end) {
		size_t mid = begin + (end - begin) / 2;

		if (strcmp(dir->children[mid]->name, name) < 0)
			begin = mid + 1;
		else
			end = mid;
	}
	return begin;
}

const struct node *node_child(const struct node *dir, const char *name)
{
	size_t rank = rank_of(dir, name);

	if (rank == dir->count || strcmp(dir->children[rank]->name, name) != 0)
		return NULL;
	return dir->children[rank];
}

/* A copy of the model under the next number; parent NULL: the root. */
static struct node *add_node(struct tree *tree, struct node *parent,
			     const char *name, const struct node *model)
{
	struct node *node = arena_alloc(tree->arena, 1, sizeof(*node));

	if (!node || !grow(&tree->nodes, tree->count, &tree->room))
		return NULL;
	*node = *model;
	node->name = arena_strdup(tree->arena, name);
	node->parent = parent ? parent : node;
	if (!node->name)
		return NULL;
	if (parent) {
		size_t rank = rank_of(parent, name);

		if (!grow(&parent->children, parent->count, &parent->room))
			return NULL;
		memmove(parent->children + rank + 1, parent->children + rank,
			(parent->count - rank) * sizeof(struct node *));
		parent->children[rank] = node;
		parent->count++;
	}
	tree->nodes[tree->count++] = node;
	node->ino = tree->count;
	tree->bytes += node->size;
	return node;
}

struct tree *tree_open(struct timespec mtime)
{
	const struct node root = { .kind = NODE_DIR, .mtime = mtime };
	struct tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return NULL;
	tree->arena = arena_open();
	if (tree->arena && add_node(tree, NULL, "", &root))
		return tree;
	tree_close(tree);
	return NULL;
}

void tree_close(struct tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->count; i++)
		free(tree->nodes[i]->children);
	free(tree->nodes);
	arena_close(tree->arena);
	free(tree);
}

struct node *tree_root(struct tree *tree)
{
	return tree->nodes[0];
}

size_t tree_count(const struct tree *tree)
{
	return tree->count;
}

uint64_t tree_bytes(const struct tree *tree)
{
	return tree->bytes;
}

const struct node *tree_node(const struct tree *tree, uint64_t ino)
{
	return ino >= TREE_ROOT && ino <= tree->count ? tree->nodes[ino - 1]
						      : NULL;
}

static bool is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MAX && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/* What is wrong with a path, before anything is made for it. */
static int check_path(const struct node *dir, const char *path,
		      struct error *err)
{
	AUTO_FREE char *parts = strdup(path);
	const struct node *node = dir; /* NULL: below a folder to be made */
	char *rest = parts, *name;

	if (!parts)
		return fail(err, ENOMEM, "%s: no memory", path);
	while ((name = strsep(&rest, "/"))) {
		if (!is_name(name))
			return fail(err, EINVAL,
				    "%s: \"%s\" is no name for a file", path,
				    name);
		if (node && node->kind != NODE_DIR)
			return fail(err, EINVAL, "%s: %s is a file already",
				    path, node->name);
		if (node)
			node = node_child(node, name);
	}
	if (node)
		return fail(err, EINVAL, "%s is there already", path);
	return 0;
}

/* The folder of this name below another, made where it is missing. */
static struct node *enter_dir(struct tree *tree, struct node *dir,
			      const char *name)
{
	const struct node model = { .kind = NODE_DIR, .mtime = dir->mtime };

	if (node_child(dir, name))
		return dir->children[rank_of(dir, name)];
	return add_node(tree, dir, name, &model);
}

int tree_add(struct tree *tree, struct node *dir, const char *path,
	     const struct node *model, struct error *err)
{
	AUTO_FREE char *parts = strdup(path);
	char *rest = parts, *name;
	int rc = check_path(dir, path, err);

	if (rc)
		return rc;
	while (dir && (name = strsep(&rest, "/")))
		dir = rest ? enter_dir(tree, dir, name)
			   : add_node(tree, dir, name, model);
	if (!parts || !dir)
		return fail(err, ENOMEM, "%s: no memory", path);
	return 0;
}

static int add_sidecar(struct tree *tree, struct node *dir,
		       const struct lens *lens, const struct sidecar *file,
		       struct error *err)
{
	const struct node model = {
		.kind = file->text ? NODE_TEXT : NODE_SOURCE,
		.size = file->size,
		.mtime = file->text ? lens->mtime : source_mtime(file->source),
		.text = file->text,
		.source = file->source,
	};

	return tree_add(tree, dir, file->path, &model, err);
}

int tree_add_lens(struct tree *tree, struct node *dir, const struct lens *lens,
		  struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < lens->layout->count; i++) {
		const struct layout_file *file = &lens->layout->files[i];
		const struct node model = {
			.kind = NODE_SHARD,
			.size = file->size,
			.mtime = lens->mtime,
			.lens = lens,
			.shard = file,
		};

		rc = tree_add(tree, dir, file->name, &model, err);
	}
	for (size_t i = 0; rc == 0 && i < lens->sidecars->count; i++)
		rc = add_sidecar(tree, dir, lens, &lens->sidecars->files[i],
				 err);
	return rc;
}
