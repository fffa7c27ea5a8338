/*
 * sce: select, calculate, erase (Wan et al., "FuseChat: Knowledge Fusion of
 * Chat Models", 2024). Of the task vectors d_i = x_i - base of n models
 *
 *	select	the k elements in which the models differ most, by the
 *		variance of d_1 .. d_n; k = trunc(select_topk V), V being how
 *		many variances of the tensor are not 0; the d_i of all other
 *		elements become 0. select_topk >= 1 leaves all as they are.
 *	calculate	c_i = mean(d_i^2) over the tensor, over the sum of these
 *		means; where that sum is below 1e-6, 1/n (so that tensors of
 *		slight fine-tunes get equal weights).
 *	erase	m_i is 1 where d_i has the sign of sum_i d_i, a sum of 0
 *		counting as positive, and 0 elsewhere and where d_i = 0.
 *
 *	out = base + sum_i c_i m_i d_i / max(1e-6, sum_i c_i m_i)
 *
 * Of equal variances those of lower flat index are selected first (top_k.h).
 * Variances are computed in double and rounded to binary32. The reduction
 * depends on select_topk, its survey, of the variances, does not.
 */
#include "core/methods/delta.h"
#include "core/methods/rounded_dot.h"
#include "core/methods/top_k.h"

enum { SCE_SELECT_TOPK, SCE_INT8_MASK };

#define SCE_TOTAL_MIN 1e-6f
#define SCE_DIVISOR_MIN 1e-6f

struct sce_state {
	/* Variances above the threshold are selected, and those that equal it
	 * before the cut; a cut of 0: nothing is. */
	uint64_t cut;
	uint32_t threshold;
	double squares[]; /* of each input's d_i, summed up */
};

static double select_topk(const struct method_args *args)
{
	return method_value(args, SCE_SELECT_TOPK, 0);
}

static size_t models_of(const struct method_args *args)
{
	return args->inputs - 1;
}

/* With select_topk <= 0 all task vectors are 0, and nothing has to be known. */
static size_t sce_state_size(const struct method_args *args)
{
	if (select_topk(args) <= 0)
		return 0;
	return sizeof(struct sce_state) + args->inputs * sizeof(double);
}

static size_t sce_scratch_size(const struct method_args *args)
{
	return sizeof(struct top_k) + top_k_scratch_size(args, 1);
}

/* The variance over the models (`i` does not matter). */
static void variance(const struct method_args *args, const struct tile *tile,
		     size_t i, float *values)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	double mean[TILE_ELEMENTS] = { 0 };
	double square[TILE_ELEMENTS] = { 0 };
	double n = (double)models_of(args);
	size_t count = tile->count;

	for (size_t m = 0; m < args->inputs; m++) {
		if (m == args->base)
			continue;
		task_delta(args, tile, m, delta);
		for (size_t k = 0; k < count; k++)
			mean[k] += (double)delta[k];
	}
	for (size_t k = 0; k < count; k++)
		mean[k] /= n;
	for (size_t m = 0; m < args->inputs; m++) {
		if (m == args->base)
			continue;
		task_delta(args, tile, m, delta);
		for (size_t k = 0; k < count; k++) {
			double off = (double)delta[k] - mean[k];

			square[k] += off * off;
		}
	}
	/* One NaN, as its bits are selected by. */
	for (size_t k = 0; k < count; k++)
		values[k] = R((float)one_nan(square[k] / n));
}

static size_t survey_size(const struct method_args *args)
{
	return select_topk(args) < 1 ? sizeof(struct magnitudes) : 0;
}

static int survey_make(const struct method_args *args, const struct scan *scan,
		       void *survey)
{
	return magnitudes_find(args, scan, variance, 1, survey);
}

static const struct method_survey variances_survey = {
	.name = "variances",
	.version = 1,
	.size = survey_size,
	.make = survey_make,
};

/* How many elements are selected; mergekit multiplies in binary32. */
static uint64_t selected_count(const struct method_args *args,
			       const struct magnitudes *survey)
{
	uint64_t varying = args->elements - survey->zeros;
	float selected = (float)varying * (float)select_topk(args);

	return min_u64((uint64_t)selected, varying);
}

static int sce_select(const struct method_args *args, const struct scan *scan,
		      struct sce_state *state, void *scratch)
{
	struct top_k *top = scratch;
	const struct top_k_set set = { top, 1, variance };
	int rc;

	top->survey = scan_survey(scan);
	top->k = selected_count(args, top->survey);
	if (!top->k)
		return 0;
	rc = top_k_find(args, scan, &set, top + 1);
	state->cut = top->cut;
	state->threshold = top->threshold.least;
	return rc;
}

/* 1 where the element is selected, else 0. */
static void selection(const struct method_args *args, const struct tile *tile,
		      const struct sce_state *state, float *restrict keep)
{
	uint64_t before = max_u64(state->cut, tile->first) - tile->first;
	int32_t threshold = (int32_t)state->threshold;
	int32_t count = (int32_t)tile->count;
	int32_t cut = (int32_t)min_u64(tile->count, before);

	variance(args, tile, 0, keep);
	for (int32_t k = 0; k < count; k++)
		keep[k] = (int32_t)magnitude(keep[k]) > threshold - (k < cut);
}

/* All of d_i's elements that are selected; `keep` is NULL where all are. */
static void selected_delta(const struct method_args *args,
			   const struct tile *tile, size_t i,
			   const float *restrict keep, float *restrict delta)
{
	size_t count = tile->count;

	task_delta(args, tile, i, delta);
	for (size_t k = 0; keep && k < count; k++)
		delta[k] *= keep[k];
}

static void square_add(const struct method_args *args, const struct tile *tile,
		       const void *ctx, void *partial)
{
	float keep[TILE_ELEMENTS] __attribute__((aligned(64)));
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	bool selects = select_topk(args) < 1;
	double *squares = partial;

	if (selects)
		selection(args, tile, ctx, keep);
	for (size_t i = 0; i < args->inputs; i++) {
		if (i == args->base)
			continue;
		selected_delta(args, tile, i, selects ? keep : NULL, delta);
		squares[i] +=
			ROUNDS ? lanes_dot_rounded(delta, delta, tile->count)
			       : lanes_dot(delta, delta, tile->count);
	}
}

static int sce_reduce(const struct method_args *args, const struct scan *scan,
		      void *state, void *scratch)
{
	struct sce_state *made = state;
	const struct scan_step step = {
		.partial_size = args->inputs * sizeof(double),
		.add = square_add,
		.fold = fold_sums,
		.ctx = state,
	};
	int rc = 0;

	if (select_topk(args) < 1) {
		rc = sce_select(args, scan, state, scratch);
		if (rc || !made->cut)
			return rc;
	}
	rc = scan_run(scan, 0, args->elements, &step, made->squares);
	for (size_t i = 0; i < args->inputs; i++)
		made->squares[i] = one_nan(made->squares[i]);
	return rc;
}

/* c_i of every input. */
static void coefficients(const struct method_args *args,
			 const struct sce_state *state, float *c)
{
	float total = 0;

	for (size_t i = 0; i < args->inputs; i++) {
		c[i] = R((float)(state->squares[i] / (double)args->elements));
		if (i != args->base)
			total += c[i];
	}
	total = R(total);
	for (size_t i = 0; i < args->inputs; i++)
		c[i] = fabsf(total) < R(SCE_TOTAL_MIN)
			       ? R(1 / (float)models_of(args))
			       : R(c[i] / total);
}

/* Add what agrees with the signs in `elected`; `divisor` becomes sum c_i m_i.
 */
static void agree(const float *restrict delta, const float *restrict elected,
		  float c, const struct tile *tile, float *restrict divisor)
{
	float *restrict out = tile->out;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++) {
		float agrees = c * (delta[k] * elected[k] > 0 ? 1.0f : 0.0f);

		out[k] += R(delta[k] * agrees);
		divisor[k] += agrees;
	}
}

static void fuse(const struct method_args *args, const struct sce_state *state,
		 const struct tile *tile, const float *keep)
{
	float delta[TILE_ELEMENTS] __attribute__((aligned(64)));
	float elected[TILE_ELEMENTS] __attribute__((aligned(64))) = { 0 };
	float divisor[TILE_ELEMENTS] __attribute__((aligned(64))) = { 0 };
	float c[METHOD_INPUTS_MAX];
	float least = R(SCE_DIVISOR_MIN);
	float *restrict out = tile->out;
	size_t count = tile->count;

	coefficients(args, state, c);
	for (size_t i = 0; i < args->inputs; i++) {
		if (i == args->base)
			continue;
		selected_delta(args, tile, i, keep, delta);
		task_add(elected, delta, count);
	}
	for (size_t k = 0; k < count; k++)
		elected[k] = R(elected[k]) >= 0 ? 1 : -1;
	for (size_t i = 0; i < args->inputs; i++) {
		if (i == args->base)
			continue;
		selected_delta(args, tile, i, keep, delta);
		agree(delta, elected, c[i], tile, divisor);
	}
	for (size_t k = 0; k < count; k++) {
		float d = R(divisor[k]);

		out[k] = R(R(out[k]) / (d < least ? least : d));
	}
}

static void sce_tile(const struct method_args *args, const void *state,
		     const struct tile *tile)
{
	float keep[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct sce_state *made = state;
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;
	bool selects = select_topk(args) < 1;

	memset(out, 0, count * sizeof(*out));
	if (made && selects && made->cut)
		selection(args, tile, made, keep);
	if (made && (!selects || made->cut))
		fuse(args, made, tile, selects ? keep : NULL);
	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + out[k]);
}

static const struct method_option options[] = {
	[SCE_SELECT_TOPK] = {
		.name = "select_topk",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 1,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "share of the elements merged, of greatest variance",
	},
	[SCE_INT8_MASK] = {
		.name = "int8_mask",
		.type = OPTION_BOOL,
		.scope = OPTION_GLOBAL,
		.fallback = 0,
		.min = 0,
		.max = 1,
		.help = "accepted, as in mergekit; changes nothing",
	},
};

METHOD(sce) = {
	.name = "sce",
	.summary = "task vectors by their size, where models differ most",
	.version = 1,
	.element_ps = 1650,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.state_size = sce_state_size,
	.survey = &variances_survey,
	.scratch_size = sce_scratch_size,
	.reduce = sce_reduce,
	.tile = sce_tile,
};
