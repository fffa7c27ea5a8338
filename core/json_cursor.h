/*
 * A place in a JSON text, and the lexical half of RFC 8259: strings, numbers
 * and literals, checked to the letter and stepped over. Nothing is decoded.
 */
#ifndef LMFS_JSON_CURSOR_H
#define LMFS_JSON_CURSOR_H

#include "core/base/base.h"
#include "core/base/error.h"

struct json_cursor {
	const char *text;
	size_t len;
	size_t pos;
	struct error *err; /* may be NULL */
};

struct json_place {
	size_t line, column; /* from 1; columns count characters */
};

struct json_place json_place(const char *text, size_t off);

/* Say what is wrong at an offset, or where the cursor is: -EINVAL. */
int json_wrong_at(const struct json_cursor *cursor, size_t off,
		  const char *what);
int json_wrong(const struct json_cursor *cursor, const char *what);

/* The byte at the cursor, or -1 at the end. */
int json_peek(const struct json_cursor *cursor);

/* Step over this byte, if it is there. */
bool json_skip(struct json_cursor *cursor, char c);
void json_skip_blanks(struct json_cursor *cursor);

/* Step over a string (the cursor is at its quote), or over a number, true,
 * false or null: 0 or -EINVAL. */
int json_skip_string(struct json_cursor *cursor);
int json_skip_scalar(struct json_cursor *cursor);

#endif
