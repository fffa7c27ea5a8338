/*
 * The grammar of RFC 8259 as a machine with five states and a stack of the
 * open containers.
 */
#include <errno.h>
#include <stdio.h>

#include "core/base/utf8.h"
#include "core/json_scan.h"

/* cJSON 1.7.15 reads no more characters of a number. */
#define NUMBER_LEN_MAX 63

enum expect {
	EXPECT_VALUE,
	EXPECT_FIRST_ITEM, /* or the end of the array */
	EXPECT_FIRST_NAME, /* or the end of the object */
	EXPECT_NAME,
	EXPECT_NEXT, /* a comma or the end of the container */
	EXPECT_NOTHING,
};

struct scan {
	const char *text;
	size_t len;
	size_t pos;
	enum expect expect;
	struct json_span *spans;
	size_t count, room;
	uint32_t name; /* of the member whose value comes, else 0 */
	uint32_t open[JSON_DEPTH_MAX]; /* spans of the containers around pos */
	size_t depth;
	struct error *err;
};

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

static int wrong_at(struct scan *scan, size_t off, const char *what)
{
	struct json_place place = json_place(scan->text, off);

	return fail(scan->err, EINVAL, "line %zu, column %zu: %s", place.line,
		    place.column, what);
}

static int wrong(struct scan *scan, const char *what)
{
	return wrong_at(scan, scan->pos, what);
}

/* The byte at pos, or -1 at the end. */
static int peek(const struct scan *scan)
{
	return scan->pos < scan->len ? (unsigned char)scan->text[scan->pos]
				     : -1;
}

static bool skip(struct scan *scan, char c)
{
	if (peek(scan) != (unsigned char)c)
		return false;
	scan->pos++;
	return true;
}

static void skip_blanks(struct scan *scan)
{
	while (skip(scan, ' ') || skip(scan, '\n') || skip(scan, '\r') ||
	       skip(scan, '\t'))
		;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static size_t skip_digits(struct scan *scan)
{
	size_t start = scan->pos;

	while (is_digit(peek(scan)))
		scan->pos++;
	return scan->pos - start;
}

static int scan_exponent(struct scan *scan)
{
	if (!skip(scan, 'e') && !skip(scan, 'E'))
		return 0;
	if (!skip(scan, '+'))
		skip(scan, '-');
	return skip_digits(scan) ? 0
				 : wrong(scan, "expected a digit of the "
					       "number's exponent");
}

static int scan_number(struct scan *scan)
{
	size_t start = scan->pos;
	int rc;

	skip(scan, '-');
	if (skip(scan, '0')) {
		if (is_digit(peek(scan)))
			return wrong(scan, "no digit may follow the 0 that a "
					   "number begins with");
	} else if (!skip_digits(scan)) {
		return wrong(scan, "expected a digit");
	}
	if (skip(scan, '.') && !skip_digits(scan))
		return wrong(scan, "expected a digit after the point");
	rc = scan_exponent(scan);
	if (rc)
		return rc;
	if (scan->pos - start > NUMBER_LEN_MAX)
		return wrong_at(scan, start,
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

/* The four hex digits of \uXXXX, with pos at the backslash; -1: none there. */
static int scan_unit(struct scan *scan)
{
	int unit = 0, value;

	if (!skip(scan, '\\') || !skip(scan, 'u'))
		return -1;
	for (int i = 0; i < 4; i++) {
		value = hex_value(peek(scan));
		if (value < 0)
			return -1;
		unit = 16 * unit + value;
		scan->pos++;
	}
	return unit;
}

static int scan_unicode_escape(struct scan *scan)
{
	size_t start = scan->pos;
	int unit = scan_unit(scan), low;

	if (unit < 0)
		return wrong_at(scan, start, "\\u needs four hex digits");
	if (unit == 0)
		return wrong_at(scan, start, "a string must not hold NUL");
	if (unit < 0xD800 || unit > 0xDFFF)
		return 0;
	low = unit < 0xDC00 ? scan_unit(scan) : -1;
	if (low < 0xDC00 || low > 0xDFFF)
		return wrong_at(scan, start,
				"half of a surrogate pair stands alone");
	return 0;
}

static int scan_escape(struct scan *scan)
{
	int c = scan->pos + 1 < scan->len ? scan->text[scan->pos + 1] : 0;

	if (c == 'u')
		return scan_unicode_escape(scan);
	if (c == 0 || !strchr("\"\\/bfnrt", c))
		return wrong(scan, "unknown escape in a string: only \\\" \\\\ "
				   "\\/ \\b \\f \\n \\r \\t and \\uXXXX exist");
	scan->pos += 2;
	return 0;
}

/* One character of a string, or one escape. */
static int scan_char(struct scan *scan)
{
	size_t n;

	if (peek(scan) == '\\')
		return scan_escape(scan);
	if (peek(scan) < 0x20)
		return wrong(scan, "a control character in a string must be "
				   "written as an escape");
	n = utf8_char(scan->text + scan->pos, scan->len - scan->pos);
	if (n == 0)
		return wrong(scan, "the text is not valid UTF-8");
	scan->pos += n;
	return 0;
}

static int scan_string(struct scan *scan)
{
	size_t start = scan->pos++;
	int rc;

	while (!skip(scan, '"')) {
		if (scan->pos >= scan->len)
			return wrong_at(scan, start, "the string has no end");
		rc = scan_char(scan);
		if (rc)
			return rc;
	}
	return 0;
}

static int scan_literal(struct scan *scan)
{
	static const char *const literals[] = { "true", "false", "null" };
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
		len = strlen(literals[i]);
		if (scan->len - scan->pos < len ||
		    memcmp(scan->text + scan->pos, literals[i], len) != 0)
			continue;
		scan->pos += len;
		return 0;
	}
	if (peek(scan) < 0)
		return wrong(scan, "the text ends where a value is expected");
	return wrong(scan, "expected a value: a string in double quotes, a "
			   "number, true, false, null, a list or an object");
}

static int span_add(struct scan *scan)
{
	size_t room = scan->room ? 2 * scan->room : 64;
	struct json_span *spans;

	if (scan->count >= JSON_VALUES_MAX)
		return fail(scan->err, EINVAL,
			    "the text has more than %u values",
			    JSON_VALUES_MAX);
	if (scan->count == scan->room) {
		spans = reallocarray(scan->spans, room, sizeof(*spans));
		if (!spans)
			return fail(scan->err, ENOMEM, "no memory");
		scan->spans = spans;
		scan->room = room;
	}
	scan->spans[scan->count++] =
		(struct json_span){ .name = scan->name,
				    .start = (uint32_t)scan->pos };
	scan->name = 0;
	return 0;
}

static void value_done(struct scan *scan, size_t span)
{
	scan->spans[span].end = (uint32_t)scan->pos;
	scan->expect = scan->depth ? EXPECT_NEXT : EXPECT_NOTHING;
}

static int open_container(struct scan *scan)
{
	if (scan->depth == JSON_DEPTH_MAX)
		return wrong(scan, "lists and objects are nested deeper than "
				   "64 levels");
	scan->open[scan->depth++] = (uint32_t)(scan->count - 1);
	scan->expect = scan->text[scan->pos++] == '[' ? EXPECT_FIRST_ITEM
						      : EXPECT_FIRST_NAME;
	return 0;
}

static void close_container(struct scan *scan)
{
	scan->pos++;
	scan->depth--;
	value_done(scan, scan->open[scan->depth]);
}

static int scan_value(struct scan *scan)
{
	int c = peek(scan), rc;

	rc = span_add(scan);
	if (rc)
		return rc;
	if (c == '{' || c == '[')
		return open_container(scan);
	if (c == '"')
		rc = scan_string(scan);
	else if (c == '-' || is_digit(c))
		rc = scan_number(scan);
	else
		rc = scan_literal(scan);
	if (rc)
		return rc;
	value_done(scan, scan->count - 1);
	return 0;
}

static int scan_first_item(struct scan *scan)
{
	if (peek(scan) != ']')
		return scan_value(scan);
	close_container(scan);
	return 0;
}

static int scan_name(struct scan *scan)
{
	uint32_t start = (uint32_t)scan->pos;
	int rc;

	if (peek(scan) != '"')
		return wrong(scan, "expected a member's name in double quotes");
	rc = scan_string(scan);
	if (rc)
		return rc;
	skip_blanks(scan);
	if (!skip(scan, ':'))
		return wrong(scan, "expected ':' after a member's name");
	scan->name = start;
	scan->expect = EXPECT_VALUE;
	return 0;
}

static int scan_first_name(struct scan *scan)
{
	if (peek(scan) != '}')
		return scan_name(scan);
	close_container(scan);
	return 0;
}

static int scan_next(struct scan *scan)
{
	uint32_t open = scan->spans[scan->open[scan->depth - 1]].start;
	bool object = scan->text[open] == '{';

	if (skip(scan, ',')) {
		scan->expect = object ? EXPECT_NAME : EXPECT_VALUE;
		return 0;
	}
	if (peek(scan) != (object ? '}' : ']'))
		return wrong(scan, object ? "expected ',' or '}' in an object"
					  : "expected ',' or ']' in a list");
	close_container(scan);
	return 0;
}

static int (*const steps[])(struct scan *) = {
	[EXPECT_VALUE] = scan_value,
	[EXPECT_FIRST_ITEM] = scan_first_item,
	[EXPECT_FIRST_NAME] = scan_first_name,
	[EXPECT_NAME] = scan_name,
	[EXPECT_NEXT] = scan_next,
};

static int scan_text(struct scan *scan)
{
	int rc;

	if (scan->len > JSON_TEXT_MAX)
		return fail(scan->err, EINVAL,
			    "the text has more than %u bytes", JSON_TEXT_MAX);
	if (scan->len >= strlen(UTF8_BOM) &&
	    memcmp(scan->text, UTF8_BOM, strlen(UTF8_BOM)) == 0)
		return wrong(scan, "the text begins with a byte order mark; "
				   "remove it");
	skip_blanks(scan);
	while (scan->expect != EXPECT_NOTHING) {
		rc = steps[scan->expect](scan);
		if (rc)
			return rc;
		skip_blanks(scan);
	}
	if (scan->pos < scan->len)
		return wrong(scan, "something follows the end of the value");
	return 0;
}

int json_scan(const char *text, size_t len, struct json_span **spans,
	      size_t *count, struct error *err)
{
	struct scan scan = { .text = text, .len = len, .err = err };
	int rc = scan_text(&scan);

	if (rc) {
		free(scan.spans);
		return rc;
	}
	*spans = scan.spans;
	*count = scan.count;
	return 0;
}

size_t json_span_after(const struct json_span *spans, size_t count, size_t at)
{
	uint32_t end = spans[at].end;

	while (at < count && spans[at].start < end)
		at++;
	return at;
}
