#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/recipe.h"
#include "tests/unit/fixture.h"

#include <cmocka.h>

#define METHOD_NAMES                                                      \
	"linear, slerp, nuslerp, multislerp, karcher, model_stock, "      \
	"task_arithmetic, ties, dare_linear, dare_ties, breadcrumbs, "    \
	"breadcrumbs_ties, della_linear, della, sce, nearswap, ram, "     \
	"ramplus_tl, arcee_fusion, consensus_ta, emr, magmax, bitdelta, " \
	"cabs, metagpt, tsv_m, iso_c, core_space, wudi, passthrough"

#define NOTES_MAX 4096

/* Two models, and what makes a recipe of them by linear. */
#define AB                                            \
	"models:\n"                                   \
	"  - {model: ./a, parameters: {weight: 1}}\n" \
	"  - {model: ./b, parameters: {weight: 1}}\n"
#define LINEAR "merge_method: linear\n" AB
#define SLICES(method)               \
	"merge_method: " method "\n" \
	"slices:\n"                  \
	"  - sources:\n"

struct sentence_case {
	const char *text;  /* YAML */
	int code;	   /* of the first error, 0: the recipe is taken */
	const char *notes; /* each without "m.yml: ", ended by a newline */
};

static void notes_text(const struct report *report, char text[NOTES_MAX])
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < report->count; i++) {
		const char *note = report->notes[i].text;

		assert_memory_equal(note, "m.yml: ", 7);
		len += (size_t)snprintf(text + len, NOTES_MAX - len, "%s\n",
					note + 7);
		assert_true(len < NOTES_MAX);
	}
}

static struct recipe *parse(const char *text, struct report *report)
{
	return recipe_parse("m.yml", text, strlen(text), true, report);
}

static void check_cases(const struct sentence_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		AUTO_RECIPE struct recipe *recipe =
			parse(cases[i].text, &report);
		char notes[NOTES_MAX];

		notes_text(&report, notes);
		if (strcmp(notes, cases[i].notes) != 0)
			fail_msg("%s\ngives\n%s\nnot\n%s", cases[i].text, notes,
				 cases[i].notes);
		assert_int_equal(report.code, cases[i].code);
		assert_int_equal(recipe == NULL, cases[i].code != 0);
	}
}

static void the_structure_is_checked(void **state)
{
	static const struct sentence_case cases[] = {
		{ LINEAR, 0, "" },
		{ "- a\n", EINVAL,
		  "must be an object with keys such as `merge_method` and "
		  "`models`, not a list\n" },
		{ AB, EINVAL,
		  "merge_method: missing; one of " METHOD_NAMES "\n" },
		{ "merge_method: linear\n", EINVAL,
		  "exactly one of `models`, `slices` and `modules` must be "
		  "present and not empty\n" },
		{ "merge_method: linear\nmodels: []\nslices: null\n", EINVAL,
		  "exactly one of `models`, `slices` and `modules` must be "
		  "present and not empty\n" },
		{ LINEAR "slices:\n  - sources:\n"
			 "      - {model: a, layer_range: [0, 1], "
			 "parameters: {weight: 1}}\n",
		  EINVAL,
		  "exactly one of `models`, `slices` and `modules` must be "
		  "present and not empty\n" },
		{ LINEAR "slices: []\nmodules: {}\n", 0, "" },
		{ "merge_method: linear\nmodules: {default: {models: []}}\n",
		  ENOTSUP,
		  "modules: not supported yet; `models` merges all modules of "
		  "the models alike\n" },
		{ "merge_method: linear\nmodels: ./a\n", EINVAL,
		  "models: must be a list, not a string\n" },
		{ "merge_method: linear\nparameters: {weight: 1}\n"
		  "models: [./a, {parameters: {}}, {model: 3}]\n",
		  EINVAL,
		  "models[0]: must be an object with the key `model`, not a "
		  "string\n"
		  "models[1].model: missing\n"
		  "models[2].model: a model must be a path or an object, not "
		  "a number\n" },
		{ "merge_method: linear\nparameters: 1\nmodels:\n"
		  "  - {model: ./a, parameters: [1]}\n",
		  EINVAL,
		  "parameters: must be an object, not a number\n"
		  "models[0].parameters: must be an object, not a list\n"
		  "models[0]: linear needs a weight for each model: give it "
		  "under the model's `parameters`, or for all under the "
		  "recipe's\n" },
		{ SLICES("passthrough") "      - {model: ./a}\n", EINVAL,
		  "slices[0].sources[0].layer_range: missing; give the first "
		  "layer and the one after the last, as in [0, 16]\n" },
		{ SLICES("passthrough") "      - {model: ./a, layer_range: [0, "
					"16, 2]}\n"
					"  - sources: []\n"
					"  - 3\n"
					"  - sources:\n"
					"      - {model: ./a, layer_range: "
					"[-1, 16]}\n",
		  EINVAL,
		  "slices[0].sources[0].layer_range: must be two whole "
		  "numbers, the first layer and the one after the last, as in "
		  "[0, 16]\n"
		  "slices[1].sources: no source is listed\n"
		  "slices[2]: must be an object with the key `sources`, not a "
		  "number\n"
		  "slices[3].sources[0].layer_range: must be two whole "
		  "numbers, the first layer and the one after the last, as in "
		  "[0, 16]\n" },
		{ SLICES("passthrough") "      - {model: ./a, layer_range: "
					"[16, 8]}\n",
		  EINVAL,
		  "slices[0].sources[0].layer_range: [16, 8] ends before it "
		  "starts\n" },
		{ SLICES("passthrough") "      - {model: ./a, layer_range: [0, "
					"0]}\n"
					"  - sources:\n"
					"      - {model: ./b, layer_range: "
					"[32, 32]}\n",
		  0, "" },
	};

	check_cases(cases, ARRAY_LEN(cases));
}

static void fields_are_checked(void **state)
{
	static const struct sentence_case cases[] = {
		{ "merge_method: lerp\n" AB, EINVAL,
		  "merge_method: no method is called \"lerp\"; did you mean "
		  "\"slerp\"? Supported are " METHOD_NAMES "\n" },
		{ "merge_method: Task-Arithmetic\n" AB, EINVAL,
		  "merge_method: no method is called \"Task-Arithmetic\"; did "
		  "you mean \"task_arithmetic\"? Supported are " METHOD_NAMES
		  "\n" },
		{ "merge_method: fisher\n" AB, EINVAL,
		  "merge_method: no method is called \"fisher\"; supported "
		  "are " METHOD_NAMES "\n" },
		{ "merge_method: [linear]\n" AB, EINVAL,
		  "merge_method: must be a string, not a list\n" },
		{ LINEAR "dtype: bf16\n", EINVAL,
		  "dtype: \"bf16\" is no dtype; did you mean \"bfloat16\"? "
		  "(bfloat16, float16, float32 or float64)\n" },
		{ LINEAR "dtype: torch.fp16\nout_dtype: blfoat16\n", EINVAL,
		  "dtype: \"torch.fp16\" is no dtype; did you mean "
		  "\"float16\"? (bfloat16, float16, float32 or float64)\n"
		  "out_dtype: \"blfoat16\" is no dtype; did you mean "
		  "\"bfloat16\"? (bfloat16, float16, float32 or float64)\n" },
		{ LINEAR "out_dtype: q4_k\n", EINVAL,
		  "out_dtype: \"q4_k\" is no dtype; one of bfloat16, float16, "
		  "float32, float64\n" },
		{ LINEAR "dtype: int64\n", ENOTSUP,
		  "dtype: weights cannot be merged as int64; give bfloat16, "
		  "float16, float32 or float64\n" },
		{ LINEAR "dtype: float64\n", 0,
		  "dtype: merged values are computed in binary32 and stored "
		  "as float64\n" },
		{ LINEAR "dtype: ''\nout_dtype: torch.bfloat16\n", 0, "" },
		{ LINEAR "dtype: 16\n", EINVAL,
		  "dtype: must be a string, not a number\n" },
		{ LINEAR "base_model: a+b\n", ENOTSUP,
		  "base_model: a+b: LoRA adapters are not supported yet; merge "
		  "the adapter into its model first (peft: merge_and_unload) "
		  "and name the result\n" },
		{ LINEAR "base_model: a+b+c\n", EINVAL,
		  "base_model: \"a+b+c\": more than one '+'; a path that has "
		  "one is written {model: {path: ...}, lora: ...}\n" },
		{ "merge_method: ties\nbase_model: a@\n" AB, EINVAL,
		  "base_model: \"a@\": no revision after '@'\n" },
		{ LINEAR "tokenizer_source: union\ntokenizer: {}\n", EINVAL,
		  "`tokenizer_source` and `tokenizer` cannot both be given; "
		  "`tokenizer: {source: ...}` says the same as the first\n" },
		{ LINEAR "tokenizer: {tokens: {<s>: {source: ./a}}}\n", ENOTSUP,
		  "tokenizer.tokens: rules for single tokens are not "
		  "supported yet; leave them out where all tokenizers are the "
		  "same\n" },
		{ LINEAR "tokenizer: {tokens: {}, pad_to_multiple_of: 0}\n",
		  EINVAL,
		  "tokenizer.pad_to_multiple_of: must be a whole number from 1 "
		  "to 1048576\n" },
		{ LINEAR "chat_template: auto\n", 0, "" },
		{ LINEAR "chat_template: chatml\n", ENOTSUP,
		  "chat_template: a new chat template is not supported yet; "
		  "leave it out and the merged model keeps that of its base "
		  "(or first) model\n" },
		{ LINEAR "llmergefs: {semantics: papers, rng: 1}\n", EINVAL,
		  "llmergefs.rng: must be counter or mt19937\n"
		  "llmergefs.semantics: must be mergekit or paper\n" },
		{ LINEAR "llmergefs: {seed: -1, shard_size: 5 bytes}\n", EINVAL,
		  "llmergefs.seed: must be a whole number from 0 to 2^53\n"
		  "llmergefs.shard_size: must be a number of bytes such as "
		  "5000000000 or \"5GB\"; 0: one file, however large\n" },
		{ LINEAR "llmergefs: {sed: 1, shardsize: 1, cache: 3}\n",
		  EINVAL,
		  "llmergefs.sed: unknown key; did you mean \"seed\"?\n"
		  "llmergefs.shardsize: unknown key; did you mean "
		  "\"shard_size\"?\n"
		  "llmergefs.cache: unknown key\n" },
		{ LINEAR "llmergefs: 7\n", EINVAL,
		  "llmergefs: must be an object, not a number\n" },
		{ LINEAR "parameters: {normalize: 2}\n", EINVAL,
		  "parameters.normalize: 2 is not true or false\n" },
		/* all that is wrong is said at once */
		{ "merge_method: linaer\ndtype: bf16\nseed: 3\n"
		  "models:\n  - {model: a@b@c}\nllmergefs: {seed: x}\n",
		  EINVAL,
		  "merge_method: no method is called \"linaer\"; did you mean "
		  "\"linear\"? Supported are " METHOD_NAMES "\n"
		  "dtype: \"bf16\" is no dtype; did you mean \"bfloat16\"? "
		  "(bfloat16, float16, float32 or float64)\n"
		  "models[0].model: \"a@b@c\": more than one '@'; a path that "
		  "has one is written {model: {path: ..., revision: ...}}\n"
		  "llmergefs.seed: must be a whole number from 0 to 2^53\n"
		  "seed: unknown key, ignored\n" },
	};

	check_cases(cases, ARRAY_LEN(cases));
}

/* The counts, bases and required parameters of the method's table. */
static void inputs_are_checked(void **state)
{
	static const struct sentence_case cases[] = {
		{ "merge_method: slerp\nbase_model: ./c\n"
		  "parameters: {t: 0.5}\n" AB,
		  EINVAL,
		  "models[0].parameters.weight: slerp has no such parameter, "
		  "ignored\n"
		  "models[1].parameters.weight: slerp has no such parameter, "
		  "ignored\n"
		  "models: slerp takes exactly 2 models with base_model one "
		  "of them; got 3\n" },
		{ "merge_method: slerp\nbase_model: ./a\n"
		  "parameters: {t: 0.5}\nmodels: [{model: ./b}]\n",
		  0, "" },
		{ "merge_method: slerp\n"
		  "models: [{model: ./a}, {model: ./b}]\n",
		  EINVAL,
		  "base_model: missing; slerp needs the model that the others "
		  "were made from\n"
		  "models: slerp needs a t: give it under the recipe's "
		  "`parameters`\n" },
		{ "merge_method: passthrough\nbase_model: ./b\n"
		  "models: [{model: ./a}]\n",
		  EINVAL,
		  "models: passthrough takes exactly 1 model; got 2, "
		  "base_model being one\n" },
		{ SLICES("passthrough") "      - {model: ./a, layer_range: [0, "
					"8]}\n"
					"base_model: ./b\n",
		  0, "" },
		{ SLICES("slerp") "      - {model: ./a, layer_range: [0, 8]}\n"
				  "      - {model: ./b, layer_range: [0, 8]}\n"
				  "parameters: {t: 0}\nbase_model: a\n",
		  EINVAL,
		  "slices[0].sources: base_model a is not among them; slerp "
		  "needs it there, with its own layer_range\n" },
		{ SLICES("slerp") "      - {model: ./a, layer_range: [0, 8]}\n"
				  "      - {model: ./b, layer_range: [0, 8]}\n"
				  "    base_model: ./b\n"
				  "parameters: {t: 0}\nbase_model: ./c\n",
		  0, "" },
		{ SLICES("slerp") "      - {model: ./a, layer_range: [0, 8]}\n"
				  "      - {model: ./b, layer_range: [4, 16]}\n"
				  "parameters: {t: 0}\nbase_model: ./a\n",
		  EINVAL,
		  "slices[0].sources[1]: layer_range [4, 16] has 12 layers, "
		  "slices[0].sources[0] has 8; all sources of a slice need "
		  "the same number\n" },
		{ SLICES("metagpt") "      - {model: ./a, layer_range: [0, "
				    "4]}\n"
				    "      - {model: ./b, layer_range: [0, "
				    "4]}\n"
				    "      - {model: ./c, layer_range: [0, "
				    "4]}\n"
				    "  - sources:\n"
				    "      - {model: ./c, layer_range: [4, "
				    "8]}\n"
				    "      - {model: ./a, layer_range: [2, "
				    "6]}\n"
				    "      - {model: ./b, layer_range: [4, "
				    "8]}\n"
				    "base_model: ./c\n",
		  0, "" },
		{ SLICES("metagpt") "      - {model: ./a, layer_range: [0, "
				    "4]}\n"
				    "      - {model: ./b, layer_range: [0, "
				    "4]}\n"
				    "      - {model: ./c, layer_range: [0, "
				    "4]}\n"
				    "  - sources:\n"
				    "      - {model: ./b, layer_range: [4, "
				    "8]}\n"
				    "      - {model: ./a, layer_range: [4, "
				    "8]}\n"
				    "      - {model: ./c, layer_range: [4, "
				    "8]}\n"
				    "base_model: ./c\n",
		  EINVAL,
		  "slices[1].sources: metagpt weighs whole models, so all "
		  "slices need the same models in the same order as "
		  "slices[0].sources, besides the base; ./a is not there\n" },
		{ SLICES("metagpt") "      - {model: ./a, layer_range: [0, "
				    "4]}\n"
				    "      - {model: ./c, layer_range: [0, "
				    "4]}\n"
				    "  - sources:\n"
				    "      - {model: ./a, layer_range: [4, "
				    "8]}\n"
				    "      - {model: ./b, layer_range: [4, "
				    "8]}\n"
				    "      - {model: ./c, layer_range: [4, "
				    "8]}\n"
				    "base_model: ./c\n",
		  EINVAL,
		  "slices[1].sources: metagpt weighs whole models, so all "
		  "slices need the same models in the same order as "
		  "slices[0].sources, besides the base; ./b is one more\n" },
		{ "merge_method: linear\nmodels:\n"
		  "  - {model: ./a, parameters: {weight: 1}}\n"
		  "  - {model: ./b}\n"
		  "  - {model: ./a, parameters: {weight: 2}}\n",
		  EINVAL,
		  "models[2]: ./a is listed twice, first as models[0]; an "
		  "input counts once, so give it its whole weight there\n"
		  "models[1]: linear needs a weight for each model: give it "
		  "under the model's `parameters`, or for all under the "
		  "recipe's\n" },
		{ LINEAR "base_model: ./c\n", EINVAL,
		  "base_model: linear merges the base as one more model, and "
		  "it has no weight: list it under `models` with one, or give "
		  "one for all under the recipe's `parameters`\n" },
		{ LINEAR "base_model: ./c\nparameters: {weight: 0}\n", 0, "" },
		{ "merge_method: ties\nbase_model: ./c\n" AB, 0, "" },
		{ "merge_method: ties\nbase_model: ./c\n"
		  "models: [{model: ./c}]\n",
		  0, "" },
	};

	check_cases(cases, ARRAY_LEN(cases));
}

/* mergekit ignores these in silence; a merge by a misspelt weight is wrong. */
static void unknown_keys_are_warned_about(void **state)
{
	static const struct sentence_case cases[] = {
		{ "merge_method: linear\nparameters: {weight: 1}\n"
		  "models:\n"
		  "  - {model: ./a, wieght: 0.5}\n"
		  "  - {model: ./b, weight: 0.5}\n",
		  0,
		  "models[0].wieght: unknown key, ignored; did you mean "
		  "\"parameters: {weight: ...}\"?\n"
		  "models[1].weight: unknown key, ignored; did you mean "
		  "\"parameters: {weight: ...}\"?\n" },
		{ "merge_method: linear\nparameters: {weight: 1}\n"
		  "models:\n"
		  "  - {model: ./a, paramters: {weight: 0.5}}\n"
		  "  - {model: ./b, parameters: {wieght: 0.5}}\n",
		  0,
		  "models[0].paramters: unknown key, ignored; did you mean "
		  "\"parameters\"?\n"
		  "models[1].parameters.wieght: linear has no such parameter, "
		  "ignored; did you mean \"weight\"?\n" },
		{ LINEAR "normalize: false\nbasemodel: ./a\nfoo: 1\n", 0,
		  "normalize: unknown key, ignored; did you mean "
		  "\"parameters: {normalize: ...}\"?\n"
		  "basemodel: unknown key, ignored; did you mean "
		  "\"base_model\"?\n"
		  "foo: unknown key, ignored\n" },
		{ "merge_method: linear\nmodels:\n"
		  "  - model: ./a\n"
		  "    parameters: {weight: 1, normalize: false}\n"
		  "    layer_range: [0, 32]\n"
		  "    dtype: float32\n",
		  0,
		  "models[0].layer_range: ignored; `models` merges whole "
		  "models; a range of layers needs `slices`\n"
		  "models[0].dtype: unknown key, ignored; it belongs at the "
		  "top of the recipe\n"
		  "models[0].parameters.normalize: ignored; normalize has one "
		  "value for all models: give it under the recipe's "
		  "`parameters`\n" },
		{ LINEAR "parameters: {t: 0.5, dtype: x, int8_mask: true}\n"
			 "embed_slerp: true\n",
		  0,
		  "embed_slerp: ignored; nothing reads it; a filter on "
		  "embed_tokens sets the embeddings' own value\n"
		  "parameters.t: linear has no such parameter, ignored\n"
		  "parameters.dtype: linear has no such parameter, ignored; "
		  "it belongs at the top of the recipe\n"
		  "parameters.int8_mask: linear has no such parameter, "
		  "ignored\n" },
		{ "merge_method: ties\nbase_model: ./c\n"
		  "parameters: {int8_mask: true, normalize: true}\n" AB,
		  0, "" },
		{ SLICES("passthrough") "      - model: {model: ./a, loar: "
					"./b}\n"
					"        layer_range: [0, 2]\n"
					"        parameters:\n"
					"          scale:\n"
					"            - {filter: down_proj, "
					"vaule: 1, value: 0}\n"
					"    residual_weight: 0.1\n"
					"    scale: 2\n",
		  0,
		  "slices[0].residual_weight: ignored; mergekit reads it and "
		  "never uses it\n"
		  "slices[0].scale: unknown key, ignored; did you mean "
		  "\"parameters: {scale: ...}\"?\n"
		  "slices[0].sources[0].model.loar: unknown key, ignored; did "
		  "you mean \"lora\"?\n"
		  "slices[0].sources[0].parameters.scale[0].vaule: unknown "
		  "key, ignored; did you mean \"value\"?\n" },
		{ LINEAR "tokenizer: {sources: union}\n", 0,
		  "tokenizer.sources: unknown key, ignored; did you mean "
		  "\"source\"?\n" },
	};

	check_cases(cases, ARRAY_LEN(cases));
}

static void a_recipe_is_read_into_its_structure(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_RECIPE struct recipe *recipe =
		parse("merge_method: slerp\n"
		      "slices:\n"
		      "  - sources:\n"
		      "      - model: {model: {path: ./a, revision: r}}\n"
		      "        layer_range: [2, 6]\n"
		      "      - {model: b@v, layer_range: [0, 4]}\n"
		      "    base_model: b@v\n"
		      "    parameters: {t: 0.25}\n"
		      "base_model: b@v\n"
		      "dtype: torch.float32\n"
		      "out_dtype: float16\n"
		      "tokenizer_source: base\n"
		      "llmergefs: {seed: 9, shard_size: 2GB, "
		      "semantics: paper}\n",
		      &report);
	const struct slice *slice;

	assert_non_null(recipe);
	assert_int_equal(report.count, 0);
	assert_string_equal(recipe->method->name, "slerp");
	assert_false(recipe->whole_models);
	assert_int_equal(recipe->slices_count, 1);
	slice = &recipe->slices[0];
	assert_int_equal(slice->count, 2);
	assert_string_equal(slice->sources[0].model.path, "./a");
	assert_string_equal(slice->sources[0].model.revision, "r");
	assert_int_equal(slice->sources[0].begin, 2);
	assert_int_equal(slice->sources[0].end, 6);
	assert_string_equal(slice->sources[1].path, "slices[0].sources[1]");
	assert_true(slice->has_base);
	assert_string_equal(slice->base.revision, "v");
	assert_non_null(json_member(slice->parameters, "t"));
	assert_int_equal(recipe->dtype, DTYPE_F32);
	assert_int_equal(recipe->out_dtype, DTYPE_F16);
	assert_string_equal(recipe->tokenizer_source, "base");
	assert_int_equal(recipe->seed, 9);
	assert_int_equal(recipe->shard_size, 2000000000);
	assert_int_equal(recipe->semantics, SEMANTICS_PAPER);
	assert_string_equal(recipe_manner(recipe).semantics, "paper");
}

/* base_model is appended where it is not listed, last, and spelt exactly. */
static void a_base_that_is_not_listed_is_the_last_input(void **state)
{
	static const struct {
		const char *base;
		size_t count;
		const char *last;
	} cases[] = {
		{ "./a", 2, "models[1]" },
		{ "./c", 3, "base_model" },
		{ "a", 3, "base_model" },
		{ "{model: ./a}", 2, "models[1]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_REPORT struct report report = REPORT_INIT;
		AUTO_FREE char *text = NULL;
		AUTO_RECIPE struct recipe *recipe = NULL;
		const struct slice *slice;

		assert_true(asprintf(&text,
				     "merge_method: ties\nbase_model: %s\n" AB,
				     cases[i].base) > 0);
		recipe = parse(text, &report);
		assert_non_null(recipe);
		slice = &recipe->slices[0];
		assert_int_equal(slice->count, cases[i].count);
		assert_string_equal(slice->sources[slice->count - 1].path,
				    cases[i].last);
	}
}

/* The hash is of what is said, not of how it is written. */
static void json_and_yaml_have_one_hash(void **state)
{
	static const char json[] =
		"{\"models\": [{\"model\": \"./a\", \"parameters\": "
		"{\"weight\": 1.0}}, {\"model\": \"./b\",\n \"parameters\": "
		"{\"weight\": 1}}], \"merge_method\": \"linear\"}";
	static const char other[] =
		"merge_method: linear\nmodels:\n"
		"  - {model: ./a, parameters: {weight: 1}}\n"
		"  - {model: ./b, parameters: {weight: 1.5}}\n";
	AUTO_REPORT struct report report = REPORT_INIT;
	AUTO_RECIPE struct recipe *a = parse(LINEAR, &report);
	AUTO_RECIPE struct recipe *b =
		recipe_parse("m.json", json, strlen(json), false, &report);
	AUTO_RECIPE struct recipe *c = parse(other, &report);

	assert_true(a && b && c);
	assert_true(hash_equal(a->hash, b->hash));
	assert_false(hash_equal(a->hash, c->hash));
	assert_string_equal(b->text, json);
}

static void sizes_are_powers_of_a_thousand(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t bytes;
	} cases[] = {
		{ "5000000000", true, 5000000000u },
		{ "5GB", true, 5000000000u },
		{ "5B", true, 5000000000u },
		{ "1.5b", true, 1500000000 },
		{ "500MB", true, 500000000 },
		{ "500 M", true, 500000000 },
		{ "2k", true, 2000 },
		{ "1TB", true, 1000000000000u },
		{ "0", true, 0 },
		{ "", false, 0 },
		{ "GB", false, 0 },
		{ "-1", false, 0 },
		{ "5GiB", false, 0 },
		{ "5  GB", false, 0 },
		{ "1.2.3", false, 0 },
		{ ".", false, 0 },
		{ "1e3", false, 0 },
		{ "99999999TB", false, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t bytes = 0;

		assert_int_equal(recipe_size(cases[i].text, &bytes),
				 cases[i].ok);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

/* The file's name says how it is read, and where its folder is. */
static void a_file_is_read_by_its_name(void **state)
{
	static struct fixture fx;
	AUTO_REPORT struct report report = REPORT_INIT;
	char path[FIXTURE_PATH_MAX];
	struct recipe *recipe;

	fixture_open(&fx);
	fixture_write(&fx, "r.yaml", LINEAR, strlen(LINEAR));
	fixture_path(&fx, "r.yaml", path);
	recipe = recipe_open(path, &report);
	assert_non_null(recipe);
	assert_string_equal(recipe->dir, fx.dir);
	assert_string_equal(recipe->path, path);
	assert_string_equal(recipe->text, LINEAR);
	recipe_close(recipe);

	fixture_write(&fx, "r.JSON", LINEAR, strlen(LINEAR));
	fixture_path(&fx, "r.JSON", path);
	assert_null(recipe_open(path, &report));
	assert_int_equal(report.code, EINVAL);
	fixture_path(&fx, "none.yml", path);
	assert_null(recipe_open(path, &report));
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_structure_is_checked),
		cmocka_unit_test(fields_are_checked),
		cmocka_unit_test(inputs_are_checked),
		cmocka_unit_test(unknown_keys_are_warned_about),
		cmocka_unit_test(a_recipe_is_read_into_its_structure),
		cmocka_unit_test(a_base_that_is_not_listed_is_the_last_input),
		cmocka_unit_test(json_and_yaml_have_one_hash),
		cmocka_unit_test(sizes_are_powers_of_a_thousand),
		cmocka_unit_test(a_file_is_read_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
