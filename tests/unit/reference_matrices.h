/*
 * References of the methods that take a tensor as one matrix: a part of
 * reference.c. For tensors that have no more rows than columns, and, for wudi,
 * no more rows together.
 */
#ifndef LMFS_TESTS_REFERENCE_MATRICES_H
#define LMFS_TESTS_REFERENCE_MATRICES_H

#include "tests/unit/reference.h"

/* As reference_make(), with units; false: the method is none of these. */
bool reference_matrices(const struct merge_method *method,
			const struct method_args *args, const float *const *x,
			struct reference *result);

#endif
