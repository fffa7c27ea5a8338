/*
 * From a recipe and its models to jobs: which tensors there are, what each is
 * made of, and by which values. Everything that is wrong is reported, from
 * headers only, before anything is mounted.
 *
 * The donor is base_model, else the first model listed: its checkpoint says
 * which tensors there are (plus an lm_head that any input has, see below), and
 * its folder gives the other files. Layers are the first `.N.` of names.
 *
 * With `slices:` output layers are numbered anew; tensors before the layers
 * come from the sources of the first slice, those after (final norm, lm_head)
 * from those of the last. A tensor that some inputs lack is merged as the
 * method's policy says, with a warning; a tied lm_head (absent where the config
 * ties it) is read from the embedding where another input has its own.
 *
 * Inputs are rounded to `dtype` on load where the recipe gives one; the output
 * type is out_dtype, else dtype, else the promotion of the inputs' types.
 */
#ifndef LMFS_PLAN_H
#define LMFS_PLAN_H

#include "core/merge.h"
#include "core/model.h"
#include "core/recipe.h"

struct plan {
	const struct recipe *recipe; /* borrowed */
	const struct model *donor;   /* borrowed */
	struct job *jobs;	     /* in order of strcmp of their names */
	size_t count;
	uint64_t bytes; /* of all outputs */
	uint64_t
		layers; /* of the output, where the recipe has slices; else 0 */
	uint64_t vocab_size; /* where a tokenizer setting cuts it; else 0 */
	const char *const *dropped; /* names only others than the donor have */
	size_t dropped_count;
	struct arena *arena;
};

/* Borrows the recipe and the models. NULL if anything is wrong. */
struct plan *plan_open(const struct recipe *recipe, struct model_set *models,
		       struct report *report);
void plan_close(struct plan *plan); /* NULL is fine */

#endif
