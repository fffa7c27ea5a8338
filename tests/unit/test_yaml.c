#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/yaml.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

static void assert_reads(const char *text, const char *canonical)
{
	AUTO_FREE char *made = json_canonical(parse_yaml(text));

	if (strcmp(made, canonical) != 0)
		fail_msg("%s: %s, not %s", text, made, canonical);
}

/* A document as PyYAML 6.0.3 reads it. */
static const char *const documents[][2] = {
	{ "", "null" },
	{ "# nothing\n", "null" },
	{ "---\n", "null" },
	{ "--- a\n...\n", "\"a\"" },
	{ "\xEF\xBB\xBF"
	  "a: 1\n",
	  "{\"a\":1}" },
	{ "%YAML 1.1\n---\na: 1\n", "{\"a\":1}" },
	{ "%TAG !y! tag:yaml.org,2002:\n---\na: !y!int '3'\n", "{\"a\":3}" },
	{ "a: 1\r\nb: 2\r\n", "{\"a\":1,\"b\":2}" },
	{ "a:\n- b\n- c: 1\n  d: [1, {e: 2}]\n",
	  "{\"a\":[\"b\",{\"c\":1,\"d\":[1,{\"e\":2}]}]}" },
	{ "{\"a\": [1, 2.5, true, null]}", "{\"a\":[1,2.5,true,null]}" },
	{ "{a, b: 1, ? c}", "{\"a\":null,\"b\":1,\"c\":null}" },
	{ "[a: 1, b]", "[{\"a\":1},\"b\"]" },
	{ "a: |\n  x\n  y\nb: >\n  x\n  y\n\n  z\nc: |-\n  x\n",
	  "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\nz\\n\",\"c\":\"x\"}" },
	{ "a: 'it''s'\nb: \"\\u00e9\\n\\x41\"\n",
	  "{\"a\":\"it's\",\"b\":\"\xC3\xA9\\nA\"}" },
	{ "k: v # c\nl: v#c\n", "{\"k\":\"v\",\"l\":\"v#c\"}" },
	{ "a: x\n  y\n", "{\"a\":\"x y\"}" },
	/* keys are what stands there */
	{ "1: a\n1.0: b\n~: c\ntrue: d\n",
	  "{\"1\":\"a\",\"1.0\":\"b\",\"true\":\"d\",\"~\":\"c\"}" },
	{ "? \n: x\n", "{\"\":\"x\"}" },
	/* tags */
	{ "[!!str 1, !!int '2', !!float 3, !!float 1e-3, !!bool 'yEs']",
	  "[\"1\",2,3,0.001,true]" },
	{ "[!!null x, !!str , !!map {b: !!seq [1]}, ! [2], ! '3']",
	  "[null,\"\",{\"b\":[1]},[2],3]" },
	/* anchors and aliases */
	{ "- &a 1\n- *a\n- &b [x, *a]\n- *b\n- &n\n- *n\n",
	  "[1,1,[\"x\",1],[\"x\",1],null,null]" },
	{ "&k key: 1\nother: *k\n", "{\"key\":1,\"other\":\"key\"}" },
	{ "- &k 7\n- {*k : 1}\n", "[7,{\"7\":1}]" },
	/* merge keys */
	{ "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n  r: 4\n",
	  "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"p\":1,\"q\":3,\"r\":4}}" },
	{ "a: &x {p: 1}\nb: {q: 3, p: 9, <<: *x}\n",
	  "{\"a\":{\"p\":1},\"b\":{\"p\":9,\"q\":3}}" },
	{ "- &x {p: 1, a: 1}\n- &y {p: 2, s: 3}\n- {<<: [*x, *y], t: 1}\n",
	  "[{\"a\":1,\"p\":1},{\"p\":2,\"s\":3},"
	  "{\"a\":1,\"p\":1,\"s\":3,\"t\":1}]" },
	{ "- &x {p: 1}\n- &y {p: 2}\n- {<<: *x, <<: *y}\n",
	  "[{\"p\":1},{\"p\":2},{\"p\":2}]" },
	{ "- &x {<<: {a: 1}, b: 2}\n- {<<: *x, a: 5}\n",
	  "[{\"a\":1,\"b\":2},{\"a\":5,\"b\":2}]" },
	{ "{<<: {a: 1, b: {<<: {a: 2}}}}", "{\"a\":1,\"b\":{\"a\":2}}" },
	{ "{!!merge <<: {a: 1}}", "{\"a\":1}" },
	{ "{'<<': {a: 1}}", "{\"<<\":{\"a\":1}}" },
	{ "{!!str <<: {a: 1}}", "{\"<<\":{\"a\":1}}" },
	{ "{<<: []}", "{}" },
};

static void documents_are_read_as_by_pyyaml(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(documents); i++)
		assert_reads(documents[i][0], documents[i][1]);
}

/* What is merged comes first, and a name keeps its first place. */
static void members_keep_the_order_of_pyyaml(void **state)
{
	const struct json *tree =
		parse_yaml("- &x {d: 1, b: 2}\n"
			   "- &y {e: 3, d: 4}\n"
			   "- {c: 5, b: 6, <<: [*x, *y], a: 7}\n");
	static const char *const names[] = { "e", "d", "b", "c", "a" };
	static const double values[] = { 3, 1, 6, 5, 7 };
	const struct json *object = tree->items[2];

	assert_int_equal(object->count, ARRAY_LEN(names));
	for (size_t i = 0; i < object->count; i++) {
		assert_string_equal(object->names[i], names[i]);
		assert_true(object->items[i]->number == values[i]);
	}
}

static void values_know_their_line(void **state)
{
	const struct json *tree = parse_yaml("a: &x 1\nb:\n  - c\n  -\n"
					     "  - {d: 2}\ne: *x\n");
	const struct json *list = json_member(tree, "b");

	assert_int_equal(tree->line, 1);
	assert_int_equal(list->line, 3);
	assert_int_equal(list->items[0]->line, 3);
	assert_int_equal(list->items[2]->line, 5);
	assert_int_equal(json_member(tree, "e")->line, 1);
}

static const struct {
	const char *text;
	const char *sentence;
} bad[] = {
	{ "a: 1\nb: 2\na: 3\n", "line 3, column 1: the key \"a\" is doubled" },
	{ "x:\n  1: a\n  '1': b\n",
	  "line 3, column 3: the key \"1\" is doubled" },
	{ "x: {<<: {a: 1}, a: 2, b: 3, a: 4}\n",
	  "line 1, column 29: the key \"a\" is doubled" },
	{ "a: 1\n---\nb: 2\n", "line 2, column 1: a second document begins; "
			       "put it into a file of its own" },
	{ "a: *x\n", "line 1, column 4: no anchor &x comes before its alias" },
	{ "a: &x [*x]\n",
	  "line 1, column 8: the alias *x stands inside what it names" },
	{ "&x {a: {<<: *x}}\n",
	  "line 1, column 13: the alias *x stands inside what it names" },
	{ "- &a 1\n- &a 2\n", "line 2, column 3: the anchor &a is doubled" },
	{ "? [a]\n: 1\n",
	  "line 1, column 3: a key must be a scalar, not a list" },
	{ "{{a: 1}: 2}\n",
	  "line 1, column 2: a key must be a scalar, not an object" },
	{ "- &a [1]\n- {*a : 1}\n",
	  "line 2, column 4: a key must be a scalar, not a list" },
	{ "a: {<<: 1}\n", "line 1, column 9: << takes a mapping or a list of "
			  "mappings, not a number" },
	{ "a: {<<: [{}, x]}\n", "line 1, column 15: << takes a mapping or a "
				"list of mappings, not a string" },
	{ "a: !!python/tuple [1]\n",
	  "line 1, column 4: the tag !!python/tuple has no meaning here" },
	{ "a: !!binary aGk=\n",
	  "line 1, column 4: the tag !!binary has no meaning here" },
	{ "a: !x y\n", "line 1, column 4: the tag !x has no meaning here" },
	{ "a: !!str [b]\n",
	  "line 1, column 4: the tag !!str has no meaning here" },
	{ "a: !!seq {b: 1}\n",
	  "line 1, column 4: the tag !!seq has no meaning here" },
	{ "a: !!map b\n",
	  "line 1, column 4: the tag !!map has no meaning here" },
	{ "a: !!merge b\n",
	  "line 1, column 4: the tag !!merge has no meaning here" },
	{ "a: !!int x\n", "line 1, column 4: cannot read \"x\" as !!int" },
	{ "a: !!int 1.5\n", "line 1, column 4: cannot read \"1.5\" as !!int" },
	{ "a: !!int ''\n", "line 1, column 4: cannot read \"\" as !!int" },
	{ "a: !!float 0x10\n",
	  "line 1, column 4: cannot read \"0x10\" as !!float" },
	{ "a: !!float '1:'\n",
	  "line 1, column 4: cannot read \"1:\" as !!float" },
	{ "a: !!float e5\n",
	  "line 1, column 4: cannot read \"e5\" as !!float" },
	{ "a: !!bool 1\n", "line 1, column 4: cannot read \"1\" as !!bool" },
	{ "a: 0b_\n", "line 1, column 4: cannot read \"0b_\" as !!int" },
	{ "a: \"x\\0y\"\n", "line 1, column 4: a string must not hold NUL" },
	{ "\"\\0\": 1\n", "line 1, column 1: a string must not hold NUL" },
	{ "a: [1, 2\n", "line 2, column 1: did not find expected ',' or ']' "
			"while parsing a flow sequence" },
	{ "a: b: c\n",
	  "line 1, column 5: mapping values are not allowed in this context" },
	{ "\ta: b\n", "line 1, column 1: found character that cannot start "
		      "any token while scanning for the next token" },
	{ "a: \xFF\n", "line 1, column 4: invalid leading UTF-8 octet" },
	{ "x: 1\na: \xED\xA0\x80\n",
	  "line 2, column 4: invalid Unicode character" },
	{ "a: \"\\ud800\"\n",
	  "line 1, column 7: found invalid Unicode character escape code "
	  "while parsing a quoted scalar" },
	{ "a: \x01\n", "line 1, column 4: control characters are not allowed" },
	{ "\xFF\xFEx\0\n", "line 1, column 1: invalid leading UTF-8 octet" },
};

static void wrong_texts_are_told(void **state)
{
	struct json *tree = NULL;
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (yaml_parse(bad[i].text, strlen(bad[i].text), arena, &tree,
			       &err) != -EINVAL)
			fail_msg("%s is taken", bad[i].text);
		assert_string_equal(err.text, bad[i].sentence);
		assert_null(tree);
	}
}

static void nul_is_no_end(void **state)
{
	struct json *tree;
	struct error err;

	assert_int_equal(yaml_parse("a: 1\n\0b: 2", 10, arena, &tree, &err),
			 -EINVAL);
	assert_string_equal(err.text, "line 2, column 1: control characters "
				      "are not allowed");
}

#define TOO_DEEP "lists and mappings are nested deeper than 64 levels"

static void assert_wrong(const char *text, const char *sentence)
{
	struct json *tree;
	struct error err;

	assert_int_equal(yaml_parse(text, strlen(text), arena, &tree, &err),
			 -EINVAL);
	assert_string_equal(err.text, sentence);
}

/* A list of `depth` lists inside one another, in `text`. */
static void nest(char *text, size_t depth)
{
	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	text[2 * depth] = '\0';
}

static void depth_is_limited(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 3];

	nest(text, JSON_DEPTH_MAX);
	assert_reads(text, text);
	nest(text, JSON_DEPTH_MAX + 1);
	assert_wrong(text, "line 1, column 65: " TOO_DEEP);
}

/* An alias brings the depth of what it names to where it stands. */
static void depth_behind_an_alias_is_limited(void **state)
{
	const int named = 40, room = JSON_DEPTH_MAX - 1 - named;
	char inner[2 * 40 + 1], text[300], want[300];

	nest(inner, named);
	snprintf(text, sizeof(text), "[&a %s,%.*s*a%.*s]", inner, room, inner,
		 room, inner + named);
	snprintf(want, sizeof(want), "[%s,%.*s%s%.*s]", inner, room, inner,
		 inner, room, inner + named);
	assert_reads(text, want);
	snprintf(text, sizeof(text), "[&a %s,%.*s*a%.*s]", inner, room + 1,
		 inner, room + 1, inner + named);
	assert_wrong(text, "line 1, column 110: " TOO_DEEP);
}

/* Ten times ten times ... ten: a text of 400 bytes for 10^10 values. */
static void laughs_are_few(void **state)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;

	assert_int_equal(text_open(&text), 0);
	fprintf(text.out, "- &a [x,x,x,x,x,x,x,x,x,x]\n");
	for (char c = 'b'; c <= 'j'; c++) {
		fprintf(text.out, "- &%c [*%c", c, c - 1);
		for (int i = 1; i < 10; i++)
			fprintf(text.out, ",*%c", c - 1);
		fprintf(text.out, "]\n");
	}
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	assert_wrong(bytes, "line 6, column 34: with all aliases written out "
			    "there are more than 1000000 values");
}

/* Few values, but each of them long. */
static void long_laughs_are_few(void **state)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;

	assert_int_equal(text_open(&text), 0);
	fprintf(text.out, "- &a %0*d\n", 1600000, 1);
	for (int i = 0; i < 9; i++)
		fprintf(text.out, "- *a\n");
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	assert_wrong(bytes, "line 10, column 3: with all aliases written out "
			    "there are more than 1000000 values");
}

static void an_alias_is_no_copy(void **state)
{
	const struct json *list = parse_yaml("[&a [1, 2], *a]");

	assert_ptr_equal(list->items[0], list->items[1]);
}

static void a_large_text_is_refused(void **state)
{
	AUTO_FREE char *text = calloc(YAML_TEXT_MAX + 2, 1);

	memset(text, '\n', YAML_TEXT_MAX + 1);
	assert_wrong(text, "the text has more than 4194304 bytes");
}

/* A quadratic step among 50,000 keys and anchors would take minutes. */
static void many_keys_and_anchors_take_no_time(void **state)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;
	double start = clock_seconds();

	assert_int_equal(text_open(&text), 0);
	for (int i = 0; i < 50000; i++)
		fprintf(text.out, "k%d: &a%d %d\nl%d: *a%d\n", i, i, i, i, i);
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	assert_int_equal(parse_yaml(bytes)->count, 100000);
	assert_true(clock_seconds() - start < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_are_read_as_by_pyyaml),
		cmocka_unit_test(members_keep_the_order_of_pyyaml),
		cmocka_unit_test(values_know_their_line),
		cmocka_unit_test(wrong_texts_are_told),
		cmocka_unit_test(nul_is_no_end),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(depth_behind_an_alias_is_limited),
		cmocka_unit_test(laughs_are_few),
		cmocka_unit_test(long_laughs_are_few),
		cmocka_unit_test(an_alias_is_no_copy),
		cmocka_unit_test(a_large_text_is_refused),
		cmocka_unit_test(many_keys_and_anchors_take_no_time),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
