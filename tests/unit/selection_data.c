#include "tests/unit/selection_data.h"

#include <math.h>

#include "core/bits.h"

static float normal(uint64_t j, uint64_t n, uint64_t *seed)
{
	return fixture_normal(seed, 0.02f);
}

static float all_equal(uint64_t j, uint64_t n, uint64_t *seed)
{
	return fixture_random(seed) % 2 ? 0.5f : -0.5f;
}

static float two_values(uint64_t j, uint64_t n, uint64_t *seed)
{
	return fixture_random(seed) % 2 ? 0.5f : 0.50390625f;
}

static float zeros(uint64_t j, uint64_t n, uint64_t *seed)
{
	return fixture_random(seed) % 2 ? 0.0f : -0.0f;
}

static float all_nan(uint64_t j, uint64_t n, uint64_t *seed)
{
	return NAN;
}

static float all_infinite(uint64_t j, uint64_t n, uint64_t *seed)
{
	return fixture_random(seed) % 2 ? INFINITY : -INFINITY;
}

/* All magnitudes in one bin, and all of its possible ones. */
static float cluster(uint64_t j, uint64_t n, uint64_t *seed)
{
	return float_from_bits(0x3f800000u + (fixture_random(seed) & 0xffff));
}

/* A bin that blocks of the sample do not have many elements in. */
static float ascending(uint64_t j, uint64_t n, uint64_t *seed)
{
	return 1 + (float)j / (float)n;
}

/* Below the finest octaves, where a bin is an octave. */
static float tiny(uint64_t j, uint64_t n, uint64_t *seed)
{
	return fixture_normal(seed, 0x1p-60f);
}

const struct selection_data selection_data[] = {
	{ "normal", normal },
	{ "all equal", all_equal },
	{ "two values", two_values },
	{ "zeros", zeros },
	{ "all NaN", all_nan },
	{ "all infinite", all_infinite },
	{ "cluster", cluster },
	{ "ascending", ascending },
	{ "tiny", tiny },
};
const size_t selection_data_count = ARRAY_LEN(selection_data);

void selection_set(struct job_fixture *jf, const char *option, double value)
{
	const struct merge_method *method = jf->job.method;

	for (size_t o = 0; o < method->options_count; o++)
		if (strcmp(method->options[o].name, option) == 0)
			job_set_all(jf, option, value);
}

static void fill(struct job_fixture *jf, const struct selection_data *data,
		 enum dtype dtype)
{
	uint64_t n = jf->job.elements;
	AUTO_FREE float *x = calloc(n, sizeof(*x));
	uint64_t seed = 11;

	for (size_t i = 0; i < jf->job.args.inputs; i++) {
		for (uint64_t j = 0; j < n; j++)
			x[j] = i == jf->job.args.base
				       ? 0
				       : data->element(j, n, &seed);
		job_input_floats(jf, i, dtype, x);
	}
}

void selection_open_rows(struct job_fixture *jf,
			 const struct merge_method *method,
			 const struct selection_data *data, enum dtype dtype,
			 uint64_t rows, uint64_t cols)
{
	size_t base = method->base == BASE_REQUIRED ? 0 : METHOD_NO_BASE;
	size_t models = max_u64(2, method->models_min);

	models = min_u64(models, method->models_max) + (base == 0);
	job_open(jf, method, models, base, rows, cols);
	fill(jf, data, dtype);
	selection_set(jf, "weight", 0.5);
	selection_set(jf, "density", 0.4);
	selection_set(jf, "t", 0.5);
	selection_set(jf, "epsilon", 0.1);
	selection_set(jf, "gamma", 0.05);
	selection_set(jf, "select_topk", 0.3);
	selection_set(jf, "rescale", 1);
	if (method->state_size)
		jf->job.state_size = method->state_size(&jf->job.args);
	if (method->survey && jf->job.state_size)
		jf->job.survey_size = method->survey->size(&jf->job.args);
}

void selection_open(struct job_fixture *jf, const struct merge_method *method,
		    const struct selection_data *data, enum dtype dtype)
{
	selection_open_rows(jf, method, data, dtype,
			    SELECTION_ELEMENTS / SELECTION_COLS,
			    SELECTION_COLS);
}
