/*
 * "Did you mean": which of the known names a word most likely is.
 *
 * The distance of two names is the least number of insertions, deletions,
 * substitutions and swaps of neighbours (optimal string alignment) that turn
 * one into the other, with upper case equal to lower and '-' to '_'. A name is
 * near where the distance is at most a third of the longer length, so that
 * `wieght` is near `weight` and one letter is near nothing but itself.
 */
#ifndef LMFS_NEAR_H
#define LMFS_NEAR_H

#include "core/base/base.h"

#define NEAR_LENGTH_MAX 64
#define NEAR_NOT SIZE_MAX

/* The distance, or NEAR_NOT where the two are not near, or too long. */
size_t near_distance(const char *a, const char *b);

/* The nearest of `count` names, the first of equals; NULL: none is near. */
const char *near_name(const char *word, const char *const *names, size_t count);

#endif
