#include "tests/unit/folder_fixture.h"

#include <errno.h>
#include <fts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "cache/evict.h"
#include "cache/object.h"

#include <cmocka.h>

void folder_fixture_reopen(struct folder_fixture *s, uint64_t bytes_max)
{
	folder_close(s->folder);
	s->folder = folder_open(s->fx.dir, bytes_max);
	assert_non_null(s->folder);
	assert_int_equal(folder_prepare(s->folder, NULL), 0);
}

void folder_fixture_open(struct folder_fixture *s, uint64_t bytes_max)
{
	*s = (struct folder_fixture){ 0 };
	fixture_open(&s->fx);
	folder_fixture_reopen(s, bytes_max);
}

void folder_fixture_close(struct folder_fixture *s)
{
	folder_close(s->folder);
	fixture_close(&s->fx);
}

struct object item_of(enum cache_class class, uint64_t number)
{
	return (struct object){ .class = class,
				.key = key_of(number),
				.size = ITEM };
}

int item_write(const struct object *object, const struct staged *staged)
{
	unsigned char data[ITEM];

	fill_pattern(data, sizeof(data), object->key);
	return object_write(staged->fd, object->key, data, sizeof(data));
}

int item_stage(struct folder *folder, const struct object *object,
	       struct staged *staged)
{
	int rc = folder_stage(folder, object, staged);

	return rc ? rc : item_write(object, staged);
}

int item_save(struct folder *folder, enum cache_class class, uint64_t number)
{
	struct object object = item_of(class, number);
	struct staged staged;
	int rc;

	rc = item_stage(folder, &object, &staged);
	if (rc == 0)
		rc = folder_publish(&staged, &object);
	folder_unstage(folder, &staged);
	return rc;
}

void item_must_save(struct folder_fixture *s, enum cache_class class,
		    uint64_t number)
{
	assert_int_equal(item_save(s->folder, class, number), 0);
}

int item_load(struct folder *folder, enum cache_class class, uint64_t number)
{
	struct object object = item_of(class, number);
	unsigned char data[ITEM];
	struct blob blob = { data, sizeof(data) };
	int rc;

	rc = folder_load(folder, &object, data);
	return rc == 0 && !has_pattern(&blob, object.key) ? -EILSEQ : rc;
}

void item_path(const struct folder_fixture *s, enum cache_class class,
	       uint64_t number, char path[FIXTURE_PATH_MAX])
{
	char name[FOLDER_NAME_MAX];

	folder_name(class, key_of(number), name);
	fixture_path(&s->fx, name, path);
}

/* Objects lie three levels down; what is being written, two. */
static void add_file(const FTSENT *found, struct folder_weight *weight)
{
	bool staged = strstr(found->fts_path, "/" FOLDER_STAGING "/");

	if (!staged && found->fts_level < 3)
		return;
	weight->bytes += evict_charge((uint64_t)found->fts_statp->st_size);
	weight->staged += staged;
}

struct folder_weight folder_weigh(const struct folder_fixture *s)
{
	char dir[FIXTURE_PATH_MAX];
	char *const paths[] = { dir, NULL };
	struct folder_weight weight = { 0 };
	const FTSENT *found;
	FTS *fts;

	memcpy(dir, s->fx.dir, sizeof(dir));
	fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	assert_non_null(fts);
	while ((found = fts_read(fts)))
		if (found->fts_info == FTS_F)
			add_file(found, &weight);
	fts_close(fts);
	return weight;
}
