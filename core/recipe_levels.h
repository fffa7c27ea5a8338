/*
 * The keys of a recipe as tables, one for each kind of object in it: what may
 * stand there, and keys that real configs have there though nothing reads them.
 */
#ifndef LMFS_RECIPE_LEVELS_H
#define LMFS_RECIPE_LEVELS_H

#include <stdbool.h>

struct dead_key {
	const char *name;
	const char *why;
};

struct level {
	const char *const *keys;     /* up to a NULL */
	const struct dead_key *dead; /* up to a NULL name */
	bool has_parameters; /* parameters of the method may stand below it */
	bool ours;	     /* an unknown key is an error */
};

/* The recipe; an item of `models`; a slice, and one of its sources. */
extern const struct level recipe_level_top, recipe_level_model,
	recipe_level_slice, recipe_level_source;
/* `tokenizer`; a reference to a model, and a path in it; a filtered value. */
extern const struct level recipe_level_tokenizer, recipe_level_ref,
	recipe_level_path, recipe_level_condition;
/* `llmergefs` of the recipe, and of a model or source. */
extern const struct level recipe_level_ours, recipe_level_own;

#endif
