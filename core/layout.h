/*
 * Where the bytes of the output tensors lie: shards, their headers, and which
 * tensor an offset falls into.
 *
 * Tensors are packed into shards greedily in order of their names; a new shard
 * starts where the present one is not empty and would grow past shard_size
 * (bytes of tensors, 0: never). In a shard they lie by descending size of the
 * element, then by name, as the safetensors library writes them. One shard is
 * model.safetensors; more are model-0000x-of-0000y.safetensors. The header is
 * padded with blanks so that data starts at a multiple of 4096, and its
 * metadata is {"format":"pt","llmergefs_recipe":"<hash of the recipe>"}.
 */
#ifndef LMFS_LAYOUT_H
#define LMFS_LAYOUT_H

#include "core/plan.h"

#define LAYOUT_ALIGN 4096

struct layout_file {
	const char *name;
	const char *header;   /* 8 bytes of length and the padded JSON */
	uint64_t header_size; /* multiple of LAYOUT_ALIGN */
	uint64_t size;	      /* of the whole file */
	const struct job *const *jobs; /* in order of offsets */
	const uint64_t *offsets;       /* [i]: where job i starts in the file */
	size_t count;
};

struct layout {
	struct layout_file *files;
	size_t count;
	char *index; /* model.safetensors.index.json; NULL: one shard only */
	size_t index_len;
	struct arena *arena;
};

enum span_kind { SPAN_HEADER, SPAN_TENSOR };

/* A run of bytes of a file, all in the header or all in one tensor. */
struct span {
	enum span_kind kind;
	const char *bytes; /* SPAN_HEADER: the bytes at the offset asked for */
	const struct job *job; /* SPAN_TENSOR */
	uint64_t off;	       /* in the tensor */
	uint64_t len;	       /* to the end of header or tensor; never 0 */
};

/* Borrows the plan. */
struct layout *layout_open(const struct plan *plan, struct error *err);
void layout_close(struct layout *layout); /* NULL is fine */

/* The span at off < file->size. Tensors of no bytes are never found. */
struct span layout_locate(const struct layout_file *file, uint64_t off);

#endif
