#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/arena.h"

#include <cmocka.h>

static void memory_is_zero_aligned_and_apart(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	unsigned char *last = NULL, *data;

	for (size_t len = 0; len < 3000; len++) {
		data = arena_alloc(arena, len, 1);
		assert_non_null(data);
		assert_int_equal((uintptr_t)data % _Alignof(max_align_t), 0);
		assert_ptr_not_equal(data, last);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(data[i], 0);
		memset(data, 0xFF, len);
		last = data;
	}
}

/* Each keeps its own bytes, whatever block it lies in. */
static void allocations_do_not_overlap(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	static const size_t sizes[] = { 1, 5000000, 17, 4096, 70000, 3 };
	unsigned char *data[600];

	for (size_t i = 0; i < ARRAY_LEN(data); i++) {
		data[i] = arena_alloc(arena, 1, sizes[i % 6] / (1 + i / 6));
		assert_non_null(data[i]);
		memset(data[i], (int)(i % 251), sizes[i % 6] / (1 + i / 6));
	}
	for (size_t i = 0; i < ARRAY_LEN(data); i++)
		for (size_t j = 0; j < sizes[i % 6] / (1 + i / 6); j++)
			if (data[i][j] != i % 251)
				fail_msg("byte %zu of %zu has changed", j, i);
}

static void too_much_is_null(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();

	assert_null(arena_alloc(arena, SIZE_MAX, 1));
	assert_null(arena_alloc(arena, SIZE_MAX - 8, 1));
	assert_null(arena_alloc(arena, SIZE_MAX / 2, 3));
	assert_null(arena_alloc(arena, (size_t)1 << 33, (size_t)1 << 33));
	assert_null(arena_strndup(arena, "", SIZE_MAX));
	assert_non_null(arena_alloc(arena, 1, 1));
}

static void texts_are_copied(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	char text[] = "model";
	const char *whole = arena_strdup(arena, text);
	const char *part = arena_strndup(arena, text, 3);

	text[0] = 'X';
	assert_string_equal(whole, "model");
	assert_string_equal(part, "mod");
	assert_string_equal(arena_printf(arena, "%s[%d]", whole, 7),
			    "model[7]");
	assert_string_equal(arena_printf(arena, "%5000s", "x") + 4999, "x");
}

static void what_is_used_is_counted(void **state)
{
	AUTO_ARENA struct arena *arena = arena_open();
	size_t before;

	assert_int_equal(arena_used(arena), 0);
	assert_non_null(arena_alloc(arena, 10, 100));
	before = arena_used(arena);
	assert_in_range(before, 1000, 1000 + _Alignof(max_align_t));
	assert_non_null(arena_alloc(arena, 3, 1 << 20));
	assert_in_range(arena_used(arena) - before, 3 << 20, 4 << 20);
}

static void closing_nothing_is_fine(void **state)
{
	arena_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zero_aligned_and_apart),
		cmocka_unit_test(allocations_do_not_overlap),
		cmocka_unit_test(too_much_is_null),
		cmocka_unit_test(texts_are_copied),
		cmocka_unit_test(what_is_used_is_counted),
		cmocka_unit_test(closing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
