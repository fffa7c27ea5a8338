/*
 * The methods once more, as plainly as their papers and mergekit's documents
 * give them: whole tensors in memory, a sort where the method selects, no
 * tiles, no states. They share no code with core/methods/; only the draws of
 * masks are core/rng.h's, which has its own test.
 */
#ifndef LMFS_TESTS_REFERENCE_H
#define LMFS_TESTS_REFERENCE_H

#include "core/method.h"

/*
 * One tensor by one method's reference, chosen by its name: args as the method
 * gets them, x the inputs. For slerp `unit` (else untouched) gets the size of
 * one binary32 step at the greater of an element's two products.
 */
void reference_make(const struct merge_method *method,
		    const struct method_args *args, const float *const *x,
		    float *out, double *unit);

/* The magnitude mask of ties: exactly max(1, trunc(density n)) ones. */
void reference_trim(const float *delta, size_t n, double density, float *mask);

#endif
