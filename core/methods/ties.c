/*
 * ties: trim, elect signs, merge what agrees (Yadav et al., "TIES-Merging:
 * Resolving Interference When Merging Models", 2023). Election and sum are in
 * task_family.h and task_elect.h; trimming keeps the k greatest magnitudes of
 * a task vector (top_k.h),
 *
 *	k = max(1, trunc(density N))	of the N elements of the tensor.
 *
 * With `rescale` what is kept is multiplied by S0 / S1, the sums of magnitudes
 * before and after; the paper leaves it as it is, so SEMANTICS_PAPER refuses
 * that. density <= 0 keeps nothing, density >= 1 keeps all.
 *
 * The reduction depends on density and rescale. Its survey, shared with
 * breadcrumbs, depends on neither: another density takes one pass.
 */
#include "core/methods/top_k.h"
#include "core/methods/task_elect.h"

/* The state: one for every input, zeros where it is not trimmed. */
struct trim {
	uint64_t cut; /* elements equal to the threshold are kept before it */
	uint32_t threshold; /* bits of a magnitude; greater ones are kept */
	float factor;	    /* of what is kept; 1 without rescale */
};

static bool is_trimmed(const struct method_args *args, size_t i)
{
	double density = task_density(args, i);

	return method_is_model(args, i) && density > 0 && density < 1;
}

/* mergekit 0.1.4 asserts that something is kept of every tensor. */
static const char *check(const struct method_args *args)
{
	bool asserts = args->arithmetic == ARITHMETIC_MERGEKIT_014;

	for (size_t i = 0; asserts && i < args->inputs; i++)
		if (method_is_model(args, i) && task_density(args, i) < 1 &&
		    task_density(args, i) * (double)args->elements < 1)
			return "mergekit 0.1.4 fails where a density leaves "
			       "not one element; use a greater density, or "
			       "llmergefs.arithmetic: mergekit";
	return task_check_paper(args);
}

static uint64_t kept_count(const struct method_args *args, size_t i)
{
	double k = task_density(args, i) * (double)args->elements;

	return max_u64(1, (uint64_t)k);
}

static size_t ties_state_size(const struct method_args *args)
{
	for (size_t i = 0; i < args->inputs; i++)
		if (is_trimmed(args, i))
			return args->inputs * sizeof(struct trim);
	return 0;
}

static size_t ties_scratch_size(const struct method_args *args)
{
	return args->inputs * sizeof(struct top_k) +
	       top_k_scratch_size(args, args->inputs);
}

static int ties_reduce(const struct method_args *args, const struct scan *scan,
		       void *state, void *scratch)
{
	const struct magnitudes *survey = scan_survey(scan);
	struct top_k *tops = scratch;
	struct trim *trims = state;
	bool rescale = task_rescales(args);
	const struct top_k_set set = { tops, args->inputs, task_delta };
	int rc;

	for (size_t i = 0; i < args->inputs; i++) {
		if (!is_trimmed(args, i))
			continue;
		tops[i].survey = &survey[delta_slot(args, i)];
		tops[i].input = i;
		tops[i].k = kept_count(args, i);
	}
	rc = top_k_find(args, scan, &set, tops + args->inputs);
	if (rc)
		return rc;
	for (size_t i = 0; i < args->inputs; i++) {
		if (!tops[i].k)
			continue;
		trims[i].cut = tops[i].cut;
		trims[i].threshold = tops[i].threshold.least;
		trims[i].factor = 1;
		if (rescale)
			trims[i].factor =
				task_factor(magnitudes_sum(tops[i].survey),
					    tops[i].selected);
	}
	return 0;
}

/* Keep the magnitudes above `limit`, as bits; -1 keeps all. */
static void keep_above(float *delta, size_t count, int32_t limit)
{
	for (size_t k = 0; k < count; k++)
		delta[k] *= (int32_t)magnitude(delta[k]) > limit ? 1.0f : 0.0f;
}

static void ties_sparsify(const struct method_args *args, const void *state,
			  const struct tile *tile, size_t i, float *delta)
{
	size_t count = tile->count;
	struct trim trim;
	int32_t threshold;
	size_t cut;

	if (task_density(args, i) >= 1)
		return;
	if (!is_trimmed(args, i)) {
		memset(delta, 0, count * sizeof(*delta));
		return;
	}
	trim = ((const struct trim *)state)[i];
	threshold = (int32_t)trim.threshold;
	cut = min_u64(count, max_u64(trim.cut, tile->first) - tile->first);
	keep_above(delta, cut, threshold - 1);
	keep_above(delta + cut, count - cut, threshold);
	if (!task_rescales(args))
		return;
	for (size_t k = 0; k < count; k++)
		delta[k] = R(delta[k] * trim.factor);
}

static void ties_tile(const struct method_args *args, const void *state,
		      const struct tile *tile)
{
	task_elect(args, state, tile, ties_sparsify);
}

static const struct method_option options[TASK_OPTIONS_COUNT] = TASK_OPTIONS(
	-INFINITY, "share of the elements kept, the greatest first", 1, 0);

METHOD(ties) = {
	.name = "ties",
	.summary = "greatest elements of task vectors, signs elected",
	.version = 1,
	.element_ps = 620,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.own_bases = true,
	.has_paper = true,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.check = check,
	.state_size = ties_state_size,
	.survey = &deltas_survey,
	.scratch_size = ties_scratch_size,
	.reduce = ties_reduce,
	.tile = ties_tile,
};
