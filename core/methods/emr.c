/*
 * emr: elect, mask and rescale (Huang et al., "EMR-Merging: Tuning-Free
 * High-Performance Model Merging", 2024). The unified task vector has the sign
 * of the mean and the greatest magnitude that has it,
 *
 *	delta_i = x_i - base	g = 1 where sum_i delta_i > 0, else -1
 *	u = g max{ |delta_i| : g delta_i > 0 }, 0 where there is none
 *	out = base + u
 *
 * and for one task t it is masked and rescaled,
 *
 *	M_t = [ g delta_t > 0 ]		c = sum |delta_t| / sum |u M_t|
 *	out = base + c u M_t
 *
 * The sums are over the tensor. (The authors' are over the whole model, of the
 * tensors' means.) Where nothing is left, c is 1. The state is c.
 */
#include "core/methods/body.h"

enum { EMR_TASK };

struct emr_sums {
	double own, masked;
};

/* The input whose task the result is for; the number of inputs: for none. */
static size_t task_of(const struct method_args *args)
{
	size_t i = 0;

	while (i < args->inputs &&
	       (i == args->base || !method_value(args, EMR_TASK, i)))
		i++;
	return i;
}

static const char *check(const struct method_args *args)
{
	size_t tasks = 0;

	for (size_t i = 0; i < args->inputs; i++)
		tasks += i != args->base && method_value(args, EMR_TASK, i);
	if (tasks > 1)
		return "more than one model has task: true; a result is for "
		       "one task, or unified for all";
	return NULL;
}

static size_t state_size(const struct method_args *args)
{
	return task_of(args) < args->inputs ? sizeof(float) : 0;
}

static size_t scratch_size(const struct method_args *args)
{
	return sizeof(struct emr_sums);
}

static void elect(const struct method_args *args, const struct tile *tile,
		  float *restrict sign)
{
	const float *restrict base = tile->in[args->base];
	size_t count = tile->count;

	memset(sign, 0, count * sizeof(*sign));
	for (size_t i = 0; i < args->inputs; i++) {
		const float *restrict x = tile->in[i];

		if (i == args->base)
			continue;
		for (size_t k = 0; k < count; k++)
			sign[k] += R(x[k] - base[k]);
	}
	for (size_t k = 0; k < count; k++)
		sign[k] = R(sign[k]) > 0 ? 1 : -1;
}

/* The unified task vector. */
static void unify(const struct method_args *args, const struct tile *tile,
		  const float *restrict sign, float *restrict unified)
{
	const float *restrict base = tile->in[args->base];
	size_t count = tile->count;

	memset(unified, 0, count * sizeof(*unified));
	for (size_t i = 0; i < args->inputs; i++) {
		const float *restrict x = tile->in[i];

		if (i == args->base)
			continue;
		for (size_t k = 0; k < count; k++) {
			float along = R(x[k] - base[k]) * sign[k];

			unified[k] = along > unified[k] ? along : unified[k];
		}
	}
	for (size_t k = 0; k < count; k++)
		unified[k] *= sign[k];
}

/* Multiply by M_t. */
static void mask(const struct method_args *args, const struct tile *tile,
		 const float *restrict sign, float *restrict unified)
{
	const float *restrict base = tile->in[args->base];
	const float *restrict x = tile->in[task_of(args)];
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		unified[k] *= R(x[k] - base[k]) * sign[k] > 0 ? 1.0f : 0.0f;
}

static void add(const struct method_args *args, const struct tile *tile,
		const void *ctx, void *partial)
{
	float sign[TILE_ELEMENTS] __attribute__((aligned(64)));
	float masked[TILE_ELEMENTS] __attribute__((aligned(64)));
	float own[TILE_ELEMENTS] __attribute__((aligned(64)));
	const float *restrict base = tile->in[args->base];
	const float *restrict x = tile->in[task_of(args)];
	struct emr_sums *sums = partial;
	size_t count = tile->count;

	elect(args, tile, sign);
	unify(args, tile, sign, masked);
	mask(args, tile, sign, masked);
	for (size_t k = 0; k < count; k++)
		own[k] = R(x[k] - base[k]);
	sums->own += lanes_abs(own, count);
	sums->masked += lanes_abs(masked, count);
}

static void fold(const struct method_args *args, const void *ctx, void *total,
		 const void *partial)
{
	const struct emr_sums *part = partial;
	struct emr_sums *sums = total;

	sums->own += part->own;
	sums->masked += part->masked;
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	const struct scan_step step = {
		.partial_size = sizeof(struct emr_sums),
		.add = add,
		.fold = fold,
	};
	const struct emr_sums *sums = scratch;
	float *rescale = state;
	int rc = scan_run(scan, 0, args->elements, &step, scratch);

	*rescale = 1;
	if (sums->masked != 0)
		*rescale = (float)one_nan(sums->own / sums->masked);
	return rc;
}

static void emr_tile(const struct method_args *args, const void *state,
		     const struct tile *tile)
{
	float sign[TILE_ELEMENTS] __attribute__((aligned(64)));
	float unified[TILE_ELEMENTS] __attribute__((aligned(64)));
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;
	float rescale = 1;

	elect(args, tile, sign);
	unify(args, tile, sign, unified);
	if (state) {
		mask(args, tile, sign, unified);
		rescale = *(const float *)state;
	}
	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + R(unified[k] * rescale));
}

static const struct method_option options[] = {
	[EMR_TASK] = {
		.name = "task",
		.type = OPTION_BOOL,
		.scope = OPTION_PER_MODEL,
		.in_state = true,
		.fallback = 0,
		.min = 0,
		.max = 1,
		.help = "make the model for this one's task, not the unified",
	},
};

METHOD(emr) = {
	.name = "emr",
	.summary =
		"one task vector elected from all, or one task's share of it",
	.version = 1,
	.element_ps = 260,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.check = check,
	.state_size = state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.tile = emr_tile,
};
