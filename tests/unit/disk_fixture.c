#include "tests/unit/disk_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "cache/folder.h"

#include <cmocka.h>

void disk_fixture_open(struct disk_fixture *s)
{
	fixture_open(&s->fx);
	fixture_path(&s->fx, "a/cache", s->dir);
	s->options = (struct cache_options){
		.dir = s->dir,
		.memory_max = 1 << 20,
		.disk_max = 64 << 20,
	};
	cache_fixture_open(&s->cf, 2, &s->options);
}

void disk_fixture_close(struct disk_fixture *s)
{
	cache_fixture_close(&s->cf);
	fixture_close(&s->fx);
}

void disk_fixture_reopen(struct disk_fixture *s)
{
	cache_fixture_reopen(&s->cf, &s->options);
}

void object_path(const struct disk_fixture *s, enum cache_class class,
		 uint64_t number, char path[FIXTURE_PATH_MAX])
{
	char name[FOLDER_NAME_MAX];

	folder_name(class, key_of(number), name);
	assert_true(snprintf(path, FIXTURE_PATH_MAX, "%s/%s", s->dir, name) <
		    FIXTURE_PATH_MAX);
}

bool object_exists(const struct disk_fixture *s, enum cache_class class,
		   uint64_t number)
{
	char path[FIXTURE_PATH_MAX];

	object_path(s, class, number, path);
	return access(path, F_OK) == 0;
}
