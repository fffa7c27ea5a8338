/*
 * The Hugging Face cache, read offline and never written:
 *
 *	<root>/models--org--name/refs/<branch or tag>	holds a commit
 *	<root>/models--org--name/snapshots/<commit>/	links to blobs/
 *
 * The root is HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else HF_HOME/hub, else
 * XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub, as in the
 * package huggingface_hub.
 */
#ifndef LMFS_HUB_H
#define LMFS_HUB_H

#include "core/base/base.h"

/* Has the form of a model's id, "org/name" or "name". */
bool hub_is_id(const char *text);

/* Is a name that a branch, a tag or a commit may have. */
bool hub_is_revision(const char *text);

/* The caller frees it; NULL: no variable says where, or no memory. */
char *hub_root(void);

/*
 * The snapshot of a valid id at a valid revision (NULL: main). The caller frees
 * *dir. 0, -ENOENT where the cache has none, or -errno.
 */
int hub_find(const char *root, const char *id, const char *revision,
	     char **dir);

#endif
