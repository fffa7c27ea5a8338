/*
 * Which files of a folder hold a model's weights.
 */
#ifndef LMFS_WEIGHT_FILES_H
#define LMFS_WEIGHT_FILES_H

#include "core/base/arena.h"
#include "core/base/error.h"

/* One of the two is set, in the arena. */
struct weight_files {
	const char *index;  /* path of an index of shards */
	const char *single; /* name of the one file */
};

/*
 * Choose as model.h says. ENOENT where the folder has no weights, or none that
 * can be read: the sentence says what it has instead, and what to do; `remedy`
 * (may be empty) ends it where files are missing.
 */
int weight_files_find(const char *dir, const char *remedy, struct arena *arena,
		      struct weight_files *files, struct error *err);

#endif
