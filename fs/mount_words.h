/*
 * What the mount options and the environment say beside the plain options.
 */
#ifndef LMFS_MOUNT_WORDS_H
#define LMFS_MOUNT_WORDS_H

#include "fs/options.h"

/*
 * Sort the words gathered in options->mount_options, which mount(8) and fstab
 * give as one list: those of the engine are applied ("cache_mem=1G", "\," being
 * a comma in a value), those that mean nothing to a read-only file system of
 * this kind are dropped, and the rest, FUSE's, stays as it was written. EINVAL
 * as for the option itself.
 */
int mount_words_sort(struct options *options, struct error *err);

/* Make *path absolute, against the working directory; NULL stays NULL. */
int path_settle(char **path, struct error *err);

/*
 * Make *dir absolute; where it is NULL, the user's own cache folder:
 * $LLMERGEFS_CACHE, else $XDG_CACHE_HOME/llmergefs, else ~/.cache/llmergefs,
 * else it stays NULL.
 */
int cache_dir_settle(char **dir, struct error *err);

#endif
