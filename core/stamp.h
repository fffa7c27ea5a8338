/*
 * What tells a file, and one state of it, from any other, as far as stat() can
 * tell: a file that is replaced or written to gets another stamp.
 */
#ifndef LMFS_STAMP_H
#define LMFS_STAMP_H

#include <sys/stat.h>
#include <time.h>

#include "core/base/base.h"

struct stamp {
	dev_t device;
	ino_t inode;
	uint64_t size;
	struct timespec mtime;
};

struct stamp stamp_of(const struct stat *st);

/* Negative, 0 (the same) or positive: some total order. */
int stamp_order(const struct stamp *a, const struct stamp *b);

#endif
