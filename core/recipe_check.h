/*
 * The rules of a parsed recipe that need no model: how many inputs the method
 * takes, the base among them, no model twice, bases of models' own where they
 * mean something, slices of one length, required parameters given somewhere.
 * Every breach goes to the report.
 */
#ifndef LMFS_RECIPE_CHECK_H
#define LMFS_RECIPE_CHECK_H

#include "core/recipe.h"

/* For a recipe with a method and slices. */
void recipe_check(const struct recipe *recipe, struct report *report);

/* The source of a slice that is the base in the eyes of the method: its index,
 * or METHOD_NO_BASE (no base, not listed, or a method that has no use for
 * one). */
size_t recipe_base_index(const struct recipe *recipe,
			 const struct slice *slice);

#endif
