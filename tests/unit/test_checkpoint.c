#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/model_fixture.h"

#include <cmocka.h>

static void what_is_no_model_folder_is_said(void **state)
{
	struct fixture *fx = *state;

	WEIGHTS(fx, "file/model.safetensors", "w");
	assert_model(
		fx, "file/model.safetensors", NULL, EINVAL,
		"@/file/model.safetensors is no folder; a model is the folder "
		"that its files are in\n");
	assert_model(fx, "/no/such/model", NULL, ENOENT,
		     "model \"/no/such/model\": there is no such folder\n");
	fixture_text(fx, "empty/notes.txt", "");
	assert_model(
		fx, "empty", NULL, ENOENT,
		"@/empty has no weights (looked for "
		"model.safetensors.index.json, model.safetensors and any one "
		"*.safetensors)\n");
	fixture_text(fx, "bin/pytorch_model.bin", "");
	fixture_text(fx, "bin/training_args.bin", "");
	assert_model(fx, "bin", NULL, ENOENT,
		     "@/bin has no safetensors weights of a model, only "
		     "pytorch_model.bin: load the folder with transformers and "
		     "save_pretrained() it to a new one\n");
	fixture_text(fx, "gguf/m.gguf", "");
	assert_model(fx, "gguf", NULL, ENOENT,
		     "@/gguf has no safetensors weights of a model, only "
		     "m.gguf: load "
		     "the folder with transformers and save_pretrained() it to "
		     "a new "
		     "one (gguf_file=...)\n");
	WEIGHTS(fx, "lora/adapter_model.safetensors", "w");
	assert_model(fx, "lora", NULL, ENOENT,
		     "@/lora has no safetensors weights of a model, only "
		     "adapter_model.safetensors: a LoRA adapter, which must be "
		     "merged "
		     "into its base first (peft: merge_and_unload)\n");
	WEIGHTS(fx, "two/a.safetensors", "w");
	WEIGHTS(fx, "two/b.safetensors", "w");
	assert_model(
		fx, "two", NULL, ENOENT,
		"@/two has 2 safetensors files (a.safetensors, ...), but no "
		"model.safetensors.index.json to say which make the model\n");
}

static void one_index_is_needed(void **state)
{
	struct fixture *fx = *state;

	fixture_text(fx, "indices/a.safetensors.index.json", "{}");
	fixture_text(fx, "indices/b.safetensors.index.json", "{}");
	assert_model(
		fx, "indices", NULL, ENOENT,
		"@/indices has 2 indices (a.safetensors.index.json, ...), none "
		"of them named model.safetensors.index.json\n");
}

static void files_may_have_other_names(void **state)
{
	struct fixture *fx = *state;

	WEIGHTS(fx, "named/weights.safetensors", "w");
	WEIGHTS(fx, "named/adapter_model.safetensors", "w");
	assert_model(fx, "named", NULL, 0, "");
	fixture_text(fx, "indexed/x.safetensors.index.json",
		     "{\"weight_map\":{\"w\":\"p.safetensors\","
		     "\"v\":\"q.safetensors\"}}");
	WEIGHTS(fx, "indexed/p.safetensors", "w");
	WEIGHTS(fx, "indexed/q.safetensors", "v");
	assert_model(fx, "indexed", NULL, 0, "");
}

/* The index wins over a single file, and its shards make one table. */
static void shards_become_one_table(void **state)
{
	struct fixture *fx = *state;
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir, NULL);
	const struct model *model;

	WEIGHTS(fx, "shards/model.safetensors", "stale");
	WEIGHTS(fx, "shards/s-2.safetensors", "a", "d");
	WEIGHTS(fx, "shards/s-1.safetensors", "c", "b");
	fixture_text(fx, "shards/model.safetensors.index.json",
		     "{\"metadata\":{\"total_size\":8},\"weight_map\":{"
		     "\"a\":\"s-2.safetensors\",\"b\":\"s-1.safetensors\","
		     "\"c\":\"s-1.safetensors\",\"d\":\"s-2.safetensors\"}}");
	model = model_fixture_get(set, "shards", NULL, &report);
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
		  "@/bad/model.safetensors.index.json: \"weight_map\" must be "
		  "an object of tensors and their files\n" },
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
		fixture_text(fx, "bad/model.safetensors.index.json",
			     cases[i].text);
		assert_model(fx, "bad", NULL, EBADMSG, cases[i].lines);
	}
}

/* All that is wrong with all shards, in one go. */
static void shards_and_index_must_agree(void **state)
{
	struct fixture *fx = *state;

	fixture_text(fx, "odds/config.json", "{} x");
	WEIGHTS(fx, "odds/s1", "both", "moved", "ok", "unnamed");
	WEIGHTS(fx, "odds/s2", "both", "fine");
	fixture_text(fx, "odds/s3", "junk");
	fixture_text(fx, "odds/model.safetensors.index.json",
		     "{\"weight_map\":{\"absent\":\"s2\",\"both\":\"s2\","
		     "\"fine\":\"s2\",\"moved\":\"s2\",\"ok\":\"s1\","
		     "\"unknown\":\"s3\",\"lost\":\"s4\"}}");
	assert_model(
		fx, "odds", NULL, EBADMSG,
		"@/odds/config.json: line 1, column 4: something follows the "
		"end "
		"of "
		"the value\n"
		"@/odds/s3: not a safetensors file: it has only 4 bytes\n"
		"@/odds/s4 is missing\n"
		"@/odds: tensor \"both\" is both in s1 and in s2\n"
		"@/odds/model.safetensors.index.json: tensor \"absent\" is not "
		"in s2\n"
		"@/odds/model.safetensors.index.json: tensor \"moved\" is in "
		"s1, "
		"not in s2\n"
		"@/odds/model.safetensors.index.json: tensor \"unnamed\" of s1 "
		"is missing from it\n");
}

/* A list of one flaw is cut after ten, and says how many there are. */
static void long_lists_are_cut(void **state)
{
	struct fixture *fx = *state;
	AUTO_REPORT struct report report = REPORT_INIT;
	struct model_set *set = model_set_open(fx->dir, NULL);
	char names[40][8], want[NOTES_TEXT_MAX];
	const char *list[41] = { NULL };

	for (size_t i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "t%02zu", i);
		list[i] = names[i];
	}
	fixture_weights(fx, "long/s1", list);
	fixture_weights(fx, "long/s2", list);
	fixture_text(fx, "long/model.safetensors.index.json",
		     "{\"weight_map\":{\"t00\":\"s1\",\"t01\":\"s2\"}}");
	assert_null(model_fixture_get(set, "long", NULL, &report));
	assert_int_equal(report.errors, 22);
	model_fixture_expand(fx, "@/long: 30 more tensors are in two files",
			     want);
	assert_string_equal(report.notes[10].text, want);
	model_fixture_expand(
		fx,
		"@/long/model.safetensors.index.json: 28 more tensors are "
		"missing from it",
		want);
	assert_string_equal(report.notes[21].text, want);
	model_set_close(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_model_folder_is_said),
		cmocka_unit_test(one_index_is_needed),
		cmocka_unit_test(files_may_have_other_names),
		cmocka_unit_test(shards_become_one_table),
		cmocka_unit_test(a_bad_index_is_refused),
		cmocka_unit_test(shards_and_index_must_agree),
		cmocka_unit_test(long_lists_are_cut),
	};

	return cmocka_run_group_tests(tests, model_fixture_open,
				      model_fixture_close);
}
