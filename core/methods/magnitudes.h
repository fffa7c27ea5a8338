/*
 * How the magnitudes of a tensor are spread, known before anybody says how many
 * of them are wanted: what a selection by rank begins with (top_k.h), and all
 * that selections with other counts have in common. That is what a survey
 * (core/method.h) of the methods that select holds.
 *
 * The order of magnitudes is that of their 31 bits, with NaN above all. Bins
 * divide them: 128 to an octave where weights and what is made of them lie,
 * from 2^-52 to 2^12, and one octave each beside that. A bin knows how many
 * magnitudes it has and by how much they exceed its least, both exactly, so
 * that sums of magnitudes follow from bins, in any order of counting.
 */
#ifndef LMFS_METHODS_MAGNITUDES_H
#define LMFS_METHODS_MAGNITUDES_H

#include "core/methods/task_family.h"

#define MAGNITUDE_BITS 31
#define MAGNITUDE_MASK 0x7fffffffu

#define MANTISSA_BITS 23
#define OCTAVES 256u
#define NONFINITE_OCTAVE 255u

/* Bits of a magnitude that its bin leaves open: in the fine octaves, beside. */
#define FINE_OPEN_BITS 16
#define FINE_MASK ((1u << FINE_OPEN_BITS) - 1)
#define OCTAVE_MASK ((1u << MANTISSA_BITS) - 1)
#define FINE_FIRST_OCTAVE 75u
#define FINE_OCTAVES 64u
#define FINE_PER_OCTAVE (1u << (MANTISSA_BITS - FINE_OPEN_BITS))
#define FINE_FIRST (FINE_FIRST_OCTAVE * FINE_PER_OCTAVE)
#define FINE_BINS (FINE_OCTAVES * FINE_PER_OCTAVE)
#define MAGNITUDE_BINS (OCTAVES - FINE_OCTAVES + FINE_BINS)

struct magnitude_bin {
	uint64_t count;
	uint64_t
		excess; /* over the bin's least magnitude, summed up, as bits */
};

struct magnitudes {
	uint64_t zeros;
	struct magnitude_bin bins[MAGNITUDE_BINS]; /* from the least on */
};

/* Magnitudes that agree in all but their `open` last bits. */
struct magnitude_range {
	uint32_t least;
	unsigned open;
};

/* The numbers of an input whose magnitudes are meant: task_delta(), say. */
typedef void magnitude_values(const struct method_args *args,
			      const struct tile *tile, size_t i, float *values);

struct magnitudes_pass {
	magnitude_values *values;
	size_t count; /* of inputs with a task vector */
};

static inline uint32_t magnitude(float x)
{
	return float_bits(x) & MAGNITUDE_MASK;
}

static inline bool range_has(const struct magnitude_range *range, uint32_t bits)
{
	return (bits ^ range->least) >> range->open == 0;
}

static inline struct magnitude_range bin_range(size_t bin)
{
	uint32_t b = (uint32_t)bin;

	if (b < FINE_FIRST_OCTAVE)
		return (struct magnitude_range){ b << MANTISSA_BITS,
						 MANTISSA_BITS };
	if (b < FINE_FIRST_OCTAVE + FINE_BINS)
		return (struct magnitude_range){
			(b - FINE_FIRST_OCTAVE + FINE_FIRST) << FINE_OPEN_BITS,
			FINE_OPEN_BITS
		};
	return (struct magnitude_range){ (b - FINE_BINS + FINE_OCTAVES)
						 << MANTISSA_BITS,
					 MANTISSA_BITS };
}

/*
 * The sum of a bin's magnitudes: they are of one octave, so what they exceed
 * the least by is counted in units of their last bit.
 */
static inline double range_sum(const struct magnitude_range *range,
			       const struct magnitude_bin *bin)
{
	uint32_t octave = range->least >> MANTISSA_BITS;
	double least = (double)float_from_bits(range->least);
	double unit;

	if (!bin->count)
		return 0;
	if (octave == NONFINITE_OCTAVE)
		return bin->excess ? (double)NAN : one_nan(least);
	unit = (double)float_from_bits((octave ? octave : 1) << MANTISSA_BITS) /
	       (1u << MANTISSA_BITS);
	return (double)bin->count * least + (double)bin->excess * unit;
}

static inline double magnitudes_sum(const struct magnitudes *magnitudes)
{
	double sum = 0;

	for (size_t b = MAGNITUDE_BINS; b-- > 0;) {
		struct magnitude_range range = bin_range(b);

		sum += range_sum(&range, &magnitudes->bins[b]);
	}
	return sum;
}

/* Among the inputs that have a task vector, the place of input i: bases of a
 * model's own come after them all. */
static inline size_t delta_slot(const struct method_args *args, size_t i)
{
	return i - (args->base < i);
}

static inline size_t delta_input(const struct method_args *args, size_t slot)
{
	return slot + (args->base <= slot);
}

static inline size_t deltas_of(const struct method_args *args)
{
	size_t count = 0;

	for (size_t i = 0; i < args->inputs; i++)
		count += method_is_model(args, i);
	return count;
}

/*
 * Bins of what was counted last, each one number: the count from TALLY_SHIFT
 * on, the excess below, so that counting an element is one addition. They are
 * emptied into the bins proper before an excess can reach the count.
 */
#define TALLY_SHIFT 40
#define TALLY_EXCESS (((uint64_t)1 << TALLY_SHIFT) - 1)
#define TALLY_ELEMENTS_MAX (1u << (TALLY_SHIFT - MANTISSA_BITS))

struct magnitudes_tally {
	struct magnitudes all;
	uint64_t last[MAGNITUDE_BINS];
	uint64_t count; /* elements in `last` */
};

/* Add what was counted last. */
static inline void tally_give(const struct magnitudes_tally *tally,
			      struct magnitudes *sum)
{
	for (size_t b = 0; b < MAGNITUDE_BINS; b++) {
		uint64_t last = tally->last[b];

		sum->bins[b].count += last >> TALLY_SHIFT;
		sum->bins[b].excess += last & TALLY_EXCESS;
	}
}

static inline void tally_add(const float *restrict values, size_t count,
			     struct magnitudes_tally *tally)
{
	uint32_t excess[TILE_ELEMENTS];
	uint32_t bin[TILE_ELEMENTS];
	size_t zeros = 0;

	for (size_t k = 0; k < count; k++) {
		uint32_t bits = magnitude(values[k]);
		uint32_t octave = bits >> MANTISSA_BITS;
		uint32_t fine = (bits >> FINE_OPEN_BITS) - FINE_FIRST;
		uint32_t coarse = octave < FINE_FIRST_OCTAVE
					  ? octave
					  : octave + FINE_BINS - FINE_OCTAVES;
		bool is_fine = fine < FINE_BINS;

		bin[k] = is_fine ? fine + FINE_FIRST_OCTAVE : coarse;
		excess[k] = bits & (is_fine ? FINE_MASK : OCTAVE_MASK);
		zeros += !bits;
	}
	if (tally->count + count > TALLY_ELEMENTS_MAX) {
		tally_give(tally, &tally->all);
		memset(tally->last, 0, sizeof(tally->last));
		tally->count = 0;
	}
	tally->all.zeros += zeros;
	tally->count += count;
	for (size_t k = 0; k < count; k++)
		tally->last[bin[k]] += ((uint64_t)1 << TALLY_SHIFT) + excess[k];
}

static inline void magnitudes_add(const struct method_args *args,
				  const struct tile *tile, const void *ctx,
				  void *partial)
{
	float values[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct magnitudes_pass *pass = ctx;
	struct magnitudes_tally *of_slot = partial;

	for (size_t slot = 0; slot < pass->count; slot++) {
		pass->values(args, tile, delta_input(args, slot), values);
		tally_add(values, tile->count, &of_slot[slot]);
	}
}

/* The total is of magnitudes proper. */
static inline void magnitudes_fold(const struct method_args *args,
				   const void *ctx, void *total,
				   const void *partial)
{
	const struct magnitudes_pass *pass = ctx;
	const struct magnitudes_tally *part = partial;
	struct magnitudes *sum = total;

	for (size_t slot = 0; slot < pass->count; slot++) {
		const struct magnitudes *all = &part[slot].all;

		sum[slot].zeros += all->zeros;
		for (size_t b = 0; b < MAGNITUDE_BINS; b++) {
			sum[slot].bins[b].count += all->bins[b].count;
			sum[slot].bins[b].excess += all->bins[b].excess;
		}
		tally_give(&part[slot], &sum[slot]);
	}
}

/* One pass: the magnitudes of the values of so many inputs. */
static inline int magnitudes_find(const struct method_args *args,
				  const struct scan *scan,
				  magnitude_values *values, size_t count,
				  struct magnitudes *found)
{
	const struct magnitudes_pass pass = { values, count };
	const struct scan_step step = {
		.partial_size = count * sizeof(struct magnitudes_tally),
		.commutes = true,
		.add = magnitudes_add,
		.fold = magnitudes_fold,
		.ctx = &pass,
	};

	return scan_run(scan, 0, args->elements, &step, found);
}

/* The survey of methods that select by the magnitudes of task vectors. */
static inline size_t deltas_survey_size(const struct method_args *args)
{
	return deltas_of(args) * sizeof(struct magnitudes);
}

static inline int deltas_survey_make(const struct method_args *args,
				     const struct scan *scan, void *survey)
{
	return magnitudes_find(args, scan, task_delta, deltas_of(args), survey);
}

static const struct method_survey deltas_survey = {
	.name = "task vectors",
	.version = 1,
	.size = deltas_survey_size,
	.make = deltas_survey_make,
};

#endif
