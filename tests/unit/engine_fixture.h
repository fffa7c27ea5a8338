/*
 * What the tests of the engine share: three small models with random weights, a
 * lens on a recipe over them, the files of the lens as they must be, and a gate
 * that methods of a test wait at.
 *
 * The models a, b and c have the tensors of engine_fixture.c. A test may give
 * jobs of a lens a method of its own before the first read (engine_job).
 */
#ifndef LMFS_TESTS_ENGINE_FIXTURE_H
#define LMFS_TESTS_ENGINE_FIXTURE_H

#include <stdatomic.h>

#include "fs/engine.h"
#include "tests/unit/fixture.h"

/* Tensors of the models; as float32, "large" takes more than two chunks. */
#define ENGINE_LARGE "model.large.weight"
#define ENGINE_SMALL "model.small.weight"
#define ENGINE_HUGE "model.huge.weight"
#define ENGINE_HUGE_ELEMENTS 6

extern const char ENGINE_LINEAR[], ENGINE_TIES[], ENGINE_COPY[],
	ENGINE_OVERFLOW[];

/* Group set-up and tear-down for cmocka: *state is a struct fixture with the
 * models. Nothing is logged to standard error. */
int engine_fixture_open(void **state);
int engine_fixture_close(void **state);

/* Write the models anew, where a test has spoilt them. */
void engine_fixture_models(const struct fixture *fx);

struct lens *engine_lens(const struct fixture *fx, const char *recipe);

/* A ties lens over all models that differs from others in lambda alone. */
struct lens *engine_lens_lambda(const struct fixture *fx, double lambda);

/* One that differs from others in the density of its models alone. */
struct lens *engine_lens_density(const struct fixture *fx, double density);

/* Count a lens in. */
void engine_join(struct engine *engine, struct lens *lens);

/* One with 4 threads; dir: below the fixture's folder, may be NULL. */
struct engine *engine_start(const struct fixture *fx, enum engine_cache cache,
			    const char *dir);
/* The same with these many bytes of memory for the cache. */
struct engine *engine_start_with(const struct fixture *fx,
				 enum engine_cache cache, const char *dir,
				 size_t cache_mem);

/* Forget the lens and close it. */
void engine_leave(struct engine *engine, struct lens *lens);

/* The same, and close the engine. */
void engine_end(struct engine *engine, struct lens *lens);

struct engine_stats engine_stats_of(struct engine *engine);

/* The only shard of a lens, and its bytes by another path than the engine:
 * header, merge_state() and merge_bytes() of whole tensors. The caller frees.
 */
const struct layout_file *engine_file(const struct lens *lens);
unsigned char *engine_expected(const struct lens *lens);

/* A job by name, and where its bytes begin in the shard. */
struct job *engine_job(const struct lens *lens, const char *name);
uint64_t engine_job_off(const struct lens *lens, const char *name);

/* The bytes through the engine must be the expected ones. */
void assert_reads(struct engine *engine, const struct lens *lens,
		  const unsigned char *expected, uint64_t off, size_t len);
void assert_reads_all(struct engine *engine, const struct lens *lens,
		      const unsigned char *expected);

/* Waits until an engine's counter or a test's has come so far. */
#define WAIT_UNTIL(condition)                                              \
	do {                                                               \
		for (int i_ = 0; !(condition); i_++) {                     \
			if (i_ > 20000)                                    \
				fail_msg("%s", #condition);                \
			nanosleep(&(struct timespec){ .tv_nsec = 500000 }, \
				  NULL);                                   \
		}                                                          \
	} while (0)

/* Those who come wait until it is open; it is shut at first. */
struct gate {
	atomic_int came, left;
	atomic_bool open;
};

void gate_pass(struct gate *gate);

#endif
