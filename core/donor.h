/*
 * The small files of a model's folder: everything that is not weights, with its
 * subfolders. What is left out is a table of patterns in donor.c.
 *
 * A name may be a symbolic link to a file, as all are in the Hugging Face
 * cache; links to folders are not followed, so that a walk stays within the
 * folder and ends.
 */
#ifndef LMFS_DONOR_H
#define LMFS_DONOR_H

#include "core/base/arena.h"
#include "core/base/error.h"

struct donor_files {
	const char **paths; /* relative, '/' between folders, by strcmp */
	size_t count;
};

/*
 * List the files of `dir` within the limits of sidecar.h. What cannot be shown
 * (odd names, too many, too deep, too large) is a warning each. The paths live
 * in the arena. 0 or -ENOMEM.
 */
int donor_list(const char *dir, struct arena *arena, struct donor_files *files,
	       struct report *report);

/* Whether a file or folder of this name (no path) is left out. */
bool donor_leaves_out(const char *name);

#endif
