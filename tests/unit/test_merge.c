/*
 * The driver: ranges of bytes, methods on rows, numbers that overflow, sources
 * that fail. Methods that are not in the table are the test's own.
 */
#include <errno.h>
#include <math.h>

#include "core/feed.h"
#include "core/methods/body.h"
#include "tests/unit/job_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* out = x minus the mean of its row: elements alone do not do. */
static void centre_rows(const struct method_args *args, const void *state,
			const struct tile *rows)
{
	assert_int_equal(rows->first % args->cols, 0);
	assert_int_equal(rows->count % args->cols, 0);
	for (size_t r = 0; r < rows->count; r += args->cols) {
		double sum = 0;

		for (size_t c = 0; c < args->cols; c++)
			sum += (double)rows->in[0][r + c];
		for (size_t c = 0; c < args->cols; c++)
			rows->out[r + c] = rows->in[0][r + c] -
					   (float)(sum / (double)args->cols);
	}
}

static const struct merge_method centre_method = {
	.name = "centre",
	.version = 1,
	.models_min = 1,
	.models_max = 1,
	.rows = centre_rows,
};

static void rows_are_made_whole(void **state)
{
	static const uint64_t cols[] = { 1, 7, 1000, 1024, 1025, 70000 };
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();

	for (size_t c = 0; c < ARRAY_LEN(cols); c++) {
		uint64_t rows = 150000 / cols[c];
		size_t n = rows * cols[c];
		float *x = malloc(n * sizeof(*x));
		float *out = malloc(n * sizeof(*out));
		float *part = malloc(n * sizeof(*part));
		struct job_fixture jf;

		for (size_t j = 0; j < n; j++)
			x[j] = (float)(j % 1013);
		job_open(&jf, &centre_method, 1, METHOD_NO_BASE, rows, cols[c]);
		job_input(&jf, 0, DTYPE_F32, x);
		job_make(&jf, cpu_level_best(), NULL, out, NULL);
		for (size_t r = 0; r < rows; r++) {
			double sum = 0;

			for (size_t j = 0; j < cols[c]; j++)
				sum += (double)x[r * cols[c] + j];
			assert_true(out[r * cols[c]] ==
				    x[r * cols[c]] -
					    (float)(sum / (double)cols[c]));
		}
		assert_false(merge_bytes(&jf.job, cpu_level_best(), NULL,
					 cols[c] * 4, (rows - 1) * cols[c] * 4,
					 part, scratch, NULL, NULL));
		assert_memory_equal(part, out + cols[c],
				    (rows - 1) * cols[c] * 4);
		job_close(&jf);
		free(x);
		free(out);
		free(part);
	}
}

static void rows_that_are_too_long_are_refused(void **state)
{
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	struct job_fixture jf;
	struct error err;
	float x = 0;

	job_open(&jf, &centre_method, 1, METHOD_NO_BASE, 1, 1);
	job_input(&jf, 0, DTYPE_F32, &x);
	jf.job.args.cols = FEED_ROW_ELEMENTS_MAX + 1;
	assert_int_equal(merge_bytes(&jf.job, CPU_LEVEL_baseline, NULL, 0, 4,
				     &x, scratch, NULL, &err),
			 -ENOTSUP);
	assert_string_equal(err.text,
			    "model.layers.0.mlp.up_proj.weight: centre works "
			    "on whole rows, and 16777217 elements in a row are "
			    "too many (the limit is 16777216)");
	job_close(&jf);
}

static void copies_are_the_sources_bytes(void **state)
{
	static const unsigned char bytes[] = "0123456789abcdef";
	unsigned char out[16];
	struct job_fixture jf;

	job_open(&jf, method_by_name("passthrough"), 1, METHOD_NO_BASE, 1, 16);
	job_input(&jf, 0, DTYPE_U8, bytes);
	jf.job.kind = JOB_COPY;
	jf.job.method = NULL;
	job_output(&jf, DTYPE_U8);
	for (size_t off = 0; off <= 16; off++) {
		memset(out, 0, sizeof(out));
		assert_false(merge_bytes(&jf.job, CPU_LEVEL_baseline, NULL, off,
					 16 - off, out, NULL, NULL, NULL));
		assert_memory_equal(out, bytes + off, 16 - off);
	}
	job_close(&jf);
}

/* Sum of two, out in f16: 7 of 8 columns overflow or hold what is not finite,
 * but only three of them are made so. */
static void made_nonfinite_is_counted(void **state)
{
	static const float a[8] = { 65504, 40000, -40000, INFINITY,
				    NAN,   3e38f, 1,	  -INFINITY };
	static const float b[8] = { 16, 40000, -40000, 1, 1, 1, 1, INFINITY };
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	float x[2][64];
	uint16_t out[64];
	uint64_t made = 5;
	struct job_fixture jf;

	for (size_t j = 0; j < 64; j++) {
		x[0][j] = a[j % 8];
		x[1][j] = b[j % 8];
	}
	job_open(&jf, method_by_name("linear"), 2, METHOD_NO_BASE, 1, 64);
	job_input(&jf, 0, DTYPE_F32, x[0]);
	job_input(&jf, 1, DTYPE_F32, x[1]);
	job_set_all(&jf, "weight", 1);
	job_set_all(&jf, "normalize", 0);
	job_output(&jf, DTYPE_F16);
	assert_false(merge_bytes(&jf.job, cpu_level_best(), NULL, 0, 128, out,
				 scratch, &made, NULL));
	/* 65504 + 16 is the halfway case that rounds up. */
	assert_int_equal(made, 5 + 8 * 4);
	made = 0;
	assert_false(merge_bytes(&jf.job, cpu_level_best(), NULL, 8, 2, out,
				 scratch, &made, NULL));
	assert_int_equal(made, 0);
	job_close(&jf);
}

/* A tile that is made whole for a part of it is not counted whole. */
static void pieces_of_whole_tiles_count_once(void **state)
{
	enum { N = 2500, PIECE = 99 };
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	float base[N], x[N], out[PIECE];
	uint64_t made = 0;
	struct job_fixture jf;

	for (size_t j = 0; j < N; j++) {
		base[j] = 3e38f;
		x[j] = j % 3 ? 3e38f : -3e38f;
	}
	job_open(&jf, method_by_name("cabs"), 2, 0, 1, N);
	job_set_all(&jf, "n_val", 256);
	job_input(&jf, 0, DTYPE_F32, base);
	job_input(&jf, 1, DTYPE_F32, x);
	for (size_t j = 0; j < N; j += PIECE) {
		size_t count = j + PIECE < N ? PIECE : N - j;

		assert_false(merge_bytes(&jf.job, cpu_level_best(), NULL, j * 4,
					 count * 4, out, scratch, &made, NULL));
		for (size_t k = 0; k < count; k++)
			assert_true(isfinite(out[k]) == ((j + k) % 3 != 0));
	}
	assert_int_equal(made, (N + 2) / 3);
	job_close(&jf);
}

/* A finite source that rounds to infinity on load is made so, too. */
static void rounding_on_load_counts(void **state)
{
	static const double x[4] = { 70000, 1e300, 1, INFINITY };
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	uint64_t made = 0;
	float out[4];
	struct job_fixture jf;

	job_open(&jf, method_by_name("passthrough"), 1, METHOD_NO_BASE, 1, 4);
	job_input(&jf, 0, DTYPE_F64, x);
	jf.inputs[0].round = DTYPE_F16;
	assert_false(merge_bytes(&jf.job, cpu_level_best(), NULL, 0, 16, out,
				 scratch, &made, NULL));
	assert_int_equal(made, 2);
	assert_true(isinf(out[0]) && isinf(out[1]) && out[2] == 1);
	job_close(&jf);
}

static void inputs_are_rounded_where_asked(void **state)
{
	static const float x[2] = { 1 + 0x1p-9f, 1 + 0x1p-8f + 0x1p-20f };
	float out[2];
	struct job_fixture jf;

	job_open(&jf, method_by_name("passthrough"), 1, METHOD_NO_BASE, 1, 2);
	job_input(&jf, 0, DTYPE_F32, x);
	jf.inputs[0].round = DTYPE_BF16;
	job_make(&jf, cpu_level_best(), NULL, out, NULL);
	assert_true(out[0] == 1 && out[1] == 1 + 0x1p-7f);
	jf.inputs[0].round = DTYPE_F32;
	job_make(&jf, cpu_level_best(), NULL, out, NULL);
	assert_memory_equal(out, x, sizeof(x));
	job_close(&jf);
}

static void as_many_inputs_as_allowed_do(void **state)
{
	enum { N = 3000 };
	static double values[METHOD_INPUTS_MAX * 2];
	static struct job_input inputs[METHOD_INPUTS_MAX];
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	float x[N];
	float out[N];
	struct job_fixture jf;

	for (size_t j = 0; j < N; j++)
		x[j] = (float)j;
	job_open(&jf, method_by_name("linear"), 1, METHOD_NO_BASE, 1, N);
	job_input(&jf, 0, DTYPE_F32, x);
	for (size_t i = 0; i < METHOD_INPUTS_MAX; i++) {
		inputs[i] = jf.inputs[0];
		values[i] = 1.0 / METHOD_INPUTS_MAX;
	}
	jf.job.inputs = inputs;
	jf.job.args.inputs = METHOD_INPUTS_MAX;
	jf.job.args.values = values;
	assert_false(merge_bytes(&jf.job, cpu_level_best(), NULL, 0, N * 4, out,
				 scratch, NULL, NULL));
	assert_memory_equal(out, x, sizeof(x));
	job_close(&jf);
}

/* Cut the second input's file short after it was opened. */
static void break_source(struct job_fixture *jf)
{
	assert_false(truncate(source_path(jf->tensors[1].source), 100000));
}

static void broken_sources_are_told(void **state)
{
	enum { N = 300000 };
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	const struct merge_method *slerp = method_by_name("slerp");
	float *x = calloc(N, sizeof(*x));
	struct pool *pool = pool_open(4, NULL);
	struct job_fixture jf;
	struct error err = { 0 };
	double slerp_state[3] __attribute__((aligned(64)));

	job_open(&jf, slerp, 2, 0, 1, N);
	job_input(&jf, 0, DTYPE_F32, x);
	job_input(&jf, 1, DTYPE_F32, x);
	job_set_all(&jf, "t", 0.5);
	jf.job.state_size = slerp->state_size(&jf.job.args);
	assert_int_equal(jf.job.state_size, sizeof(slerp_state));
	break_source(&jf);
	assert_int_equal(
		merge_state(&jf.job, cpu_level_best(), pool, slerp_state, &err),
		-EIO);
	assert_non_null(
		strstr(err.text, "model.layers.0.mlp.up_proj.weight: "));
	assert_non_null(strstr(err.text, source_path(jf.tensors[1].source)));
	err.text[0] = '\0';
	assert_int_equal(merge_bytes(&jf.job, cpu_level_best(), slerp_state, 0,
				     N * 4, x, scratch, NULL, &err),
			 -EIO);
	assert_non_null(
		strstr(err.text, "model.layers.0.mlp.up_proj.weight: "));
	assert_non_null(strstr(err.text, source_path(jf.tensors[1].source)));
	pool_close(pool);
	job_close(&jf);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_made_whole),
		cmocka_unit_test(rows_that_are_too_long_are_refused),
		cmocka_unit_test(copies_are_the_sources_bytes),
		cmocka_unit_test(made_nonfinite_is_counted),
		cmocka_unit_test(pieces_of_whole_tiles_count_once),
		cmocka_unit_test(rounding_on_load_counts),
		cmocka_unit_test(inputs_are_rounded_where_asked),
		cmocka_unit_test(as_many_inputs_as_allowed_do),
		cmocka_unit_test(broken_sources_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
