/*
 * One generation of one recipe, opened: recipe, models, plan, layout and the
 * files beside the weights. Immutable once made, so any number of threads may
 * read through it; a recipe that changes gets a new lens. The slots are the
 * only part that fills later: the state of each job once it is known.
 */
#ifndef LMFS_LENS_H
#define LMFS_LENS_H

#include <stdatomic.h>
#include <time.h>

#include "cache/cache.h"
#include "core/sidecar.h"

/* What is known of one job so far; see engine.c. */
struct lens_slot {
	_Atomic(const struct blob *) state; /* a reference, put by the engine */
	struct hash128 tensor_key;	    /* of chunks; valid where known */
	atomic_bool key_known;
	atomic_uint_fast64_t nonfinite; /* elements made that should not be */
};

struct lens {
	struct recipe *recipe;
	struct model_set *models;
	struct plan *plan;
	struct layout *layout;
	struct sidecars *sidecars;
	struct lens_slot *slots; /* one a job of the plan, same order */
	struct timespec mtime;	 /* newest of recipe and sources */
	/* Makers at work for it, and reads that wait; under the engine's lock.
	 */
	size_t *busy;
};

/* Everything wrong goes to the report; NULL if anything is. */
struct lens *lens_open(const char *recipe_path, struct report *report);

/* Its slots must have been emptied (engine_forget). NULL is fine. */
void lens_close(struct lens *lens);

/* The slot of a job of the lens's plan. */
struct lens_slot *lens_slot(const struct lens *lens, const struct job *job);

/* The resolved recipe (every tensor's method, values and inputs compressed by
 * equality) and the plan, as JSON: .llmergefs/recipe.json and plan.json. The
 * caller frees *text. 0 or -ENOMEM. */
int lens_recipe_json(const struct lens *lens, char **text, size_t *len);
int lens_plan_json(const struct lens *lens, char **text, size_t *len);

#endif
