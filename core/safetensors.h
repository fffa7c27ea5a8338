/*
 * The safetensors format (huggingface/safetensors, "Format"): 8 bytes N, little
 * endian; N bytes of JSON that describe tensors; data. The reader demands all
 * that the format demands: N within SAFETENSORS_HEADER_MAX and the file, a JSON
 * object that starts with '{', "__metadata__" a map of strings to strings,
 * known dtypes, shapes whose size is the length of their data, data_offsets
 * that cover the data without hole or overlap up to the end of the file, no
 * name twice.
 */
#ifndef LMFS_SAFETENSORS_H
#define LMFS_SAFETENSORS_H

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/dtype.h"
#include "core/source.h"

#define SAFETENSORS_HEADER_MAX 100000000u
#define SHAPE_RANK_MAX 8
#define SHAPE_TEXT_MAX 168 /* enough for shape_text() of any shape */

struct shape {
	unsigned rank; /* 0: a single number */
	uint64_t dim[SHAPE_RANK_MAX];
};

uint64_t shape_elements(const struct shape *shape); /* 1 for rank 0 */
bool shape_equal(const struct shape *a, const struct shape *b);
/* "4096x14336", "scalar" for rank 0. */
void shape_text(const struct shape *shape, char *text, size_t size);

struct tensor {
	const char *name; /* as in the file */
	enum dtype dtype;
	struct shape shape;
	uint64_t off;  /* of the first byte, from the start of the file */
	uint64_t size; /* bytes */
	const struct source *source;
};

struct safetensors {
	struct tensor *tensors; /* in order of their offsets */
	size_t count;
	uint64_t data_off; /* 8 + N */
};

/*
 * Check and take apart a header: `json` is its N bytes, file_size the size of
 * the whole file. Everything made lives in the arena. The sentence names the
 * tensor and the field; the caller adds the file. EBADMSG.
 */
int safetensors_parse(const char *json, size_t n, uint64_t file_size,
		      const struct source *source, struct arena *arena,
		      struct safetensors *out, struct error *err);

/* Read and parse the header of a source; the sentence names the file. EBADMSG,
 * or EIO. */
int safetensors_read(const struct source *source, struct arena *arena,
		     struct safetensors *out, struct error *err);

#endif
