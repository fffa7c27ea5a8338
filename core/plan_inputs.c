/*
 * What an output tensor is made of: which inputs have it, what happens where
 * some do not, and the shape and types that they come to.
 */
#include "core/planner.h"

#include <errno.h>
#include <stdio.h>

#include "core/names.h"
#include "core/recipe_check.h"
#include "core/where.h"

char *target_input_name(const struct planner *planner,
			const struct target *target, size_t source)
{
	const struct slice *slice = target_slice(planner, target);
	uint64_t layer = slice->sources[source].begin + target->offset;
	char *name;

	if (!target->renumbered)
		return strdup(target->name);
	if (asprintf(&name, "%.*s%llu%s", (int)target->place.begin,
		     target->name, (unsigned long long)layer,
		     target->name + target->place.end) < 0)
		return NULL;
	return name;
}

static void draft_add(struct draft *draft, const struct tensor *tensor,
		      size_t source, bool is_base)
{
	if (is_base)
		draft->base = draft->count;
	draft->tensors[draft->count] = tensor;
	draft->sources[draft->count++] = source;
}

/*
 * Find the inputs. *own: how many have it under its own name, and not as the
 * embedding that an output matrix is tied to.
 */
static int draft_gather(struct planner *planner, struct draft *draft,
			size_t *own)
{
	const struct target *target = draft->target;
	const struct slice *slice = target_slice(planner, target);
	size_t base = recipe_base_index(planner->recipe, slice);

	draft->has_base = base != METHOD_NO_BASE;
	for (size_t i = 0; i < target->sources; i++) {
		const struct model *model = target_model(planner, target, i);
		AUTO_FREE char *name = target_input_name(planner, target, i);
		const struct tensor *tensor;

		if (!name)
			return -ENOMEM;
		tensor = model_tensor(model, name);
		*own += tensor != NULL;
		if (!tensor)
			tensor = tied_embedding(model, name);
		if (tensor)
			draft_add(draft, tensor, i, i == base);
	}
	return 0;
}

/* The sources of the target that have no part in the draft. */
static struct where absent(const struct planner *planner,
			   const struct draft *draft)
{
	size_t more = draft->target->sources - draft->count - 1;
	size_t source = 0;
	const char *first;

	while (source < draft->count && draft->sources[source] == source)
		source++;
	first = target_slice(planner, draft->target)
			->sources[source]
			.model.text;
	if (more == 0)
		return where_at("%s", first);
	return where_at("%s and %zu more", first, more);
}

static bool missing_error(struct planner *planner, struct draft *draft)
{
	return tally_add(&planner->tally, draft_subject(draft, EDOM),
			 "missing in %s; %s needs it in every model",
			 absent(planner, draft).text,
			 planner->recipe->method->name);
}

static bool keep_alone(struct planner *planner, struct draft *draft)
{
	draft->keep = 0;
	tally_add(&planner->tally, draft_subject(draft, 0),
		  "missing in %s; that of %s is used unchanged",
		  absent(planner, draft).text,
		  draft_model_text(planner, draft, 0));
	return true;
}

static bool base_missing(struct planner *planner, struct draft *draft)
{
	return tally_add(&planner->tally, draft_subject(draft, EDOM),
			 "the base gives no such tensor; %s needs it",
			 planner->recipe->method->name);
}

static bool missing_present(struct planner *planner, struct draft *draft)
{
	size_t models = draft->count - (draft->base != METHOD_NO_BASE);
	size_t min = planner->recipe->method->models_min;

	if (draft->has_base && draft->base == METHOD_NO_BASE)
		return base_missing(planner, draft);
	if (models < min)
		return missing_error(planner, draft);
	if (models == 0)
		return keep_alone(planner, draft);
	tally_add(&planner->tally, draft_subject(draft, 0),
		  "missing in %s; merged from the others",
		  absent(planner, draft).text);
	return true;
}

static bool missing_drop(struct planner *planner, struct draft *draft)
{
	bool has_base = draft->base != METHOD_NO_BASE;

	if (draft->count > planner->recipe->method->models_min)
		return missing_present(planner, draft);
	if (has_base && draft->count == 1)
		return keep_alone(planner, draft);
	tally_add(&planner->tally, draft_subject(draft, 0),
		  "missing in %s; too few are left for %s, so the merge lacks "
		  "it, too",
		  absent(planner, draft).text, planner->recipe->method->name);
	return false;
}

static bool missing_lone(struct planner *planner, struct draft *draft)
{
	if (draft->count == 1)
		return keep_alone(planner, draft);
	return missing_error(planner, draft);
}

static bool (*const missing_policies[])(struct planner *planner,
					struct draft *draft) = {
	[MISSING_ERROR] = missing_error,
	[MISSING_PRESENT] = missing_present,
	[MISSING_LONE] = missing_lone,
	[MISSING_DROP] = missing_drop,
};

/* The rows that a vocabulary tensor is cut to; 0: it is no such tensor. */
static uint64_t rows_of(const struct planner *planner,
			const struct draft *draft)
{
	if (draft->target->layer != UINT64_MAX ||
	    !name_is_vocabulary(draft->target->name))
		return 0;
	return planner->plan->vocab_size;
}

static bool rows_fit(struct planner *planner, const struct draft *draft,
		     size_t i, uint64_t rows)
{
	const struct shape *shape = &draft->tensors[i]->shape;

	if (shape->rank > 0 && shape->dim[0] >= rows)
		return true;
	return tally_add(
		&planner->tally, draft_subject(draft, ENOTSUP),
		"%llu rows in %s, and the tokenizer has %llu tokens; "
		"filling in the rest is not supported yet, so leave "
		"the tokenizer setting out",
		(unsigned long long)(shape->rank > 0 ? shape->dim[0] : 1),
		draft_model_text(planner, draft, i), (unsigned long long)rows);
}

static const char *shape_hint(const struct planner *planner,
			      const struct draft *draft, const struct shape *a,
			      const struct shape *b)
{
	struct shape other = *a;

	if (!name_is_vocabulary(draft->target->name) || a->rank == 0 ||
	    b->rank != a->rank)
		return "the models are of different sizes";
	other.dim[0] = b->dim[0];
	if (!shape_equal(&other, b))
		return "the models are of different sizes";
	if (planner->recipe->tokenizer_source)
		return "the vocabularies differ in size";
	return "the vocabularies differ in size; where the tokenizers are the "
	       "same, `tokenizer_source: base` cuts both to it";
}

static bool shapes_differ(struct planner *planner, const struct draft *draft,
			  size_t first, size_t i)
{
	const struct shape *a = &draft->tensors[first]->shape;
	const struct shape *b = &draft->tensors[i]->shape;
	char a_text[SHAPE_TEXT_MAX], b_text[SHAPE_TEXT_MAX];

	shape_text(a, a_text, sizeof(a_text));
	shape_text(b, b_text, sizeof(b_text));
	return tally_add(&planner->tally, draft_subject(draft, EDOM),
			 "shape %s in %s%s, %s in %s; %s", a_text,
			 first == draft->base ? "the base " : "",
			 draft_model_text(planner, draft, first), b_text,
			 draft_model_text(planner, draft, i),
			 shape_hint(planner, draft, a, b));
}

/* The shape of the output: that of every input, but for rows that are cut. */
static bool draft_shape(struct planner *planner, struct draft *draft)
{
	size_t first = draft->base == METHOD_NO_BASE ? 0 : draft->base;
	uint64_t rows = rows_of(planner, draft);
	bool ok = true;

	draft->shape = draft->tensors[first]->shape;
	if (rows > 0 && draft->shape.rank > 0)
		draft->shape.dim[0] = rows;
	for (size_t i = 0; i < draft->count; i++) {
		struct shape shape = draft->tensors[i]->shape;

		if (rows > 0 && !rows_fit(planner, draft, i, rows)) {
			ok = false;
			continue;
		}
		if (rows > 0)
			shape.dim[0] = rows;
		if (!shape_equal(&shape, &draft->shape))
			ok = shapes_differ(planner, draft, first, i);
	}
	return ok;
}

/* An output matrix though the donor has none, and its config ties it. */
static void warn_untied(struct planner *planner, const struct draft *draft)
{
	const struct model *donor = planner->plan->donor;
	const struct json *tie =
		json_member(donor->config, "tie_word_embeddings");

	if (model_tensor(donor, draft->target->name) || !tie ||
	    tie->type != JSON_BOOL || !tie->boolean ||
	    !tied_embedding(donor, draft->target->name))
		return;
	tally_add(&planner->tally, draft_subject(draft, 0),
		  "some model has one of its own, so the merge has one, too; "
		  "but config.json comes from %s and says "
		  "tie_word_embeddings: true, and loaders will not read it",
		  donor->ref.text);
}

/* Every source has a part, or the method's policy lets it go. */
static bool draft_complete(struct planner *planner, struct draft *draft)
{
	const struct merge_method *method = planner->recipe->method;

	if (draft->count < draft->target->sources)
		return missing_policies[method->missing](planner, draft);
	/* The base may be past the sources that take part. */
	if (draft->has_base && draft->base == METHOD_NO_BASE)
		return base_missing(planner, draft);
	return true;
}

int plan_inputs(struct planner *planner, const struct target *target,
		struct draft *draft, bool *make)
{
	size_t own = 0;
	int rc;

	*make = false;
	draft->target = target;
	draft->count = 0;
	draft->has_origins = false;
	draft->base = METHOD_NO_BASE;
	draft->keep = METHOD_CHANGED;
	rc = draft_gather(planner, draft, &own);
	draft->models = draft->count;
	if (rc < 0 || own == 0)
		return rc;
	warn_untied(planner, draft);
	if (!draft_complete(planner, draft))
		return 0;
	*make = true;
	if (draft->keep == METHOD_CHANGED)
		rc = plan_origins(planner, draft, make);
	*make = *make && draft_shape(planner, draft);
	return rc;
}
