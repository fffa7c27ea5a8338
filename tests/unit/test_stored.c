/*
 * Methods that make stored elements in one pass (merge_method.stored): their
 * bytes are those of tiles, for every method that has it, whatever the options,
 * the level, the cut and the data.
 */
#include "tests/unit/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SIZE (ELEMENTS * sizeof(uint16_t))

/* bfloat16 in and out; the state of the best level. */
struct stored_sample {
	struct sample sample;
	struct merge_method by_tiles;
	void *state;
	unsigned char *want, *have;
	struct merge_scratch *scratch;
};

static void open_stored(struct stored_sample *s, const struct variant *variant,
			enum data data)
{
	struct job_fixture *jf = &s->sample.jf;

	sample_open(&s->sample, variant, data);
	for (size_t i = 0; i < jf->job.args.inputs; i++)
		job_input_floats(jf, i, DTYPE_BF16, s->sample.x[i]);
	job_output(jf, DTYPE_BF16);
	s->want = malloc(SIZE);
	s->have = malloc(SIZE);
	s->scratch = merge_scratch_open();
	assert_non_null(s->want);
	assert_non_null(s->have);
	assert_non_null(s->scratch);
	s->state = NULL;
	job_make(jf, cpu_level_best(), NULL, s->want, &s->state);
}

static void close_stored(struct stored_sample *s)
{
	free(s->state);
	free(s->want);
	free(s->have);
	merge_scratch_close(s->scratch);
	sample_close(&s->sample);
}

static uint64_t make_bytes(struct stored_sample *s, enum cpu_level level,
			   uint64_t off, size_t len, unsigned char *out)
{
	uint64_t nonfinite = 0;
	struct error err = { 0 };

	if (merge_bytes(&s->sample.jf.job, level, s->state, off, len, out,
			s->scratch, &nonfinite, &err))
		fail_msg("%s", err.text);
	return nonfinite;
}

/* A method that is not in the table is used as it is: this one by tiles. */
static uint64_t make_by_tiles(struct stored_sample *s, enum cpu_level level,
			      uint64_t off, size_t len, unsigned char *out)
{
	struct job *job = &s->sample.jf.job;
	const struct merge_method *method = job->method;
	uint64_t nonfinite;

	s->by_tiles = *method_variant(method, level, job->rounding);
	s->by_tiles.stored = NULL;
	job->method = &s->by_tiles;
	nonfinite = make_bytes(s, level, off, len, out);
	job->method = method;
	return nonfinite;
}

static bool is_at_hand(enum cpu_level level)
{
	return cpu_level_by_name(cpu_level_name(level), &level);
}

/* The whole tensor, and pieces that begin and end within elements and words. */
static void check_cuts(struct stored_sample *s, enum cpu_level level)
{
	static const struct {
		uint64_t off;
		size_t len;
	} cuts[] = {
		{ 0, SIZE },
		{ 0, 2 },
		{ 2, 4 },
		{ 6, 254 },
		{ 1, 4097 },
		{ 2 * COLS, 65536 },
		{ 131072 - 2, 131072 },
		{ SIZE - 7, 7 },
		{ 3, SIZE - 5 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		uint64_t off = cuts[i].off;
		size_t len = cuts[i].len;
		uint64_t want = make_by_tiles(s, level, off, len, s->want);

		memset(s->have, 0x5a, len);
		assert_int_equal(make_bytes(s, level, off, len, s->have), want);
		if (memcmp(s->have, s->want, len) != 0)
			fail_msg("%s, %s, %zu bytes at %llu: other bytes",
				 s->sample.jf.job.method->name,
				 cpu_level_name(level), len,
				 (unsigned long long)off);
	}
}

static bool has_stored(const struct variant *variant)
{
	return method_by_name(variant->method)->stored;
}

static void bytes_are_those_of_tiles(void **state)
{
	struct stored_sample s;

	for (size_t v = 0; v < VARIANTS; v += VARIANT_STEP)
		for (int data = 0;
		     has_stored(&variants[v]) && data < DATA_COUNT; data++) {
			open_stored(&s, &variants[v], (enum data)data);
			for (size_t l = 0; l < CPU_LEVEL_COUNT; l++)
				if (is_at_hand((enum cpu_level)l))
					check_cuts(&s, (enum cpu_level)l);
			close_stored(&s);
		}
}

/* As much of every input as they have in memory, at an odd address. */
static bool make_run(struct stored_sample *s, size_t count)
{
	const struct job *job = &s->sample.jf.job;
	const struct kernels *kernels = kernels_at(CPU_LEVEL_baseline);
	const void *in[INPUTS];
	struct stored run = { .count = count, .in = in, .out = s->have + 1 };
	unsigned char *copies[INPUTS];
	bool made;

	for (size_t i = 0; i < job->args.inputs; i++) {
		copies[i] = malloc(count * sizeof(uint16_t) + 1);
		assert_non_null(copies[i]);
		kernels->store[DTYPE_BF16](copies[i] + 1, s->sample.x[i],
					   count);
		in[i] = copies[i] + 1;
	}
	made = method_variant(job->method, cpu_level_best(), job->rounding)
		       ->stored(&job->args, s->state, &run);
	for (size_t i = 0; i < job->args.inputs; i++)
		free(copies[i]);
	return made;
}

/* What is compared above is not tiles twice: each of these does without. */
static void plain_options_need_no_tiles(void **state)
{
	static const struct variant plain[] = {
		{ .method = "linear" },
		{ .method = "slerp", .option = { "t" }, .value = { 0.25 } },
		{ .method = "task_arithmetic" },
		{ .method = "model_stock" },
	};
	struct stored_sample s;

	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		open_stored(&s, &plain[i], DATA_F32);
		assert_true(make_run(&s, 6002));
		assert_memory_equal(s.have + 1, s.want,
				    6002 * sizeof(uint16_t));
		/* One that is not finite, anywhere, and it is a tile's work. */
		s.sample.x[0][6001] = INFINITY;
		assert_false(make_run(&s, 6002));
		s.sample.x[0][6001] = 0;
		s.sample.x[0][64] = NAN;
		assert_false(make_run(&s, 6002));
		close_stored(&s);
	}
}

/* An odd count, and other types, are made by tiles. */
static void others_are_left_to_tiles(void **state)
{
	const struct variant linear = { .method = "linear" };
	struct stored_sample s;
	struct job_fixture *jf = &s.sample.jf;

	open_stored(&s, &linear, DATA_F32);
	job_input_floats(jf, 1, DTYPE_F16, s.sample.x[1]);
	check_cuts(&s, cpu_level_best());
	job_input_floats(jf, 1, DTYPE_BF16, s.sample.x[1]);
	jf->inputs[0].round = DTYPE_F16;
	check_cuts(&s, cpu_level_best());
	close_stored(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_those_of_tiles),
		cmocka_unit_test(plain_options_need_no_tiles),
		cmocka_unit_test(others_are_left_to_tiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
