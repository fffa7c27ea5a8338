#include "fs/tree.h"

#include <assert.h>

#include "fs/tree_inside.h"

struct tree *tree_open(struct timespec mtime)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return NULL;
	if (!grove_init(&tree->own, mtime, NULL)) {
		grove_done(&tree->own);
		free(tree);
		return NULL;
	}
	pthread_mutex_init(&tree->lock, NULL);
	tree_root(tree)->ino = TREE_ROOT;
	tree->next = TREE_ROOT + 1;
	tree->shown = 1;
	return tree;
}

void tree_close(struct tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->count; i++)
		volume_close(tree->volumes[i]);
	free(tree->volumes);
	for (size_t i = 0; i < tree->own.count; i++)
		if (tree->own.nodes[i]->kind == NODE_LINK)
			tree_set_target(tree->own.nodes[i], NULL);
	grove_done(&tree->own);
	pthread_mutex_destroy(&tree->lock);
	free(tree);
}

uint64_t tree_count(struct tree *tree)
{
	uint64_t count;

	pthread_mutex_lock(&tree->lock);
	count = tree->shown;
	pthread_mutex_unlock(&tree->lock);
	return count;
}

uint64_t tree_bytes(struct tree *tree)
{
	uint64_t bytes;

	pthread_mutex_lock(&tree->lock);
	bytes = tree->bytes;
	pthread_mutex_unlock(&tree->lock);
	return bytes;
}

/* --- what stays as long as the mount ------------------------------------ */

int tree_add_own(struct tree *tree, const char *path, const struct node *model,
		 struct error *err)
{
	size_t before = tree->own.count;
	uint64_t bytes = tree->own.bytes;
	int rc = grove_add(&tree->own, path, model, err);

	/* Without memory for the last, folders on the way to it are there. */
	for (size_t i = before; i < tree->own.count; i++)
		tree->own.nodes[i]->ino = tree->next++;
	tree->shown += tree->own.count - before;
	tree->bytes += tree->own.bytes - bytes;
	return rc;
}

int tree_add(struct tree *tree, const char *path, const struct node *model,
	     struct error *err)
{
	int rc;

	pthread_mutex_lock(&tree->lock);
	rc = tree_add_own(tree, path, model, err);
	pthread_mutex_unlock(&tree->lock);
	return rc;
}

/* --- what the kernel asks --------------------------------------------------
 */

/* How many volumes have only smaller numbers. */
static size_t volume_rank(const struct tree *tree, uint64_t ino)
{
	size_t begin = 0, end = tree->count;

	while (begin < end) {
		size_t mid = begin + (end - begin) / 2;
		const struct volume *volume = tree->volumes[mid];

		if (volume->first + volume->grove.count <= ino)
			begin = mid + 1;
		else
			end = mid;
	}
	return begin;
}

/* Of what stays as long as the mount. */
static struct node *own_node(const struct tree *tree, uint64_t ino)
{
	size_t begin = 0, end = tree->own.count;

	while (begin < end) {
		size_t mid = begin + (end - begin) / 2;

		if (tree->own.nodes[mid]->ino == ino)
			return tree->own.nodes[mid];
		if (tree->own.nodes[mid]->ino < ino)
			begin = mid + 1;
		else
			end = mid;
	}
	return NULL;
}

/* Under the lock. */
static struct node *node_at(const struct tree *tree, uint64_t ino)
{
	size_t rank = volume_rank(tree, ino);

	if (rank < tree->count && tree->volumes[rank]->first <= ino)
		return tree->volumes[rank]
			->grove.nodes[ino - tree->volumes[rank]->first];
	return own_node(tree, ino);
}

const struct node *tree_node(struct tree *tree, uint64_t ino)
{
	const struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = node_at(tree, ino);
	pthread_mutex_unlock(&tree->lock);
	return node;
}

const struct node *tree_lookup(struct tree *tree, const struct node *dir,
			       const char *name)
{
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = node_child(dir, name);
	if (node && node->volume) {
		node->lookups++;
		node->volume->lookups++;
	}
	if (!node && dir->volume)
		volume_missed(dir->volume, dir, name);
	pthread_mutex_unlock(&tree->lock);
	return node;
}

struct volume *tree_take_gone(struct tree *tree, struct volume *volume)
{
	size_t rank = volume_rank(tree, volume->first);

	if (volume->attached || volume->lookups > 0)
		return NULL;
	assert(rank < tree->count && tree->volumes[rank] == volume);
	tree->count--;
	memmove(tree->volumes + rank, tree->volumes + rank + 1,
		(tree->count - rank) * sizeof(struct volume *));
	return volume;
}

void tree_end_volume(struct volume *volume)
{
	if (volume && volume->gone)
		volume->gone(volume->ctx);
	volume_close(volume);
}

void tree_forget(struct tree *tree, uint64_t ino, uint64_t count)
{
	struct volume *gone = NULL;
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = node_at(tree, ino);
	if (node && node->volume) {
		count = min_u64(count, node->lookups);
		node->lookups -= count;
		node->volume->lookups -= count;
		gone = tree_take_gone(tree, node->volume);
	}
	pthread_mutex_unlock(&tree->lock);
	tree_end_volume(gone);
}

struct node tree_now(struct tree *tree, const struct node *node)
{
	struct node copy;

	pthread_mutex_lock(&tree->lock);
	copy = *node;
	pthread_mutex_unlock(&tree->lock);
	return copy;
}

/* Under the lock; the names lie behind the entries. */
static struct tree_entry *list(const struct node *dir)
{
	size_t size = 0;
	struct tree_entry *entries;
	char *names;

	for (size_t i = 0; i < dir->count; i++)
		size += sizeof(*entries) + strlen(dir->children[i]->name) + 1;
	entries = malloc(max_u64(size, 1));
	if (!entries)
		return NULL;
	names = (char *)(entries + dir->count);
	for (size_t i = 0; i < dir->count; i++) {
		const struct node *child = dir->children[i];
		size_t len = strlen(child->name) + 1;

		memcpy(names, child->name, len);
		entries[i] =
			(struct tree_entry){ names, child->ino, child->kind };
		names += len;
	}
	return entries;
}

struct tree_entry *tree_list(struct tree *tree, const struct node *dir,
			     size_t *count)
{
	struct tree_entry *entries;

	pthread_mutex_lock(&tree->lock);
	entries = list(dir);
	*count = dir->count;
	pthread_mutex_unlock(&tree->lock);
	return entries;
}
