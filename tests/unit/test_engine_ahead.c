/*
 * The state of the next tensor is begun while the present one is read, where
 * the reader goes on, and nothing depends on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include "fs/engine_inside.h"
#include "tests/unit/engine_fixture.h"

#include <cmocka.h>

#define HUGE_BYTES (ENGINE_HUGE_ELEMENTS * sizeof(float))
#define MOMENT_NS 20000000

static void wait_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = MOMENT_NS }, NULL);
}

static bool was_ahead(const struct lens *lens, const char *name)
{
	return atomic_load(&lens_slot(lens, engine_job(lens, name))->was_ahead);
}

/* The tensor before the large one is small: its end is soon read. */
static void the_next_state_is_made_unasked(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *lens = engine_lens(*state, ENGINE_TIES);
	unsigned char *expected = engine_expected(lens);
	uint64_t huge = engine_job_off(lens, ENGINE_HUGE);
	uint64_t large = engine_job_off(lens, ENGINE_LARGE);
	const struct job *job = engine_job(lens, ENGINE_LARGE);

	engine_join(engine, lens);
	assert_reads(engine, lens, expected, huge, HUGE_BYTES);
	WAIT_UNTIL(job_state(lens, job));
	assert_int_equal(engine_stats_of(engine).reductions, 2);
	assert_reads(engine, lens, expected, large, job->size);
	assert_int_equal(engine_stats_of(engine).reductions, 2);
	free(expected);
	engine_end(engine, lens);
}

static void a_look_at_a_tensor_begins_nothing(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *lens = engine_lens(*state, ENGINE_TIES);
	unsigned char *expected = engine_expected(lens);
	uint64_t huge = engine_job_off(lens, ENGINE_HUGE);

	engine_join(engine, lens);
	assert_reads(engine, lens, expected, 0, 8);
	assert_reads(engine, lens, expected, huge, sizeof(float));
	/* Nor do small tensors, which come to nothing. */
	assert_reads(engine, lens, expected, engine_job_off(lens, ENGINE_LARGE),
		     sizeof(float));
	wait_a_moment();
	assert_false(was_ahead(lens, ENGINE_LARGE));
	assert_false(was_ahead(lens, ENGINE_SMALL));
	assert_int_equal(engine_stats_of(engine).reductions, 2);
	free(expected);
	engine_end(engine, lens);
}

static struct gate gate;

static int wait_at_gate(const struct method_args *args, const struct scan *scan,
			void *state, void *scratch)
{
	gate_pass(&gate);
	atomic_fetch_add(&gate.left, 1);
	return 0;
}

static size_t one_byte(const struct method_args *args)
{
	return 1;
}

static void copy_first(const struct method_args *args, const void *state,
		       const struct tile *tile)
{
	memcpy(tile->out, tile->in[0], tile->count * sizeof(float));
}

static const struct merge_method gated = {
	.name = "gated",
	.version = 1,
	.models_min = 2,
	.models_max = 2,
	.state_size = one_byte,
	.reduce = wait_at_gate,
	.tile = copy_first,
};

/* How many had left before it was opened. */
static void *open_gate(void *arg)
{
	wait_a_moment();
	*(int *)arg = atomic_load(&gate.left);
	atomic_store(&gate.open, true);
	return NULL;
}

/* A lens that goes waits for what is made ahead for it. */
static void a_lens_may_go_meanwhile(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *lens = engine_lens(*state, ENGINE_TIES);
	unsigned char *expected = engine_expected(lens);
	struct job *job = engine_job(lens, ENGINE_LARGE);
	pthread_t opener;
	int before;

	job->method = &gated;
	job->state_size = 1;
	job->survey_size = 0;
	engine_join(engine, lens);
	assert_reads(engine, lens, expected, engine_job_off(lens, ENGINE_HUGE),
		     HUGE_BYTES);
	WAIT_UNTIL(atomic_load(&gate.came) == 1);
	assert_int_equal(pthread_create(&opener, NULL, open_gate, &before), 0);
	engine_leave(engine, lens);
	assert_int_equal(atomic_load(&gate.left), 1);
	pthread_join(opener, NULL);
	assert_int_equal(before, 0);
	free(expected);
	engine_close(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_state_is_made_unasked),
		cmocka_unit_test(a_look_at_a_tensor_begins_nothing),
		cmocka_unit_test(a_lens_may_go_meanwhile),
	};

	return cmocka_run_group_tests(tests, engine_fixture_open,
				      engine_fixture_close);
}
