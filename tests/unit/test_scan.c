/*
 * Passes over the inputs: every element once, in tiles of the fixed grid;
 * partials folded in order, in windows; counts that commute; the first failure.
 */
#include <errno.h>

#include "tests/unit/job_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* More than one window of 256 blocks; the file is all holes. */
#define BLOCKS 600
#define ELEMENTS ((uint64_t)BLOCKS * SCAN_BLOCK_ELEMENTS + 12345)

/* What a pass saw of a block, and what a fold makes of the blocks. */
struct trail {
	uint64_t elements;
	uint64_t next;	/* the element that must come next */
	uint64_t chain; /* a hash that depends on the order */
};

static uint64_t mix(uint64_t chain, uint64_t value)
{
	return (chain ^ value) * 0x9e3779b97f4a7c15u + 1;
}

static void trail_add(const struct method_args *args, const struct tile *tile,
		      const void *ctx, void *partial)
{
	struct trail *trail = partial;
	uint64_t last = tile->first + tile->count - 1;

	assert_true(tile->first / TILE_ELEMENTS == last / TILE_ELEMENTS);
	assert_true(tile->count <= TILE_ELEMENTS);
	assert_null(tile->out);
	if (trail->elements)
		assert_true(tile->first == trail->next);
	trail->chain = mix(trail->chain, tile->first);
	trail->elements += tile->count;
	trail->next = tile->first + tile->count;
}

static void trail_fold(const struct method_args *args, const void *ctx,
		       void *total, const void *partial)
{
	const struct trail *part = partial;
	struct trail *trail = total;

	trail->elements += part->elements;
	trail->chain = mix(trail->chain, part->chain);
	assert_true(part->next > trail->next);
	trail->next = part->next;
}

static int trail_reduce(const struct method_args *args, const struct scan *scan,
			void *state, void *scratch)
{
	const struct scan_step step = {
		.partial_size = sizeof(struct trail),
		.add = trail_add,
		.fold = trail_fold,
	};

	return scan_run(scan, 0, args->elements, &step, state);
}

static void count_add(const struct method_args *args, const struct tile *tile,
		      const void *ctx, void *partial)
{
	uint64_t *counts = partial;

	counts[tile->first / SCAN_BLOCK_ELEMENTS % 16] += tile->count;
}

static void count_fold(const struct method_args *args, const void *ctx,
		       void *total, const void *partial)
{
	for (size_t i = 0; i < 16; i++)
		((uint64_t *)total)[i] += ((const uint64_t *)partial)[i];
}

/* Two passes over a part, so that the second must not see the first's. */
static int count_reduce(const struct method_args *args, const struct scan *scan,
			void *state, void *scratch)
{
	const struct scan_step step = {
		.partial_size = 16 * sizeof(uint64_t),
		.commutes = true,
		.add = count_add,
		.fold = count_fold,
	};
	uint64_t half = SCAN_BLOCK_ELEMENTS * (BLOCKS / 2);
	int rc = scan_run(scan, 0, half, &step, state);

	return rc ? rc
		  : scan_run(scan, half, args->elements - half, &step, state);
}

static size_t trail_size(const struct method_args *args)
{
	return sizeof(struct trail);
}

static size_t count_size(const struct method_args *args)
{
	return 16 * sizeof(uint64_t);
}

static void no_tile(const struct method_args *args, const void *state,
		    const struct tile *tile)
{
}

static const struct merge_method trail_method = {
	.name = "trail",
	.version = 1,
	.state_size = trail_size,
	.reduce = trail_reduce,
	.tile = no_tile,
};

static const struct merge_method count_method = {
	.name = "count",
	.version = 1,
	.state_size = count_size,
	.reduce = count_reduce,
	.tile = no_tile,
};

static void open_holes(struct job_fixture *jf,
		       const struct merge_method *method)
{
	char path[FIXTURE_PATH_MAX];
	struct source *source;

	job_open(jf, method, 1, METHOD_NO_BASE, 1, ELEMENTS);
	fixture_write(&jf->fx, "holes", "", 0);
	fixture_path(&jf->fx, "holes", path);
	assert_false(truncate(path, (off_t)(ELEMENTS * 2)));
	assert_false(source_get(jf->fx.sources, path, &source, NULL));
	jf->tensors[0] = (struct tensor){
		.name = jf->job.name,
		.dtype = DTYPE_BF16,
		.shape = jf->job.shape,
		.size = ELEMENTS * 2,
		.source = source,
	};
	jf->inputs[0] = (struct job_input){ &jf->tensors[0], DTYPE_NONE };
	jf->job.state_size = method->state_size(&jf->job.args);
}

static void partials_are_folded_in_order(void **state)
{
	static const size_t threads[] = { 1, 3, 8 };
	struct job_fixture jf;
	struct trail alone;

	open_holes(&jf, &trail_method);
	assert_false(
		merge_state(&jf.job, CPU_LEVEL_baseline, NULL, &alone, NULL));
	assert_true(alone.elements == ELEMENTS);
	assert_true(alone.next == ELEMENTS);
	for (size_t t = 0; t < ARRAY_LEN(threads); t++) {
		struct pool *pool = pool_open(threads[t], NULL);
		struct trail trail = { 1, 1, 1 };

		assert_false(merge_state(&jf.job, CPU_LEVEL_baseline, pool,
					 &trail, NULL));
		assert_memory_equal(&trail, &alone, sizeof(trail));
		pool_close(pool);
	}
	job_close(&jf);
}

static void counts_are_complete(void **state)
{
	struct job_fixture jf;
	struct pool *pool = pool_open(5, NULL);
	uint64_t want[16] = { 0 };
	uint64_t counts[16];

	for (uint64_t j = 0; j < ELEMENTS; j += SCAN_BLOCK_ELEMENTS)
		want[j / SCAN_BLOCK_ELEMENTS % 16] +=
			min_u64(SCAN_BLOCK_ELEMENTS, ELEMENTS - j);
	open_holes(&jf, &count_method);
	assert_false(
		merge_state(&jf.job, CPU_LEVEL_baseline, pool, counts, NULL));
	assert_memory_equal(counts, want, sizeof(want));
	pool_close(pool);
	job_close(&jf);
}

/* Blocks of the first input can be read, those of the second cannot. */
static void failures_end_a_scan_early(void **state)
{
	static const struct merge_method *const methods[] = { &trail_method,
							      &count_method };
	uint64_t block = SCAN_BLOCK_ELEMENTS * 2;

	for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
		struct job_fixture jf;
		struct pool *pool = pool_open(3, NULL);
		struct error err = { 0 };
		uint64_t made[16];

		open_holes(&jf, methods[m]);
		jf.job.args.inputs = 2;
		jf.tensors[1] = jf.tensors[0];
		jf.tensors[1].source =
			fixture_source(&jf.fx, "short", "short", 5);
		jf.inputs[1] = (struct job_input){ &jf.tensors[1], DTYPE_NONE };
		assert_int_equal(merge_state(&jf.job, CPU_LEVEL_baseline, pool,
					     made, &err),
				 -EIO);
		assert_non_null(
			strstr(err.text, source_path(jf.tensors[1].source)));
		assert_true(source_set_bytes_read(jf.fx.sources) < 50 * block);
		pool_close(pool);
		job_close(&jf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partials_are_folded_in_order),
		cmocka_unit_test(counts_are_complete),
		cmocka_unit_test(failures_end_a_scan_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
