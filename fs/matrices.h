/*
 * Recipes whose method takes tensors as whole matrices (core/gemm.h): a matrix
 * is made once, which takes minutes where it is large, before its first byte
 * can be read. What that will take is said by `check`, and what is in its way
 * when a recipe is opened.
 */
#ifndef LMFS_MATRICES_H
#define LMFS_MATRICES_H

#include "core/plan.h"

struct matrices {
	size_t count;
	double flops;
	uint64_t state_bytes;	/* of all */
	uint64_t working_bytes; /* the most that one takes while it is made */
};

struct matrices matrices_of(const struct plan *plan);

/* A warning where OpenBLAS is slower than it could be. Nothing where the plan
 * has no matrices. */
void matrices_warn(const struct plan *plan, struct report *report);

/* What check prints: lines, or a key with its comma before it; nothing where
 * there are none. They measure this machine for a moment. */
void matrices_print(const struct plan *plan);
void matrices_write(const struct plan *plan);

#endif
