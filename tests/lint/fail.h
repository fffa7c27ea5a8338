/*
 * For clang-tidy alone, which sees one file at a time: what fail() and
 * fail_in() return, so that it does not follow a failed call as if it had
 * succeeded.
 */
#include "core/base/error.h"

#define fail(err, code, ...) (fail(err, code, __VA_ARGS__), -(code))
#define fail_in(err, rc, ...) (fail_in(err, rc, __VA_ARGS__), (rc))
