#include <errno.h>

#include "core/base/utf8.h"
#include "core/json_cursor.h"

/* cJSON 1.7.15 reads no more characters of a number. */
#define NUMBER_LEN_MAX 63

struct json_place json_place(const char *text, size_t off)
{
	struct json_place place = { .line = 1, .column = 1 };

	for (size_t i = 0; i < off; i++) {
		if (text[i] == '\n')
			place = (struct json_place){ place.line + 1, 1 };
		else if (((unsigned char)text[i] & 0xC0) != 0x80)
			place.column++;
	}
	return place;
}

int json_wrong_at(const struct json_cursor *cursor, size_t off,
		  const char *what)
{
	struct json_place place = json_place(cursor->text, off);

	return fail(cursor->err, EINVAL, "line %zu, column %zu: %s", place.line,
		    place.column, what);
}

int json_wrong(const struct json_cursor *cursor, const char *what)
{
	return json_wrong_at(cursor, cursor->pos, what);
}

int json_peek(const struct json_cursor *cursor)
{
	return cursor->pos < cursor->len
		       ? (unsigned char)cursor->text[cursor->pos]
		       : -1;
}

bool json_skip(struct json_cursor *cursor, char c)
{
	if (json_peek(cursor) != (unsigned char)c)
		return false;
	cursor->pos++;
	return true;
}

void json_skip_blanks(struct json_cursor *cursor)
{
	while (json_skip(cursor, ' ') || json_skip(cursor, '\n') ||
	       json_skip(cursor, '\r') || json_skip(cursor, '\t'))
		;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static size_t skip_digits(struct json_cursor *cursor)
{
	size_t start = cursor->pos;

	while (is_digit(json_peek(cursor)))
		cursor->pos++;
	return cursor->pos - start;
}

static int scan_exponent(struct json_cursor *cursor)
{
	if (!json_skip(cursor, 'e') && !json_skip(cursor, 'E'))
		return 0;
	if (!json_skip(cursor, '+'))
		json_skip(cursor, '-');
	return skip_digits(cursor)
		       ? 0
		       : json_wrong(cursor, "expected a digit of the "
					    "number's exponent");
}

static int scan_number(struct json_cursor *cursor)
{
	size_t start = cursor->pos;
	int rc;

	json_skip(cursor, '-');
	if (json_skip(cursor, '0')) {
		if (is_digit(json_peek(cursor)))
			return json_wrong(cursor,
					  "no digit may follow the 0 that a "
					  "number begins with");
	} else if (!skip_digits(cursor)) {
		return json_wrong(cursor, "expected a digit");
	}
	if (json_skip(cursor, '.') && !skip_digits(cursor))
		return json_wrong(cursor, "expected a digit after the point");
	rc = scan_exponent(cursor);
	if (rc)
		return rc;
	if (cursor->pos - start > NUMBER_LEN_MAX)
		return json_wrong_at(cursor, start,
				     "the number has more than 63 characters");
	return 0;
}

static int hex_value(int c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The four hex digits of \uXXXX, with the cursor at the backslash; -1: none
 * there. */
static int scan_unit(struct json_cursor *cursor)
{
	int unit = 0, value;

	if (!json_skip(cursor, '\\') || !json_skip(cursor, 'u'))
		return -1;
	for (int i = 0; i < 4; i++) {
		value = hex_value(json_peek(cursor));
		if (value < 0)
			return -1;
		unit = 16 * unit + value;
		cursor->pos++;
	}
	return unit;
}

static int scan_unicode_escape(struct json_cursor *cursor)
{
	size_t start = cursor->pos;
	int unit = scan_unit(cursor), low;

	if (unit < 0)
		return json_wrong_at(cursor, start,
				     "\\u needs four hex digits");
	if (unit == 0)
		return json_wrong_at(cursor, start,
				     "a string must not hold NUL");
	if (unit < 0xD800 || unit > 0xDFFF)
		return 0;
	low = unit < 0xDC00 ? scan_unit(cursor) : -1;
	if (low < 0xDC00 || low > 0xDFFF)
		return json_wrong_at(cursor, start,
				     "half of a surrogate pair stands alone");
	return 0;
}

static int scan_escape(struct json_cursor *cursor)
{
	int c = cursor->pos + 1 < cursor->len ? cursor->text[cursor->pos + 1]
					      : 0;

	if (c == 'u')
		return scan_unicode_escape(cursor);
	if (c == 0 || !strchr("\"\\/bfnrt", c))
		return json_wrong(cursor,
				  "unknown escape in a string: only \\\" \\\\ "
				  "\\/ \\b \\f \\n \\r \\t and \\uXXXX exist");
	cursor->pos += 2;
	return 0;
}

/* One character of a string, or one escape. */
static int scan_char(struct json_cursor *cursor)
{
	size_t n;

	if (json_peek(cursor) == '\\')
		return scan_escape(cursor);
	if (json_peek(cursor) < 0x20)
		return json_wrong(cursor,
				  "a control character in a string must be "
				  "written as an escape");
	n = utf8_char(cursor->text + cursor->pos, cursor->len - cursor->pos);
	if (n == 0)
		return json_wrong(cursor, "the text is not valid UTF-8");
	cursor->pos += n;
	return 0;
}

int json_skip_string(struct json_cursor *cursor)
{
	size_t start = cursor->pos++;
	int rc;

	while (!json_skip(cursor, '"')) {
		if (cursor->pos >= cursor->len)
			return json_wrong_at(cursor, start,
					     "the string has no end");
		rc = scan_char(cursor);
		if (rc)
			return rc;
	}
	return 0;
}

static int scan_literal(struct json_cursor *cursor)
{
	static const char *const literals[] = { "true", "false", "null" };
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
		len = strlen(literals[i]);
		if (cursor->len - cursor->pos < len ||
		    memcmp(cursor->text + cursor->pos, literals[i], len) != 0)
			continue;
		cursor->pos += len;
		return 0;
	}
	if (json_peek(cursor) < 0)
		return json_wrong(cursor,
				  "the text ends where a value is expected");
	return json_wrong(cursor,
			  "expected a value: a string in double quotes, a "
			  "number, true, false, null, a list or an object");
}

int json_skip_scalar(struct json_cursor *cursor)
{
	int c = json_peek(cursor);

	if (c == '"')
		return json_skip_string(cursor);
	if (c == '-' || is_digit(c))
		return scan_number(cursor);
	return scan_literal(cursor);
}
