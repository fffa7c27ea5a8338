#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/model_fixture.h"

#include <cmocka.h>

#define COMMIT "89abcdef0123456789abcdef0123456789abcdef"
#define OTHER_COMMIT "00000000000000000000000000000000000000ff"
#define SNAPSHOT "hub/models--org--name/snapshots/" COMMIT

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
	struct model_set *set = model_set_open(fx->dir, NULL);
	const struct model *model;
	char want[NOTES_TEXT_MAX];

	WEIGHTS(fx, "hub/models--org--name/blobs/b1", "w");
	link_blob(fx, "b1", SNAPSHOT "/model.safetensors");
	fixture_text(fx, "hub/models--org--name/refs/main", COMMIT);
	fixture_text(fx, "hub/models--org--name/refs/refs/pr/1", COMMIT "\n");
	fixture_text(fx, "hub/models--org--name/refs/gone", OTHER_COMMIT);
	fixture_text(fx, "hub/models--org--name/refs/evil", "../../../etc");
	fixture_text(fx, "hub/models--org--name/refs/odd", COMMIT "/x");
	fixture_text(fx, "hub/models--org--name/refs/long", COMMIT COMMIT);
	model = model_fixture_get(set, "org/name", NULL, &report);
	assert_non_null(model);
	model_fixture_expand(fx, "@/" SNAPSHOT, want);
	assert_string_equal(model->dir, want);
	assert_non_null(model_fixture_get(set, "org/name", "main", &report));
	assert_non_null(
		model_fixture_get(set, "org/name", "refs/pr/1", &report));
	assert_non_null(model_fixture_get(set, "org/name", COMMIT, &report));
	assert_int_equal(report.count, 0);
	assert_int_equal(source_set_count(model_set_sources(set)), 1);
	model_set_close(set);
}

static void what_the_hub_cache_lacks_is_said(void **state)
{
	struct fixture *fx = *state;

	assert_model(
		fx, "org/other", NULL, ENOENT,
		"model \"org/other\": no such folder in @, nor in the Hugging "
		"Face cache @/hub: get it with `hf download org/other`\n");
	assert_model(
		fx, "gpt2", NULL, ENOENT,
		"model \"gpt2\": no such folder in @, nor in the Hugging Face "
		"cache @/hub: get it with `hf download gpt2`\n");
	for (const char *const *r =
		     (const char *const[]){ "v9", "gone", "evil", "odd", "long",
					    NULL };
	     *r; r++) {
		char lines[NOTES_TEXT_MAX];

		snprintf(lines, sizeof(lines),
			 "model \"org/name\": no such folder in @, nor in the "
			 "Hugging Face cache @/hub: get it with `hf download "
			 "org/name --revision %s`\n",
			 *r);
		assert_model(fx, "org/name", *r, ENOENT, lines);
	}
	assert_model(fx, "org/name", "../main", EINVAL,
		     "model \"org/name\": \"../main\" is no revision's name\n");
	/* Half a download: one of two shards, and no weights at all. */
	fixture_text(fx, "hub/models--org--half/refs/main", COMMIT);
	WEIGHTS(fx, "hub/models--org--half/snapshots/" COMMIT "/s1", "a");
	fixture_text(fx,
		     "hub/models--org--half/snapshots/" COMMIT
		     "/model.safetensors.index.json",
		     "{\"weight_map\":{\"a\":\"s1\",\"b\":\"s2\"}}");
	assert_model(fx, "org/half", NULL, ENOENT,
		     "@/hub/models--org--half/snapshots/" COMMIT
		     "/s2 is missing: get it with `hf download org/half`\n");
	fixture_text(fx, "hub/models--org--none/refs/main", COMMIT);
	fixture_text(fx,
		     "hub/models--org--none/snapshots/" COMMIT "/config.json",
		     "{}");
	assert_model(
		fx, "org/none", NULL, ENOENT,
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
		struct model_set *set = model_set_open(fx->dir, NULL);

		assert_null(model_fixture_get(set, paths[i], NULL, &report));
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
		{ "HF_HUB_CACHE", "/1", "cache /1:" },
		{ "HUGGINGFACE_HUB_CACHE", "/2", "cache /2:" },
		{ "HF_HOME", "/3", "cache /3/hub:" },
		{ "XDG_CACHE_HOME", "~/4", "cache /5/4/huggingface/hub:" },
		{ "HOME", "/5", "cache /5/.cache/huggingface/hub:" },
	};
	struct fixture *fx = *state;
	AUTO_FREE char *home = strdup(getenv("HOME") ? getenv("HOME") : "");

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		setenv(order[i].variable, order[i].value, 1);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		struct model_set *set = model_set_open(fx->dir, NULL);

		assert_null(model_fixture_get(set, "org/x", NULL, &report));
		assert_non_null(strstr(report.notes[0].text, order[i].root));
		model_set_close(set);
		/* An empty variable is as good as none. */
		setenv(order[i].variable, "", 1);
	}
	setenv("HOME", home, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hub_cache_is_searched),
		cmocka_unit_test(what_the_hub_cache_lacks_is_said),
		cmocka_unit_test(paths_are_no_hub_ids),
		cmocka_unit_test(the_cache_is_where_variables_say),
	};

	return cmocka_run_group_tests(tests, model_fixture_open,
				      model_fixture_close);
}
