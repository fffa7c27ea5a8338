#include "core/recipe.h"

#include <errno.h>

#include "core/recipe_check.h"
#include "core/recipe_keys.h"
#include "core/recipe_reader.h"

static int hash_tree(struct recipe *recipe)
{
	AUTO_FREE char *canonical = json_canonical(recipe->tree);

	if (!canonical)
		return -ENOMEM;
	recipe->hash = hash_bytes(canonical, strlen(canonical));
	return 0;
}

static void read_tree(const struct reader *reader)
{
	struct recipe *recipe = reader->recipe;

	recipe_read_method(reader);
	recipe_read_dtypes(reader);
	recipe_read_inputs(reader);
	recipe_read_tokenizer(reader);
	recipe_read_chat_template(reader);
	recipe_read_ours(reader);
	recipe_keys_check(recipe, reader->report);
	if (recipe->method && recipe->slices)
		recipe_check(recipe, reader->report);
	if (hash_tree(recipe) < 0)
		reader_wrong(reader, ENOMEM, "", "out of memory");
}

/* A recipe that owns its arena, still to be read; NULL: no memory. */
static struct recipe *recipe_new(const struct recipe_origin *origin)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct recipe *recipe;

	recipe = arena ? arena_alloc(arena, 1, sizeof(*recipe)) : NULL;
	if (!recipe)
		return NULL;
	recipe->path = arena_strdup(arena, origin->path);
	recipe->dir = arena_strdup(arena, origin->dir);
	recipe->text = arena_strndup(arena, origin->text, origin->text_len);
	recipe->text_len = origin->text_len;
	recipe->tree = json_copy(origin->tree, arena);
	if (!recipe->path || !recipe->dir || !recipe->text || !recipe->tree)
		return NULL;
	recipe->arena = TAKE(arena);
	return recipe;
}

struct recipe *recipe_make(const struct recipe_origin *origin,
			   struct report *report)
{
	AUTO_RECIPE struct recipe *recipe = recipe_new(origin);
	const struct reader reader = { .recipe = recipe, .report = report };
	size_t errors = report->errors;

	if (!recipe) {
		report_error(report, ENOMEM, "%s: out of memory", origin->path);
		return NULL;
	}
	read_tree(&reader);
	return report->errors == errors ? TAKE(recipe) : NULL;
}

void recipe_close(struct recipe *recipe)
{
	if (recipe)
		arena_close(recipe->arena);
}
