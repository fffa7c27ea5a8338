/*
 * Recipes as people publish them, tests/recipes: each is taken as it is, with
 * no other words than those below. Run from the root of the tree.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/recipe_file.h"

#include <cmocka.h>

#define FOLDER "tests/recipes/"
#define NOTES_MAX 4096

static const struct {
	const char *name;
	const char *method;
	size_t slices, inputs; /* of the first slice, the base among them */
	const char *notes;     /* without the path before each */
} files[] = {
	{ "dare-linear.yml", "dare_linear", 1, 3, "" },
	{ "dare-ties.yml", "dare_ties", 1, 4,
	  "random_seed: unknown key, ignored\n" },
	{ "dead-keys.yml", "linear", 1, 2,
	  "input_model_parameters: ignored; nothing reads it; parameters "
	  "stand below each model\n"
	  "parameters.t: linear has no such parameter, ignored\n"
	  "models[0].layer_range: ignored; `models` merges whole models; a "
	  "range of layers needs `slices`\n"
	  "models[0].parameters.density: linear has no such parameter, "
	  "ignored\n"
	  "models[1].layer_range: ignored; `models` merges whole models; a "
	  "range of layers needs `slices`\n"
	  "models[1].parameters.density: linear has no such parameter, "
	  "ignored\n" },
	{ "evolved.yml", "task_arithmetic", 2, 3, "" },
	{ "frankenmerge-head.yml", "passthrough", 3, 1, "" },
	{ "frankenmerge.yml", "passthrough", 4, 1, "" },
	{ "layer-pruning.yml", "passthrough", 2, 1, "" },
	{ "linear-embeddings.yml", "linear", 1, 2, "" },
	{ "linear-soup.yml", "linear", 1, 3, "" },
	{ "model-plus-revision.yml", "linear", 1, 2, "" },
	{ "object-references.yml", "linear", 1, 2, "" },
	{ "own-settings.json", "dare_ties", 1, 3, "" },
	{ "self-merge-anchors.yml", "passthrough", 3, 1,
	  "const_tag: unknown key, ignored\n"
	  "const_tag1: unknown key, ignored\n"
	  "const_tag2: unknown key, ignored\n"
	  "attenuate-env: unknown key, ignored\n" },
	{ "self-merge-scaled.yml", "passthrough", 3, 1, "" },
	{ "slerp-embed.yml", "slerp", 1, 2,
	  "embed_slerp: ignored; nothing reads it; a filter on embed_tokens "
	  "sets the embeddings' own value\n" },
	{ "slerp-layer-ranges.yml", "slerp", 1, 2, "" },
	{ "slerp-models-tokenizer.yml", "slerp", 1, 2, "" },
	{ "slice-bases.yml", "slerp", 2, 2,
	  "slices[0].residual_weight: ignored; mergekit reads it and never "
	  "uses it\n" },
	{ "task-arithmetic-negative.yml", "task_arithmetic", 1, 2, "" },
	{ "task-arithmetic.yml", "task_arithmetic", 1, 3, "" },
	{ "ties-base-listed.yml", "ties", 1, 3, "" },
	{ "ties-gradient.yml", "ties", 1, 4, "" },
	{ "ties-slices.yml", "ties", 1, 3, "" },
	{ "ties-top-level-normalize.yml", "ties", 1, 2,
	  "normalize: unknown key, ignored; did you mean \"parameters: "
	  "{normalize: ...}\"?\n"
	  "int8_mask: unknown key, ignored; did you mean \"parameters: "
	  "{int8_mask: ...}\"?\n" },
};

static const struct {
	const char *name;
	const char *method; /* of the first point */
	const char *first, *last;
	size_t points;
} sweeps[] = {
	{ "sweep-methods.yml", "ties", "merge_method=ties,lambda=0.25",
	  "merge_method=dare_ties,lambda=1.0", 8 },
	{ "sweep-weights.json", "linear",
	  "models.0.weight=0.2,models.1.weight=0.8",
	  "models.0.weight=0.8,models.1.weight=0.2", 3 },
};

static void a_published_recipe_is_taken(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		AUTO_RECIPE struct recipe *recipe = NULL;
		char path[256], notes[NOTES_MAX] = "";
		size_t len = 0, prefix;

		snprintf(path, sizeof(path), FOLDER "%s", files[i].name);
		prefix = strlen(path) + 2;
		recipe = recipe_open(path, &report);
		for (size_t j = 0; j < report.count; j++)
			len += (size_t)snprintf(notes + len,
						sizeof(notes) - len, "%s\n",
						report.notes[j].text + prefix);
		if (strcmp(notes, files[i].notes) != 0)
			fail_msg("%s gives\n%s\nnot\n%s", path, notes,
				 files[i].notes);
		assert_non_null(recipe);
		assert_string_equal(recipe->method->name, files[i].method);
		assert_int_equal(recipe->slices_count, files[i].slices);
		assert_int_equal(recipe->slices[0].count, files[i].inputs);
	}
}

static void each_point_of_a_sweep_is_taken(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(sweeps); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		AUTO_RECIPE_FILE struct recipe_file *file = NULL;
		char path[256];

		snprintf(path, sizeof(path), FOLDER "%s", sweeps[i].name);
		file = recipe_file_open(path, NULL, 0, &report);
		assert_non_null(file);
		assert_int_equal(recipe_file_count(file), sweeps[i].points);
		assert_string_equal(recipe_file_point(file, 0),
				    sweeps[i].first);
		assert_int_equal(recipe_file_find(file, sweeps[i].last),
				 sweeps[i].points - 1);
		for (size_t j = 0; j < sweeps[i].points; j++) {
			AUTO_RECIPE struct recipe *recipe =
				recipe_file_recipe(file, j, &report);

			assert_non_null(recipe);
			assert_true(j > 0 || strcmp(recipe->method->name,
						    sweeps[i].method) == 0);
		}
		assert_int_equal(report.count, 0);
	}
}

static void every_recipe_of_the_folder_is_known(void **state)
{
	DIR *dir = opendir(FOLDER);
	size_t count = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	assert_int_equal(count, ARRAY_LEN(files) + ARRAY_LEN(sweeps));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_published_recipe_is_taken),
		cmocka_unit_test(each_point_of_a_sweep_is_taken),
		cmocka_unit_test(every_recipe_of_the_folder_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
