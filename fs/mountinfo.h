/*
 * What the kernel says of a mount, from /proc/self/mountinfo: never by touching
 * the mount itself, which could be our own and not answer yet.
 */
#ifndef LMFS_MOUNTINFO_H
#define LMFS_MOUNTINFO_H

#include "core/base/base.h"

#define MOUNTINFO_FSTYPE_MAX 64
#define MOUNTINFO_DEVICE_MAX 32

struct mountinfo {
	char fstype[MOUNTINFO_FSTYPE_MAX]; /* "fuse.llmergefs" */
	char device[MOUNTINFO_DEVICE_MAX]; /* "0:46" */
};

/* The mount on top of this absolute path: true, and *info. */
bool mountinfo_find(const char *path, struct mountinfo *info);

#endif
