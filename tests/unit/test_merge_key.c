/*
 * Cache keys: two jobs share a key only where they make the same bytes. The
 * tables name, for every part of a job, which of the two keys it belongs to.
 */
#include "tests/unit/job_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define ELEMENTS 24

static void set_weight(struct job_fixture *jf)
{
	job_set(jf, "weight", 1, 0.25);
}

static void set_density(struct job_fixture *jf)
{
	job_set(jf, "density", 2, 0.25);
}

static void set_density_of_base(struct job_fixture *jf)
{
	job_set(jf, "density", 0, 0.25);
}

static void set_lambda(struct job_fixture *jf)
{
	job_set_all(jf, "lambda", 2);
}

static void set_lambda_a_little(struct job_fixture *jf)
{
	job_set_all(jf, "lambda", 1 + 0x1p-52);
}

static void set_normalize(struct job_fixture *jf)
{
	job_set_all(jf, "normalize", 0);
}

static void set_rescale(struct job_fixture *jf)
{
	job_set_all(jf, "rescale", 1);
}

static void set_output(struct job_fixture *jf)
{
	job_output(jf, DTYPE_BF16);
}

static void set_round(struct job_fixture *jf)
{
	jf->inputs[1].round = DTYPE_BF16;
}

static void set_seed(struct job_fixture *jf)
{
	jf->job.args.seed = 1;
}

static void set_position(struct job_fixture *jf)
{
	jf->positions[2] = 7;
}

static void set_name(struct job_fixture *jf)
{
	jf->job.name = jf->job.args.name = "other";
}

static void set_shape(struct job_fixture *jf)
{
	jf->job.shape = (struct shape){ 2, { 6, 4 } };
	jf->job.args.cols = 4;
}

static void set_offset(struct job_fixture *jf)
{
	jf->tensors[1].off--;
}

static void set_dtype(struct job_fixture *jf)
{
	jf->tensors[1].dtype = DTYPE_F16;
}

static void set_source(struct job_fixture *jf)
{
	jf->tensors[1].source = jf->tensors[2].source;
}

static void swap_inputs(struct job_fixture *jf)
{
	struct job_input input = jf->inputs[1];

	jf->inputs[1] = jf->inputs[2];
	jf->inputs[2] = input;
}

static void set_base(struct job_fixture *jf)
{
	jf->job.args.base = 1;
}

static struct merge_method newer;

static void set_version(struct job_fixture *jf)
{
	newer = *jf->job.method;
	newer.version++;
	jf->job.method = &newer;
}

static void set_nothing(struct job_fixture *jf)
{
}

enum { NO = 0, TIES = 1, DARE = 2, BOTH = TIES | DARE };

static const struct {
	const char *label;
	void (*change)(struct job_fixture *jf);
	int state, tensor; /* for which methods the key must change */
} changes[] = {
	{ "nothing", set_nothing, NO, NO },
	{ "weight", set_weight, NO, BOTH },
	{ "density", set_density, BOTH, BOTH },
	{ "density of the base", set_density_of_base, NO, NO },
	{ "lambda", set_lambda, NO, BOTH },
	{ "lambda in its last bit", set_lambda_a_little, NO, BOTH },
	{ "normalize", set_normalize, NO, BOTH },
	{ "rescale", set_rescale, BOTH, BOTH },
	{ "output type", set_output, NO, BOTH },
	{ "rounding", set_round, BOTH, BOTH },
	{ "seed", set_seed, DARE, DARE },
	{ "position", set_position, DARE, DARE },
	{ "name", set_name, DARE, DARE },
	{ "shape", set_shape, BOTH, BOTH },
	{ "offset", set_offset, BOTH, BOTH },
	{ "type of an input", set_dtype, BOTH, BOTH },
	{ "source", set_source, BOTH, BOTH },
	{ "order of inputs", swap_inputs, BOTH, BOTH },
	{ "base", set_base, BOTH, BOTH },
	{ "version", set_version, BOTH, BOTH },
};

struct keys {
	struct hash128 state, tensor;
};

static struct keys keys_of(const struct job *job)
{
	struct keys keys;

	assert_false(merge_state_key(job, &keys.state, NULL));
	assert_false(merge_tensor_key(job, &keys.tensor, NULL));
	return keys;
}

static void open_job(struct job_fixture *jf, const char *method)
{
	job_open(jf, method_by_name(method), 3, 0, 4, 6);
	job_set_all(jf, "weight", 0.5);
	job_set_all(jf, "density", 0.5);
	job_set_all(jf, "normalize", 1);
	job_set_all(jf, "rescale", 0);
	for (size_t i = 0; i < 3; i++) {
		float x[ELEMENTS] = { (float)i };

		job_input(jf, i, DTYPE_F32, x);
	}
}

static void assert_change(const char *method, int flag, size_t c)
{
	struct job_fixture jf;
	struct keys before;
	struct keys after;

	open_job(&jf, method);
	before = keys_of(&jf.job);
	assert_false(hash_equal(before.state, before.tensor));
	changes[c].change(&jf);
	after = keys_of(&jf.job);
	if (hash_equal(before.state, after.state) ==
	    !!(changes[c].state & flag))
		fail_msg("%s: %s: the state's key is wrong", method,
			 changes[c].label);
	if (hash_equal(before.tensor, after.tensor) ==
	    !!(changes[c].tensor & flag))
		fail_msg("%s: %s: the tensor's key is wrong", method,
			 changes[c].label);
	job_close(&jf);
}

static void keys_hold_what_bytes_depend_on(void **state)
{
	for (size_t c = 0; c < ARRAY_LEN(changes); c++) {
		assert_change("ties", TIES, c);
		assert_change("dare_ties", DARE, c);
	}
}

/* A copy is its source's bytes, whatever the recipe calls it. */
static void copies_have_keys(void **state)
{
	struct job_fixture jf;
	struct keys before;

	open_job(&jf, "ties");
	jf.job.kind = JOB_COPY;
	jf.job.method = NULL;
	before = keys_of(&jf.job);
	set_name(&jf);
	assert_true(hash_equal(before.tensor, keys_of(&jf.job).tensor));
	jf.tensors[0].off--;
	assert_false(hash_equal(before.tensor, keys_of(&jf.job).tensor));
	job_close(&jf);
}

/* What a key is made of is a file's content and not its name. */
static void folders_may_move(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct job_fixture jf;
	struct keys before;
	struct source *moved;

	open_job(&jf, "dare_ties");
	before = keys_of(&jf.job);
	fixture_path(&jf.fx, "elsewhere/model.safetensors", path);
	assert_false(rename(source_path(jf.tensors[1].source), path));
	source_set_close(jf.fx.sources);
	jf.fx.sources = source_set_open();
	assert_false(source_get(jf.fx.sources, path, &moved, NULL));
	jf.tensors[1].source = moved;
	for (size_t i = 0; i < 3; i += 2) {
		char name[32];

		snprintf(name, sizeof(name), "input%zu-%d", i, DTYPE_F32);
		fixture_path(&jf.fx, name, path);
		assert_false(source_get(jf.fx.sources, path, &moved, NULL));
		jf.tensors[i].source = moved;
	}
	assert_true(hash_equal(before.state, keys_of(&jf.job).state));
	assert_true(hash_equal(before.tensor, keys_of(&jf.job).tensor));
	job_close(&jf);
}

static void unreadable_sources_are_told(void **state)
{
	struct job_fixture jf;
	struct hash128 key;
	struct error err;

	open_job(&jf, "ties");
	assert_false(truncate(source_path(jf.tensors[1].source), 0));
	assert_true(merge_tensor_key(&jf.job, &key, &err) < 0);
	assert_non_null(
		strstr(err.text, "model.layers.0.mlp.up_proj.weight: "));
	assert_non_null(strstr(err.text, source_path(jf.tensors[1].source)));
	job_close(&jf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_hold_what_bytes_depend_on),
		cmocka_unit_test(copies_have_keys),
		cmocka_unit_test(folders_may_move),
		cmocka_unit_test(unreadable_sources_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
