#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/yaml.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

static void assert_reads(const char *text, const char *canonical)
{
	AUTO_FREE char *made = json_canonical(parse_yaml(text));

	if (strcmp(made, canonical) != 0)
		fail_msg("%s: %s, not %s", text, made, canonical);
}

/* A scalar as PyYAML 6.0.3 reads it; "s": as a string. */
static const char *const scalars[][2] = {
	{ "1", "1" },
	{ "-1", "-1" },
	{ "+1", "1" },
	{ "-0", "0" },
	{ "0", "0" },
	{ "12_3", "123" },
	{ "1_", "1" },
	{ "_1", "s" },
	{ "010", "8" },
	{ "-010", "-8" },
	{ "00", "0" },
	{ "0_", "0" },
	{ "07_7", "63" },
	{ "08", "s" },
	{ "0o10", "s" },
	{ "0b1_0", "2" },
	{ "-0b101", "-5" },
	{ "0b12", "s" },
	{ "0b", "s" },
	{ "0xFf", "255" },
	{ "-0x1_0", "-16" },
	{ "0X1F", "s" },
	{ "0x", "s" },
	{ "0x1.8", "s" },
	{ "1:30", "90" },
	{ "-1:30", "-90" },
	{ "190:20:30", "685230" },
	{ "1:60", "s" },
	{ "01:30", "s" },
	{ "0:0", "s" },
	{ "1:30.5", "90.5" },
	{ "-1:30.5", "-90.5" },
	{ "1:00:00.1", "3600.1" },
	{ "190:20:30.15", "685230.15" },
	{ "1:30.5e+1", "s" },
	{ "1:5:x", "s" },
	{ "12345678901234567890", "1.2345678901234567e+19" },
	{ "0x1fffffffffffffffffff", "1.5111572745182865e+23" },
	{ "1e3", "s" },
	{ "1e-3", "s" },
	{ "1e+3", "s" },
	{ "1.0e5", "s" },
	{ "1.0e55", "s" },
	{ "1.0e+5", "100000" },
	{ "1.5E-3", "0.0015" },
	{ "1.", "1" },
	{ "-1.e+3", "-1000" },
	{ ".5", "0.5" },
	{ ".5e+3", "500" },
	{ ".5e3", "s" },
	{ "+.5", "s" },
	{ "-.5", "s" },
	{ "+0.5", "0.5" },
	{ "-0.0", "-0" },
	{ "00.5", "0.5" },
	{ "._5", "s" },
	{ "5._", "5" },
	{ "1_0.0_1", "10.01" },
	{ "1.2.3", "s" },
	{ "1.0f", "s" },
	{ "1,000", "s" },
	{ "4.9e-324", "5e-324" },
	{ "1.0e-400", "0" },
	{ "inf", "s" },
	{ "nan", "s" },
	{ "-.nan", "s" },
	{ ".iNF", "s" },
	{ ".", "s" },
	{ "..", "s" },
	{ "+", "s" },
	{ "--", "s" },
	{ "yes", "true" },
	{ "Yes", "true" },
	{ "YES", "true" },
	{ "yEs", "s" },
	{ "no", "false" },
	{ "on", "true" },
	{ "Off", "false" },
	{ "true", "true" },
	{ "TRUE", "true" },
	{ "tRUE", "s" },
	{ "False", "false" },
	{ "y", "s" },
	{ "N", "s" },
	{ "~", "null" },
	{ "null", "null" },
	{ "Null", "null" },
	{ "NULL", "null" },
	{ "nULL", "s" },
	{ "", "null" },
	{ "None", "s" },
	{ "2001-01-01", "s" },
	{ "2001-12-14t21:59:43.10-05:00", "s" },
	{ "=", "s" },
	{ "<<", "s" },
	{ "v1.0", "s" },
};

static void scalars_are_resolved_as_by_pyyaml(void **state)
{
	char text[100], want[100];
	const char *scalar;

	for (size_t i = 0; i < ARRAY_LEN(scalars); i++) {
		scalar = scalars[i][0];
		snprintf(text, sizeof(text), "- %s\n- '%s'\n- ! %s", scalar,
			 scalar, scalar);
		if (strcmp(scalars[i][1], "s") == 0)
			snprintf(want, sizeof(want), "[\"%s\",\"%s\",\"%s\"]",
				 scalar, scalar, scalar);
		else
			snprintf(want, sizeof(want), "[%s,\"%s\",%s]",
				 scalars[i][1], scalar, scalars[i][1]);
		assert_reads(text, want);
	}
}

static void infinities_and_nan_are_numbers(void **state)
{
	const struct json *list =
		parse_yaml("[.inf, -.INF, +.Inf, .nan, 1.0e+400]");

	assert_true(list->items[0]->number == INFINITY);
	assert_true(list->items[1]->number == -INFINITY);
	assert_true(list->items[2]->number == INFINITY);
	assert_true(isnan(list->items[3]->number));
	assert_true(list->items[4]->number == INFINITY);
	for (size_t i = 0; i < list->count; i++) {
		assert_int_equal(list->items[i]->type, JSON_NUMBER);
		assert_false(list->items[i]->integral);
	}
}

static void integers_are_told_from_floats(void **state)
{
	const struct json *list = parse_yaml("[1, 1.0, 0x10, 1:30, 1:30.0]");
	static const bool integral[] = { true, false, true, true, false };

	for (size_t i = 0; i < list->count; i++)
		assert_int_equal(list->items[i]->integral, integral[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_are_resolved_as_by_pyyaml),
		cmocka_unit_test(infinities_and_nan_are_numbers),
		cmocka_unit_test(integers_are_told_from_floats),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
