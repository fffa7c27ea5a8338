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

/* The list of both, merged members first. */
static int join(struct yaml_members *all, const struct yaml_members *merged,
		const struct yaml_members *own)
{
	all->room = merged->count + own->count + 1;
	all->at = calloc(all->room, sizeof(*all->at));
	if (!all->at)
		return -ENOMEM;
	if (merged->count)
		memcpy(all->at, merged->at, merged->count * sizeof(*all->at));
	if (own->count)
		memcpy(all->at + merged->count, own->at,
		       own->count * sizeof(*all->at));
	all->count = merged->count + own->count;
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
	AUTO(yaml_members_done) struct yaml_members all = { 0 };
	AUTO_FREE struct yaml_member **sorted = NULL;
	struct yaml_member *first;

	if (join(&all, merged, own) < 0)
		return -ENOMEM;
	sorted = sort_members(&all);
	if (!sorted)
		return -ENOMEM;
	first = sorted[0];
	for (size_t i = 1; i < all.count; i++) {
		if (strcmp(first->name, sorted[i]->name) != 0) {
			first = sorted[i];
			continue;
		}
		if (sorted[i - 1] >= all.at + merged->count) {
			*doubled = *sorted[i];
			return -EEXIST;
		}
		first->value = sorted[i]->value;
		sorted[i]->value = NULL;
	}
	compact(&all);
	yaml_members_done(own);
	*own = all;
	all = (struct yaml_members){ 0 };
	return 0;
}
