/*
 * DELLA's chances in bfloat16 arithmetic. The wanted numbers are mergekit
 * 0.1.5's: of one row's element of each rank, many times over, it keeps those
 * whose draw of `--random-seed` is below them, and no others.
 */
#define CPU_LEVEL baseline
#define ROUNDING bf16
#include "core/methods/rank_chance.h"
#include "tests/unit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define LONGEST 20000

static struct chance chance_of(float density, float epsilon, uint32_t cols)
{
	return (struct chance){
		.low = RS(density - epsilon),
		.epsilon = epsilon,
		.last = cols - 1,
		.stream = true,
	};
}

/* Ranks from 0 on; 257 is the one that a rank rounded after the 1 is added
 * would put among its betters. */
static void great_ranks_are_rounded_before_one_is_added(void **state)
{
	static const struct {
		uint32_t cols, rank;
		float want;
	} probes[] = {
		{ 288, 256, 0.81640625f }, { 288, 257, 0.81640625f },
		{ 288, 258, 0.8203125f },  { 600, 514, 0.8046875f },
		{ 600, 517, 0.80859375f }, { 600, 530, 0.8125f },
		{ 600, 573, 0.8359375f },
	};

	for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
		struct chance chance = chance_of(0.7f, 0.15f, probes[i].cols);
		float p = chance_at(&chance, 2 * (uint64_t)probes[i].rank);

		if (float_bits(p) != float_bits(probes[i].want))
			fail_msg("%u of %u: %.9g, want %.9g", probes[i].rank,
				 probes[i].cols, (double)p,
				 (double)probes[i].want);
	}
}

static void chances_never_fall_where_ranks_grow(void **state)
{
	struct chance chance = chance_of(0.5f, 0.3f, LONGEST);

	for (uint64_t twice = 1; twice <= 2 * (uint64_t)(LONGEST - 1); twice++)
		assert_true(chance_at(&chance, twice) >=
			    chance_at(&chance, twice - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(great_ranks_are_rounded_before_one_is_added),
		cmocka_unit_test(chances_never_fall_where_ranks_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
