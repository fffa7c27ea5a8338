#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/catalog_fixture.h"

#include <cmocka.h>

#define SHARD "model.safetensors"

static void make_dir(const struct fixture *fx, const char *name)
{
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	mkdir(path, 0700);
}

static void remove_file(const struct fixture *fx, const char *name)
{
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	assert_int_equal(remove(path), 0);
}

static int change(struct served *served, const char *name, const char *setting,
		  unsigned *number, struct error *err)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct catalog_change change = {
		.name = name,
		.settings = &setting,
		.count = setting != NULL,
		.report = &report,
	};
	int rc = catalog_set(served->catalog, &change, err);

	*number = change.number;
	return rc;
}

static void one_file_stands_in_the_root(void **state)
{
	struct served served;
	struct error err;

	write_linear(*state, "one.yml", 1);
	serve(&served, *state, (const char *const[]){ "one.yml", NULL });
	assert_true(look(&served, SHARD, false));
	assert_true(look(&served, ".llmergefs/plan.json", false));
	assert_false(look(&served, "one", false));
	assert_false(look(&served, "current", false));
	assert_int_equal(catalog_switch(served.catalog, "one", &err), -EINVAL);
	assert_non_null(strstr(err.text, "nothing to switch to"));
	serve_end(&served);
}

static void several_files_have_a_folder_each(void **state)
{
	struct served served;
	struct error err;
	char *target;

	write_linear(*state, "x.yml", 1);
	write_linear(*state, "y.v2.yml", 2);
	serve(&served, *state,
	      (const char *const[]){ "y.v2.yml", "x.yml", NULL });
	assert_true(look(&served, "x/" SHARD, false));
	assert_true(look(&served, "y.v2/.llmergefs/recipe.json", false));
	target = tree_link_target(served.tree, "current");
	assert_string_equal(target, "x");
	free(target);
	assert_int_equal(catalog_switch(served.catalog, "y.v2", &err), 0);
	target = tree_link_target(served.tree, "current");
	assert_string_equal(target, "y.v2");
	free(target);
	assert_int_equal(catalog_switch(served.catalog, "y", &err), -EINVAL);
	assert_string_equal(err.text, "the mount has no folder \"y\"");
	serve_end(&served);
}

/* Files that are named must be sound, and differ in their names. */
static void named_files_are_all_checked(void **state)
{
	static const struct {
		const char *names[3], *sentence;
	} rows[] = {
		{ { "x.yml", "none.yml" }, "none.yml: No such file" },
		{ { "x.yml", "sub/x.json" }, "is called \"x\", too" },
		{ { "x.yml", "current.yml" }, "\"current\" of its own" },
		{ { "x.yml", "two\nlines.yml" }, "without control" },
		{ { "x.yml", "no\xffutf8.yml" }, "is UTF-8" },
		{ { "x.yml", "sub" }, "is a folder" },
		{ { "a" }, "is the folder of a model" },
	};
	const struct fixture *fx = *state;

	make_dir(fx, "sub");
	write_linear(fx, "x.yml", 1);
	write_linear(fx, "current.yml", 1);
	fixture_write(fx, "sub/x.json", "{}", 2);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		char paths[2][FIXTURE_PATH_MAX];
		const char *list[2];
		size_t count = 0;

		for (; rows[i].names[count]; count++) {
			fixture_path(fx, rows[i].names[count], paths[count]);
			list[count] = paths[count];
		}
		assert_null(catalog_open(list, count, &report));
		if (!strstr(report.notes[0].text, rows[i].sentence))
			fail_msg("%s", report.notes[0].text);
	}
}

/* Relative models are looked for beside the link, at first and later. */
static void a_link_to_a_recipe_stays_one(void **state)
{
	static const char recipe[] =
		"merge_method: linear\n"
		"models:\n"
		"- {model: a, parameters: {weight: 0.5}}\n"
		"- {model: b, parameters: {weight: 0.5}}\n";
	const struct fixture *fx = *state;
	char link[FIXTURE_PATH_MAX];
	struct served served;
	struct error err;
	unsigned number;

	make_dir(fx, "store");
	fixture_write(fx, "store/linked.yml", recipe, sizeof(recipe) - 1);
	fixture_path(fx, "link.yml", link);
	assert_int_equal(symlink("store/linked.yml", link), 0);
	serve(&served, fx, (const char *const[]){ "link.yml", NULL });
	if (change(&served, NULL, "models[0].parameters.weight=0.25", &number,
		   &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(number, 2);
	serve_end(&served);
}

/* A reader of the generation before keeps it; the path means the next. */
static void a_setting_makes_the_next_generation(void **state)
{
	struct served served;
	struct error err;
	uint64_t before, after;
	unsigned number;

	write_linear(*state, "x.yml", 1);
	write_linear(*state, "y.yml", 2);
	serve(&served, *state, (const char *const[]){ "x.yml", "y.yml", NULL });
	before = look(&served, "x/" SHARD, true);
	assert_int_equal(change(&served, "x",
				"models[0].parameters.weight=0.25", &number,
				&err),
			 0);
	assert_int_equal(number, 2);
	after = look(&served, "x/" SHARD, false);
	assert_int_not_equal(before, after);
	assert_int_equal(tree_node(served.tree, before)->kind, NODE_SHARD);
	assert_int_equal(catalog_retired(served.catalog), 1);
	WAIT_UNTIL(served.let_go > 0);
	tree_forget(served.tree, before, 1);
	assert_int_equal(catalog_retired(served.catalog), 0);
	serve_end(&served);
}

static void a_wrong_setting_changes_nothing(void **state)
{
	static const struct {
		const char *name, *setting, *sentence;
	} rows[] = {
		{ "x", "models[7].parameters.weight=1", "models[7]" },
		{ "x", "merge_method=liner", "did you mean \"linear\"" },
		{ "x", "models[0].model=nowhere", "nowhere" },
		{ "none", "dtype=float16", "no folder \"none\"" },
		{ "", "dtype=float16", "name a recipe" },
		{ "sw/lambda=1", "dtype=float16", "is a point of a sweep" },
		{ "sw", "parameters.lambda=1", "the sweep gives" },
	};
	struct served served;
	const struct fixture *fx = *state;
	char text[2048];
	uint64_t before;

	snprintf(text, sizeof(text),
		 "{\"merge_method\": \"task_arithmetic\", \"base_model\": "
		 "\"%s/a\", \"models\": [{\"model\": \"%s/b\", "
		 "\"parameters\": {\"weight\": 1}}], \"llmergefs\": "
		 "{\"sweep\": {\"parameters.lambda\": [1, 0.5]}}}",
		 fx->dir, fx->dir);
	fixture_write(fx, "sw.json", text, strlen(text));
	write_linear(fx, "x.yml", 1);
	serve(&served, fx, (const char *const[]){ "x.yml", "sw.json", NULL });
	before = look(&served, "x", false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		unsigned number;

		assert_true(change(&served, rows[i].name, rows[i].setting,
				   &number, &err) < 0);
		if (!strstr(err.text, rows[i].sentence))
			fail_msg("%s: %s", rows[i].setting, err.text);
	}
	assert_int_equal(look(&served, "x", false), before);
	assert_true(look(&served, "sw/lambda=0.5/" SHARD, false));
	assert_true(look(&served, "sw/index.json", false));
	serve_end(&served);
}

static void settings_add_up_and_are_taken_back(void **state)
{
	struct served served;
	struct error err;
	unsigned number;

	write_linear(*state, "one.yml", 1);
	serve(&served, *state, (const char *const[]){ "one.yml", NULL });
	assert_int_equal(change(&served, NULL, "dtype=float16", &number, &err),
			 0);
	assert_int_equal(change(&served, NULL, "parameters.normalize=true",
				&number, &err),
			 0);
	assert_int_equal(number, 3);
	assert_int_equal(change(&served, "", "dtype=float32", &number, &err),
			 0);
	assert_int_equal(change(&served, "", NULL, &number, &err), 0);
	assert_int_equal(number, 5);
	serve_end(&served);
}

static void a_folder_is_followed(void **state)
{
	const struct fixture *fx = *state;
	struct served served;
	char error[1024];
	uint64_t kept;

	make_dir(fx, "recipes.d");
	write_linear(fx, "recipes.d/p.yml", 1);
	fixture_write(fx, "recipes.d/notes.txt", "x", 1);
	fixture_write(fx, "recipes.d/.q.yml", "x", 1);
	serve(&served, fx, (const char *const[]){ "recipes.d", NULL });
	kept = look(&served, "p", true);
	assert_false(look(&served, "notes", false));

	write_linear(fx, "recipes.d/q.yml", 2);
	WAIT_UNTIL(look(&served, "q/" SHARD, false));
	fixture_write(fx, "recipes.d/p.yml", "merge_method: x\n", 16);
	WAIT_UNTIL(!look(&served, "p", false));
	error_of(&served, "p", error);
	assert_non_null(strstr(error, "no method is called \"x\""));
	assert_int_equal(tree_node(served.tree, kept)->kind, NODE_DIR);
	error_of(&served, "q", error);
	assert_string_equal(error, "");

	write_linear(fx, "recipes.d/p.yml", 3);
	WAIT_UNTIL(look(&served, "p", false));
	assert_int_not_equal(look(&served, "p", false), kept);
	remove_file(fx, "recipes.d/q.yml");
	WAIT_UNTIL(!look(&served, "q", false));
	error_of(&served, "q", error);
	assert_string_equal(error, "-");
	serve_end(&served);
}

/* The second of one name waits until it is free. */
static void names_are_taken_in_turn(void **state)
{
	const struct fixture *fx = *state;
	struct served served;
	char error[1024];

	make_dir(fx, "twice.d");
	write_linear(fx, "twice.d/p.yaml", 1);
	write_linear(fx, "twice.d/p.yml", 2);
	write_linear(fx, "twice.d/current.yml", 2);
	serve(&served, fx, (const char *const[]){ "twice.d", NULL });
	assert_true(look(&served, "p", false));
	error_of(&served, "p.yml", error);
	assert_non_null(strstr(error, "is called \"p\", too"));
	error_of(&served, "current.yml", error);
	assert_non_null(strstr(error, "of its own"));
	remove_file(fx, "twice.d/p.yaml");
	do
		error_of(&served, "p.yml", error);
	while (strcmp(error, "-") != 0);
	WAIT_UNTIL(look(&served, "p/" SHARD, false));
	serve_end(&served);
}

static int count_lenses(void *ctx, struct lens *const *lenses, size_t count,
			struct error *err)
{
	*(size_t *)ctx = count;
	return 0;
}

static void lenses_are_found_by_name(void **state)
{
	static const struct {
		const char *name;
		size_t count; /* 0: there is none */
	} rows[] = { { NULL, 3 }, { "", 3 },
		     { "sw", 2 }, { "sw/lambda=0.5", 1 },
		     { "x", 1 },  { "sw/x", 0 },
		     { "y", 0 } };
	struct served served;

	serve(&served, *state,
	      (const char *const[]){ "x.yml", "sw.json", NULL });
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t count = 0;
		const struct lens_call call = { count_lenses, &count };
		int rc = catalog_with_lenses(served.catalog, rows[i].name,
					     &call, NULL);

		assert_int_equal(rc, rows[i].count ? 0 : -EINVAL);
		assert_int_equal(count, rows[i].count);
	}
	serve_end(&served);
}

/* What lies on the mount itself would wait for itself. */
static void a_source_on_the_mount_is_refused(void **state)
{
	const struct fixture *fx = *state;
	struct served served;
	struct error err;
	struct stat st;
	unsigned number;

	serve(&served, fx, (const char *const[]){ "x.yml", NULL });
	catalog_stop(served.catalog);
	assert_int_equal(stat(fx->dir, &st), 0);
	assert_int_equal(catalog_follow(served.catalog, st.st_dev, &err), 0);
	assert_int_equal(change(&served, "", "dtype=float16", &number, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "lies on this mount itself"));
	serve_end(&served);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_file_stands_in_the_root),
		cmocka_unit_test(several_files_have_a_folder_each),
		cmocka_unit_test(named_files_are_all_checked),
		cmocka_unit_test(a_link_to_a_recipe_stays_one),
		cmocka_unit_test(a_setting_makes_the_next_generation),
		cmocka_unit_test(a_wrong_setting_changes_nothing),
		cmocka_unit_test(settings_add_up_and_are_taken_back),
		cmocka_unit_test(a_folder_is_followed),
		cmocka_unit_test(names_are_taken_in_turn),
		cmocka_unit_test(lenses_are_found_by_name),
		cmocka_unit_test(a_source_on_the_mount_is_refused),
	};

	return cmocka_run_group_tests(tests, engine_fixture_open,
				      engine_fixture_close);
}
