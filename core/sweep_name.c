#include "core/sweep_name.h"

#include <errno.h>

#include "core/base/text.h"
#include "core/base/utf8.h"

#define SHOWN_MAX 80 /* bytes of a name in a sentence */

/* The step where the end of a path begins: its last member. */
static size_t end_start(const struct setting_path *path)
{
	size_t i = path->count - 1;

	while (i > 0 && path->steps[i].item)
		i--;
	return i;
}

static bool ends_equal(const struct setting_path *a,
		       const struct setting_path *b)
{
	size_t i = end_start(a), j = end_start(b);

	if (a->count - i != b->count - j)
		return false;
	for (; i < a->count; i++, j++)
		if (!setting_step_equal(&a->steps[i], &b->steps[j]))
			return false;
	return true;
}

/* How many steps from the front tell the i-th key from those with its end. */
static size_t front_steps(const struct setting_path *keys, size_t count,
			  size_t i)
{
	size_t front = 0;

	for (size_t j = 0; j < count; j++) {
		size_t steps;

		if (j == i || !ends_equal(&keys[i], &keys[j]))
			continue;
		steps = setting_path_common(&keys[i], &keys[j]) + 1;
		front = steps > front ? steps : front;
	}
	return front;
}

static void write_step(FILE *out, const struct setting_step *step, bool first)
{
	if (!first)
		fputc('.', out);
	if (step->item)
		fprintf(out, "%zu", step->index);
	else
		fwrite(step->name, 1, step->len, out);
}

/* The first `front` steps, and the end. NULL: no memory. */
static const char *key_name(const struct setting_path *path, size_t front,
			    struct arena *arena)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *name = NULL;
	size_t end = end_start(path);
	bool first = true;

	if (text_open(&text) < 0)
		return NULL;
	for (size_t i = 0; i < path->count; i++) {
		if (i >= front && i < end)
			continue;
		write_step(text.out, &path->steps[i], first);
		first = false;
	}
	return text_take(&text, &name, NULL) < 0 ? NULL
						 : arena_strdup(arena, name);
}

int sweep_name_keys(const struct setting_path *keys, size_t count,
		    const char **names, struct arena *arena)
{
	for (size_t i = 0; i < count; i++) {
		names[i] =
			key_name(&keys[i], front_steps(keys, count, i), arena);
		if (!names[i])
			return -ENOMEM;
	}
	return 0;
}

static bool write_value(FILE *out, const struct json *value)
{
	AUTO_FREE char *json = NULL;

	if (value->string) {
		fputs(value->string, out);
		return true;
	}
	json = json_canonical(value);
	if (json)
		fputs(json, out);
	return json != NULL;
}

/* Whether a name is free of what a listing must not show. */
static int check_printable(const char *name, struct error *err)
{
	AUTO_FREE char *printable = strdup(name);

	if (!printable)
		return fail(err, ENOMEM, "no memory");
	utf8_make_printable(printable);
	if (strcmp(name, printable) == 0)
		return 0;
	return fail(err, EINVAL,
		    "the point would be called \"%.*s\", and has a control "
		    "character in its name",
		    SHOWN_MAX, name);
}

static int check_name(const char *name, size_t len, struct error *err)
{
	if (len <= SWEEP_NAME_MAX)
		return check_printable(name, err);
	return fail(err, EINVAL,
		    "the name of the point, \"%.*s...\", has %zu bytes, and "
		    "that of a folder at most %d; sweep fewer keys or shorter "
		    "values at once",
		    SHOWN_MAX, name, len, SWEEP_NAME_MAX);
}

int sweep_name_point(const char *const *names, const struct json *const *values,
		     size_t count, struct arena *arena, const char **name,
		     struct error *err)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *made = NULL;
	size_t len;
	int rc;

	if (text_open(&text) < 0)
		return fail(err, ENOMEM, "no memory");
	for (size_t i = 0; i < count; i++) {
		fprintf(text.out, "%s%s=", i > 0 ? "," : "", names[i]);
		if (!write_value(text.out, values[i]))
			return fail(err, ENOMEM, "no memory");
	}
	if (text_take(&text, &made, &len) < 0)
		return fail(err, ENOMEM, "no memory");
	for (char *slash = made; (slash = strchr(slash, '/'));)
		*slash = '_';
	rc = check_name(made, len, err);
	if (rc < 0)
		return rc;
	*name = arena_strndup(arena, made, len);
	return *name ? 0 : fail(err, ENOMEM, "no memory");
}
