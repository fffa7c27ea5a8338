/*
 * Any bytes as a recipe: the first says YAML ('y'), YAML after a setting in a
 * line of its own ('s'), or JSON; the rest is the text. A file is refused with
 * a sentence, or it has recipes whose names are those of folders. A recipe is
 * refused with a sentence, or it is whole: a method, slices with inputs, the
 * base where the method wants one.
 */
#include "core/recipe_check.h"
#include "core/recipe_file.h"
#include "core/sweep.h"

#define POINTS_TRIED 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_slice(const struct recipe *recipe, const struct slice *slice)
{
	const struct merge_method *method = recipe->method;
	size_t base = recipe_base_index(recipe, slice);
	size_t models = slice->count - (base != METHOD_NO_BASE);

	must(slice->count > 0 && slice->count <= METHOD_INPUTS_MAX);
	must(models >= method->models_min && models <= method->models_max);
	must(method->base != BASE_REQUIRED || base != METHOD_NO_BASE);
	for (size_t i = 0; i < slice->count; i++) {
		must(slice->sources[i].path && slice->sources[i].model.path);
		must(slice->sources[i].has_range != recipe->whole_models);
		must(slice->sources[i].begin <= slice->sources[i].end);
	}
}

static void check_recipe(const struct recipe *recipe)
{
	must(recipe->method && recipe->slices_count > 0);
	for (size_t i = 0; i < recipe->slices_count; i++)
		check_slice(recipe, &recipe->slices[i]);
}

/* The text of a point, or of a recipe with settings, is its tree. */
static void check_text(const struct recipe *recipe)
{
	AUTO_ARENA struct arena *arena = arena_open();
	AUTO_FREE char *canonical = NULL;
	struct json *tree;

	must(json_parse(recipe->text, recipe->text_len, arena, &tree, NULL) ==
	     0);
	canonical = json_canonical(tree);
	must(hash_equal(recipe->hash,
			hash_bytes(canonical, strlen(canonical))));
}

static void check_name(const struct recipe_file *file, size_t i)
{
	const char *name = recipe_file_point(file, i);

	must(name && name[0] && name[0] != '.' && strlen(name) <= 255);
	must(!strchr(name, '/') && recipe_file_find(file, name) == i);
}

static void check_file(const struct recipe_file *file, bool written)
{
	size_t count = recipe_file_count(file);
	bool sweeps = recipe_file_sweeps(file);

	must(count > 0 && count <= SWEEP_POINTS_MAX);
	for (size_t i = 0; i < count && i < POINTS_TRIED; i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		AUTO_RECIPE struct recipe *recipe =
			recipe_file_recipe(file, i, &report);

		must((recipe == NULL) == (report.errors > 0));
		if (sweeps)
			check_name(file, i);
		if (!recipe)
			continue;
		check_recipe(recipe);
		if (sweeps || written)
			check_text(recipe);
	}
}

/* "PATH=VALUE" up to the line's end, then a recipe: true where that is so. */
static bool take_setting(struct recipe_text *text, struct arena *arena,
			 struct setting *setting)
{
	const char *end = memchr(text->text, '\n', text->len);
	char *line;

	if (!end)
		return false;
	line = arena_strndup(arena, text->text, (size_t)(end - text->text));
	text->len -= (size_t)(end + 1 - text->text);
	text->text = end + 1;
	return setting_parse(line, arena, setting, NULL) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena *arena = arena_open();
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_RECIPE_FILE struct recipe_file *file = NULL;
	struct recipe_text text = { .path = "fuzz.yml" };
	struct setting setting;
	size_t count = 0;

	if (size == 0)
		return 0;
	text.text = (const char *)data + 1;
	text.len = size - 1;
	text.yaml = data[0] == 'y' || data[0] == 's';
	if (data[0] == 's')
		count = take_setting(&text, arena, &setting);
	file = recipe_file_parse(&text, &setting, count, &report);
	must((file == NULL) == (report.errors > 0));
	if (file)
		check_file(file, count > 0);
	return 0;
}
