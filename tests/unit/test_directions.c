/*
 * The methods that turn vectors: rows and columns of every length come out as
 * those of the plain form, however they lie across the blocks of a reduction;
 * vectors without a direction follow the rules; and weights are no part of a
 * state.
 */
#include <math.h>

#include "tests/unit/job_fixture.h"
#include "tests/unit/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define INPUTS 4

struct setting {
	const char *method;
	size_t inputs, base;
	const char *option[2];
	double value[2];
};

struct size {
	uint64_t rows, cols;
};

static void directions_open(struct job_fixture *jf,
			    const struct setting *setting, struct size size)
{
	static const double weights[INPUTS] = { 0.3, 0.66, -0.2, 0.51 };
	const struct merge_method *method = method_by_name(setting->method);

	job_open(jf, method, setting->inputs, setting->base, size.rows,
		 size.cols);
	for (size_t i = 0; i < setting->inputs; i++)
		if (!strcmp(method->options[0].name, "weight"))
			job_set(jf, "weight", i, weights[i]);
	for (size_t o = 0; o < 2 && setting->option[o]; o++)
		job_set_all(jf, setting->option[o], setting->value[o]);
}

static void assert_near(const struct reference *want, const float *out,
			size_t n, const char *label)
{
	for (size_t j = 0; j < n; j++) {
		double off = fabs((double)out[j] - (double)want->out[j]);

		if (!(off <= 3 * want->unit[j]))
			fail_msg("%s: element %zu is %a, not %a", label, j,
				 (double)out[j], (double)want->out[j]);
	}
}

static void check_size(const struct setting *setting, struct size size)
{
	size_t n = size.rows * size.cols;
	float *out = calloc(n, sizeof(*out));
	struct reference want = { calloc(n, sizeof(float)),
				  calloc(n, sizeof(double)) };
	struct pool *pool = pool_open(3, NULL);
	float *x[INPUTS] = { NULL };
	struct job_fixture jf;
	uint64_t seed = 5;
	char label[80];

	snprintf(label, sizeof(label), "%s of %zu inputs, %zu x %zu",
		 setting->method, setting->inputs, (size_t)size.rows,
		 (size_t)size.cols);
	directions_open(&jf, setting, size);
	for (size_t i = 0; i < setting->inputs; i++) {
		x[i] = calloc(n, sizeof(float));
		for (size_t j = 0; j < n; j++)
			x[i][j] = fixture_normal(&seed, 0.02f);
		job_input(&jf, i, DTYPE_F32, x[i]);
	}
	assert_true(reference_directions(jf.job.method, &jf.job.args,
					 (const float *const *)x, &want));
	job_make(&jf, cpu_level_best(), pool, out, NULL);
	assert_near(&want, out, n, label);
	job_close(&jf);
	pool_close(pool);
	for (size_t i = 0; i < setting->inputs; i++)
		free(x[i]);
	free(want.out);
	free(want.unit);
	free(out);
}

static void vectors_of_any_length_are_found(void **state)
{
	static const struct setting settings[] = {
		{ "nuslerp", 2, METHOD_NO_BASE, { "nuslerp_flatten" }, { 0 } },
		{ "nuslerp", 3, 0, { "nuslerp_flatten" }, { 0 } },
		{ "nuslerp",
		  2,
		  METHOD_NO_BASE,
		  { "nuslerp_flatten", "nuslerp_row_wise" },
		  { 0, 1 } },
		{ "nuslerp",
		  3,
		  2,
		  { "nuslerp_flatten", "nuslerp_row_wise" },
		  { 0, 1 } },
		{ "nuslerp", 3, 1, { "nuslerp_row_wise" }, { 1 } },
		{ "model_stock", 3, 0, { "filter_wise" }, { 1 } },
		{ "model_stock", 4, 3, { "filter_wise" }, { 0 } },
		{ "multislerp", 4, 1, { NULL }, { 0 } },
		{ "karcher", 3, METHOD_NO_BASE, { NULL }, { 0 } },
	};
	static const struct size sizes[] = {
		{ 1, 77 },     { 77, 1 },     { 3, 1 },	     { 50000, 3 },
		{ 2400, 64 },  { 150, 1000 }, { 140, 1024 }, { 2, 65536 },
		{ 3, 65536 },  { 3, 70001 },  { 2, 131072 }, { 1, 150000 },
		{ 150000, 1 }, { 4, 32768 },  { 8192, 17 },
	};

	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
			check_size(&settings[i], sizes[s]);
}

/* Four elements of every input, and the result. */
struct rule {
	struct setting setting;
	float x[INPUTS][4];
	float want[4];
};

static const struct rule rules[] = {
	/* a zero vector lies at a right angle to any other */
	{ { "nuslerp", 2, METHOD_NO_BASE, { "weight" }, { 1 } },
	  { { 0 }, { 2, 0, 4, 0 } },
	  { 0x1.6a09e6p+0f, 0, 0x1.6a09e6p+1f, 0 } },
	{ { "nuslerp", 3, 0, { "weight" }, { 1 } },
	  { { 1, 2, 3, 4 }, { 1, 2, 3, 4 }, { 1, 2, 3, 4 } },
	  { 1, 2, 3, 4 } },
	/* opposite ones are joined by a line */
	{ { "nuslerp", 2, METHOD_NO_BASE, { "weight" }, { 1 } },
	  { { 1, 2, -3, 4 }, { -3, -6, 9, -12 } },
	  { -1, -2, 3, -4 } },
	/* a mean of length 0 has none: the weighted sum */
	{ { "multislerp", 2, METHOD_NO_BASE, { "weight" }, { 1 } },
	  { { 1, 2, -3, 4 }, { -3, -6, 9, -12 } },
	  { -1, -2, 3, -4 } },
	{ { "multislerp", 4, 0, { "weight" }, { 1 } },
	  { { 1, 2, 3, 4 }, { 1, 2, 3, 4 }, { 1, 2, 3, 4 }, { 1, 2, 3, 4 } },
	  { 1, 2, 3, 4 } },
	{ { "multislerp", 2, METHOD_NO_BASE, { "weight", "eps" }, { 1, 0 } },
	  { { 0 }, { 4, 4, 4, 4 } },
	  { 2, 2, 2, 2 } },
	{ { "multislerp", 2, METHOD_NO_BASE, { "eps" }, { 0.5 } },
	  { { 1, 0, 0, 0 }, { -1, 0, 0, 0 } },
	  { -0.375f, 0, 0, 0 } },
	{ { "multislerp", 2, METHOD_NO_BASE, { "weight", "eps" }, { 1, 0 } },
	  { { 0.1f, 0.2f, 0.3f, 0.4f }, { -0.7f, -1.4f, -2.1f, -2.8f } },
	  { -0.3f, -0.6f, -0.9f, -1.2f } },
	/* one that is 0 is no point, but counts in the length */
	{ { "karcher", 3, METHOD_NO_BASE, { NULL }, { 0 } },
	  { { 0 }, { 3, 0, 0, 0 }, { 3, 0, 0, 0 } },
	  { 2, 0, 0, 0 } },
	{ { "karcher", 2, METHOD_NO_BASE, { NULL }, { 0 } },
	  { { 1e-7f }, { 0 } },
	  { 0 } },
	/* of opposite points the first */
	{ { "karcher", 2, METHOD_NO_BASE, { NULL }, { 0 } },
	  { { 1, 2, 2, 4 }, { -1, -2, -2, -4 } },
	  { 1, 2, 2, 4 } },
	{ { "karcher", 2, METHOD_NO_BASE, { NULL }, { 0 } },
	  { { 0.1f, 0.2f, 0.3f, 0.4f }, { -0.7f, -1.4f, -2.1f, -2.8f } },
	  { 0.4f, 0.8f, 1.2f, 1.6f } },
	{ { "karcher", 3, METHOD_NO_BASE, { NULL }, { 0 } },
	  { { 0 }, { 3, 0, 0, 0 }, { -3, 0, 0, 0 } },
	  { 2, 0, 0, 0 } },
	{ { "karcher", 2, METHOD_NO_BASE, { "tol" }, { 0 } },
	  { { 1, 2, 2, 4 }, { -1, -2, -2, -4 } },
	  { 1, 2, 2, 4 } },
	/* a mirrored pair, and unchanged models: the base */
	{ { "model_stock", 3, 1, { NULL }, { 0 } },
	  { { 2, 3, 4, 5 }, { 1, 1, 1, 1 }, { 0, -1, -2, -3 } },
	  { 1, 1, 1, 1 } },
	{ { "model_stock", 3, 1, { NULL }, { 0 } },
	  { { 1, 2, 3, 4 }, { 1, 2, 3, 4 }, { 1, 2, 3, 4 } },
	  { 1, 2, 3, 4 } },
	/* models that agree: their mean */
	{ { "model_stock", 3, 0, { NULL }, { 0 } },
	  { { 1, 1, 1, 1 }, { 2, 3, 2, 3 }, { 2, 3, 2, 3 } },
	  { 2, 3, 2, 3 } },
};

static void vectors_without_a_direction_follow_the_rules(void **state)
{
	for (size_t r = 0; r < ARRAY_LEN(rules); r++) {
		struct job_fixture jf;
		float out[4];

		directions_open(&jf, &rules[r].setting, (struct size){ 1, 4 });
		for (size_t i = 0; i < rules[r].setting.inputs; i++)
			job_input(&jf, i, DTYPE_F32, rules[r].x[i]);
		job_make(&jf, cpu_level_best(), NULL, out, NULL);
		for (size_t j = 0; j < 4; j++)
			if (fabsf(out[j] - rules[r].want[j]) > 1e-6f)
				fail_msg("rule %zu, %s: element %zu is %a, "
					 "not %a",
					 r, rules[r].setting.method, j,
					 (double)out[j],
					 (double)rules[r].want[j]);
		job_close(&jf);
	}
}

/* The shares of multislerp's and nuslerp's models are looked at by tiles. */
static void weights_are_no_part_of_a_state(void **state)
{
	static const struct setting settings[] = {
		{ "nuslerp", 2, METHOD_NO_BASE, { NULL }, { 0 } },
		{ "nuslerp", 3, 0, { "nuslerp_flatten" }, { 0 } },
		{ "multislerp", 3, METHOD_NO_BASE, { NULL }, { 0 } },
	};
	float x[INPUTS][100];
	uint64_t seed = 9;

	for (size_t i = 0; i < INPUTS; i++)
		for (size_t j = 0; j < 100; j++)
			x[i][j] = fixture_normal(&seed, 1);
	for (size_t s = 0; s < ARRAY_LEN(settings); s++) {
		struct hash128 keys[2];
		void *states[2];
		float out[2][100];

		for (size_t k = 0; k < 2; k++) {
			struct job_fixture jf;

			directions_open(&jf, &settings[s],
					(struct size){ 10, 10 });
			job_set(&jf, "weight", 1, k ? 0.1 : 0.9);
			for (size_t i = 0; i < settings[s].inputs; i++)
				job_input(&jf, i, DTYPE_F32, x[i]);
			job_make(&jf, cpu_level_best(), NULL, out[k],
				 &states[k]);
			assert_false(merge_state_likeness(&jf.job, &keys[k]));
			if (k)
				assert_memory_equal(states[0], states[1],
						    jf.job.state_size);
			job_close(&jf);
		}
		assert_memory_not_equal(out[0], out[1], sizeof(out[0]));
		free(states[0]);
		free(states[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_any_length_are_found),
		cmocka_unit_test(vectors_without_a_direction_follow_the_rules),
		cmocka_unit_test(weights_are_no_part_of_a_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
