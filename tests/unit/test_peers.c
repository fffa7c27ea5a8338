/*
 * A state of the whole model: one for all tensors of a plan, made once for
 * whoever asks first, under a key that holds all of them.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/peers.h"
#include "fs/warm.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/job_fixture.h"

#include <cmocka.h>

#define ELEMENTS 24
#define JOBS 2
#define READERS 8

static const char metagpt[] = "merge_method: metagpt\n"
			      "dtype: float32\n"
			      "base_model: a\n"
			      "models:\n"
			      "- {model: b, parameters: {weight: 0.5}}\n"
			      "- {model: c}\n";

/* The same but for a weight, which is none of the state's business. */
static const char weighted[] = "merge_method: metagpt\n"
			       "dtype: float32\n"
			       "base_model: a\n"
			       "models: [{model: b}, {model: c}]\n";

static const struct job_peers *peers_of(const struct lens *lens)
{
	return engine_job(lens, ENGINE_LARGE)->peers;
}

static void the_plan_joins_what_is_merged(void **state)
{
	struct lens *lens = engine_lens(*state, metagpt);
	const struct job_peers *peers = peers_of(lens);
	uint64_t elements = 0;
	size_t counted = 0;

	assert_int_equal(peers->count, 4);
	for (size_t i = 0; i < peers->count; i++) {
		assert_ptr_equal(peers->jobs[i]->peers, peers);
		assert_true(i == 0 || strcmp(peers->jobs[i - 1]->name,
					     peers->jobs[i]->name) < 0);
		elements += peers->jobs[i]->elements;
		counted += job_counts_state(peers->jobs[i]);
	}
	assert_int_equal(peers->bytes, 3 * 4 * elements);
	assert_int_equal(counted, 1);
	/* Without elements there is nothing to merge. */
	assert_null(engine_job(lens, "model.none.weight")->peers);
	lens_close(lens);
	lens = engine_lens(*state, ENGINE_TIES);
	assert_null(peers_of(lens));
	assert_true(job_counts_state(engine_job(lens, ENGINE_LARGE)));
	lens_close(lens);
}

/* As doubles: the state of metagpt. */
#define STATE_DOUBLES (1 + METHOD_INPUTS_MAX)

static void the_state_is_the_sum_of_all(void **state)
{
	struct lens *lens = engine_lens(*state, metagpt);
	struct pool *pool = pool_open(4, NULL);
	double sum[STATE_DOUBLES] __attribute__((aligned(64))) = { 0 };
	double all[STATE_DOUBLES] __attribute__((aligned(64)));
	double one[STATE_DOUBLES] __attribute__((aligned(64)));
	const struct job_peers *peers = peers_of(lens);

	for (size_t i = 0; i < peers->count; i++) {
		struct job alone = *peers->jobs[i];

		assert_int_equal(alone.state_size, sizeof(one));
		alone.peers = NULL;
		assert_false(
			merge_state(&alone, cpu_level_best(), NULL, one, NULL));
		for (size_t d = 0; d < STATE_DOUBLES; d++)
			sum[d] += one[d];
	}
	assert_true(sum[1] > 0 && sum[2] > 0);
	assert_float_equal((sum[1] + sum[2]) / sum[0], 1, 1e-12);
	for (size_t i = 0; i < peers->count; i++) {
		memset(all, 1, sizeof(all));
		assert_false(merge_state(peers->jobs[i], CPU_LEVEL_baseline,
					 pool, all, NULL));
		assert_memory_equal(all, sum, sizeof(all));
	}
	pool_close(pool);
	lens_close(lens);
}

/* Two jobs of one plan, made by hand. */
struct pair {
	struct job_fixture jf[JOBS];
	struct job jobs[JOBS];
	struct arena *arena;
};

static void pair_open(struct pair *pair)
{
	pair->arena = arena_open();
	for (size_t j = 0; j < JOBS; j++) {
		struct job_fixture *jf = &pair->jf[j];

		job_open(jf, method_by_name("metagpt"), 3, 0, 4, 6);
		for (size_t i = 0; i < 3; i++) {
			float x[ELEMENTS] = { (float)(i + j) };

			job_input(jf, i, DTYPE_F32, x);
		}
	}
}

static void pair_close(struct pair *pair)
{
	arena_close(pair->arena);
	for (size_t j = 0; j < JOBS; j++)
		job_close(&pair->jf[j]);
}

struct keys {
	struct hash128 state, tensor, state_like, tensor_like;
};

/* Those of a job, after a change to the pair; what was known is forgotten. */
static struct keys keys_of(struct pair *pair, size_t j)
{
	struct keys keys;

	for (size_t i = 0; i < JOBS; i++)
		pair->jobs[i] = pair->jf[i].job;
	assert_false(peers_make(pair->jobs, JOBS, pair->arena));
	assert_false(merge_tensor_key(&pair->jobs[j], &keys.tensor, NULL));
	assert_false(merge_state_key(&pair->jobs[j], &keys.state, NULL));
	assert_false(merge_tensor_likeness(&pair->jobs[j], &keys.tensor_like));
	assert_false(merge_state_likeness(&pair->jobs[j], &keys.state_like));
	assert_true(pair->jobs[j].peers->identity.known);
	assert_true(pair->jobs[j].peers->likeness.known);
	assert_false(hash_equal(keys.state, keys.tensor));
	assert_false(hash_equal(keys.state, keys.state_like));
	return keys;
}

static void set_weight(struct job_fixture *jf)
{
	job_set(jf, "weight", 1, 0.25);
}

static void set_output(struct job_fixture *jf)
{
	job_output(jf, DTYPE_BF16);
}

static void set_round(struct job_fixture *jf)
{
	jf->inputs[1].round = DTYPE_BF16;
}

static void set_position(struct job_fixture *jf)
{
	jf->positions[2] = 7;
}

static void set_source(struct job_fixture *jf)
{
	jf->tensors[1].source = jf->tensors[2].source;
}

static void set_arithmetic(struct job_fixture *jf)
{
	jf->job.args.arithmetic = ARITHMETIC_MERGEKIT;
}

static void set_nothing(struct job_fixture *jf)
{
}

static void keys_hold_all_peers(void **state)
{
	static const struct {
		const char *label;
		void (*change)(struct job_fixture *jf);
		/* Whether the key of the job that is changed differs, and that
		 * of the other. */
		bool state, tensor, other;
	} changes[] = {
		{ "nothing", set_nothing, false, false, false },
		{ "weight", set_weight, false, true, false },
		{ "output", set_output, false, true, false },
		{ "round", set_round, true, true, true },
		{ "position", set_position, true, true, true },
		{ "source", set_source, true, true, true },
		{ "arithmetic", set_arithmetic, true, true, true },
	};

	for (size_t c = 0; c < ARRAY_LEN(changes); c++)
		for (size_t j = 0; j < JOBS; j++) {
			struct keys own, other, before, before_other;
			struct pair pair;

			pair_open(&pair);
			before = keys_of(&pair, j);
			before_other = keys_of(&pair, !j);
			assert_true(
				hash_equal(before.state, before_other.state));
			assert_true(hash_equal(before.state_like,
					       before_other.state_like));
			assert_false(
				hash_equal(before.tensor, before_other.tensor));
			changes[c].change(&pair.jf[j]);
			own = keys_of(&pair, j);
			other = keys_of(&pair, !j);
			if (hash_equal(before.state, own.state) ==
				    changes[c].state ||
			    hash_equal(before.tensor, own.tensor) ==
				    changes[c].tensor ||
			    hash_equal(before_other.tensor, other.tensor) ==
				    changes[c].other ||
			    hash_equal(before.state_like, own.state_like) ==
				    changes[c].state ||
			    hash_equal(before.tensor_like, own.tensor_like) ==
				    changes[c].tensor ||
			    hash_equal(before_other.tensor_like,
				       other.tensor_like) == changes[c].other)
				fail_msg("%s, job %zu", changes[c].label, j);
			assert_true(hash_equal(own.state, other.state));
			pair_close(&pair);
		}
}

static void a_broken_peer_is_named(void **state)
{
	double sums[STATE_DOUBLES] __attribute__((aligned(64)));
	struct pair pair;
	struct hash128 key;
	struct error err;

	pair_open(&pair);
	pair.jf[1].job.name = "model.other";
	for (size_t j = 0; j < JOBS; j++) {
		pair.jf[j].job.state_size = sizeof(sums);
		pair.jobs[j] = pair.jf[j].job;
	}
	assert_false(peers_make(pair.jobs, JOBS, pair.arena));
	assert_false(truncate(source_path(pair.jf[1].tensors[1].source), 0));
	assert_int_equal(
		merge_state(&pair.jobs[0], cpu_level_best(), NULL, sums, &err),
		-EIO);
	assert_non_null(strstr(err.text, "model.other: "));
	assert_true(merge_state_key(&pair.jobs[0], &key, &err) < 0);
	assert_non_null(strstr(err.text, "model.other: "));
	assert_false(pair.jobs[0].peers->identity.known);
	pair_close(&pair);
}

struct reader {
	struct engine *engine;
	const struct lens *lens;
	const unsigned char *expected;
	const char *name;
	pthread_t thread;
	bool right;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;
	const struct layout_file *file = engine_file(r->lens);
	uint64_t off = engine_job_off(r->lens, r->name);
	unsigned char buf[4];
	struct error err;

	r->right = !engine_read_wait(r->engine, r->lens, file, off, sizeof(buf),
				     buf, &err) &&
		   !memcmp(buf, r->expected + off, sizeof(buf));
	return NULL;
}

/* Readers of different tensors at once, and of another recipe, and after a
 * restart. */
static void all_readers_share_one_reduction(void **state)
{
	static const char *const names[] = { ENGINE_LARGE, ENGINE_SMALL,
					     ENGINE_HUGE, "model.scalar" };
	struct engine *engine =
		engine_start(*state, ENGINE_CACHE_AUTO, "cache-peers");
	struct lens *lens = engine_lens(*state, metagpt), *other;
	AUTO_FREE unsigned char *expected = engine_expected(lens);
	AUTO_FREE unsigned char *expected_other = NULL;
	struct reader readers[READERS];

	for (size_t i = 0; i < READERS; i++) {
		readers[i] = (struct reader){
			.engine = engine,
			.lens = lens,
			.expected = expected,
			.name = names[i % ARRAY_LEN(names)],
		};
		assert_false(pthread_create(&readers[i].thread, NULL, read_one,
					    &readers[i]));
	}
	for (size_t i = 0; i < READERS; i++) {
		assert_false(pthread_join(readers[i].thread, NULL));
		assert_true(readers[i].right);
	}
	assert_reads_all(engine, lens, expected);
	other = engine_lens(*state, weighted);
	expected_other = engine_expected(other);
	assert_true(memcmp(expected, expected_other, engine_file(lens)->size) !=
		    0);
	assert_reads_all(engine, other, expected_other);
	assert_int_equal(engine_stats_of(engine).reductions, 1);
	engine_leave(engine, other);
	engine_end(engine, lens);
	lens = engine_lens(*state, metagpt);
	engine = engine_start(*state, ENGINE_CACHE_AUTO, "cache-peers");
	assert_reads_all(engine, lens, expected);
	assert_int_equal(engine_stats_of(engine).reductions, 0);
	engine_end(engine, lens);
}

static void the_census_counts_it_once_a_recipe(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_OFF, NULL);
	struct lens *lens = engine_lens(*state, metagpt);
	struct lens *other = engine_lens(*state, weighted);
	struct census_stats stats;

	engine_join(engine, lens);
	stats = engine_stats_of(engine).census;
	assert_int_equal(stats.reductions, 1);
	assert_int_equal(stats.distinct_reductions, 1);
	assert_int_equal(stats.shared_reductions, 0);
	engine_join(engine, other);
	stats = engine_stats_of(engine).census;
	assert_int_equal(stats.reductions, 2);
	assert_int_equal(stats.distinct_reductions, 1);
	assert_int_equal(stats.shared_reductions, 1);
	engine_leave(engine, other);
	engine_end(engine, lens);
}

/* Also where the first of the peers is not asked for. */
static void warming_counts_it_once_a_recipe(void **state)
{
	static const char *const patterns[] = { NULL, "*small*" };

	for (size_t p = 0; p < ARRAY_LEN(patterns); p++) {
		struct engine *engine = engine_start(*state, ENGINE_CACHE_AUTO,
						     p ? "warm-1" : "warm-0");
		struct lens *lens = engine_lens(*state, metagpt);
		struct warm_progress progress;
		struct error err;
		struct warm *warm =
			warm_open(engine, &lens, 1,
				  patterns[p] ? WARM_PATTERN : WARM_REDUCTIONS,
				  patterns[p], &err);

		assert_non_null(warm);
		do
			warm_look(warm, &progress);
		while (!progress.ended);
		assert_int_equal(progress.failed, 0);
		assert_int_equal(progress.reductions, 1);
		assert_int_equal(progress.reductions_done, 1);
		assert_int_equal(engine_stats_of(engine).reductions, 1);
		warm_close(warm);
		engine_end(engine, lens);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plan_joins_what_is_merged),
		cmocka_unit_test(the_state_is_the_sum_of_all),
		cmocka_unit_test(keys_hold_all_peers),
		cmocka_unit_test(a_broken_peer_is_named),
		cmocka_unit_test(all_readers_share_one_reduction),
		cmocka_unit_test(the_census_counts_it_once_a_recipe),
		cmocka_unit_test(warming_counts_it_once_a_recipe),
	};

	return cmocka_run_group_tests(tests, engine_fixture_open,
				      engine_fixture_close);
}
