/*
 * How often reductions read their sources: once or twice, whatever the data,
 * and with the survey at hand once. Counted is what is read, so that a look at
 * a few blocks more is seen, too.
 */
#include "tests/unit/selection_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Of a pass: single blocks that are read to find where a cut is, and a sample
 * of blocks. */
#define SOME_BLOCKS 0.15

static double passes_of(struct job_fixture *jf, const void *survey)
{
	uint64_t before = source_set_bytes_read(jf->fx.sources);
	AUTO_FREE void *state = malloc(jf->job.state_size);
	struct pool *pool = pool_open(2, NULL);
	uint64_t bytes = 0;
	struct error err;

	for (size_t i = 0; i < jf->job.args.inputs; i++)
		bytes += jf->tensors[i].size;
	if (merge_surveyed_state(&jf->job, cpu_level_best(), pool, survey,
				 state, &err))
		fail_msg("%s", err.text);
	pool_close(pool);
	return (double)(source_set_bytes_read(jf->fx.sources) - before) /
	       (double)bytes;
}

static void assert_passes(double passes, int expected, const char *label,
			  const char *data, enum dtype dtype)
{
	if (passes < expected || passes > expected + SOME_BLOCKS)
		fail_msg("%s, %s, %s: %.3f passes, not %d", label, data,
			 dtype_info(dtype)->name, passes, expected);
}

/* Those that read more than once. */
static const struct {
	const char *method;
	int passes;
} several[] = {
	{ "ties", 2 },	       { "breadcrumbs", 2 }, { "breadcrumbs_ties", 2 },
	{ "sce", 3 },	       /* the third: squares of what is selected */
	{ "arcee_fusion", 4 }, /* two for the divergence of rows */
	{ "tsv_m", 2 },	       { "core_space", 2 },  { "wudi", 2 },
};

static int expected_passes(const struct merge_method *method)
{
	for (size_t i = 0; i < ARRAY_LEN(several); i++)
		if (strcmp(several[i].method, method->name) == 0)
			return several[i].passes;
	return 1;
}

static void each_method_reads_as_often_as_stated(void **state)
{
	static const enum dtype dtypes[] = { DTYPE_F32, DTYPE_BF16 };

	for (size_t m = 0; m < method_count(); m++) {
		const struct merge_method *method = method_at(m);

		for (size_t d = 0; d < ARRAY_LEN(dtypes); d++) {
			struct job_fixture jf;

			selection_open(&jf, method, &selection_data[0],
				       dtypes[d]);
			if (jf.job.state_size)
				assert_passes(
					passes_of(&jf, NULL),
					expected_passes(method), method->name,
					selection_data[0].label, dtypes[d]);
			job_close(&jf);
		}
	}
}

/* Selections, without a survey and with one. */
static void check_data(const struct selection_data *data, enum dtype dtype,
		       int direct, int surveyed)
{
	static const char *const methods[] = { "ties", "breadcrumbs" };
	struct job_fixture jf;
	struct error err;
	void *survey;

	for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
		selection_open(&jf, method_by_name(methods[m]), data, dtype);
		survey = malloc(jf.job.survey_size);
		assert_false(merge_survey(&jf.job, cpu_level_best(), NULL,
					  survey, &err));
		assert_passes(passes_of(&jf, NULL), direct, methods[m],
			      data->label, dtype);
		assert_passes(passes_of(&jf, survey), surveyed, methods[m],
			      data->label, dtype);
		free(survey);
		job_close(&jf);
	}
}

static void no_data_make_a_selection_read_on(void **state)
{
	/* In binary32; in bfloat16 all have few magnitudes. */
	static const struct {
		const char *label;
		int direct;
	} hard[] = {
		{ "cluster", 3 },   /* its bin is divided */
		{ "ascending", 4 }, /* and that is seen when it is read */
		{ "tiny", 3 },	    /* an octave is a bin */
	};

	for (size_t n = 0; n < selection_data_count; n++) {
		const struct selection_data *data = &selection_data[n];
		int direct = 2;

		for (size_t h = 0; h < ARRAY_LEN(hard); h++)
			if (strcmp(hard[h].label, data->label) == 0)
				direct = hard[h].direct;
		check_data(data, DTYPE_F32, direct, direct - 1);
		check_data(data, DTYPE_BF16, 2, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_method_reads_as_often_as_stated),
		cmocka_unit_test(no_data_make_a_selection_read_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
