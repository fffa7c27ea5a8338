/*
 * All bytes of all output files, once, made by many threads: the common part of
 * `export` and `sum`. The files are cut into chunks, in order; a file without
 * bytes is one chunk without bytes.
 *
 *	threads:	make chunk -> step->work
 *	caller:		                         -> step->fold, in order
 *
 * At most a few chunks more than there are threads exist at a time. The first
 * failure ends the stream.
 */
#ifndef LMFS_STREAM_H
#define LMFS_STREAM_H

#include "fs/output.h"

#define STREAM_CHUNK_BYTES ((size_t)4 << 20)
#define STREAM_ALIGN 4096 /* of the chunks, in memory and in their files */

struct stream_chunk {
	const struct output_file *file;
	uint64_t off; /* multiple of STREAM_CHUNK_BYTES */
	size_t len;
	bool last; /* of the file */
	void *data;
};

struct stream_step {
	/* On any thread, before a chunk is made: whether it needs no making,
	 * for what `work` would do is done, and its data is not looked at. May
	 * be NULL. */
	bool (*instead)(void *ctx, const struct stream_chunk *chunk);
	/* On any thread, in any order; may be NULL. */
	int (*work)(void *ctx, const struct stream_chunk *chunk,
		    struct error *err);
	/* On the calling thread, in order of files and offsets. */
	int (*fold)(void *ctx, const struct stream_chunk *chunk,
		    struct error *err);
	void *ctx;
};

/* threads: 0 for as many as the machine has. Not from a pool task. */
int stream_run(struct engine *engine, const struct outputs *outputs,
	       size_t threads, const struct stream_step *step,
	       struct error *err);

#endif
