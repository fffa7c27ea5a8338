#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fs/lens.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

static const char RECIPE[] =
	"merge_method: linear\n"
	"dtype: bfloat16\n"
	"models:\n"
	"- {model: a, parameters: {weight: [{filter: up, value: 0.25}, "
	"{value: 0.5}]}}\n"
	"- {model: b, parameters: {weight: 2}}\n";

static void write_text(const struct fixture *fx, const char *name,
		       const char *text)
{
	fixture_write(fx, name, text, strlen(text));
}

static void write_model(const struct fixture *fx, const char *dir)
{
	static const struct fixture_tensor tensors[] = {
		{ "model.embed", DTYPE_F32, { 2, { 3, 4 } }, NULL },
		{ "model.layers.0.down", DTYPE_F32, { 1, { 5 } }, NULL },
		{ "model.layers.0.up", DTYPE_F32, { 1, { 5 } }, NULL },
		/* The fixture writes names as they are: this one escaped. */
		{ "model.quo\\\"te", DTYPE_F32, { 0, { 0 } }, NULL },
	};
	char path[64];

	snprintf(path, sizeof(path), "%s/model.safetensors", dir);
	fixture_safetensors(fx, path, tensors, ARRAY_LEN(tensors));
	snprintf(path, sizeof(path), "%s/config.json", dir);
	write_text(fx, path, "{}");
}

static struct lens *open_lens(const struct fixture *fx, struct report *report)
{
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, "merge.yml", path);
	return lens_open_file(path, report);
}

static struct lens *open_good(const struct fixture *fx)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct lens *lens;

	write_text(fx, "merge.yml", RECIPE);
	write_model(fx, "a");
	write_model(fx, "b");
	lens = open_lens(fx, &report);
	if (!lens)
		fail_msg("%s", report.notes[0].text);
	return lens;
}

static const struct json *parse(const char *text, size_t len,
				struct arena *arena)
{
	struct error err = { 0 };
	struct json *tree;

	assert_int_equal(strlen(text), len);
	if (json_parse(text, len, arena, &tree, &err) < 0)
		fail_msg("%s\n%s", err.text, text);
	return tree;
}

static const struct json *at(const struct json *list, size_t i)
{
	assert_non_null(list);
	assert_true(i < list->count);
	return list->items[i];
}

static double weight_of(const struct json *input)
{
	const struct json *weight =
		json_member(json_member(input, "options"), "weight");

	assert_non_null(weight);
	return weight->number;
}

static void assert_strings(const struct json *list, const char *const *expected,
			   size_t count)
{
	assert_int_equal(list->count, count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(at(list, i)->string, expected[i]);
}

static void recipe_json_groups_tensors_made_alike(void **state)
{
	static const char *const quarter[] = { "model.layers.0.up" };
	static const char *const half[] = { "model.embed",
					    "model.layers.0.down",
					    "model.quo\"te" };
	const struct json *tree, *groups, *inputs;
	struct arena *arena = arena_open();
	AUTO_FREE char *text = NULL;
	struct fixture fx;
	struct lens *lens;
	size_t len;

	fixture_open(&fx);
	lens = open_good(&fx);
	assert_int_equal(lens_recipe_json(lens, &text, &len), 0);
	tree = parse(text, len, arena);
	assert_string_equal(json_member_string(tree, "schema"),
			    "llmergefs-recipe-1");
	assert_string_equal(json_member_string(tree, "method"), "linear");
	assert_string_equal(json_member_string(tree, "dtype"), "bfloat16");
	assert_int_equal(json_member(tree, "out_dtype")->type, JSON_NULL);
	assert_string_equal(json_member_string(tree, "semantics"), "mergekit");
	assert_string_equal(json_member_string(tree, "arithmetic"), "float32");
	assert_string_equal(json_member_string(tree, "rng"), "counter");
	groups = json_member(tree, "groups");
	assert_int_equal(groups->count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct json *names =
			json_member(at(groups, i), "tensors");

		inputs = json_member(at(groups, i), "inputs");
		assert_int_equal(inputs->count, 2);
		assert_string_equal(json_member_string(at(inputs, 1), "model"),
				    "b");
		assert_string_equal(
			json_member_string(at(inputs, 0), "rounded_to"),
			"bfloat16");
		assert_true(weight_of(at(inputs, 1)) == 2);
		if (names->count == 1)
			assert_strings(names, quarter, 1);
		else
			assert_strings(names, half, 3);
		assert_true(weight_of(at(inputs, 0)) ==
			    (names->count == 1 ? 0.25 : 0.5));
	}
	lens_close(lens);
	arena_close(arena);
	fixture_close(&fx);
}

static void check_plan_tensor(const struct json *tensor,
			      const struct layout_file *file, size_t i,
			      const char *source)
{
	const struct job *job = file->jobs[i];
	const struct json *inputs = json_member(tensor, "inputs");
	uint64_t number;

	assert_string_equal(json_member_string(tensor, "name"), job->name);
	assert_string_equal(json_member_string(tensor, "dtype"), "BF16");
	assert_string_equal(json_member_string(tensor, "file"), file->name);
	assert_true(json_u64(json_member(tensor, "offset"), &number));
	assert_int_equal(number, file->offsets[i]);
	assert_true(json_u64(json_member(tensor, "bytes"), &number));
	assert_int_equal(number, job->size);
	assert_int_equal(json_member(tensor, "shape")->count, job->shape.rank);
	assert_int_equal(inputs->count, 2);
	assert_string_equal(json_member_string(at(inputs, 0), "file"), source);
	assert_true(json_u64(json_member(at(inputs, 0), "offset"), &number));
	assert_int_equal(number, job->inputs[0].tensor->off);
}

static void plan_json_says_where_every_tensor_lies(void **state)
{
	struct arena *arena = arena_open();
	char source[FIXTURE_PATH_MAX];
	AUTO_FREE char *text = NULL;
	const struct json *tree, *tensors;
	struct fixture fx;
	struct lens *lens;
	size_t len;

	fixture_open(&fx);
	fixture_path(&fx, "a/model.safetensors", source);
	lens = open_good(&fx);
	assert_int_equal(lens_plan_json(lens, &text, &len), 0);
	tree = parse(text, len, arena);
	assert_string_equal(json_member_string(tree, "schema"),
			    "llmergefs-plan-1");
	assert_int_equal(json_member(tree, "files")->count, 1);
	tensors = json_member(tree, "tensors");
	assert_int_equal(tensors->count, lens->plan->count);
	for (size_t i = 0; i < tensors->count; i++)
		check_plan_tensor(at(tensors, i), &lens->layout->files[0], i,
				  source);
	lens_close(lens);
	arena_close(arena);
	fixture_close(&fx);
}

static void touch(const struct fixture *fx, const char *name, time_t seconds)
{
	const struct timespec times[2] = { { seconds, 1 }, { seconds, 2 } };
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void the_time_is_that_of_the_newest_file(void **state)
{
	static const char *const names[] = { "merge.yml", "a/model.safetensors",
					     "b/model.safetensors" };
	struct fixture fx;
	struct lens *lens;

	fixture_open(&fx);
	lens_close(open_good(&fx));
	touch(&fx, "a/config.json", 1000);
	for (size_t newest = 0; newest < ARRAY_LEN(names); newest++) {
		AUTO_REPORT struct report report = REPORT_INIT;

		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			touch(&fx, names[i], i == newest ? 9000 : 2000);
		lens = open_lens(&fx, &report);
		assert_non_null(lens);
		assert_int_equal(lens->mtime.tv_sec, 9000);
		assert_int_equal(lens->mtime.tv_nsec, 2);
		lens_close(lens);
	}
	fixture_close(&fx);
}

static void every_job_has_a_slot_of_its_own(void **state)
{
	struct fixture fx;
	struct lens *lens;

	fixture_open(&fx);
	lens = open_good(&fx);
	for (size_t i = 0; i < lens->plan->count; i++)
		assert_ptr_equal(lens_slot(lens, &lens->plan->jobs[i]),
				 &lens->slots[i]);
	lens_close(lens);
	lens_close(NULL);
	fixture_close(&fx);
}

static void what_is_wrong_is_reported(void **state)
{
	static const struct {
		const char *recipe; /* NULL: none */
		bool models;
		int code;
	} rows[] = {
		{ NULL, true, ENOENT },
		{ "merge_method: linear\n", true, EINVAL },
		{ RECIPE, false, ENOENT },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		struct fixture fx;

		fixture_open(&fx);
		if (rows[i].recipe)
			write_text(&fx, "merge.yml", rows[i].recipe);
		if (rows[i].models) {
			write_model(&fx, "a");
			write_model(&fx, "b");
		}
		assert_null(open_lens(&fx, &report));
		assert_true(report.errors > 0);
		assert_int_equal(report.code, rows[i].code);
		fixture_close(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recipe_json_groups_tensors_made_alike),
		cmocka_unit_test(plan_json_says_where_every_tensor_lies),
		cmocka_unit_test(the_time_is_that_of_the_newest_file),
		cmocka_unit_test(every_job_has_a_slot_of_its_own),
		cmocka_unit_test(what_is_wrong_is_reported),
	};

	return cmocka_run_group_tests_name("lens", tests, NULL, NULL);
}
