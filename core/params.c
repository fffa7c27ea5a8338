/*
 * Settings of mergekit configs. With a gradient g of length L and a position t:
 *
 *	s = t (L - 1), i = trunc s, f = s - i
 *	value = (1 - f) g[i] + f g[min(i + 1, L - 1)]	numbers, in double
 *	value = g[i]					booleans, choices
 */
#include "core/params.h"

#include <errno.h>

#include "core/scalar.h"
#include "core/where.h"

/* There is nothing between two of its values. */
static bool steps(const struct method_option *option)
{
	return option->type == OPTION_BOOL || option->type == OPTION_CHOICE;
}

static int gradient_read(const struct method_option *option,
			 const struct json *list, double t, double *number,
			 struct error *err)
{
	double s = t * (double)(list->count - 1);
	size_t i0 = (size_t)s;
	size_t i1 = i0 + 1 < list->count ? i0 + 1 : i0;
	double f = s - (double)i0;
	double a = 0, b = 0;
	int rc = scalar_read(option, list->items[i0], &a, err);

	if (rc == 0)
		rc = scalar_read(option, list->items[i1], &b, err);
	if (rc < 0)
		return rc;
	*number = steps(option) ? a : (1 - f) * a + f * b;
	if (option->type == OPTION_INT && *number != trunc(*number))
		return fail(err, EINVAL,
			    "the gradient gives %g here, which is not a whole "
			    "number",
			    *number);
	return 0;
}

/*
 * A scalar or a gradient: 1 and *number, 0 where it is absent (an empty list),
 * or -EINVAL.
 */
static int plain_read(const struct method_option *option,
		      const struct json *value, double t, double *number,
		      struct error *err)
{
	int rc;

	if (value->type != JSON_ARRAY)
		rc = scalar_read(option, value, number, err);
	else if (value->count == 0)
		return 0;
	else
		rc = gradient_read(option, value, t, number, err);
	return rc < 0 ? rc : 1;
}

static bool condition_matches(const struct json *condition, const char *name)
{
	const char *filter = json_member_string(condition, "filter");

	return !filter || strcmp(filter, "*") == 0 ||
	       strstr(name, filter) != NULL;
}

/* As plain_read(), for a condition whose filter matches. */
static int condition_read(const struct method_option *option,
			  const struct json *condition, double t,
			  double *number, struct error *err)
{
	const struct json *value = json_member(condition, "value");

	if (!value)
		return fail(err, EINVAL, "a filter without a value");
	return plain_read(option, value, t, number, err);
}

/* As plain_read(), for any setting. */
static int setting_read(const struct method_option *option,
			const struct json *setting, const char *name, double t,
			double *number, struct error *err)
{
	if (setting->type == JSON_OBJECT)
		return condition_matches(setting, name)
			       ? condition_read(option, setting, t, number, err)
			       : 0;
	if (setting->type != JSON_ARRAY || setting->count == 0 ||
	    setting->items[0]->type != JSON_OBJECT)
		return plain_read(option, setting, t, number, err);
	for (size_t i = 0; i < setting->count; i++)
		if (condition_matches(setting->items[i], name))
			return condition_read(option, setting->items[i], t,
					      number, err);
	return 0;
}

static int missing_fail(const struct method_option *option, struct error *err)
{
	if (option->scope == OPTION_GLOBAL)
		return fail(err, EINVAL,
			    "%s: no value for this tensor, and no default; "
			    "give one under the recipe's `parameters`",
			    option->name);
	return fail(err, EINVAL,
		    "%s: no value for this tensor, and no default; give one "
		    "under this model's `parameters`, or under the recipe's "
		    "for all models",
		    option->name);
}

int param_resolve(const struct method_option *option,
		  const struct param_levels *levels, const char *name, double t,
		  double *value, struct error *err)
{
	for (size_t i = 0; i < PARAM_LEVELS_MAX; i++) {
		const struct json *setting =
			json_member(levels->at[i], option->name);
		int rc;

		if (!setting)
			continue;
		rc = setting_read(option, setting, name, t, value, err);
		if (rc < 0)
			return fail_in(err, rc, "%s", option->name);
		if (rc > 0)
			return 0;
	}
	if (option->required)
		return missing_fail(option, err);
	*value = option->fallback;
	return 0;
}

/* What a form check needs beside the setting itself. */
struct form {
	const struct method_option *option; /* NULL: form only */
	struct report *report;
};

static bool is_scalar(const struct json *value)
{
	return value->type == JSON_BOOL || value->type == JSON_NUMBER ||
	       value->type == JSON_STRING;
}

static void check_scalar(const struct form *form, const struct json *value,
			 const char *where)
{
	struct error err = { 0 };
	double number;

	if (value->type == JSON_NULL)
		report_error(form->report, EINVAL,
			     "%s: null is no value; leave the parameter out",
			     where);
	else if (!is_scalar(value))
		report_error(form->report, EINVAL,
			     "%s: %s where a number, true or false is due",
			     where, json_type_name(value->type));
	else if (form->option &&
		 scalar_read(form->option, value, &number, &err) < 0)
		report_error(form->report, EINVAL, "%s: %s", where, err.text);
}

static void check_plain(const struct form *form, const struct json *value,
			const char *where)
{
	if (value->type != JSON_ARRAY) {
		check_scalar(form, value, where);
		return;
	}
	for (size_t i = 0; i < value->count; i++) {
		struct where inner = where_at("%s[%zu]", where, i);

		check_scalar(form, value->items[i], inner.text);
	}
}

static void check_condition(const struct form *form,
			    const struct json *condition, const char *where)
{
	const struct json *filter = json_member(condition, "filter");
	const struct json *value = json_member(condition, "value");
	struct where inner = where_at("%s.value", where);

	if (filter && filter->type != JSON_STRING && filter->type != JSON_NULL)
		report_error(form->report, EINVAL,
			     "%s.filter: must be a part of a tensor's name, "
			     "not %s",
			     where, json_type_name(filter->type));
	if (!value)
		report_error(form->report, EINVAL, "%s: missing", inner.text);
	else
		check_plain(form, value, inner.text);
}

static size_t count_objects(const struct json *list)
{
	size_t objects = 0;

	for (size_t i = 0; i < list->count; i++)
		objects += list->items[i]->type == JSON_OBJECT;
	return objects;
}

static void check_setting(const struct form *form, const struct json *setting,
			  const char *where)
{
	size_t objects;

	if (setting->type == JSON_OBJECT) {
		check_condition(form, setting, where);
		return;
	}
	objects = setting->type == JSON_ARRAY ? count_objects(setting) : 0;
	if (objects == 0) {
		check_plain(form, setting, where);
		return;
	}
	if (objects < setting->count) {
		report_error(form->report, EINVAL,
			     "%s: a list of plain values or of {filter, "
			     "value}, not of both; for the rest write "
			     "`- value: ...` last",
			     where);
		return;
	}
	for (size_t i = 0; i < setting->count; i++) {
		struct where inner = where_at("%s[%zu]", where, i);

		check_condition(form, setting->items[i], inner.text);
	}
}

static const struct method_option *
option_by_name(const struct merge_method *method, const char *name)
{
	for (size_t i = 0; method && i < method->options_count; i++)
		if (strcmp(method->options[i].name, name) == 0)
			return &method->options[i];
	return NULL;
}

void param_check(const struct json *parameters,
		 const struct merge_method *method, const char *path,
		 struct report *report)
{
	if (!parameters)
		return;
	for (size_t i = 0; i < parameters->count; i++) {
		const char *name = parameters->names[i];
		const struct form form = {
			.option = option_by_name(method, name),
			.report = report,
		};
		struct where where = where_at("%s.%s", path, name);

		check_setting(&form, parameters->items[i], where.text);
	}
}
