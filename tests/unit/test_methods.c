/*
 * What every method of the table promises, whatever it computes: the bytes of
 * its scalar form, the same bytes at every CPU level and from any cuts, the
 * same state for any number of threads; and what single methods promise
 * besides.
 */
#include <math.h>

#include "tests/unit/reference.h"
#include "tests/unit/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define CUTS 12

static void for_all(int data_count,
		    void (*check)(struct sample *s, const char *label))
{
	char label[80];

	for (size_t v = 0; v < VARIANTS; v += VARIANT_STEP)
		for (int data = 0; data < data_count; data++) {
			struct sample s;

			snprintf(label, sizeof(label),
				 "%s, variant %zu, data %d", variants[v].method,
				 v, data);
			sample_open(&s, &variants[v], (enum data)data);
			check(&s, label);
			sample_close(&s);
		}
}

/* Within two steps of the exact value. */
static void assert_near(const float *got, const float *want, const double *unit,
			const char *label)
{
	for (size_t j = 0; j < ELEMENTS; j++) {
		double off = fabs((double)got[j] - (double)want[j]);

		if (got[j] == want[j] || isinf(unit[j]))
			continue;
		if (isnan(want[j]) ? !isnan(got[j]) : !(off <= 2 * unit[j]))
			fail_msg("%s: element %zu is %a, not %a", label, j,
				 (double)got[j], (double)want[j]);
	}
}

static void check_reference(struct sample *s, const char *label)
{
	const struct kernels *kernels = kernels_at(CPU_LEVEL_baseline);
	float *out = calloc(ELEMENTS, sizeof(*out));
	float *want = calloc(ELEMENTS, sizeof(*want));
	double *unit = calloc(ELEMENTS, sizeof(*unit));

	reference_make(s->jf.job.method, &s->jf.job.args,
		       (const float *const *)s->x, want, unit);
	kernels->store[DTYPE_F32](want, want, ELEMENTS);
	job_make(&s->jf, cpu_level_best(), NULL, out, NULL);
	/* Only a method whose factors are of sums over the tensor has units. */
	if (unit[0] != 0)
		assert_near(out, want, unit, label);
	else
		assert_same(out, want, s->jf.job.size, label);
	free(out);
	free(want);
	free(unit);
}

static void bytes_are_those_of_the_scalar_form(void **state)
{
	for_all(DATA_COUNT, check_reference);
}

static void levels_and_threads_give_the_same_bytes(void **state)
{
	for_all(DATA_COUNT, sample_check_levels);
}

/* Move a cut to where the rows of the tensor begin and end. */
static void take_rows(const struct job *job, size_t *off, size_t *len)
{
	size_t row = job->size / job->elements * job->args.cols;

	*off -= *off % row;
	*len = min_u64(round_up_u64(*len, row), job->size - *off);
}

static void check_cuts(struct sample *s, const char *label)
{
	static const enum dtype dtypes[] = { DTYPE_BF16, DTYPE_F16, DTYPE_F64 };
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	uint64_t seed = 7;

	for (size_t d = 0; d < ARRAY_LEN(dtypes); d++) {
		unsigned char *whole;
		unsigned char *part;
		void *state;

		job_output(&s->jf, dtypes[d]);
		whole = malloc(s->jf.job.size);
		part = malloc(s->jf.job.size);
		job_make(&s->jf, cpu_level_best(), NULL, whole, &state);
		for (size_t c = 0; c < CUTS; c++) {
			size_t off = fixture_random(&seed) % s->jf.job.size;
			size_t max = c % 2 ? s->jf.job.size : 50;
			size_t len = fixture_random(&seed) %
				     min_u64(max, s->jf.job.size - off);

			if (s->jf.job.kind == JOB_ROWS)
				take_rows(&s->jf.job, &off, &len);
			assert_false(merge_bytes(&s->jf.job, cpu_level_best(),
						 state, off, len, part, scratch,
						 NULL, NULL));
			assert_same(part, whole + off, len, label);
		}
		free(state);
		free(whole);
		free(part);
	}
}

static void pieces_make_the_whole(void **state)
{
	/* Where the cuts are does not depend on what the numbers are. */
	for_all(1, check_cuts);
}

static void make_variant(const struct variant *variant, enum data data,
			 float *out)
{
	struct sample s;

	sample_open(&s, variant, data);
	job_make(&s.jf, cpu_level_best(), NULL, out, NULL);
	sample_close(&s);
}

/* Pairs of settings that must be the same merge. */
static void equal_settings_give_equal_bytes(void **state)
{
	static const struct variant pairs[][2] = {
		{ { "dare_linear", { "normalize" }, { 1 }, { 1, 1, 1, 1 } },
		  { "task_arithmetic", { "normalize" }, { 1 }, { 0 } } },
		{ { "dare_linear", { 0 }, { 0 }, { 7, 1, 1, 1.5 } },
		  { "task_arithmetic", { 0 }, { 0 }, { 1, 1, 1, 1 } } },
		{ { "dare_ties", { "normalize" }, { 1 }, { 1, 1, 1, 1 } },
		  { "ties", { 0 }, { 0 }, { 1, 1, 1, 1 } } },
		{ { "breadcrumbs_ties",
		    { "gamma", "normalize" },
		    { 0, 1 },
		    { 0.3, 1, 0.2, 1 } },
		  { "ties", { 0 }, { 0 }, { 0.3, 1, 0.2, 1 } } },
		{ { "breadcrumbs", { "density", "gamma" }, { 0, 1 }, { 0 } },
		  { "dare_linear", { "density" }, { 0 }, { 0 } } },
		{ { "della",
		    { "density", "epsilon", "normalize" },
		    { 0.4, 0, 0 },
		    { 0 } },
		  { "dare_ties", { "density" }, { 0.4 }, { 0 } } },
		{ { "della_linear",
		    { "density", "epsilon" },
		    { 0.7, 0 },
		    { 0 } },
		  { "dare_linear", { "density" }, { 0.7 }, { 0 } } },
		{ { "ties", { "weight", PAPER }, { 1 }, { 0.3, 1, 0.2, 1 } },
		  { "ties", { "weight" }, { 1 }, { 0.3, 1, 0.2, 1 } } },
		{ { "dare_linear",
		    { "rescale", PAPER },
		    { 0 },
		    { 0.3, 1, 0.2, 1 } },
		  { "dare_linear", { "rescale" }, { 0 }, { 0.3, 1, 0.2, 1 } } },
		{ { "della",
		    { "density", "epsilon", PAPER },
		    { 0.4, 0 },
		    { 0 } },
		  { "dare_ties",
		    { "density", "normalize", PAPER },
		    { 0.4, 1 },
		    { 0 } } },
		{ { "breadcrumbs_ties",
		    { "gamma", "normalize", PAPER },
		    { 0, 1 },
		    { 0.3, 1, 0.2, 1 } },
		  { "ties", { PAPER }, { 0 }, { 0.3, 1, 0.2, 1 } } },
		{ { "sce", { "select_topk" }, { 0 }, { 0 } },
		  { "breadcrumbs", { "density" }, { 0 }, { 0 } } },
		{ { "ties", { "int8_mask" }, { 1 }, { 0.3, 1, 0.2, 1 } },
		  { "ties", { 0 }, { 0 }, { 0.3, 1, 0.2, 1 } } },
		{ { "task_arithmetic", { "sparsify" }, { 1 }, { 0 } },
		  { "bitdelta", { 0 }, { 0 }, { 0 } } },
		{ { "dare_ties", { "density", "rescale" }, { 0, 0 }, { 0 } },
		  { "ties", { "density" }, { 0 }, { 0 } } },
	};
	float *a = malloc(ELEMENTS * sizeof(*a));
	float *b = malloc(ELEMENTS * sizeof(*b));

	for (size_t p = 0; p < ARRAY_LEN(pairs); p++) {
		make_variant(&pairs[p][0], DATA_F32, a);
		make_variant(&pairs[p][1], DATA_F32, b);
		assert_same(a, b, ELEMENTS * sizeof(*a), pairs[p][0].method);
	}
	free(a);
	free(b);
}

/* A model that is the base changes nothing, whatever the options. */
static void zero_deltas_give_the_base(void **state)
{
	float *out = malloc(ELEMENTS * sizeof(*out));

	for (size_t v = 0; v < VARIANTS; v += VARIANT_STEP) {
		struct sample s;

		sample_open(&s, &variants[v], DATA_F32);
		if (s.jf.job.args.base == METHOD_NO_BASE ||
		    s.jf.job.args.inputs == 2) {
			sample_close(&s);
			continue;
		}
		for (size_t i = 0; i < s.jf.job.args.inputs; i++)
			s.jf.inputs[i] = s.jf.inputs[BASE];
		job_make(&s.jf, cpu_level_best(), NULL, out, NULL);
		assert_same(out, s.x[BASE], ELEMENTS * sizeof(*out),
			    variants[v].method);
		sample_close(&s);
	}
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_those_of_the_scalar_form),
		cmocka_unit_test(levels_and_threads_give_the_same_bytes),
		cmocka_unit_test(pieces_make_the_whole),
		cmocka_unit_test(equal_settings_give_equal_bytes),
		cmocka_unit_test(zero_deltas_give_the_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
