/*
 * A tensor that some models lack, in the methods whose counts say more than the
 * table's policy alone: those that need a number of models, and those whose
 * base may be left out.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/plan_fixture.h"

#include <cmocka.h>

#define MERGE(method, a, b)                                   \
	"merge_method: " method "\nparameters: {weight: 1}\n" \
	"models: [{model: ./" a "}, {model: ./" b "}]\n"
#define BASE(base) "base_model: ./" base "\n"
#define STOCK(base, a, b)                                                \
	"merge_method: model_stock\n" BASE(base) "models: [{model: ./" a \
						 "}, {model: ./" b "}]\n"

static int models_open(void **state)
{
	static const char *const whole[] = { "a", "a2", "a3" };
	static const char *const part[] = { "nobias", "nobias2" };
	int rc = model_fixture_open(state);
	const struct fixture *fx = *state;

	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		plan_fixture_model(fx, whole[i], "llama",
				   "l.0.w BF16 4; l.0.b BF16 4");
	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		plan_fixture_model(fx, part[i], "llama", "l.0.w BF16 4");
	return rc;
}

static void too_few_follow_the_policy(void **state)
{
	static const struct {
		const char *yaml;
		int code;
		const char *notes;
	} cases[] = {
		{ STOCK("a", "nobias", "nobias2"), 0,
		  "m.yml: tensor l.0.b: missing in ./nobias and 1 more; that "
		  "of ./a is used unchanged\n" },
		{ STOCK("a", "nobias", "a2"), 0,
		  "m.yml: tensor l.0.b: missing in ./nobias; too few are left "
		  "for model_stock, so the merge lacks it, too\n" },
		{ "merge_method: model_stock\nbase_model: ./a\n"
		  "models: [{model: ./nobias}, {model: ./a2}, "
		  "{model: ./a3}]\n",
		  0,
		  "m.yml: tensor l.0.b: missing in ./nobias; merged from the "
		  "others\n" },
		{ MERGE("nuslerp", "a", "nobias"), 0,
		  "m.yml: tensor l.0.b: missing in ./nobias; that of ./a is "
		  "used unchanged\n" },
		{ MERGE("nuslerp", "a", "nobias") BASE("a2"), EDOM,
		  "m.yml: tensor l.0.b: missing in ./nobias; nuslerp needs it "
		  "in every model\n" },
		{ MERGE("multislerp", "a", "nobias") BASE("a2"), 0,
		  "m.yml: tensor l.0.b: missing in ./nobias; merged from the "
		  "others\n" },
		{ MERGE("multislerp", "nobias", "nobias2") BASE("a"), EDOM,
		  "m.yml: tensor l.0.b: missing in ./nobias and 1 more; "
		  "multislerp needs it in every model\n" },
		{ "merge_method: karcher\n"
		  "models: [{model: ./a}, {model: ./nobias}]\n",
		  0,
		  "m.yml: tensor l.0.b: missing in ./nobias; merged from the "
		  "others\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_PLANNED struct planned planned;

		planned_open(&planned, *state, cases[i].yaml);
		assert_notes(*state, &planned.report, cases[i].notes);
		assert_int_equal(planned.report.code, cases[i].code);
		assert_int_equal(planned.plan == NULL, cases[i].code != 0);
	}
}

/* model_stock has nothing to go by with a base and one model. */
static void what_is_left_out_has_no_job(void **state)
{
	assert_plan(*state, STOCK("a", "nobias", "a2"),
		    "m.yml: tensor l.0.b: missing in ./nobias; too few are "
		    "left for model_stock, so the merge lacks it, too\n",
		    "l.0.w tile BF16 4 model_stock nobias/l.0.w a2/l.0.w "
		    "*a/l.0.w filter_wise=0\n");
}

/* One point is the mean: its bytes. */
static void one_left_is_copied(void **state)
{
	assert_plan(*state, MERGE("multislerp", "a", "nobias") BASE("a2"),
		    "m.yml: tensor l.0.b: missing in ./nobias; merged from "
		    "the others\n",
		    "l.0.b copy BF16 4 - a/l.0.b\n"
		    "l.0.w tile BF16 4 multislerp a/l.0.w nobias/l.0.w "
		    "*a2/l.0.w weight=1,1,- normalize_weights=1 eps=1e-08\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_few_follow_the_policy),
		cmocka_unit_test(what_is_left_out_has_no_job),
		cmocka_unit_test(one_left_is_copied),
	};

	return cmocka_run_group_tests(tests, models_open, model_fixture_close);
}
