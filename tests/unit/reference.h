/*
 * The methods once more, as plainly as their papers and mergekit's documents
 * give them: whole tensors in memory, a sort where the method selects, no
 * tiles, no states. They share no code with core/methods/; only the draws of
 * masks are core/rng.h's, which has its own test; those of a stream are made
 * from its beginning.
 */
#ifndef LMFS_TESTS_REFERENCE_H
#define LMFS_TESTS_REFERENCE_H

#include "core/method.h"

/*
 * One tensor by one method's reference, chosen by its name: args as the method
 * gets them, x the inputs. For slerp and the methods of reference_directions()
 * `unit` (else untouched) gets the size of one binary32 step at the greatest
 * number that took part in an element, half as much for each vector that is
 * added up; INFINITY: an element's terms may be beyond binary32.
 */
void reference_make(const struct merge_method *method,
		    const struct method_args *args, const float *const *x,
		    float *out, double *unit);

/* Where results and units go, of args->elements. */
struct reference {
	float *out;
	double *unit;
};

/* The same for the methods that turn vectors; false: it is none of them. */
bool reference_directions(const struct merge_method *method,
			  const struct method_args *args, const float *const *x,
			  struct reference *result);

/* The magnitude mask of ties: exactly max(1, trunc(density n)) ones. */
void reference_trim(const float *delta, size_t n, double density, float *mask);

/* Numbers of MT19937, every one before them made, too. */
void reference_mt19937(uint32_t seed, uint64_t place, size_t count,
		       uint32_t *numbers);

/* That of breadcrumbs: neither the greatest nor the least magnitudes. */
void reference_band(const float *delta, size_t n, double density, double gamma,
		    float *mask);

#endif
