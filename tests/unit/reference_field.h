/*
 * References of methods of the field that mergekit has not, and of task vectors
 * of one bit: a part of reference.c.
 */
#ifndef LMFS_TESTS_REFERENCE_FIELD_H
#define LMFS_TESTS_REFERENCE_FIELD_H

#include "core/method.h"

/* As reference_make(); false: the method is none of these. */
bool reference_field(const struct merge_method *method,
		     const struct method_args *args, const float *const *x,
		     float *out);

/* The mean of magnitudes with the sign of each, in place. */
void reference_one_bit(float *delta, size_t n);

#endif
