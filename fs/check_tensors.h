/*
 * What `llmergefs check` says of the tensors of a plan: how many of which type
 * are copied and made, by which methods, and what is read before their first
 * byte.
 */
#ifndef LMFS_CHECK_TENSORS_H
#define LMFS_CHECK_TENSORS_H

#include "core/plan.h"

/* Lines for people. */
void check_print_tensors(const struct plan *plan);

/* Members of a JSON object, a comma before each. */
void check_write_tensors(const struct plan *plan);

#endif
