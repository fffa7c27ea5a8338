/*
 * `llmergefs RECIPE MOUNTPOINT`: from the command line to a daemon that serves
 * the mount, and to its end. The parent returns once the mount answers; what is
 * wrong before is said on its standard error, with its exit code.
 */
#ifndef LMFS_MOUNT_H
#define LMFS_MOUNT_H

#include "fs/options.h"

/* Returns an exit code. */
int mount_main(const struct options *options);

#endif
