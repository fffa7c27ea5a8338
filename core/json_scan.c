/*
 * The grammar of RFC 8259 as a machine with five states and a stack of the
 * open containers.
 */
#include <errno.h>

#include "core/base/utf8.h"
#include "core/json_scan.h"

_Static_assert(JSON_DEPTH_MAX == 64, "a sentence below names the limit");

enum expect {
	EXPECT_VALUE,
	EXPECT_FIRST_ITEM, /* or the end of the array */
	EXPECT_FIRST_NAME, /* or the end of the object */
	EXPECT_NAME,
	EXPECT_NEXT, /* a comma or the end of the container */
	EXPECT_NOTHING,
};

struct scan {
	struct json_cursor cursor;
	enum expect expect;
	struct json_span *spans;
	size_t count, room;
	uint32_t name; /* of the member whose value comes, else 0 */
	uint32_t open[JSON_DEPTH_MAX]; /* spans of the containers around it */
	size_t depth;
};

static int span_add(struct scan *scan)
{
	size_t room = scan->room ? 2 * scan->room : 64;
	struct json_span *spans;

	if (scan->count >= JSON_VALUES_MAX)
		return fail(scan->cursor.err, EINVAL,
			    "the text has more than %u values",
			    JSON_VALUES_MAX);
	if (scan->count == scan->room) {
		spans = reallocarray(scan->spans, room, sizeof(*spans));
		if (!spans)
			return fail(scan->cursor.err, ENOMEM, "no memory");
		scan->spans = spans;
		scan->room = room;
	}
	scan->spans[scan->count++] =
		(struct json_span){ .name = scan->name,
				    .start = (uint32_t)scan->cursor.pos };
	scan->name = 0;
	return 0;
}

static void value_done(struct scan *scan, size_t span)
{
	scan->spans[span].end = (uint32_t)scan->cursor.pos;
	scan->expect = scan->depth ? EXPECT_NEXT : EXPECT_NOTHING;
}

static int open_container(struct scan *scan)
{
	if (scan->depth == JSON_DEPTH_MAX)
		return json_wrong(&scan->cursor,
				  "lists and objects are nested deeper than "
				  "64 levels");
	scan->open[scan->depth++] = (uint32_t)(scan->count - 1);
	scan->expect = scan->cursor.text[scan->cursor.pos++] == '['
			       ? EXPECT_FIRST_ITEM
			       : EXPECT_FIRST_NAME;
	return 0;
}

static void close_container(struct scan *scan)
{
	scan->cursor.pos++;
	scan->depth--;
	value_done(scan, scan->open[scan->depth]);
}

static int scan_value(struct scan *scan)
{
	int c = json_peek(&scan->cursor), rc;

	rc = span_add(scan);
	if (rc)
		return rc;
	if (c == '{' || c == '[')
		return open_container(scan);
	rc = json_skip_scalar(&scan->cursor);
	if (rc)
		return rc;
	value_done(scan, scan->count - 1);
	return 0;
}

static int scan_first_item(struct scan *scan)
{
	if (json_peek(&scan->cursor) != ']')
		return scan_value(scan);
	close_container(scan);
	return 0;
}

static int scan_name(struct scan *scan)
{
	uint32_t start = (uint32_t)scan->cursor.pos;
	int rc;

	if (json_peek(&scan->cursor) != '"')
		return json_wrong(&scan->cursor,
				  "expected a member's name in double quotes");
	rc = json_skip_string(&scan->cursor);
	if (rc)
		return rc;
	json_skip_blanks(&scan->cursor);
	if (!json_skip(&scan->cursor, ':'))
		return json_wrong(&scan->cursor,
				  "expected ':' after a member's name");
	scan->name = start;
	scan->expect = EXPECT_VALUE;
	return 0;
}

static int scan_first_name(struct scan *scan)
{
	if (json_peek(&scan->cursor) != '}')
		return scan_name(scan);
	close_container(scan);
	return 0;
}

static int scan_next(struct scan *scan)
{
	uint32_t open = scan->spans[scan->open[scan->depth - 1]].start;
	bool object = scan->cursor.text[open] == '{';

	if (json_skip(&scan->cursor, ',')) {
		scan->expect = object ? EXPECT_NAME : EXPECT_VALUE;
		return 0;
	}
	if (json_peek(&scan->cursor) != (object ? '}' : ']'))
		return json_wrong(&scan->cursor,
				  object ? "expected ',' or '}' in an object"
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

	if (scan->cursor.len > JSON_TEXT_MAX)
		return fail(scan->cursor.err, EINVAL,
			    "the text has more than %u bytes", JSON_TEXT_MAX);
	if (scan->cursor.len >= strlen(UTF8_BOM) &&
	    memcmp(scan->cursor.text, UTF8_BOM, strlen(UTF8_BOM)) == 0)
		return json_wrong(&scan->cursor,
				  "the text begins with a byte order mark; "
				  "remove it");
	json_skip_blanks(&scan->cursor);
	while (scan->expect != EXPECT_NOTHING) {
		rc = steps[scan->expect](scan);
		if (rc)
			return rc;
		json_skip_blanks(&scan->cursor);
	}
	if (scan->cursor.pos < scan->cursor.len)
		return json_wrong(&scan->cursor,
				  "something follows the end of the value");
	return 0;
}

int json_scan(const char *text, size_t len, struct json_span **spans,
	      size_t *count, struct error *err)
{
	struct scan scan = { .cursor = {
				     .text = text, .len = len, .err = err } };
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
