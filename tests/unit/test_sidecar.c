#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/card.h"
#include "core/config.h"
#include "core/donor.h"
#include "core/sidecar.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

/* A donor a/ and another model b/, opened, under a recipe. */
struct setting {
	struct fixture fx;
	struct report report;
	struct recipe *recipe;
	struct model_set *models;
	struct plan plan;
	struct layout layout;
	struct arena *arena;
};

static void write_text(struct setting *s, const char *name, const char *text)
{
	fixture_write(&s->fx, name, text, strlen(text));
}

static void write_model(struct setting *s, const char *dir, const char *config)
{
	const struct fixture_tensor tensor = { .name = "x",
					       .dtype = DTYPE_F32,
					       .shape = { 1, { 1 } } };
	char path[64];

	snprintf(path, sizeof(path), "%s/model.safetensors", dir);
	fixture_safetensors(&s->fx, path, &tensor, 1);
	snprintf(path, sizeof(path), "%s/config.json", dir);
	if (config)
		write_text(s, path, config);
}

static void setting_begin(struct setting *s)
{
	*s = (struct setting){ 0 };
	fixture_open(&s->fx);
	s->arena = arena_open();
	assert_non_null(s->arena);
}

static void fail_on_errors(const struct report *report)
{
	for (size_t i = 0; i < report->count; i++)
		if (report->notes[i].kind == NOTE_ERROR)
			fail_msg("%s", report->notes[i].text);
}

static const struct model *open_model(struct setting *s,
				      const struct model_ref *ref)
{
	const struct model *model = model_get(s->models, ref, &s->report);

	fail_on_errors(&s->report);
	assert_non_null(model);
	return model;
}

/* Parse the recipe and open all its models; the first one is the donor. */
static void open_recipe(struct setting *s, const char *text)
{
	char path[FIXTURE_PATH_MAX];

	write_text(s, "merge.yml", text);
	fixture_path(&s->fx, "merge.yml", path);
	s->recipe = recipe_parse(path, text, strlen(text), true, &s->report);
	fail_on_errors(&s->report);
	assert_non_null(s->recipe);
	s->models = model_set_open(s->recipe->dir, NULL);
	assert_non_null(s->models);
	for (size_t i = 0; i < s->recipe->slices_count; i++)
		for (size_t j = 0; j < s->recipe->slices[i].count; j++)
			open_model(s, &s->recipe->slices[i].sources[j].model);
	s->plan.recipe = s->recipe;
	s->plan.donor = open_model(s, &s->recipe->slices[0].sources[0].model);
}

static void setting_end(struct setting *s)
{
	arena_close(s->arena);
	model_set_close(s->models);
	recipe_close(s->recipe);
	report_done(&s->report);
	fixture_close(&s->fx);
}

#define LINEAR                                    \
	"merge_method: linear\nmodels:\n"         \
	"- {model: a, parameters: {weight: 1}}\n" \
	"- {model: b, parameters: {weight: 1}}\n"
/* Layers 0, 1 of a, then 1, 2 of b. */
#define SLICES                                           \
	"merge_method: passthrough\nslices:\n"           \
	"- sources: [{model: a, layer_range: [0, 2]}]\n" \
	"- sources: [{model: b, layer_range: [1, 3]}]\n"

/* --- config.json ------------------------------------------------------- */

struct config_case {
	const char *recipe;
	uint64_t layers, vocab_size;
	const char *a, *b; /* configs */
	const char *expected;
	const char *warning; /* after the folder of a; NULL: none */
};

static const struct config_case CONFIGS[] = {
	/* Nothing is asked: not a byte changes. */
	{ LINEAR, 0, 0, " {\n\t\"x\": 1e-05,  \"dtype\":\"f\" }\n\n", "{}",
	  " {\n\t\"x\": 1e-05,  \"dtype\":\"f\" }\n\n", NULL },
	/* The key that the donor has. */
	{ LINEAR "dtype: bfloat16\n", 0, 0, "{\"dtype\": \"f\", \"y\": 1.0}",
	  "{}", "{\"dtype\": \"bfloat16\", \"y\": 1.0}", NULL },
	{ LINEAR "dtype: float16\n", 0, 0, "{\"torch_dtype\": \"f\"}", "{}",
	  "{\"torch_dtype\": \"float16\"}", NULL },
	{ LINEAR "dtype: float16\n", 0, 0,
	  "{\"torch_dtype\": null, \"dtype\": null}", "{}",
	  "{\"torch_dtype\": \"float16\", \"dtype\": \"float16\"}", NULL },
	{ LINEAR "dtype: float16\n", 0, 0, "{\"y\": 1}", "{}",
	  "{\"y\": 1, \"torch_dtype\": \"float16\"}", NULL },
	{ LINEAR "dtype: float32\nout_dtype: bfloat16\n", 0, 0,
	  "{\"dtype\": \"f\"}", "{}", "{\"dtype\": \"bfloat16\"}", NULL },
	/* override_architecture of the donor, not of others. */
	{ "merge_method: linear\nparameters: {weight: 1}\nmodels:\n"
	  "- model: {model: a, override_architecture: \"Quo\\\"te\"}\n"
	  "- model: {model: b, override_architecture: Other}\n",
	  0, 0, "{\"architectures\": [\"Old\", \"Older\"]}", "{}",
	  "{\"architectures\": [\"Quo\\\"te\"]}", NULL },
	/* Layers, under whichever key. */
	{ SLICES, 4, 0, "{\"num_hidden_layers\": 3}", "{}",
	  "{\"num_hidden_layers\": 4}", NULL },
	{ SLICES, 4, 0, "{\"n_layer\": 3}", "{}", "{\"n_layer\": 4}", NULL },
	{ SLICES, 4, 0, "{\"n_layers\": 3}", "{}", "{\"n_layers\": 4}", NULL },
	{ SLICES, 4, 0, "{\"num_layers\": 3, \"num_hidden_layers\": 3}", "{}",
	  "{\"num_layers\": 4, \"num_hidden_layers\": 4}", NULL },
	{ SLICES, 4, 0, "{\"num_layers\": 2, \"num_hidden_layers\": 3}", "{}",
	  "{\"num_layers\": 2, \"num_hidden_layers\": 4}", NULL },
	{ SLICES, 4, 0, "{\"n_layer\": null}", "{}", "{\"n_layer\": 4}", NULL },
	{ SLICES, 4, 0, "{\"y\": 1}", "{}", "{\"y\": 1}",
	  "/config.json: has no num_hidden_layers (or n_layer, n_layers, "
	  "num_layers) to set to 4" },
	/* The types go with the layers. */
	{ SLICES, 4, 0,
	  "{\"num_hidden_layers\": 3, \"layer_types\": [\"a0\", \"a1\", "
	  "\"a2\"]}",
	  "{\"layer_types\": [\"b0\", \"b1\", \"b2\"]}",
	  "{\"num_hidden_layers\": 4, \"layer_types\": [\"a0\", \"a1\", "
	  "\"b1\", \"b2\"]}",
	  NULL },
	{ SLICES, 4, 0,
	  "{\"num_hidden_layers\": 3, \"layer_types\": [\"a0\", \"a1\"]}",
	  "{\"layer_types\": [\"b0\", \"b1\"]}",
	  "{\"num_hidden_layers\": 4, \"layer_types\": [\"a0\", \"a1\"]}",
	  "/config.json: layer_types is left as it is: the sources of the "
	  "slices do not all have one" },
	{ SLICES, 4, 0, "{\"num_hidden_layers\": 3, \"layer_types\": null}",
	  "{}", "{\"num_hidden_layers\": 4, \"layer_types\": null}", NULL },
	/* Inside text_config; nothing else there changes its spelling. */
	{ SLICES, 4, 0,
	  "{\"y\": 2.0,\n \"text_config\" : {\"z\": 1.0, "
	  "\"num_hidden_layers\": 3, \"layer_types\": [1, 2, 3]} , \"w\": 1}",
	  "{\"text_config\": {\"layer_types\": [4, 5, 6]}}",
	  "{\"y\": 2.0,\n \"text_config\" : {\"z\": 1.0, "
	  "\"num_hidden_layers\": 4, \"layer_types\": [1, 2, 5, 6]} , "
	  "\"w\": 1}",
	  NULL },
	/* The vocabulary. */
	{ LINEAR, 0, 77, "{\"vocab_size\": 80}", "{}", "{\"vocab_size\": 77}",
	  NULL },
	{ LINEAR, 0, 77, "{\"text_config\": {\"vocab_size\": 80}}", "{}",
	  "{\"text_config\": {\"vocab_size\": 77}}", NULL },
	{ LINEAR, 0, 77, "{}", "{}", "{}",
	  "/config.json: has no vocab_size to set to 77" },
	/* All at once. */
	{ SLICES "dtype: float16\n", 4, 9,
	  "{\"vocab_size\": 8, \"text_config\": {\"n_layer\": 1}}", "{}",
	  "{\"vocab_size\": 9, \"text_config\": {\"n_layer\": 4}, "
	  "\"torch_dtype\": \"float16\"}",
	  NULL },
};

static void check_config(const struct config_case *c)
{
	struct error err = { 0 };
	struct setting s;
	const char *text;
	size_t len, dir_len;

	setting_begin(&s);
	write_model(&s, "a", c->a);
	write_model(&s, "b", c->b);
	open_recipe(&s, c->recipe);
	s.plan.layers = c->layers;
	s.plan.vocab_size = c->vocab_size;
	text = config_make(&s.plan, s.models, s.arena, &len, &s.report, &err);
	if (!text)
		fail_msg("%s", err.text);
	assert_string_equal(text, c->expected);
	assert_int_equal(len, strlen(text));
	assert_int_equal(s.report.count, c->warning != NULL);
	if (c->warning) {
		dir_len = strlen(s.plan.donor->dir);
		assert_memory_equal(s.report.notes[0].text, s.plan.donor->dir,
				    dir_len);
		assert_string_equal(s.report.notes[0].text + dir_len,
				    c->warning);
	}
	setting_end(&s);
}

static void config_changes_what_the_recipe_changes_and_no_more(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(CONFIGS); i++)
		check_config(&CONFIGS[i]);
}

/* --- the donor's files ------------------------------------------------- */

static void make_link(struct setting *s, const char *to, const char *name)
{
	char path[FIXTURE_PATH_MAX];

	fixture_path(&s->fx, name, path);
	assert_int_equal(symlink(to, path), 0);
}

static void list(struct setting *s, struct donor_files *files)
{
	char path[FIXTURE_PATH_MAX];

	fixture_path(&s->fx, "d", path);
	assert_int_equal(donor_list(path, s->arena, files, &s->report), 0);
	assert_int_equal(s->report.errors, 0);
}

/* Warnings come in the order of readdir(). */
static void assert_warned(const struct setting *s, const char *name,
			  const char *why)
{
	char text[FIXTURE_PATH_MAX * 2];

	snprintf(text, sizeof(text), "%s/d/%s: %s", s->fx.dir, name, why);
	for (size_t i = 0; i < s->report.count; i++)
		if (strcmp(s->report.notes[i].text, text) == 0)
			return;
	fail_msg("no warning \"%s\"", text);
}

static void weights_and_training_state_are_left_out(void **state)
{
	static const char *const out[] = {
		"model.safetensors",
		"model-00001-of-00002.safetensors",
		"model.safetensors.index.json",
		"pytorch_model.bin",
		"pytorch_model.bin.index.json",
		"MODEL.SAFETENSORS",
		"ggml-q4.gguf",
		"x.pt",
		"x.pth",
		"x.ckpt",
		"tf_model.h5",
		"flax_model.msgpack",
		"model.onnx",
		"model.onnx_data",
		"x.npz",
		"consolidated.00.json",
		"adapter_config.json",
		"optimizer.json",
		"trainer_state.json",
		".git",
		".gitattributes",
		".cache",
		"__pycache__",
		"checkpoint-500",
		"global_step10",
	};
	static const char *const in[] = {
		"config.json",
		"generation_config.json",
		"tokenizer.json",
		"tokenizer.model",
		"vocab.json",
		"merges.txt",
		"chat_template.jinja",
		"modeling_custom.py",
		"README.md",
		"LICENSE",
		"preprocessor_config.json",
		"checkpoint-notes.md",
		"index.json",
	};

	for (size_t i = 0; i < ARRAY_LEN(out); i++)
		if (!donor_leaves_out(out[i]))
			fail_msg("%s is shown", out[i]);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		if (donor_leaves_out(in[i]))
			fail_msg("%s is left out", in[i]);
}

static void small_files_are_listed_with_their_folders(void **state)
{
	static const char *const expected[] = {
		"code/deep/x.py", "code/y.py",	    "code.py",
		"link.json",	  "tokenizer.json",
	};
	struct donor_files files;
	struct setting s;

	setting_begin(&s);
	write_text(&s, "d/tokenizer.json", "{}");
	write_text(&s, "d/code.py", "");
	write_text(&s, "d/code/y.py", "");
	write_text(&s, "d/code/deep/x.py", "");
	write_text(&s, "d/code/deep/weights.bin", "");
	write_text(&s, "d/.git/config", "");
	write_text(&s, "d/.hidden", "");
	write_text(&s, "blob", "{}");
	make_link(&s, "../blob", "d/link.json");
	list(&s, &files);
	assert_int_equal(s.report.count, 0);
	assert_int_equal(files.count, ARRAY_LEN(expected));
	/* '.' sorts before '/'. */
	assert_string_equal(files.paths[0], "code.py");
	assert_string_equal(files.paths[1], expected[0]);
	assert_string_equal(files.paths[2], expected[1]);
	assert_string_equal(files.paths[3], expected[3]);
	assert_string_equal(files.paths[4], expected[4]);
	setting_end(&s);
}

static void odd_entries_are_left_out_with_a_warning(void **state)
{
	char path[FIXTURE_PATH_MAX];
	struct donor_files files;
	struct setting s;

	setting_begin(&s);
	write_text(&s, "d/a.json", "{}");
	write_text(&s, "d/new\nline", "");
	write_text(&s, "d/large.txt", "");
	fixture_path(&s.fx, "d/large.txt", path);
	assert_int_equal(truncate(path, SIDECAR_SIZE_MAX + 1L), 0);
	write_text(&s, "d/limit.txt", "");
	fixture_path(&s.fx, "d/limit.txt", path);
	assert_int_equal(truncate(path, SIDECAR_SIZE_MAX), 0);
	make_link(&s, "nowhere", "d/dangling");
	make_link(&s, ".", "d/loop");
	make_link(&s, "..", "d/up");
	fixture_path(&s.fx, "d/pipe", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	list(&s, &files);
	assert_int_equal(files.count, 2);
	assert_string_equal(files.paths[0], "a.json");
	assert_string_equal(files.paths[1], "limit.txt");
	assert_int_equal(s.report.count, 5);
	assert_warned(&s, "new?line",
		      "left out: its name holds a control character");
	assert_warned(&s, "large.txt", "left out: larger than 268435456 bytes");
	assert_warned(&s, "dangling", "left out: No such file or directory");
	assert_warned(&s, "loop", "left out: a symbolic link to a folder");
	assert_warned(&s, "up", "left out: a symbolic link to a folder");
	setting_end(&s);
}

static void folders_have_a_depth(void **state)
{
	char name[FIXTURE_PATH_MAX] = "d";
	struct donor_files files;
	struct setting s;

	setting_begin(&s);
	for (int i = 1; i < SIDECAR_DEPTH_MAX; i++)
		snprintf(name + strlen(name), sizeof(name) - strlen(name),
			 "/f");
	snprintf(name + strlen(name), sizeof(name) - strlen(name), "/in.txt");
	write_text(&s, name, "");
	snprintf(strrchr(name, '/'), 16, "/f/out.txt");
	write_text(&s, name, "");
	list(&s, &files);
	assert_int_equal(files.count, 1);
	*strrchr(name, '/') = '\0';
	assert_warned(&s, name + 2,
		      "left out with all in it: more than 16 folders deep");
	setting_end(&s);
}

/* --- the card ---------------------------------------------------------- */

static void the_card_names_models_as_the_recipe_does(void **state)
{
	static const char expected[] =
		"---\nlibrary_name: transformers\ntags:\n- merge\n- mergekit\n"
		"- llmergefs\n---\n\n# Merged model\n\nMerged by llmergefs "
		"with the method `linear` (";
	struct setting s;
	char *card;
	size_t len;

	setting_begin(&s);
	write_model(&s, "a", "{}");
	write_model(&s, "b", "{}");
	open_recipe(&s, LINEAR);
	card = card_make(&s.plan, s.models, &len);
	assert_non_null(card);
	assert_int_equal(strlen(card), len);
	assert_memory_equal(card, expected, strlen(expected));
	assert_non_null(strstr(card, ") from\n\n* `a`\n* `b`\n\nby this "));
	assert_non_null(strstr(card, "\n```yaml\n" LINEAR "```\n\nThe "));
	assert_null(strstr(card, s.fx.dir));
	free(card);
	setting_end(&s);
}

static void the_card_lists_models_of_the_hub(void **state)
{
	static const char recipe[] =
		"merge_method: task_arithmetic\nbase_model: org/base\nmodels:\n"
		"- {model: org/base@v1, parameters: {weight: 1}}\n"
		"- {model: b, parameters: {weight: 1}}\n";
	static const char expected[] = "---\nbase_model:\n- \"org/base\"\n"
				       "library_name: transformers\n";
	char path[FIXTURE_PATH_MAX];
	struct setting s;
	char *card;
	size_t len;

	setting_begin(&s);
	fixture_path(&s.fx, "hub", path);
	setenv("HF_HUB_CACHE", path, 1);
	write_text(&s, "hub/models--org--base/refs/main", "c0");
	write_text(&s, "hub/models--org--base/refs/v1", "c1");
	write_model(&s, "hub/models--org--base/snapshots/c0", "{}");
	write_model(&s, "hub/models--org--base/snapshots/c1", "{}");
	write_model(&s, "b", "{}");
	open_recipe(&s, recipe);
	card = card_make(&s.plan, s.models, &len);
	assert_memory_equal(card, expected, strlen(expected));
	assert_non_null(strstr(card, "\n* `org/base@v1`\n* `b`\n"
				     "* `org/base` (base)\n"));
	free(card);
	setting_end(&s);
}

static void the_recipe_cannot_end_its_block(void **state)
{
	static const char recipe[] = "# ````\n" LINEAR "# no line feed";
	struct setting s;
	char *card;
	size_t len;

	setting_begin(&s);
	write_model(&s, "a", "{}");
	write_model(&s, "b", "{}");
	open_recipe(&s, recipe);
	card = card_make(&s.plan, s.models, &len);
	assert_non_null(strstr(card, "\n`````yaml\n# ````\n"));
	assert_non_null(strstr(card, "# no line feed\n`````\n"));
	free(card);
	setting_end(&s);
}

/* --- all together ------------------------------------------------------ */

struct expected_file {
	const char *path, *content;
	bool made;
};

static void check_file(const struct setting *s, const struct sidecar *file,
		       const struct expected_file *expected)
{
	char text[256] = "";
	struct error err = { 0 };

	assert_string_equal(file->path, expected->path);
	assert_int_equal(file->text != NULL, expected->made);
	assert_int_equal(file->source == NULL, expected->made);
	assert_string_equal(file->origin,
			    expected->made ? "made" : s->plan.donor->dir);
	if (!expected->content)
		return;
	assert_int_equal(file->size, strlen(expected->content));
	if (file->source)
		assert_int_equal(
			source_read(file->source, text, file->size, 0, &err),
			0);
	assert_string_equal(file->source ? text : file->text,
			    expected->content);
}

static void made_files_replace_those_of_the_donor(void **state)
{
	static const struct expected_file expected[] = {
		{ "README.md", NULL, true },
		{ "config.json", "{\"dtype\": \"float16\"}", true },
		{ "mergekit_config.yml", LINEAR "dtype: float16\n", true },
		{ "model.safetensors.index.json", "{}", true },
		{ "sub/README.md", "keep", false },
		{ "tokenizer.json", "{ }", false },
	};
	struct sidecars *out;
	struct setting s;

	setting_begin(&s);
	write_model(&s, "a", "{\"dtype\": \"f\"}");
	write_model(&s, "b", "{}");
	write_text(&s, "a/README.md", "replaced");
	write_text(&s, "a/sub/README.md", "keep");
	write_text(&s, "a/mergekit_config.yml/inside.txt", "in the way");
	write_text(&s, "a/tokenizer.json", "{ }");
	open_recipe(&s, LINEAR "dtype: float16\n");
	s.layout.index = (char[]){ "{}" };
	s.layout.index_len = 2;
	out = sidecars_open(&s.plan, &s.layout, s.models, &s.report);
	fail_on_errors(&s.report);
	assert_non_null(out);
	assert_int_equal(out->count, ARRAY_LEN(expected));
	for (size_t i = 0; i < out->count; i++)
		check_file(&s, &out->files[i], &expected[i]);
	sidecars_close(out);
	setting_end(&s);
}

static void a_donor_without_config_is_a_warning(void **state)
{
	char expected[FIXTURE_PATH_MAX * 2];
	struct sidecars *out;
	struct setting s;

	setting_begin(&s);
	write_model(&s, "a", NULL);
	write_model(&s, "b", "{}");
	open_recipe(&s, LINEAR);
	out = sidecars_open(&s.plan, &s.layout, s.models, &s.report);
	assert_non_null(out);
	assert_int_equal(out->count, 2);
	assert_int_equal(s.report.errors, 0);
	snprintf(expected, sizeof(expected),
		 "%s: has no config.json, so the merged model has none, and "
		 "transformers cannot load it",
		 s.plan.donor->dir);
	assert_string_equal(s.report.notes[s.report.count - 1].text, expected);
	sidecars_close(out);
	setting_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			config_changes_what_the_recipe_changes_and_no_more),
		cmocka_unit_test(weights_and_training_state_are_left_out),
		cmocka_unit_test(small_files_are_listed_with_their_folders),
		cmocka_unit_test(odd_entries_are_left_out_with_a_warning),
		cmocka_unit_test(folders_have_a_depth),
		cmocka_unit_test(the_card_names_models_as_the_recipe_does),
		cmocka_unit_test(the_card_lists_models_of_the_hub),
		cmocka_unit_test(the_recipe_cannot_end_its_block),
		cmocka_unit_test(made_files_replace_those_of_the_donor),
		cmocka_unit_test(a_donor_without_config_is_a_warning),
	};

	return cmocka_run_group_tests_name("sidecar", tests, NULL, NULL);
}
