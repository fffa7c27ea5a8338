#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/params.h"

#include <cmocka.h>

#define TENSOR "model.layers.12.self_attn.q_proj.weight"

static const struct method_option weight = {
	.name = "w",
	.type = OPTION_FLOAT,
	.scope = OPTION_PER_MODEL,
	.required = true,
	.min = -INFINITY,
	.max = INFINITY,
};
static const struct method_option flag = {
	.name = "w",
	.type = OPTION_BOOL,
	.scope = OPTION_GLOBAL,
	.fallback = 1,
	.min = 0,
	.max = 1,
};
static const struct method_option whole = {
	.name = "w",
	.type = OPTION_INT,
	.scope = OPTION_GLOBAL,
	.fallback = 7,
	.min = 1,
	.max = INFINITY,
};
static const struct method_option share = {
	.name = "w",
	.type = OPTION_FLOAT,
	.scope = OPTION_GLOBAL,
	.required = true,
	.min = 0,
	.max = 1,
};
static const char *const kinds[] = { "none", "one_bit", "two_bits" };
static const struct method_option choice = {
	.name = "w",
	.type = OPTION_CHOICE,
	.scope = OPTION_PER_MODEL,
	.max = 2,
	.choices = kinds,
};
static const struct method_option unset = {
	.name = "w",
	.type = OPTION_FLOAT,
	.scope = OPTION_PER_MODEL,
	.fallback = OPTION_UNSET,
	.min = -INFINITY,
	.max = INFINITY,
};

static const struct json *parse(struct arena *arena, const char *text)
{
	struct json *tree;
	struct error err = { 0 };

	if (json_parse(text, strlen(text), arena, &tree, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return tree;
}

/* Every form of a setting gives the value that mergekit gives. */
static void settings_are_worth_what_mergekit_says(void **state)
{
	static const struct {
		const struct method_option *option;
		const char *setting;
		double t;
		double value;
	} cases[] = {
		/* scalars by type */
		{ &weight, "0.25", 0, 0.25 },
		{ &weight, "true", 0, 1 },
		{ &weight, "\"1e-3\"", 0, 1e-3 },
		{ &weight, "\" -2 \"", 0, -2 },
		{ &flag, "0", 0, 0 },
		{ &flag, "1.0", 0, 1 },
		{ &flag, "\"No\"", 0, 0 },
		{ &flag, "\"ON\"", 0, 1 },
		{ &flag, "\"f\"", 0, 0 },
		{ &whole, "3.0", 0, 3 },
		{ &whole, "\"3\"", 0, 3 },
		{ &choice, "\"none\"", 0, 0 },
		{ &choice, "\"two_bits\"", 0, 2 },
		/* gradients */
		{ &choice, "[\"one_bit\", \"two_bits\"]", 0.9, 1 },
		{ &choice, "[\"one_bit\", \"two_bits\"]", 1, 2 },
		{ &weight, "[0, 1]", 0, 0 },
		{ &weight, "[0, 1]", 0.25, 0.25 },
		{ &weight, "[0, 1]", 1, 1 },
		{ &weight, "[5]", 0.7, 5 },
		{ &weight, "[0, 0.5, 0.3, 0.7, 1]", 0.5, 0.3 },
		{ &weight, "[0, 10, 40]", 0.75, 25 },
		{ &weight, "[\"0\", true]", 0.5, 0.5 },
		{ &flag, "[false, true, true]", 0.49, 0 },
		{ &flag, "[false, true]", 0.99, 0 },
		{ &flag, "[false, true]", 1, 1 },
		{ &whole, "[2, 6]", 0.5, 4 },
		{ &whole, "[]", 0, 7 },
		/* conditions */
		{ &weight, "{\"value\": 3}", 0, 3 },
		{ &weight, "{\"filter\": null, \"value\": 3}", 0, 3 },
		{ &weight, "{\"filter\": \"self_attn\", \"value\": [1, 3]}",
		  0.5, 2 },
		{ &weight,
		  "[{\"filter\": \"layers.1\", \"value\": 1},"
		  " {\"filter\": \"layers.12.\", \"value\": 2}]",
		  0, 1 },
		{ &weight,
		  "[{\"filter\": \"Q_PROJ\", \"value\": 1},"
		  " {\"filter\": \"*\", \"value\": 2}]",
		  0, 2 },
		{ &weight,
		  "[{\"filter\": \"q.proj\", \"value\": 1},"
		  " {\"value\": 2}]",
		  0, 2 },
		{ &whole, "[{\"filter\": \"mlp\", \"value\": 1}]", 0, 7 },
		/* the first that matches wins, though it says nothing */
		{ &whole,
		  "[{\"filter\": \"attn\", \"value\": []}, {\"value\": 2}]", 0,
		  7 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		AUTO_FREE char *text = NULL;
		struct param_levels levels = { 0 };
		struct error err = { 0 };
		double value = -1;

		assert_true(asprintf(&text, "{\"w\": %s}", cases[i].setting) >
			    0);
		levels.at[0] = parse(arena, text);
		if (param_resolve(cases[i].option, &levels, TENSOR, cases[i].t,
				  &value, &err) < 0)
			fail_msg("%s: %s", text, err.text);
		if (value != cases[i].value)
			fail_msg("%s at %g: %.17g", text, cases[i].t, value);
	}
}

/* A gradient is interpolated in double: (1 - f) a + f b, and in that order. */
static void gradients_are_exact_in_double(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	const struct param_levels levels = {
		.at = { parse(arena, "{\"w\": [0.1, 0.7, 0.2]}") }
	};

	for (unsigned j = 0; j < 32; j++) {
		double t = (double)j / 31, s = t * 2;
		size_t i = s >= 2 ? 2 : s >= 1 ? 1 : 0;
		const double g[] = { 0.1, 0.7, 0.2, 0.2 };
		double f = s - (double)i, value;

		assert_int_equal(
			param_resolve(&weight, &levels, "x", t, &value, NULL),
			0);
		assert_true(value == (1 - f) * g[i] + f * g[i + 1]);
	}
}

/* Source, slice, recipe, default: the first level that has a value wins. */
static void the_first_level_with_a_value_wins(void **state)
{
	static const struct {
		const char *levels[PARAM_LEVELS_MAX];
		double value;
	} cases[] = {
		{ { "{\"w\": 1}", "{\"w\": 2}", "{\"w\": 3}" }, 1 },
		{ { NULL, "{\"w\": 2}", "{\"w\": 3}" }, 2 },
		{ { "{\"v\": 1}", NULL, "{\"w\": 3}" }, 3 },
		{ { "{\"w\": []}", NULL, "{\"w\": 3}" }, 3 },
		{ { "{\"w\": [{\"filter\": \"mlp\", \"value\": 1}]}",
		    "{\"w\": {\"filter\": \"norm\", \"value\": 2}}",
		    "{\"w\": 3}" },
		  3 },
		{ { NULL, NULL, NULL }, NAN },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		struct param_levels levels = { 0 };
		double value = -1;

		for (size_t j = 0; j < PARAM_LEVELS_MAX; j++)
			if (cases[i].levels[j])
				levels.at[j] = parse(arena, cases[i].levels[j]);
		assert_int_equal(
			param_resolve(&unset, &levels, TENSOR, 0, &value, NULL),
			0);
		if (isnan(cases[i].value))
			assert_true(isnan(value));
		else
			assert_true(value == cases[i].value);
	}
}

static void a_wrong_value_is_refused_with_a_sentence(void **state)
{
	static const struct {
		const struct method_option *option;
		const char *setting;
		double t;
		const char *sentence;
	} cases[] = {
		{ &weight, "\"heavy\"", 0,
		  "w: \"heavy\" is not a finite number" },
		{ &weight, "\"0x10\"", 0,
		  "w: \"0x10\" is not a finite number" },
		{ &weight, "\"nan\"", 0, "w: \"nan\" is not a finite number" },
		{ &weight, "\"1e999\"", 0,
		  "w: \"1e999\" is not a finite number" },
		{ &weight, "\"\"", 0, "w: \"\" is not a finite number" },
		{ &weight, "null", 0, "w: null is not a finite number" },
		{ &flag, "2", 0, "w: 2 is not true or false" },
		{ &flag, "0.5", 0, "w: 0.5 is not true or false" },
		{ &flag, "\"maybe\"", 0, "w: \"maybe\" is not true or false" },
		{ &whole, "2.5", 0, "w: 2.5 is not a whole number" },
		{ &whole, "[1, 2]", 0.5,
		  "w: the gradient gives 1.5 here, which is not a whole "
		  "number" },
		{ &whole, "0", 0, "w: 0 must be at least 1" },
		{ &choice, "1", 0, "w: 1 is not none, one_bit or two_bits" },
		{ &choice, "true", 0,
		  "w: true is not none, one_bit or two_bits" },
		{ &choice, "\"onebit\"", 0,
		  "w: \"onebit\" is not none, one_bit or two_bits; did you "
		  "mean \"one_bit\"?" },
		{ &choice, "\"\"", 0,
		  "w: \"\" is not none, one_bit or two_bits" },
		{ &share, "1.5", 0, "w: 1.5 must be between 0 and 1" },
		{ &share, "{\"filter\": \"mlp\", \"value\": 1}", 0,
		  "w: no value for this tensor, and no default; give one "
		  "under the recipe's `parameters`" },
		{ &weight, "[]", 0,
		  "w: no value for this tensor, and no default; give one "
		  "under this model's `parameters`, or under the recipe's for "
		  "all models" },
		{ &weight, "{\"filter\": \"*\"}", 0,
		  "w: a filter without a value" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		AUTO_FREE char *text = NULL;
		struct param_levels levels = { 0 };
		struct error err = { 0 };
		double value;

		assert_true(asprintf(&text, "{\"w\": %s}", cases[i].setting) >
			    0);
		levels.at[2] = parse(arena, text);
		assert_int_equal(param_resolve(cases[i].option, &levels, TENSOR,
					       cases[i].t, &value, &err),
				 -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
	}
}

static const struct merge_method method = {
	.name = "test",
	.options = &share,
	.options_count = 1,
};

/* The form is judged whether or not a tensor would ever ask for the value. */
static void the_form_is_checked_wherever_filters_match(void **state)
{
	static const struct {
		const char *parameters;
		const char *notes;
	} cases[] = {
		{ "{\"w\": [0, 0.5, 1]}", "" },
		{ "{\"w\": [{\"filter\": \"x\", \"value\": 0}, {\"value\": "
		  "1}]}",
		  "" },
		{ "{\"w\": null}",
		  "p.w: null is no value; leave the parameter out\n" },
		{ "{\"w\": [0, null, \"a\", 2]}",
		  "p.w[1]: null is no value; leave the parameter out\n"
		  "p.w[2]: \"a\" is not a finite number\n"
		  "p.w[3]: 2 must be between 0 and 1\n" },
		{ "{\"w\": [[0]]}",
		  "p.w[0]: a list where a number, true or false is due\n" },
		{ "{\"w\": [{\"value\": 1}, 0.5]}",
		  "p.w: a list of plain values or of {filter, value}, not of "
		  "both; for the rest write `- value: ...` last\n" },
		{ "{\"w\": {\"filter\": \"x\"}}", "p.w.value: missing\n" },
		{ "{\"w\": [{\"filter\": 3, \"value\": {\"value\": 1}}]}",
		  "p.w[0].filter: must be a part of a tensor's name, not a "
		  "number\n"
		  "p.w[0].value: an object where a number, true or false is "
		  "due\n" },
		/* a parameter that the method does not know: the form alone */
		{ "{\"x\": 17, \"y\": \"text\", \"z\": [null]}",
		  "p.z[0]: null is no value; leave the parameter out\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		AUTO_REPORT struct report report = REPORT_INIT;
		char notes[1024] = "";
		size_t len = 0;

		param_check(parse(arena, cases[i].parameters), &method, "p",
			    &report);
		for (size_t j = 0; j < report.count; j++)
			len += (size_t)snprintf(notes + len,
						sizeof(notes) - len, "%s\n",
						report.notes[j].text);
		assert_string_equal(notes, cases[i].notes);
		assert_int_equal(report.code, notes[0] ? EINVAL : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_worth_what_mergekit_says),
		cmocka_unit_test(gradients_are_exact_in_double),
		cmocka_unit_test(the_first_level_with_a_value_wins),
		cmocka_unit_test(a_wrong_value_is_refused_with_a_sentence),
		cmocka_unit_test(the_form_is_checked_wherever_filters_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
