/*
 * Where the draws of every tensor begin in the stream of `rng: mt19937`: where
 * mergekit comes to them. It goes through the tensors in the order of labels,
 * the label of one being the greatest of the names that its inputs have in
 * their own checkpoints (of the source's layer; of the embedding, where an
 * output matrix is tied to it), and where these are equal in the order of the
 * model. Of a tensor the inputs other than the base come in the recipe's order,
 * each of them that draws with a number for each element. What is copied or
 * kept takes none. Buffers, which mergekit leaves out, come after all others:
 * no model has changed them, so that it does not matter what they draw.
 */
#include "core/planner.h"

#include <errno.h>

#include "core/names.h"

static const char *label_of(const struct draft *draft)
{
	const char *label = draft->tensors[0]->name;

	for (size_t i = 1; i < draft->models; i++)
		if (strcmp(draft->tensors[i]->name, label) > 0)
			label = draft->tensors[i]->name;
	return label;
}

/* A job that is copied has none of the recipe's arguments. */
static bool draws_any(const struct planner *planner, const struct job *job)
{
	const struct merge_method *method = planner->recipe->method;

	if (planner->recipe->rng != RNG_MT19937 || job->method != method ||
	    !method->draws)
		return false;
	for (size_t i = 0; i < job->args.inputs; i++)
		if (method->draws(&job->args, i))
			return true;
	return false;
}

int plan_stream_note(struct planner *planner, const struct draft *draft,
		     size_t job)
{
	size_t capacity = planner->drawing_capacity * 2 + 256;
	struct drawing *drawing = planner->drawing;

	if (!draws_any(planner, &planner->plan->jobs[job]))
		return 0;
	if (planner->drawing_count == planner->drawing_capacity) {
		drawing = reallocarray(drawing, capacity, sizeof(*drawing));
		if (!drawing)
			return -ENOMEM;
		planner->drawing = drawing;
		planner->drawing_capacity = capacity;
	}
	drawing[planner->drawing_count++] = (struct drawing){
		.is_buffer = name_is_buffer(draft->target->name),
		.label = label_of(draft),
		.after = draft->target->layer == UINT64_MAX &&
			 name_after_layers(draft->target->name),
		.job = job,
	};
	return 0;
}

static int in_order(const void *a, const void *b)
{
	const struct drawing *x = a, *y = b;
	int by_label = strcmp(x->label, y->label);

	if (x->is_buffer != y->is_buffer)
		return x->is_buffer ? 1 : -1;
	if (by_label != 0)
		return by_label;
	if (x->after != y->after)
		return x->after ? 1 : -1;
	return x->job < y->job ? -1 : x->job > y->job;
}

/* The stream's places of one job, from *place on; false: there are no more. */
static bool streams_set(const struct job *job, uint64_t *streams,
			uint64_t *place)
{
	for (size_t i = 0; i < job->args.inputs; i++) {
		streams[i] = RNG_NO_STREAM;
		if (!job->method->draws(&job->args, i))
			continue;
		streams[i] = *place;
		if (!add_u64(*place, job->args.elements, place) ||
		    *place == RNG_NO_STREAM)
			return false;
	}
	return true;
}

/* Where layers are taken twice mergekit's order among equals is that of a heap,
 * which is the model's as a rule and no more. */
static void warn_equal(const struct planner *planner)
{
	const struct drawing *all = planner->drawing;
	bool equal = false;

	for (size_t d = 1; d < planner->drawing_count; d++)
		equal |= strcmp(all[d - 1].label, all[d].label) == 0 &&
			 !all[d].after;
	if (equal)
		report_warning(planner->report,
			       "%s: llmergefs.rng: `slices` take some layers "
			       "more than once; mergekit may draw for these in "
			       "another order, so that their masks are swapped",
			       planner->recipe->path);
}

int plan_streams(struct planner *planner)
{
	uint64_t place = 0;

	if (planner->drawing_count > 0)
		qsort(planner->drawing, planner->drawing_count,
		      sizeof(*planner->drawing), in_order);
	warn_equal(planner);
	for (size_t d = 0; d < planner->drawing_count; d++) {
		struct job *job = &planner->plan->jobs[planner->drawing[d].job];
		uint64_t *streams =
			arena_alloc(planner->plan->arena, job->args.inputs,
				    sizeof(*streams));

		if (!streams)
			return -ENOMEM;
		job->args.streams = streams;
		if (streams_set(job, streams, &place))
			continue;
		report_error(planner->report, EDOM,
			     "%s: llmergefs.rng: the tensors have more "
			     "elements than mt19937 has places that can be "
			     "counted (2^64); say `rng: counter`",
			     planner->recipe->path);
		return 0;
	}
	return 0;
}
