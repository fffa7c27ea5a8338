#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/safetensors.h"

#include <cmocka.h>

#define T(dtype, shape, offsets)                    \
	"{\"dtype\":\"" dtype "\",\"shape\":" shape \
	",\"data_offsets\":" offsets "}"
#define A(dtype, shape, offsets) "{\"a\":" T(dtype, shape, offsets) "}"
#define NOT_WHOLE \
	"tensor \"a\": \"data_offsets\" must be two whole numbers below 2^53"

/* A header, the bytes of data behind it, and what is said of them. */
struct refusal {
	const char *header;
	uint64_t data;
	const char *sentence;
};

static const struct refusal REFUSALS[] = {
	/* The text. */
	{ "", 0, "the header must begin with '{'" },
	{ " {}", 0, "the header must begin with '{'" },
	{ "[]", 0, "the header must begin with '{'" },
	{ "\xef\xbb\xbf{}", 0, "the header must begin with '{'" },
	/* __metadata__ */
	{ "{\"__metadata__\":null}", 0,
	  "__metadata__ must be an object, not null" },
	{ "{\"__metadata__\":{\"format\":1}}", 0,
	  "__metadata__: \"format\" must be a string, not a number" },
	/* Entries. */
	{ "{\"\":" T("U8", "[1]", "[0,1]") "}", 1, "a tensor has no name" },
	{ "{\"a\":[]}", 0, "tensor \"a\": must be an object, not a list" },
	{ "{\"a\":{}}", 0, "tensor \"a\": \"dtype\" must be a string" },
	{ "{\"a\":{\"dtype\":3}}", 0,
	  "tensor \"a\": \"dtype\" must be a string" },
	{ A("F128", "[1]", "[0,16]"), 16,
	  "tensor \"a\": unknown dtype \"F128\"" },
	{ A("f32", "[1]", "[0,4]"), 4, "tensor \"a\": unknown dtype \"f32\"" },
	/* Shapes. */
	{ "{\"a\":{\"dtype\":\"U8\"}}", 0,
	  "tensor \"a\": \"shape\" must be a list" },
	{ A("U8", "4", "[0,4]"), 4, "tensor \"a\": \"shape\" must be a list" },
	{ A("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1,
	  "tensor \"a\": \"shape\" has 9 dimensions, the limit is 8" },
	{ A("U8", "[2,-1]", "[0,2]"), 2,
	  "tensor \"a\": shape[1] must be a whole number below 2^53" },
	{ A("U8", "[1.0]", "[0,1]"), 1,
	  "tensor \"a\": shape[0] must be a whole number below 2^53" },
	{ A("U8", "[1e0]", "[0,1]"), 1,
	  "tensor \"a\": shape[0] must be a whole number below 2^53" },
	{ A("U8", "[\"1\"]", "[0,1]"), 1,
	  "tensor \"a\": shape[0] must be a whole number below 2^53" },
	{ A("U8", "[9007199254740993]", "[0,1]"), 1,
	  "tensor \"a\": shape[0] must be a whole number below 2^53" },
	{ A("U8", "[4294967296,4294967296]", "[0,0]"), 0,
	  "tensor \"a\": \"shape\" overflows" },
	{ A("U8", "[4294967296,4294967296,0]", "[0,0]"), 0,
	  "tensor \"a\": \"shape\" overflows" },
	{ A("F64", "[4294967296,134217728]", "[0,0]"), 0,
	  "tensor \"a\": \"shape\" overflows" },
	{ A("F4", "[3]", "[0,1]"), 1,
	  "tensor \"a\": 12 bits of F4 are not a whole number of bytes" },
	{ A("F6_E2M3", "[2]", "[0,1]"), 1,
	  "tensor \"a\": 12 bits of F6_E2M3 are not a whole number of bytes" },
	/* Offsets of one tensor. */
	{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, NOT_WHOLE },
	{ A("U8", "[1]", "[0]"), 1, NOT_WHOLE },
	{ A("U8", "[1]", "[0,1,1]"), 1, NOT_WHOLE },
	{ A("U8", "[1]", "[0,1.5]"), 1, NOT_WHOLE },
	{ A("U8", "[1]", "[-1,0]"), 1, NOT_WHOLE },
	{ A("U8", "[0]", "[9007199254740992,9007199254740992]"), 1, NOT_WHOLE },
	{ A("U8", "[1]", "[1,0]"), 1,
	  "tensor \"a\": data_offsets end before they begin: 1, 0" },
	{ A("F32", "[2,3]", "[0,20]"), 20,
	  "tensor \"a\": F32 of shape 2x3 takes 24 bytes, data_offsets give "
	  "20" },
	{ A("BF16", "[]", "[0,4]"), 4,
	  "tensor \"a\": BF16 of shape scalar takes 2 bytes, data_offsets give "
	  "4" },
	/* The cover of the data. */
	{ A("U8", "[2]", "[1,3]"), 3,
	  "tensor \"a\" begins at byte 1 of the data, a hole of 1 after the "
	  "one before" },
	{ "{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]",
							"[4,6]") "}",
	  6,
	  "tensor \"b\" begins at byte 4 of the data, a hole of 2 after the "
	  "one before" },
	{ "{\"b\":" T("U8", "[2]", "[1,3]") ",\"a\":" T("U8", "[2]",
							"[0,2]") "}",
	  3, "tensor \"b\" overlaps tensor \"a\"" },
	{ "{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]",
							"[0,2]") "}",
	  2, "tensor \"b\" overlaps tensor \"a\"" },
	{ "{\"a\":" T("U8", "[4]", "[0,4]") ",\"b\":" T("U8", "[0]",
							"[2,2]") "}",
	  4, "tensor \"b\" overlaps tensor \"a\"" },
	{ A("U8", "[2]", "[0,2]"), 1,
	  "the file is cut short, download it again: its tensors take 2 bytes, "
	  "1 are there" },
	{ A("U8", "[2]", "[0,2]"), 5,
	  "3 bytes follow the data of the last tensor" },
	{ "{}", 1, "1 bytes follow the data of the last tensor" },
};

static int parse(const char *header, size_t n, uint64_t data,
		 struct arena *arena, struct safetensors *st, struct error *err)
{
	return safetensors_parse(header, n, 8 + n + data, NULL, arena, st, err);
}

static void what_the_format_forbids_is_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(REFUSALS); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		const struct refusal *r = &REFUSALS[i];
		struct safetensors st;
		struct error err = { 0 };

		assert_int_equal(parse(r->header, strlen(r->header), r->data,
				       arena, &st, &err),
				 -EBADMSG);
		assert_string_equal(err.text, r->sentence);
		assert_int_equal(err.code, EBADMSG);
	}
}

/* The words after the colon are the JSON reader's. */
static void what_is_no_json_is_refused(void **state)
{
	static const char *const headers[] = {
		"{",
		"{}x",
		"{\"a\":1,}",
		"{\"a\xff\":1}",
		"{\"a\\u0000\":1}",
		"{\"a\":" T("U8", "[0]", "[0,0]") ",\"a\":" T("U8", "[0]",
							      "[0,0]") "}",
	};

	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		struct safetensors st;
		struct error err = { 0 };

		assert_int_equal(parse(headers[i], strlen(headers[i]), 0, arena,
				       &st, &err),
				 -EBADMSG);
		assert_ptr_equal(strstr(err.text, "the header is no JSON: "),
				 err.text);
	}
}

static void the_length_must_lie_in_the_file(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct safetensors st;
	struct error err;

	assert_int_equal(safetensors_parse("{}", 2, 9, NULL, arena, &st, &err),
			 -EBADMSG);
	assert_string_equal(err.text,
			    "the file is cut short, download it again: its "
			    "header takes 2 bytes, the file has 9");
	assert_int_equal(safetensors_parse("{}", 2, 7, NULL, arena, &st, &err),
			 -EBADMSG);
	assert_int_equal(safetensors_parse("{}", 2, 10, NULL, arena, &st, &err),
			 0);
	assert_int_equal(st.count, 0);
	assert_int_equal(st.data_off, 10);
}

static void headers_of_the_format_are_taken(void **state)
{
	static const char unknown_member[] =
		"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],"
		"\"later\":true}}";
	static const char *const headers[] = {
		"{\"a\":" T("BF16", "[2]", "[0,4]") "}   ",
		"{\"a\":" T("BF16", "[2]", "[0,4]") "}\n",
		"{\"__metadata__\":{},\"a\":" T("F4", "[2,4]", "[0,4]") "}",
		"{\"__metadata__\":{\"format\":\"pt\"},"
		"\"a\":" T("F6_E3M2", "[4]", "[0,3]") ","
						      "\"b\":" T("BOOL", "[]",
								 "[3,4]") "}",
		"{\"a\":" T("U8", "[1,1,1,1,1,1,1,4]", "[0,4]") "}",
		unknown_member,
	};

	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		struct safetensors st;
		struct error err = { 0 };

		assert_int_equal(parse(headers[i], strlen(headers[i]), 4, arena,
				       &st, &err),
				 0);
		assert_string_equal(st.tensors[0].name, "a");
	}
}

/* Whatever their order in the text; empty ones where they lie. */
static void tensors_come_in_order_of_offsets(void **state)
{
	static const char header[] = "{\"c\":" T(
		"U8", "[3]",
		"[2,5]") ","
			 "\"y\":" T(
				 "F32", "[0,7]",
				 "[2,2]") ","
					  "\"a\":" T(
						  "U8", "[2]",
						  "[0,2]") ","
							   "\"z\":" T(
								   "F32", "[0]",
								   "[5,5]") ","
									    "\""
									    "x"
									    "\""
									    ":" T("F32",
										  "[0]",
										  "[2,2]") "}";
	static const struct {
		const char *name;
		uint64_t off, size;
	} want[] = {
		{ "a", 0, 2 }, { "x", 2, 0 }, { "y", 2, 0 },
		{ "c", 2, 3 }, { "z", 5, 0 },
	};
	AUTO_ARENA struct arena *arena = arena_open();
	struct safetensors st;
	struct error err;

	assert_int_equal(parse(header, strlen(header), 5, arena, &st, &err), 0);
	assert_int_equal(st.count, ARRAY_LEN(want));
	for (size_t i = 0; i < st.count; i++) {
		assert_string_equal(st.tensors[i].name, want[i].name);
		assert_int_equal(st.tensors[i].off, st.data_off + want[i].off);
		assert_int_equal(st.tensors[i].size, want[i].size);
	}
}

static void shapes_are_kept_and_shown(void **state)
{
	struct shape big = { .rank = SHAPE_RANK_MAX };
	struct shape matrix = { 2, { 4096, 14336 } }, other = { 1, { 4096 } };
	struct shape number = { 0 };
	char text[SHAPE_TEXT_MAX];

	shape_text(&matrix, text, sizeof(text));
	assert_string_equal(text, "4096x14336");
	shape_text(&number, text, sizeof(text));
	assert_string_equal(text, "scalar");
	assert_int_equal(shape_elements(&matrix), 4096 * 14336);
	assert_int_equal(shape_elements(&number), 1);
	assert_true(shape_equal(&matrix, &matrix));
	assert_false(shape_equal(&matrix, &other));
	for (unsigned i = 0; i < SHAPE_RANK_MAX; i++)
		big.dim[i] = UINT64_MAX;
	shape_text(&big, text, sizeof(text));
	assert_int_equal(strlen(text), SHAPE_TEXT_MAX - 1);
}

/* 100,000 tensors: the time must not grow with the square of their number. */
static void many_tensors_are_quick(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	AUTO_FREE char *text = NULL;
	const unsigned count = 100000;
	struct safetensors st;
	struct error err;
	double start;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (unsigned i = 0; i < count; i++)
		fprintf(out,
			"%c\"model.layers.%u.w\":{\"dtype\":\"BF16\","
			"\"shape\":[2,2],\"data_offsets\":[%u,%u]}",
			i ? ',' : '{', i, 8 * (count - 1 - i), 8 * (count - i));
	fputc('}', out);
	assert_int_equal(fclose(out), 0);
	start = clock_seconds();
	assert_int_equal(
		parse(text, size, 8 * (uint64_t)count, arena, &st, &err), 0);
	assert_true(clock_seconds() - start < 5);
	assert_int_equal(st.count, count);
	assert_string_equal(st.tensors[0].name, "model.layers.99999.w");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_format_forbids_is_refused),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(the_length_must_lie_in_the_file),
		cmocka_unit_test(headers_of_the_format_are_taken),
		cmocka_unit_test(tensors_come_in_order_of_offsets),
		cmocka_unit_test(shapes_are_kept_and_shown),
		cmocka_unit_test(many_tensors_are_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
