#include <errno.h>

#include "core/source_inside.h"

struct source_set {
	pthread_mutex_t lock;	/* of all but bytes_read */
	struct source **items;	/* in order of their coming */
	struct source **sorted; /* the same, by stamp */
	size_t count, room;
	dev_t refused; /* a device; 0: none */
	/* Whose sources these are, a use of each; its lock goes after this
	 * one's. NULL: they are its own. */
	struct source_set *whole;
	atomic_uint_fast64_t bytes_read;
};

struct source_set *source_set_open(void)
{
	struct source_set *set = calloc(1, sizeof(*set));

	if (set)
		pthread_mutex_init(&set->lock, NULL);
	return set;
}

struct source_set *source_set_open_in(struct source_set *whole)
{
	struct source_set *set = source_set_open();

	if (set)
		set->whole = whole;
	return set;
}

static void take_out(struct source **list, size_t count,
		     const struct source *source)
{
	size_t i = 0;

	while (list[i] != source)
		i++;
	memmove(list + i, list + i + 1, (count - i - 1) * sizeof(*list));
}

/* One use less. */
static void source_put(struct source_set *set, struct source *source)
{
	bool last;

	pthread_mutex_lock(&set->lock);
	last = --source->users == 0;
	if (last) {
		take_out(set->items, set->count, source);
		take_out(set->sorted, set->count, source);
		set->count--;
	}
	pthread_mutex_unlock(&set->lock);
	if (last)
		source_close(source);
}

void source_set_close(struct source_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++) {
		if (set->whole)
			source_put(set->whole, set->items[i]);
		else
			source_close(set->items[i]);
	}
	free(set->items);
	free(set->sorted);
	pthread_mutex_destroy(&set->lock);
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

/* There is room. */
static void insert(struct source_set *set, struct source *source, size_t rank)
{
	memmove(&set->sorted[rank + 1], &set->sorted[rank],
		(set->count - rank) * sizeof(struct source *));
	set->sorted[rank] = source;
	set->items[set->count++] = source;
}

/* One use more of a source, whose set's lock is held. 0 or -errno. */
static int get_own(struct source_set *set, const char *path,
		   const struct stamp *stamp, struct source **source)
{
	size_t rank = stamp_rank(set, stamp);

	if (set->refused && stamp->device == set->refused)
		return -EXDEV;
	if (rank == set->count ||
	    stamp_order(&set->sorted[rank]->stamp, stamp) != 0) {
		struct source *made =
			set_reserve(set)
				? source_open(path, stamp, &set->bytes_read)
				: NULL;

		if (!made)
			return -ENOMEM;
		insert(set, made, rank);
	}
	*source = set->sorted[rank];
	(*source)->users++;
	return 0;
}

void source_set_refuse(struct source_set *set, dev_t device)
{
	pthread_mutex_lock(&set->lock);
	set->refused = device;
	pthread_mutex_unlock(&set->lock);
}

/* The same of a set of some, which has one use of each. */
static int get_of_whole(struct source_set *set, const char *path,
			const struct stamp *stamp, struct source **source)
{
	size_t rank = stamp_rank(set, stamp);
	int rc;

	if (rank < set->count &&
	    stamp_order(&set->sorted[rank]->stamp, stamp) == 0) {
		*source = set->sorted[rank];
		return 0;
	}
	if (!set_reserve(set))
		return -ENOMEM;
	pthread_mutex_lock(&set->whole->lock);
	rc = get_own(set->whole, path, stamp, source);
	pthread_mutex_unlock(&set->whole->lock);
	if (rc == 0)
		insert(set, *source, rank);
	return rc;
}

int source_get(struct source_set *set, const char *path, struct source **source,
	       struct error *err)
{
	struct source *found = NULL;
	struct stamp stamp;
	struct stat st;
	int rc;

	if (stat(path, &st) < 0)
		return fail(err, errno, "%s: %m", path);
	if (!S_ISREG(st.st_mode))
		return fail(err, EINVAL, "%s is not a regular file", path);
	stamp = stamp_of(&st);
	pthread_mutex_lock(&set->lock);
	rc = set->whole ? get_of_whole(set, path, &stamp, &found)
			: get_own(set, path, &stamp, &found);
	pthread_mutex_unlock(&set->lock);
	if (rc == -EXDEV)
		return fail(err, EINVAL,
			    "%s lies on this mount itself; export that merge, "
			    "and name the copy",
			    path);
	if (rc)
		return fail(err, ENOMEM, "%s: no memory", path);
	*source = found;
	return 0;
}

size_t source_set_count(struct source_set *set)
{
	size_t count;

	pthread_mutex_lock(&set->lock);
	count = set->count;
	pthread_mutex_unlock(&set->lock);
	return count;
}

const struct source *source_set_at(struct source_set *set, size_t i)
{
	const struct source *source;

	pthread_mutex_lock(&set->lock);
	source = set->items[i];
	pthread_mutex_unlock(&set->lock);
	return source;
}

uint64_t source_set_bytes_read(const struct source_set *set)
{
	return set->bytes_read;
}
