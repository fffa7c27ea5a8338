#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/model_fixture.h"

#include <cmocka.h>

static void a_folder_becomes_a_table(void **state)
{
	static const char config[] = "{ \"model_type\": \"llama\" }\n";
	struct fixture *fx = *state;
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir, NULL);
	const struct model *model;

	WEIGHTS(fx, "one/model.safetensors", "model.norm.weight",
		"model.layers.1.w", "model.layers.0.w", "model.layers.norm.w",
		"vision.layers.10.w", "vision.layers.9.w", "vision.5.w",
		"lm_head.weight");
	fixture_text(fx, "one/config.json", config);
	model = model_fixture_get(set, "one", NULL, &report);
	assert_non_null(model);
	assert_int_equal(report.count, 0);
	assert_int_equal(model->count, 8);
	for (size_t i = 1; i < model->count; i++)
		assert_true(strcmp(model->tensors[i - 1]->name,
				   model->tensors[i]->name) < 0);
	assert_string_equal(model_tensor(model, "lm_head.weight")->name,
			    "lm_head.weight");
	assert_null(model_tensor(model, "lm_head"));
	assert_string_equal(model->config_text, config);
	assert_int_equal(model->config_len, strlen(config));
	assert_string_equal(json_member_string(model->config, "model_type"),
			    "llama");
	assert_int_equal(model->spans_count, 3);
	assert_string_equal(model->spans[0].prefix, "model.layers.");
	assert_string_equal(model->spans[1].prefix, "vision.");
	assert_string_equal(model->spans[2].prefix, "vision.layers.");
	assert_int_equal(model_layers(model, "vision.", 7), 6);
	assert_int_equal(model_layers(model, "model.layers.x", 13), 2);
	assert_int_equal(model_layers(model, "vision.layers.", 14), 11);
	assert_int_equal(model_layers(model, "vision.layers", 13), 0);
	assert_int_equal(model_layers(model, "model.", 6), 0);
	assert_int_equal(source_set_count(model_set_sources(set)), 1);
	model_set_close(set);
}

static void a_model_is_opened_and_reported_once(void **state)
{
	struct fixture *fx = *state;
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir, NULL);
	const struct model *model;

	WEIGHTS(fx, "once/model.safetensors", "w");
	model = model_fixture_get(set, "once", NULL, &report);
	assert_non_null(model);
	assert_ptr_equal(model_fixture_get(set, "once", NULL, &report), model);
	/* Another spelling is another model, of the same files. */
	assert_ptr_not_equal(model_fixture_get(set, "./once", NULL, &report),
			     model);
	assert_int_equal(model_set_count(set), 2);
	assert_ptr_equal(model_set_at(set, 0), model);
	assert_string_equal(model_set_at(set, 1)->dir, model->dir);
	assert_int_equal(source_set_count(model_set_sources(set)), 1);
	for (int i = 0; i < 3; i++)
		assert_null(model_fixture_get(set, "./nowhere", NULL, &report));
	assert_int_equal(report.count, 1);
	assert_int_equal(model_set_count(set), 2);
	/* Trouble with one is none of another. */
	assert_non_null(model_fixture_get(set, "once/.", NULL, &report));
	model_set_close(set);
}

static void a_folder_of_the_recipe_goes_first(void **state)
{
	struct fixture *fx = *state;
	AUTO_FREE char *before = getcwd(NULL, 0);
	AUTO_REPORT struct report report = REPORT_INIT;
	char recipes[FIXTURE_PATH_MAX];
	struct model_set *set;

	WEIGHTS(fx, "recipes/both/model.safetensors", "recipe");
	WEIGHTS(fx, "cwd/both/model.safetensors", "cwd");
	WEIGHTS(fx, "cwd/only/model.safetensors", "only");
	fixture_path(fx, "cwd/x", recipes);
	*strrchr(recipes, '/') = '\0';
	assert_int_equal(chdir(recipes), 0);
	fixture_path(fx, "recipes", recipes);
	set = model_set_open(recipes, NULL);
	assert_non_null(model_tensor(
		model_fixture_get(set, "both", NULL, &report), "recipe"));
	assert_non_null(model_tensor(
		model_fixture_get(set, "only", NULL, &report), "only"));
	assert_null(model_fixture_get(set, "./none", NULL, &report));
	assert_null(model_fixture_get(set, "~/none", NULL, &report));
	assert_int_equal(chdir(before), 0);
	assert_notes(fx, &report,
		     "model \"./none\": no such folder in @/recipes or @/cwd\n"
		     "model \"~/none\": no such folder in @/recipes or @/cwd "
		     "('~' is not expanded: write the path out)\n");
	model_set_close(set);
}

static void a_bad_config_is_refused(void **state)
{
	struct fixture *fx = *state;

	WEIGHTS(fx, "config/model.safetensors", "w");
	fixture_text(fx, "config/config.json", "[]");
	assert_model(fx, "config", NULL, EBADMSG,
		     "@/config/config.json: must be an object, not a list\n");
}

static void a_revision_of_a_folder_is_a_warning(void **state)
{
	struct fixture *fx = *state;

	WEIGHTS(fx, "rev/model.safetensors", "w");
	assert_model(fx, "rev", "v1", 0,
		     "model \"rev\": its revision is ignored, since @/rev is a "
		     "folder\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_folder_becomes_a_table),
		cmocka_unit_test(a_model_is_opened_and_reported_once),
		cmocka_unit_test(a_folder_of_the_recipe_goes_first),
		cmocka_unit_test(a_bad_config_is_refused),
		cmocka_unit_test(a_revision_of_a_folder_is_a_warning),
	};

	return cmocka_run_group_tests(tests, model_fixture_open,
				      model_fixture_close);
}
