/*
 * What the task vectors of a tensor start from: the base, or for a model with a
 * base of its own that model's tensor. It is looked for as the model's own
 * tensor is: under the same name, with the source's layer, and as the embedding
 * that an output matrix is tied to. A tensor that is an input already (the
 * base, another model, a base that two models share) is not read twice.
 */
#include "core/planner.h"

#include <errno.h>

#include "core/names.h"

static const struct model *own_base(const struct planner *planner,
				    const struct draft *draft, size_t i)
{
	return planner->own_bases[draft->target->slice][draft->sources[i]];
}

/* The input that this tensor is, added where it is none yet. */
static size_t origin_input(struct draft *draft, const struct tensor *tensor,
			   size_t source)
{
	for (size_t i = 0; i < draft->count; i++)
		if (draft->tensors[i] == tensor)
			return i;
	draft->tensors[draft->count] = tensor;
	draft->sources[draft->count] = source;
	draft->origins[draft->count] = METHOD_NO_BASE;
	return draft->count++;
}

static bool origin_missing(struct planner *planner, const struct draft *draft,
			   size_t i)
{
	const struct slice_source *source =
		&target_slice(planner, draft->target)
			 ->sources[draft->sources[i]];

	return tally_add(&planner->tally, draft_subject(draft, EDOM),
			 "missing in %s, the base of %s's own; %s has no task "
			 "vector without it",
			 source->own_base.text, source->model.text,
			 source->model.text);
}

/* The origin of one model that has a base of its own. */
static int origin_find(struct planner *planner, struct draft *draft, size_t i,
		       bool *found)
{
	const struct model *model = own_base(planner, draft, i);
	AUTO_FREE char *name =
		target_input_name(planner, draft->target, draft->sources[i]);
	const struct tensor *tensor;

	if (!name)
		return -ENOMEM;
	tensor = model_tensor(model, name);
	if (!tensor)
		tensor = tied_embedding(model, name);
	if (!tensor) {
		*found = origin_missing(planner, draft, i);
		return 0;
	}
	draft->origins[i] = origin_input(draft, tensor, draft->sources[i]);
	draft->has_origins |= draft->origins[i] != draft->base;
	return 0;
}

int plan_origins(struct planner *planner, struct draft *draft, bool *found)
{
	int rc = 0;

	for (size_t i = 0; i < draft->models; i++)
		draft->origins[i] =
			i == draft->base ? METHOD_NO_BASE : draft->base;
	for (size_t i = 0; i < draft->models && rc == 0; i++)
		if (i != draft->base && own_base(planner, draft, i))
			rc = origin_find(planner, draft, i, found);
	return rc;
}
