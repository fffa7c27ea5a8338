/*
 * metagpt: task arithmetic whose factors follow from the models alone (Zhou et
 * al., "MetaGPT: Merging Large Language Models Using Model Exclusive Task
 * Arithmetic", 2024).
 *
 *	delta_t = x_t - base
 *	lambda_t = ||delta_t||^2 / sum_k ||delta_k||^2	over the whole model
 *	out = base + sum_t w_t lambda_t delta_t
 *
 * The paper has no w_t; they are 1 unless the recipe gives them. A tensor that
 * a model lacks adds nothing to its norm. Where no model differs from the base
 * the factors are 0.
 *
 * The state is the squared norms, by the position of the model in the recipe,
 * and their sum; those of a tensor add up to those of the model.
 */
#include "core/methods/delta.h"

enum { METAGPT_WEIGHT };

struct norms {
	double all;
	double squared[METHOD_INPUTS_MAX]; /* by position */
};

static size_t state_size(const struct method_args *args)
{
	return sizeof(struct norms);
}

static void add(const struct method_args *args, const struct tile *tile,
		const void *ctx, void *partial)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	double *squares = partial;

	for (size_t i = 0; i < args->inputs; i++) {
		if (i == args->base)
			continue;
		task_delta(args, tile, i, delta);
		squares[i] += lanes_dot(delta, delta, tile->count);
	}
}

static size_t scratch_size(const struct method_args *args)
{
	return args->inputs * sizeof(double);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	const struct scan_step step = {
		.partial_size = scratch_size(args),
		.add = add,
		.fold = fold_sums,
	};
	const double *squares = scratch;
	struct norms *norms = state;
	int rc = scan_run(scan, 0, args->elements, &step, scratch);

	for (size_t i = 0; rc == 0 && i < args->inputs; i++) {
		if (i == args->base)
			continue;
		norms->squared[args->positions[i]] = one_nan(squares[i]);
		norms->all = one_nan(norms->all + squares[i]);
	}
	return rc;
}

static void combine(void *total, const void *state)
{
	const struct norms *part = state;
	struct norms *norms = total;

	norms->all = one_nan(norms->all + part->all);
	for (size_t p = 0; p < METHOD_INPUTS_MAX; p++)
		norms->squared[p] =
			one_nan(norms->squared[p] + part->squared[p]);
}

static float factor_of(const struct method_args *args,
		       const struct norms *norms, size_t i)
{
	double lambda = norms->squared[args->positions[i]] / norms->all;

	if (norms->all == 0)
		lambda = 0;
	return R((float)(method_value(args, METAGPT_WEIGHT, i) * lambda));
}

static void metagpt_tile(const struct method_args *args, const void *state,
			 const struct tile *tile)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	size_t count = tile->count;

	memset(tile->out, 0, count * sizeof(*tile->out));
	for (size_t i = 0; i < args->inputs; i++) {
		if (i == args->base)
			continue;
		task_delta(args, tile, i, delta);
		task_add_scaled(tile->out, delta, factor_of(args, state, i),
				count);
	}
	task_onto_base(args, tile);
}

static const struct method_option options[] = {
	[METAGPT_WEIGHT] = {
		.name = "weight",
		.type = OPTION_FLOAT,
		.scope = OPTION_PER_MODEL,
		.fallback = 1,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "factor of this model's task vector, besides its own",
	},
};

METHOD(metagpt) = {
	.name = "metagpt",
	.summary = "task vectors by their share of all squared lengths, summed",
	.version = 1,
	.element_ps = 170,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.state_size = state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.combine = combine,
	.tile = metagpt_tile,
};
