/*
 * What the tests of volumes share: a tree like that of a mount, with a live
 * file and a control file in .llmergefs/, and volumes of small text files.
 */
#ifndef LMFS_VOLUME_FIXTURE_H
#define LMFS_VOLUME_FIXTURE_H

#include <stdatomic.h>

#include "fs/tree.h"

/* A file at the top, one in a folder, and one in .llmergefs/. */
extern const char *const volume_files[];

struct tree *open_mount_tree(void);

/* With these files in it; NULL ends them. */
struct volume *open_volume(const char *const *paths);

/* `ended` (NULL: not asked for) counts the calls of `gone`. */
void attach_volume(struct tree *tree, const char *name, struct volume *volume,
		   struct volume *before, atomic_int *ended);

const struct node *root_node(struct tree *tree);

/* By path from the root, each step counted; NULL: there is none. */
const struct node *find_node(struct tree *tree, const char *path);

#endif
