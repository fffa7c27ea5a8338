#include <errno.h>
#include <search.h>

#include "core/yaml_anchor.h"

static int compare_anchors(const void *a, const void *b)
{
	const struct yaml_anchor *left = a, *right = b;

	return strcmp(left->name, right->name);
}

struct yaml_anchor *yaml_anchor_find(const struct yaml_anchors *anchors,
				     const char *name)
{
	struct yaml_anchor wanted = { .name = name };
	struct yaml_anchor *const *found;

	found = tfind(&wanted, &anchors->tree, compare_anchors);
	return found ? *found : NULL;
}

int yaml_anchor_add(struct yaml_anchors *anchors, const char *name,
		    struct arena *arena, struct yaml_anchor **anchor)
{
	struct yaml_anchor *made;

	if (yaml_anchor_find(anchors, name))
		return -EEXIST;
	made = arena_alloc(arena, 1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->name = arena_strdup(arena, name);
	if (!made->name || !tsearch(made, &anchors->tree, compare_anchors))
		return -ENOMEM;
	*anchor = made;
	return 0;
}

/* The anchors themselves end with the arena. */
static void keep(void *anchor)
{
}

void yaml_anchors_done(struct yaml_anchors *anchors)
{
	tdestroy(anchors->tree, keep);
	anchors->tree = NULL;
}
