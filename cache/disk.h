/*
 * The cache's second level: what it asks of its folder, and what becomes of
 * trouble there. Trouble is counted, told once, and ends all writing for a
 * minute; it never reaches those who want bytes. All functions may be called
 * from any thread.
 */
#ifndef LMFS_DISK_H
#define LMFS_DISK_H

#include "cache/folder.h"

struct disk;

/*
 * A folder that cannot be used is a warning in the report, and is tried again
 * later. NULL: no memory.
 */
struct disk *disk_open(const struct cache_options *options,
		       struct report *report);
void disk_close(struct disk *disk); /* NULL is fine */

/* Fill object->size bytes at data: true if the object was there, and sound. */
bool disk_load(struct disk *disk, const struct object *object, void *data);

/* Keep the bytes, where that is possible. */
void disk_save(struct disk *disk, const struct object *object,
	       const void *data);

/* Set the figures of `stats` that are about the disk. */
void disk_stats(struct disk *disk, struct cache_stats *stats);

/* As cache_trouble(). */
bool disk_trouble(struct disk *disk, struct error *err);

#endif
