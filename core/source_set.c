#include <errno.h>

#include "core/source_inside.h"

struct source_set {
	struct source **items;	/* in order of their coming */
	struct source **sorted; /* the same, by stamp */
	size_t count, room;
	atomic_uint_fast64_t bytes_read;
};

struct source_set *source_set_open(void)
{
	return calloc(1, sizeof(struct source_set));
}

void source_set_close(struct source_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		source_close(set->items[i]);
	free(set->items);
	free(set->sorted);
	free(set);
}

/* How many known sources come before this stamp. */
static size_t stamp_rank(const struct source_set *set,
			 const struct stamp *stamp)
{
	size_t begin = 0, end = set->count;

	while (begin < end) {
		size_t mid = begin + (end - begin) / 2;

		if (stamp_order(&set->sorted[mid]->stamp, stamp) < 0)
			begin = mid + 1;
		else
			end = mid;
	}
	return begin;
}

static bool set_reserve(struct source_set *set)
{
	size_t room = set->room ? 2 * set->room : 16;
	struct source **grown;

	if (set->count < set->room)
		return true;
	grown = reallocarray(set->items, room, sizeof(struct source *));
	if (!grown)
		return false;
	set->items = grown;
	grown = reallocarray(set->sorted, room, sizeof(struct source *));
	if (!grown)
		return false;
	set->sorted = grown;
	set->room = room;
	return true;
}

int source_get(struct source_set *set, const char *path, struct source **source,
	       struct error *err)
{
	struct source *made;
	struct stamp stamp;
	struct stat st;
	size_t rank;

	if (stat(path, &st) < 0)
		return fail(err, errno, "%s: %m", path);
	if (!S_ISREG(st.st_mode))
		return fail(err, EINVAL, "%s is not a regular file", path);
	stamp = stamp_of(&st);
	rank = stamp_rank(set, &stamp);
	if (rank < set->count &&
	    stamp_order(&set->sorted[rank]->stamp, &stamp) == 0) {
		*source = set->sorted[rank];
		return 0;
	}
	made = set_reserve(set) ? source_open(path, &stamp, &set->bytes_read)
				: NULL;
	if (!made)
		return fail(err, ENOMEM, "%s: no memory", path);
	memmove(&set->sorted[rank + 1], &set->sorted[rank],
		(set->count - rank) * sizeof(struct source *));
	set->sorted[rank] = made;
	set->items[set->count++] = made;
	*source = made;
	return 0;
}

size_t source_set_count(const struct source_set *set)
{
	return set->count;
}

const struct source *source_set_at(const struct source_set *set, size_t i)
{
	return set->items[i];
}

uint64_t source_set_bytes_read(const struct source_set *set)
{
	return set->bytes_read;
}
