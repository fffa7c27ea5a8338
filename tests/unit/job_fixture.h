/*
 * One job of a method, over sources that a test writes: what the plan makes of
 * a recipe, by hand. Options begin with the defaults of the method's table.
 */
#ifndef LMFS_TESTS_JOB_FIXTURE_H
#define LMFS_TESTS_JOB_FIXTURE_H

#include "core/merge.h"
#include "tests/unit/fixture.h"

#define JOB_FIXTURE_INPUTS 16
#define JOB_FIXTURE_VALUES (JOB_FIXTURE_INPUTS * METHOD_OPTIONS_MAX)

struct job_fixture {
	struct fixture fx;
	struct job job;
	struct tensor tensors[JOB_FIXTURE_INPUTS];
	struct job_input inputs[JOB_FIXTURE_INPUTS];
	uint32_t positions[JOB_FIXTURE_INPUTS];
	double values[JOB_FIXTURE_VALUES];
};

/* Sources lie at odd offsets of their files, as they may. */
#define JOB_FIXTURE_OFFSET 3

/* `base` is METHOD_NO_BASE or an input. Positions are those of non-bases. */
void job_open(struct job_fixture *jf, const struct merge_method *method,
	      size_t inputs, size_t base, uint64_t rows, uint64_t cols);
void job_close(struct job_fixture *jf);

/* An input's data: job.elements of that type. */
void job_input(struct job_fixture *jf, size_t i, enum dtype dtype,
	       const void *data);

/* The same from numbers, rounded to the type. */
void job_input_floats(struct job_fixture *jf, size_t i, enum dtype dtype,
		      const float *x);

void job_output(struct job_fixture *jf, enum dtype dtype);

void job_set(struct job_fixture *jf, const char *option, size_t input,
	     double value);
void job_set_all(struct job_fixture *jf, const char *option, double value);

/* Make the whole tensor; state_size is set as the values are now. `state` may
 * be NULL; else it receives the state, which the caller frees. */
void job_make(struct job_fixture *jf, enum cpu_level level, struct pool *pool,
	      void *out, void **state);

#endif
