/*
 * The generator: the numbers that its authors and everyone else have, and the
 * same ones at any place, by any way, in any cuts, at every CPU level.
 */
#include "core/mt19937.h"
#include "tests/unit/fixture.h"
#include "tests/unit/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define SEED 20240517
#define NEAR 400000 /* places that are compared one by one */
#define SEEN 2000

static const struct kernels *best(void)
{
	return kernels_at(cpu_level_best());
}

/* Init by one number, as in mt19937ar.c, and in C++'s std::mt19937. */
static void numbers_are_the_known_ones(void **state)
{
	for (int l = 0; l <= (int)cpu_level_best(); l++) {
		const struct kernels *kernels = kernels_at((enum cpu_level)l);
		static uint32_t numbers[10000];
		struct mt19937 mt;

		mt19937_seed(&mt, 5489);
		mt19937_draw(&mt, kernels, 0, 10000, numbers);
		assert_int_equal(numbers[0], 3499211612u);
		assert_int_equal(numbers[1], 581869302u);
		assert_int_equal(numbers[9999], 4123659995u);
		mt19937_seed(&mt, 0);
		mt19937_draw(&mt, kernels, 0, 1, numbers);
		assert_int_equal(numbers[0], 2357136044u);
		mt19937_seed(&mt, UINT32_MAX);
		mt19937_draw(&mt, kernels, 0, 1, numbers);
		assert_int_equal(numbers[0], 419326371u);
	}
}

static void assert_numbers(struct mt19937 *mt, const struct kernels *kernels,
			   uint64_t place, const uint32_t *want)
{
	uint32_t numbers[SEEN];

	mt19937_draw(mt, kernels, place, SEEN, numbers);
	if (memcmp(numbers, want, sizeof(numbers)) != 0)
		fail_msg("other numbers at place %llu",
			 (unsigned long long)place);
}

/* By jump, from the beginning and from a place on the way. */
static void a_jump_is_as_many_steps(void **state)
{
	static const uint32_t counts[] = {
		0,     1,     2,     31,    227,   396,	   397,	   623,
		624,   625,   1023,  1024,  1025,  12673,  19313,  19936,
		19937, 19938, 19999, 32768, 65537, 131071, 262147, NEAR - 1,
	};
	uint32_t *all = calloc(NEAR + SEEN, sizeof(*all));

	reference_mt19937(SEED, 0, NEAR + SEEN, all);
	for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
		for (int l = 0; l <= (int)cpu_level_best(); l++) {
			const struct kernels *kernels =
				kernels_at((enum cpu_level)l);
			uint32_t first = counts[c] / 3;
			struct mt19937 mt;

			mt19937_seed(&mt, SEED);
			mt19937_jump(&mt, kernels, counts[c]);
			assert_numbers(&mt, kernels, counts[c],
				       all + counts[c]);
			mt19937_seed(&mt, SEED);
			mt19937_walk(&mt, kernels, first);
			mt19937_jump(&mt, kernels, counts[c] - first);
			assert_numbers(&mt, kernels, counts[c],
				       all + counts[c]);
		}
	}
	free(all);
}

/* Far enough for squarings of dense polynomials. */
static void long_jumps_are_as_many_steps(void **state)
{
	static const uint64_t counts[] = { (1 << 20) + 12345, (3 << 20) + 1,
					   50000017 };
	uint32_t want[SEEN];

	for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
		struct mt19937 jumped;
		struct mt19937 walked;

		reference_mt19937(SEED, counts[c], SEEN, want);
		mt19937_seed(&jumped, SEED);
		mt19937_jump(&jumped, best(), counts[c]);
		assert_numbers(&jumped, best(), counts[c], want);
		mt19937_seed(&walked, SEED);
		mt19937_walk(&walked, best(), counts[c]);
		assert_numbers(&walked, best(), counts[c], want);
	}
}

/* Where nobody can walk to: the sum of ways is the way. */
static void jumps_add_up(void **state)
{
	static const struct {
		uint64_t a, b;
	} ways[] = {
		{ UINT64_C(1) << 40, UINT64_C(1) << 40 },
		{ (UINT64_C(1) << 40) - 5, 5 },
		{ 987654321, (UINT64_C(1) << 50) + 77 },
		{ (UINT64_C(1) << 63) - 1, (UINT64_C(1) << 62) + 12345 },
	};
	uint32_t want[SEEN];
	struct mt19937 mt;

	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		uint64_t place = ways[w].a + ways[w].b;

		mt19937_seed(&mt, SEED);
		mt19937_jump(&mt, best(), place);
		mt19937_draw(&mt, best(), place, SEEN, want);
		mt19937_seed(&mt, SEED);
		mt19937_jump(&mt, best(), ways[w].a);
		mt19937_jump(&mt, best(), ways[w].b);
		assert_numbers(&mt, best(), place, want);
		mt19937_seed(&mt, SEED);
		mt19937_jump(&mt, best(), ways[w].b);
		mt19937_jump(&mt, best(), ways[w].a);
		assert_numbers(&mt, best(), place, want);
	}
}

/* Reading on, over gaps, and again what was made last. */
static void any_cuts_give_the_same_numbers(void **state)
{
	uint32_t *all = calloc(NEAR, sizeof(*all));
	uint32_t numbers[3000];
	uint64_t random = 3;
	struct mt19937 mt;

	reference_mt19937(SEED, 0, NEAR, all);
	for (size_t round = 0; round < 20; round++) {
		mt19937_seed(&mt, SEED);
		for (uint64_t place = 0; place < NEAR - 10000;) {
			size_t count = fixture_random(&random) % 3000;

			if (fixture_random(&random) % 3 == 0)
				count = fixture_random(&random) % 20;
			if (fixture_random(&random) % 4 == 0)
				place += fixture_random(&random) % 5000;
			else if (fixture_random(&random) % 4 == 0)
				place = mt.place +
					fixture_random(&random) % (mt.made + 1);
			mt19937_draw(&mt, best(), place, count, numbers);
			assert_memory_equal(numbers, all + place,
					    count * sizeof(*numbers));
			place += count;
		}
	}
	free(all);
}

/* Near and far ones after another; and a copy goes on as the other does. */
static void far_places_are_found_by_draws(void **state)
{
	static const uint64_t places[] = { 5, MT19937_WALK_MAX,
					   2 * MT19937_WALK_MAX + 17,
					   5 * (uint64_t)MT19937_WALK_MAX,
					   UINT64_C(1) << 35 };
	uint32_t again[SEEN - MT19937_RUN];
	uint32_t want[SEEN];
	struct mt19937 mt;

	mt19937_seed(&mt, SEED);
	for (size_t p = 0; p < ARRAY_LEN(places); p++) {
		struct mt19937 other;

		mt19937_seed(&other, SEED);
		mt19937_jump(&other, best(), places[p]);
		mt19937_draw(&other, best(), places[p], SEEN, want);
		assert_numbers(&mt, best(), places[p], want);
		mt19937_copy(&other, &mt);
		mt19937_draw(&other, best(), places[p] + MT19937_RUN,
			     SEEN - MT19937_RUN, again);
		assert_memory_equal(again, want + MT19937_RUN, sizeof(again));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_the_known_ones),
		cmocka_unit_test(a_jump_is_as_many_steps),
		cmocka_unit_test(long_jumps_are_as_many_steps),
		cmocka_unit_test(jumps_add_up),
		cmocka_unit_test(any_cuts_give_the_same_numbers),
		cmocka_unit_test(far_places_are_found_by_draws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
