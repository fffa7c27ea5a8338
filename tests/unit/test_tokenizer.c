#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/tokenizer.h"
#include "tests/unit/plan_fixture.h"

#include <cmocka.h>

#define WEIGHTS_OF(rows)                                                   \
	"model.embed_tokens.weight BF16 " rows "x4; "                      \
	"model.layers.0.w BF16 4; model.layers.0.output.weight BF16 9x4; " \
	"lm_head.weight BF16 " rows "x4"

/* Five tokens, one of them among the added ones only. */
#define TOKENS                                                               \
	"{\"model\": {\"vocab\": {\"a\": 0, \"b\": 1, \"c\": 3, \"d\": 2}}," \
	" \"added_tokens\": [{\"id\": 1, \"content\": \"b\"},"               \
	" {\"id\": 4, \"content\": \"<s>\"}]}"

static void write_model(const struct fixture *fx, const char *name,
			const char *weights, const char *tokens,
			const char *config)
{
	char path[128];

	plan_fixture_model(fx, name, "llama", weights);
	snprintf(path, sizeof(path), "%s/tokenizer.json", name);
	if (tokens)
		fixture_text(fx, path, tokens);
	snprintf(path, sizeof(path), "%s/tokenizer_config.json", name);
	if (config)
		fixture_text(fx, path, config);
}

static int models_open(void **state)
{
	int rc = model_fixture_open(state);
	const struct fixture *fx = *state;

	write_model(fx, "a", WEIGHTS_OF("5"), TOKENS,
		    "{\"added_tokens_decoder\": {\"4\": {\"x\": 1}, \"1\": 2},"
		    " \"chat_template\": \"A\"}");
	write_model(fx, "b", WEIGHTS_OF("8"), TOKENS,
		    "{\"chat_template\": \"B\", \"added_tokens_decoder\":\n"
		    " {\"1\": 2, \"4\": {\"x\": 1}}}");
	write_model(
		fx, "json", WEIGHTS_OF("5"), TOKENS " ",
		"{\"added_tokens_decoder\": {\"4\": {\"x\": 1}, \"1\": 2}}");
	write_model(
		fx, "decoder", WEIGHTS_OF("5"), TOKENS,
		"{\"added_tokens_decoder\": {\"4\": {\"x\": 0}, \"1\": 2}}");
	write_model(fx, "none", WEIGHTS_OF("5"), NULL, NULL);
	write_model(fx, "none2", WEIGHTS_OF("5"), NULL, NULL);
	write_model(
		fx, "short", WEIGHTS_OF("4"), TOKENS,
		"{\"added_tokens_decoder\": {\"4\": {\"x\": 1}, \"1\": 2}}");
	return rc;
}

#define MERGE(a, b)                                              \
	"merge_method: passthrough\n"                            \
	"slices:\n"                                              \
	"  - sources: [{model: ./" a ", layer_range: [0, 1]}]\n" \
	"  - sources: [{model: ./" b ", layer_range: [0, 0]}]\n"

/* Vocabulary tensors, and they alone, are cut to the tokens there are. */
static void vocabulary_tensors_are_cut_to_the_tokens(void **state)
{
	AUTO_PLANNED struct planned planned;

	assert_plan(*state, MERGE("a", "b") "tokenizer_source: union\n", "",
		    "lm_head.weight copy BF16 5x4 - b/lm_head.weight\n"
		    "model.embed_tokens.weight copy BF16 5x4 - "
		    "a/model.embed_tokens.weight\n"
		    "model.layers.0.output.weight copy BF16 9x4 - "
		    "a/model.layers.0.output.weight\n"
		    "model.layers.0.w copy BF16 4 - a/model.layers.0.w\n");
	assert_plan(*state, MERGE("a", "b"), "",
		    "lm_head.weight copy BF16 8x4 - b/lm_head.weight\n"
		    "model.embed_tokens.weight copy BF16 5x4 - "
		    "a/model.embed_tokens.weight\n"
		    "model.layers.0.output.weight copy BF16 9x4 - "
		    "a/model.layers.0.output.weight\n"
		    "model.layers.0.w copy BF16 4 - a/model.layers.0.w\n");
	planned_open(&planned, *state,
		     "merge_method: linear\nparameters: {weight: 1}\n"
		     "models: [{model: ./a}, {model: ./b}]\n"
		     "tokenizer: {source: ./b, pad_to_multiple_of: 5}\n");
	assert_int_equal(planned.report.count, 0);
	assert_int_equal(planned.plan->vocab_size, 5);
	assert_int_equal(planned_job(&planned, "lm_head.weight")->size, 40);
	assert_int_equal(planned_job(&planned, "lm_head.weight")->args.elements,
			 20);
}

static void other_tokenizer_work_is_refused(void **state)
{
	static const struct {
		const char *yaml;
		const char *notes;
	} cases[] = {
		{ MERGE("a", "json") "tokenizer_source: base\n",
		  "m.yml: tokenizer: @/a/tokenizer.json and "
		  "@/json/tokenizer.json are not the same; merging models "
		  "with different ones is not supported yet\n" },
		{ MERGE("a", "decoder") "tokenizer_source: ./a\n",
		  "m.yml: tokenizer: added_tokens_decoder: "
		  "@/a/tokenizer_config.json and @/decoder/"
		  "tokenizer_config.json are not the same; merging models "
		  "with different ones is not supported yet\n" },
		{ MERGE("a", "b") "tokenizer: {source: ./none}\n",
		  "m.yml: tokenizer: @/a/tokenizer.json and "
		  "@/none/tokenizer.json are not the same; merging models "
		  "with different ones is not supported yet\n" },
		{ MERGE("none", "none2") "tokenizer: {}\n",
		  "m.yml: tokenizer: @/none/tokenizer.json is missing, and "
		  "the number of tokens cannot be seen elsewhere yet\n" },
		{ MERGE("a", "b") "tokenizer: {pad_to_multiple_of: 4}\n",
		  "m.yml: tokenizer: the tokenizer has 5 tokens, no multiple "
		  "of pad_to_multiple_of: 4; rows of padding are not "
		  "supported yet\n" },
		{ MERGE("a", "short") "tokenizer: {}\n",
		  "m.yml: tensor lm_head.weight: 4 rows in ./short, and the "
		  "tokenizer has 5 tokens; filling in the rest is not "
		  "supported yet, so leave the tokenizer setting out\n" },
		{ MERGE("a", "b") "chat_template: auto\n",
		  "m.yml: chat_template: chat_template: "
		  "@/a/tokenizer_config.json and @/b/tokenizer_config.json "
		  "are not the same; merging models with different ones is "
		  "not supported yet\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_plan(*state, cases[i].yaml, cases[i].notes, "");
}

/* Tokens are counted once, whatever lists them; ids have no gaps. */
static void tokens_are_counted(void **state)
{
	static const struct {
		const char *text;
		uint64_t count;
		const char *sentence; /* NULL: counted */
	} cases[] = {
		{ TOKENS, 5, NULL },
		{ "{\"model\": {\"vocab\": {\"a\": 0}}}", 1, NULL },
		{ "{\"model\": {\"vocab\": [[\"a\", 0.5], [\"b\", -1]]},"
		  " \"added_tokens\": [{\"id\": 0, \"content\": \"a\"}]}",
		  2, NULL },
		{ "{\"model\": {\"vocab\": {\"a\": 0, \"b\": 2}}}", 0,
		  "the ids of its 2 tokens are not 0 to 1, each once" },
		{ "{\"model\": {\"vocab\": {\"a\": 0, \"b\": 0}}}", 0,
		  "the ids of its 2 tokens are not 0 to 1, each once" },
		{ "{\"model\": {\"vocab\": [[\"a\", 0], [\"b\", 0]]},"
		  " \"added_tokens\": [{\"id\": 0, \"content\": \"b\"}]}",
		  0, "a token has two ids" },
		{ "{\"model\": {}}", 0, "it has no model.vocab" },
		{ "{\"model\": {\"vocab\": \"a\"}}", 0,
		  "it has no model.vocab" },
		{ "{\"model\": {\"vocab\": {\"a\": \"0\"}}}", 0,
		  "a token is not as in other tokenizer files" },
		{ "{\"model\": {\"vocab\": [[0, \"a\"]]}}", 0,
		  "a token is not as in other tokenizer files" },
		{ "{\"model\": {\"vocab\": {}}, \"added_tokens\": [{}]}", 0,
		  "a token is not as in other tokenizer files" },
		{ "{\"model\": {\"vocab\": {}}, \"added_tokens\": \"ab\"}", 0,
		  "added_tokens is no list" },
	};
	const struct fixture *fx = *state;
	const struct model model = { .dir = fx->dir };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = { 0 };
		uint64_t count = 0;
		char want[FIXTURE_PATH_MAX + 128];
		int rc;

		fixture_text(fx, "tokenizer.json", cases[i].text);
		rc = tokenizer_count(&model, &count, &err);
		assert_int_equal(rc, cases[i].sentence ? -ENOTSUP : 0);
		assert_int_equal(count, cases[i].count);
		if (!cases[i].sentence)
			continue;
		snprintf(want, sizeof(want), "%s/tokenizer.json: %s", fx->dir,
			 cases[i].sentence);
		assert_string_equal(err.text, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vocabulary_tensors_are_cut_to_the_tokens),
		cmocka_unit_test(other_tokenizer_work_is_refused),
		cmocka_unit_test(tokens_are_counted),
	};

	return cmocka_run_group_tests(tests, models_open, model_fixture_close);
}
