/*
 * References of the methods that work element by element on task vectors or on
 * two models: a part of reference.c.
 */
#ifndef LMFS_TESTS_REFERENCE_ELEMENTS_H
#define LMFS_TESTS_REFERENCE_ELEMENTS_H

#include "core/method.h"

/* As reference_make(); false: the method is none of these. */
bool reference_elements(const struct merge_method *method,
			const struct method_args *args, const float *const *x,
			float *out);

#endif
