/*
 * A folder that is to be written: its absolute name, taken apart. It does not
 * exist yet, or is empty; its parent exists.
 */
#ifndef LMFS_TARGET_H
#define LMFS_TARGET_H

#include "core/base/base.h"
#include "core/base/error.h"

struct target {
	char *path;   /* absolute, without links or a '/' at its end */
	char *parent; /* absolute */
	char *name;   /* in the parent */
};

/* EINVAL where it is no such folder. Done with target_done() in any case. */
int target_init(struct target *target, const char *text, struct error *err);
void target_done(struct target *target);

/* ENOSPC where the parent's file system has not so many bytes free. */
int target_check_space(const struct target *target, uint64_t bytes,
		       struct error *err);

#endif
