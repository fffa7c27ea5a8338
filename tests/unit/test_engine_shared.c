/*
 * Several lenses below one engine: what they have in common is made once, is
 * kept where that pays, and is the same bytes, whatever comes and goes while
 * it is read. Also what is counted of it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "tests/unit/engine_fixture.h"

#include <cmocka.h>

#define SWEEP 10
#define READERS 3
#define ROUNDS 25
#define CUTS 12

static const char other_weights[] =
	"merge_method: linear\n"
	"dtype: bfloat16\n"
	"models:\n"
	"- {model: a, parameters: {weight: [{filter: small, value: 0.75},"
	" {value: 0.25}]}}\n"
	"- {model: b, parameters: {weight: 0.5}}\n";

static uint64_t chunks_of(uint64_t bytes)
{
	return (bytes + ENGINE_CHUNK_BYTES - 1) / ENGINE_CHUNK_BYTES;
}

/* Of all tensors that are made. */
static uint64_t chunks_of_lens(const struct lens *lens)
{
	uint64_t chunks = 0;

	for (size_t i = 0; i < lens->plan->count; i++)
		if (lens->plan->jobs[i].kind != JOB_COPY)
			chunks += chunks_of(lens->plan->jobs[i].size);
	return chunks;
}

struct density_reader {
	struct engine *engine;
	const struct lens *lens;
	bool right;
};

/* Read a lens whole, and compare. */
static void *read_density(void *arg)
{
	struct density_reader *reader = arg;
	const struct layout_file *file = engine_file(reader->lens);
	AUTO_FREE unsigned char *expected = engine_expected(reader->lens);
	AUTO_FREE unsigned char *got = malloc(file->size);

	reader->right = got &&
			engine_read_wait(reader->engine, reader->lens, file, 0,
					 file->size, got, NULL) == 0 &&
			memcmp(got, expected, file->size) == 0;
	return NULL;
}

static void a_tensor_of_two_lenses_is_made_once(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-shared");
	struct lens *a = engine_lens(*state, ENGINE_LINEAR);
	struct lens *b = engine_lens(*state, other_weights);
	AUTO_FREE unsigned char *of_a = engine_expected(a);
	AUTO_FREE unsigned char *of_b = engine_expected(b);
	uint64_t small = engine_job(a, ENGINE_SMALL)->size;
	uint64_t shared = chunks_of_lens(a) - chunks_of(small);
	struct engine_stats stats;

	engine_join(engine, a);
	engine_join(engine, b);
	assert_reads_all(engine, a, of_a);
	assert_int_equal(engine_stats_of(engine).chunks, shared);
	assert_int_equal(engine_stats_of(engine).bytes_merged, small);
	assert_reads_all(engine, b, of_b);
	stats = engine_stats_of(engine);
	assert_int_equal(stats.chunks, shared);
	assert_int_equal(stats.bytes_merged, 2 * small);
	assert_int_equal(stats.bytes_chunks, 2 * (a->plan->bytes - small));
	assert_int_equal(stats.census.kept_bytes, a->plan->bytes - small);
	assert_int_equal(stats.cache.made, shared);
	engine_leave(engine, a);
	assert_int_equal(engine_stats_of(engine).census.tensors,
			 b->plan->count);
	engine_end(engine, b);
	/* The next mount finds it on disk. */
	engine = engine_start(*state, ENGINE_CACHE_AUTO, "cache-shared");
	a = engine_lens(*state, ENGINE_LINEAR);
	b = engine_lens(*state, other_weights);
	engine_join(engine, a);
	engine_join(engine, b);
	assert_reads_all(engine, b, of_b);
	assert_reads_all(engine, a, of_a);
	stats = engine_stats_of(engine);
	assert_int_equal(stats.chunks, 0);
	assert_int_equal(stats.cache.disk_hits, shared);
	engine_leave(engine, a);
	engine_end(engine, b);
}

/* Alone, without a folder, or with the cache off: all is made on the spot. */
static void nothing_is_kept_for_nobody(void **state)
{
	static const struct {
		const char *label;
		enum engine_cache cache;
		const char *dir;
		size_t lenses;
	} rows[] = {
		{ "alone", ENGINE_CACHE_AUTO, "cache-nobody", 1 },
		{ "no folder", ENGINE_CACHE_AUTO, NULL, 2 },
		{ "off", ENGINE_CACHE_OFF, "cache-nobody", 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct engine *engine =
			engine_start(*state, rows[i].cache, rows[i].dir);
		struct lens *a = engine_lens(*state, ENGINE_LINEAR);
		struct lens *b = engine_lens(*state, ENGINE_LINEAR);
		AUTO_FREE unsigned char *expected = engine_expected(a);
		struct engine_stats stats;

		engine_join(engine, a);
		if (rows[i].lenses > 1)
			engine_join(engine, b);
		assert_reads_all(engine, a, expected);
		stats = engine_stats_of(engine);
		if (stats.chunks || stats.bytes_merged != a->plan->bytes)
			fail_msg("%s", rows[i].label);
		assert_int_equal(stats.census.tensors,
				 rows[i].lenses * a->plan->count);
		engine_leave(engine, b);
		engine_end(engine, a);
	}
}

/* All lenses at once: their states wait for one survey. */
static void a_sweep_of_density_surveys_each_tensor_once(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-density");
	struct lens *lenses[SWEEP];
	pthread_t threads[SWEEP];
	struct density_reader readers[SWEEP];
	struct engine_stats stats;

	for (size_t i = 0; i < SWEEP; i++) {
		double density = 0.05 + 0.1 * (double)i;

		lenses[i] = engine_lens_density(*state, density);
		readers[i] =
			(struct density_reader){ engine, lenses[i], false };
		engine_join(engine, lenses[i]);
	}
	for (size_t i = 0; i < SWEEP; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_density,
						&readers[i]),
				 0);
	for (size_t i = 0; i < SWEEP; i++) {
		pthread_join(threads[i], NULL);
		assert_true(readers[i].right);
	}
	stats = engine_stats_of(engine);
	assert_true(stats.census.distinct_reductions > 0);
	assert_int_equal(stats.reductions, stats.census.distinct_reductions);
	/* Of the tensor that is large enough for one. */
	assert_int_equal(stats.surveys, 1);
	for (size_t i = 0; i < SWEEP; i++)
		engine_leave(engine, lenses[i]);
	engine_close(engine);
	/* Another density finds it on disk. */
	engine = engine_start(*state, ENGINE_CACHE_AUTO, "cache-density");
	lenses[0] = engine_lens_density(*state, 0.123);
	readers[0] = (struct density_reader){ engine, lenses[0], false };
	engine_join(engine, lenses[0]);
	read_density(&readers[0]);
	assert_true(readers[0].right);
	assert_int_equal(engine_stats_of(engine).surveys, 0);
	engine_end(engine, lenses[0]);
}

static void a_sweep_of_lambda_runs_each_reduction_once(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_AUTO, NULL);
	struct lens *lenses[SWEEP];
	struct engine_stats stats;

	for (size_t i = 0; i < SWEEP; i++) {
		lenses[i] = engine_lens_lambda(*state, 0.1 * (double)(i + 1));
		engine_join(engine, lenses[i]);
	}
	for (size_t i = 0; i < SWEEP; i++) {
		AUTO_FREE unsigned char *expected = engine_expected(lenses[i]);

		assert_reads_all(engine, lenses[i], expected);
	}
	stats = engine_stats_of(engine);
	assert_true(stats.census.distinct_reductions > 0);
	assert_int_equal(stats.reductions, stats.census.distinct_reductions);
	assert_int_equal(stats.census.reductions,
			 SWEEP * stats.census.distinct_reductions);
	assert_int_equal(stats.census.shared_reductions,
			 stats.census.distinct_reductions);
	for (size_t i = 0; i < SWEEP; i++)
		engine_leave(engine, lenses[i]);
	engine_close(engine);
}

static void what_was_asked_for_is_kept(void **state)
{
	for (size_t round = 0; round < 2; round++) {
		struct engine *engine =
			engine_start(*state, ENGINE_CACHE_AUTO, "cache-kept");
		struct lens *lens = engine_lens(*state, ENGINE_LINEAR);
		struct job *large = engine_job(lens, ENGINE_LARGE);
		AUTO_FREE unsigned char *expected = engine_expected(lens);
		uint64_t chunks = chunks_of(large->size), len, off;
		struct engine_stats stats;

		engine_join(engine, lens);
		engine_keep(engine, lens, large);
		for (off = 0; off < large->size; off += len)
			assert_int_equal(engine_make_chunk(engine, lens, large,
							   off, &len, NULL),
					 0);
		assert_int_equal(off, large->size);
		assert_int_equal(engine_stats_of(engine).cache.made,
				 round ? 0 : chunks);
		assert_reads_all(engine, lens, expected);
		stats = engine_stats_of(engine);
		assert_int_equal(stats.chunks, round ? 0 : chunks);
		assert_int_equal(stats.cache.disk_hits, round ? chunks : 0);
		assert_int_equal(stats.bytes_chunks, large->size);
		assert_int_equal(stats.bytes_merged,
				 lens->plan->bytes - large->size);
		/* A lens that was forgotten is one like new. */
		engine_forget(engine, lens);
		assert_reads_all(engine, lens, expected);
		assert_int_equal(engine_stats_of(engine).bytes_merged,
				 2 * lens->plan->bytes - large->size);
		engine_end(engine, lens);
	}
}

static void a_state_made_beforehand_is_there(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *lens = engine_lens(*state, ENGINE_TIES);
	AUTO_FREE unsigned char *expected = engine_expected(lens);
	uint64_t reductions;

	for (size_t i = 0; i < lens->plan->count; i++)
		assert_int_equal(engine_make_state(engine, lens,
						   &lens->plan->jobs[i], NULL),
				 0);
	reductions = engine_stats_of(engine).reductions;
	assert_true(reductions > 0);
	assert_reads_all(engine, lens, expected);
	assert_int_equal(engine_stats_of(engine).reductions, reductions);
	assert_int_equal(engine_stats_of(engine).parked, 0);
	engine_end(engine, lens);
}

static size_t method_index(const char *name)
{
	for (size_t i = 0; i < method_count(); i++)
		if (strcmp(method_at(i)->name, name) == 0)
			return i;
	fail_msg("%s", name);
	return 0;
}

static void work_is_counted_by_method_and_by_lens(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-count");
	struct lens *linear = engine_lens(*state, ENGINE_LINEAR);
	struct lens *ties = engine_lens(*state, ENGINE_TIES);
	AUTO_FREE unsigned char *of_linear = engine_expected(linear);
	AUTO_FREE unsigned char *of_ties = engine_expected(ties);
	struct engine_method_stats of;
	struct engine_stats stats;
	double merge_seconds;

	/* Into chunks, or on the spot. */
	engine_keep(engine, linear, engine_job(linear, ENGINE_LARGE));
	assert_reads_all(engine, linear, of_linear);
	assert_reads(engine, ties, of_ties, 0, engine_file(ties)->size);
	engine_method_stats(engine, method_index("linear"), &of);
	assert_int_equal(of.bytes_merged, linear->plan->bytes);
	assert_int_equal(of.reductions, 0);
	assert_true(of.merge_seconds > 0 && of.reduce_seconds == 0);
	merge_seconds = of.merge_seconds;
	engine_method_stats(engine, method_index("ties"), &of);
	stats = engine_stats_of(engine);
	assert_int_equal(of.bytes_merged, ties->plan->bytes);
	assert_int_equal(of.reductions, stats.reductions);
	assert_true(of.reductions > 0 && of.reduce_seconds > 0);
	assert_float_equal(of.merge_seconds + merge_seconds,
			   stats.merge_seconds, 1e-6);
	assert_float_equal(of.reduce_seconds, stats.reduce_seconds, 1e-6);
	engine_method_stats(engine, method_index("slerp"), &of);
	assert_int_equal(of.bytes_merged + of.reductions, 0);
	assert_int_equal(linear->live->bytes_served, engine_file(linear)->size);
	assert_int_equal(ties->live->bytes_served, engine_file(ties)->size);
	assert_int_equal(linear->live->reads + ties->live->reads, stats.reads);
	assert_int_equal(stats.reading + stats.queued, 0);
	engine_leave(engine, ties);
	engine_end(engine, linear);
}

/* --- while something changes ------------------------------------------- */

static struct gate gate;

/* The sum of the inputs, by rows, which waits at the gate. */
static void add_at_gate(const struct method_args *args, const void *state,
			const struct tile *rows)
{
	if (rows->first == 0)
		gate_pass(&gate);
	for (size_t k = 0; k < rows->count; k++)
		rows->out[k] = rows->in[0][k] + rows->in[1][k];
}

static const struct merge_method gate_rows = {
	.name = "gate",
	.version = 1,
	.models_min = 2,
	.models_max = 2,
	.rows = add_at_gate,
};

struct answered {
	struct engine_read read;
	const unsigned char *expected;
	atomic_int answers;
	bool right;
};

static void take_answer(struct engine_read *read, int rc, const void *data,
			const struct error *err)
{
	struct answered *answered = CONTAINER_OF(read, struct answered, read);

	answered->right = data && memcmp(data, answered->expected + read->off,
					 read->len) == 0;
	atomic_fetch_add(&answered->answers, 1);
}

static void keep_huge(const struct fixture *fx, struct engine *engine,
		      struct lens *lens)
{
	engine_keep(engine, lens, engine_job(lens, ENGINE_HUGE));
}

static struct lens *second;

static void add_second(const struct fixture *fx, struct engine *engine,
		       struct lens *lens)
{
	second = engine_lens(fx, ENGINE_LINEAR);
	engine_join(engine, second);
}

static void change_in_mid_read(const struct fixture *fx,
			       void (*change)(const struct fixture *fx,
					      struct engine *engine,
					      struct lens *lens))
{
	struct engine *engine =
		engine_start(fx, ENGINE_CACHE_AUTO, "cache-mid");
	struct lens *lens = engine_lens(fx, ENGINE_LINEAR);
	struct job *huge = engine_job(lens, ENGINE_HUGE);
	struct job *large = engine_job(lens, ENGINE_LARGE);
	struct answered answered = {
		.read = { .lens = lens,
			  .file = engine_file(lens),
			  .off = engine_job_off(lens, ENGINE_HUGE),
			  .len = huge->size + 5,
			  .done = take_answer },
	};
	AUTO_FREE unsigned char *expected = NULL;
	uint64_t chunks;

	large->kind = JOB_ROWS;
	large->method = &gate_rows;
	atomic_store(&gate.open, true);
	expected = engine_expected(lens);
	answered.expected = expected;
	engine_join(engine, lens);
	atomic_store(&gate.open, false);
	assert_int_equal(engine_read(engine, &answered.read,
				     engine_buffer(engine), NULL),
			 ENGINE_PARKED);
	WAIT_UNTIL(engine_stats_of(engine).parked == 1);
	assert_int_equal(engine_stats_of(engine).reading, 1);
	/* It has passed the huge tensor, and waits for the large one. */
	change(fx, engine, lens);
	atomic_store(&gate.open, true);
	WAIT_UNTIL(atomic_load(&answered.answers) == 1);
	assert_true(answered.right);
	assert_int_equal(engine_stats_of(engine).reading, 0);
	assert_int_equal(engine_stats_of(engine).bytes_merged, huge->size);
	/* The next read goes by the change. */
	chunks = engine_stats_of(engine).bytes_chunks;
	assert_reads(engine, lens, expected, answered.read.off,
		     answered.read.len);
	assert_int_equal(engine_stats_of(engine).bytes_chunks,
			 chunks + answered.read.len);
	assert_int_equal(engine_stats_of(engine).bytes_merged, huge->size);
	if (second)
		engine_leave(engine, TAKE(second));
	engine_end(engine, lens);
}

static void a_read_goes_by_what_was_when_it_began(void **state)
{
	change_in_mid_read(*state, keep_huge);
	change_in_mid_read(*state, add_second);
}

struct reader {
	struct engine *engine;
	const struct lens *lens;
	const unsigned char *expected;
	uint64_t seed;
	pthread_t thread;
	bool right;
};

static void *read_cuts(void *arg)
{
	struct reader *reader = arg;
	const struct layout_file *file = engine_file(reader->lens);
	AUTO_FREE unsigned char *got = malloc(file->size);

	reader->right = got;
	for (size_t i = 0; reader->right && i < CUTS; i++) {
		uint64_t off = fixture_random(&reader->seed) % file->size;
		size_t len = file->size - off;

		reader->right =
			engine_read_wait(reader->engine, reader->lens, file,
					 off, len, got, NULL) == 0 &&
			memcmp(got, reader->expected + off, len) == 0;
	}
	return NULL;
}

static void begin_reader(struct reader *reader, struct engine *engine,
			 const struct lens *lens, const unsigned char *expected,
			 uint64_t seed)
{
	*reader = (struct reader){ .engine = engine,
				   .lens = lens,
				   .expected = expected,
				   .seed = seed };
	assert_int_equal(
		pthread_create(&reader->thread, NULL, read_cuts, reader), 0);
}

static void pause_at_random(uint64_t *seed)
{
	const struct timespec time = {
		.tv_nsec = (long)(fixture_random(seed) % 1000000),
	};

	nanosleep(&time, NULL);
}

/* Readers see the right bytes while their tensors begin to be kept, one by one,
 * and lenses that share them come and go. */
static void readers_do_not_mind_what_comes_and_goes(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-stress");
	struct lens *lens = engine_lens(*state, ENGINE_LINEAR);
	struct lens *other = engine_lens(*state, ENGINE_LINEAR);
	AUTO_FREE unsigned char *expected = engine_expected(lens);
	uint64_t seed = 5;

	for (size_t round = 0; round < ROUNDS; round++) {
		struct reader readers[READERS];

		engine_join(engine, lens);
		for (size_t i = 0; i < READERS; i++)
			begin_reader(&readers[i], engine, lens, expected,
				     round * READERS + i);
		for (size_t i = 0; i < lens->plan->count; i += 2) {
			pause_at_random(&seed);
			engine_keep(engine, lens, &lens->plan->jobs[i]);
		}
		pause_at_random(&seed);
		engine_join(engine, other);
		engine_forget(engine, other);
		for (size_t i = 0; i < READERS; i++) {
			pthread_join(readers[i].thread, NULL);
			assert_true(readers[i].right);
		}
		engine_forget(engine, lens);
	}
	lens_close(other);
	engine_end(engine, lens);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tensor_of_two_lenses_is_made_once),
		cmocka_unit_test(nothing_is_kept_for_nobody),
		cmocka_unit_test(a_sweep_of_lambda_runs_each_reduction_once),
		cmocka_unit_test(a_sweep_of_density_surveys_each_tensor_once),
		cmocka_unit_test(what_was_asked_for_is_kept),
		cmocka_unit_test(a_state_made_beforehand_is_there),
		cmocka_unit_test(work_is_counted_by_method_and_by_lens),
		cmocka_unit_test(a_read_goes_by_what_was_when_it_began),
		cmocka_unit_test(readers_do_not_mind_what_comes_and_goes),
	};

	return cmocka_run_group_tests_name("engine, shared", tests,
					   engine_fixture_open,
					   engine_fixture_close);
}
