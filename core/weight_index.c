#include <errno.h>

#include "core/base/file.h"
#include "core/json.h"
#include "core/weight_index.h"

#define LISTED_MAX 10 /* bad entries that get a sentence of their own */

/* The weight_map of an index; NULL: err says why there is none. */
static const struct json *read_map(const char *path, struct arena *arena,
				   struct error *err)
{
	AUTO_FREE char *text = NULL;
	const struct json *map;
	struct error cause;
	struct json *tree;
	size_t len = 0;
	int rc;

	if (file_slurp(path, JSON_TEXT_MAX, &text, &len, err))
		return NULL;
	rc = json_parse(text, len, arena, &tree, &cause);
	if (rc) {
		fail(err, rc == -ENOMEM ? ENOMEM : EBADMSG, "%s: %s", path,
		     cause.text);
		return NULL;
	}
	map = json_member(tree, "weight_map");
	if (map && map->type == JSON_OBJECT && map->count > 0)
		return map;
	fail(err, EBADMSG,
	     "%s: \"weight_map\" must be an object of tensors and their files",
	     path);
	return NULL;
}

static bool is_plain_name(const struct json *value)
{
	return value->type == JSON_STRING && value->string[0] != '\0' &&
	       value->string[0] != '.' && !strchr(value->string, '/');
}

static bool check_map(const char *path, const struct json *map,
		      struct report *report)
{
	size_t bad = 0;

	for (size_t i = 0; i < map->count; i++)
		if (!is_plain_name(map->items[i]) && bad++ < LISTED_MAX)
			report_error(report, EBADMSG,
				     "%s: weight_map: \"%s\" must be the name "
				     "of a file in the same folder",
				     path, map->names[i]);
	if (bad > LISTED_MAX)
		report_error(report, EBADMSG,
			     "%s: weight_map: %zu more like it", path,
			     bad - LISTED_MAX);
	return bad == 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct names of files, by strcmp; their number. */
static size_t list_shards(const struct json *map, const char **shards)
{
	size_t unique = 0;

	for (size_t i = 0; i < map->count; i++)
		shards[i] = map->items[i]->string;
	qsort(shards, map->count, sizeof(*shards), by_text);
	for (size_t i = 0; i < map->count; i++)
		if (i == 0 || strcmp(shards[unique - 1], shards[i]) != 0)
			shards[unique++] = shards[i];
	return unique;
}

static bool fill(const struct json *map, struct arena *arena,
		 struct weight_index *index)
{
	struct weight_entry *entries;
	const char **shards, **shard;

	entries = arena_alloc(arena, map->count, sizeof(*entries));
	shards = arena_alloc(arena, map->count, sizeof(*shards));
	if (!entries || !shards)
		return false;
	index->shards_count = list_shards(map, shards);
	for (size_t i = 0; i < map->count; i++) {
		const struct json *file = map->items[map->sorted[i]];

		shard = bsearch(&file->string, shards, index->shards_count,
				sizeof(*shards), by_text);
		entries[i].tensor = map->names[map->sorted[i]];
		entries[i].shard = (size_t)(shard - shards);
	}
	index->shards = shards;
	index->entries = entries;
	index->count = map->count;
	return true;
}

bool weight_index_read(const char *path, struct arena *arena,
		       struct weight_index *index, struct report *report)
{
	struct error err;
	const struct json *map = read_map(path, arena, &err);

	if (!map) {
		report_failure(report, &err);
		return false;
	}
	if (!check_map(path, map, report))
		return false;
	index->path = path;
	if (fill(map, arena, index))
		return true;
	report_error(report, ENOMEM, "%s: no memory", path);
	return false;
}
