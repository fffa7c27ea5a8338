#include "core/scalar.h"

#include <errno.h>
#include <strings.h>

#include "core/near.h"
#include "core/where.h"

#define SCALAR_TEXT_MAX 80

/* A scalar as the recipe spells it, for sentences. */
static const char *scalar_text(const struct json *value,
			       char text[SCALAR_TEXT_MAX])
{
	if (value->type == JSON_STRING)
		snprintf(text, SCALAR_TEXT_MAX, "\"%.60s\"", value->string);
	else if (value->type == JSON_NUMBER)
		snprintf(text, SCALAR_TEXT_MAX, "%.15g", value->number);
	else if (value->type == JSON_BOOL)
		snprintf(text, SCALAR_TEXT_MAX, "%s",
			 value->boolean ? "true" : "false");
	else
		snprintf(text, SCALAR_TEXT_MAX, "%s",
			 json_type_name(value->type));
	return text;
}

/* A decimal number and nothing else, as in "1e-3": YAML 1.1 reads it as text.
 */
static bool number_of_text(const char *text, double *number)
{
	const char *start = text + strspn(text, " \t\n");
	char *end;

	if (start[strspn(start, "0123456789+-.eE \t\n")] != '\0')
		return false;
	*number = strtod(start, &end);
	return end != start && end[strspn(end, " \t\n")] == '\0' &&
	       isfinite(*number);
}

static bool number_of(const struct json *value, double *number)
{
	switch (value->type) {
	case JSON_BOOL:
		*number = value->boolean;
		return true;
	case JSON_NUMBER:
		*number = value->number;
		return isfinite(*number);
	case JSON_STRING:
		return number_of_text(value->string, number);
	default:
		return false;
	}
}

static const struct {
	const char *word;
	bool means;
} bool_words[] = {
	{ "true", true }, { "false", false }, { "yes", true }, { "no", false },
	{ "on", true },	  { "off", false },   { "y", true },   { "n", false },
	{ "t", true },	  { "f", false },     { "1", true },   { "0", false },
};

static bool bool_of(const struct json *value, double *number)
{
	if (value->type == JSON_STRING) {
		for (size_t i = 0; i < ARRAY_LEN(bool_words); i++) {
			if (strcasecmp(value->string, bool_words[i].word) != 0)
				continue;
			*number = bool_words[i].means;
			return true;
		}
		return false;
	}
	return number_of(value, number) && (*number == 0 || *number == 1);
}

static bool whole_of(const struct json *value, double *number)
{
	return number_of(value, number) && *number == trunc(*number);
}

static const struct {
	bool (*read)(const struct json *value, double *number);
	const char *what;
} types[] = {
	[OPTION_FLOAT] = { number_of, "a finite number" },
	[OPTION_BOOL] = { bool_of, "true or false" },
	[OPTION_INT] = { whole_of, "a whole number" },
};

static int range_fail(const struct method_option *option, const char *text,
		      struct error *err)
{
	if (isinf(option->max))
		return fail(err, EINVAL, "%s must be at least %g", text,
			    option->min);
	if (isinf(option->min))
		return fail(err, EINVAL, "%s must be at most %g", text,
			    option->max);
	return fail(err, EINVAL, "%s must be between %g and %g", text,
		    option->min, option->max);
}

static int choice_read(const struct method_option *option,
		       const struct json *value, double *number,
		       struct error *err)
{
	size_t count = (size_t)option->max + 1;
	char text[SCALAR_TEXT_MAX];
	const char *near = NULL;

	for (size_t i = 0; value->type == JSON_STRING && i < count; i++)
		if (strcmp(value->string, option->choices[i]) == 0) {
			*number = (double)i;
			return 0;
		}
	if (value->type == JSON_STRING)
		near = near_name(value->string, option->choices, count);
	return fail(err, EINVAL, "%s is not %s%s%s%s", scalar_text(value, text),
		    where_choices(option->choices, count).text,
		    near ? "; did you mean \"" : "", near ? near : "",
		    near ? "\"?" : "");
}

int scalar_read(const struct method_option *option, const struct json *value,
		double *number, struct error *err)
{
	char text[SCALAR_TEXT_MAX];

	if (option->type == OPTION_CHOICE)
		return choice_read(option, value, number, err);
	if (!types[option->type].read(value, number))
		return fail(err, EINVAL, "%s is not %s",
			    scalar_text(value, text), types[option->type].what);
	if (*number < option->min || *number > option->max)
		return range_fail(option, scalar_text(value, text), err);
	return 0;
}

void scalar_write(FILE *out, const struct method_option *option, double value)
{
	if (option->type == OPTION_BOOL && !isnan(value))
		fputs(value != 0 ? "true" : "false", out);
	else if (option->type == OPTION_CHOICE && !isnan(value))
		json_write_string(out, option->choices[(size_t)value]);
	else
		json_write_number(out, value);
}
