#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/json.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

static void a_number_keeps_its_spelling(void **state)
{
	static const char *const spelt[] = { "0.20", "1E2", "-0.0", "1e-3",
					     "9007199254740993" };
	static const char *const yaml[] = { "0.20", "1_000", "0x10",
					    ".5",   ".inf",  "1:30" };
	const struct json *tree =
		parse_json("[0.20,1E2,-0.0,1e-3,9007199254740993]");

	for (size_t i = 0; i < ARRAY_LEN(spelt); i++)
		assert_string_equal(tree->items[i]->string, spelt[i]);
	tree = parse_yaml("[0.20, 1_000, 0x10, .5, .inf, 1:30]");
	for (size_t i = 0; i < ARRAY_LEN(yaml); i++)
		assert_string_equal(tree->items[i]->string, yaml[i]);
}

/* Large files, of offsets and the like, do not hold their numbers twice. */
static void whole_numbers_of_json_are_not_spelt(void **state)
{
	const struct json *tree = parse_json("[0,-7,9007199254740991]");

	for (size_t i = 0; i < tree->count; i++)
		assert_null(tree->items[i]->string);
}

static void assert_same(const struct json *a, const struct json *b)
{
	assert_ptr_not_equal(a, b);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->line, b->line);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->integral, b->integral);
	assert_int_equal(a->string == NULL, b->string == NULL);
	if (a->string) {
		assert_ptr_not_equal(a->string, b->string);
		assert_string_equal(a->string, b->string);
	}
}

static void a_copy_needs_nothing_of_the_old_tree(void **state)
{
	static const char *const texts[] = {
		"{\"b\": [1, 0.20, {\"x\": null}, []],\n \"a\": {}, "
		"\"c\": \"t\", \"d\": true}",
		"7",
		"[]",
		"[[[[[1]]]], [[2], [3, [4]]]]",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO_ARENA struct arena *old = arena_open();
		AUTO_FREE char *before = NULL, *after = NULL;
		const struct json *copy;
		struct json *tree;

		assert_int_equal(json_parse(texts[i], strlen(texts[i]), old,
					    &tree, NULL),
				 0);
		copy = json_copy(tree, arena);
		assert_same(tree, copy);
		for (size_t j = 0; j < tree->count; j++)
			assert_same(tree->items[j], copy->items[j]);
		if (tree->type == JSON_OBJECT)
			assert_ptr_not_equal(json_member(copy, "b"),
					     json_member(tree, "b"));
		before = json_canonical(tree);
		/* AddressSanitizer sees what the copy still needs of it. */
		arena_close(TAKE(old));
		after = json_canonical(copy);
		assert_string_equal(before, after);
	}
}

static void an_alias_is_copied_where_it_stands(void **state)
{
	const struct json *tree = parse_yaml("[&a [1, 2], *a]");
	const struct json *copy = json_copy(tree, arena);

	assert_ptr_equal(tree->items[0], tree->items[1]);
	assert_ptr_not_equal(copy->items[0], copy->items[1]);
	assert_int_equal(copy->items[1]->count, 2);
}

static void the_height_counts_containers(void **state)
{
	static const struct {
		const char *text;
		size_t height;
	} cases[] = {
		{ "1", 0 },
		{ "[]", 1 },
		{ "{}", 1 },
		{ "[1, 2]", 1 },
		{ "[1, [], {\"a\": [2]}, 3]", 3 },
		{ "{\"a\": {\"b\": {}}, \"c\": 1}", 3 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(json_height(parse_json(cases[i].text)),
				 cases[i].height);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_keeps_its_spelling),
		cmocka_unit_test(whole_numbers_of_json_are_not_spelt),
		cmocka_unit_test(a_copy_needs_nothing_of_the_old_tree),
		cmocka_unit_test(an_alias_is_copied_where_it_stands),
		cmocka_unit_test(the_height_counts_containers),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
