/*
 * The texts of keys: whatever printf() would write, since the keys of caches
 * on people's disks were written by it.
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/key_text.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define RANDOM_NUMBERS 20000

static void assert_text(const struct key_text *text, const char *wanted)
{
	assert_null(text->grown);
	assert_int_equal(text->len, strlen(wanted));
	assert_memory_equal(text->first, wanted, text->len);
}

static void assert_double(double value)
{
	AUTO_KEY_TEXT struct key_text text;
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "%a", value);
	key_text_init(&text);
	key_text_double(&text, value);
	assert_text(&text, wanted);
}

static void doubles_are_written_as_printf_does(void **state)
{
	static const double values[] = {
		0,	 0.1,	   1,	    2,	     0.5,     1.0 / 3,
		1e300,	 1e-300,   DBL_MIN, DBL_MAX, 5e-324,  DBL_MIN / 2,
		DBL_MIN, INFINITY, 1024.25, 0x1p-52, 0x1.8p9, DBL_EPSILON,
	};
	uint64_t seed = 1;

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		assert_double(values[i]);
		assert_double(-values[i]);
	}
	for (size_t i = 0; i < RANDOM_NUMBERS; i++) {
		uint64_t bits = fixture_random(&seed);
		double value;

		memcpy(&value, &bits, sizeof(value));
		if (!isnan(value))
			assert_double(value);
	}
}

static void whole_numbers_are_written_as_printf_does(void **state)
{
	static const uint64_t values[] = { 0,	      1,	  9,
					   10,	      UINT32_MAX, UINT64_MAX,
					   1000000000 };

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		AUTO_KEY_TEXT struct key_text text;
		char wanted[32];

		snprintf(wanted, sizeof(wanted), "%" PRIu64, values[i]);
		key_text_init(&text);
		key_text_u64(&text, values[i]);
		assert_text(&text, wanted);
	}
}

/* Of all lengths around those where it grows. */
static void the_hash_is_that_of_all_that_was_added(void **state)
{
	static char wanted[5 * KEY_TEXT_FIRST];
	const struct hash128 hash = hash_bytes("x", 1);

	for (size_t words = 1; words < 4 * KEY_TEXT_FIRST / 41; words++) {
		AUTO_KEY_TEXT struct key_text text;
		struct hash128 got;
		size_t len = 0;

		key_text_init(&text);
		for (size_t i = 0; i < words; i++) {
			char hex[HASH_HEX_LEN + 1];

			hash_hex(hash, hex);
			len += (size_t)snprintf(wanted + len,
						sizeof(wanted) - len,
						"%zu word %s\n", i, hex);
			key_text_u64(&text, i);
			key_text_add(&text, " word ");
			key_text_hash128(&text, hash);
			key_text_add(&text, "\n");
		}
		assert_int_equal(key_text_hash(&text, &got), 0);
		assert_true(hash_equal(got, hash_bytes(wanted, len)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_are_written_as_printf_does),
		cmocka_unit_test(whole_numbers_are_written_as_printf_does),
		cmocka_unit_test(the_hash_is_that_of_all_that_was_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
