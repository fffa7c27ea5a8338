/*
 * Memory that a thread works in: a buffer for one reply and scratch for the
 * merge, so that both stay in that core's L2. Each thread has its own, made at
 * its first use; it ends with the thread, or with the set of all of them.
 */
#ifndef LMFS_WORKSPACE_H
#define LMFS_WORKSPACE_H

#include "core/merge.h"

struct workspaces; /* of all threads */

struct workspace {
	void *buffer; /* of the set's size, 64-byte aligned */
	struct merge_scratch *scratch;
};

/* NULL: no memory, or no thread key left. */
struct workspaces *workspaces_open(size_t buffer_size);

/* No thread may use its own any more. NULL is fine. */
void workspaces_close(struct workspaces *set);

/* The calling thread's. NULL: no memory. */
struct workspace *workspace_mine(struct workspaces *set);

#endif
