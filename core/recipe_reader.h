/*
 * Reading a recipe's tree: what every part of recipe*.c does with a value. A
 * value that is null counts as not given, as in mergekit. Whatever is wrong
 * goes to the report as "path: where: sentence", and reading goes on, so that
 * all errors of a recipe are said at once.
 */
#ifndef LMFS_RECIPE_READER_H
#define LMFS_RECIPE_READER_H

#include "core/recipe.h"
#include "core/where.h"

/* What a recipe is made of; all of it is copied. */
struct recipe_origin {
	const char *path, *dir;
	const char *text;
	size_t text_len;
	const struct json *tree; /* an object */
};

/* Read a tree without a sweep. NULL (reported): something is wrong. */
struct recipe *recipe_make(const struct recipe_origin *origin,
			   struct report *report);

struct reader {
	struct recipe *recipe; /* being filled */
	struct report *report;
};

/* An error at a place; where "" is the recipe as a whole. */
void reader_wrong(const struct reader *reader, int code, const char *where,
		  const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Zeroed memory that ends with the recipe; NULL (reported): no memory. */
void *reader_alloc(const struct reader *reader, size_t count, size_t size);

/* A member that is given: neither absent nor null. */
static inline const struct json *json_given(const struct json *object,
					    const char *name)
{
	const struct json *value = json_member(object, name);

	return value && value->type != JSON_NULL ? value : NULL;
}

/* A member of this type; NULL: not given, or (reported) of another type. */
const struct json *reader_typed(const struct reader *reader,
				const struct json *object, const char *name,
				enum json_type type, const char *where);

/* A string at the top of the recipe; NULL: not given, empty, or no string. */
const char *reader_string(const struct reader *reader, const char *name);

/* A list with something in it (an empty one counts as not given), else NULL. */
const struct json *reader_list(const struct reader *reader,
			       const struct json *object, const char *name,
			       const char *where);

/* A reference to a model; false (reported): malformed, or not supported. */
bool reader_ref(const struct reader *reader, const struct json *value,
		const char *where, struct model_ref *ref);

/* The `parameters` of an object, their form checked; NULL: none. `where` is the
 * object's place with a dot after it, or "". */
const struct json *reader_parameters(const struct reader *reader,
				     const struct json *parent,
				     const char *where);

/* The parts of a recipe (recipe_fields.c, recipe_inputs.c). */
void recipe_read_method(const struct reader *reader);
void recipe_read_dtypes(const struct reader *reader);
void recipe_read_tokenizer(const struct reader *reader);
void recipe_read_chat_template(const struct reader *reader);
void recipe_read_ours(const struct reader *reader);
/* After the method. Leaves recipe->slices NULL where something is wrong. */
void recipe_read_inputs(const struct reader *reader);

#endif
