/*
 * From a reference to a folder, as model.h says: relative to the recipe's
 * folder, to the working directory, then in the Hugging Face cache.
 */
#ifndef LMFS_MODEL_FIND_H
#define LMFS_MODEL_FIND_H

#include "core/model.h"

struct model_place {
	const char *dir; /* absolute, links resolved */
	/* Ends a sentence about a file that is missing there: the command that
	 * gets it, or "" where none can. */
	const char *remedy;
	bool in_hub; /* the reference's revision was looked at */
};

/* Where relative paths are looked for, in this order. */
struct model_dirs {
	const char *recipe;  /* the recipe's folder */
	const char *working; /* NULL: the process's own working directory */
};

/* All made lives in the arena. ENOENT: found nowhere; EINVAL: a file. */
int model_find(const struct model_ref *ref, const struct model_dirs *dirs,
	       struct arena *arena, struct model_place *place,
	       struct error *err);

#endif
