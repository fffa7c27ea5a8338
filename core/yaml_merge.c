#include <errno.h>

#include "core/yaml_merge.h"

int yaml_members_add(struct yaml_members *members, struct yaml_member member)
{
	size_t room = members->room ? 2 * members->room : 8;
	struct yaml_member *at;

	if (members->count == members->room) {
		at = reallocarray(members->at, room, sizeof(*at));
		if (!at)
			return -ENOMEM;
		members->at = at;
		members->room = room;
	}
	members->at[members->count++] = member;
	return 0;
}

void yaml_members_done(struct yaml_members *members)
{
	free(members->at);
	*members = (struct yaml_members){ 0 };
}

/* By name, then by place. */
static int compare_members(const void *a, const void *b)
{
	const struct yaml_member *const *left = a, *const *right = b;
	int order = strcmp((*left)->name, (*right)->name);

	return order ? order : (*left > *right) - (*left < *right);
}

/* Members sorted by name and place: the caller frees them; NULL: no memory. */
static struct yaml_member **sort_members(const struct yaml_members *members)
{
	struct yaml_member **sorted;

	sorted = calloc(members->count + 1, sizeof(struct yaml_member *));
	if (!sorted)
		return NULL;
	for (size_t i = 0; i < members->count; i++)
		sorted[i] = &members->at[i];
	qsort(sorted, members->count, sizeof(*sorted), compare_members);
	return sorted;
}

/* Put the merged members before the others. */
static int prepend(struct yaml_members *own, const struct yaml_members *merged)
{
	size_t count = own->count + merged->count;
	struct yaml_member *at;

	if (merged->count == 0)
		return 0;
	at = reallocarray(own->at, count, sizeof(*at));
	if (!at)
		return -ENOMEM;
	memmove(at + merged->count, at, own->count * sizeof(*at));
	memcpy(at, merged->at, merged->count * sizeof(*at));
	own->at = at;
	own->count = count;
	own->room = count;
	return 0;
}

/* Take out what has lost its value. */
static void compact(struct yaml_members *members)
{
	size_t kept = 0;

	for (size_t i = 0; i < members->count; i++)
		if (members->at[i].value)
			members->at[kept++] = members->at[i];
	members->count = kept;
}

int yaml_members_merge(struct yaml_members *own,
		       const struct yaml_members *merged,
		       struct yaml_member *doubled)
{
	AUTO_FREE struct yaml_member **sorted = NULL;
	struct yaml_member *first;

	if (prepend(own, merged) < 0)
		return -ENOMEM;
	sorted = sort_members(own);
	if (!sorted)
		return -ENOMEM;
	first = sorted[0];
	for (size_t i = 1; i < own->count; i++) {
		if (strcmp(first->name, sorted[i]->name) != 0) {
			first = sorted[i];
			continue;
		}
		if (sorted[i - 1] >= own->at + merged->count) {
			*doubled = *sorted[i];
			return -EEXIST;
		}
		first->value = sorted[i]->value;
		sorted[i]->value = NULL;
	}
	compact(own);
	return 0;
}
