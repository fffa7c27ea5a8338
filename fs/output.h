/*
 * The output files of a lens, shards and files beside the weights alike, as
 * `export` and `sum` go through them: a flat list in order of strcmp of their
 * paths, and one way to read any of them. It is what the mount shows, without
 * `.llmergefs/`.
 */
#ifndef LMFS_OUTPUT_H
#define LMFS_OUTPUT_H

#include "fs/engine.h"

struct output_file {
	const struct lens *lens; /* borrowed */
	const char *path;	 /* relative, '/' between folders */
	uint64_t size;
	const struct layout_file *shard; /* NULL: a sidecar */
	const struct sidecar *sidecar;	 /* NULL: a shard */
};

struct outputs {
	struct output_file *files; /* owned */
	size_t count;
	uint64_t bytes; /* of all files */
};

#define AUTO_OUTPUTS AUTO(outputs_done)

int outputs_init(struct outputs *outputs, const struct lens *lens,
		 struct error *err);
void outputs_done(struct outputs *outputs);

/* Where bytes of a file that are a source's own lie in it; NULL: not all of
 * them are. */
const struct source *output_source(const struct output_file *file, uint64_t off,
				   uint64_t len, uint64_t *source_off);

/* Read exactly len bytes at off, within the file. Not from a pool task. */
int output_read(struct engine *engine, const struct output_file *file,
		uint64_t off, size_t len, void *buf, struct error *err);

#endif
