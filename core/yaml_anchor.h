/*
 * Finished YAML nodes, and the anchors that name them. An alias shares the node
 * of its anchor, so a small text can stand for a tree of any size: every node
 * carries what it would be with all aliases written out.
 */
#ifndef LMFS_YAML_ANCHOR_H
#define LMFS_YAML_ANCHOR_H

#include "core/json.h"

struct yaml_value {
	struct json *node; /* borrowed from the arena of the tree */
	const char *text;  /* of a scalar, as it is as a key; else NULL */
	size_t size;	   /* as YAML_NODES_MAX counts, aliases written out */
	size_t height;	   /* containers inside one another; a scalar has 0 */
};

struct yaml_anchor {
	const char *name;
	struct yaml_value value; /* its node is NULL until it is finished */
};

struct yaml_anchors {
	void *tree; /* of tsearch() */
};

/* NULL: no anchor has this name. */
struct yaml_anchor *yaml_anchor_find(const struct yaml_anchors *anchors,
				     const char *name);

/* A new anchor, in the arena: 0, -EEXIST or -ENOMEM. */
int yaml_anchor_add(struct yaml_anchors *anchors, const char *name,
		    struct arena *arena, struct yaml_anchor **anchor);

void yaml_anchors_done(struct yaml_anchors *anchors);

#endif
