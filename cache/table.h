/*
 * The entries of a cache in memory, found by key, and what they may weigh
 * together. It knows no threads: whoever calls it holds the cache's lock.
 *
 * An entry is being made (making is set, the maker holds one reference), or
 * present. A present entry that nobody refers to is idle; idle entries are
 * linked by their last use, and the longest unused go where the budget asks. So
 * always: bytes <= bytes_max, or nothing is idle.
 */
#ifndef LMFS_TABLE_H
#define LMFS_TABLE_H

#include "cache/cache.h"

struct making;

/*
 * The bytes of an entry, 64-byte aligned; NULL: no memory. Large ones come from
 * the system and go back to it at once: a heap that blobs of many sizes come
 * and go in keeps as much again as the budget allows.
 */
void *blob_alloc(size_t size);
void blob_free(const struct blob *blob);

struct entry {
	struct blob blob; /* what is handed out */
	struct hash128 key;
	struct entry *next; /* of the same slot, or of a list to free */
	struct entry *older, *newer; /* while idle */
	struct making *making;	     /* NULL: present */
	size_t refs;
};

struct table {
	struct entry **slots;
	size_t slot_count; /* a power of two */
	size_t count;
	struct entry *oldest, *newest; /* idle */
	size_t bytes, bytes_max;
	uint64_t evicted;
};

bool table_init(struct table *table, size_t bytes_max); /* false: no memory */

/* Frees the entries; none may be in use. */
void table_done(struct table *table);

struct entry *table_find(const struct table *table, struct hash128 key);

/* A new entry with one reference and no bytes yet. NULL: no memory. */
struct entry *table_add(struct table *table, struct hash128 key, size_t size);

/* Take an entry, which is not idle, out of the table; the caller frees it. */
void table_remove(struct table *table, struct entry *entry);

/* Count the bytes of an entry from now on, or not any more. */
void table_charge(struct table *table, const struct entry *entry);
void table_discharge(struct table *table, const struct entry *entry);

/* One reference more, or less. */
void table_hold(struct table *table, struct entry *entry);
void table_release(struct table *table, struct entry *entry);

/*
 * Take idle entries out until the budget is kept: a list, linked by next, for
 * entry_free_all() once the lock is given up, since freeing megabytes is slow.
 */
struct entry *table_trim(struct table *table) MUST_USE;

void entry_free_all(struct entry *list);

#endif
