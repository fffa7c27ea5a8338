#include "core/recipe.h"

#include <errno.h>
#include <strings.h>

#include "core/base/file.h"
#include "core/recipe_check.h"
#include "core/recipe_keys.h"
#include "core/recipe_reader.h"
#include "core/yaml.h"

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

/* The absolute folder of the recipe's path, in the arena. */
static const char *recipe_dir(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 1;
	const char *start = slash ? path : ".";
	AUTO_FREE char *dir = strndup(start, slash && len == 0 ? 1 : len);
	AUTO_FREE char *absolute = dir ? realpath(dir, NULL) : NULL;

	return dir ? arena_strdup(arena, absolute ? absolute : dir) : NULL;
}

/* An empty recipe that owns its arena; NULL: no memory. */
static struct recipe *recipe_new(const char *path, const char *text, size_t len)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct recipe *recipe;

	recipe = arena ? arena_alloc(arena, 1, sizeof(*recipe)) : NULL;
	if (!recipe)
		return NULL;
	recipe->path = arena_strdup(arena, path);
	recipe->dir = recipe_dir(arena, path);
	recipe->text = arena_strndup(arena, text, len);
	recipe->text_len = len;
	if (!recipe->path || !recipe->dir || !recipe->text)
		return NULL;
	recipe->arena = TAKE(arena);
	return recipe;
}

static bool parse_tree(const struct reader *reader, bool yaml)
{
	struct recipe *recipe = reader->recipe;
	struct error err = { 0 };
	struct json *tree = NULL;
	int rc;

	rc = yaml ? yaml_parse(recipe->text, recipe->text_len, recipe->arena,
			       &tree, &err)
		  : json_parse(recipe->text, recipe->text_len, recipe->arena,
			       &tree, &err);
	if (rc < 0) {
		report_error(reader->report, -rc, "%s: %s", recipe->path,
			     err.text);
		return false;
	}
	recipe->tree = tree;
	if (tree->type == JSON_OBJECT)
		return true;
	reader_wrong(reader, EINVAL, "",
		     "must be an object with keys such as `merge_method` and "
		     "`models`, not %s",
		     json_type_name(tree->type));
	return false;
}

struct recipe *recipe_parse(const char *path, const char *text, size_t len,
			    bool yaml, struct report *report)
{
	AUTO_RECIPE struct recipe *recipe = recipe_new(path, text, len);
	const struct reader reader = { .recipe = recipe, .report = report };
	size_t errors = report->errors;

	if (!recipe) {
		report_error(report, ENOMEM, "%s: out of memory", path);
		return NULL;
	}
	if (!parse_tree(&reader, yaml))
		return NULL;
	read_tree(&reader);
	return report->errors == errors ? TAKE(recipe) : NULL;
}

struct recipe *recipe_open(const char *path, struct report *report)
{
	struct error err = { 0 };
	AUTO_FREE char *text = NULL;
	const char *dot = strrchr(path, '.');
	size_t len;

	if (file_slurp(path, RECIPE_TEXT_MAX, &text, &len, &err) < 0) {
		report_failure(report, &err);
		return NULL;
	}
	return recipe_parse(path, text, len,
			    !dot || strcasecmp(dot, ".json") != 0, report);
}

void recipe_close(struct recipe *recipe)
{
	if (recipe)
		arena_close(recipe->arena);
}
