/*
 * A plan in the making. plan.c opens the models, plan_layers.c looks at their
 * layers, plan_targets.c says which tensors there are, plan_inputs.c finds what
 * each is made of, plan_origins.c what models with bases of their own start
 * from, plan_values.c by which values, plan_job.c makes the job; plan_streams.c
 * says, once all jobs are there, where their draws begin. Problems with tensors
 * go to the tally, all others to the report; planning goes on, so that all are
 * said at once.
 */
#ifndef LMFS_PLANNER_H
#define LMFS_PLANNER_H

#include "core/plan.h"
#include "core/tally.h"

#define PLAN_TENSORS_MAX 1000000

/* A job that takes numbers of the stream. */
struct drawing {
	bool is_buffer;	   /* to come last */
	const char *label; /* by which its turn comes */
	bool after;	   /* the layers */
	size_t job;	   /* its index, in the order they were made in */
};

struct planner {
	const struct recipe *recipe;
	struct model_set *set;
	struct report *report;
	struct plan *plan;
	const struct model *const *const *models; /* [slice][source] */
	/* [slice][source]; NULL: it has no base of its own */
	const struct model *const *const *own_bases;
	/* Every model of the recipe, once; those that are only bases of others'
	 * own come last, from `merged_count` on. */
	const struct model **all;
	size_t all_count, merged_count;
	struct tally tally;
	size_t capacity; /* of plan->jobs */
	struct drawing *drawing;
	size_t drawing_count, drawing_capacity;
};

/* One output tensor to be: its name, and where its inputs are looked for. */
struct target {
	const char *name;
	size_t slice;	/* its index in the recipe */
	size_t sources; /* that take part: the first ones of the slice */
	double t;	/* position in gradients */
	uint64_t layer; /* of the output; UINT64_MAX: outside the layers */
	/* A tensor of a numbered slice: source i has the layer begin_i + offset
	 * in the place of the digits in `name`. */
	bool renumbered;
	struct layer_place place;
	uint64_t offset;
};

/* The inputs of a target that are there, in config order, and after them what
 * is only a base of some model's own. */
struct draft {
	const struct target *target;
	size_t count, models; /* of all; of those that are sources */
	const struct tensor *tensors[METHOD_INPUTS_MAX];
	/* [i]: index in the slice; of an own base: of whose it is first */
	size_t sources[METHOD_INPUTS_MAX];
	size_t origins[METHOD_INPUTS_MAX]; /* as in method_args */
	bool has_origins;		   /* some model's is not the base */
	size_t base;   /* index of the base among them, or METHOD_NO_BASE */
	bool has_base; /* the method uses one, whether or not it is there */
	size_t keep;   /* the input that is the result, METHOD_CHANGED: none */
	struct shape shape; /* of the output */
	enum dtype work;    /* inputs are rounded to it, or exact in it */
	enum dtype dtype;   /* of the output */
};

/* The slice of a target, and the model of its i-th source. */
static inline const struct slice *target_slice(const struct planner *planner,
					       const struct target *target)
{
	return &planner->recipe->slices[target->slice];
}

static inline const struct model *target_model(const struct planner *planner,
					       const struct target *target,
					       size_t source)
{
	return planner->models[target->slice][source];
}

/* The model of the i-th input that is there, as the recipe spells it. */
static inline const char *draft_model_text(const struct planner *planner,
					   const struct draft *draft, size_t i)
{
	const struct slice_source *source =
		&target_slice(planner, draft->target)
			 ->sources[draft->sources[i]];

	return i < draft->models ? source->model.text : source->own_base.text;
}

/* The subject of a sentence about this tensor; code 0: a warning. */
static inline struct tally_subject draft_subject(const struct draft *draft,
						 int code)
{
	return (struct tally_subject){ code, draft->target->name };
}

/* The name of a target's tensor in its i-th source; the caller frees it. NULL:
 * no memory. */
char *target_input_name(const struct planner *planner,
			const struct target *target, size_t source);

/* Whether the layers that the recipe asks for are there; what is not is said.
 */
bool plan_layers_fit(struct planner *planner);

/* Make all jobs, in any order: 0 or -ENOMEM. */
int plan_targets(struct planner *planner);

/*
 * Find the inputs of a target and what they come to: shape, types, base. True:
 * there is something to make. False: nothing, or a problem that has been said.
 * 0 or -ENOMEM.
 */
int plan_inputs(struct planner *planner, const struct target *target,
		struct draft *draft, bool *make);

/*
 * Find what each model's task vector starts from: bases of their own become
 * inputs, unless they are there already. False (said): one lacks the tensor. 0
 * or -ENOMEM.
 */
int plan_origins(struct planner *planner, struct draft *draft, bool *found);

/*
 * The arguments of the recipe's method, and in draft->keep whether it leaves
 * one input as it is. *sound is false where a value is wrong or missing (said).
 * 0 or -ENOMEM.
 */
int plan_values(struct planner *planner, struct draft *draft,
		struct method_args *args, bool *sound);

/* The arguments of `method` (passthrough) for one input, with defaults only: 0
 * or -ENOMEM. */
int plan_values_kept(struct planner *planner, const struct draft *draft,
		     const struct merge_method *method,
		     struct method_args *args);

/* Make the job of one target, unless there is none: 0 or -ENOMEM. */
int plan_job(struct planner *planner, const struct target *target);

/* Keep in mind what the turn of a job is by, if it takes numbers of the
 * stream; then, while the jobs are in the order they were made in, give all of
 * these their places (what is wrong is said). 0 or -ENOMEM. */
int plan_stream_note(struct planner *planner, const struct draft *draft,
		     size_t job);
int plan_streams(struct planner *planner);

#endif
