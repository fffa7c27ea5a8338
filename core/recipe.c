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

/* Whether a source of a slice up to this one has the same model, with the same
 * base of its own. */
static bool is_repeated(const struct recipe *recipe, size_t slice,
			size_t source)
{
	const struct slice_source *of = &recipe->slices[slice].sources[source];

	for (size_t i = 0; i < slice; i++)
		for (size_t j = 0; j < recipe->slices[i].count; j++) {
			const struct slice_source *other =
				&recipe->slices[i].sources[j];

			if (other->has_own_base &&
			    model_ref_equal(&other->model, &of->model) &&
			    model_ref_equal(&other->own_base, &of->own_base))
				return true;
		}
	return false;
}

struct where recipe_own_base_text(const struct recipe *recipe,
				  const struct model_ref *model)
{
	const char *first = NULL;
	size_t more = 0;

	for (size_t i = 0; i < recipe->slices_count; i++)
		for (size_t j = 0; j < recipe->slices[i].count; j++) {
			const struct slice_source *source =
				&recipe->slices[i].sources[j];

			if (!source->has_own_base ||
			    !model_ref_equal(&source->own_base, model) ||
			    is_repeated(recipe, i, j))
				continue;
			more += first != NULL;
			first = first ? first : source->model.text;
		}
	if (!first)
		return where_at("%s", "");
	if (!more)
		return where_at(", the base of %s", first);
	return where_at(", the base of %s and %zu more", first, more);
}

void recipe_close(struct recipe *recipe)
{
	if (recipe)
		arena_close(recipe->arena);
}
