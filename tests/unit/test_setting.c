#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/setting.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

#define TREE                                                             \
	"{\"merge_method\": \"ties\", \"models\": ["                     \
	"{\"model\": \"a\", \"parameters\": {\"weight\": 1}}, "          \
	"{\"model\": \"b\", \"parameters\": null}], "                    \
	"\"parameters\": {\"t\": [0, 1], \"lambda\": 1}, \"none\": [], " \
	"\"one\": [7]}"

/* The tree with these settings ("path=value"), as canonical text; NULL: err. */
static char *applied(const char *const *texts, size_t count, struct error *err)
{
	const struct json *tree = parse_json(TREE);
	AUTO_FREE char *before = json_canonical(tree);
	AUTO_FREE char *after = NULL;
	struct setting settings[8];
	const struct json *made;
	int rc;

	for (size_t i = 0; i < count; i++)
		assert_int_equal(
			setting_parse(texts[i], arena, &settings[i], err), 0);
	rc = settings_apply(tree, settings, count, arena, &made, err);
	after = json_canonical(tree);
	assert_string_equal(before, after);
	if (rc == 0)
		return json_canonical(made);
	assert_int_equal(rc, -EINVAL);
	return NULL;
}

static void a_setting_is_put_where_its_path_leads(void **state)
{
	static const struct {
		const char *texts[3];
		const char *member; /* at the top, that is changed */
		const char *value;
	} cases[] = {
		{ { "merge_method=linear" }, "merge_method", "\"linear\"" },
		{ { "parameters.lambda=0.5" },
		  "parameters",
		  "{\"lambda\":0.5,\"t\":[0,1]}" },
		{ { "parameters.density=[0.5,{\"a\":null}]" },
		  "parameters",
		  "{\"density\":[0.5,{\"a\":null}],\"lambda\":1,\"t\":[0,1]}" },
		{ { "parameters.t[1]=0.25" },
		  "parameters",
		  "{\"lambda\":1,\"t\":[0,0.25]}" },
		{ { "models[0].parameters.weight=2" },
		  "models",
		  "[{\"model\":\"a\",\"parameters\":{\"weight\":2}},"
		  "{\"model\":\"b\",\"parameters\":null}]" },
		/* null counts as not given */
		{ { "models[1].parameters.weight=2" },
		  "models",
		  "[{\"model\":\"a\",\"parameters\":{\"weight\":1}},"
		  "{\"model\":\"b\",\"parameters\":{\"weight\":2}}]" },
		{ { "llmergefs.seed=7" }, "llmergefs", "{\"seed\":7}" },
		{ { "a.b.c=x" }, "a", "{\"b\":{\"c\":\"x\"}}" },
		/* the last of equal paths wins, and one goes into another */
		{ { "parameters.lambda=1", "parameters.lambda=2",
		    "parameters.t=3" },
		  "parameters",
		  "{\"lambda\":2,\"t\":3}" },
		{ { "parameters={}", "parameters.lambda=2" },
		  "parameters",
		  "{\"lambda\":2}" },
		{ { "one[0]=[1]", "one[0][0]=2" }, "one", "[[2]]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = { 0 };
		size_t count = 0;
		AUTO_FREE char *made = NULL, *value = NULL;

		while (count < 3 && cases[i].texts[count])
			count++;
		made = applied(cases[i].texts, count, &err);
		if (!made)
			fail_msg("%s: %s", cases[i].texts[0], err.text);
		value = json_canonical(
			json_member(parse_json(made), cases[i].member));
		assert_string_equal(value, cases[i].value);
	}
}

static void what_is_not_touched_is_shared(void **state)
{
	const struct json *tree = parse_json(TREE), *made;
	struct setting setting;

	assert_int_equal(setting_parse("models[1].parameters.weight=2", arena,
				       &setting, NULL),
			 0);
	assert_int_equal(settings_apply(tree, &setting, 1, arena, &made, NULL),
			 0);
	assert_ptr_equal(json_member(made, "parameters"),
			 json_member(tree, "parameters"));
	assert_ptr_equal(json_member(made, "models")->items[0],
			 json_member(tree, "models")->items[0]);
	assert_ptr_not_equal(json_member(made, "models"),
			     json_member(tree, "models"));
	/* members keep their order */
	assert_string_equal(made->names[0], "merge_method");
	assert_string_equal(made->names[1], "models");
}

static void a_path_that_leads_nowhere_is_an_error(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{ "models[2].parameters.weight=1",
		  "models[2]: there are 2, counted from 0" },
		{ "one[1]=1", "one[1]: there is 1, counted from 0" },
		{ "none[0]=1", "none[0]: there are 0, counted from 0" },
		{ "slices[0].sources=1", "slices[0]: there is no slices" },
		{ "a.b[0]=1", "a.b[0]: there is no a.b" },
		{ "merge_method.x=1",
		  "merge_method.x: merge_method is a string, not an object" },
		{ "merge_method[0]=1",
		  "merge_method[0]: merge_method is a string, not a list" },
		{ "parameters[0]=1",
		  "parameters[0]: parameters is an object, not a list" },
		{ "models.weight=1",
		  "models.weight: models is a list; an item of it is named as "
		  "in models[0]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = { 0 };
		AUTO_FREE char *made = applied(&cases[i].text, 1, &err);

		assert_null(made);
		assert_int_equal(err.code, EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
	}
}

/* No text of 64 levels put deep into a tree makes one of more. */
static void the_depth_of_a_tree_has_its_limit(void **state)
{
	char text[256] = "a.b=";
	size_t len = strlen(text);
	const struct json *made;
	struct setting setting;
	struct error err = { 0 };

	memset(text + len, '[', 62);
	memset(text + len + 62, ']', 62);
	assert_int_equal(setting_parse(text, arena, &setting, &err), 0);
	assert_int_equal(json_height(setting.value), 62);
	assert_int_equal(settings_apply(parse_json("{}"), &setting, 1, arena,
					&made, &err),
			 0);
	assert_int_equal(json_height(made), JSON_DEPTH_MAX);
	setting.path = "a.b.c";
	assert_int_equal(settings_apply(parse_json("{}"), &setting, 1, arena,
					&made, &err),
			 -EINVAL);
	assert_string_equal(err.text, "a.b.c: lists and objects are nested "
				      "deeper than 64 levels");
}

static void a_path_has_its_grammar(void **state)
{
	static const struct {
		const char *path;
		const char *sentence; /* "...": after what all have; NULL: ok */
	} cases[] = {
		{ "a", NULL },
		{ "parameters.lambda", NULL },
		{ "slices[0].sources[12].parameters.weight", NULL },
		{ "attenuate-env.x y", NULL },
		{ "a[0][1]", NULL },
		{ "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p", NULL },
		{ "", "a name is missing in it" },
		{ ".a", "a name is missing in it" },
		{ "a.", "a name is missing in it" },
		{ "a..b", "a name is missing in it" },
		{ "[0]", "a name is missing in it" },
		{ "a.[0]", "a name is missing in it" },
		{ "a]", "a '.' parts its members" },
		{ "a[0]b", "a '.' parts its members" },
		{ "a[", "an item of a list is a number in brackets, from [0] "
			"on" },
		{ "a[]", "an item of a list is a number in brackets, from [0] "
			 "on" },
		{ "a[-1]", "an item of a list is a number in brackets, from "
			   "[0] on" },
		{ "a[01]", "an item of a list is a number in brackets, from "
			   "[0] on" },
		{ "a[1234567890]", "an item of a list is a number in brackets, "
				   "from [0] on" },
		{ "models.0.weight", "an item of a list stands in brackets, as "
				     "in models[0]" },
		{ "a\nb", "it has a control character, or is not UTF-8" },
		{ "a\xFF", "it has a control character, or is not UTF-8" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = { 0 };
		int rc = setting_check_path(cases[i].path, &err);
		const char *end;

		assert_int_equal(rc, cases[i].sentence ? -EINVAL : 0);
		if (rc == 0)
			continue;
		end = strstr(err.text, "is no path such as "
				       "models[1].parameters.weight: ");
		assert_non_null(end);
		assert_string_equal(strchr(end, ':') + 2, cases[i].sentence);
	}
	assert_int_equal(
		setting_check_path("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", NULL),
		-EINVAL);
}

static void a_value_is_json_or_else_text(void **state)
{
	static const struct {
		const char *text, *path, *value;
	} cases[] = {
		{ "a=1", "a", "1" },
		{ "a=0.50", "a", "0.5" },
		{ "a=true", "a", "true" },
		{ "a=null", "a", "null" },
		{ "a=\"1\"", "a", "\"1\"" },
		{ "a=[1, {\"b\": 2}]", "a", "[1,{\"b\":2}]" },
		{ "a=", "a", "\"\"" },
		{ "a=b=c", "a", "\"b=c\"" },
		{ "a=./models/x@main", "a", "\"./models/x@main\"" },
		{ "a=.5", "a", "\".5\"" },
		{ "a=1 2", "a", "\"1 2\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct setting setting;
		AUTO_FREE char *value = NULL;

		assert_int_equal(
			setting_parse(cases[i].text, arena, &setting, NULL), 0);
		assert_string_equal(setting.path, cases[i].path);
		value = json_canonical(setting.value);
		assert_string_equal(value, cases[i].value);
	}
}

static void what_is_no_setting_is_an_error(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{ "lambda", "\"lambda\": give a path, '=' and a value, as in "
			    "parameters.lambda=0.5" },
		{ "=1", "\"\" is no path such as models[1].parameters.weight: "
			"a name is missing in it" },
		{ "a=\xFF", "\"a=?\" is not UTF-8" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct setting setting;
		struct error err = { 0 };

		assert_int_equal(
			setting_parse(cases[i].text, arena, &setting, &err),
			-EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
	}
}

static void a_path_can_be_removed(void **state)
{
	static const char tree[] =
		"{\"a\":{\"b\":1,\"c\":2},\"d\":[1,2,3],\"e\":null}";
	static const struct {
		const char *path, *out;
	} cases[] = {
		{ "a.b", "{\"a\":{\"c\":2},\"d\":[1,2,3],\"e\":null}" },
		{ "a", "{\"d\":[1,2,3],\"e\":null}" },
		{ "d[1]", "{\"a\":{\"b\":1,\"c\":2},\"d\":[1,3],\"e\":null}" },
		{ "e", "{\"a\":{\"b\":1,\"c\":2},\"d\":[1,2,3]}" },
		{ "x", tree },
		{ "e.x", tree },
		{ "a.b.c", tree },
		{ "d[3]", tree },
		{ "d.x", tree },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *old = parse_json(tree), *made;
		AUTO_FREE char *text = NULL, *before = NULL;

		assert_int_equal(
			setting_remove(old, cases[i].path, arena, &made, NULL),
			0);
		text = json_canonical(made);
		assert_string_equal(text, cases[i].out);
		before = json_canonical(old);
		assert_string_equal(before, tree);
	}
	assert_int_equal(
		setting_remove(parse_json("{}"), "a..b", arena, NULL, NULL),
		-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_setting_is_put_where_its_path_leads),
		cmocka_unit_test(what_is_not_touched_is_shared),
		cmocka_unit_test(a_path_that_leads_nowhere_is_an_error),
		cmocka_unit_test(the_depth_of_a_tree_has_its_limit),
		cmocka_unit_test(a_path_has_its_grammar),
		cmocka_unit_test(a_value_is_json_or_else_text),
		cmocka_unit_test(what_is_no_setting_is_an_error),
		cmocka_unit_test(a_path_can_be_removed),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
