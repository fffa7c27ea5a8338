/*
 * States that are whole tensors: no lens keeps them, so that memory stays
 * within the cache's budget; what the disk has is not made again, and without a
 * disk the one in use is not, either.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "fs/engine_inside.h"
#include "tests/unit/engine_fixture.h"

#include <cmocka.h>

#define STATE_BYTES ((size_t)9 << 20)
#define SMALL_MEM ((size_t)1 << 20)

static size_t large_state(const struct method_args *args)
{
	return STATE_BYTES;
}

/* Every float is the number of elements. */
static int fill_state(const struct method_args *args, const struct scan *scan,
		      void *state, void *scratch)
{
	for (size_t k = 0; k < STATE_BYTES / sizeof(float); k++)
		((float *)state)[k] = (float)args->elements;
	return 0;
}

static void add_state(const struct method_args *args, const void *state,
		      const struct tile *tile)
{
	const float *add = (const float *)state + tile->first;

	for (size_t k = 0; k < tile->count; k++)
		tile->out[k] = tile->in[0][k] + add[k];
}

static const struct merge_method large_method = {
	.name = "large",
	.version = 1,
	.models_min = 2,
	.models_max = 2,
	.state_size = large_state,
	.reduce = fill_state,
	.tile = add_state,
};

static struct job *use_large(const struct lens *lens, const char *name)
{
	struct job *job = engine_job(lens, name);

	job->method = &large_method;
	job->state_size = STATE_BYTES;
	return job;
}

struct bench {
	struct engine *engine;
	struct lens *lens;
	unsigned char *expected;
	uint64_t large, small; /* where they begin */
};

static struct bench bench_open(const struct fixture *fx,
			       enum engine_cache cache, const char *dir,
			       size_t memory)
{
	struct bench b = {
		.engine = engine_start_with(fx, cache, dir, memory),
		.lens = engine_lens(fx, ENGINE_LINEAR),
	};

	use_large(b.lens, ENGINE_LARGE);
	use_large(b.lens, ENGINE_SMALL);
	b.large = engine_job_off(b.lens, ENGINE_LARGE);
	b.small = engine_job_off(b.lens, ENGINE_SMALL);
	b.expected = engine_expected(b.lens);
	return b;
}

static void bench_close(struct bench *b)
{
	engine_end(b->engine, b->lens);
	free(b->expected);
}

static void read_at(const struct bench *b, uint64_t off, size_t len)
{
	assert_reads(b->engine, b->lens, b->expected, off, len);
}

static void bytes_are_those_of_whole_tensors(void **state)
{
	struct bench b =
		bench_open(*state, ENGINE_CACHE_AUTO, "cache-bytes", SMALL_MEM);

	assert_reads_all(b.engine, b.lens, b.expected);
	/* A read that both of them lie in. */
	read_at(&b, 0, min_u64(ENGINE_READ_MAX, engine_file(b.lens)->size));
	bench_close(&b);
}

static void memory_is_that_of_the_one_used_last(void **state)
{
	struct bench b = bench_open(*state, ENGINE_CACHE_AUTO, "cache-memory",
				    SMALL_MEM);

	read_at(&b, b.large, 100);
	read_at(&b, b.small, 100);
	WAIT_UNTIL(engine_stats_of(b.engine).cache.memory_bytes == STATE_BYTES);
	engine_forget(b.engine, b.lens);
	WAIT_UNTIL(engine_stats_of(b.engine).cache.memory_bytes == 0);
	engine_join(b.engine, b.lens);
	bench_close(&b);
}

/* Within the budget all stay. */
static void a_budget_for_all_keeps_all(void **state)
{
	struct bench b =
		bench_open(*state, ENGINE_CACHE_OFF, NULL, 3 * STATE_BYTES);

	for (int i = 0; i < 3; i++) {
		read_at(&b, b.large, 100);
		read_at(&b, b.small, 100);
	}
	assert_int_equal(engine_stats_of(b.engine).reductions, 2);
	bench_close(&b);
}

static void the_disk_has_what_memory_has_not(void **state)
{
	struct bench b =
		bench_open(*state, ENGINE_CACHE_AUTO, "cache-disk", SMALL_MEM);

	for (int i = 0; i < 3; i++) {
		read_at(&b, b.large + 10, 100);
		WAIT_UNTIL(engine_stats_of(b.engine).cache.disk_writes ==
			   (i ? 2 : 1));
		read_at(&b, b.small + 10, 100);
		WAIT_UNTIL(engine_stats_of(b.engine).cache.disk_writes == 2);
	}
	assert_int_equal(engine_stats_of(b.engine).reductions, 2);
	assert_int_equal(engine_stats_of(b.engine).cache.disk_hits, 4);
	bench_close(&b);
}

/* Without a disk and in too little memory, one tensor is made once all the same
 * as long as no other is read. */
static void the_one_in_use_is_made_once(void **state)
{
	struct bench b = bench_open(*state, ENGINE_CACHE_OFF, NULL, SMALL_MEM);

	for (size_t i = 0; i < 20; i++)
		read_at(&b, b.large + i * 1000, 1000);
	assert_int_equal(engine_stats_of(b.engine).reductions, 1);
	read_at(&b, b.small, 100);
	assert_int_equal(engine_stats_of(b.engine).reductions, 2);
	bench_close(&b);
}

/* What would be kept as chunks is a state already. */
static void nothing_of_it_goes_through_chunks(void **state)
{
	struct bench b =
		bench_open(*state, ENGINE_CACHE_ALL, "cache-chunks", SMALL_MEM);
	const struct job *job = engine_job(b.lens, ENGINE_LARGE);
	struct error err;
	uint64_t len = 0;

	engine_keep(b.engine, b.lens, job);
	assert_int_equal(
		engine_make_chunk(b.engine, b.lens, job, 5, &len, &err), 0);
	assert_int_equal(len, job->size - 5);
	assert_int_equal(engine_stats_of(b.engine).reductions, 1);
	read_at(&b, b.large, 100000);
	assert_int_equal(engine_stats_of(b.engine).reductions, 1);
	assert_int_equal(engine_stats_of(b.engine).chunks, 0);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_those_of_whole_tensors),
		cmocka_unit_test(memory_is_that_of_the_one_used_last),
		cmocka_unit_test(a_budget_for_all_keeps_all),
		cmocka_unit_test(the_disk_has_what_memory_has_not),
		cmocka_unit_test(the_one_in_use_is_made_once),
		cmocka_unit_test(nothing_of_it_goes_through_chunks),
	};

	return cmocka_run_group_tests(tests, engine_fixture_open,
				      engine_fixture_close);
}
