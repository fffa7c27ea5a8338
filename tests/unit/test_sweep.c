#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/text.h"
#include "core/sweep.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

/* The names of the points, a space between them, or the sentences, a line
 * each, without "s.yml: llmergefs.sweep". */
static char *outcome(const char *yaml, struct sweep *sweep)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_TEXT struct text text = TEXT_INIT;
	char *bytes;
	int rc = sweep_read(parse_yaml(yaml), "s.yml", arena, sweep, &report);

	assert_int_equal(rc, report_result(&report));
	assert_int_equal(text_open(&text), 0);
	for (size_t i = 0; rc == 0 && i < sweep->count; i++)
		fprintf(text.out, "%s%s", i ? " " : "", sweep->points[i].name);
	for (size_t i = 0; i < report.count; i++) {
		const char *note = report.notes[i].text;

		assert_memory_equal(note, "s.yml: llmergefs.sweep", 22);
		fprintf(text.out, "%s\n", note + 22);
	}
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	return bytes;
}

struct sweep_case {
	const char *yaml, *outcome;
};

static void check(const struct sweep_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct sweep sweep = { 0 };
		AUTO_FREE char *made = outcome(cases[i].yaml, &sweep);

		if (strcmp(made, cases[i].outcome) != 0)
			fail_msg("%s\ngives\n%s\nnot\n%s", cases[i].yaml, made,
				 cases[i].outcome);
	}
}

static void every_combination_is_a_point(void **state)
{
	static const struct sweep_case cases[] = {
		{ "parameters.lambda: [0.2, 0.4, 0.6]",
		  "lambda=0.2 lambda=0.4 lambda=0.6" },
		{ "{parameters.lambda: [0.2, 0.4], "
		  "'models[1].parameters.density': [0.3, 0.5]}",
		  "lambda=0.2,density=0.3 lambda=0.2,density=0.5 "
		  "lambda=0.4,density=0.3 lambda=0.4,density=0.5" },
		{ "{a: [1, 2], b: [3], c: [x, y]}",
		  "a=1,b=3,c=x a=1,b=3,c=y a=2,b=3,c=x a=2,b=3,c=y" },
	};

	check(cases, ARRAY_LEN(cases));
}

static void a_list_is_taken_point_by_point(void **state)
{
	static const struct sweep_case cases[] = {
		{ "[{'models[0].parameters.weight': 0.2, "
		  "'models[1].parameters.weight': 0.8}, "
		  "{'models[0].parameters.weight': 0.4, "
		  "'models[1].parameters.weight': 0.6}]",
		  "models.0.weight=0.2,models.1.weight=0.8 "
		  "models.0.weight=0.4,models.1.weight=0.6" },
		/* points may differ in their keys; names are those of all */
		{ "[{'models[0].parameters.weight': 1}, "
		  "{'models[1].parameters.weight': 1}, "
		  "{parameters.lambda: 1}]",
		  "models.0.weight=1 models.1.weight=1 lambda=1" },
		{ "[{parameters.t: 0.5}, {'parameters.t[0]': 0.5}]",
		  "t=0.5 t.0=0.5" },
	};

	check(cases, ARRAY_LEN(cases));
}

static void the_values_of_a_point_go_with_its_name(void **state)
{
	struct sweep sweep;
	AUTO_FREE char *names = outcome("{a.x: [1, 2], b: [3, 4]}", &sweep);

	assert_string_equal(names, "x=1,b=3 x=1,b=4 x=2,b=3 x=2,b=4");
	assert_int_equal(sweep.keys_count, 2);
	assert_string_equal(sweep.keys[0], "a.x");
	for (size_t i = 0; i < sweep.count; i++) {
		const struct sweep_point *point = &sweep.points[i];
		char name[32];

		assert_int_equal(point->count, 2);
		assert_string_equal(point->settings[0].path, "a.x");
		assert_string_equal(point->settings[1].path, "b");
		snprintf(name, sizeof(name), "x=%.0f,b=%.0f",
			 point->settings[0].value->number,
			 point->settings[1].value->number);
		assert_string_equal(point->name, name);
	}
}

/* Keys by their shortest end: from the front where ends are shared. */
static void keys_have_short_names(void **state)
{
	static const struct sweep_case cases[] = {
		{ "parameters.lambda: [1]", "lambda=1" },
		{ "merge_method: [ties]", "merge_method=ties" },
		{ "llmergefs.seed: [1]", "seed=1" },
		{ "'models[2]': [x]", "models.2=x" },
		{ "'parameters.t[1]': [1]", "t.1=1" },
		{ "'parameters.t[0].value': [1]", "value=1" },
		{ "{'parameters.t[0]': [1], 'parameters.t[1]': [1]}",
		  "t.0=1,t.1=1" },
		{ "{'parameters.t[0].value': [1], 'parameters.t[1].value': "
		  "[1]}",
		  "parameters.t.0.value=1,parameters.t.1.value=1" },
		{ "{'models[0].parameters.weight': [1], parameters.weight: "
		  "[1]}",
		  "models.weight=1,parameters.weight=1" },
		{ "{'models[0].parameters.weight': [1], "
		  "'models[1].parameters.weight': [1], parameters.weight: [1]}",
		  "models.0.weight=1,models.1.weight=1,parameters.weight=1" },
		{ "{'models[0].parameters.weight': [1], "
		  "'models[0].parameters.density': [1]}",
		  "weight=1,density=1" },
		{ "{'slices[0].sources[0].parameters.weight': [1], "
		  "'slices[0].sources[1].parameters.weight': [1]}",
		  "slices.0.sources.0.weight=1,slices.0.sources.1.weight=1" },
		{ "{'slices[0].sources[0].parameters.weight': [1], "
		  "'slices[1].sources[0].parameters.weight': [1]}",
		  "slices.0.weight=1,slices.1.weight=1" },
		{ "{'slices[0].sources[0].parameters.weight': [1], "
		  "'slices[0].parameters.weight': [1]}",
		  "slices.0.sources.weight=1,slices.0.parameters.weight=1" },
		{ "{'models[0].weight': [1], 'models[1].weight': [1]}",
		  "models.0.weight=1,models.1.weight=1" },
		{ "{base_model: [a], 'slices[0].base_model': [b]}",
		  "base_model=a,slices.base_model=b" },
		/* what has the same end, and nothing behind its front */
		{ "{x.weight: [1], weight: [1]}", "x.weight=1,weight=1" },
		{ "[{v.v: 1}, {v.v.v: 1}, {v: 1}]", "v.v=1 v.v.v=1 v=1" },
		{ "{a/b: [1]}", "a_b=1" },
	};

	check(cases, ARRAY_LEN(cases));
}

static void values_are_named_as_they_are_written(void **state)
{
	static const struct sweep_case cases[] = {
		{ "a: [0.20, 1., .5, 1_000, 0x10, +3, 1.0e-05, 2]",
		  "a=0.20 a=1. a=.5 a=1_000 a=0x10 a=+3 a=1.0e-05 a=2" },
		{ "a: [true, no, ~, text, '']",
		  "a=true a=false a=null a=text a=" },
		{ "a: [1e-3, '0.5', 'x y', é]", "a=1e-3 a=0.5 a=x y a=é" },
		{ "a: [[0.20, 0.5], [], {filter: mlp, value: 1.0}]",
		  "a=[0.2,0.5] a=[] a={\"filter\":\"mlp\",\"value\":1}" },
		{ "models: [[{model: ./a}]]", "models=[{\"model\":\"._a\"}]" },
		{ "base_model: [org/one, ./two/three@v]",
		  "base_model=org_one base_model=._two_three@v" },
	};

	check(cases, ARRAY_LEN(cases));
}

/* JSON, too, keeps how a number is written. */
static void numbers_of_json_are_named_as_they_are_written(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct sweep sweep;
	static const char *const names[] = {
		"a=0.20", "a=1e-3", "a=1E2",
		"a=-0",	  "a=5",    "a=123456789012345678901"
	};

	assert_int_equal(sweep_read(parse_json("{\"a\":[0.20,1e-3,1E2,-0,5,"
					       "123456789012345678901]}"),
				    "s.json", arena, &sweep, &report),
			 0);
	assert_int_equal(sweep.count, ARRAY_LEN(names));
	for (size_t i = 0; i < sweep.count; i++)
		assert_string_equal(sweep.points[i].name, names[i]);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct sweep_case cases[] = {
		{ "7", ": must be an object with a list of values for each "
		       "key, or a list of points, not a number\n" },
		{ "{}", ": must be an object with a list of values for each "
			"key, or a list of points, not an empty one\n" },
		{ "[]", ": must be an object with a list of values for each "
			"key, or a list of points, not an empty one\n" },
		{ "{parameters.lambda: 0.2, b: [], c: {x: [1]}}",
		  ": parameters.lambda: must be a list of values, as in [0.2, "
		  "0.4], not a number\n"
		  ": b: must be a list of values, as in [0.2, 0.4], not an "
		  "empty one\n"
		  ": c: must be a list of values, as in [0.2, 0.4], not an "
		  "object\n" },
		{ "{a..b: [1], models.0.weight: [1]}",
		  ": \"a..b\" is no path such as models[1].parameters.weight: "
		  "a name is missing in it\n"
		  ": \"models.0.weight\" is no path such as "
		  "models[1].parameters.weight: an item of a list stands in "
		  "brackets, as in models[0]\n" },
		{ "[{a: 1}, 7, {}, {'': 1}]",
		  "[1]: must be an object with the values of a point, as in "
		  "{parameters.lambda: 0.4}, not a number\n"
		  "[2]: must be an object with the values of a point, as in "
		  "{parameters.lambda: 0.4}, not an empty one\n"
		  "[3]: \"\" is no path such as models[1].parameters.weight: a "
		  "name is missing in it\n" },
		{ "a: [1, 1, 1]", ": two points are called a=1; give each its "
				  "own values ('/' counts as '_')\n" },
		{ "base_model: [a/b, a_b]",
		  ": two points are called base_model=a_b; give each its own "
		  "values ('/' counts as '_')\n" },
		{ "[{a: 1}, {b: 1}, {a: 1}]",
		  ": two points are called a=1; give each its own values ('/' "
		  "counts as '_')\n" },
		{ "{parameters.t: [[0, 1]], 'parameters.t[1]': [1]}",
		  ": parameters.t[1]: it lies in parameters.t, which is set as "
		  "well; leave one of them out\n" },
		{ "[{b.c: 1, b: 1}]",
		  "[0]: b.c: it lies in b, which is set as well; leave one of "
		  "them out\n" },
		{ "{llmergefs.sweep: [1], llmergefs.sweep.x: [1]}",
		  ": llmergefs.sweep: a sweep cannot set itself\n"
		  ": llmergefs.sweep.x: a sweep cannot set itself\n" },
		{ "a: [\"x\\ny\"]",
		  ": the point would be called \"a=x?y\", and has a control "
		  "character in its name\n" },
		{ "{a: [\"\\u0085\"]}",
		  ": the point would be called \"a=??\", and has a control "
		  "character in its name\n" },
	};

	check(cases, ARRAY_LEN(cases));
}

static void a_name_fits_a_folder(void **state)
{
	char yaml[400], long_name[300];

	for (int len = 253; len <= 254; len++) {
		struct sweep sweep;
		AUTO_FREE char *made = NULL;

		memset(long_name, 'x', sizeof(long_name));
		long_name[len] = '\0';
		snprintf(yaml, sizeof(yaml), "a: [%s]", long_name);
		made = outcome(yaml, &sweep);
		if (len == 253)
			assert_int_equal(strlen(made), 255);
		else
			assert_non_null(strstr(made,
					       "xxx...\", has 256 bytes, and "
					       "that of a folder at most 255; "
					       "sweep fewer keys or shorter "
					       "values at once"));
	}
}

/* "a: [0, ..., count - 1]". */
static void write_values(FILE *out, const char *key, size_t count)
{
	fprintf(out, "%s: [", key);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%zu", i ? ", " : "", i);
	fputs("]\n", out);
}

static void points_and_keys_have_their_limits(void **state)
{
	static const struct {
		size_t a, b, keys; /* values of two keys, and more keys */
		size_t count;	   /* 0: refused */
		const char *sentence;
	} cases[] = {
		{ 64, 64, 0, 4096, "" },
		{ 1, 4096, 30, 4096, "" },
		{ 17, 241, 0, 0,
		  ": more than 4096 points; sweep fewer values, or list the "
		  "points that are wanted\n" },
		{ 70000, 70000, 0, 0,
		  ": more than 4096 points; sweep fewer values, or list the "
		  "points that are wanted\n" },
		{ 1, 1, 31, 0, ": 33 keys; at most 32\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_TEXT struct text text = TEXT_INIT;
		AUTO_FREE char *yaml = NULL, *made = NULL;
		struct sweep sweep = { 0 };

		assert_int_equal(text_open(&text), 0);
		write_values(text.out, "a", cases[i].a);
		write_values(text.out, "b", cases[i].b);
		for (size_t j = 0; j < cases[i].keys; j++)
			fprintf(text.out, "c%zu: [1]\n", j);
		assert_int_equal(text_take(&text, &yaml, NULL), 0);
		made = outcome(yaml, &sweep);
		assert_int_equal(sweep.count, cases[i].count);
		if (cases[i].count == 0)
			assert_string_equal(made, cases[i].sentence);
	}
}

/* The keys of all points together, and the points of a list. */
static void lists_have_their_limits(void **state)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *keys = NULL, *points = NULL, *made = NULL;
	struct sweep sweep = { 0 };

	assert_int_equal(text_open(&text), 0);
	for (int i = 0; i < 33; i++)
		fprintf(text.out, "- {k%d: 1}\n", i);
	assert_int_equal(text_take(&text, &keys, NULL), 0);
	made = outcome(keys, &sweep);
	assert_string_equal(made, "[32]: k32: a sweep has at most 32 keys\n");
	free(made);

	text = (struct text)TEXT_INIT;
	assert_int_equal(text_open(&text), 0);
	for (int i = 0; i < 4097; i++)
		fprintf(text.out, "- {k: %d}\n", i);
	assert_int_equal(text_take(&text, &points, NULL), 0);
	made = outcome(points, &sweep);
	assert_string_equal(made, ": 4097 points; at most 4096\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_is_a_point),
		cmocka_unit_test(a_list_is_taken_point_by_point),
		cmocka_unit_test(the_values_of_a_point_go_with_its_name),
		cmocka_unit_test(keys_have_short_names),
		cmocka_unit_test(values_are_named_as_they_are_written),
		cmocka_unit_test(numbers_of_json_are_named_as_they_are_written),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(a_name_fits_a_folder),
		cmocka_unit_test(points_and_keys_have_their_limits),
		cmocka_unit_test(lists_have_their_limits),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
