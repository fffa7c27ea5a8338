/*
 * Any bytes as a recipe: the first says YAML ('y') or JSON, the rest is the
 * text. A recipe is refused with a sentence, or it is whole: a method, slices
 * with inputs, the base where the method wants one.
 */
#include "core/recipe.h"
#include "core/recipe_check.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_RECIPE struct recipe *recipe = NULL;

	if (size == 0)
		return 0;
	recipe = recipe_parse("fuzz.yml", (const char *)data + 1, size - 1,
			      data[0] == 'y', &report);
	must((recipe == NULL) == (report.errors > 0));
	if (!recipe)
		return 0;
	must(recipe->method && recipe->slices_count > 0);
	for (size_t i = 0; i < recipe->slices_count; i++)
		check_slice(recipe, &recipe->slices[i]);
	return 0;
}
