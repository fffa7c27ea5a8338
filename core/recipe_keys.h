/*
 * The keys that a recipe may have, level by level, and a warning for each key
 * that means nothing there: mergekit ignores them in silence, and a merge with
 * a misspelt weight is a wrong merge. A warning names file and path, and what
 * was probably meant: a key of this level, a parameter that stands one level
 * too high, a key that belongs at the top. Parameters that the method does not
 * have are such keys, too.
 *
 * Under `llmergefs:`, which is ours, an unknown key is an error.
 */
#ifndef LMFS_RECIPE_KEYS_H
#define LMFS_RECIPE_KEYS_H

#include "core/recipe.h"

/* Uses path, tree and method (NULL: parameter names are not judged). */
void recipe_keys_check(const struct recipe *recipe, struct report *report);

#endif
