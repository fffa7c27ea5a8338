#include "core/key_text.h"

#include <assert.h>
#include <errno.h>
#include <math.h>

#define U64_DIGITS 20
#define MANTISSA_DIGITS 13 /* hexadecimal, of a binary64 */
#define MANTISSA_BITS 52
#define EXPONENT_MASK 0x7ffu
#define EXPONENT_BIAS 1023

void key_text_init(struct key_text *text)
{
	text->grown = NULL;
	text->len = 0;
	text->room = sizeof(text->first);
	text->broken = false;
}

void key_text_done(struct key_text *text)
{
	free(text->grown);
}

static char *bytes_of(struct key_text *text)
{
	return text->grown ? text->grown : text->first;
}

static bool grow(struct key_text *text, size_t more)
{
	size_t room = 2 * (text->room + more);
	char *grown = realloc(text->grown, room);

	if (!grown) {
		text->broken = true;
		return false;
	}
	if (!text->grown)
		memcpy(grown, text->first, text->len);
	text->grown = grown;
	text->room = room;
	return true;
}

static void add_bytes(struct key_text *text, const char *bytes, size_t len)
{
	if (len > text->room - text->len && !grow(text, len))
		return;
	memcpy(bytes_of(text) + text->len, bytes, len);
	text->len += len;
}

void key_text_add(struct key_text *text, const char *string)
{
	add_bytes(text, string, strlen(string));
}

void key_text_u64(struct key_text *text, uint64_t number)
{
	char digits[U64_DIGITS];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	add_bytes(text, digits + at, sizeof(digits) - at);
}

void key_text_hash128(struct key_text *text, struct hash128 hash)
{
	char hex[HASH_HEX_LEN + 1];

	hash_hex(hash, hex);
	add_bytes(text, hex, HASH_HEX_LEN);
}

/* The hexadecimal digits after the point, if any are not zero. */
static void add_fraction(struct key_text *text, uint64_t mantissa)
{
	char digits[1 + MANTISSA_DIGITS] = ".";
	size_t len = 1;

	for (; mantissa; len++) {
		digits[len] =
			"0123456789abcdef"[mantissa >> (MANTISSA_BITS - 4)];
		mantissa = mantissa << 4 & (((uint64_t)1 << MANTISSA_BITS) - 1);
	}
	if (len > 1)
		add_bytes(text, digits, len);
}

void key_text_double(struct key_text *text, double value)
{
	uint64_t bits, mantissa;
	int exponent;

	assert(!isnan(value));
	memcpy(&bits, &value, sizeof(bits));
	mantissa = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);
	exponent = (int)(bits >> MANTISSA_BITS & EXPONENT_MASK);
	if (signbit(value))
		key_text_add(text, "-");
	if (isinf(value)) {
		key_text_add(text, "inf");
		return;
	}
	key_text_add(text, exponent ? "0x1" : "0x0");
	add_fraction(text, mantissa);
	if (exponent || mantissa) /* a zero has the exponent 0 */
		exponent = (exponent ? exponent : 1) - EXPONENT_BIAS;
	key_text_add(text, exponent < 0 ? "p-" : "p+");
	key_text_u64(text, (uint64_t)abs(exponent));
}

int key_text_hash(const struct key_text *text, struct hash128 *hash)
{
	if (text->broken)
		return -ENOMEM;
	*hash = hash_bytes(text->grown ? text->grown : text->first, text->len);
	return 0;
}
