#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/json_scan.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

/* A text with its length, since some hold NUL. */
#define TEXT(literal) literal, sizeof(literal) - 1

/* Text and its canonical form. */
static const char *const good[][2] = {
	{ "{}", "{}" },
	{ "[]", "[]" },
	{ " \t\r\n[ \t\r\n] \t\r\n", "[]" },
	{ "\"\"", "\"\"" },
	{ "null", "null" },
	{ "[true,false,null]", "[true,false,null]" },
	{ "{\"b\":1,\"a\":{\"d\":[],\"c\":\"x\"}}",
	  "{\"a\":{\"c\":\"x\",\"d\":[]},\"b\":1}" },
	{ "{\"a\":1,\"A\":2,\"\":3}", "{\"\":3,\"A\":2,\"a\":1}" },
	{ "[0,-0,0.0,-0.5,1E2,1e+2,1e-2,10.250]",
	  "[0,-0,0,-0.5,100,100,0.01,10.25]" },
	{ "[1e-5,0.1,1e300,123456789012345678]",
	  "[1e-05,0.1,1e+300,1.2345678901234568e+17]" },
	{ "[9007199254740991,9007199254740992]",
	  "[9007199254740991,9007199254740992]" },
	{ "[1e-400]", "[0]" },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
	{ "\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "\"A\xC3\xA9\xE2\x82\xAC"
						     "\xF0\x9F\x98\x80\"" },
	{ "\"\\u0001\\u001f\x7F\"", "\"\\u0001\\u001f\x7F\"" },
	{ "\"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF\"",
	  "\"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF\"" },
};

static void correct_texts_are_read(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO_FREE char *text = json_canonical(parse_json(good[i][0]));

		assert_string_equal(text, good[i][1]);
	}
}

#define VALUE                                                     \
	"expected a value: a string in double quotes, a number, " \
	"true, false, null, a list or an object"
#define UTF8 "the text is not valid UTF-8"
#define SURROGATE "half of a surrogate pair stands alone"
#define CONTROL "a control character in a string must be written as an escape"

static const struct {
	const char *text;
	size_t len;
	const char *sentence;
} bad[] = {
	{ TEXT(""), "1:1 the text ends where a value is expected" },
	{ TEXT(" \n "), "2:2 the text ends where a value is expected" },
	{ TEXT("\xEF\xBB\xBF{}"),
	  "1:1 the text begins with a byte order mark; remove it" },
	{ TEXT("{} x"), "1:4 something follows the end of the value" },
	{ TEXT("{}\0"), "1:3 something follows the end of the value" },
	{ TEXT("1 2"), "1:3 something follows the end of the value" },
	{ TEXT("[1,]"), "1:4 " VALUE },
	{ TEXT("[,1]"), "1:2 " VALUE },
	{ TEXT("[1 2]"), "1:4 expected ',' or ']' in a list" },
	{ TEXT("[1}"), "1:3 expected ',' or ']' in a list" },
	{ TEXT("[1"), "1:3 expected ',' or ']' in a list" },
	{ TEXT("["), "1:2 the text ends where a value is expected" },
	{ TEXT("{\"a\":1]"), "1:7 expected ',' or '}' in an object" },
	{ TEXT("{\"a\":1,}"), "1:8 expected a member's name in double quotes" },
	{ TEXT("{a:1}"), "1:2 expected a member's name in double quotes" },
	{ TEXT("{'a':1}"), "1:2 expected a member's name in double quotes" },
	{ TEXT("{1:1}"), "1:2 expected a member's name in double quotes" },
	{ TEXT("{\"a\" 1}"), "1:6 expected ':' after a member's name" },
	{ TEXT("{\"a\":}"), "1:6 " VALUE },
	{ TEXT("{\"a\"}"), "1:5 expected ':' after a member's name" },
	{ TEXT("NaN"), "1:1 " VALUE },
	{ TEXT("-Infinity"), "1:2 expected a digit" },
	{ TEXT("True"), "1:1 " VALUE },
	{ TEXT("tru"), "1:1 " VALUE },
	{ TEXT("nulll"), "1:5 something follows the end of the value" },
	{ TEXT("// x\n1"), "1:1 " VALUE },
	{ TEXT("'x'"), "1:1 " VALUE },
	{ TEXT("01"),
	  "1:2 no digit may follow the 0 that a number begins with" },
	{ TEXT("-01"),
	  "1:3 no digit may follow the 0 that a number begins with" },
	{ TEXT("+1"), "1:1 " VALUE },
	{ TEXT(".5"), "1:1 " VALUE },
	{ TEXT("-"), "1:2 expected a digit" },
	{ TEXT("-.5"), "1:2 expected a digit" },
	{ TEXT("1."), "1:3 expected a digit after the point" },
	{ TEXT("1.e5"), "1:3 expected a digit after the point" },
	{ TEXT("1e"), "1:3 expected a digit of the number's exponent" },
	{ TEXT("1e+"), "1:4 expected a digit of the number's exponent" },
	{ TEXT("1e-x"), "1:4 expected a digit of the number's exponent" },
	{ TEXT("0x10"), "1:2 something follows the end of the value" },
	{ TEXT("1_0"), "1:2 something follows the end of the value" },
	{ TEXT("[1e999]"),
	  "1:2 the number is too large for 64-bit floating point" },
	{ TEXT("[-1e999]"),
	  "1:2 the number is too large for 64-bit floating point" },
	{ TEXT("1234567890123456789012345678901234567890"
	       "123456789012345678901234"),
	  "1:1 the number has more than 63 characters" },
	{ TEXT("\"abc"), "1:1 the string has no end" },
	{ TEXT("\"abc\\\""), "1:1 the string has no end" },
	{ TEXT("\"a\nb\""), "1:3 " CONTROL },
	{ TEXT("\"\t\""), "1:2 " CONTROL },
	{ TEXT("\"a\0b\""), "1:3 " CONTROL },
	{ TEXT("\"\\x41\""), "1:2 unknown escape in a string: only \\\" \\\\ "
			     "\\/ \\b \\f \\n \\r \\t and \\uXXXX exist" },
	{ TEXT("\"\\\0\""), "1:2 unknown escape in a string: only \\\" \\\\ "
			    "\\/ \\b \\f \\n \\r \\t and \\uXXXX exist" },
	{ TEXT("\"\\u12\""), "1:2 \\u needs four hex digits" },
	{ TEXT("\"\\u12G4\""), "1:2 \\u needs four hex digits" },
	{ TEXT("\"\\u12"), "1:2 \\u needs four hex digits" },
	{ TEXT("\"\\u0000\""), "1:2 a string must not hold NUL" },
	{ TEXT("{\"a\\u0000\":1}"), "1:4 a string must not hold NUL" },
	{ TEXT("\"\\ud800\""), "1:2 " SURROGATE },
	{ TEXT("\"\\ud800\\u0041\""), "1:2 " SURROGATE },
	{ TEXT("\"\\ud800\\ud800\""), "1:2 " SURROGATE },
	{ TEXT("\"\\udc00\\ud800\""), "1:2 " SURROGATE },
	{ TEXT("\"\\udc00\\udc00\""), "1:2 " SURROGATE },
	{ TEXT("\"\\ud83dx\""), "1:2 " SURROGATE },
	{ TEXT("\"\xFF\""), "1:2 " UTF8 },
	{ TEXT("\"\x80\""), "1:2 " UTF8 },
	{ TEXT("\"\xC0\x80\""), "1:2 " UTF8 }, /* overlong NUL */
	{ TEXT("\"\xC1\xBF\""), "1:2 " UTF8 },
	{ TEXT("\"\xE0\x9F\xBF\""), "1:2 " UTF8 }, /* overlong */
	{ TEXT("\"\xF0\x8F\xBF\xBF\""), "1:2 " UTF8 },
	{ TEXT("\"\xED\xA0\x80\""), "1:2 " UTF8 },     /* a surrogate */
	{ TEXT("\"\xF4\x90\x80\x80\""), "1:2 " UTF8 }, /* above U+10FFFF */
	{ TEXT("\"\xE2\x82\""), "1:2 " UTF8 },
	{ TEXT("\"\xE2\x82"), "1:2 " UTF8 },
	{ TEXT("{\"\xFF\":1}"), "1:3 " UTF8 },
	{ TEXT("{\"a\":1,\n \"b\":2, \"a\":3}"),
	  "2:9 the name \"a\" is doubled" },
	{ TEXT("{\"a\":1,\"\\u0061\":3}"), "1:8 the name \"a\" is doubled" },
	{ TEXT("[{\"x\":{\"b\":1}},{\"b\":[1],\"c\":{\"d\":1},\"b\":2}]"),
	  "1:37 the name \"b\" is doubled" },
	{ TEXT("[\n\"\xC3\xA9\xC3\xA9\", x]"), "2:7 " VALUE },
	{ TEXT("\xC3\xA9"), "1:1 " VALUE },
	{ TEXT("[1]\f"), "1:4 something follows the end of the value" },
	{ TEXT("[1,\v2]"), "1:4 " VALUE },
	{ TEXT("[1,\xC2\xA0"
	       "2]"),
	  "1:4 " VALUE },
};

static void wrong_texts_are_told(void **state)
{
	char want[ERROR_TEXT_MAX];
	struct json *tree = NULL;
	struct error err;
	const char *rest;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		rest = strchr(bad[i].sentence, ' ') + 1;
		snprintf(
			want, sizeof(want), "line %d, column %d: %s",
			(int)strtol(bad[i].sentence, NULL, 10),
			(int)strtol(strchr(bad[i].sentence, ':') + 1, NULL, 10),
			rest);
		assert_int_equal(
			json_parse(bad[i].text, bad[i].len, arena, &tree, &err),
			-EINVAL);
		assert_string_equal(err.text, want);
		assert_null(tree);
	}
}

static void values_are_listed_with_their_places(void **state)
{
	static const char text[] = " {\"a\" : [1, {\"b\":22}], \"c\":\"x\"}";
	static const struct json_span want[] = {
		{ 0, 1, 31 },  { 2, 8, 21 },   { 0, 9, 10 },
		{ 0, 12, 20 }, { 13, 17, 19 }, { 23, 27, 30 },
	};
	AUTO_FREE struct json_span *spans = NULL;
	size_t count;

	assert_int_equal(
		json_scan(text, sizeof(text) - 1, &spans, &count, NULL), 0);
	assert_int_equal(count, ARRAY_LEN(want));
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(spans[i].name, want[i].name);
		assert_int_equal(spans[i].start, want[i].start);
		assert_int_equal(spans[i].end, want[i].end);
	}
	assert_int_equal(json_span_after(spans, count, 1), 5);
	assert_int_equal(json_span_after(spans, count, 2), 3);
	assert_int_equal(json_span_after(spans, count, 0), count);
}

/* A text that is cut anywhere is no text, and nothing reads past its end. */
static void a_cut_text_is_wrong(void **state)
{
	static const char text[] =
		"{\"a\":[1.5e-3,-0,true,false,null,\"x\\n\\ud83d\\ude00"
		"\xE2\x82\xAC\"],\"b\":{\"c\":{}}}";
	struct json *tree;

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		AUTO_FREE char *cut = malloc(len + 1);

		memcpy(cut, text, len);
		/* One byte less than there is: the rest must not be seen. */
		cut[len] = '}';
		assert_int_equal(json_parse(cut, len, arena, &tree, NULL),
				 -EINVAL);
	}
	assert_int_equal(json_parse(text, sizeof(text) - 1, arena, &tree, NULL),
			 0);
}

static void nest(char *text, size_t depth)
{
	memset(text, '[', depth);
	memset(text + depth, ']', depth);
}

static void depth_is_limited(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 2];
	struct json *tree;
	struct error err;

	nest(text, JSON_DEPTH_MAX);
	assert_int_equal(
		json_parse(text, 2 * JSON_DEPTH_MAX, arena, &tree, &err), 0);
	free(json_canonical(tree));
	nest(text, JSON_DEPTH_MAX + 1);
	assert_int_equal(json_parse(text, sizeof(text), arena, &tree, &err),
			 -EINVAL);
	assert_string_equal(err.text, "line 1, column 65: lists and objects "
				      "are nested deeper than 64 levels");
}

static void sizes_are_limited(void **state)
{
	AUTO_FREE char *text = malloc((size_t)JSON_TEXT_MAX + 1);
	struct json *tree;
	struct error err;

	memset(text, ' ', (size_t)JSON_TEXT_MAX + 1);
	assert_int_equal(
		json_parse(text, (size_t)JSON_TEXT_MAX + 1, arena, &tree, &err),
		-EINVAL);
	assert_string_equal(err.text, "the text has more than 104857600 bytes");
	for (size_t i = 0; i <= 2 * JSON_VALUES_MAX; i++)
		text[i] = i % 2 ? '1' : ',';
	text[0] = '[';
	assert_int_equal(
		json_parse(text, 2 * JSON_VALUES_MAX, arena, &tree, &err),
		-EINVAL);
	assert_string_equal(err.text, "the text has more than 4194304 values");
}

static void names_are_found_exactly(void **state)
{
	const struct json *tree =
		parse_json("{\"weight\":1,\"Weight\":2,\"\":3,\"we\":\"s\"}");

	assert_true(json_member(tree, "weight")->number == 1);
	assert_true(json_member(tree, "Weight")->number == 2);
	assert_true(json_member(tree, "")->number == 3);
	assert_null(json_member(tree, "WEIGHT"));
	assert_null(json_member(tree, "weigh"));
	assert_null(json_member(tree, "weights"));
	assert_null(json_member(NULL, "weight"));
	assert_null(json_member(json_member(tree, "we"), "weight"));
	assert_string_equal(json_member_string(tree, "we"), "s");
	assert_null(json_member_string(tree, "weight"));
	assert_null(json_member_string(tree, "absent"));
}

static void members_keep_their_order(void **state)
{
	const struct json *tree = parse_json("{\"c\":1,\"a\":2,\"b\":3}");
	static const char *const names[] = { "c", "a", "b" };

	assert_int_equal(tree->count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(tree->names[i], names[i]);
		assert_true(tree->items[i]->number == i + 1);
	}
}

static void values_know_their_line(void **state)
{
	const struct json *tree =
		parse_json("\n{\"a\":\n1, \"b\": [\r\n2,\n\n3], \"c\": 4\n}");
	const struct json *list = json_member(tree, "b");

	assert_int_equal(tree->line, 2);
	assert_int_equal(json_member(tree, "a")->line, 3);
	assert_int_equal(list->line, 3);
	assert_int_equal(list->items[0]->line, 4);
	assert_int_equal(list->items[1]->line, 6);
	assert_int_equal(json_member(tree, "c")->line, 6);
}

/* Whether a number is written as an integer, next to ones that are not. */
static void integers_are_told_from_floats(void **state)
{
	const struct json *tree =
		parse_json("[1, 1.0, \"x\", 1e0, {\"e\": 10}, 1E0, -7]");

	assert_true(tree->items[0]->integral);
	assert_false(tree->items[1]->integral);
	assert_false(tree->items[3]->integral);
	assert_true(tree->items[4]->items[0]->integral);
	assert_false(tree->items[5]->integral);
	assert_true(tree->items[6]->integral);
}

static const struct {
	const char *text;
	bool ok;
	uint64_t value;
} wholes[] = {
	{ "0", true, 0 },
	{ "1", true, 1 },
	{ "9007199254740991", true, 9007199254740991 },
	{ "9007199254740992", false, 0 },
	{ "9007199254740993", false, 0 },
	{ "18446744073709551616", false, 0 },
	{ "-1", false, 0 },
	{ "-0", false, 0 },
	{ "1.0", false, 0 },
	{ "1e3", false, 0 },
	{ "\"1\"", false, 0 },
	{ "true", false, 0 },
};

static void whole_numbers_are_exact_or_refused(void **state)
{
	uint64_t value;

	for (size_t i = 0; i < ARRAY_LEN(wholes); i++) {
		value = 77;
		assert_int_equal(json_u64(parse_json(wholes[i].text), &value),
				 wholes[i].ok);
		assert_true(value == (wholes[i].ok ? wholes[i].value : 77));
	}
	assert_false(json_u64(NULL, &value));
}

/* A header of 100,000 tensors; a quadratic step would take minutes. */
static void large_texts_take_no_time(void **state)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;
	double start = clock_seconds();
	struct json *tree;
	char name[40];
	size_t len;

	assert_int_equal(text_open(&text), 0);
	for (int i = 0; i < 100000; i++)
		fprintf(text.out,
			"%c\"layers.%d.weight\":{\"dtype\":\"BF16\",\"shape\":"
			"[64,64],\"data_offsets\":[%d,%d]}",
			i ? ',' : '{', i, i * 8192, (i + 1) * 8192);
	fputc('}', text.out);
	assert_int_equal(text_take(&text, &bytes, &len), 0);
	assert_int_equal(json_parse(bytes, len, arena, &tree, NULL), 0);
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "layers.%d.weight", i);
		assert_ptr_equal(json_member(tree, name), tree->items[i]);
	}
	free(json_canonical(tree));
	assert_true(clock_seconds() - start < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(correct_texts_are_read),
		cmocka_unit_test(wrong_texts_are_told),
		cmocka_unit_test(values_are_listed_with_their_places),
		cmocka_unit_test(a_cut_text_is_wrong),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(sizes_are_limited),
		cmocka_unit_test(names_are_found_exactly),
		cmocka_unit_test(members_keep_their_order),
		cmocka_unit_test(values_know_their_line),
		cmocka_unit_test(integers_are_told_from_floats),
		cmocka_unit_test(whole_numbers_are_exact_or_refused),
		cmocka_unit_test(large_texts_take_no_time),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
