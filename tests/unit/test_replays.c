/*
 * What every method of the table promises where it rounds as mergekit does: the
 * same bytes at every CPU level, for any number of threads and from any cuts,
 * and numbers of the type that it works in.
 */
#include "core/methods/body.h"
#include "tests/unit/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define CUTS 6

struct manner {
	enum arithmetic arithmetic;
	enum rounding rounding;
	enum dtype dtype;
	enum data data;
};

static const struct manner manners[] = {
	{ ARITHMETIC_MERGEKIT, ROUNDING_bf16, DTYPE_BF16, DATA_F32 },
	{ ARITHMETIC_MERGEKIT, ROUNDING_f16, DTYPE_F16, DATA_F32 },
	{ ARITHMETIC_MERGEKIT, ROUNDING_bf16, DTYPE_BF16, DATA_SPECIALS },
	{ ARITHMETIC_MERGEKIT, ROUNDING_f16, DTYPE_F16, DATA_SPECIALS },
	{ ARITHMETIC_MERGEKIT_014, ROUNDING_bf16, DTYPE_BF16, DATA_F32 },
	{ ARITHMETIC_MERGEKIT_014, ROUNDING_f16, DTYPE_F16, DATA_SPECIALS },
	{ ARITHMETIC_MERGEKIT_014, ROUNDING_f32, DTYPE_F32, DATA_SPECIALS },
};

static void replay_open(struct sample *s, const struct variant *variant,
			const struct manner *manner)
{
	sample_open(s, variant, manner->data);
	s->jf.job.rounding = manner->rounding;
	s->jf.job.args.arithmetic = manner->arithmetic;
	for (size_t i = 0; i < s->jf.job.args.inputs; i++)
		s->jf.inputs[i].round = manner->dtype;
}

static void for_all(void (*check)(struct sample *s, const char *label))
{
	char label[80];

	for (size_t v = 0; v < VARIANTS; v += VARIANT_STEP)
		for (size_t m = 0; m < ARRAY_LEN(manners); m++) {
			struct sample s;

			snprintf(label, sizeof(label),
				 "%s, variant %zu, manner %zu",
				 variants[v].method, v, m);
			replay_open(&s, &variants[v], &manners[m]);
			check(&s, label);
			sample_close(&s);
		}
}

static void levels_and_threads_give_the_same_bytes(void **state)
{
	for_all(sample_check_levels);
}

/* Methods of mergekit's own whose result is one of the work type's numbers. */
static bool is_replayed(const struct merge_method *method)
{
	static const char *const others[] = { "consensus_ta", "emr", "magmax",
					      "bitdelta" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (!strcmp(method->name, others[i]))
			return false;
	return !method->result_f32;
}

static void check_type(const struct sample *s, const float *x,
		       const char *label)
{
	for (size_t k = 0; k < ELEMENTS; k++) {
		float rounded = s->jf.job.rounding == ROUNDING_bf16
					? round_to_bf16(x[k])
					: round_to_f16(x[k]);

		if (s->jf.job.rounding != ROUNDING_f32 && rounded != x[k] &&
		    !isnan(x[k]))
			fail_msg("%s: element %zu is %a", label, k,
				 (double)x[k]);
	}
}

static void check_cuts(struct sample *s, const char *label)
{
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	size_t row = sizeof(float) * COLS;
	float *whole = malloc(s->jf.job.size);
	char *part = malloc(s->jf.job.size);
	uint64_t seed = 7;
	void *state;

	job_make(&s->jf, cpu_level_best(), NULL, whole, &state);
	if (is_replayed(s->jf.job.method))
		check_type(s, whole, label);
	for (size_t c = 0; c < CUTS; c++) {
		size_t off = fixture_random(&seed) % s->jf.job.size;
		size_t len = fixture_random(&seed) % (s->jf.job.size - off);

		if (s->jf.job.kind == JOB_ROWS) {
			off -= off % row;
			len -= len % row;
		}
		assert_false(merge_bytes(&s->jf.job, cpu_level_best(), state,
					 off, len, part, scratch, NULL, NULL));
		assert_same(part, (char *)whole + off, len, label);
	}
	free(state);
	free(whole);
	free(part);
}

static void pieces_make_a_whole_of_the_work_type(void **state)
{
	for_all(check_cuts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_and_threads_give_the_same_bytes),
		cmocka_unit_test(pieces_make_a_whole_of_the_work_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
