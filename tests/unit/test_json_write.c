#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/text.h"
#include "core/json.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

static char *number_text(double number)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	char *bytes;

	assert_int_equal(text_open(&text), 0);
	json_write_number(text.out, number);
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	return bytes;
}

static const struct {
	double number;
	const char *text;
} numbers[] = {
	{ 0, "0" },
	{ -0.0, "-0" },
	{ 0.1, "0.1" },
	{ 1.0 / 3, "0.3333333333333333" },
	{ 0.1 + 0.2, "0.30000000000000004" },
	{ 1e-5, "1e-05" },
	{ 1e6, "1000000" },
	{ -9007199254740991.0, "-9007199254740991" },
	{ 1e22, "1e+22" },
	{ 1.7976931348623157e308, "1.7976931348623157e+308" },
	{ 4.9406564584124654e-324, "5e-324" },
	{ 2.2250738585072014e-308, "2.2250738585072014e-308" },
	{ INFINITY, "null" },
	{ -INFINITY, "null" },
	{ NAN, "null" },
};

static void numbers_are_short_and_read_back(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		AUTO_FREE char *text = number_text(numbers[i].number);

		assert_string_equal(text, numbers[i].text);
		if (isfinite(numbers[i].number))
			assert_true(strtod(text, NULL) == numbers[i].number);
	}
}

static void any_bytes_are_written_as_a_valid_string(void **state)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;

	assert_int_equal(text_open(&text), 0);
	json_write_string(text.out, "a\"\\\n\x01\xFF\xE2\x82z\xC3\xA9");
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	assert_string_equal(bytes, "\"a\\\"\\\\\\n\\u0001\xEF\xBF\xBD"
				   "\xEF\xBF\xBD\xEF\xBF\xBDz\xC3\xA9\"");
	parse_json(bytes);
}

static char *written(const char *json, unsigned indent)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	char *bytes;

	assert_int_equal(text_open(&text), 0);
	json_write(text.out, parse_json(json), indent);
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	return bytes;
}

static void trees_are_written_in_their_order(void **state)
{
	static const char json[] = "{\"b\":[1,{\"x\":null}],\"a\":{},\"c\":[]}";
	AUTO_FREE char *line = written(json, 0), *lines = written(json, 2);

	assert_string_equal(line, "{\"b\": [1, {\"x\": null}], \"a\": {}, "
				  "\"c\": []}");
	assert_string_equal(lines, "{\n"
				   "  \"b\": [\n"
				   "    1,\n"
				   "    {\n"
				   "      \"x\": null\n"
				   "    }\n"
				   "  ],\n"
				   "  \"a\": {},\n"
				   "  \"c\": []\n"
				   "}");
}

/* A tree of JSON is written so that YAML 1.1 makes the same of it. */
static void written_numbers_are_numbers_to_yaml(void **state)
{
	AUTO_FREE char *text = written("[1e-05, 1e22, -0, -0.0, 5e-324, 0.1, "
				       "1.5e-7, 1e5, -1e-9]",
				       0);
	AUTO_FREE char *json = json_canonical(parse_json(text));
	AUTO_FREE char *yaml = json_canonical(parse_yaml(text));

	assert_string_equal(text, "[1.0e-05, 1.0e+22, -0.0, -0.0, 5.0e-324, "
				  "0.1, 1.5e-07, 100000, -1.0e-09]");
	assert_string_equal(json, "[1e-05,1e+22,-0,-0,5e-324,0.1,1.5e-07,"
				  "100000,-1e-09]");
	assert_string_equal(yaml, json);
}

#define PRETTY "{\n  \"a\": 1e-05,\n  \"b\" : [ 1.50 ],\n  \"c\": 0\n}\n"

static const struct {
	const char *text;
	struct json_edit edits[3];
	const char *out;
} edits[] = {
	{ PRETTY, { { 0 } }, PRETTY },
	{ PRETTY,
	  { { "b", "2" } },
	  "{\n  \"a\": 1e-05,\n  \"b\" : 2,\n  \"c\": 0\n}\n" },
	{ PRETTY,
	  { { "d", "\"x\"" }, { "e", "{}" } },
	  "{\n  \"a\": 1e-05,\n  \"b\" : [ 1.50 ],\n  \"c\": 0,\n"
	  "  \"d\": \"x\",\n  \"e\": {}\n}\n" },
	{ PRETTY,
	  { { "a", NULL } },
	  "{\n  \"b\" : [ 1.50 ],\n  \"c\": 0\n}\n" },
	{ PRETTY,
	  { { "c", NULL } },
	  "{\n  \"a\": 1e-05,\n  \"b\" : [ 1.50 ]\n}\n" },
	{ PRETTY,
	  { { "b", NULL }, { "d", "1" }, { "a", "7" } },
	  "{\n  \"a\": 7,\n  \"c\": 0,\n  \"d\": 1\n}\n" },
	{ PRETTY, { { "a", NULL }, { "b", NULL }, { "c", NULL } }, "{\n}\n" },
	{ PRETTY, { { "absent", NULL } }, PRETTY },
	{ "{}", { { "a", "1" }, { "b", "2" } }, "{\"a\": 1, \"b\": 2}" },
	{ "{\"a\":1}", { { "b", "2" } }, "{\"a\":1,\"b\":2}" },
	{ "{\"a\": 1}", { { "b", "2" } }, "{\"a\": 1, \"b\": 2}" },
	{ "{\"a\": 1, \"b\": 2}",
	  { { "a", NULL }, { "c", "3" } },
	  "{\"b\": 2, \"c\": 3}" },
	{ " { \"a\" : 1 , \"b\" : 2 } ",
	  { { "a", "9" } },
	  " { \"a\" : 9 , \"b\" : 2 } " },
	{ " { \"a\" : 1 , \"b\" : 2 } ", { { "b", NULL } }, " { \"a\" : 1 } " },
	{ "{\"\\u0061\":[{\"a\":1}],\"b\":\"]},\"}",
	  { { "a", "2" } },
	  "{\"\\u0061\":2,\"b\":\"]},\"}" },
	{ "{\"x\":{\"a\":1},\"a\":2}",
	  { { "a", "3" } },
	  "{\"x\":{\"a\":1},\"a\":3}" },
	{ "{\"a\":1}", { { "q\"\n", "2" } }, "{\"a\":1,\"q\\\"\\n\":2}" },
};

static void edits_leave_all_else_as_it_is(void **state)
{
	size_t count, len;

	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		AUTO_FREE char *out = NULL;

		for (count = 0; count < 3 && edits[i].edits[count].name;)
			count++;
		assert_int_equal(json_edit(edits[i].text, strlen(edits[i].text),
					   edits[i].edits, count, &out, &len,
					   NULL),
				 0);
		assert_string_equal(out, edits[i].out);
		assert_int_equal(len, strlen(out));
		parse_json(out);
	}
}

static void edits_need_an_object_and_values(void **state)
{
	static const struct json_edit one = { "a", "1" }, wrong = { "a", "x" };
	struct error err;
	char *out = NULL;
	size_t len;

	assert_int_equal(json_edit("[1]", 3, &one, 1, &out, &len, &err),
			 -EINVAL);
	assert_string_equal(err.text, "the text is a list, not an object");
	assert_int_equal(json_edit("{", 1, &one, 1, &out, &len, &err), -EINVAL);
	assert_int_equal(json_edit("{}", 2, &wrong, 1, &out, &len, &err),
			 -EINVAL);
	assert_string_equal(
		err.text,
		"the new value of \"a\": line 1, column 1: expected a value: a "
		"string in double quotes, a number, true, "
		"false, null, a list or an object");
	assert_null(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_short_and_read_back),
		cmocka_unit_test(any_bytes_are_written_as_a_valid_string),
		cmocka_unit_test(trees_are_written_in_their_order),
		cmocka_unit_test(written_numbers_are_numbers_to_yaml),
		cmocka_unit_test(edits_leave_all_else_as_it_is),
		cmocka_unit_test(edits_need_an_object_and_values),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
