/*
 * What unit tests share: a folder of their own that goes when they end, source
 * files with given bytes, safetensors files with given tensors, and a small
 * random generator that gives the same numbers on every machine.
 *
 * These functions end the test program where they fail (assert_* of cmocka
 * belongs to the test itself).
 */
#ifndef LMFS_TESTS_FIXTURE_H
#define LMFS_TESTS_FIXTURE_H

#include "core/safetensors.h"
#include "core/source.h"

#define FIXTURE_PATH_MAX 512

struct fixture {
	char dir[FIXTURE_PATH_MAX]; /* absolute, empty at first */
	struct source_set *sources;
};

void fixture_open(struct fixture *fx);
void fixture_close(struct fixture *fx); /* removes the folder and its content */

/* dir/name, in `path`; missing folders of it are made. */
void fixture_path(const struct fixture *fx, const char *name,
		  char path[FIXTURE_PATH_MAX]);

/* Write (or overwrite) a file. */
void fixture_write(const struct fixture *fx, const char *name, const void *data,
		   size_t size);

/* The same, as a source of fx->sources. */
struct source *fixture_source(struct fixture *fx, const char *name,
			      const void *data, size_t size);

struct fixture_tensor {
	const char *name;
	enum dtype dtype;
	struct shape shape;
	const void *data; /* NULL: zeros */
};

/* Write a safetensors file whose tensors lie in the given order. */
void fixture_safetensors(const struct fixture *fx, const char *name,
			 const struct fixture_tensor *tensors, size_t count);

/* A linear congruential generator (Knuth's MMIX), its 32 high bits. */
uint32_t fixture_random(uint64_t *state);

/* About normal with the given deviation: a sum of four uniform numbers. */
float fixture_normal(uint64_t *state, float deviation);

#endif
