#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/model.h"

#include <cmocka.h>

static void references_are_parsed(void **state)
{
	static const struct {
		const char *json, *path, *revision, *lora, *override, *text;
	} cases[] = {
		{ "\"./a\"", "./a", NULL, NULL, NULL, "./a" },
		{ "\"org/name@v1\"", "org/name", "v1", NULL, NULL,
		  "org/name@v1" },
		{ "\"a+b\"", "a", NULL, "b", NULL, "a+b" },
		{ "\"a@1+b@2\"", "a", "1", "b@2", NULL, "a@1+b@2" },
		{ "{\"model\":\"a@1\"}", "a", "1", NULL, NULL, "a@1" },
		{ "{\"model\":\"a+b\"}", "a+b", NULL, NULL, NULL, "a+b" },
		{ "{\"model\":{\"path\":\"a@b\"}}", "a@b", NULL, NULL, NULL,
		  "a@b" },
		{ "{\"model\":{\"path\":\"a\",\"revision\":\"r\"},"
		  "\"lora\":{\"path\":\"l\",\"revision\":\"s\"},"
		  "\"override_architecture\":\"X\"}",
		  "a", "r", "l@s", "X", "a@r+l@s" },
		{ "{\"model\":\"a\",\"lora\":null,"
		  "\"override_architecture\":null}",
		  "a", NULL, NULL, NULL, "a" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		const struct model_ref want = { cases[i].path,
						cases[i].revision,
						cases[i].lora,
						cases[i].override, NULL };
		struct model_ref ref;
		struct json *value;
		struct error err = { 0 };

		assert_int_equal(json_parse(cases[i].json,
					    strlen(cases[i].json), arena,
					    &value, &err),
				 0);
		assert_int_equal(model_ref_parse(value, arena, &ref, &err), 0);
		assert_true(model_ref_equal(&ref, &want));
		assert_string_equal(ref.text, cases[i].text);
	}
}

static void bad_references_are_refused(void **state)
{
	static const struct {
		const char *json, *sentence;
	} cases[] = {
		{ "\"a+b+c\"", "\"a+b+c\": more than one '+'; a path that has "
			       "one is written {model: {path: ...}, lora: "
			       "...}" },
		{ "\"a@b@c+d\"", "\"a@b@c\": more than one '@'; a path that "
				 "has one is written {model: {path: ..., "
				 "revision: ...}}" },
		{ "\"\"", "\"\" names no model" },
		{ "\"a@\"", "\"a@\": no revision after '@'" },
		{ "\"@b\"", "\"@b\" names no model" },
		{ "\"a+\"", "\"\" names no model" },
		{ "1", "a model must be a path or an object, not a number" },
		{ "{}", "\"model\" is missing" },
		{ "{\"model\":[]}", "model: must be a path or {path, "
				    "revision}, not a list" },
		{ "{\"model\":{}}", "model: \"path\" is missing" },
		{ "{\"model\":{\"path\":1}}",
		  "model: path: must be a string, not a number" },
		{ "{\"model\":{\"path\":\"\"}}",
		  "model: path: must be a string, not an empty one" },
		{ "{\"model\":\"a\",\"lora\":1}",
		  "lora: must be a path or {path, revision}, not a number" },
		{ "{\"model\":\"a\",\"override_architecture\":[]}",
		  "override_architecture: must be a string, not a list" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		struct model_ref ref;
		struct json *value;
		struct error err = { 0 };

		assert_int_equal(json_parse(cases[i].json,
					    strlen(cases[i].json), arena,
					    &value, &err),
				 0);
		assert_int_equal(model_ref_parse(value, arena, &ref, &err),
				 -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
	}
}

static void references_are_equal_by_value(void **state)
{
	const struct model_ref a = { "a", "r", NULL, NULL, "a@r" };
	const struct model_ref same = { "a", "r", NULL, NULL, "other text" };
	const struct model_ref others[] = {
		{ "./a", "r", NULL, NULL, NULL },
		{ "a", NULL, NULL, NULL, NULL },
		{ "a", "r", "l", NULL, NULL },
		{ "a", "r", NULL, "X", NULL },
	};

	assert_true(model_ref_equal(&a, &same));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(model_ref_equal(&a, &others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_are_parsed),
		cmocka_unit_test(bad_references_are_refused),
		cmocka_unit_test(references_are_equal_by_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
