#include <assert.h>

#include "core/json.h"

struct frame {
	const struct json *from;
	struct json *items; /* of the copy */
	size_t at;	    /* the item that is next */
};

size_t json_height(const struct json *tree)
{
	const struct json *nodes[JSON_DEPTH_MAX];
	size_t at[JSON_DEPTH_MAX], depth = 0, height = 0;

	for (;;) {
		if (tree->type == JSON_ARRAY || tree->type == JSON_OBJECT) {
			assert(depth < JSON_DEPTH_MAX);
			nodes[depth] = tree;
			at[depth++] = 0;
			height = depth > height ? depth : height;
		}
		while (depth > 0 && at[depth - 1] == nodes[depth - 1]->count)
			depth--;
		if (depth == 0)
			return height;
		tree = nodes[depth - 1]->items[at[depth - 1]++];
	}
}

/* The names of an object, and their order; false: no memory. */
static bool copy_names(const struct json *from, struct arena *arena,
		       struct json *node)
{
	const char **names = arena_alloc(arena, from->count, sizeof(*names));
	uint32_t *sorted = arena_alloc(arena, from->count, sizeof(*sorted));

	if (!names || !sorted)
		return false;
	for (size_t i = 0; i < from->count; i++) {
		names[i] = arena_strdup(arena, from->names[i]);
		if (!names[i])
			return false;
		sorted[i] = from->sorted[i];
	}
	node->names = names;
	node->sorted = sorted;
	return true;
}

/* Make room for what a container holds; NULL: no memory. */
static struct json *copy_container(const struct json *from, struct arena *arena,
				   struct json *node)
{
	struct json *items = arena_alloc(arena, from->count, sizeof(*items));
	struct json **list = arena_alloc(arena, from->count, sizeof(*list));

	if (!items || !list)
		return NULL;
	for (size_t i = 0; i < from->count; i++)
		list[i] = &items[i];
	node->items = list;
	if (from->type == JSON_OBJECT && !copy_names(from, arena, node))
		return NULL;
	return items;
}

/* A node without what it holds: its items come next, where it has some. */
static bool copy_node(const struct json *from, struct arena *arena,
		      struct json *node, struct json **items)
{
	*node = *from;
	*items = NULL;
	if (from->string) {
		node->string = arena_strdup(arena, from->string);
		return node->string != NULL;
	}
	if (from->type != JSON_ARRAY && from->type != JSON_OBJECT)
		return true;
	*items = copy_container(from, arena, node);
	return *items != NULL;
}

const struct json *json_copy(const struct json *tree, struct arena *arena)
{
	struct frame frames[JSON_DEPTH_MAX], *top;
	struct json *root = arena_alloc(arena, 1, sizeof(*root));
	struct json *node = root, *items;
	size_t depth = 0;

	while (node) {
		if (!copy_node(tree, arena, node, &items))
			return NULL;
		if (items) {
			assert(depth < JSON_DEPTH_MAX);
			frames[depth++] = (struct frame){ tree, items, 0 };
		}
		while (depth > 0 &&
		       frames[depth - 1].at == frames[depth - 1].from->count)
			depth--;
		if (depth == 0)
			return root;
		top = &frames[depth - 1];
		tree = top->from->items[top->at];
		node = &top->items[top->at++];
	}
	return NULL;
}
