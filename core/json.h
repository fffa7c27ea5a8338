/*
 * One immutable tree for JSON and YAML (core/yaml.h makes the same), and exact
 * look-ups in it. The text is checked against RFC 8259 to the letter before
 * anything is made of it: UTF-8, one value and nothing after it, no doubled
 * names, no NUL in a string, a limit on depth. Look-up by name is exact and
 * takes logarithmic time; members keep the order of the text.
 *
 * A tree lives in the arena that it was parsed into.
 */
#ifndef LMFS_JSON_H
#define LMFS_JSON_H

#include "core/base/arena.h"
#include "core/base/base.h"
#include "core/base/error.h"

#define JSON_DEPTH_MAX 64
#define JSON_TEXT_MAX (100u << 20)
#define JSON_EXACT_END 9007199254740992.0 /* 2^53 */
#define JSON_VALUES_MAX (4u << 20)	  /* values in one text */

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json {
	enum json_type type;
	bool boolean;  /* JSON_BOOL */
	bool integral; /* JSON_NUMBER written without '.', 'e' or 'E' */
	unsigned line; /* of the text, from 1; 0: not known */
	double number; /* JSON_NUMBER */
	/* JSON_STRING: UTF-8, no NUL inside. JSON_NUMBER: as it is spelt in the
	 * text, or NULL where json_write_number() spells it so. */
	const char *string;
	size_t count;		   /* items of an array, members of an object */
	struct json *const *items; /* JSON_ARRAY and JSON_OBJECT: the values */
	const char *const *names; /* JSON_OBJECT: names[i] goes with items[i] */
	const uint32_t *sorted;	  /* JSON_OBJECT: indices in order of strcmp */
};

/*
 * Parse len bytes. On failure the sentence says what is wrong and at which line
 * and column (-EINVAL), or that there is no memory (-ENOMEM); the caller adds
 * the file's name.
 */
int json_parse(const char *text, size_t len, struct arena *arena,
	       struct json **tree, struct error *err);

/* The member of an object with exactly this name, else NULL (also for NULL or
 * anything that is not an object). */
const struct json *json_member(const struct json *object, const char *name);

/* The string of a member, else NULL where it is absent or no string. */
const char *json_member_string(const struct json *object, const char *name);

/*
 * A whole number in [0, 2^53), written without point or exponent: true and
 * *number. (2^53 is where larger ones begin to be read as their neighbours.)
 */
bool json_u64(const struct json *value, uint64_t *number);

/* How many containers stand inside one another; a scalar has 0. */
size_t json_height(const struct json *tree);

/* A copy of a tree that needs nothing of the old one; what stands at several
 * places (YAML's aliases) is copied for each. NULL: no memory. */
const struct json *json_copy(const struct json *tree, struct arena *arena);

/* "an object", "a list", ... for sentences. */
const char *json_type_name(enum json_type type);

/*
 * Canonical text: no white space, members in order of strcmp, shortest numbers
 * that read back the same. Equal trees, from JSON or YAML, give equal text. The
 * caller frees it; NULL: no memory.
 */
char *json_canonical(const struct json *tree);

/*
 * Write a string as a JSON string with its quotes to a memory stream or file.
 * Bytes that are not valid UTF-8 (a path may hold such) become U+FFFD.
 */
void json_write_string(FILE *out, const char *text);

/*
 * The fewest digits that read back as exactly this finite number; whole numbers
 * below 2^53 have no exponent. NaN and infinities are written as null.
 */
void json_write_number(FILE *out, double number);

/*
 * Write a tree, members in their own order, indented by `indent` blanks a level
 * (0: on one line). Numbers have a form that YAML 1.1 reads as the same: 1e-05,
 * a string there, is written 1.0e-05, and -0 is written -0.0.
 */
void json_write(FILE *out, const struct json *tree, unsigned indent);

/*
 * Replace or add members of the object at the top of a JSON text, and leave
 * every other byte of it as it is (numbers such as 1e-05 keep their spelling,
 * members their order). `values` are JSON texts. The caller frees *out.
 */
struct json_edit {
	const char *name;
	const char *value; /* JSON text; NULL: remove the member */
};
int json_edit(const char *text, size_t len, const struct json_edit *edits,
	      size_t count, char **out, size_t *out_len, struct error *err);

#endif
