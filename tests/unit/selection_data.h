/*
 * Jobs whose reduction selects by rank, over data that selections by bins could
 * stumble over: equal magnitudes, one bin that holds everything, numbers that
 * are none.
 */
#ifndef LMFS_TESTS_SELECTION_DATA_H
#define LMFS_TESTS_SELECTION_DATA_H

#include "tests/unit/job_fixture.h"

/* Enough blocks for a sample of them to be taken. */
#define SELECTION_BLOCKS 64
#define SELECTION_ELEMENTS ((uint64_t)SELECTION_BLOCKS * SCAN_BLOCK_ELEMENTS)
#define SELECTION_COLS 2048

struct selection_data {
	const char *label;
	/* The j-th of n elements, of a model whose base is 0. */
	float (*element)(uint64_t j, uint64_t n, uint64_t *seed);
};

extern const struct selection_data selection_data[];
extern const size_t selection_data_count;

/* A job of a method over a base of zeros, if it has one, and two models (or as
 * many as it can have) with such data, in this type; density 0.4 and the like
 * are set, where there are such options. */
void selection_open(struct job_fixture *jf, const struct merge_method *method,
		    const struct selection_data *data, enum dtype dtype);

/* The same over as many elements as the caller likes: rows of `cols`. */
void selection_open_rows(struct job_fixture *jf,
			 const struct merge_method *method,
			 const struct selection_data *data, enum dtype dtype,
			 uint64_t rows, uint64_t cols);

/* Set an option where the method has it. */
void selection_set(struct job_fixture *jf, const char *option, double value);

#endif
