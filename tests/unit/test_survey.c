/*
 * Surveys, the first stage of reductions: what they hold does not depend on
 * options, and a state made from one is the state made without.
 */
#include "tests/unit/selection_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define ROWS 157
#define COLS 1500

static const double densities[] = { 1e-9, 0.01, 0.4, 0.77, 0.999999 };

static void set_share(struct job_fixture *jf, double share)
{
	selection_set(jf, "density", share);
	selection_set(jf, "select_topk", share);
}

static void *make_survey(const struct job *job, enum cpu_level level,
			 struct pool *pool)
{
	void *survey = malloc(job->survey_size);
	struct error err;

	if (merge_survey(job, level, pool, survey, &err))
		fail_msg("%s", err.text);
	return survey;
}

static void *make_state(const struct job *job, struct pool *pool,
			const void *survey)
{
	void *made = malloc(job->state_size);
	struct error err;

	if (merge_surveyed_state(job, cpu_level_best(), pool, survey, made,
				 &err))
		fail_msg("%s", err.text);
	return made;
}

static void assert_same(const void *a, const void *b, size_t size,
			const struct job *job, const char *what)
{
	if (memcmp(a, b, size))
		fail_msg("%s: another %s", job->method->name, what);
}

/* For every method that has a survey, on all data. */
static void for_all(void (*check)(struct job_fixture *jf))
{
	for (size_t m = 0; m < method_count(); m++)
		for (size_t n = 0; n < selection_data_count; n++) {
			struct job_fixture jf;

			if (!method_at(m)->survey)
				continue;
			selection_open_rows(&jf, method_at(m),
					    &selection_data[n], DTYPE_F32, ROWS,
					    COLS);
			check(&jf);
			job_close(&jf);
		}
}

static void check_states(struct job_fixture *jf)
{
	AUTO_FREE void *survey = make_survey(&jf->job, cpu_level_best(), NULL);
	struct pool *pool = pool_open(3, NULL);

	for (size_t d = 0; d < ARRAY_LEN(densities); d++) {
		void *direct, *surveyed;

		set_share(jf, densities[d]);
		direct = make_state(&jf->job, NULL, NULL);
		surveyed = make_state(&jf->job, pool, survey);
		assert_same(direct, surveyed, jf->job.state_size, &jf->job,
			    "state from the survey");
		free(direct);
		free(surveyed);
	}
	pool_close(pool);
}

static void a_state_from_a_survey_is_the_state(void **state)
{
	for_all(check_states);
}

static void check_surveys(struct job_fixture *jf)
{
	AUTO_FREE void *first = make_survey(&jf->job, CPU_LEVEL_baseline, NULL);
	struct pool *pool = pool_open(4, NULL);

	for (size_t l = 0; l < CPU_LEVEL_COUNT; l++) {
		enum cpu_level level;
		void *survey;

		if (!cpu_level_by_name(cpu_level_name((enum cpu_level)l),
				       &level))
			continue;
		set_share(jf, densities[l % ARRAY_LEN(densities)]);
		selection_set(jf, "rescale", l % 2);
		survey = make_survey(&jf->job, level, pool);
		assert_same(first, survey, jf->job.survey_size, &jf->job,
			    "survey");
		free(survey);
	}
	pool_close(pool);
}

static void a_survey_depends_on_no_option_level_or_thread(void **state)
{
	for_all(check_surveys);
}

static size_t state_size(const struct job_fixture *jf)
{
	const struct merge_method *method = jf->job.method;

	return method->state_size ? method->state_size(&jf->job.args) : 0;
}

/* Another value of an option, within its range. */
static double other_value(const struct method_option *option)
{
	if (option->type == OPTION_BOOL)
		return !(option->fallback > 0);
	if (option->type == OPTION_INT)
		return option->fallback > option->min ? option->min
						      : option->max;
	return 0.3125;
}

/* `in_state` tells the truth: what is not, changes no state. */
static void other_options_change_no_state(void **state)
{
	for (size_t m = 0; m < method_count(); m++) {
		const struct merge_method *method = method_at(m);

		for (size_t o = 0; o < method->options_count; o++) {
			const struct method_option *option =
				&method->options[o];
			void *before, *after;
			struct job_fixture jf;

			if (option->in_state)
				continue;
			selection_open_rows(&jf, method, &selection_data[0],
					    DTYPE_F32, ROWS, COLS);
			if (!jf.job.state_size) {
				job_close(&jf);
				continue;
			}
			before = make_state(&jf.job, NULL, NULL);
			job_set_all(&jf, option->name, other_value(option));
			assert_int_equal(state_size(&jf), jf.job.state_size);
			after = make_state(&jf.job, NULL, NULL);
			assert_same(before, after, jf.job.state_size, &jf.job,
				    option->name);
			free(before);
			free(after);
			job_close(&jf);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_from_a_survey_is_the_state),
		cmocka_unit_test(a_survey_depends_on_no_option_level_or_thread),
		cmocka_unit_test(other_options_change_no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
