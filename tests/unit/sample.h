/*
 * Samples of every method: a set of option values, and data that the bytes are
 * to be right for. The properties of test_methods.c are checked over all.
 */
#ifndef LMFS_TESTS_SAMPLE_H
#define LMFS_TESTS_SAMPLE_H

#include "tests/unit/job_fixture.h"

/* Three blocks of a scan, the last one short; no multiple of anything. */
#define ROWS 37
#define COLS 4003
#define ELEMENTS ((size_t)ROWS * COLS)
#define INPUTS 4
#define BASE 1 /* neither first nor last */

/*
 * Values of options; those that are not named have their defaults. The last
 * option may be NO_BASE, where a method may have one or not, or PAPER for
 * SEMANTICS_PAPER.
 */
#define NO_BASE "no base"
#define PAPER "paper"

struct variant {
	const char *method;
	const char *option[4];
	double value[4];
	double density[INPUTS];
};

#define VARIANTS 92

/* Where races are looked for, one in so many is enough: threads share what runs
 * methods, and methods share nothing. */
#ifdef __SANITIZE_THREAD__
#define VARIANT_STEP 9
#else
#define VARIANT_STEP 1
#endif

extern const struct variant variants[VARIANTS];

/* What the elements of the sources are like. */
enum data { DATA_F32, DATA_EQUALS, DATA_SPECIALS, DATA_COUNT };

/* One job with its data in memory, too. */
struct sample {
	struct job_fixture jf;
	float *x[INPUTS];
};

/* Every weight is another; the base, where there is one, is input BASE. */
void sample_open(struct sample *s, const struct variant *variant,
		 enum data data);
void sample_close(struct sample *s);

/* The label says of what, where the bytes differ. */
void assert_same(const void *a, const void *b, size_t size, const char *label);

/* Bytes and state of level 0 without threads are those of every level with
 * four. */
void sample_check_levels(struct sample *s, const char *label);

#endif
