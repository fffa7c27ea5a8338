/*
 * A checkpoint: the weights of one folder, in one safetensors file or in shards
 * with an index, as one table of tensors. See model.h for which files are
 * taken.
 */
#ifndef LMFS_CHECKPOINT_H
#define LMFS_CHECKPOINT_H

#include "core/safetensors.h"

struct checkpoint {
	const struct tensor *const *tensors; /* in order of strcmp of names */
	size_t count;
};

/*
 * Read all headers of a folder. The files join the sources; the table lives in
 * the arena. `remedy` ends the sentence about a missing file (" ..."; may be
 * empty). Everything wrong goes to the report: then the table means nothing.
 */
void checkpoint_read(const char *dir, const char *remedy,
		     struct source_set *sources, struct arena *arena,
		     struct checkpoint *out, struct report *report);

#endif
