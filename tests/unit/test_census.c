/*
 * The census: what is alike in several lenses is counted as one, and is kept
 * where that pays and as long as there is room; its clock never shows what is
 * not written down yet.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/engine_fixture.h"

#include <cmocka.h>

#define ROOM ((uint64_t)1 << 40)
#define MANY 80
#define FLAGS 200000
#define LOOKS 2000
#define ROUNDS 30

/* All as ENGINE_LINEAR, but for the small tensor. */
static const char linear_but_one[] =
	"merge_method: linear\n"
	"dtype: bfloat16\n"
	"models:\n"
	"- {model: a, parameters: {weight: [{filter: small, value: 0.75},"
	" {value: 0.25}]}}\n"
	"- {model: b, parameters: {weight: 0.5}}\n";

/* Two inputs of float32, and an output of it: as dear to read back. */
static const char cheap[] = "merge_method: linear\n"
			    "dtype: float32\n"
			    "models:\n"
			    "- {model: a, parameters: {weight: 0.25}}\n"
			    "- {model: b, parameters: {weight: 0.5}}\n";

static struct census_stats stats_of(struct census *census)
{
	struct census_stats stats;

	census_stats(census, &stats);
	return stats;
}

static void leave(struct census *census, struct lens *lens)
{
	census_remove(census, lens);
	lens_close(lens);
}

static struct lens *join(struct census *census, struct lens *lens)
{
	assert_int_equal(census_add(census, lens), 0);
	return lens;
}

static size_t reductions_of(const struct lens *lens)
{
	size_t reductions = 0;

	for (size_t i = 0; i < lens->plan->count; i++)
		reductions += lens->plan->jobs[i].state_size > 0;
	return reductions;
}

/* Tensors that are not copied. */
static size_t made_of(const struct lens *lens)
{
	size_t made = 0;

	for (size_t i = 0; i < lens->plan->count; i++)
		made += lens->plan->jobs[i].kind != JOB_COPY;
	return made;
}

static const struct likeness *like(const struct lens *lens, const char *name)
{
	return lens_slot(lens, engine_job(lens, name))->tensor_like;
}

static void lambdas_share_reductions_and_no_tensors(void **state)
{
	struct census *census = census_open(ROOM);
	struct lens *a = join(census, engine_lens_lambda(*state, 0.5));
	struct lens *b = join(census, engine_lens_lambda(*state, 0.25));
	struct census_stats stats = stats_of(census);
	size_t count = made_of(a), reductions = reductions_of(a);

	assert_true(reductions > 0);
	assert_int_equal(stats.tensors, 2 * count);
	assert_int_equal(stats.distinct, 2 * count);
	assert_int_equal(stats.tensor_bytes, 2 * a->plan->bytes);
	assert_int_equal(stats.distinct_bytes, 2 * a->plan->bytes);
	assert_int_equal(stats.shared_tensors + stats.shared_bytes, 0);
	assert_int_equal(stats.kept_tensors + stats.kept_bytes, 0);
	assert_int_equal(stats.reductions, 2 * reductions);
	assert_int_equal(stats.distinct_reductions, reductions);
	assert_int_equal(stats.shared_reductions, reductions);
	leave(census, a);
	stats = stats_of(census);
	assert_int_equal(stats.distinct_reductions, reductions);
	assert_int_equal(stats.shared_reductions, 0);
	leave(census, b);
	census_close(census);
}

static void what_several_make_is_kept_from_the_second_on(void **state)
{
	struct census *census = census_open(ROOM);
	struct lens *a = join(census, engine_lens(*state, ENGINE_LINEAR));
	uint64_t before = census_now(census);
	struct census_stats stats;
	struct lens *b;

	assert_int_equal(like(a, ENGINE_LARGE)->since, 0);
	b = join(census, engine_lens(*state, linear_but_one));
	assert_ptr_equal(like(a, ENGINE_LARGE), like(b, ENGINE_LARGE));
	assert_true(like(a, ENGINE_LARGE)->since > before);
	assert_true(like(a, ENGINE_LARGE)->since <= census_now(census));
	assert_int_equal(like(a, ENGINE_LARGE)->count, 2);
	assert_ptr_not_equal(like(a, ENGINE_SMALL), like(b, ENGINE_SMALL));
	assert_int_equal(like(a, ENGINE_SMALL)->since, 0);
	stats = stats_of(census);
	/* All but the small one; the one without bytes is not worth a thought.
	 */
	assert_int_equal(stats.shared_tensors, made_of(a) - 1);
	assert_int_equal(stats.kept_tensors, made_of(a) - 2);
	assert_int_equal(stats.kept_bytes, stats.shared_bytes);
	assert_int_equal(stats.shared_bytes,
			 a->plan->bytes - engine_job(a, ENGINE_SMALL)->size);
	assert_int_equal(stats.distinct_bytes + stats.shared_bytes,
			 stats.tensor_bytes);
	/* It stays kept as long as anybody has it. */
	leave(census, a);
	assert_true(like(b, ENGINE_LARGE)->since > 0);
	assert_int_equal(stats_of(census).kept_bytes, stats.kept_bytes);
	leave(census, b);
	stats = stats_of(census);
	assert_int_equal(stats.tensors + stats.distinct + stats.shared_tensors +
				 stats.kept_tensors + stats.reductions,
			 0);
	assert_int_equal(stats.tensor_bytes + stats.distinct_bytes +
				 stats.shared_bytes + stats.kept_bytes,
			 0);
	census_close(census);
}

static void what_is_cheap_to_make_is_not_kept(void **state)
{
	static const struct {
		const char *label, *recipe;
		bool pays;
	} rows[] = {
		{ "f32 sources, bf16 result", ENGINE_LINEAR, true },
		{ "two of f32", cheap, false },
		{ "ties", ENGINE_TIES, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct census *census = census_open(ROOM);
		struct lens *a =
			join(census, engine_lens(*state, rows[i].recipe));
		struct lens *b =
			join(census, engine_lens(*state, rows[i].recipe));

		assert_true(stats_of(census).shared_tensors > 0);
		if ((stats_of(census).kept_bytes > 0) != rows[i].pays)
			fail_msg("%s", rows[i].label);
		leave(census, a);
		leave(census, b);
		census_close(census);
	}
}

/* By method and number of inputs, all of bfloat16: the measured table. */
static void what_pays_is_what_was_measured(void **state)
{
	static const struct {
		const char *method;
		size_t inputs;
		bool pays;
	} rows[] = {
		{ "linear", 2, false },
		{ "linear", 3, true },
		{ "slerp", 2, false },
		{ "passthrough", 1, false },
		{ "task_arithmetic", 2, false },
		{ "task_arithmetic", 3, true },
		{ "ties", 2, true },
		{ "dare_linear", 2, true },
		{ "dare_ties", 2, true },
		{ "dare_ties", 8, true },
	};
	const struct tensor tensor = { .dtype = DTYPE_BF16 };
	struct job_input inputs[8];

	for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
		inputs[i] = (struct job_input){ .tensor = &tensor };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct job job = {
			.kind = JOB_TILE,
			.dtype = DTYPE_BF16,
			.method = method_by_name(rows[i].method),
			.inputs = inputs,
			.args.inputs = rows[i].inputs,
		};

		if (keeping_pays(&job) != rows[i].pays)
			fail_msg("%s of %zu", rows[i].method, rows[i].inputs);
	}
}

static void no_more_is_kept_than_there_is_room_for(void **state)
{
	struct lens *a = engine_lens(*state, ENGINE_LINEAR);
	struct lens *b = engine_lens(*state, ENGINE_LINEAR);
	uint64_t large = engine_job(a, ENGINE_LARGE)->size;
	struct census *census = census_open(large - 1);
	struct census_stats stats;

	join(census, a);
	join(census, b);
	stats = stats_of(census);
	assert_int_equal(like(a, ENGINE_LARGE)->since, 0);
	assert_true(like(a, ENGINE_SMALL)->since > 0);
	assert_int_equal(stats.kept_bytes, a->plan->bytes - large);
	assert_int_equal(stats.shared_bytes, a->plan->bytes);
	leave(census, a);
	leave(census, b);
	census_close(census);
	/* Room that comes free is used by those who come next. */
	census = census_open(stats.kept_bytes);
	for (size_t i = 0; i < 2; i++) {
		a = join(census, engine_lens(*state, ENGINE_LINEAR));
		b = join(census, engine_lens(*state, ENGINE_LINEAR));
		assert_int_equal(stats_of(census).kept_bytes, stats.kept_bytes);
		leave(census, a);
		leave(census, b);
	}
	census_close(census);
	census = census_open(0);
	a = join(census, engine_lens(*state, ENGINE_LINEAR));
	b = join(census, engine_lens(*state, ENGINE_LINEAR));
	assert_int_equal(stats_of(census).kept_tensors, 0);
	leave(census, a);
	leave(census, b);
	census_close(census);
}

static void copies_are_not_counted(void **state)
{
	struct census *census = census_open(ROOM);
	struct lens *a = join(census, engine_lens(*state, ENGINE_COPY));
	struct lens *b = join(census, engine_lens(*state, ENGINE_COPY));

	assert_int_equal(stats_of(census).tensors, 0);
	assert_null(like(a, ENGINE_LARGE));
	leave(census, a);
	leave(census, b);
	census_close(census);
}

/* As many as make its tables grow, and shrink to nothing again. */
static void many_lenses_are_told_apart_and_found_again(void **state)
{
	struct census *census = census_open(ROOM);
	struct lens *lenses[MANY];
	size_t tensors, distinct;

	for (size_t i = 0; i < MANY; i++)
		lenses[i] =
			join(census,
			     engine_lens_lambda(*state, (double)(i / 2 + 2)));
	tensors = made_of(lenses[0]);
	distinct = tensors * MANY / 2;
	assert_int_equal(stats_of(census).tensors, tensors * MANY);
	assert_int_equal(stats_of(census).distinct, distinct);
	assert_int_equal(stats_of(census).shared_tensors, distinct);
	assert_int_equal(stats_of(census).distinct_reductions,
			 reductions_of(lenses[0]));
	for (size_t i = 0; i < MANY; i += 2)
		leave(census, lenses[i]);
	assert_int_equal(stats_of(census).distinct, distinct);
	assert_int_equal(stats_of(census).shared_tensors, 0);
	for (size_t i = 1; i < MANY; i += 2)
		leave(census, lenses[i]);
	assert_int_equal(stats_of(census).distinct, 0);
	census_close(census);
}

struct clock_race {
	struct census *census;
	atomic_uint_fast64_t *flags;
	atomic_bool done;
};

static void *mark_all(void *arg)
{
	struct clock_race *race = arg;

	for (size_t i = 0; i < FLAGS; i++)
		census_mark(race->census, &race->flags[i]);
	atomic_store(&race->done, true);
	return NULL;
}

/* The i-th flag is set at the clock's i + 1: all that the clock has shown must
 * be there at once, and nothing that it has not may count. */
static void the_clock_shows_what_is_written_down(void **state)
{
	struct clock_race race = { .census = census_open(0) };
	uint64_t now = 0;
	pthread_t thread;

	race.flags = calloc(FLAGS, sizeof(*race.flags));
	assert_non_null(race.flags);
	assert_int_equal(pthread_create(&thread, NULL, mark_all, &race), 0);
	while (now < FLAGS) {
		now = census_now(race.census);
		if (now && atomic_load_explicit(&race.flags[now - 1],
						memory_order_relaxed) != now)
			fail_msg("%ju is not there", (uintmax_t)now);
		if (now < FLAGS) {
			uint64_t next = atomic_load_explicit(
				&race.flags[now], memory_order_relaxed);

			assert_true(next == 0 || next > now);
		}
	}
	pthread_join(thread, NULL);
	/* Once set, it stays. */
	census_mark(race.census, &race.flags[0]);
	assert_int_equal(race.flags[0], 1);
	assert_int_equal(census_now(race.census), FLAGS);
	free(race.flags);
	census_close(race.census);
}

struct guest {
	struct census *census;
	struct lens *lens;
	pthread_t thread;
};

static void *come_and_go(void *arg)
{
	struct guest *guest = arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		if (census_add(guest->census, guest->lens))
			return guest;
		census_remove(guest->census, guest->lens);
	}
	return NULL;
}

/* Their counts come out even; ThreadSanitizer looks on. */
static void lenses_come_and_go_on_any_thread(void **state)
{
	struct census *census = census_open(ROOM);
	struct lens *stays = join(census, engine_lens(*state, ENGINE_TIES));
	struct guest guests[4];
	struct census_stats stats;
	void *failed;

	for (size_t i = 0; i < ARRAY_LEN(guests); i++) {
		guests[i].census = census;
		guests[i].lens = i % 2 ? engine_lens(*state, ENGINE_TIES)
				       : engine_lens(*state, ENGINE_LINEAR);
		assert_int_equal(pthread_create(&guests[i].thread, NULL,
						come_and_go, &guests[i]),
				 0);
	}
	for (size_t i = 0; i < LOOKS; i++) {
		uint64_t since = like(stays, ENGINE_LARGE)->since;

		assert_true(since <= census_now(census));
	}
	for (size_t i = 0; i < ARRAY_LEN(guests); i++) {
		pthread_join(guests[i].thread, &failed);
		assert_null(failed);
		lens_close(guests[i].lens);
	}
	stats = stats_of(census);
	assert_int_equal(stats.tensors, made_of(stays));
	assert_int_equal(stats.distinct, made_of(stays));
	assert_int_equal(stats.shared_tensors, 0);
	leave(census, stays);
	census_close(census);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lambdas_share_reductions_and_no_tensors),
		cmocka_unit_test(what_several_make_is_kept_from_the_second_on),
		cmocka_unit_test(what_is_cheap_to_make_is_not_kept),
		cmocka_unit_test(what_pays_is_what_was_measured),
		cmocka_unit_test(no_more_is_kept_than_there_is_room_for),
		cmocka_unit_test(copies_are_not_counted),
		cmocka_unit_test(many_lenses_are_told_apart_and_found_again),
		cmocka_unit_test(the_clock_shows_what_is_written_down),
		cmocka_unit_test(lenses_come_and_go_on_any_thread),
	};

	return cmocka_run_group_tests_name("census", tests, engine_fixture_open,
					   engine_fixture_close);
}
