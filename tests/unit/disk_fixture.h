/*
 * A cache, as in cache_fixture.h, with a folder in a folder of the test's own.
 */
#ifndef LMFS_TESTS_DISK_FIXTURE_H
#define LMFS_TESTS_DISK_FIXTURE_H

#include "tests/unit/cache_fixture.h"

struct disk_fixture {
	struct fixture fx;
	struct cache_fixture cf;
	char dir[FIXTURE_PATH_MAX]; /* the folder, not there at first */
	struct cache_options options;
};

void disk_fixture_open(struct disk_fixture *s);
void disk_fixture_close(struct disk_fixture *s);

/* Forget what is in memory, with everything written that is to be written. */
void disk_fixture_reopen(struct disk_fixture *s);

void object_path(const struct disk_fixture *s, enum cache_class class,
		 uint64_t number, char path[FIXTURE_PATH_MAX]);
bool object_exists(const struct disk_fixture *s, enum cache_class class,
		   uint64_t number);

#endif
