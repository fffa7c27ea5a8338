/*
 * The sparsifier of breadcrumbs and breadcrumbs_ties (Davari and Belilovsky,
 * "Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks",
 * 2023): of a task vector both the greatest elements, as outliers, and the
 * least are dropped. Of the N elements of a tensor, in the order of their
 * magnitudes from the least,
 *
 *	target = trunc(density N)	top = trunc(gamma N)
 *	bottom = max(0, N - target - top)
 *
 * those at the places [bottom, bottom + target) are kept. So density goes
 * before gamma, and target <= 0 keeps nothing. With `rescale` what is kept is
 * multiplied by S0 / S1, the sums of magnitudes before and after; the paper has
 * no such thing, and SEMANTICS_PAPER refuses it.
 *
 * Counted from the greatest, the first `inner` are outliers, and what follows
 * up to `outer` is kept: two selections of top_k.h a task vector, by its rule
 * for equal magnitudes. The reduction depends on density, gamma and rescale,
 * its survey, shared with ties, on none of them.
 */
#ifndef LMFS_METHODS_BREADCRUMBS_H
#define LMFS_METHODS_BREADCRUMBS_H

#include "core/methods/top_k.h"

enum { BREADCRUMBS_GAMMA = TASK_OPTIONS_COUNT, BREADCRUMBS_OPTIONS_COUNT };

/* Selections of a task vector, in this order. */
enum { BAND_OUTER, BAND_INNER, BAND_SELECTIONS };

struct band_counts {
	uint64_t outer, inner; /* 0, 0: nothing is kept */
};

/* The state: one for every input, zeros where all is kept or nothing. */
struct band {
	/* Of elements that equal a threshold those before the cut count as
	 * greater. */
	uint64_t cut[BAND_SELECTIONS];
	uint32_t threshold[BAND_SELECTIONS]; /* bits of a magnitude */
	float factor; /* of what is kept; 1 without rescale */
};

/* For a density below 1. */
static inline struct band_counts band_counts(const struct method_args *args,
					     size_t i)
{
	double n = (double)args->elements;
	double target = trunc(task_density(args, i) * n);
	double top = trunc(method_value(args, BREADCRUMBS_GAMMA, i) * n);
	double outer = fmin(n, target + top);

	/* mergekit 0.1.4 counts outliers from the end, and 0 of them as all. */
	if (args->arithmetic == ARITHMETIC_MERGEKIT_014 && top == 0)
		target = 0;
	if (target <= 0 || outer <= 0)
		return (struct band_counts){ 0, 0 };
	return (struct band_counts){
		.outer = (uint64_t)outer,
		.inner = (uint64_t)fmax(0, outer - target),
	};
}

static inline bool has_band(const struct method_args *args, size_t i)
{
	return method_is_model(args, i) && task_density(args, i) < 1 &&
	       band_counts(args, i).outer > 0;
}

static inline size_t breadcrumbs_state_size(const struct method_args *args)
{
	for (size_t i = 0; i < args->inputs; i++)
		if (has_band(args, i))
			return args->inputs * sizeof(struct band);
	return 0;
}

static inline size_t breadcrumbs_scratch_size(const struct method_args *args)
{
	size_t selections = args->inputs * BAND_SELECTIONS;

	return selections * sizeof(struct top_k) +
	       top_k_scratch_size(args, selections);
}

/* A selection of no element or of all needs no search. */
static inline void band_ask(const struct method_args *args, size_t i,
			    const struct magnitudes *survey,
			    struct top_k tops[BAND_SELECTIONS])
{
	struct band_counts counts = band_counts(args, i);

	for (size_t s = 0; s < BAND_SELECTIONS; s++) {
		tops[s].survey = survey;
		tops[s].input = i;
	}
	if (counts.outer < args->elements)
		tops[BAND_OUTER].k = counts.outer;
	tops[BAND_INNER].k = counts.inner;
}

/* The factor from the sums of whichever selections were made. */
static inline float band_factor(const struct top_k tops[BAND_SELECTIONS])
{
	const struct top_k *outer = &tops[BAND_OUTER];
	const struct top_k *inner = &tops[BAND_INNER];
	double all = magnitudes_sum(outer->survey);
	double kept = outer->k ? outer->selected : all;

	if (inner->k)
		kept -= inner->selected;
	return task_factor(all, kept);
}

static inline void band_take(const struct method_args *args,
			     const struct top_k tops[BAND_SELECTIONS],
			     struct band *band)
{
	for (size_t s = 0; s < BAND_SELECTIONS; s++) {
		if (tops[s].k) {
			band->cut[s] = tops[s].cut;
			band->threshold[s] = tops[s].threshold.least;
		} else {
			/* Of all elements, or of none. */
			band->cut[s] = s == BAND_OUTER ? UINT64_MAX : 0;
			band->threshold[s] =
				s == BAND_OUTER ? 0 : MAGNITUDE_MASK;
		}
	}
	band->factor = task_rescales(args) ? band_factor(tops) : 1;
}

static inline int breadcrumbs_reduce(const struct method_args *args,
				     const struct scan *scan, void *state,
				     void *scratch)
{
	const struct magnitudes *survey = scan_survey(scan);
	const struct top_k_set set = {
		.tops = scratch,
		.count = args->inputs * BAND_SELECTIONS,
		.values = task_delta,
	};
	struct band *bands = state;
	int rc;

	for (size_t i = 0; i < args->inputs; i++)
		if (has_band(args, i))
			band_ask(args, i, &survey[delta_slot(args, i)],
				 set.tops + i * BAND_SELECTIONS);
	rc = top_k_find(args, scan, &set, set.tops + set.count);
	for (size_t i = 0; i < args->inputs && !rc; i++)
		if (has_band(args, i))
			band_take(args, set.tops + i * BAND_SELECTIONS,
				  &bands[i]);
	return rc;
}

/* Where in the tile the cut is. */
static inline int32_t band_cut(const struct band *band, size_t s,
			       const struct tile *tile)
{
	return (int32_t)min_u64(
		tile->count, max_u64(band->cut[s], tile->first) - tile->first);
}

/* What is selected is above the threshold, or before the cut not below it. */
static inline void band_keep(const struct band *band, const struct tile *tile,
			     float *restrict delta)
{
	int32_t outer = (int32_t)band->threshold[BAND_OUTER];
	int32_t inner = (int32_t)band->threshold[BAND_INNER];
	int32_t outer_cut = band_cut(band, BAND_OUTER, tile);
	int32_t inner_cut = band_cut(band, BAND_INNER, tile);
	int32_t count = (int32_t)tile->count;

	for (int32_t k = 0; k < count; k++) {
		int32_t bits = (int32_t)magnitude(delta[k]);
		bool in_outer = bits > outer - (k < outer_cut);
		bool in_inner = bits > inner - (k < inner_cut);

		delta[k] *= (in_outer & !in_inner) ? 1.0f : 0.0f;
	}
}

static inline void breadcrumbs_sparsify(const struct method_args *args,
					const void *state,
					const struct tile *tile, size_t i,
					float *delta)
{
	size_t count = tile->count;
	const struct band *band;

	if (task_density(args, i) >= 1)
		return;
	if (!has_band(args, i)) {
		memset(delta, 0, count * sizeof(*delta));
		return;
	}
	band = (const struct band *)state + i;
	band_keep(band, tile, delta);
	if (!task_rescales(args))
		return;
	for (size_t k = 0; k < count; k++)
		delta[k] = R(delta[k] * band->factor);
}

#define BREADCRUMBS_OPTIONS                                                  \
	{                                                                    \
		TASK_OPTION_ROWS(                                            \
			-INFINITY,                                           \
			"share of the elements kept, below the outliers", 0, \
			0),                                                  \
			[BREADCRUMBS_GAMMA] = {                              \
				.name = "gamma",                             \
				.type = OPTION_FLOAT,                        \
				.scope = OPTION_PER_MODEL,                   \
				.in_state = true,                            \
				.fallback = 0.01,                            \
				.min = -INFINITY,                            \
				.max = INFINITY,                             \
				.help = "share of the elements dropped as "  \
					"outliers",                          \
			},                                                   \
	}

#endif
