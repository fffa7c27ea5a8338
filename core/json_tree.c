#include <errno.h>
#include <math.h>

#include "core/json_tree.h"

static int compare_names(const void *a, const void *b, void *names)
{
	const char *const *name = names;
	const uint32_t *i = a, *j = b;
	int order = strcmp(name[*i], name[*j]);

	if (order)
		return order;
	return (*i > *j) - (*i < *j);
}

int json_index(struct json *object, struct arena *arena, size_t *doubled)
{
	/* qsort_r() hands its context on without const. */
	void *names = (void *)(uintptr_t)object->names;
	uint32_t *sorted;

	sorted = arena_alloc(arena, object->count, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < object->count; i++)
		sorted[i] = (uint32_t)i;
	qsort_r(sorted, object->count, sizeof(*sorted), compare_names, names);
	for (size_t i = 1; i < object->count; i++) {
		if (strcmp(object->names[sorted[i - 1]],
			   object->names[sorted[i]]) != 0)
			continue;
		*doubled = sorted[i];
		return -EEXIST;
	}
	object->sorted = sorted;
	return 0;
}

const struct json *json_member(const struct json *object, const char *name)
{
	size_t low = 0, high, middle;
	int order;

	if (!object || object->type != JSON_OBJECT)
		return NULL;
	high = object->count;
	while (low < high) {
		middle = low + (high - low) / 2;
		order = strcmp(name, object->names[object->sorted[middle]]);
		if (order == 0)
			return object->items[object->sorted[middle]];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const char *json_member_string(const struct json *object, const char *name)
{
	const struct json *member = json_member(object, name);

	return member && member->type == JSON_STRING ? member->string : NULL;
}

bool json_u64(const struct json *value, uint64_t *number)
{
	if (!value || value->type != JSON_NUMBER || !value->integral)
		return false;
	if (signbit(value->number) || !(value->number < JSON_EXACT_END))
		return false;
	*number = (uint64_t)value->number;
	return true;
}

const char *json_type_name(enum json_type type)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",	    [JSON_BOOL] = "true or false",
		[JSON_NUMBER] = "a number", [JSON_STRING] = "a string",
		[JSON_ARRAY] = "a list",    [JSON_OBJECT] = "an object",
	};

	return names[type];
}
