/*
 * The folder that a mount goes to: checked before anything is done to it.
 */
#ifndef LMFS_MOUNTPOINT_H
#define LMFS_MOUNTPOINT_H

#include "fs/lens.h"

#define MOUNTPOINT_FSTYPE "fuse.llmergefs"

/*
 * The absolute path, without links, of a folder to mount on; the caller frees
 * *path. What a killed llmergefs left there is unmounted first. ENOTDIR and the
 * like with a sentence.
 */
int mountpoint_prepare(const char *given, char **path, struct error *err);

/*
 * Refuse (EINVAL) a mount on `folder` that would hide what it is made from: a
 * read would wait for itself. `what` says what the path is: "the recipe".
 */
int mountpoint_hides(const char *folder, const char *path, const char *what,
		     struct error *err);

/* The same for all sources, and the cache (dir: NULL for none). */
int mountpoint_check(const char *path, struct source_set *sources,
		     const char *cache_dir, struct error *err);

/* Raise the read-ahead of the mount. EACCES with the command that does it,
 * where that takes more rights. */
int mountpoint_read_ahead(const char *path, unsigned kib, struct error *err);

/* Why FUSE has just refused to mount, as far as can be told. */
const char *mountpoint_refusal(void);

#endif
