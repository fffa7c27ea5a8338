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

/* From the counter to a stream. */
static void set_streams(struct job_fixture *jf)
{
	static const uint64_t streams[] = { RNG_NO_STREAM, 5, 29 };

	jf->job.args.rng = RNG_MT19937;
	jf->job.args.streams = streams;
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

static void set_origins(struct job_fixture *jf)
{
	static const size_t origins[] = { METHOD_NO_BASE, 2, 0 };

	jf->job.args.origins = origins;
}

static void set_semantics(struct job_fixture *jf)
{
	jf->job.args.semantics = SEMANTICS_PAPER;
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
	bool survey;	   /* whether that of ties must */
} changes[] = {
	{ "nothing", set_nothing, NO, NO, false },
	{ "weight", set_weight, NO, BOTH, false },
	{ "density", set_density, BOTH, BOTH, false },
	{ "density of the base", set_density_of_base, NO, NO, false },
	{ "lambda", set_lambda, NO, BOTH, false },
	{ "lambda in its last bit", set_lambda_a_little, NO, BOTH, false },
	{ "normalize", set_normalize, NO, BOTH, false },
	{ "rescale", set_rescale, BOTH, BOTH, false },
	{ "output type", set_output, NO, BOTH, false },
	{ "rounding", set_round, BOTH, BOTH, true },
	{ "seed", set_seed, DARE, DARE, false },
	{ "position", set_position, DARE, DARE, false },
	{ "name", set_name, DARE, DARE, false },
	{ "streams", set_streams, DARE, DARE, false },
	{ "shape", set_shape, BOTH, BOTH, true },
	{ "offset", set_offset, BOTH, BOTH, true },
	{ "type of an input", set_dtype, BOTH, BOTH, true },
	{ "source", set_source, BOTH, BOTH, true },
	{ "order of inputs", swap_inputs, BOTH, BOTH, true },
	{ "base", set_base, BOTH, BOTH, true },
	{ "origin of a task vector", set_origins, BOTH, BOTH, true },
	{ "semantics", set_semantics, NO, BOTH, false },
	{ "version", set_version, BOTH, BOTH, false },
};

struct keys {
	struct hash128 survey, state, tensor;
	struct hash128 state_like, tensor_like;
};

static struct keys keys_of(const struct job *job)
{
	struct keys keys = { 0 };

	if (job->method && job->method->survey)
		assert_false(merge_survey_key(job, &keys.survey, NULL));
	assert_false(merge_state_key(job, &keys.state, NULL));
	assert_false(merge_tensor_key(job, &keys.tensor, NULL));
	assert_false(merge_state_likeness(job, &keys.state_like));
	assert_false(merge_tensor_likeness(job, &keys.tensor_like));
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
	assert_false(hash_equal(before.state_like, before.tensor_like));
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
	if (hash_equal(before.state_like, after.state_like) ==
		    !!(changes[c].state & flag) ||
	    hash_equal(before.tensor_like, after.tensor_like) ==
		    !!(changes[c].tensor & flag))
		fail_msg("%s: %s: a likeness is wrong", method,
			 changes[c].label);
	if (jf.job.method->survey &&
	    hash_equal(before.survey, after.survey) == changes[c].survey)
		fail_msg("%s: %s: the survey's key is wrong", method,
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

/* The text of a key to its last letter: whoever changes it throws away what
 * caches on people's disks hold. */
static struct hash128 hash_of_text(const struct job_fixture *jf,
				   const char *start)
{
	char hex[3][HASH_HEX_LEN + 1], text[1024];
	int len;

	for (size_t i = 0; i < 3; i++) {
		struct hash128 identity;

		assert_false(source_identity(jf->tensors[i].source, &identity,
					     NULL));
		hash_hex(identity, hex[i]);
	}
	len = snprintf(text, sizeof(text),
		       "%sinput %s at 3 F32\ninput %s at 3 F32 to BF16\n"
		       "input %s at 3 F32\n",
		       start, hex[0], hex[1], hex[2]);
	assert_true(len > 0 && (size_t)len < sizeof(text));
	return hash_bytes(text, (size_t)len);
}

/* Surveys of the same are shared by methods; other ones are not. */
static void methods_with_one_survey_share_its_key(void **state)
{
	struct job_fixture jf;
	struct keys ties, other;

	open_job(&jf, "ties");
	ties = keys_of(&jf.job);
	assert_false(hash_equal(ties.survey, ties.state));
	jf.job.method = method_by_name("breadcrumbs");
	other = keys_of(&jf.job);
	assert_true(hash_equal(ties.survey, other.survey));
	assert_false(hash_equal(ties.state, other.state));
	jf.job.method = method_by_name("sce");
	other = keys_of(&jf.job);
	assert_false(hash_equal(ties.survey, other.survey));
	job_close(&jf);
}

/* For every method and option of the table: a sweep over what is not in_state
 * repeats no reduction, one over what is does. */
static void options_change_state_keys_as_their_rows_say(void **state)
{
	for (size_t m = 0; m < method_count(); m++) {
		const struct merge_method *method = method_at(m);
		size_t base = method->base == BASE_UNUSED ? METHOD_NO_BASE : 0;
		const float x[ELEMENTS] = { 1 };

		for (size_t o = 0; o < method->options_count; o++) {
			struct hash128 before, after;
			struct job_fixture jf;

			job_open(&jf, method, 2, base, 4, 6);
			job_input(&jf, 0, DTYPE_F32, x);
			job_input(&jf, 1, DTYPE_F32, x);
			assert_false(merge_state_key(&jf.job, &before, NULL));
			job_set_all(&jf, method->options[o].name, 0.8125);
			assert_false(merge_state_key(&jf.job, &after, NULL));
			if (hash_equal(before, after) ==
			    method->options[o].in_state)
				fail_msg("%s: %s", method->name,
					 method->options[o].name);
			job_close(&jf);
		}
	}
}

static void keys_stay_what_they_are(void **state)
{
	static const char ties[] = "tensor 1\nshape 4 6\n"
				   "method ties 1\nbase 0\n"
				   "weight 0x1p-1 0x1p-2\n"
				   "density 0x1.3333333333333p-2 0x1p-1\n"
				   "normalize 0x1p+0\nrescale 0x0p+0\n"
				   "lambda -0x1.999999999999ap-4\n"
				   "int8_mask 0x0p+0\n"
				   "output F32\n";
	static const char dare[] = "state 1\nshape 4 6\n"
				   "method dare_ties 1\nbase 0\n"
				   "density 0x1.3333333333333p-2 0x1p-1\n"
				   "rescale 0x0p+0\n"
				   "seed 77\npositions 0 7\n"
				   "name 5 other\n";
	struct job_fixture jf;

	open_job(&jf, "ties");
	job_set(&jf, "weight", 2, 0.25);
	job_set(&jf, "density", 1, 0.3);
	job_set_all(&jf, "lambda", -0.1);
	set_round(&jf);
	assert_true(
		hash_equal(keys_of(&jf.job).tensor, hash_of_text(&jf, ties)));
	jf.job.method = method_by_name("dare_ties");
	jf.job.args.seed = 77;
	set_position(&jf);
	set_name(&jf);
	assert_true(
		hash_equal(keys_of(&jf.job).state, hash_of_text(&jf, dare)));
	job_close(&jf);
}

/* Of a stream seed and places count, and what the tensor is called does not. */
static void streams_are_known_by_their_places(void **state)
{
	static const uint64_t moved[] = { RNG_NO_STREAM, 5, 30 };
	static const uint64_t same[] = { RNG_NO_STREAM, 5, 29 };
	struct job_fixture jf;
	struct keys before;

	open_job(&jf, "dare_ties");
	set_streams(&jf);
	before = keys_of(&jf.job);
	set_name(&jf);
	set_position(&jf);
	jf.job.args.streams = same;
	assert_true(hash_equal(before.tensor, keys_of(&jf.job).tensor));
	assert_true(hash_equal(before.state, keys_of(&jf.job).state));
	jf.job.args.streams = moved;
	assert_false(hash_equal(before.tensor, keys_of(&jf.job).tensor));
	assert_false(hash_equal(before.state, keys_of(&jf.job).state));
	jf.job.args.streams = same;
	set_seed(&jf);
	assert_false(hash_equal(before.tensor, keys_of(&jf.job).tensor));
	assert_false(
		hash_equal(before.state_like, keys_of(&jf.job).state_like));
	job_close(&jf);
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

/* Of a file that nobody can read any more, and of a copy of it. */
static void likeness_needs_no_look_into_files(void **state)
{
	struct job_fixture jf;
	struct hash128 tensor, reduction, after;
	const float x[ELEMENTS] = { 1 };

	open_job(&jf, "dare_ties");
	assert_false(truncate(source_path(jf.tensors[1].source), 0));
	assert_false(merge_tensor_likeness(&jf.job, &tensor));
	assert_false(merge_state_likeness(&jf.job, &reduction));
	assert_false(hash_equal(tensor, reduction));
	assert_true(merge_tensor_key(&jf.job, &after, NULL) < 0);
	job_input(&jf, 3, DTYPE_F32, x);
	jf.tensors[1].source = jf.tensors[3].source;
	assert_false(merge_tensor_likeness(&jf.job, &after));
	assert_false(hash_equal(tensor, after));
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
		cmocka_unit_test(methods_with_one_survey_share_its_key),
		cmocka_unit_test(options_change_state_keys_as_their_rows_say),
		cmocka_unit_test(keys_stay_what_they_are),
		cmocka_unit_test(streams_are_known_by_their_places),
		cmocka_unit_test(copies_have_keys),
		cmocka_unit_test(folders_may_move),
		cmocka_unit_test(likeness_needs_no_look_into_files),
		cmocka_unit_test(unreadable_sources_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
