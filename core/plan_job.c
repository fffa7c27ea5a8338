/*
 * One job: the types of its inputs and its output, and whether its bytes are
 * made, or are those of a source already.
 */
#include "core/planner.h"

#include <errno.h>

#include "core/plan_data.h"

/* Bytes of the inputs to one of a survey that is kept, at least. */
#define SURVEY_SHARE 4

static bool dtype_holds(enum dtype wide, enum dtype narrow)
{
	return dtype_promote(wide, narrow) == wide;
}

/* The type of a merged tensor where the recipe does not say it. */
static enum dtype draft_result(const struct planner *planner,
			       const struct draft *draft)
{
	const struct recipe *recipe = planner->recipe;

	if (draft->keep == METHOD_CHANGED && recipe->method->result_f32 &&
	    recipe->arithmetic != ARITHMETIC_FLOAT32)
		return dtype_promote(draft->work, DTYPE_F32);
	return draft->work;
}

/* The types of the arithmetic and of the output. */
static void draft_types(const struct planner *planner, struct draft *draft)
{
	const struct recipe *recipe = planner->recipe;

	draft->work = draft->tensors[0]->dtype;
	for (size_t i = 1; i < draft->count; i++)
		draft->work =
			dtype_promote(draft->work, draft->tensors[i]->dtype);
	if (recipe->dtype != DTYPE_NONE)
		draft->work = recipe->dtype;
	draft->dtype = recipe->out_dtype != DTYPE_NONE
			       ? recipe->out_dtype
			       : draft_result(planner, draft);
}

/* Inputs [first, first + count) of the draft. */
static int job_inputs(struct planner *planner, const struct draft *draft,
		      size_t first, struct job *job)
{
	struct job_input *inputs = arena_alloc(
		planner->plan->arena, job->args.inputs, sizeof(*inputs));

	for (size_t i = 0; inputs && i < job->args.inputs; i++) {
		const struct tensor *tensor = draft->tensors[first + i];
		bool exact = !dtype_info(tensor->dtype)->arithmetic ||
			     dtype_holds(draft->work, tensor->dtype);

		inputs[i].tensor = tensor;
		inputs[i].round = exact ? DTYPE_NONE : draft->work;
	}
	job->inputs = inputs;
	return inputs ? 0 : -ENOMEM;
}

/* What an imitation of mergekit rounds to. */
static enum rounding draft_rounding(const struct planner *planner,
				    const struct draft *draft)
{
	if (planner->recipe->arithmetic == ARITHMETIC_FLOAT32)
		return ROUNDING_f32;
	if (draft->work == DTYPE_BF16)
		return ROUNDING_bf16;
	return draft->work == DTYPE_F16 ? ROUNDING_f16 : ROUNDING_f32;
}

/* The output is input `keep`: its bytes, or its values in another type. */
static int job_keep(struct planner *planner, const struct draft *draft,
		    struct job *job)
{
	const struct merge_method *method = method_by_name("passthrough");
	const struct tensor *tensor = draft->tensors[draft->keep];
	bool same = tensor->dtype == draft->dtype &&
		    (!dtype_info(tensor->dtype)->arithmetic ||
		     dtype_holds(draft->work, tensor->dtype));
	int rc = plan_values_kept(planner, draft, method, &job->args);

	job->kind = same ? JOB_COPY : JOB_TILE;
	job->method = same ? NULL : method;
	return rc < 0 ? rc : job_inputs(planner, draft, draft->keep, job);
}

/* A survey is worth keeping apart where it takes much less than what it is made
 * from; with small tensors it is their size. */
static size_t survey_size(const struct job *job)
{
	const struct method_survey *survey = job->method->survey;
	uint64_t element = 0;
	size_t size;

	if (!job->state_size || !survey)
		return 0;
	size = survey->size(&job->args);
	for (size_t i = 0; i < job->args.inputs; i++)
		element += dtype_info(job->inputs[i].tensor->dtype)->bits / 8;
	return size <= job->elements * element / SURVEY_SHARE ? size : 0;
}

static int job_merge(struct planner *planner, const struct draft *draft,
		     struct job *job)
{
	const struct merge_method *method = planner->recipe->method;
	const struct merge_method *variant;

	job->kind = method->rows ? JOB_ROWS : JOB_TILE;
	job->method = method;
	job->rounding = draft_rounding(planner, draft);
	variant = method_variant(method, CPU_LEVEL_baseline, job->rounding);
	if (method->state_size)
		job->state_size = variant->state_size(&job->args);
	if (job_inputs(planner, draft, 0, job))
		return -ENOMEM;
	job->survey_size = survey_size(job);
	return 0;
}

static int jobs_grow(struct planner *planner)
{
	size_t capacity = planner->capacity ? planner->capacity * 2 : 256;
	struct job *jobs;

	if (planner->plan->count < planner->capacity)
		return 0;
	jobs = reallocarray(planner->plan->jobs, capacity, sizeof(*jobs));
	if (!jobs)
		return -ENOMEM;
	planner->plan->jobs = jobs;
	planner->capacity = capacity;
	return 0;
}

/* Bytes of the output; false (said): they do not fit, or are no whole bytes. */
static bool job_size(struct planner *planner, const struct draft *draft,
		     struct job *job)
{
	uint64_t bits;

	if (mul_u64(job->elements, dtype_info(draft->dtype)->bits, &bits) &&
	    bits % 8 == 0) {
		job->size = bits / 8;
		return true;
	}
	return tally_add(&planner->tally, draft_subject(draft, EDOM),
			 "its size is not a number of bytes");
}

static int job_append(struct planner *planner, const struct draft *draft,
		      const struct method_args *args)
{
	struct job job = {
		.name = draft->target->name,
		.dtype = draft->dtype,
		.shape = draft->shape,
		.elements = shape_elements(&draft->shape),
		.args = *args,
		.layer = draft->target->layer,
	};
	int rc;

	if (!job_size(planner, draft, &job))
		return 0;
	rc = draft->keep == METHOD_CHANGED ? job_merge(planner, draft, &job)
					   : job_keep(planner, draft, &job);
	if (rc == 0)
		rc = jobs_grow(planner);
	if (rc < 0)
		return rc;
	planner->plan->jobs[planner->plan->count++] = job;
	return plan_stream_note(planner, draft, planner->plan->count - 1);
}

static void warn_narrowed(struct planner *planner, const struct draft *draft)
{
	for (size_t i = 0; i < draft->count; i++) {
		if (draft->tensors[i]->dtype != DTYPE_F64)
			continue;
		tally_add(&planner->tally, draft_subject(draft, 0),
			  "float64 values are merged in binary32");
		return;
	}
}

int plan_job(struct planner *planner, const struct target *target)
{
	struct draft draft;
	struct method_args args = { 0 };
	bool sound = false;
	int rc = plan_inputs(planner, target, &draft, &sound);

	if (rc == 0 && sound && draft.keep == METHOD_CHANGED)
		rc = plan_values(planner, &draft, &args, &sound);
	if (rc < 0 || !sound)
		return rc;
	if (draft.keep == METHOD_CHANGED && shape_elements(&draft.shape) == 0)
		draft.keep = 0;
	if (!plan_is_data(&draft))
		draft_types(planner, &draft);
	else if (!plan_data(planner, &draft))
		return 0;
	if (draft.keep == METHOD_CHANGED)
		warn_narrowed(planner, &draft);
	return job_append(planner, &draft, &args);
}
