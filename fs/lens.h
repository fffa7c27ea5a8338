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
#include "core/stamp.h"

struct likeness;

/* What is known of one job so far; see engine.c. */
struct lens_slot {
	_Atomic(const struct blob *) state; /* a reference, put by the engine */
	struct hash128 tensor_key;	    /* of chunks; valid where known */
	atomic_bool key_known;
	atomic_uint_fast64_t nonfinite; /* elements made that should not be */
	atomic_uint_fast64_t served;	/* bytes of reads that ended in it */
	atomic_bool was_ahead; /* its state was begun before it was needed */
	/* When it was asked to be kept (engine_keep); 0: it was not. */
	atomic_uint_fast64_t kept_since;
	/* Who else makes the same tensor, or the same state; see census.h. NULL
	 * until engine_add(), and where there is none. */
	struct likeness *tensor_like, *state_like;
};

/* What is known of a file of the layout; under the engine's lock, but for what
 * is atomic. See engine_shards.c. */
struct lens_shard {
	bool key_known;
	struct hash128 key;
	struct stamp sound; /* of the kept file that was read through */
	bool keeping;	    /* somebody writes, or wrote, it */
	atomic_uint_fast64_t served; /* bytes, of reads */
};

/* What changes in a lens while it is read. */
struct lens_live {
	size_t busy; /* makers, reads that wait; under the engine's lock */
	atomic_bool retired; /* replaced: nobody begins anything new for it */
	atomic_uint_fast64_t reads, bytes_served;
};

struct lens {
	struct recipe *recipe;
	struct model_set *models; /* a reference */
	struct plan *plan;
	struct layout *layout;
	struct sidecars *sidecars;
	struct lens_slot *slots;   /* one a job of the plan, same order */
	struct lens_shard *shards; /* one a file of the layout, same order */
	struct timespec mtime;	   /* newest of recipe and sources */
	struct lens_live *live;
};

/*
 * Takes the recipe, in any case, and holds the models, which are found from its
 * folder. Everything wrong goes to the report; NULL if anything is.
 */
struct lens *lens_open(struct recipe *recipe, struct model_set *models,
		       struct report *report);

/* The same with models of its own. NULL is passed on. */
struct lens *lens_open_alone(struct recipe *recipe, struct report *report);

/* The same for a recipe file without a sweep. */
struct lens *lens_open_file(const char *recipe_path, struct report *report);

/* Its slots must have been emptied (engine_forget). NULL is fine. */
void lens_close(struct lens *lens);

/* The slot of a job of the lens's plan. */
struct lens_slot *lens_slot(const struct lens *lens, const struct job *job);

struct lens_shard *lens_shard(const struct lens *lens,
			      const struct layout_file *file);

/* The resolved recipe (every tensor's method, values and inputs compressed by
 * equality) and the plan, as JSON: .llmergefs/recipe.json and plan.json. The
 * caller frees *text. 0 or -ENOMEM. */
int lens_recipe_json(const struct lens *lens, char **text, size_t *len);
int lens_plan_json(const struct lens *lens, char **text, size_t *len);

#endif
