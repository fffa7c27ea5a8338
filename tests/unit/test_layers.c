#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/layers.h"

#include <cmocka.h>

static void layers_are_read_off_names(void **state)
{
	static const struct {
		const char *name;
		uint64_t layer; /* UINT64_MAX: none */
		size_t begin, end;
	} cases[] = {
		{ "model.layers.12.mlp.up_proj.weight", 12, 13, 15 },
		{ "h.0.w", 0, 2, 3 },
		{ "a.b1.2c.3.w", 3, 8, 9 },
		{ "blocks.7.experts.3.w", 7, 7, 8 },
		{ "a.999999.w", 999999, 2, 8 },
		{ "a.1000000.w", UINT64_MAX, 0, 0 },
		{ "a.18446744073709551617.w", UINT64_MAX, 0, 0 },
		{ "a.99999999999x.1.w", 1, 15, 16 },
		{ "0.w", UINT64_MAX, 0, 0 },
		{ "a.0", UINT64_MAX, 0, 0 },
		{ "a..w", UINT64_MAX, 0, 0 },
		{ "lm_head.weight", UINT64_MAX, 0, 0 },
		{ "", UINT64_MAX, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct layer_place place = { 0 };
		bool found = layer_of_name(cases[i].name, &place);

		assert_int_equal(found, cases[i].layer != UINT64_MAX);
		if (!found)
			continue;
		assert_int_equal(place.layer, cases[i].layer);
		assert_int_equal(place.begin, cases[i].begin);
		assert_int_equal(place.end, cases[i].end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_are_read_off_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
