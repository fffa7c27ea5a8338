/*
 * The well-formed byte sequences of the Unicode Standard, table 3-7: a row for
 * each range of first bytes, with the range that the second byte may have. All
 * bytes after the second are 80..BF.
 */
#include "core/base/utf8.h"

struct utf8_row {
	unsigned char first_min, first_max;
	unsigned char second_min, second_max;
	unsigned char len;
};

static const struct utf8_row utf8_rows[] = {
	{ 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 },
	{ 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 },
	{ 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
	{ 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
};

static const struct utf8_row *find_row(unsigned char first)
{
	for (size_t i = 0; i < ARRAY_LEN(utf8_rows); i++)
		if (first >= utf8_rows[i].first_min &&
		    first <= utf8_rows[i].first_max)
			return &utf8_rows[i];
	return NULL;
}

size_t utf8_char(const char *text, size_t len)
{
	const unsigned char *byte = (const unsigned char *)text;
	const struct utf8_row *row;

	if (len == 0)
		return 0;
	if (byte[0] < 0x80)
		return 1;
	row = find_row(byte[0]);
	if (!row || len < row->len || byte[1] < row->second_min ||
	    byte[1] > row->second_max)
		return 0;
	for (size_t i = 2; i < row->len; i++)
		if ((byte[i] & 0xC0) != 0x80)
			return 0;
	return row->len;
}

bool utf8_valid(const char *text, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = utf8_char(text + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

/* Is the valid character of n bytes a control character (C0, DEL, C1)? */
static bool is_control(const unsigned char *c, size_t n)
{
	if (n == 1)
		return c[0] < 0x20 || c[0] == 0x7F;
	return n == 2 && c[0] == 0xC2 && c[1] < 0xA0;
}

void utf8_make_printable(char *text)
{
	size_t len = strlen(text), n;

	for (size_t i = 0; i < len; i += n ? n : 1) {
		n = utf8_char(text + i, len - i);
		if (n == 0)
			text[i] = '?';
		else if (is_control((unsigned char *)text + i, n))
			memset(text + i, '?', n);
	}
}
