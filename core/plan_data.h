/*
 * Tensors without arithmetic: integers (position ids, counters) and packed
 * floats (fp8 and smaller, whose scales lie elsewhere). They are never
 * converted, whatever `dtype` says (mergekit casts them where it is given).
 * Integers are copied where all inputs hold the same bytes, which is seen by
 * reading them; packed floats where the result is one input unchanged.
 */
#ifndef LMFS_PLAN_DATA_H
#define LMFS_PLAN_DATA_H

#include "core/planner.h"

/* What integers are compared up to, a tensor. */
#define PLAN_COMPARE_MAX (64u << 20)

/* Some input has no arithmetic. */
bool plan_is_data(const struct draft *draft);

/* Set which input is kept, and the types. False (said): there is none. */
bool plan_data(struct planner *planner, struct draft *draft);

#endif
