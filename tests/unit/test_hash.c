#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/hash.h"

#include <cmocka.h>

/*
 * Values of the reference implementation (xxhsum -H2), one for each of the
 * ways that XXH3 takes by length. `len` bytes 0, 1, 2, ... 250, 0, ...
 */
static const struct {
	size_t len;
	const char *hex;
} vectors[] = {
	{ 0, "99aa06d3014798d86001c324468d497f" },
	{ 1, "a6cd5e9392000f6ac44bdff4074eecdb" },
	{ 3, "e3b55f57945a17cf5f4299fc161c9cbb" },
	{ 4, "eb70bf5fc779e9e6a6111d53e80a3db5" },
	{ 8, "e1e4432a62217fe4cfd50c61c8bb98c1" },
	{ 9, "16c769d83e4aebce907931979dca3746" },
	{ 16, "72950631827607e2842812cc870dcae2" },
	{ 17, "685bc458b37d057fc06e233df7729217" },
	{ 128, "14792fc3af88dc6c05321a0b64d67b41" },
	{ 129, "dd5e74ac6b45f54ebc30b63382b09a3b" },
	{ 240, "65b5be86da5540e7c92b68e16f83bbb6" },
	{ 241, "1da1cb61bcb8a2a102e8cd95421c6d02" },
	{ 1024, "d0ac1f7b93bf57b9e5d78bafa45b2aa5" },
	{ 5000, "b92ec02c39d33ce7b418500fc42320ee" },
};

static void fill(unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (unsigned char)(i % 251);
}

static void values_are_those_of_xxh3(void **state)
{
	unsigned char data[5000];
	char hex[HASH_HEX_LEN + 1];

	fill(data, sizeof(data));
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		hash_hex(hash_bytes(data, vectors[i].len), hex);
		assert_string_equal(hex, vectors[i].hex);
	}
}

static void pieces_hash_like_the_whole(void **state)
{
	unsigned char data[5000];
	struct hash128 whole;

	fill(data, sizeof(data));
	whole = hash_bytes(data, sizeof(data));
	for (size_t step = 1; step < sizeof(data); step = 2 * step + 1) {
		AUTO_HASHER struct hasher *hasher = hasher_open();

		for (size_t at = 0; at < sizeof(data); at += step)
			hasher_add(hasher, data + at,
				   min_u64(step, sizeof(data) - at));
		assert_true(hash_equal(hasher_value(hasher), whole));
	}
}

static void a_value_is_of_all_so_far(void **state)
{
	AUTO_HASHER struct hasher *hasher = hasher_open();

	assert_true(hash_equal(hasher_value(hasher), hash_bytes("", 0)));
	hasher_add(hasher, "ab", 2);
	assert_true(hash_equal(hasher_value(hasher), hash_bytes("ab", 2)));
	hasher_add(hasher, "c", 1);
	assert_true(hash_equal(hasher_value(hasher), hash_bytes("abc", 3)));
}

static void both_halves_count_for_equality(void **state)
{
	const struct hash128 a = { 1, 2 };

	assert_true(hash_equal(a, (struct hash128){ 1, 2 }));
	assert_false(hash_equal(a, (struct hash128){ 0, 2 }));
	assert_false(hash_equal(a, (struct hash128){ 1, 3 }));
}

static void hex_is_high_half_first_and_padded(void **state)
{
	char hex[HASH_HEX_LEN + 1];

	hash_hex((struct hash128){ 0xA, 0xB00000000000000C }, hex);
	assert_string_equal(hex, "000000000000000ab00000000000000c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_those_of_xxh3),
		cmocka_unit_test(pieces_hash_like_the_whole),
		cmocka_unit_test(a_value_is_of_all_so_far),
		cmocka_unit_test(both_halves_count_for_equality),
		cmocka_unit_test(hex_is_high_half_first_and_padded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
