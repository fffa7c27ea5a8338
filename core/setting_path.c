#include "core/setting_path.h"

#include <errno.h>

#include "core/base/utf8.h"

#define DIGITS "0123456789"
#define SHOWN_MAX 200 /* bytes of a path in a sentence */

static int wrong(const char *text, struct error *err, const char *why)
{
	return fail(err, EINVAL,
		    "\"%.*s\" is no path such as "
		    "models[1].parameters.weight: %s",
		    SHOWN_MAX, text, why);
}

/* Whether every byte is text that may stand in a line. */
static int check_bytes(const char *text, struct error *err)
{
	AUTO_FREE char *printable = strdup(text);

	if (!printable)
		return fail(err, ENOMEM, "no memory");
	utf8_make_printable(printable);
	if (strcmp(text, printable) != 0)
		return wrong(text, err,
			     "it has a control character, or is not "
			     "UTF-8");
	return 0;
}

/* "[12]" at *at. */
static const char *read_item(const char *at, struct setting_step *step)
{
	size_t digits = strspn(at + 1, DIGITS);

	if (digits == 0 || digits > SETTING_INDEX_DIGITS ||
	    (at[1] == '0' && digits > 1) || at[1 + digits] != ']')
		return NULL;
	step->item = true;
	step->index = strtoul(at + 1, NULL, 10);
	return at + digits + 2;
}

static int read_step(const char *text, const char **at,
		     struct setting_step *step, struct error *err)
{
	const char *end;

	if (**at == '[' && *at > text) {
		end = read_item(*at, step);
		if (!end)
			return wrong(text, err,
				     "an item of a list is a number "
				     "in brackets, from [0] on");
		*at = end;
		return 0;
	}
	if (*at > text) {
		if (**at != '.')
			return wrong(text, err, "a '.' parts its members");
		(*at)++;
	}
	step->name = *at;
	step->len = strcspn(*at, ".[]");
	if (step->len == 0)
		return wrong(text, err, "a name is missing in it");
	if (strspn(*at, DIGITS) == step->len)
		return wrong(text, err,
			     "an item of a list stands in brackets, "
			     "as in models[0]");
	*at += step->len;
	return 0;
}

int setting_path_read(const char *text, struct setting_path *path,
		      struct error *err)
{
	const char *at = text;
	int rc = check_bytes(text, err);

	if (rc < 0)
		return rc;
	*path = (struct setting_path){ .text = text };
	do {
		struct setting_step *step = &path->steps[path->count];

		if (path->count == SETTING_STEPS_MAX)
			return fail(err, EINVAL,
				    "the path \"%.*s\" has more than %d steps",
				    SHOWN_MAX, text, SETTING_STEPS_MAX);
		rc = read_step(text, &at, step, err);
		if (rc < 0)
			return rc;
		step->end = (size_t)(at - text);
		path->count++;
	} while (*at);
	return 0;
}

bool setting_step_equal(const struct setting_step *a,
			const struct setting_step *b)
{
	if (a->item || b->item)
		return a->item == b->item && a->index == b->index;
	return a->len == b->len && memcmp(a->name, b->name, a->len) == 0;
}

size_t setting_path_common(const struct setting_path *a,
			   const struct setting_path *b)
{
	size_t i = 0;

	while (i < a->count && i < b->count &&
	       setting_step_equal(&a->steps[i], &b->steps[i]))
		i++;
	return i;
}

bool setting_path_inside(const struct setting_path *inner,
			 const struct setting_path *outer)
{
	return setting_path_common(inner, outer) == outer->count;
}
