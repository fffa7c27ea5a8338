/*
 * Models on disk: references, folders, the Hugging Face cache, shards and their
 * index. Every test works in a folder of its own; "@" in the table of expected
 * sentences stands for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/model.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define COMMIT "89abcdef0123456789abcdef0123456789abcdef"
#define OTHER_COMMIT "00000000000000000000000000000000000000ff"
#define SNAPSHOT "hub/models--org--name/snapshots/" COMMIT
#define TEXT_MAX 4096

static int open_fixture(void **state)
{
	static struct fixture fx;
	char hub[FIXTURE_PATH_MAX];

	fixture_open(&fx);
	fixture_path(&fx, "hub", hub);
	assert_int_equal(setenv("HF_HUB_CACHE", hub, 1), 0);
	*state = &fx;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

static void write_text(const struct fixture *fx, const char *name,
		       const char *text)
{
	fixture_write(fx, name, text, strlen(text));
}

/* A safetensors file with scalars of these names (NULL ends them). */
static void write_weights(const struct fixture *fx, const char *name,
			  const char *const *names)
{
	struct fixture_tensor tensors[64];
	size_t count = 0;

	for (; names[count]; count++)
		tensors[count] = (struct fixture_tensor){ .name = names[count],
							  .dtype = DTYPE_BF16 };
	fixture_safetensors(fx, name, tensors, count);
}

#define WEIGHTS(fx, name, ...) \
	write_weights(fx, name, (const char *const[]){ __VA_ARGS__, NULL })

/* `text` with every '@' replaced by the folder of the test. */
static void expand(const struct fixture *fx, const char *text,
		   char out[TEXT_MAX])
{
	size_t len = 0;

	out[0] = '\0';
	for (; *text; text++) {
		int n = *text == '@' ? snprintf(out + len, TEXT_MAX - len, "%s",
						fx->dir)
				     : snprintf(out + len, TEXT_MAX - len, "%c",
						*text);

		len += (size_t)n;
		assert_true(len < TEXT_MAX);
	}
}

/* Notes must be exactly these lines, each sentence ended by a newline. */
static void assert_notes(const struct fixture *fx, const struct report *report,
			 const char *lines)
{
	char want[TEXT_MAX], got[TEXT_MAX] = "";
	size_t len = 0;

	expand(fx, lines, want);
	for (size_t i = 0; i < report->count; i++) {
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s\n",
					report->notes[i].text);
		assert_true(len < sizeof(got));
	}
	assert_string_equal(got, want);
}

static const struct model *open_ref(struct model_set *set, const char *path,
				    const char *revision, struct report *report)
{
	const struct model_ref ref = { .path = path,
				       .revision = revision,
				       .text = path };

	return model_get(set, &ref, report);
}

/* Opening `path` must give these notes; `code` 0 where it must succeed. */
static void check(const struct fixture *fx, const char *path,
		  const char *revision, int code, const char *lines)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir);
	const struct model *model = open_ref(set, path, revision, &report);

	assert_notes(fx, &report, lines);
	assert_int_equal(report.code, code);
	assert_true(model ? code == 0 : code != 0);
	assert_int_equal(model_set_count(set), model != NULL);
	model_set_close(set);
}

static void references_are_parsed(void **state)
{
	static const struct {
		const char *json, *path, *revision, *lora, *override, *text;
	} cases[] = {
		{ "\"./a\"", "./a", NULL, NULL, NULL, "./a" },
		{ "\"org/name@v1\"", "org/name", "v1", NULL, NULL,
		  "org/name@v1" },
		{ "\"a+b\"", "a", NULL, "b", NULL, "a+b" },
		{ "\"a@1+b@2\"", "a", "1", "b@2", NULL, "a@1+b@2" },
		{ "{\"model\":\"a@1\"}", "a", "1", NULL, NULL, "a@1" },
		{ "{\"model\":\"a+b\"}", "a+b", NULL, NULL, NULL, "a+b" },
		{ "{\"model\":{\"path\":\"a@b\"}}", "a@b", NULL, NULL, NULL,
		  "a@b" },
		{ "{\"model\":{\"path\":\"a\",\"revision\":\"r\"},"
		  "\"lora\":{\"path\":\"l\",\"revision\":\"s\"},"
		  "\"override_architecture\":\"X\"}",
		  "a", "r", "l@s", "X", "a@r+l@s" },
		{ "{\"model\":\"a\",\"lora\":null,"
		  "\"override_architecture\":null}",
		  "a", NULL, NULL, NULL, "a" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		const struct model_ref want = { cases[i].path,
						cases[i].revision,
						cases[i].lora,
						cases[i].override, NULL };
		struct model_ref ref;
		struct json *value;
		struct error err = { 0 };

		assert_int_equal(json_parse(cases[i].json,
					    strlen(cases[i].json), arena,
					    &value, &err),
				 0);
		assert_int_equal(model_ref_parse(value, arena, &ref, &err), 0);
		assert_true(model_ref_equal(&ref, &want));
		assert_string_equal(ref.text, cases[i].text);
	}
}

static void bad_references_are_refused(void **state)
{
	static const struct {
		const char *json, *sentence;
	} cases[] = {
		{ "\"a+b+c\"", "\"a+b+c\": more than one '+'; a path that has "
			       "one is written {model: {path: ...}, lora: "
			       "...}" },
		{ "\"a@b@c+d\"", "\"a@b@c\": more than one '@'; a path that "
				 "has one is written {model: {path: ..., "
				 "revision: ...}}" },
		{ "\"\"", "\"\" names no model" },
		{ "\"a@\"", "\"a@\": no revision after '@'" },
		{ "\"@b\"", "\"@b\" names no model" },
		{ "\"a+\"", "\"\" names no model" },
		{ "1", "a model must be a path or an object, not a number" },
		{ "{}", "\"model\" is missing" },
		{ "{\"model\":[]}", "model: must be a path or {path, "
				    "revision}, not a list" },
		{ "{\"model\":{}}", "model: \"path\" is missing" },
		{ "{\"model\":{\"path\":1}}",
		  "model: path: must be a string, not a number" },
		{ "{\"model\":{\"path\":\"\"}}",
		  "model: path: must be a string, not an empty one" },
		{ "{\"model\":\"a\",\"lora\":1}",
		  "lora: must be a path or {path, revision}, not a number" },
		{ "{\"model\":\"a\",\"override_architecture\":[]}",
		  "override_architecture: must be a string, not a list" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *arena = arena_open();
		struct model_ref ref;
		struct json *value;
		struct error err = { 0 };

		assert_int_equal(json_parse(cases[i].json,
					    strlen(cases[i].json), arena,
					    &value, &err),
				 0);
		assert_int_equal(model_ref_parse(value, arena, &ref, &err),
				 -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
	}
}

static void references_are_equal_by_value(void **state)
{
	const struct model_ref a = { "a", "r", NULL, NULL, "a@r" };
	const struct model_ref same = { "a", "r", NULL, NULL, "other text" };
	const struct model_ref others[] = {
		{ "./a", "r", NULL, NULL, NULL },
		{ "a", NULL, NULL, NULL, NULL },
		{ "a", "r", "l", NULL, NULL },
		{ "a", "r", NULL, "X", NULL },
	};

	assert_true(model_ref_equal(&a, &same));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(model_ref_equal(&a, &others[i]));
}

static void layers_are_read_off_names(void **state)
{
	static const struct {
		const char *name;
		uint64_t layer; /* UINT64_MAX: none */
		size_t begin, end;
	} cases[] = {
		{ "model.layers.12.mlp.up_proj.weight", 12, 13, 15 },
		{ "h.0.w", 0, 2, 3 },
		{ "a.b1.2c.3.w", 3, 8, 9 },
		{ "blocks.7.experts.3.w", 7, 7, 8 },
		{ "a.999999.w", 999999, 2, 8 },
		{ "a.1000000.w", UINT64_MAX, 0, 0 },
		{ "a.18446744073709551617.w", UINT64_MAX, 0, 0 },
		{ "a.99999999999x.1.w", 1, 15, 16 },
		{ "0.w", UINT64_MAX, 0, 0 },
		{ "a.0", UINT64_MAX, 0, 0 },
		{ "a..w", UINT64_MAX, 0, 0 },
		{ "lm_head.weight", UINT64_MAX, 0, 0 },
		{ "", UINT64_MAX, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct layer_place place = { 0 };
		bool found = layer_of_name(cases[i].name, &place);

		assert_int_equal(found, cases[i].layer != UINT64_MAX);
		if (!found)
			continue;
		assert_int_equal(place.layer, cases[i].layer);
		assert_int_equal(place.begin, cases[i].begin);
		assert_int_equal(place.end, cases[i].end);
	}
}

static void a_folder_becomes_a_table(void **state)
{
	static const char config[] = "{ \"model_type\": \"llama\" }\n";
	struct fixture *fx = *state;
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir);
	const struct model *model;

	WEIGHTS(fx, "one/model.safetensors", "model.norm.weight",
		"model.layers.1.w", "model.layers.0.w", "model.layers.norm.w",
		"vision.layers.10.w", "vision.layers.9.w", "vision.5.w",
		"lm_head.weight");
	write_text(fx, "one/config.json", config);
	model = open_ref(set, "one", NULL, &report);
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
	struct model_set *set = model_set_open(fx->dir);
	const struct model *model;

	WEIGHTS(fx, "once/model.safetensors", "w");
	model = open_ref(set, "once", NULL, &report);
	assert_non_null(model);
	assert_ptr_equal(open_ref(set, "once", NULL, &report), model);
	/* Another spelling is another model, of the same files. */
	assert_ptr_not_equal(open_ref(set, "./once", NULL, &report), model);
	assert_int_equal(model_set_count(set), 2);
	assert_ptr_equal(model_set_at(set, 0), model);
	assert_string_equal(model_set_at(set, 1)->dir, model->dir);
	assert_int_equal(source_set_count(model_set_sources(set)), 1);
	for (int i = 0; i < 3; i++)
		assert_null(open_ref(set, "./nowhere", NULL, &report));
	assert_int_equal(report.count, 1);
	assert_int_equal(model_set_count(set), 2);
	/* Trouble with one is none of another. */
	assert_non_null(open_ref(set, "once/.", NULL, &report));
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
	set = model_set_open(recipes);
	assert_non_null(
		model_tensor(open_ref(set, "both", NULL, &report), "recipe"));
	assert_non_null(
		model_tensor(open_ref(set, "only", NULL, &report), "only"));
	assert_null(open_ref(set, "./none", NULL, &report));
	assert_null(open_ref(set, "~/none", NULL, &report));
	assert_int_equal(chdir(before), 0);
	assert_notes(fx, &report,
		     "model \"./none\": no such folder in @/recipes or @/cwd\n"
		     "model \"~/none\": no such folder in @/recipes or @/cwd "
		     "('~' is not expanded: write the path out)\n");
	model_set_close(set);
}

static void what_is_no_model_folder_is_said(void **state)
{
	struct fixture *fx = *state;

	WEIGHTS(fx, "file/model.safetensors", "w");
	check(fx, "file/model.safetensors", NULL, EINVAL,
	      "@/file/model.safetensors is no folder; a model is the folder "
	      "that its files are in\n");
	check(fx, "/no/such/model", NULL, ENOENT,
	      "model \"/no/such/model\": there is no such folder\n");
	write_text(fx, "empty/notes.txt", "");
	check(fx, "empty", NULL, ENOENT,
	      "@/empty has no weights (looked for "
	      "model.safetensors.index.json, model.safetensors and any one "
	      "*.safetensors)\n");
	write_text(fx, "bin/pytorch_model.bin", "");
	write_text(fx, "bin/training_args.bin", "");
	check(fx, "bin", NULL, ENOENT,
	      "@/bin has no safetensors weights of a model, only "
	      "pytorch_model.bin: load the folder with transformers and "
	      "save_pretrained() it to a new one\n");
	write_text(fx, "gguf/m.gguf", "");
	check(fx, "gguf", NULL, ENOENT,
	      "@/gguf has no safetensors weights of a model, only m.gguf: load "
	      "the folder with transformers and save_pretrained() it to a new "
	      "one (gguf_file=...)\n");
	WEIGHTS(fx, "lora/adapter_model.safetensors", "w");
	check(fx, "lora", NULL, ENOENT,
	      "@/lora has no safetensors weights of a model, only "
	      "adapter_model.safetensors: a LoRA adapter, which must be merged "
	      "into its base first (peft: merge_and_unload)\n");
	WEIGHTS(fx, "two/a.safetensors", "w");
	WEIGHTS(fx, "two/b.safetensors", "w");
	check(fx, "two", NULL, ENOENT,
	      "@/two has 2 safetensors files (a.safetensors, ...), but no "
	      "model.safetensors.index.json to say which make the model\n");
}

static void one_index_is_needed(void **state)
{
	struct fixture *fx = *state;

	write_text(fx, "indices/a.safetensors.index.json", "{}");
	write_text(fx, "indices/b.safetensors.index.json", "{}");
	check(fx, "indices", NULL, ENOENT,
	      "@/indices has 2 indices (a.safetensors.index.json, ...), none "
	      "of them named model.safetensors.index.json\n");
}

static void files_may_have_other_names(void **state)
{
	struct fixture *fx = *state;

	WEIGHTS(fx, "named/weights.safetensors", "w");
	WEIGHTS(fx, "named/adapter_model.safetensors", "w");
	check(fx, "named", NULL, 0, "");
	write_text(fx, "indexed/x.safetensors.index.json",
		   "{\"weight_map\":{\"w\":\"p.safetensors\","
		   "\"v\":\"q.safetensors\"}}");
	WEIGHTS(fx, "indexed/p.safetensors", "w");
	WEIGHTS(fx, "indexed/q.safetensors", "v");
	check(fx, "indexed", NULL, 0, "");
}

static void a_bad_config_is_refused(void **state)
{
	struct fixture *fx = *state;

	WEIGHTS(fx, "config/model.safetensors", "w");
	write_text(fx, "config/config.json", "[]");
	check(fx, "config", NULL, EBADMSG,
	      "@/config/config.json: must be an object, not a list\n");
}

/* The index wins over a single file, and its shards make one table. */
static void shards_become_one_table(void **state)
{
	struct fixture *fx = *state;
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir);
	const struct model *model;

	WEIGHTS(fx, "shards/model.safetensors", "stale");
	WEIGHTS(fx, "shards/s-2.safetensors", "a", "d");
	WEIGHTS(fx, "shards/s-1.safetensors", "c", "b");
	write_text(fx, "shards/model.safetensors.index.json",
		   "{\"metadata\":{\"total_size\":8},\"weight_map\":{"
		   "\"a\":\"s-2.safetensors\",\"b\":\"s-1.safetensors\","
		   "\"c\":\"s-1.safetensors\",\"d\":\"s-2.safetensors\"}}");
	model = open_ref(set, "shards", NULL, &report);
	assert_notes(fx, &report, "");
	assert_int_equal(model->count, 4);
	assert_null(model_tensor(model, "stale"));
	for (const char *name = "abcd"; *name; name++) {
		const char tensor[2] = { *name, '\0' };

		assert_string_equal(model_tensor(model, tensor)->name, tensor);
	}
	assert_ptr_equal(model_tensor(model, "a")->source,
			 model_tensor(model, "d")->source);
	assert_ptr_not_equal(model_tensor(model, "a")->source,
			     model_tensor(model, "b")->source);
	model_set_close(set);
}

static void a_bad_index_is_refused(void **state)
{
	static const struct {
		const char *text, *lines;
	} cases[] = {
		{ "{\"weight_map\":[]}",
		  "@/bad/model.safetensors.index.json: \"weight_map\" must be "
		  "an object of tensors and their files\n" },
		{ "[]", "@/bad/model.safetensors.index.json: \"weight_map\" "
			"must be an object of tensors and their files\n" },
		{ "{\"weight_map\":{}}",
		  "@/bad/model.safetensors.index.json: \"weight_map\" is "
		  "empty\n" },
		{ "{\"weight_map\":{\"a\":1,\"b\":\"../x\",\"c\":\"..\","
		  "\"d\":\"\",\"e\":\"s/x\",\"f\":\"x\"}}",
		  "@/bad/model.safetensors.index.json: weight_map: \"a\" must "
		  "be the name of a file in the same folder\n"
		  "@/bad/model.safetensors.index.json: weight_map: \"b\" must "
		  "be the name of a file in the same folder\n"
		  "@/bad/model.safetensors.index.json: weight_map: \"c\" must "
		  "be the name of a file in the same folder\n"
		  "@/bad/model.safetensors.index.json: weight_map: \"d\" must "
		  "be the name of a file in the same folder\n"
		  "@/bad/model.safetensors.index.json: weight_map: \"e\" must "
		  "be the name of a file in the same folder\n" },
	};
	struct fixture *fx = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_text(fx, "bad/model.safetensors.index.json",
			   cases[i].text);
		check(fx, "bad", NULL, EBADMSG, cases[i].lines);
	}
}

/* All that is wrong with all shards, in one go. */
static void shards_and_index_must_agree(void **state)
{
	struct fixture *fx = *state;

	write_text(fx, "odds/config.json", "{} x");
	WEIGHTS(fx, "odds/s1", "both", "moved", "ok", "unnamed");
	WEIGHTS(fx, "odds/s2", "both", "fine");
	write_text(fx, "odds/s3", "junk");
	write_text(fx, "odds/model.safetensors.index.json",
		   "{\"weight_map\":{\"absent\":\"s2\",\"both\":\"s2\","
		   "\"fine\":\"s2\",\"moved\":\"s2\",\"ok\":\"s1\","
		   "\"unknown\":\"s3\",\"lost\":\"s4\"}}");
	check(fx, "odds", NULL, EBADMSG,
	      "@/odds/config.json: line 1, column 4: something follows the end "
	      "of "
	      "the value\n"
	      "@/odds/s3: not a safetensors file: it has only 4 bytes\n"
	      "@/odds/s4 is missing\n"
	      "@/odds: tensor \"both\" is both in s1 and in s2\n"
	      "@/odds/model.safetensors.index.json: tensor \"absent\" is not "
	      "in s2\n"
	      "@/odds/model.safetensors.index.json: tensor \"moved\" is in s1, "
	      "not in s2\n"
	      "@/odds/model.safetensors.index.json: tensor \"unnamed\" of s1 "
	      "is missing from it\n");
}

/* A list of one flaw is cut after ten, and says how many there are. */
static void long_lists_are_cut(void **state)
{
	struct fixture *fx = *state;
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir);
	char names[40][8], want[TEXT_MAX];
	const char *list[41] = { NULL };

	for (size_t i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "t%02zu", i);
		list[i] = names[i];
	}
	write_weights(fx, "long/s1", list);
	write_weights(fx, "long/s2", list);
	write_text(fx, "long/model.safetensors.index.json",
		   "{\"weight_map\":{\"t00\":\"s1\",\"t01\":\"s2\"}}");
	assert_null(open_ref(set, "long", NULL, &report));
	assert_int_equal(report.errors, 22);
	expand(fx, "@/long: 30 more tensors are in two files", want);
	assert_string_equal(report.notes[10].text, want);
	expand(fx,
	       "@/long/model.safetensors.index.json: 28 more tensors are "
	       "missing from it",
	       want);
	assert_string_equal(report.notes[21].text, want);
	model_set_close(set);
}

static void link_blob(const struct fixture *fx, const char *blob,
		      const char *name)
{
	char path[FIXTURE_PATH_MAX], target[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	snprintf(target, sizeof(target), "../../blobs/%s", blob);
	assert_int_equal(symlink(target, path), 0);
}

/* refs/main holds a commit whose snapshot links to blobs. */
static void the_hub_cache_is_searched(void **state)
{
	struct fixture *fx = *state;
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir);
	const struct model *model;
	char want[TEXT_MAX];

	WEIGHTS(fx, "hub/models--org--name/blobs/b1", "w");
	link_blob(fx, "b1", SNAPSHOT "/model.safetensors");
	write_text(fx, "hub/models--org--name/refs/main", COMMIT);
	write_text(fx, "hub/models--org--name/refs/refs/pr/1", COMMIT "\n");
	write_text(fx, "hub/models--org--name/refs/gone", OTHER_COMMIT);
	write_text(fx, "hub/models--org--name/refs/evil", "../../../etc");
	write_text(fx, "hub/models--org--name/refs/odd", COMMIT "/x");
	model = open_ref(set, "org/name", NULL, &report);
	assert_non_null(model);
	expand(fx, "@/" SNAPSHOT, want);
	assert_string_equal(model->dir, want);
	assert_non_null(open_ref(set, "org/name", "main", &report));
	assert_non_null(open_ref(set, "org/name", "refs/pr/1", &report));
	assert_non_null(open_ref(set, "org/name", COMMIT, &report));
	assert_int_equal(report.count, 0);
	assert_int_equal(source_set_count(model_set_sources(set)), 1);
	model_set_close(set);
}

static void what_the_hub_cache_lacks_is_said(void **state)
{
	struct fixture *fx = *state;

	check(fx, "org/other", NULL, ENOENT,
	      "model \"org/other\": no such folder, and not in the Hugging "
	      "Face cache (@/hub): get it with `hf download org/other`\n");
	check(fx, "gpt2", NULL, ENOENT,
	      "model \"gpt2\": no such folder, and not in the Hugging Face "
	      "cache (@/hub): get it with `hf download gpt2`\n");
	for (const char *const *r =
		     (const char *const[]){ "v9", "gone", "evil", "odd", NULL };
	     *r; r++) {
		char lines[TEXT_MAX];

		snprintf(lines, sizeof(lines),
			 "model \"org/name\": no such folder, and not in the "
			 "Hugging Face cache (@/hub): get it with `hf download "
			 "org/name --revision %s`\n",
			 *r);
		check(fx, "org/name", *r, ENOENT, lines);
	}
	check(fx, "org/name", "../main", EINVAL,
	      "model \"org/name\": \"../main\" is no revision's name\n");
	/* Half a download: one of two shards, and no weights at all. */
	write_text(fx, "hub/models--org--half/refs/main", COMMIT);
	WEIGHTS(fx, "hub/models--org--half/snapshots/" COMMIT "/s1", "a");
	write_text(fx,
		   "hub/models--org--half/snapshots/" COMMIT
		   "/model.safetensors.index.json",
		   "{\"weight_map\":{\"a\":\"s1\",\"b\":\"s2\"}}");
	check(fx, "org/half", NULL, ENOENT,
	      "@/hub/models--org--half/snapshots/" COMMIT
	      "/s2 is missing: get it with `hf download org/half`\n");
	write_text(fx, "hub/models--org--none/refs/main", COMMIT);
	write_text(fx, "hub/models--org--none/snapshots/" COMMIT "/config.json",
		   "{}");
	check(fx, "org/none", NULL, ENOENT,
	      "@/hub/models--org--none/snapshots/" COMMIT
	      " has no weights (looked for model.safetensors.index.json, "
	      "model.safetensors and any one *.safetensors): get it with `hf "
	      "download org/none`\n");
}

static void paths_are_no_hub_ids(void **state)
{
	static const char *const paths[] = {
		"../name",   "./name", "org/",	 "a/b/c",
		"org/na me", "a--b/c", "a..b/c", "-a/b",
	};
	struct fixture *fx = *state;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		struct model_set *set = model_set_open(fx->dir);

		assert_null(open_ref(set, paths[i], NULL, &report));
		assert_non_null(strstr(report.notes[0].text, "no such folder"));
		assert_null(strstr(report.notes[0].text, "Hugging Face"));
		model_set_close(set);
	}
}

/* The order of huggingface_hub's variables. */
static void the_cache_is_where_variables_say(void **state)
{
	static const struct {
		const char *variable, *value, *root;
	} order[] = {
		{ "HF_HUB_CACHE", "/1", "(/1)" },
		{ "HUGGINGFACE_HUB_CACHE", "/2", "(/2)" },
		{ "HF_HOME", "/3", "(/3/hub)" },
		{ "XDG_CACHE_HOME", "~/4", "(/5/4/huggingface/hub)" },
		{ "HOME", "/5", "(/5/.cache/huggingface/hub)" },
	};
	struct fixture *fx = *state;
	AUTO_FREE char *home = strdup(getenv("HOME") ? getenv("HOME") : "");

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		setenv(order[i].variable, order[i].value, 1);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		struct model_set *set = model_set_open(fx->dir);

		assert_null(open_ref(set, "org/x", NULL, &report));
		assert_non_null(strstr(report.notes[0].text, order[i].root));
		model_set_close(set);
		/* An empty variable is as good as none. */
		setenv(order[i].variable, "", 1);
	}
	setenv("HOME", home, 1);
}

static void a_revision_of_a_folder_is_a_warning(void **state)
{
	struct fixture *fx = *state;

	WEIGHTS(fx, "rev/model.safetensors", "w");
	check(fx, "rev", "v1", 0,
	      "model \"rev\": its revision is ignored, since @/rev is a "
	      "folder\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_are_parsed),
		cmocka_unit_test(bad_references_are_refused),
		cmocka_unit_test(references_are_equal_by_value),
		cmocka_unit_test(layers_are_read_off_names),
		cmocka_unit_test(a_folder_becomes_a_table),
		cmocka_unit_test(a_model_is_opened_and_reported_once),
		cmocka_unit_test(a_folder_of_the_recipe_goes_first),
		cmocka_unit_test(what_is_no_model_folder_is_said),
		cmocka_unit_test(one_index_is_needed),
		cmocka_unit_test(files_may_have_other_names),
		cmocka_unit_test(a_bad_config_is_refused),
		cmocka_unit_test(shards_become_one_table),
		cmocka_unit_test(a_bad_index_is_refused),
		cmocka_unit_test(shards_and_index_must_agree),
		cmocka_unit_test(long_lists_are_cut),
		cmocka_unit_test(the_hub_cache_is_searched),
		cmocka_unit_test(what_the_hub_cache_lacks_is_said),
		cmocka_unit_test(paths_are_no_hub_ids),
		cmocka_unit_test(a_revision_of_a_folder_is_a_warning),
		cmocka_unit_test(the_cache_is_where_variables_say),
	};

	return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
