/*
 * Who waits for whom in the engine: parked reads, reads that are given up, and
 * lenses that are forgotten. Methods of the test's own wait at a gate, so that
 * the test knows where they are.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "core/base/file.h"
#include "tests/unit/engine_fixture.h"

#include <cmocka.h>

#define READERS 16
#define RACES 100
#define RACE_MAX_NS 50000000

static struct gate gate;

/* ties, whose reduction waits at the gate. */
static int reduce_at_gate(const struct method_args *args,
			  const struct scan *scan, void *state, void *scratch)
{
	int rc;

	gate_pass(&gate);
	rc = method_by_name("ties")->reduce(args, scan, state, scratch);
	atomic_fetch_add(&gate.left, 1);
	return rc;
}

/* The sum of the inputs, by rows; large tensors begin at the gate. */
static void add_at_gate(const struct method_args *args, const void *state,
			const struct tile *rows)
{
	if (rows->first == 0 && args->elements > ENGINE_HUGE_ELEMENTS)
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

struct scene {
	struct lens *lens;
	struct engine *engine;
	unsigned char *expected;
};

static void scene_open(struct scene *scene, const struct fixture *fx,
		       const char *recipe, size_t cache_mem)
{
	scene->lens = engine_lens(fx, recipe);
	scene->engine =
		engine_start_with(fx, ENGINE_CACHE_AUTO, NULL, cache_mem);
	scene->expected = engine_expected(scene->lens);
	atomic_store(&gate.came, 0);
	atomic_store(&gate.left, 0);
	atomic_store(&gate.open, false);
}

static void scene_close(struct scene *scene)
{
	engine_end(scene->engine, scene->lens);
	free(scene->expected);
}

/* A ties lens whose large tensor waits at the gate for its state; nothing that
 * is put stays in the cache. */
static void scene_open_ties(struct scene *scene, const struct fixture *fx)
{
	static struct merge_method slow;
	struct job *job;

	scene_open(scene, fx, ENGINE_TIES, 0);
	slow = *method_by_name("ties");
	slow.reduce = reduce_at_gate;
	job = engine_job(scene->lens, ENGINE_LARGE);
	assert_true(job->state_size > 0);
	job->method = &slow;
}

/* A linear lens whose large tensor is made by chunks, the first of them at the
 * gate; nothing stays in the cache. */
static void scene_open_rows(struct scene *scene, const struct fixture *fx)
{
	struct job *job;

	scene_open(scene, fx, ENGINE_LINEAR, 0);
	job = engine_job(scene->lens, ENGINE_LARGE);
	job->kind = JOB_ROWS;
	job->method = &gate_rows;
	free(scene->expected);
	atomic_store(&gate.open, true);
	scene->expected = engine_expected(scene->lens);
	atomic_store(&gate.came, 0);
	atomic_store(&gate.left, 0);
	atomic_store(&gate.open, false);
}

/* A read whose answer is recorded. */
struct watched {
	struct engine_read read;
	const unsigned char *expected;
	atomic_int answers;
	int rc;
	bool right;
	struct error err;
};

static void watch(struct engine_read *read, int rc, const void *data,
		  const struct error *err)
{
	struct watched *watched = CONTAINER_OF(read, struct watched, read);

	watched->rc = rc;
	if (data)
		watched->right = memcmp(data, watched->expected + read->off,
					read->len) == 0;
	if (err)
		watched->err = *err;
	atomic_fetch_add(&watched->answers, 1);
}

static void watched_init(struct watched *watched, const struct scene *scene,
			 const char *name, size_t len)
{
	*watched = (struct watched){
		.expected = scene->expected,
		.read = { .lens = scene->lens,
			  .file = engine_file(scene->lens),
			  .off = engine_job_off(scene->lens, name),
			  .len = len,
			  .done = watch },
	};
}

static int begin(const struct scene *scene, struct watched *watched)
{
	return engine_read(scene->engine, &watched->read,
			   engine_buffer(scene->engine), NULL);
}

static uint64_t parked(const struct scene *scene)
{
	return engine_stats_of(scene->engine).parked;
}

static uint64_t memory_bytes(const struct scene *scene)
{
	return engine_stats_of(scene->engine).cache.memory_bytes;
}

struct reader {
	const struct scene *scene;
	pthread_t thread;
	uint64_t off;
	size_t len;
	bool right;
};

static void *read_checked(void *arg)
{
	struct reader *reader = arg;
	const struct scene *scene = reader->scene;
	AUTO_FREE void *got = calloc(1, reader->len);

	reader->right =
		got &&
		engine_read_wait(scene->engine, scene->lens,
				 engine_file(scene->lens), reader->off,
				 reader->len, got, NULL) == 0 &&
		memcmp(got, scene->expected + reader->off, reader->len) == 0;
	return NULL;
}

static void many_readers_share_one_reduction(void **state)
{
	struct reader readers[READERS];
	struct engine_stats stats;
	struct scene scene;
	uint64_t off;

	scene_open_ties(&scene, *state);
	off = engine_job_off(scene.lens, ENGINE_LARGE);
	for (size_t i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .scene = &scene,
					      .off = off + 1000 * i + 1,
					      .len = 1 + 40000 * i };
		assert_int_equal(pthread_create(&readers[i].thread, NULL,
						read_checked, &readers[i]),
				 0);
	}
	WAIT_UNTIL(parked(&scene) == READERS);
	atomic_store(&gate.open, true);
	for (size_t i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_true(readers[i].right);
	}
	stats = engine_stats_of(scene.engine);
	assert_int_equal(stats.reductions, 1);
	assert_int_equal(stats.surveys, 1);
	assert_int_equal(stats.cache.made, 2);
	assert_int_equal(stats.parked, READERS);
	assert_int_equal(stats.reads, READERS);
	/* From now on it is there: nobody waits. */
	assert_reads(scene.engine, scene.lens, scene.expected, off, 1 << 20);
	assert_int_equal(parked(&scene), READERS);
	/* All but one of the references have been put. */
	engine_forget(scene.engine, scene.lens);
	WAIT_UNTIL(memory_bytes(&scene) == 0);
	scene_close(&scene);
}

static void a_reduction_holds_up_nobody_else(void **state)
{
	struct watched slow[READERS], copy;
	struct scene scene;

	scene_open_ties(&scene, *state);
	for (size_t i = 0; i < READERS; i++) {
		watched_init(&slow[i], &scene, ENGINE_LARGE, 100);
		assert_int_equal(begin(&scene, &slow[i]), ENGINE_PARKED);
	}
	WAIT_UNTIL(parked(&scene) == READERS);
	/* Another state, which needs a reader, a maker and helpers. */
	assert_reads(scene.engine, scene.lens, scene.expected,
		     engine_job_off(scene.lens, ENGINE_SMALL), 100);
	watched_init(&copy, &scene, ENGINE_LARGE, 100);
	copy.read.off = 0;
	assert_int_equal(begin(&scene, &copy), 0);
	assert_int_equal(gate.left, 0);
	atomic_store(&gate.open, true);
	for (size_t i = 0; i < READERS; i++) {
		WAIT_UNTIL(atomic_load(&slow[i].answers) == 1);
		assert_int_equal(slow[i].rc, 0);
		assert_true(slow[i].right);
	}
	scene_close(&scene);
}

static void a_waiting_read_is_taken_back(void **state)
{
	struct watched gone, kept;
	struct engine_stats stats;
	struct scene scene;

	scene_open_ties(&scene, *state);
	watched_init(&gone, &scene, ENGINE_LARGE, 100);
	watched_init(&kept, &scene, ENGINE_LARGE, 100);
	assert_int_equal(begin(&scene, &gone), ENGINE_PARKED);
	assert_int_equal(begin(&scene, &kept), ENGINE_PARKED);
	WAIT_UNTIL(parked(&scene) == 2);
	assert_int_equal(engine_stats_of(scene.engine).reading, 2);
	assert_true(engine_cancel(scene.engine, &gone.read));
	assert_int_equal(engine_stats_of(scene.engine).reading, 1);
	/* The read belongs to its owner again, bytes and all. */
	memset(&gone.read, 0xff, sizeof(gone.read));
	atomic_store(&gate.open, true);
	WAIT_UNTIL(atomic_load(&kept.answers) == 1);
	assert_int_equal(kept.rc, 0);
	assert_true(kept.right);
	engine_forget(scene.engine, scene.lens);
	assert_int_equal(gone.answers, 0);
	assert_int_equal(kept.answers, 1);
	stats = engine_stats_of(scene.engine);
	assert_int_equal(stats.cancelled, 1);
	assert_int_equal(stats.reads, 1);
	assert_int_equal(stats.errors, 0);
	assert_int_equal(stats.reading, 0);
	scene_close(&scene);
}

static void a_read_that_is_done_is_not_taken_back(void **state)
{
	struct watched watched;
	struct scene scene;

	scene_open_ties(&scene, *state);
	atomic_store(&gate.open, true);
	watched_init(&watched, &scene, ENGINE_LARGE, 100);
	assert_int_equal(begin(&scene, &watched), ENGINE_PARKED);
	WAIT_UNTIL(atomic_load(&watched.answers) == 1);
	assert_false(engine_cancel(scene.engine, &watched.read));
	assert_int_equal(watched.answers, 1);
	assert_true(watched.right);
	assert_int_equal(engine_stats_of(scene.engine).cancelled, 0);
	scene_close(&scene);
}

static void a_read_given_up_early_ends_where_it_would_wait(void **state)
{
	struct watched watched;
	struct scene scene;

	scene_open_ties(&scene, *state);
	watched_init(&watched, &scene, ENGINE_LARGE, 100);
	assert_false(engine_cancel(scene.engine, &watched.read));
	assert_int_equal(begin(&scene, &watched), ENGINE_PARKED);
	WAIT_UNTIL(atomic_load(&watched.answers) == 1);
	assert_int_equal(watched.rc, -EINTR);
	assert_int_equal(watched.err.code, EINTR);
	assert_string_equal(watched.err.text, "the reader gave up");
	assert_int_equal(gate.came, 0);
	assert_int_equal(engine_stats_of(scene.engine).cancelled, 1);
	assert_int_equal(engine_stats_of(scene.engine).parked, 0);
	/* One that would not wait is answered all the same. */
	watched_init(&watched, &scene, ENGINE_LARGE, 100);
	watched.read.off = 0;
	assert_false(engine_cancel(scene.engine, &watched.read));
	assert_int_equal(begin(&scene, &watched), 0);
	/* So is one whose key is known: it ends on the caller's thread. */
	atomic_store(&gate.open, true);
	scene_close(&scene);
	scene_open_rows(&scene, *state);
	atomic_store(&gate.open, true);
	assert_reads(scene.engine, scene.lens, scene.expected,
		     engine_job_off(scene.lens, ENGINE_LARGE), 100);
	watched_init(&watched, &scene, ENGINE_LARGE, 100);
	assert_false(engine_cancel(scene.engine, &watched.read));
	assert_int_equal(begin(&scene, &watched), -EINTR);
	assert_int_equal(watched.answers, 0);
	scene_close(&scene);
}

/* It holds a chunk of one tensor and waits for one of the next. */
static void a_read_given_up_puts_its_chunks(void **state)
{
	struct watched watched;
	struct scene scene;
	struct job *huge;

	scene_open_rows(&scene, *state);
	huge = engine_job(scene.lens, ENGINE_HUGE);
	huge->kind = JOB_ROWS;
	huge->method = &gate_rows;
	watched_init(&watched, &scene, ENGINE_HUGE, huge->size + 1);
	assert_int_equal(watched.read.off + huge->size,
			 engine_job_off(scene.lens, ENGINE_LARGE));
	assert_int_equal(begin(&scene, &watched), ENGINE_PARKED);
	WAIT_UNTIL(atomic_load(&gate.came) == 1);
	WAIT_UNTIL(parked(&scene) == 2);
	assert_true(engine_cancel(scene.engine, &watched.read));
	atomic_store(&gate.open, true);
	engine_forget(scene.engine, scene.lens);
	WAIT_UNTIL(memory_bytes(&scene) == 0);
	assert_int_equal(watched.answers, 0);
	scene_close(&scene);
}

struct race {
	const struct scene *scene;
	struct watched watched;
	atomic_int begun;
	int rc;
};

static void *begin_race(void *arg)
{
	struct race *race = arg;

	atomic_store(&race->begun, 1);
	race->rc = begin(race->scene, &race->watched);
	return NULL;
}

static uint64_t nanoseconds_of_a_read(const struct scene *scene)
{
	double start = clock_seconds();

	assert_reads(scene->engine, scene->lens, scene->expected,
		     engine_job_off(scene->lens, ENGINE_LARGE),
		     ENGINE_READ_MAX);
	return (uint64_t)((clock_seconds() - start) * 1e9);
}

/* Every read is either answered or taken back, whenever the cancel comes. */
static void a_read_is_answered_or_taken_back_never_both(void **state)
{
	struct scene scene;
	uint64_t seed = 1, reads, span;
	int taken_back = 0;

	scene_open_rows(&scene, *state);
	atomic_store(&gate.open, true);
	span = min_u64(2 * nanoseconds_of_a_read(&scene), RACE_MAX_NS);
	reads = engine_stats_of(scene.engine).reads;
	for (int i = 0; i < RACES; i++) {
		struct race race = { .scene = &scene };
		bool taken;
		pthread_t thread;

		watched_init(&race.watched, &scene, ENGINE_LARGE,
			     ENGINE_READ_MAX);
		assert_int_equal(
			pthread_create(&thread, NULL, begin_race, &race), 0);
		WAIT_UNTIL(atomic_load(&race.begun));
		nanosleep(&(struct timespec){ .tv_nsec = (long)(fixture_random(
									&seed) %
								span) },
			  NULL);
		taken = engine_cancel(scene.engine, &race.watched.read);
		pthread_join(thread, NULL);
		taken_back += taken;
		if (race.rc != ENGINE_PARKED) {
			assert_false(taken);
			assert_true(race.rc == 0 || race.rc == -EINTR);
			continue;
		}
		if (!taken)
			WAIT_UNTIL(atomic_load(&race.watched.answers) == 1);
		assert_int_equal(atomic_load(&race.watched.answers), !taken);
		assert_true(taken || race.watched.rc == -EINTR ||
			    (race.watched.rc == 0 && race.watched.right));
	}
	assert_true(taken_back > 0);
	assert_true(engine_stats_of(scene.engine).reads > reads);
	engine_forget(scene.engine, scene.lens);
	assert_int_equal(engine_stats_of(scene.engine).reading, 0);
	scene_close(&scene);
}

static void *forget(void *arg)
{
	struct scene *scene = arg;

	engine_forget(scene->engine, scene->lens);
	/* Whoever makes has left before the lens may be closed. */
	return (void *)(intptr_t)atomic_load(&gate.left);
}

static void forgetting_waits_for_makers(void **state)
{
	struct watched watched;
	struct scene scene;
	pthread_t thread;
	void *left;

	scene_open_ties(&scene, *state);
	watched_init(&watched, &scene, ENGINE_LARGE, 100);
	assert_int_equal(begin(&scene, &watched), ENGINE_PARKED);
	WAIT_UNTIL(atomic_load(&gate.came) == 1);
	assert_true(engine_cancel(scene.engine, &watched.read));
	assert_int_equal(pthread_create(&thread, NULL, forget, &scene), 0);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	atomic_store(&gate.open, true);
	pthread_join(thread, &left);
	assert_int_equal((intptr_t)left, 1);
	assert_int_equal(scene.lens->live->busy, 0);
	scene_close(&scene);
}

static void forgetting_puts_states(void **state)
{
	struct engine_stats stats;
	struct scene scene;

	scene_open(&scene, *state, ENGINE_TIES, 0);
	assert_reads_all(scene.engine, scene.lens, scene.expected);
	stats = engine_stats_of(scene.engine);
	assert_true(stats.reductions > 0);
	assert_true(stats.cache.memory_bytes > 0);
	engine_forget(scene.engine, scene.lens);
	/* Makers put what they have made a little after it is answered. */
	WAIT_UNTIL(memory_bytes(&scene) == 0);
	/* It is a lens like new: what was put is made again. */
	assert_reads_all(scene.engine, scene.lens, scene.expected);
	assert_int_equal(engine_stats_of(scene.engine).reductions,
			 2 * stats.reductions);
	scene_close(&scene);
}

static void *buffer_of_thread(void *arg)
{
	unsigned char *buffer = engine_buffer(arg);

	if (!buffer || (uintptr_t)buffer % 64 != 0 ||
	    engine_buffer(arg) != buffer)
		return NULL;
	memset(buffer, 1, ENGINE_READ_MAX);
	return buffer;
}

/* Of threads that end before the engine, and of one that stays. */
static void every_thread_has_a_buffer_of_its_own(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_AUTO, NULL);
	struct engine *other = engine_start(*state, ENGINE_CACHE_AUTO, NULL);
	unsigned char *mine = buffer_of_thread(engine);
	pthread_t threads[2];
	void *theirs;

	assert_non_null(mine);
	assert_ptr_not_equal(mine, buffer_of_thread(other));
	mine[0] = 2;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						buffer_of_thread, engine),
				 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &theirs);
		assert_non_null(theirs);
		assert_ptr_not_equal(theirs, mine);
	}
	assert_int_equal(mine[0], 2);
	engine_close(other);
	engine_close(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_readers_share_one_reduction),
		cmocka_unit_test(a_reduction_holds_up_nobody_else),
		cmocka_unit_test(a_waiting_read_is_taken_back),
		cmocka_unit_test(a_read_that_is_done_is_not_taken_back),
		cmocka_unit_test(
			a_read_given_up_early_ends_where_it_would_wait),
		cmocka_unit_test(a_read_given_up_puts_its_chunks),
		cmocka_unit_test(a_read_is_answered_or_taken_back_never_both),
		cmocka_unit_test(forgetting_waits_for_makers),
		cmocka_unit_test(forgetting_puts_states),
		cmocka_unit_test(every_thread_has_a_buffer_of_its_own),
	};

	return cmocka_run_group_tests_name("engine, waiting", tests,
					   engine_fixture_open,
					   engine_fixture_close);
}
