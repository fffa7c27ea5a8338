#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "fs/tree_inside.h"

#define ROOM_MIN 8

/* --- the children of a folder ------------------------------------------- */

/* Room for `wanted` at least, and twice what there was. */
static bool grow(struct node ***list, size_t wanted, size_t *room)
{
	struct node **grown;

	if (wanted <= *room)
		return true;
	wanted = max_u64(max_u64(ROOM_MIN, wanted), 2 * *room);
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

struct node *node_child(const struct node *dir, const char *name)
{
	size_t rank = rank_of(dir, name);

	if (rank == dir->count || strcmp(dir->children[rank]->name, name) != 0)
		return NULL;
	return dir->children[rank];
}

bool node_reserve(struct node *dir, size_t more)
{
	return grow(&dir->children, dir->count + more, &dir->room);
}

void node_insert(struct node *dir, struct node *child)
{
	size_t rank = rank_of(dir, child->name);

	memmove(dir->children + rank + 1, dir->children + rank,
		(dir->count - rank) * sizeof(struct node *));
	dir->children[rank] = child;
	dir->count++;
	dir->dirs += child->kind == NODE_DIR;
}

void node_take_out(struct node *dir, const struct volume *volume,
		   const struct node *only)
{
	size_t kept = 0;

	for (size_t i = 0; i < dir->count; i++) {
		struct node *child = dir->children[i];

		if (volume ? child->volume == volume : child == only)
			dir->dirs -= child->kind == NODE_DIR;
		else
			dir->children[kept++] = child;
	}
	dir->count = kept;
}

/* --- groves ------------------------------------------------------------- */

/* A copy of the model below a folder; parent NULL: the first. */
static struct node *add_node(struct grove *grove, struct node *parent,
			     const char *name, const struct node *model)
{
	struct node *node = arena_alloc(grove->arena, 1, sizeof(*node));

	if (!node || !grow(&grove->nodes, grove->count + 1, &grove->room) ||
	    (parent && !node_reserve(parent, 1)))
		return NULL;
	*node = *model;
	node->ino = 0;
	node->volume = grove->volume;
	node->parent = parent ? parent : node;
	node->name = arena_strdup(grove->arena, name);
	if (!node->name)
		return NULL;
	if (parent)
		node_insert(parent, node);
	grove->nodes[grove->count++] = node;
	grove->bytes += node->size;
	return node;
}

bool grove_init(struct grove *grove, struct timespec mtime,
		struct volume *volume)
{
	const struct node folder = { .kind = NODE_DIR, .mtime = mtime };

	*grove = (struct grove){ .arena = arena_open(), .volume = volume };
	return grove->arena && add_node(grove, NULL, "", &folder);
}

void grove_done(struct grove *grove)
{
	for (size_t i = 0; i < grove->count; i++)
		free(grove->nodes[i]->children);
	free(grove->nodes);
	arena_close(grove->arena);
}

int node_check_name(const char *path, const char *name, struct error *err)
{
	size_t len = strlen(name);

	if (len > 0 && len <= NAME_MAX && strcmp(name, ".") != 0 &&
	    strcmp(name, "..") != 0 && !strchr(name, '/'))
		return 0;
	return fail(err, EINVAL, "%s: \"%s\" is no name for a file", path,
		    name);
}

/* What is wrong with a path, before anything is made for it. */
static int check_path(const struct grove *grove, const char *path,
		      struct error *err)
{
	AUTO_FREE char *parts = strdup(path);
	/* NULL: below a folder to be made. */
	const struct node *node = grove->nodes[0];
	char *rest = parts, *name;

	if (!parts)
		return fail(err, ENOMEM, "%s: no memory", path);
	while ((name = strsep(&rest, "/"))) {
		int rc = node_check_name(path, name, err);

		if (rc)
			return rc;
		if (node && node->kind != NODE_DIR)
			return fail(err, EINVAL, "%s: %s is a file already",
				    path, node->name);
		if (node && node->volume != grove->volume)
			return fail(err, EINVAL,
				    "%s: %s is a folder of a recipe", path,
				    node->name);
		if (node)
			node = node_child(node, name);
	}
	if (node)
		return fail(err, EINVAL, "%s is there already", path);
	return 0;
}

/* The folder of this name below another, made where it is missing. */
static struct node *enter_dir(struct grove *grove, struct node *dir,
			      const char *name)
{
	const struct node model = { .kind = NODE_DIR, .mtime = dir->mtime };
	struct node *child = node_child(dir, name);

	return child ? child : add_node(grove, dir, name, &model);
}

int grove_add(struct grove *grove, const char *path, const struct node *model,
	      struct error *err)
{
	AUTO_FREE char *parts = strdup(path);
	struct node *dir = grove->nodes[0];
	char *rest = parts, *name;
	int rc = check_path(grove, path, err);

	if (rc)
		return rc;
	while (dir && (name = strsep(&rest, "/")))
		dir = rest ? enter_dir(grove, dir, name)
			   : add_node(grove, dir, name, model);
	if (!parts || !dir)
		return fail(err, ENOMEM, "%s: no memory", path);
	return 0;
}

/* --- volumes ----------------------------------------------------------------
 */

struct volume *volume_open(struct timespec mtime)
{
	struct volume *volume = calloc(1, sizeof(*volume));

	if (!volume || grove_init(&volume->grove, mtime, volume))
		return volume;
	volume_close(volume);
	return NULL;
}

void volume_close(struct volume *volume)
{
	if (!volume)
		return;
	grove_done(&volume->grove);
	free(volume);
}

int volume_add(struct volume *volume, const char *path,
	       const struct node *model, struct error *err)
{
	assert(!volume->attached);
	return grove_add(&volume->grove, path, model, err);
}

/* Add "dir/name", or, where dir is "", "name". */
static int add_below(struct volume *volume, const char *dir, const char *name,
		     const struct node *model, struct error *err)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0) {
		path = NULL;
		return fail(err, ENOMEM, "%s: no memory", name);
	}
	return volume_add(volume, path, model, err);
}

static int add_sidecar(struct volume *volume, const char *dir,
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

	return add_below(volume, dir, file->path, &model, err);
}

int volume_add_lens(struct volume *volume, const char *dir,
		    const struct lens *lens, struct error *err)
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

		rc = add_below(volume, dir, file->name, &model, err);
	}
	for (size_t i = 0; rc == 0 && i < lens->sidecars->count; i++)
		rc = add_sidecar(volume, dir, lens, &lens->sidecars->files[i],
				 err);
	return rc;
}

const struct node *volume_find(const struct volume *volume, const char *path)
{
	AUTO_FREE char *parts = strdup(path);
	const struct node *node = volume->grove.nodes[0];
	char *rest = parts, *name;

	if (!*path)
		return node;
	if (!parts)
		return NULL;
	while (node && (name = strsep(&rest, "/")))
		node = node_child(node, name);
	return node;
}
