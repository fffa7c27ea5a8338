/*
 * What a recipe file is made of: recipe_file.c reads it, recipe_file_make.c
 * makes its recipes.
 */
#ifndef LMFS_RECIPE_FILE_INSIDE_H
#define LMFS_RECIPE_FILE_INSIDE_H

#include "core/recipe_file.h"
#include "core/sweep.h"

struct recipe_file {
	const char *path;
	const char *dir;
	const char *text; /* verbatim */
	size_t text_len;
	bool changed;		 /* by settings from outside */
	const struct json *tree; /* with those, without llmergefs.sweep */
	bool sweeps;
	struct sweep sweep;  /* empty without one */
	struct arena *arena; /* owns all of it */
};

#endif
