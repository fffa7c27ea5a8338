/*
 * What has left the tree, and the kernel still knows. It keeps names as long as
 * it has memory for them, also in a folder that left while somebody was on the
 * way through it, and with a name the folder: what is there is known by its
 * look-ups; what is not, by the questions for it, which no forgetting ends.
 */
#include "fs/tree_inside.h"

#define MISSING_MAX 1024 /* more would be no loader's, and wait for memory */

void volume_missed(struct volume *volume, const struct node *dir,
		   const char *name)
{
	struct missing *made;

	for (const struct missing *at = volume->missing; at; at = at->next)
		if (at->dir == dir->ino && strcmp(at->name, name) == 0)
			return;
	if (volume->missing_count == MISSING_MAX)
		return;
	made = arena_alloc(volume->grove.arena, 1, sizeof(*made));
	if (!made)
		return;
	*made = (struct missing){
		.next = volume->missing,
		.dir = dir->ino,
		.name = arena_strdup(volume->grove.arena, name),
	};
	if (!made->name)
		return;
	volume->missing = made;
	volume->missing_count++;
}

bool tree_is_stale(const struct node *node)
{
	return node->volume && !node->volume->attached;
}

static bool is_to_tell(const struct volume *volume, const struct node *node)
{
	return node->lookups > 0 &&
	       (!volume->told || node->parent->ino != TREE_ROOT);
}

typedef void (*tell)(void *ctx, uint64_t dir, const char *name);

static void each_of_volume(const struct volume *volume, tell fn, void *ctx)
{
	for (size_t i = 0; i < volume->grove.count; i++) {
		const struct node *node = volume->grove.nodes[i];

		if (is_to_tell(volume, node))
			fn(ctx, node->parent->ino, node->name);
	}
	for (const struct missing *at = volume->missing; at; at = at->next)
		fn(ctx, at->dir, at->name);
}

/* Call fn for each name of volumes that have left which the kernel may know. */
static void each_stale(const struct tree *tree, tell fn, void *ctx)
{
	for (size_t i = 0; i < tree->count; i++)
		if (!tree->volumes[i]->attached)
			each_of_volume(tree->volumes[i], fn, ctx);
}

/* A list of names in the making; at first only measured. */
struct names {
	size_t count, bytes;
	struct tree_name *names;
	char *text;
};

static void measure_name(void *ctx, uint64_t dir, const char *name)
{
	struct names *names = ctx;

	names->count++;
	names->bytes += sizeof(*names->names) + strlen(name) + 1;
}

static void add_name(void *ctx, uint64_t dir, const char *name)
{
	struct names *names = ctx;
	size_t len = strlen(name) + 1;

	memcpy(names->text, name, len);
	names->names[names->count++] = (struct tree_name){ dir, names->text };
	names->text += len;
}

struct tree_name *tree_stale_names(struct tree *tree, size_t *count)
{
	struct names names = { 0 };

	pthread_mutex_lock(&tree->lock);
	each_stale(tree, measure_name, &names);
	names.names = malloc(max_u64(names.bytes, 1));
	if (names.names) {
		names.text = (char *)(names.names + names.count);
		names.count = 0;
		each_stale(tree, add_name, &names);
		for (size_t i = 0; i < tree->count; i++)
			tree->volumes[i]->told = !tree->volumes[i]->attached;
	}
	pthread_mutex_unlock(&tree->lock);
	*count = names.names ? names.count : 0;
	return names.names;
}
