/*
 * A folder of a cache without the cache: objects of one size, each with the
 * pattern of its key, are written to it and read from it step by step.
 */
#ifndef LMFS_TESTS_FOLDER_FIXTURE_H
#define LMFS_TESTS_FOLDER_FIXTURE_H

#include "cache/folder.h"
#include "tests/unit/cache_fixture.h"

enum { ITEM = 60 * 1024, CHARGE = 64 * 1024 }; /* bytes of one; with header */

struct folder_fixture {
	struct fixture fx;
	struct folder *folder;
};

void folder_fixture_open(struct folder_fixture *s, uint64_t bytes_max);
void folder_fixture_close(struct folder_fixture *s);

/* Know nothing of the folder any more, as another process. */
void folder_fixture_reopen(struct folder_fixture *s, uint64_t bytes_max);

struct object item_of(enum cache_class class, uint64_t number);
void item_path(const struct folder_fixture *s, enum cache_class class,
	       uint64_t number, char path[FIXTURE_PATH_MAX]);

/* Write the bytes; begin the file and write them; publish it, too. */
int item_write(const struct object *object, const struct staged *staged);
int item_stage(struct folder *folder, const struct object *object,
	       struct staged *staged);
int item_save(struct folder *folder, enum cache_class class, uint64_t number);
void item_must_save(struct folder_fixture *s, enum cache_class class,
		    uint64_t number);

/* As folder_load(); -EILSEQ for a success with wrong bytes. */
int item_load(struct folder *folder, enum cache_class class, uint64_t number);

/* What objects really weigh, and how many are being written. */
struct folder_weight {
	uint64_t bytes, staged;
};
struct folder_weight folder_weigh(const struct folder_fixture *s);

#endif
