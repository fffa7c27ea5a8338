/*
 * Bases of models' own (chat vectors): the numbers are those of the model that
 * the recipe's base plus its task vector makes, whatever the method; the same
 * from any cuts, at any level; and what is not asked for changes nothing.
 */
#include "tests/unit/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define CUTS 12
#define OWN INPUTS /* an input that is only a base of a model's own */

/* Input 0 starts from model 3, input 2 from the input OWN, 3 from the base. */
static const size_t own_origins[INPUTS + 1] = {
	[0] = 3,    [BASE] = METHOD_NO_BASE, [2] = OWN,
	[3] = BASE, [OWN] = METHOD_NO_BASE,
};

static const struct variant rescaled[] = {
	{ "ties", { "rescale" }, { 1 }, { 0.5, 1, 0.3, 0.1 } },
	{ "dare_ties", { "normalize" }, { 1 }, { 0.5, 1, 0.3, 1 } },
};

/* The job of a sample with the origins above and the values of its inputs. */
static void own_open(struct job_fixture *jf, const struct sample *s,
		     float *const x[INPUTS + 1])
{
	const struct job *plain = &s->jf.job;

	job_open(jf, plain->method, INPUTS + 1, BASE, ROWS, COLS);
	for (size_t i = 0; i <= INPUTS; i++)
		job_input(jf, i, DTYPE_F32, x[i]);
	for (size_t o = 0; o < plain->method->options_count; o++)
		for (size_t i = 0; i < INPUTS; i++)
			job_set(jf, plain->method->options[o].name, i,
				method_value(&plain->args, o, i));
	jf->job.args.semantics = plain->args.semantics;
	jf->job.args.origins = own_origins;
}

/* For each variant of a method that has own bases: a sample of numbers whose
 * differences are exact, and its job with own bases. */
static void for_own(void (*check)(struct sample *s, struct job_fixture *own,
				  const char *label))
{
	float *shifted = calloc(ELEMENTS, sizeof(*shifted));
	float *other = calloc(ELEMENTS, sizeof(*other));
	float *first = calloc(ELEMENTS, sizeof(*first));

	for (size_t v = 0; v < VARIANTS + ARRAY_LEN(rescaled);
	     v += VARIANT_STEP) {
		const struct variant *variant =
			v < VARIANTS ? &variants[v] : &rescaled[v - VARIANTS];
		struct job_fixture own;
		uint64_t seed = 3;
		struct sample s;

		if (!method_by_name(variant->method)->own_bases)
			continue;
		sample_open(&s, variant, DATA_EQUALS);
		for (size_t j = 0; j < ELEMENTS; j++) {
			float moved = (float)(int)(fixture_random(&seed) % 64);

			other[j] = s.x[BASE][j] + moved * 0x1p-8f;
			shifted[j] = s.x[2][j] + moved * 0x1p-8f;
			first[j] = s.x[3][j] + (s.x[0][j] - s.x[BASE][j]);
		}
		own_open(&own, &s,
			 (float *const[]){ first, s.x[BASE], shifted, s.x[3],
					   other });
		check(&s, &own, variant->method);
		job_close(&own);
		sample_close(&s);
	}
	free(first);
	free(other);
	free(shifted);
}

static void check_moved(struct sample *s, struct job_fixture *own,
			const char *label)
{
	float *got = malloc(ELEMENTS * sizeof(*got));
	float *want = malloc(ELEMENTS * sizeof(*want));

	job_make(&s->jf, cpu_level_best(), NULL, want, NULL);
	job_make(own, cpu_level_best(), NULL, got, NULL);
	assert_same(got, want, ELEMENTS * sizeof(*got), label);
	free(want);
	free(got);
}

static void a_task_vector_starts_from_the_models_own_base(void **state)
{
	for_own(check_moved);
}

static void check_cuts(struct sample *s, struct job_fixture *own,
		       const char *label)
{
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	struct pool *pool = pool_open(4, NULL);
	const struct job *job = &own->job;
	unsigned char *whole = malloc(job->size);
	unsigned char *part = malloc(job->size);
	size_t row = job->size / job->args.rows;
	uint64_t seed = 7;
	void *made, *other;

	job_make(own, CPU_LEVEL_baseline, NULL, whole, &made);
	job_make(own, cpu_level_best(), pool, part, &other);
	assert_same(part, whole, job->size, label);
	if (job->state_size)
		assert_same(made, other, job->state_size, label);
	for (size_t c = 0; c < CUTS; c++) {
		size_t off = fixture_random(&seed) % job->size;
		size_t len = fixture_random(&seed) % (job->size - off);

		if (job->kind == JOB_ROWS) {
			off -= off % row;
			len = min_u64(round_up_u64(len, row), job->size - off);
		}
		assert_false(merge_bytes(job, cpu_level_best(), made, off, len,
					 part, scratch, NULL, NULL));
		assert_same(part, whole + off, len, label);
	}
	pool_close(pool);
	free(other);
	free(made);
	free(part);
	free(whole);
}

static void pieces_levels_and_threads_give_the_same_bytes(void **state)
{
	for_own(check_cuts);
}

/* Options of an input that is only a base mean nothing. */
static void check_options(struct sample *s, struct job_fixture *own,
			  const char *label)
{
	float *got = malloc(ELEMENTS * sizeof(*got));
	float *want = malloc(ELEMENTS * sizeof(*want));
	struct hash128 key, other;
	struct error err = { 0 };

	job_make(own, cpu_level_best(), NULL, want, NULL);
	assert_false(merge_tensor_key(&own->job, &key, &err));
	job_set(own, "weight", OWN, 5);
	job_set(own, "density", OWN, 0.25);
	own->positions[OWN] = 9;
	job_make(own, cpu_level_best(), NULL, got, NULL);
	assert_false(merge_tensor_key(&own->job, &other, &err));
	assert_same(got, want, ELEMENTS * sizeof(*got), label);
	assert_true(hash_equal(key, other));
	free(want);
	free(got);
}

static void a_mere_base_has_no_options(void **state)
{
	for_own(check_options);
}

/* Two jobs of the same inputs differ by whose base is whose. */
static void check_keys(struct sample *s, struct job_fixture *own,
		       const char *label)
{
	static const size_t origins[INPUTS + 1] = {
		[0] = OWN,  [BASE] = METHOD_NO_BASE, [2] = OWN,
		[3] = BASE, [OWN] = METHOD_NO_BASE,
	};
	struct hash128 keys[4];
	struct error err = { 0 };

	assert_false(merge_tensor_key(&own->job, &keys[0], &err));
	assert_false(merge_state_key(&own->job, &keys[1], &err));
	own->job.args.origins = origins;
	assert_false(merge_tensor_key(&own->job, &keys[2], &err));
	assert_false(merge_state_key(&own->job, &keys[3], &err));
	assert_false(hash_equal(keys[0], keys[2]));
	assert_false(hash_equal(keys[1], keys[3]));
}

static void keys_know_whose_base_is_whose(void **state)
{
	for_own(check_keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_vector_starts_from_the_models_own_base),
		cmocka_unit_test(pieces_levels_and_threads_give_the_same_bytes),
		cmocka_unit_test(a_mere_base_has_no_options),
		cmocka_unit_test(keys_know_whose_base_is_whose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
