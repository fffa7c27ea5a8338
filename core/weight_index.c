#include <errno.h>

#include "core/base/file.h"
#include "core/json.h"
#include "core/weight_index.h"

#define LISTED_MAX 10 /* bad entries that get a sentence of their own */

static int parse_map(const char *path, struct arena *arena,
		     const struct json **map, struct error *err)
{
	AUTO_FREE char *text = NULL;
	struct error cause;
	struct json *tree;
	size_t len = 0;
	int rc;

	rc = file_slurp(path, JSON_TEXT_MAX, &text, &len, err);
	if (rc)
		return rc;
	rc = json_parse(text, len, arena, &tree, &cause);
	if (rc)
		return fail(err, rc == -ENOMEM ? ENOMEM : EBADMSG, "%s: %s",
			    path, cause.text);
	*map = json_member(tree, "weight_map");
	if (!*map || (*map)->type != JSON_OBJECT)
		return fail(err, EBADMSG,
			    "%s: \"weight_map\" must be an object of tensors "
			    "and their files",
			    path);
	if ((*map)->count == 0)
		return fail(err, EBADMSG, "%s: \"weight_map\" is empty", path);
	return 0;
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

static bool fill(const struct json *map, struct arena *arena,
		 struct weight_index *index)
{
	struct weight_entry *entries;
	const char **shards;
	size_t unique = 0;

	entries = arena_alloc(arena, map->count, sizeof(*entries));
	shards = arena_alloc(arena, map->count, sizeof(*shards));
	if (!entries || !shards)
		return false;
	for (size_t i = 0; i < map->count; i++) {
		entries[i].tensor = map->names[map->sorted[i]];
		entries[i].shard = map->items[map->sorted[i]]->string;
		shards[i] = entries[i].shard;
	}
	qsort(shards, map->count, sizeof(*shards), by_text);
	for (size_t i = 0; i < map->count; i++)
		if (i == 0 || strcmp(shards[unique - 1], shards[i]) != 0)
			shards[unique++] = shards[i];
	index->entries = entries;
	index->count = map->count;
	index->shards = shards;
	index->shards_count = unique;
	return true;
}

bool weight_index_read(const char *path, struct arena *arena,
		       struct weight_index *index, struct report *report)
{
	const struct json *map = NULL;
	struct error err;

	if (parse_map(path, arena, &map, &err)) {
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
