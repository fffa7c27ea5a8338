#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/text.h"
#include "core/recipe_file.h"
#include "tests/unit/fixture.h"
#include "tests/unit/tree_fixture.h"

#include <cmocka.h>

#define SETTINGS_MAX 4

/* What is left of a task arithmetic recipe to be swept. */
#define MODELS                                          \
	"base_model: ./base\n"                          \
	"models:\n"                                     \
	"  - {model: ./a, parameters: {weight: 0.5}}\n" \
	"  - {model: ./b, parameters: {weight: 1.0}}\n" \
	"parameters: {lambda: 0.3}\n"
#define TASK "merge_method: task_arithmetic\n" MODELS
#define SWEEP(text) TASK "llmergefs: {sweep: " text "}\n"
#define LAMBDAS "{parameters.lambda: [0.20, 0.4]}"

/* The file with these settings, which are gone when it returns. */
static struct recipe_file *parse(const char *yaml, const char *const *texts,
				 struct report *report)
{
	const struct recipe_text text = { "s.yml", yaml, strlen(yaml), true };
	AUTO_ARENA struct arena *gone = arena_open();
	struct setting settings[SETTINGS_MAX] = { 0 };
	size_t count = 0;

	for (; texts && texts[count]; count++)
		assert_int_equal(setting_parse(texts[count], gone,
					       &settings[count], NULL),
				 0);
	return recipe_file_parse(&text, settings, count, report);
}

/* The only recipe of a text without a sweep. */
static struct recipe *by_hand(const char *yaml)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct recipe *recipe =
		recipe_parse("hand.yml", yaml, strlen(yaml), true, &report);

	assert_int_equal(report.count, 0);
	assert_non_null(recipe);
	return recipe;
}

static void assert_notes(const struct report *report, const char *notes)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;

	assert_int_equal(text_open(&text), 0);
	for (size_t i = 0; i < report->count; i++)
		fprintf(text.out, "%s\n", report->notes[i].text);
	assert_int_equal(text_take(&text, &bytes, NULL), 0);
	assert_string_equal(bytes, notes);
}

static void a_file_without_a_sweep_is_one_recipe_word_for_word(void **state)
{
	static const char *const texts[] = {
		TASK "# a comment\n",
		TASK "llmergefs: {sweep: null, seed: 3}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		AUTO_RECIPE_FILE struct recipe_file *file =
			parse(texts[i], NULL, &report);
		AUTO_RECIPE struct recipe *recipe = NULL;

		assert_non_null(file);
		assert_false(recipe_file_sweeps(file));
		assert_int_equal(recipe_file_count(file), 1);
		assert_null(recipe_file_point(file, 0));
		assert_int_equal(recipe_file_find(file, "lambda=0.3"),
				 SIZE_MAX);
		recipe = recipe_file_recipe(file, 0, &report);
		assert_non_null(recipe);
		assert_int_equal(report.count, 0);
		assert_string_equal(recipe->text, texts[i]);
		assert_int_equal(recipe->text_len, strlen(texts[i]));
		assert_string_equal(recipe->path, "s.yml");
		assert_string_equal(recipe->dir, recipe_file_dir(file));
	}
}

/* A point, and the same recipe as a person would write it. */
static const struct {
	const char *swept;
	const char *point;
	const char *hand;
} twins[] = {
	{ SWEEP(LAMBDAS), "lambda=0.20",
	  "merge_method: task_arithmetic\nbase_model: ./base\nmodels:\n"
	  "  - {model: ./a, parameters: {weight: 0.5}}\n"
	  "  - {model: ./b, parameters: {weight: 1}}\n"
	  "parameters: {lambda: 0.2}\n" },
	{ TASK "llmergefs: {seed: 9, sweep: {llmergefs.shard_size: [1GB], "
	       "'models[1].parameters.weight': [1.0e-5, 0]}}\n",
	  "shard_size=1GB,weight=1.0e-5",
	  "merge_method: task_arithmetic\nbase_model: ./base\nmodels:\n"
	  "  - {model: ./a, parameters: {weight: 0.5}}\n"
	  "  - {model: ./b, parameters: {weight: 0.00001}}\n"
	  "parameters: {lambda: 0.3}\n"
	  "llmergefs: {shard_size: 1GB, seed: 9}\n" },
	{ TASK "llmergefs: {sweep: {merge_method: [ties, dare_ties], "
	       "llmergefs.seed: [0, 7]}}\n",
	  "merge_method=dare_ties,seed=7",
	  "merge_method: dare_ties\n" MODELS "llmergefs: {seed: 7}\n" },
	{ SWEEP("[{'models[0].parameters.weight': 0.2, "
		"'models[1].parameters.weight': 0.8}]"),
	  "models.0.weight=0.2,models.1.weight=0.8",
	  "merge_method: task_arithmetic\nbase_model: ./base\nmodels:\n"
	  "  - {model: ./a, parameters: {weight: 0.2}}\n"
	  "  - {model: ./b, parameters: {weight: 0.8}}\n"
	  "parameters: {lambda: 0.3}\n" },
	{ SWEEP("{'models[0].model': [./a, ./c], base_model: [x/y]}"),
	  "model=._c,base_model=x_y",
	  "merge_method: task_arithmetic\nbase_model: x/y\nmodels:\n"
	  "  - {model: ./c, parameters: {weight: 0.5}}\n"
	  "  - {model: ./b, parameters: {weight: 1}}\n"
	  "parameters: {lambda: 0.3}\n" },
	{ SWEEP("{'models[0].parameters.weight': [[0, 1.0], "
		"[{filter: mlp, value: -0.0}, 1]]}"),
	  "weight=[{\"filter\":\"mlp\",\"value\":-0},1]", NULL },
	{ SWEEP("{'models[0].parameters.weight': [[0, 1.0], [1, 0]]}"),
	  "weight=[1,0]",
	  "merge_method: task_arithmetic\nbase_model: ./base\nmodels:\n"
	  "  - {model: ./a, parameters: {weight: [1, 0]}}\n"
	  "  - {model: ./b, parameters: {weight: 1}}\n"
	  "parameters: {lambda: 0.3}\n" },
};

static void a_point_is_the_recipe_written_by_hand(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(twins); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		struct recipe_file *file = parse(twins[i].swept, NULL, &report);
		AUTO_RECIPE struct recipe *recipe = NULL, *hand = NULL;
		size_t at;

		assert_non_null(file);
		assert_true(recipe_file_sweeps(file));
		at = recipe_file_find(file, twins[i].point);
		assert_true(at < recipe_file_count(file));
		assert_string_equal(recipe_file_point(file, at),
				    twins[i].point);
		if (!twins[i].hand) {
			recipe_file_close(file);
			continue;
		}
		recipe = recipe_file_recipe(file, at, &report);
		assert_int_equal(report.count, 0);
		assert_non_null(recipe);
		/* what follows needs nothing of the file */
		recipe_file_close(file);
		hand = by_hand(twins[i].hand);
		assert_true(hash_equal(recipe->hash, hand->hash));
		assert_ptr_equal(recipe->method, hand->method);
		assert_int_equal(recipe->seed, hand->seed);
		assert_int_equal(recipe->shard_size, hand->shard_size);
		assert_string_equal(recipe->path, "s.yml");
	}
}

/* mergekit_config.yml is read as YAML, and is JSON. */
static void the_text_of_a_point_is_its_tree(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(twins); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		AUTO_RECIPE_FILE struct recipe_file *file =
			parse(twins[i].swept, NULL, &report);

		for (size_t j = 0; twins[i].hand && j < recipe_file_count(file);
		     j++) {
			AUTO_RECIPE struct recipe *recipe =
				recipe_file_recipe(file, j, &report);
			AUTO_FREE char *tree = json_canonical(recipe->tree);
			AUTO_FREE char *json =
				json_canonical(parse_json(recipe->text));
			AUTO_FREE char *yaml =
				json_canonical(parse_yaml(recipe->text));

			assert_string_equal(json, tree);
			assert_string_equal(yaml, tree);
			assert_null(strstr(recipe->text, "sweep"));
			assert_string_equal(recipe->text + recipe->text_len - 3,
					    "\n}\n");
		}
	}
}

static void settings_are_part_of_every_recipe(void **state)
{
	static const struct {
		const char *text;
		const char *settings[SETTINGS_MAX];
		const char *point; /* NULL: no sweep */
		const char *hand;
	} cases[] = {
		{ TASK,
		  { "merge_method=ties", "models[0].parameters.density=0.5" },
		  NULL,
		  "merge_method: ties\nbase_model: ./base\nmodels:\n"
		  "  - {model: ./a, parameters: {weight: 0.5, density: 0.5}}\n"
		  "  - {model: ./b, parameters: {weight: 1}}\n"
		  "parameters: {lambda: 0.3}\n" },
		{ SWEEP(LAMBDAS),
		  { "llmergefs.seed=5" },
		  "lambda=0.4",
		  "merge_method: task_arithmetic\nbase_model: ./base\nmodels:\n"
		  "  - {model: ./a, parameters: {weight: 0.5}}\n"
		  "  - {model: ./b, parameters: {weight: 1}}\n"
		  "parameters: {lambda: 0.4}\nllmergefs: {seed: 5}\n" },
		/* the sweep goes into what a setting has put there */
		{ SWEEP(LAMBDAS),
		  { "parameters={\"weight\": 2}" },
		  "lambda=0.4",
		  "merge_method: task_arithmetic\nbase_model: ./base\nmodels:\n"
		  "  - {model: ./a, parameters: {weight: 0.5}}\n"
		  "  - {model: ./b, parameters: {weight: 1}}\n"
		  "parameters: {lambda: 0.4, weight: 2}\n" },
		/* a sweep can come from outside */
		{ TASK,
		  { "llmergefs.sweep={\"parameters.lambda\": [0.40]}" },
		  "lambda=0.40",
		  "merge_method: task_arithmetic\nbase_model: ./base\nmodels:\n"
		  "  - {model: ./a, parameters: {weight: 0.5}}\n"
		  "  - {model: ./b, parameters: {weight: 1}}\n"
		  "parameters: {lambda: 0.4}\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		AUTO_RECIPE_FILE struct recipe_file *file =
			parse(cases[i].text, cases[i].settings, &report);
		AUTO_RECIPE struct recipe *recipe = NULL, *hand = NULL;
		size_t at = 0;

		assert_notes(&report, "");
		if (cases[i].point)
			at = recipe_file_find(file, cases[i].point);
		recipe = recipe_file_recipe(file, at, &report);
		assert_notes(&report, "");
		hand = by_hand(cases[i].hand);
		assert_true(hash_equal(recipe->hash, hand->hash));
		assert_int_equal(recipe->text[0], '{');
	}
}

/* What a file as a whole cannot be. */
static void what_is_wrong_with_a_file_is_said(void **state)
{
	static const struct {
		const char *text;
		const char *settings[SETTINGS_MAX];
		const char *notes;
	} cases[] = {
		{ "a: [", { NULL }, "s.yml: line 2, column 1: " },
		{ "7",
		  { NULL },
		  "s.yml: must be an object with keys such as `merge_method` "
		  "and `models`, not a number\n" },
		{ TASK,
		  { "models[7].model=x" },
		  "s.yml: models[7]: there are 2, counted from 0\n" },
		{ SWEEP("{parameters.lambda: 0.2}"),
		  { NULL },
		  "s.yml: llmergefs.sweep: parameters.lambda: must be a list "
		  "of values, as in [0.2, 0.4], not a number\n" },
		{ SWEEP("[{'models[7].parameters.weight': 1}, "
			"{'models[7].parameters.weight': 2}, "
			"{'slices[0].parameters.x': 2}, "
			"{merge_method.x: 2}]"),
		  { NULL },
		  "s.yml: llmergefs.sweep: models[7]: there are 2, counted "
		  "from 0\n"
		  "s.yml: llmergefs.sweep: slices[0]: there is no slices\n"
		  "s.yml: llmergefs.sweep: merge_method.x: merge_method is a "
		  "string, not an object\n" },
		{ SWEEP(LAMBDAS),
		  { "parameters.lambda=1", "llmergefs.seed=1",
		    "parameters.lambda[0]=1" },
		  "s.yml: parameters.lambda[0]: parameters.lambda is a number, "
		  "not a list\n" },
		{ SWEEP(LAMBDAS),
		  { "parameters.lambda=[0]", "llmergefs.seed=1",
		    "parameters.lambda[0]=1" },
		  "s.yml: parameters.lambda: the sweep gives parameters.lambda "
		  "its values; set something else, or change "
		  "llmergefs.sweep\n"
		  "s.yml: parameters.lambda[0]: the sweep gives "
		  "parameters.lambda its values; set something else, or change "
		  "llmergefs.sweep\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;

		assert_null(parse(cases[i].text, cases[i].settings, &report));
		assert_int_equal(report.code, EINVAL);
		if (i > 0)
			assert_notes(&report, cases[i].notes);
		else
			assert_memory_equal(report.notes[0].text,
					    cases[i].notes,
					    strlen(cases[i].notes));
	}
}

static void a_point_is_named_where_it_is_wrong(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_RECIPE_FILE struct recipe_file *file =
		parse("merge_method: task_arithmetic\n" MODELS "lamda: 1\n"
		      "llmergefs: {sweep: {parameters.lambda: [0.2, x, y], "
		      "parameters.lamda: ['a: b']}}\n",
		      NULL, &report);

	assert_non_null(file);
	for (size_t i = 0; i < 3; i++) {
		AUTO_RECIPE struct recipe *recipe =
			recipe_file_recipe(file, i, &report);

		assert_int_equal(recipe == NULL, i > 0);
		assert_int_equal(report.errors, i);
	}
	/* what two points have in common is said once */
	assert_notes(&report,
		     "s.yml: lambda=0.2,lamda=a: b: lamda: unknown key, "
		     "ignored; did you mean \"parameters: {lambda: ...}\"?\n"
		     "s.yml: lambda=0.2,lamda=a: b: parameters.lamda: "
		     "task_arithmetic has no such parameter, ignored; did you "
		     "mean \"lambda\"?\n"
		     "s.yml: lambda=x,lamda=a: b: parameters.lambda: \"x\" is "
		     "not a finite number\n"
		     "s.yml: lambda=y,lamda=a: b: parameters.lambda: \"y\" is "
		     "not a finite number\n");
}

static void an_error_of_all_points_is_said_once_and_counted(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_RECIPE_FILE struct recipe_file *file =
		parse("dtype: bf16\n" SWEEP(LAMBDAS), NULL, &report);

	for (size_t i = 0; i < 2; i++)
		assert_null(recipe_file_recipe(file, i, &report));
	assert_notes(&report, "s.yml: lambda=0.20: dtype: \"bf16\" is no "
			      "dtype; did you mean \"bfloat16\"? (bfloat16, "
			      "float16, float32 or float64)\n");
	assert_int_equal(report.errors, 2);
	assert_int_equal(report.lost, 0);
}

static void a_point_has_no_sweep_of_its_own(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_RECIPE_FILE struct recipe_file *file =
		parse(SWEEP("{llmergefs: [{seed: 1}, {sweep: {a: [1]}}]}"),
		      NULL, &report);
	AUTO_RECIPE struct recipe *first = NULL;

	assert_non_null(file);
	first = recipe_file_recipe(file, 0, &report);
	assert_non_null(first);
	assert_int_equal(first->seed, 1);
	assert_null(recipe_file_recipe(file, 1, &report));
	assert_notes(&report,
		     "s.yml: llmergefs={\"sweep\":{\"a\":[1]}}: "
		     "llmergefs.sweep: a point of a sweep cannot have a "
		     "sweep\n");
}

static void where_one_recipe_is_due_a_sweep_is_refused(void **state)
{
	static const struct {
		const char *text, *notes;
	} cases[] = {
		{ SWEEP(LAMBDAS),
		  "s.yml: llmergefs.sweep: it has 2 points; name one (--point "
		  "lambda=0.20), or mount it\n" },
		{ SWEEP("[{parameters.lambda: 1}]"),
		  "s.yml: llmergefs.sweep: it has 1 point; name one (--point "
		  "lambda=1), or mount it\n" },
		{ SWEEP("7"),
		  "s.yml: llmergefs.sweep: must be an object with a list of "
		  "values for each key, or a list of points, not a number\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;

		assert_null(recipe_parse("s.yml", cases[i].text,
					 strlen(cases[i].text), true, &report));
		assert_int_equal(report.code, EINVAL);
		assert_notes(&report, cases[i].notes);
	}
}

/* The name says YAML or JSON, and the folder is absolute. */
static void a_file_is_opened_by_its_name(void **state)
{
	static const char json[] =
		"{\"merge_method\": \"linear\", \"models\": [{\"model\": "
		"\"a\"}], \"llmergefs\": {\"sweep\": {\"parameters.weight\": "
		"[1e-3, 0.50]}}}";
	static struct fixture fx;
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_RECIPE_FILE struct recipe_file *file = NULL;
	char path[FIXTURE_PATH_MAX];

	fixture_open(&fx);
	fixture_write(&fx, "s.json", json, strlen(json));
	fixture_path(&fx, "s.json", path);
	file = recipe_file_open(path, NULL, 0, &report);
	assert_notes(&report, "");
	assert_string_equal(recipe_file_path(file), path);
	assert_string_equal(recipe_file_dir(file), fx.dir);
	assert_string_equal(recipe_file_point(file, 0), "weight=1e-3");
	assert_string_equal(recipe_file_point(file, 1), "weight=0.50");
	fixture_path(&fx, "none.yml", path);
	assert_null(recipe_file_open(path, NULL, 0, &report));
	assert_int_equal(report.code, ENOENT);
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_file_without_a_sweep_is_one_recipe_word_for_word),
		cmocka_unit_test(a_point_is_the_recipe_written_by_hand),
		cmocka_unit_test(the_text_of_a_point_is_its_tree),
		cmocka_unit_test(settings_are_part_of_every_recipe),
		cmocka_unit_test(what_is_wrong_with_a_file_is_said),
		cmocka_unit_test(a_point_is_named_where_it_is_wrong),
		cmocka_unit_test(
			an_error_of_all_points_is_said_once_and_counted),
		cmocka_unit_test(a_point_has_no_sweep_of_its_own),
		cmocka_unit_test(where_one_recipe_is_due_a_sweep_is_refused),
		cmocka_unit_test(a_file_is_opened_by_its_name),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
