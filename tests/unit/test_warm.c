/*
 * Warming: what it makes, in which order, and whom it gives way to.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/file.h"
#include "fs/warm.h"
#include "tests/unit/engine_fixture.h"

#include <cmocka.h>

static struct gate gate;
static atomic_int reduced, early; /* tiles made before all was reduced */
static int to_reduce;

/* ties, whose reduction is counted, and may wait at the gate. */
static int reduce_counted(const struct method_args *args,
			  const struct scan *scan, void *state, void *scratch)
{
	int rc;

	gate_pass(&gate);
	rc = method_by_name("ties")->reduce(args, scan, state, scratch);
	atomic_fetch_add(&reduced, 1);
	return rc;
}

static void tile_counted(const struct method_args *args, const void *state,
			 const struct tile *tile)
{
	if (atomic_load(&reduced) < to_reduce)
		atomic_fetch_add(&early, 1);
	method_by_name("ties")->tile(args, state, tile);
}

/* Have the methods of the test make a lens; how many reductions that is. */
static int count_made(struct lens *lens)
{
	static struct merge_method counted;
	int reductions = 0;

	counted = *method_by_name("ties");
	counted.reduce = reduce_counted;
	counted.tile = tile_counted;
	for (size_t i = 0; i < lens->plan->count; i++) {
		struct job *job = &lens->plan->jobs[i];

		if (job->method == method_by_name("ties"))
			job->method = &counted;
		reductions += job->state_size > 0;
	}
	atomic_store(&gate.came, 0);
	atomic_store(&gate.open, true);
	atomic_store(&reduced, 0);
	atomic_store(&early, 0);
	return reductions;
}

static struct lens *ties_lens(const struct fixture *fx, double density)
{
	char recipe[512];

	snprintf(recipe, sizeof(recipe),
		 "merge_method: ties\n"
		 "dtype: float32\n"
		 "base_model: a\n"
		 "models:\n"
		 "- {model: b, parameters: {weight: 0.5, density: %g}}\n",
		 density);
	return engine_lens(fx, recipe);
}

static struct warm *warm_up(struct engine *engine, struct lens *const *lenses,
			    size_t count, enum warm_what what,
			    const char *pattern)
{
	struct error err;
	struct warm *warm =
		warm_open(engine, lenses, count, what, pattern, &err);

	if (!warm)
		fail_msg("%s", err.text);
	return warm;
}

static struct warm_progress look(struct warm *warm)
{
	struct warm_progress progress;

	warm_look(warm, &progress);
	return progress;
}

/* Wait for its end, and close it. */
static struct warm_progress end_of(struct warm *warm)
{
	struct warm_progress progress;

	WAIT_UNTIL(look(warm).ended);
	progress = look(warm);
	warm_close(warm);
	return progress;
}

static uint64_t made_bytes(const struct lens *lens)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < lens->plan->count; i++)
		if (lens->plan->jobs[i].kind != JOB_COPY)
			bytes += lens->plan->jobs[i].size;
	return bytes;
}

static void warm_reductions_are_not_waited_for(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *lenses[] = { engine_lens_lambda(*state, 0.5),
				  engine_lens_lambda(*state, 0.25) };
	AUTO_FREE unsigned char *expected = engine_expected(lenses[1]);
	struct warm_progress progress;
	struct engine_stats stats;

	progress = end_of(warm_up(engine, lenses, 2, WARM_REDUCTIONS, NULL));
	stats = engine_stats_of(engine);
	assert_true(stats.reductions > 0);
	/* Those of the second lens are those of the first. */
	assert_int_equal(progress.reductions, 2 * stats.reductions);
	assert_int_equal(progress.reductions_done, progress.reductions);
	assert_int_equal(progress.bytes + progress.bytes_done, 0);
	assert_int_equal(progress.failed + (uint64_t)progress.first.code, 0);
	assert_reads_all(engine, lenses[1], expected);
	assert_int_equal(engine_stats_of(engine).reductions, stats.reductions);
	assert_int_equal(engine_stats_of(engine).parked, 0);
	assert_int_equal(engine_stats_of(engine).chunks, 0);
	engine_leave(engine, lenses[0]);
	engine_end(engine, lenses[1]);
}

static void all_is_made_after_all_reductions_and_kept(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-warm");
	struct lens *lenses[] = { ties_lens(*state, 0.3),
				  ties_lens(*state, 0.4) };
	AUTO_FREE unsigned char *expected = engine_expected(lenses[1]);
	struct warm_progress progress;
	uint64_t chunks;

	to_reduce = count_made(lenses[0]) + count_made(lenses[1]);
	progress = end_of(warm_up(engine, lenses, 2, WARM_ALL, NULL));
	assert_int_equal(early, 0);
	assert_int_equal(reduced, to_reduce);
	assert_int_equal(progress.reductions_done, to_reduce);
	assert_int_equal(progress.bytes,
			 made_bytes(lenses[0]) + made_bytes(lenses[1]));
	assert_int_equal(progress.bytes_done, progress.bytes);
	assert_int_equal(progress.failed, 0);
	chunks = engine_stats_of(engine).chunks;
	assert_true(chunks > 4);
	assert_reads_all(engine, lenses[1], expected);
	assert_int_equal(engine_stats_of(engine).chunks, chunks);
	assert_int_equal(engine_stats_of(engine).bytes_chunks,
			 made_bytes(lenses[1]));
	engine_leave(engine, lenses[0]);
	engine_end(engine, lenses[1]);
	/* It is on disk for the next mount. */
	engine = engine_start(*state, ENGINE_CACHE_AUTO, "cache-warm");
	lenses[1] = ties_lens(*state, 0.4);
	count_made(lenses[1]);
	end_of(warm_up(engine, &lenses[1], 1, WARM_ALL, NULL));
	assert_int_equal(engine_stats_of(engine).cache.made, 0);
	engine_end(engine, lenses[1]);
}

static void a_pattern_warms_what_matches_and_no_more(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-pattern");
	struct lens *lens = engine_lens(*state, ENGINE_TIES);
	AUTO_FREE unsigned char *expected = engine_expected(lens);
	char pattern[] = "model.s*";
	struct warm_progress progress;
	struct engine_stats stats;
	struct warm *warm;

	warm = warm_up(engine, &lens, 1, WARM_PATTERN, pattern);
	pattern[6] = 'x'; /* it has a copy */
	progress = end_of(warm);
	assert_int_equal(progress.bytes,
			 engine_job(lens, ENGINE_SMALL)->size +
				 engine_job(lens, "model.scalar")->size);
	assert_int_equal(progress.bytes_done, progress.bytes);
	stats = engine_stats_of(engine);
	assert_int_equal(stats.chunks, 2);
	assert_int_equal(stats.reductions, progress.reductions);
	assert_reads_all(engine, lens, expected);
	assert_int_equal(engine_stats_of(engine).bytes_chunks, progress.bytes);
	engine_end(engine, lens);
}

static void what_cannot_be_warmed_is_refused(void **state)
{
	static const struct {
		enum engine_cache cache;
		const char *dir;
		enum warm_what what;
		const char *pattern, *sentence;
	} rows[] = {
		{ ENGINE_CACHE_AUTO, "cache-refuse", WARM_PATTERN, "large",
		  "no tensor has a name like \"large\"; a pattern is matched "
		  "with the whole name: try \"*large*\"" },
		{ ENGINE_CACHE_OFF, "cache-refuse", WARM_ALL, NULL,
		  "tensors cannot be warmed where none are kept: mount with "
		  "--cache auto or --cache all, and a cache folder" },
		{ ENGINE_CACHE_AUTO, NULL, WARM_PATTERN, "*",
		  "tensors cannot be warmed where none are kept: mount with "
		  "--cache auto or --cache all, and a cache folder" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct engine *engine =
			engine_start(*state, rows[i].cache, rows[i].dir);
		struct lens *lens = engine_lens(*state, ENGINE_TIES);
		struct error err;

		assert_null(warm_open(engine, &lens, 1, rows[i].what,
				      rows[i].pattern, &err));
		assert_int_equal(err.code, EINVAL);
		assert_string_equal(err.text, rows[i].sentence);
		assert_int_equal(lens->live->busy, 0);
		engine_end(engine, lens);
	}
	warm_close(NULL);
}

static void touch(const struct fixture *fx, const char *name)
{
	const struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* One lens cannot be made, for its source has changed; the other can. */
static void what_fails_is_said_and_the_rest_is_made(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-fail");
	struct lens *lenses[] = { engine_lens(*state, ENGINE_TIES),
				  ties_lens(*state, 0.5) };
	struct warm_progress progress;
	uint64_t states = 0, failed = 0;

	touch(*state, "c/model.safetensors");
	for (size_t i = 0; i < lenses[0]->plan->count; i++) {
		const struct job *job = &lenses[0]->plan->jobs[i];

		failed += job->state_size > 0;
		failed += job->kind != JOB_COPY && job->size > 0;
	}
	for (size_t i = 0; i < lenses[1]->plan->count; i++)
		states += lenses[1]->plan->jobs[i].state_size > 0;
	progress = end_of(warm_up(engine, lenses, 2, WARM_ALL, NULL));
	assert_int_equal(progress.failed, failed);
	assert_int_equal(progress.first.code, EIO);
	assert_non_null(strstr(progress.first.text, "model.huge.weight: "));
	assert_non_null(strstr(progress.first.text, "changed since"));
	assert_int_equal(progress.reductions_done, progress.reductions);
	assert_int_equal(progress.bytes_done, progress.bytes);
	assert_int_equal(engine_stats_of(engine).reductions, states);
	assert_true(engine_stats_of(engine).chunks > 2);
	engine_leave(engine, lenses[0]);
	engine_end(engine, lenses[1]);
	engine_fixture_models(*state);
}

/* A read that waits for the large tensor's state, which is at the gate. */
struct waiting {
	struct engine_read read;
	atomic_int answers;
};

static void take_answer(struct engine_read *read, int rc, const void *data,
			const struct error *err)
{
	struct waiting *waiting = CONTAINER_OF(read, struct waiting, read);

	atomic_fetch_add(&waiting->answers, rc == 0);
}

static void begin_waiting(struct waiting *waiting, struct engine *engine,
			  const struct lens *lens)
{
	*waiting = (struct waiting){
		.read = { .lens = lens,
			  .file = engine_file(lens),
			  .off = engine_job_off(lens, ENGINE_LARGE),
			  .len = 1,
			  .done = take_answer },
	};
	atomic_store(&gate.open, false);
	assert_int_equal(engine_read(engine, &waiting->read,
				     engine_buffer(engine), NULL),
			 ENGINE_PARKED);
	WAIT_UNTIL(atomic_load(&gate.came) == 1);
}

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000,
				      .tv_nsec = ms % 1000 * 1000000 },
		  NULL);
}

static void readers_go_first_but_not_for_ever(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *read = engine_lens_lambda(*state, 0.5);
	struct lens *warmed = ties_lens(*state, 0.7);
	struct waiting waiting;
	struct warm *warm;
	double begun;

	count_made(read);
	begin_waiting(&waiting, engine, read);
	begun = clock_seconds();
	warm = warm_up(engine, &warmed, 1, WARM_REDUCTIONS, NULL);
	WAIT_UNTIL(engine_stats_of(engine).reductions == 1);
	assert_true(clock_seconds() - begun > 0.8);
	atomic_store(&gate.open, true);
	WAIT_UNTIL(atomic_load(&waiting.answers) == 1);
	assert_int_equal(end_of(warm).failed, 0);
	engine_leave(engine, read);
	engine_end(engine, warmed);
}

/* A reader that comes would find a queue of them before it. */
static void several_make_one_thing_at_a_time(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *lenses[] = { ties_lens(*state, 0.15),
				  ties_lens(*state, 0.25) };
	int reductions = count_made(lenses[0]) + count_made(lenses[1]);
	struct warm *warms[2];

	atomic_store(&gate.open, false);
	for (size_t i = 0; i < 2; i++)
		warms[i] =
			warm_up(engine, &lenses[i], 1, WARM_REDUCTIONS, NULL);
	WAIT_UNTIL(atomic_load(&gate.came) == 1);
	wait_ms(200);
	assert_int_equal(atomic_load(&gate.came), 1);
	atomic_store(&gate.open, true);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(end_of(warms[i]).failed, 0);
	assert_int_equal(atomic_load(&reduced), reductions);
	engine_leave(engine, lenses[0]);
	engine_end(engine, lenses[1]);
}

static void *forget(void *arg)
{
	void **both = arg;

	engine_forget(both[0], both[1]);
	return NULL;
}

/* It is the second's turn never: it waits behind a reader. */
static void a_lens_that_is_replaced_is_left(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *read = engine_lens_lambda(*state, 0.5);
	struct lens *lenses[] = { ties_lens(*state, 0.7),
				  ties_lens(*state, 0.8) };
	struct warm_progress progress;
	void *both[] = { engine, lenses[1] };
	struct waiting waiting;
	struct warm *warm;
	pthread_t thread;
	uint64_t of_two;

	count_made(read);
	begin_waiting(&waiting, engine, read);
	warm = warm_up(engine, lenses, 2, WARM_REDUCTIONS, NULL);
	of_two = look(warm).reductions;
	atomic_store(&lenses[1]->live->retired, true);
	assert_int_equal(pthread_create(&thread, NULL, forget, both), 0);
	pthread_join(thread, NULL);
	/* Nothing of it is looked at from now on. */
	lens_close(lenses[1]);
	assert_false(look(warm).ended);
	assert_int_equal(look(warm).reductions, of_two / 2);
	atomic_store(&gate.open, true);
	progress = end_of(warm);
	assert_int_equal(progress.reductions, of_two / 2);
	assert_int_equal(progress.reductions_done, of_two / 2);
	WAIT_UNTIL(atomic_load(&waiting.answers) == 1);
	engine_leave(engine, lenses[0]);
	engine_end(engine, read);
}

/* Its turn is now, and comes again when bytes are made. */
static void one_that_is_replaced_in_its_turn_is_left(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-left");
	struct lens *read = engine_lens_lambda(*state, 0.5);
	struct lens *lenses[] = { ties_lens(*state, 0.45),
				  ties_lens(*state, 0.55) };
	struct waiting waiting;
	struct warm *warm;
	uint64_t bytes = made_bytes(lenses[1]);

	count_made(read);
	begin_waiting(&waiting, engine, read);
	warm = warm_up(engine, lenses, 2, WARM_ALL, NULL);
	atomic_store(&lenses[0]->live->retired, true);
	engine_leave(engine, lenses[0]);
	atomic_store(&gate.open, true);
	assert_int_equal(end_of(warm).bytes_done, bytes);
	WAIT_UNTIL(atomic_load(&waiting.answers) == 1);
	engine_leave(engine, lenses[1]);
	engine_end(engine, read);
}

static void it_is_stopped_in_the_middle(void **state)
{
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-stop");
	struct lens *read = engine_lens_lambda(*state, 0.5);
	struct lens *lens = ties_lens(*state, 0.35);
	struct waiting waiting;
	struct warm *warm;
	double begun;

	count_made(read);
	begin_waiting(&waiting, engine, read);
	warm = warm_up(engine, &lens, 1, WARM_ALL, NULL);
	wait_ms(20);
	begun = clock_seconds();
	warm_close(warm);
	assert_true(clock_seconds() - begun < 0.5);
	assert_int_equal(lens->live->busy, 0);
	assert_int_equal(engine_stats_of(engine).chunks, 0);
	atomic_store(&gate.open, true);
	WAIT_UNTIL(atomic_load(&waiting.answers) == 1);
	engine_leave(engine, lens);
	engine_end(engine, read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warm_reductions_are_not_waited_for),
		cmocka_unit_test(all_is_made_after_all_reductions_and_kept),
		cmocka_unit_test(a_pattern_warms_what_matches_and_no_more),
		cmocka_unit_test(what_cannot_be_warmed_is_refused),
		cmocka_unit_test(what_fails_is_said_and_the_rest_is_made),
		cmocka_unit_test(readers_go_first_but_not_for_ever),
		cmocka_unit_test(several_make_one_thing_at_a_time),
		cmocka_unit_test(a_lens_that_is_replaced_is_left),
		cmocka_unit_test(one_that_is_replaced_in_its_turn_is_left),
		cmocka_unit_test(it_is_stopped_in_the_middle),
	};

	return cmocka_run_group_tests_name("warm", tests, engine_fixture_open,
					   engine_fixture_close);
}
