#include "core/sweep.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/setting_path.h"
#include "core/sweep_name.h"

struct expansion {
	const char *path; /* of the recipe */
	struct arena *arena;
	struct report *report;
	struct setting_path *keys; /* of all points, SWEEP_KEYS_MAX of them */
	size_t keys_count;
	struct sweep_point *points;
	size_t count;
};

/* A point of the list form, or the mapping form as a whole, for sentences. */
#define WHOLE SIZE_MAX

static int PRINTF_LIKE(4, 5) wrong(const struct expansion *made, size_t point,
				   const char *key, const char *fmt, ...)
{
	char sentence[ERROR_TEXT_MAX], place[32] = "";
	va_list args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	if (point != WHOLE)
		snprintf(place, sizeof(place), "[%zu]", point);
	report_error(made->report, EINVAL, "%s: llmergefs.sweep%s: %s%s%s",
		     made->path, place, key ? key : "", key ? ": " : "",
		     sentence);
	return -EINVAL;
}

/* What stands there instead of what must. */
static const char *kind(const struct json *value)
{
	bool empty = value->type == JSON_ARRAY || value->type == JSON_OBJECT;

	empty = empty && value->count == 0;
	return empty ? "an empty one" : json_type_name(value->type);
}

static int no_memory(const struct expansion *made)
{
	report_error(made->report, ENOMEM, "%s: llmergefs.sweep: no memory",
		     made->path);
	return -ENOMEM;
}

/* Whether a sweep may set this: it is no part of the sweep itself. */
static bool is_own(const struct setting_path *key)
{
	static const struct setting_path sweep = {
		.steps = { { .name = "llmergefs", .len = 9 },
			   { .name = "sweep", .len = 5 } },
		.count = 2,
	};

	return setting_path_inside(key, &sweep);
}

/* The key's place among all keys, which it joins. 0 or (reported) -EINVAL. */
static int add_key(struct expansion *made, size_t point, const char *text,
		   size_t *place)
{
	struct error err = { 0 };
	struct setting_path *key = &made->keys[made->keys_count];

	for (size_t i = 0; i < made->keys_count; i++) {
		if (strcmp(made->keys[i].text, text) != 0)
			continue;
		*place = i;
		return 0;
	}
	if (made->keys_count == SWEEP_KEYS_MAX)
		return wrong(made, point, text, "a sweep has at most %d keys",
			     SWEEP_KEYS_MAX);
	if (setting_path_read(text, key, &err) < 0)
		return wrong(made, point, NULL, "%s", err.text);
	if (is_own(key))
		return wrong(made, point, text, "a sweep cannot set itself");
	*place = made->keys_count++;
	return 0;
}

/* Two keys of one point, of which one lies in the other, undo each other. */
static int check_overlap(const struct expansion *made, size_t point,
			 const size_t *places, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			const struct setting_path *a = &made->keys[places[i]];
			const struct setting_path *b = &made->keys[places[j]];

			if (i == j || !setting_path_inside(a, b))
				continue;
			return wrong(made, point, a->text,
				     "it lies in %s, which is set as well; "
				     "leave one of them out",
				     b->text);
		}
	}
	return 0;
}

/* The keys of a mapping, or of one point. 0 or (reported) -EINVAL. */
static int add_keys(struct expansion *made, size_t point,
		    const struct json *mapping, size_t places[SWEEP_KEYS_MAX])
{
	int rc = 0;

	if (mapping->count > SWEEP_KEYS_MAX)
		return wrong(made, point, NULL, "%zu keys; at most %d",
			     mapping->count, SWEEP_KEYS_MAX);
	for (size_t i = 0; i < mapping->count; i++)
		rc |= add_key(made, point, mapping->names[i], &places[i]);
	return rc < 0 ? -EINVAL
		      : check_overlap(made, point, places, mapping->count);
}

/* Room for the settings of a point. NULL: no memory. */
static struct setting *add_point(struct expansion *made, size_t count)
{
	struct setting *settings =
		arena_alloc(made->arena, count, sizeof(*settings));

	if (settings)
		made->points[made->count++] =
			(struct sweep_point){ NULL, settings, count };
	return settings;
}

/* Each value is a list that is not empty: the number of combinations, 0 where
 * that is not so or they are too many (reported). */
static size_t count_combinations(const struct expansion *made,
				 const struct json *mapping)
{
	size_t count = 1;
	bool ok = true;

	for (size_t i = 0; i < mapping->count; i++) {
		const struct json *values = mapping->items[i];

		if (values->type == JSON_ARRAY && values->count > 0) {
			if (count <= SWEEP_POINTS_MAX)
				count *= values->count;
			continue;
		}
		wrong(made, WHOLE, mapping->names[i],
		      "must be a list of values, as in [0.2, 0.4], not %s",
		      kind(values));
		ok = false;
	}
	if (ok && count <= SWEEP_POINTS_MAX)
		return count;
	if (ok)
		wrong(made, WHOLE, NULL,
		      "more than %d points; sweep fewer values, or list the "
		      "points that are wanted",
		      SWEEP_POINTS_MAX);
	return 0;
}

/* Every combination, the last key turning fastest. */
static int read_mapping(struct expansion *made, const struct json *mapping)
{
	size_t places[SWEEP_KEYS_MAX] = { 0 };
	int rc = add_keys(made, WHOLE, mapping, places);
	size_t count = count_combinations(made, mapping);

	if (rc < 0 || count == 0)
		return -EINVAL;
	made->points = arena_alloc(made->arena, count, sizeof(*made->points));
	if (!made->points)
		return no_memory(made);
	for (size_t p = 0; p < count; p++) {
		struct setting *settings = add_point(made, mapping->count);
		size_t rest = p;

		if (!settings)
			return no_memory(made);
		for (size_t i = mapping->count; i-- > 0;) {
			const struct json *values = mapping->items[i];

			settings[i].path = made->keys[places[i]].text;
			settings[i].value = values->items[rest % values->count];
			rest /= values->count;
		}
	}
	return 0;
}

static int read_point(struct expansion *made, size_t at,
		      const struct json *point)
{
	size_t places[SWEEP_KEYS_MAX] = { 0 };
	struct setting *settings;

	if (point->type != JSON_OBJECT || point->count == 0)
		return wrong(made, at, NULL,
			     "must be an object with the values of a point, as "
			     "in {parameters.lambda: 0.4}, not %s",
			     kind(point));
	if (add_keys(made, at, point, places) < 0)
		return -EINVAL;
	settings = add_point(made, point->count);
	if (!settings)
		return no_memory(made);
	for (size_t i = 0; i < point->count; i++) {
		settings[i].path = made->keys[places[i]].text;
		settings[i].value = point->items[i];
	}
	return 0;
}

/* Point by point; all of them are looked at for what is wrong. */
static int read_list(struct expansion *made, const struct json *list)
{
	int rc = 0;

	if (list->count > SWEEP_POINTS_MAX)
		return wrong(made, WHOLE, NULL, "%zu points; at most %d",
			     list->count, SWEEP_POINTS_MAX);
	made->points =
		arena_alloc(made->arena, list->count, sizeof(*made->points));
	if (!made->points)
		return no_memory(made);
	for (size_t i = 0; i < list->count; i++) {
		int point_rc = read_point(made, i, list->items[i]);

		rc = rc ? rc : point_rc;
	}
	return rc;
}

static size_t key_place(const struct expansion *made, const char *text)
{
	size_t i = 0;

	while (made->keys[i].text != text)
		i++;
	return i;
}

/* Name the i-th point; its settings name their keys by the keys' own text. */
static int name_point(struct expansion *made, const char *const *names,
		      size_t i)
{
	struct sweep_point *point = &made->points[i];
	const char *own[SWEEP_KEYS_MAX];
	const struct json *values[SWEEP_KEYS_MAX];
	struct error err = { 0 };
	int rc;

	for (size_t j = 0; j < point->count; j++) {
		own[j] = names[key_place(made, point->settings[j].path)];
		values[j] = point->settings[j].value;
	}
	rc = sweep_name_point(own, values, point->count, made->arena,
			      &point->name, &err);
	return rc < 0 ? wrong(made, WHOLE, NULL, "%s", err.text) : 0;
}

static int compare_names(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;

	return strcmp(*left, *right);
}

/* Two points of one name would be one folder. */
static int check_names(const struct expansion *made)
{
	AUTO_FREE const char **names = calloc(made->count + 1, sizeof(*names));
	int rc = 0;

	if (!names)
		return no_memory(made);
	for (size_t i = 0; i < made->count; i++)
		names[i] = made->points[i].name;
	qsort(names, made->count, sizeof(*names), compare_names);
	for (size_t i = 1; i < made->count; i++) {
		if (strcmp(names[i - 1], names[i]) != 0 ||
		    (i > 1 && strcmp(names[i - 2], names[i]) == 0))
			continue;
		rc = wrong(made, WHOLE, NULL,
			   "two points are called %s; give each its own values "
			   "('/' counts as '_')",
			   names[i]);
	}
	return rc;
}

static int name_points(struct expansion *made)
{
	const char *names[SWEEP_KEYS_MAX];
	int rc = sweep_name_keys(made->keys, made->keys_count, names,
				 made->arena);

	if (rc < 0)
		return no_memory(made);
	for (size_t i = 0; i < made->count && rc == 0; i++)
		rc = name_point(made, names, i);
	return rc ? rc : check_names(made);
}

int sweep_read(const struct json *value, const char *path, struct arena *arena,
	       struct sweep *sweep, struct report *report)
{
	AUTO_FREE struct setting_path *keys =
		calloc(SWEEP_KEYS_MAX + 1, sizeof(*keys));
	struct expansion made = {
		.path = path, .arena = arena, .report = report, .keys = keys
	};
	bool list = value->type == JSON_ARRAY;
	const char **texts;
	int rc;

	if (!keys)
		return no_memory(&made);
	if ((!list && value->type != JSON_OBJECT) || value->count == 0)
		return wrong(&made, WHOLE, NULL,
			     "must be an object with a list of values for each "
			     "key, or a list of points, not %s",
			     kind(value));
	rc = list ? read_list(&made, value) : read_mapping(&made, value);
	if (rc == 0)
		rc = name_points(&made);
	if (rc < 0)
		return rc;
	texts = arena_alloc(arena, made.keys_count, sizeof(*texts));
	if (!texts)
		return no_memory(&made);
	for (size_t i = 0; i < made.keys_count; i++)
		texts[i] = keys[i].text;
	*sweep = (struct sweep){ made.points, made.count, texts,
				 made.keys_count };
	return 0;
}
