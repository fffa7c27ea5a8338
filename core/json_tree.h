/*
 * What the two readers, core/json.c and core/yaml.c, share to finish a tree.
 */
#ifndef LMFS_JSON_TREE_H
#define LMFS_JSON_TREE_H

#include "core/json.h"

/*
 * Fill object->sorted from its names. 0, -ENOMEM, or -EEXIST where a name is
 * doubled: then *doubled is the index of a member whose name came before.
 */
int json_index(struct json *object, struct arena *arena,
	       size_t *doubled) MUST_USE;

#endif
