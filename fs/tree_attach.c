/*
 * A volume stands in the root under a name of its own, or flat: each of its top
 * nodes is a child of the root then, and what it has in a folder that stays as
 * long as the mount is a child of that. What it needs is checked and reserved
 * first, for it and for all of it; from then on nothing can fail, and one
 * volume leaves and the other comes under one hold of the lock.
 */
#include <assert.h>
#include <errno.h>

#include "core/base/file.h"
#include "fs/tree_inside.h"

#define VOLUMES_MIN 8

/* The folder of the mount's own that shows what is in this one. NULL: none. */
static struct node *host_of(const struct tree *tree, const struct node *child)
{
	struct node *own = node_child(tree_root(tree), child->name);

	if (own && !own->volume && own->kind == NODE_DIR &&
	    child->kind == NODE_DIR)
		return own;
	return NULL;
}

/* Whether a name is free, or is one of the volume that leaves. */
static int check_free(const struct node *host, const char *name,
		      const struct volume *before, struct error *err)
{
	const struct node *there = node_child(host, name);

	if (!there || (before && there->volume == before))
		return 0;
	return fail(err, EINVAL, "%s%s%s is there already", host->name,
		    *host->name ? "/" : "", name);
}

static int reserve(struct node *host, size_t more, struct error *err)
{
	if (node_reserve(host, more))
		return 0;
	return fail(err, ENOMEM, "no memory for %zu names", more);
}

/* What is in a folder of a volume is to be shown in one of the mount's own. */
static int prepare_host(struct node *host, const struct node *dir,
			const struct volume *before, struct error *err)
{
	int rc = reserve(host, dir->count, err);

	for (size_t i = 0; rc == 0 && i < dir->count; i++)
		rc = check_free(host, dir->children[i]->name, before, err);
	return rc;
}

static int prepare_flat(struct tree *tree, const struct node *folder,
			const struct volume *before, struct error *err)
{
	struct node *root = tree_root(tree);
	int rc = reserve(root, folder->count, err);

	for (size_t i = 0; rc == 0 && i < folder->count; i++) {
		const struct node *child = folder->children[i];
		struct node *host = host_of(tree, child);

		rc = host ? prepare_host(host, child, before, err)
			  : check_free(root, child->name, before, err);
	}
	return rc;
}

/* The folder gets its name, which nobody sees before it hangs in the root. */
static int prepare_named(struct tree *tree, struct volume *volume,
			 const char *name, const struct volume *before,
			 struct error *err)
{
	int rc = node_check_name(name, name, err);
	char *copy;

	if (rc == 0)
		rc = check_free(tree_root(tree), name, before, err);
	if (rc == 0)
		rc = reserve(tree_root(tree), 1, err);
	if (rc)
		return rc;
	copy = arena_strdup(volume->grove.arena, name);
	if (!copy)
		return fail(err, ENOMEM, "%s: no memory", name);
	volume->grove.nodes[0]->name = copy;
	return 0;
}

static bool reserve_volume(struct tree *tree)
{
	size_t wanted = max_u64(VOLUMES_MIN, 2 * tree->room);
	struct volume **grown;

	if (tree->count < tree->room)
		return true;
	grown = reallocarray(tree->volumes, wanted, sizeof(*grown));
	if (!grown)
		return false;
	tree->volumes = grown;
	tree->room = wanted;
	return true;
}

static void number(struct tree *tree, struct volume *volume)
{
	volume->first = tree->next;
	for (size_t i = 0; i < volume->grove.count; i++)
		volume->grove.nodes[i]->ino = tree->next++;
	tree->volumes[tree->count++] = volume;
}

static void hang(struct node *host, struct node *node)
{
	node->parent = host;
	node_insert(host, node);
	if (is_later(node->mtime, host->mtime))
		host->mtime = node->mtime;
}

static void hang_flat(struct tree *tree, struct volume *volume)
{
	const struct node *folder = volume->grove.nodes[0];

	/* The volume's own folder is not seen, nor are those in a host. */
	volume->shown--;
	for (size_t i = 0; i < folder->count; i++) {
		struct node *child = folder->children[i];
		struct node *host = host_of(tree, child);

		if (!host) {
			hang(tree_root(tree), child);
			continue;
		}
		volume->shown--;
		for (size_t j = 0; j < child->count; j++)
			hang(host, child->children[j]);
	}
}

/* Take all of a volume out of the mount's own folders. */
static void withdraw(struct tree *tree, struct volume *volume)
{
	assert(volume->attached);
	for (size_t i = 0; i < tree->own.count; i++)
		if (tree->own.nodes[i]->kind == NODE_DIR)
			node_take_out(tree->own.nodes[i], volume, NULL);
	volume->attached = false;
	tree->shown -= volume->shown;
	tree->bytes -= volume->grove.bytes;
}

static void come(struct tree *tree, const char *name, struct volume *volume)
{
	number(tree, volume);
	volume->shown = volume->grove.count;
	volume->attached = true;
	if (name)
		hang(tree_root(tree), volume->grove.nodes[0]);
	else
		hang_flat(tree, volume);
	tree->shown += volume->shown;
	tree->bytes += volume->grove.bytes;
}

int tree_attach(struct tree *tree, const char *name, struct volume *volume,
		struct volume *before, void (*gone)(void *ctx), void *ctx,
		struct error *err)
{
	struct volume *ended = NULL;
	int rc;

	assert(!volume->attached && volume != before);
	pthread_mutex_lock(&tree->lock);
	if (!reserve_volume(tree))
		rc = fail(err, ENOMEM, "no memory for another recipe");
	else if (name)
		rc = prepare_named(tree, volume, name, before, err);
	else
		rc = prepare_flat(tree, volume->grove.nodes[0], before, err);
	if (rc == 0) {
		volume->gone = gone;
		volume->ctx = ctx;
		if (before)
			withdraw(tree, before);
		come(tree, name, volume);
		if (before)
			ended = tree_take_gone(tree, before);
	}
	pthread_mutex_unlock(&tree->lock);
	tree_end_volume(ended);
	return rc;
}

void tree_detach(struct tree *tree, struct volume *volume)
{
	struct volume *ended;

	pthread_mutex_lock(&tree->lock);
	withdraw(tree, volume);
	clock_gettime(CLOCK_REALTIME, &tree_root(tree)->mtime);
	ended = tree_take_gone(tree, volume);
	pthread_mutex_unlock(&tree->lock);
	tree_end_volume(ended);
}
