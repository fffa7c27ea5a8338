/*
 * The index of a model in shards, model.safetensors.index.json:
 *
 *	{"metadata": {...}, "weight_map": {"<tensor>": "<file>", ...}}
 *
 * Files are plain names: shards lie in the folder of their index.
 */
#ifndef LMFS_WEIGHT_INDEX_H
#define LMFS_WEIGHT_INDEX_H

#include "core/base/arena.h"
#include "core/base/error.h"

struct weight_entry {
	const char *tensor;
	size_t shard; /* index into the shards */
};

struct weight_index {
	const char *path;		    /* for sentences; borrowed */
	const struct weight_entry *entries; /* by strcmp of tensors */
	size_t count;
	const char *const *shards; /* by strcmp, each once */
	size_t shards_count;
};

/*
 * Read and check an index; all made lives in the arena. True, or false and what
 * is wrong in the report.
 */
bool weight_index_read(const char *path, struct arena *arena,
		       struct weight_index *index, struct report *report);

#endif
