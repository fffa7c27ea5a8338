#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/dtype.h"

#include <cmocka.h>

/* The safetensors specification's names and sizes, each one type of ours. */
static void names_are_those_of_the_format(void **state)
{
	static const struct {
		const char *name;
		unsigned bits;
	} format[] = {
		{ "F64", 64 },	      { "F32", 32 },	    { "F16", 16 },
		{ "BF16", 16 },	      { "I64", 64 },	    { "I32", 32 },
		{ "I16", 16 },	      { "I8", 8 },	    { "U64", 64 },
		{ "U32", 32 },	      { "U16", 16 },	    { "U8", 8 },
		{ "BOOL", 8 },	      { "C64", 64 },	    { "F8_E4M3", 8 },
		{ "F8_E5M2", 8 },     { "F8_E8M0", 8 },	    { "F4", 4 },
		{ "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 }, { "F6_E2M3", 6 },
		{ "F6_E3M2", 6 },
	};
	enum dtype dtype;

	assert_int_equal(ARRAY_LEN(format), DTYPE_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(format); i++) {
		dtype = dtype_by_name(format[i].name);
		assert_true(dtype < DTYPE_COUNT);
		assert_string_equal(dtype_info(dtype)->name, format[i].name);
		assert_int_equal(dtype_info(dtype)->bits, format[i].bits);
	}
	assert_int_equal(dtype_by_name("bf16"), DTYPE_NONE);
	assert_int_equal(dtype_by_name(""), DTYPE_NONE);
}

static void arithmetic_is_for_four_types(void **state)
{
	for (enum dtype dtype = 0; dtype < DTYPE_COUNT; dtype++)
		assert_int_equal(dtype_info(dtype)->arithmetic,
				 dtype == DTYPE_F64 || dtype == DTYPE_F32 ||
					 dtype == DTYPE_F16 ||
					 dtype == DTYPE_BF16);
}

static void recipe_names_are_torch_names(void **state)
{
	static const struct {
		const char *name;
		enum dtype dtype;
	} cases[] = {
		{ "bfloat16", DTYPE_BF16 },
		{ "torch.bfloat16", DTYPE_BF16 },
		{ "float16", DTYPE_F16 },
		{ "torch.float32", DTYPE_F32 },
		{ "float64", DTYPE_F64 },
		{ "int64", DTYPE_I64 },
		{ "int32", DTYPE_NONE },
		{ "bf16", DTYPE_NONE },
		{ "torch.", DTYPE_NONE },
		{ "", DTYPE_NONE },
		{ "torch.torch.int64", DTYPE_NONE },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(dtype_by_torch_name(cases[i].name),
				 cases[i].dtype);
}

/* The table of torch.promote_types() for its floating types. */
static void promotion_is_that_of_torch(void **state)
{
	static const enum dtype types[] = { DTYPE_BF16, DTYPE_F16, DTYPE_F32,
					    DTYPE_F64 };
	static const enum dtype promoted[4][4] = {
		{ DTYPE_BF16, DTYPE_F32, DTYPE_F32, DTYPE_F64 },
		{ DTYPE_F32, DTYPE_F16, DTYPE_F32, DTYPE_F64 },
		{ DTYPE_F32, DTYPE_F32, DTYPE_F32, DTYPE_F64 },
		{ DTYPE_F64, DTYPE_F64, DTYPE_F64, DTYPE_F64 },
	};

	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 4; j++)
			assert_int_equal(dtype_promote(types[i], types[j]),
					 promoted[i][j]);
	assert_int_equal(dtype_promote(DTYPE_I8, DTYPE_I8), DTYPE_I8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_format),
		cmocka_unit_test(arithmetic_is_for_four_types),
		cmocka_unit_test(recipe_names_are_torch_names),
		cmocka_unit_test(promotion_is_that_of_torch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
