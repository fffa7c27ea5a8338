#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/plan_fixture.h"

#include <cmocka.h>

#define LINEAR(a, b)                                      \
	"merge_method: linear\nparameters: {weight: 1}\n" \
	"models: [{model: ./" a "}, {model: ./" b "}]\n"
#define TIES(base, a, b)                          \
	"merge_method: ties\nbase_model: ./" base \
	"\nparameters: {weight: 1}\n"             \
	"models: [{model: ./" a "}, {model: ./" b "}]\n"
#define SLERP(base, a)                                                        \
	"merge_method: slerp\nbase_model: ./" base "\nparameters: {t: 0.5}\n" \
	"models: [{model: ./" a "}]\n"

struct plan_case {
	const char *yaml;
	int code;
	const char *notes;
};

static void check_cases(const struct fixture *fx, const struct plan_case *cases,
			size_t count)
{
	for (size_t i = 0; i < count; i++) {
		AUTO_PLANNED struct planned planned;

		planned_open(&planned, fx, cases[i].yaml);
		assert_notes(fx, &planned.report, cases[i].notes);
		assert_int_equal(planned.report.code, cases[i].code);
		assert_int_equal(planned.plan == NULL, cases[i].code != 0);
	}
}

static int models_open(void **state)
{
	int rc = model_fixture_open(state);
	const struct fixture *fx = *state;

	plan_fixture_model(fx, "a", "llama",
			   "e.embed_tokens.weight BF16 8x4; l.0.w BF16 4; "
			   "l.1.w BF16 4; l.0.b BF16 4; l.1.b BF16 4");
	plan_fixture_model(fx, "nobias", "llama",
			   "e.embed_tokens.weight BF16 8x4; l.0.w BF16 4; "
			   "l.1.w BF16 4");
	plan_fixture_model(fx, "nobias2", "llama",
			   "e.embed_tokens.weight BF16 8x4; l.0.w BF16 4; "
			   "l.1.w BF16 4");
	plan_fixture_model(fx, "rows", "llama",
			   "e.embed_tokens.weight BF16 9x4; l.0.w BF16 4; "
			   "l.1.w BF16 4; l.0.b BF16 4; l.1.b BF16 4");
	plan_fixture_model(fx, "wide", "llama",
			   "e.embed_tokens.weight BF16 8x6; l.0.w BF16 6; "
			   "l.1.w BF16 6; l.0.b BF16 4; l.1.b BF16 4");
	plan_fixture_model(fx, "deep", "llama",
			   "e.embed_tokens.weight BF16 8x4; l.0.w BF16 4; "
			   "l.1.w BF16 4; l.2.w BF16 4");
	plan_fixture_model(fx, "other", "gpt2", "h.0.w BF16 4; wte BF16 8x4");
	plan_fixture_model(fx, "two", "vl", "l.0.w BF16 4; v.0.w BF16 4");
	plan_fixture_model(fx, "flat", "none", "w BF16 4");
	return rc;
}

/* The first tensor is named and the others are counted. */
static void a_tensor_that_some_lack_follows_the_policy(void **state)
{
	static const struct plan_case cases[] = {
		{ LINEAR("a", "nobias"), 0,
		  "m.yml: tensor l.0.b (and 1 more): missing in ./nobias; "
		  "merged from the others\n" },
		{ TIES("nobias", "nobias2", "a"), 0, "" },
		{ TIES("a", "nobias", "a"), 0,
		  "m.yml: tensor l.0.b (and 1 more): missing in ./nobias; "
		  "that of ./a is used unchanged\n" },
		{ TIES("a", "nobias", "nobias2"), 0,
		  "m.yml: tensor l.0.b (and 1 more): missing in ./nobias and "
		  "1 more; that of ./a is used unchanged\n" },
		{ SLERP("a", "nobias"), 0,
		  "m.yml: tensor l.0.b (and 1 more): missing in ./nobias; "
		  "that of ./a is used unchanged\n" },
		{ "merge_method: ties\nparameters: {weight: 1}\n"
		  "base_model: ./a\n"
		  "slices:\n"
		  "  - base_model: ./nobias\n"
		  "    sources:\n"
		  "      - {model: ./nobias, layer_range: [0, 1]}\n"
		  "      - {model: ./a, layer_range: [0, 1]}\n",
		  EDOM,
		  "m.yml: tensor l.0.b: the base gives no such tensor; ties "
		  "needs it\n" },
	};

	check_cases(*state, cases, ARRAY_LEN(cases));
}

/* What is used unchanged is copied. */
static void the_only_one_left_is_copied(void **state)
{
	assert_plan(*state, SLERP("nobias", "a"), "",
		    "e.embed_tokens.weight tile BF16 8x4 slerp "
		    "a/e.embed_tokens.weight *nobias/e.embed_tokens.weight "
		    "t=0.5\n"
		    "l.0.w tile BF16 4 slerp a/l.0.w *nobias/l.0.w t=0.5\n"
		    "l.1.w tile BF16 4 slerp a/l.1.w *nobias/l.1.w t=0.5\n");
	assert_plan(*state, SLERP("a", "nobias") "out_dtype: float32\n",
		    "m.yml: tensor l.0.b (and 1 more): missing in ./nobias; "
		    "that of ./a is used unchanged\n",
		    "e.embed_tokens.weight tile F32 8x4 slerp "
		    "nobias/e.embed_tokens.weight *a/e.embed_tokens.weight "
		    "t=0.5\n"
		    "l.0.b tile F32 4 passthrough a/l.0.b scale=-\n"
		    "l.0.w tile F32 4 slerp nobias/l.0.w *a/l.0.w t=0.5\n"
		    "l.1.b tile F32 4 passthrough a/l.1.b scale=-\n"
		    "l.1.w tile F32 4 slerp nobias/l.1.w *a/l.1.w t=0.5\n");
}

static void shapes_must_be_equal(void **state)
{
	static const struct plan_case cases[] = {
		{ LINEAR("a", "rows"), EDOM,
		  "m.yml: tensor e.embed_tokens.weight: shape 8x4 in ./a, 9x4 "
		  "in ./rows; the vocabularies differ in size; where the "
		  "tokenizers are the same, `tokenizer_source: base` cuts both "
		  "to it\n" },
		{ TIES("wide", "a", "rows"), EDOM,
		  "m.yml: tensor e.embed_tokens.weight: shape 8x6 in the base "
		  "./wide, 8x4 in ./a; the models are of different sizes\n"
		  "m.yml: tensor e.embed_tokens.weight: shape 8x6 in the base "
		  "./wide, 9x4 in ./rows; the models are of different sizes\n"
		  "m.yml: tensor l.0.w (and 1 more): shape 6 in the base "
		  "./wide, 4 in ./a; the models are of different sizes\n"
		  "m.yml: tensor l.0.w (and 1 more): shape 6 in the base "
		  "./wide, 4 in ./rows; the models are of different sizes\n" },
	};

	check_cases(*state, cases, ARRAY_LEN(cases));
}

static void layers_must_be_there(void **state)
{
	static const struct plan_case cases[] = {
		{ LINEAR("a", "deep"), EDOM,
		  "m.yml: models[1]: ./deep has 3 layers l.N, ./a has 2; "
		  "`models` needs models of one depth, `slices` does not\n" },
		{ LINEAR("a", "other"), EDOM,
		  "m.yml: ./other is a gpt2 model, ./a is a llama; tensors "
		  "are paired by their names\n"
		  "m.yml: models[1]: ./other has no layers l.N as ./a has; "
		  "the two are models of different kinds\n" },
		{ "merge_method: passthrough\n"
		  "slices:\n"
		  "  - sources: [{model: ./a, layer_range: [0, 2]}]\n"
		  "  - sources: [{model: ./a, layer_range: [1, 3]}]\n"
		  "  - sources: [{model: ./deep, layer_range: [3, 4]}]\n",
		  EINVAL,
		  "m.yml: slices[1].sources[0]: layer_range [1, 3] ends "
		  "beyond ./a, which has 2 layers l.N\n"
		  "m.yml: slices[2].sources[0]: layer_range [3, 4] ends "
		  "beyond ./deep, which has 3 layers l.N\n" },
		{ "merge_method: passthrough\n"
		  "slices: [{sources: [{model: ./two, layer_range: [0, 1]}]}]"
		  "\n",
		  ENOTSUP,
		  "m.yml: slices: ./two has 2 kinds of layers (l., v.), and "
		  "slices can stack models with one; others need `modules`, "
		  "which is not supported yet\n" },
		{ "merge_method: passthrough\n"
		  "slices: [{sources: [{model: ./flat, layer_range: [0, 0]}]}]"
		  "\n",
		  ENOTSUP,
		  "m.yml: slices: ./flat has no layers, and slices can stack "
		  "models with one kind of them\n" },
	};

	check_cases(*state, cases, ARRAY_LEN(cases));
}

/* More sources in the last slice than in the first, as mergekit has it. */
static void the_last_slice_pairs_with_the_first(void **state)
{
	const struct fixture *fx = *state;

	plan_fixture_model(fx, "n1", "llama",
			   "l.0.w BF16 4; norm.weight BF16 4");
	plan_fixture_model(fx, "n2", "llama",
			   "l.0.w BF16 4; norm.weight BF16 4");
	assert_plan(fx,
		    "merge_method: linear\nparameters: {weight: 1}\n"
		    "slices:\n"
		    "  - sources: [{model: ./n1, layer_range: [0, 1]}]\n"
		    "  - sources:\n"
		    "      - {model: ./n2, layer_range: [0, 1]}\n"
		    "      - {model: ./n1, layer_range: [0, 1]}\n",
		    "m.yml: slices[1]: only its first 1 sources make the "
		    "tensors after the layers, for slices[0] has no more (as "
		    "in mergekit)\n",
		    "l.0.w tile BF16 4 linear n1/l.0.w weight=1 normalize=1\n"
		    "l.1.w tile BF16 4 linear n2/l.0.w n1/l.0.w weight=1,1 "
		    "normalize=1\n"
		    "norm.weight tile BF16 4 linear n2/norm.weight weight=1 "
		    "normalize=1\n");
}

/* A value is wrong for some tensors only: said once, with their number. */
static void values_are_judged_tensor_by_tensor(void **state)
{
	static const struct plan_case cases[] = {
		{ "merge_method: linear\nmodels:\n"
		  "  - {model: ./a, parameters: {weight: 1}}\n"
		  "  - model: ./rows\n"
		  "    parameters: {weight: {filter: embed, value: 1}}\n",
		  EDOM,
		  "m.yml: tensor e.embed_tokens.weight: shape 8x4 in ./a, 9x4 "
		  "in ./rows; the vocabularies differ in size; where the "
		  "tokenizers are the same, `tokenizer_source: base` cuts both "
		  "to it\n"
		  "m.yml: tensor l.0.b (and 3 more): models[1]: weight: no "
		  "value for this tensor, and no default; give one under this "
		  "model's `parameters`, or under the recipe's for all "
		  "models\n" },
		{ "merge_method: slerp\nbase_model: ./a\n"
		  "parameters: {t: {filter: l.0, value: 0.5}}\n"
		  "models: [{model: ./nobias}]\n",
		  EINVAL,
		  "m.yml: tensor e.embed_tokens.weight (and 1 more): t: no "
		  "value for this tensor, and no default; give one under the "
		  "recipe's `parameters`\n"
		  "m.yml: tensor l.0.b (and 1 more): missing in ./nobias; "
		  "that of ./a is used unchanged\n" },
		{ "merge_method: linear\nmodels:\n"
		  "  - {model: ./a, parameters: {weight: 1}}\n"
		  "  - {model: ./nobias, parameters: {weight: -1}}\n",
		  EINVAL,
		  "m.yml: tensor e.embed_tokens.weight (and 2 more): the "
		  "weights sum to 0, so that they cannot be normalised; "
		  "change them or set normalize: false\n"
		  "m.yml: tensor l.0.b (and 1 more): missing in ./nobias; "
		  "merged from the others\n" },
	};

	check_cases(*state, cases, ARRAY_LEN(cases));
}

/* A model that failed before fails the plan of another recipe, too. */
static void a_model_that_is_missing_fails_every_plan(void **state)
{
	AUTO_PLANNED struct planned planned;
	AUTO_REPORT struct report again = REPORT_INIT;
	struct plan *plan;

	planned_open(&planned, *state, LINEAR("a", "gone"));
	assert_null(planned.plan);
	assert_int_equal(planned.report.code, ENOENT);
	plan = plan_open(planned.recipe, planned.models, &again);
	assert_null(plan);
	assert_string_equal(again.notes[0].text,
			    "m.yml: a model of it could not be opened");
}

/* Integers and packed floats are copied or refused, never computed. */
static void tensors_without_arithmetic(void **state)
{
	static const int64_t ones[4] = { 1, 1, 1, 1 };
	static const struct {
		const char *name;
		enum dtype dtype;
		const void *data;
	} models[] = {
		{ "i64", DTYPE_I64, NULL },	{ "i64b", DTYPE_I64, NULL },
		{ "ones", DTYPE_I64, ones },	{ "i32", DTYPE_I32, NULL },
		{ "fp8", DTYPE_F8_E4M3, NULL }, { "fp8b", DTYPE_F8_E4M3, NULL },
	};
	static const struct plan_case cases[] = {
		{ LINEAR("i64", "i64b"), 0, "" },
		{ LINEAR("i64", "ones"), EDOM,
		  "m.yml: tensor w: I64 values differ between ./i64 and "
		  "./ones; integers are copied where all models have the "
		  "same, and not merged\n" },
		{ LINEAR("i64", "i32"), EDOM,
		  "m.yml: tensor w: I64 in ./i64, I32 in ./i32; such types "
		  "are not converted\n" },
		{ LINEAR("flat", "i64"), EDOM,
		  "m.yml: ./i64 is a llama model, ./flat is a none; tensors "
		  "are paired by their names\n"
		  "m.yml: tensor w: BF16 in ./flat, I64 in ./i64; such types "
		  "are not converted\n" },
		{ LINEAR("i64", "i64b") "dtype: bfloat16\n", 0,
		  "m.yml: tensor w: stays I64; dtype and out_dtype convert "
		  "bfloat16, float16, float32 and float64 only\n" },
		{ LINEAR("fp8", "fp8b"), ENOTSUP,
		  "m.yml: tensor w: F8_E4M3 in ./fp8; there is no arithmetic "
		  "on this type: convert the model to bfloat16 first\n" },
		{ "merge_method: passthrough\nmodels: [{model: ./fp8}]\n", 0,
		  "" },
		{ "merge_method: passthrough\nmodels: [{model: ./fp8}]\n"
		  "parameters: {scale: 2}\n",
		  ENOTSUP,
		  "m.yml: tensor w: F8_E4M3 in ./fp8; there is no arithmetic "
		  "on this type: convert the model to bfloat16 first\n" },
	};
	const struct fixture *fx = *state;

	for (size_t i = 0; i < ARRAY_LEN(models); i++) {
		const struct fixture_tensor tensor = {
			.name = "w",
			.dtype = models[i].dtype,
			.shape = { .rank = 1, .dim = { 4 } },
			.data = models[i].data,
		};
		char path[64];

		plan_fixture_model(fx, models[i].name, "llama", "");
		snprintf(path, sizeof(path), "%s/model.safetensors",
			 models[i].name);
		fixture_safetensors(fx, path, &tensor, 1);
	}
	check_cases(fx, cases, ARRAY_LEN(cases));
	assert_plan(fx, LINEAR("i64", "i64b"), "", "w copy I64 4 - i64/w\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tensor_that_some_lack_follows_the_policy),
		cmocka_unit_test(the_only_one_left_is_copied),
		cmocka_unit_test(shapes_must_be_equal),
		cmocka_unit_test(layers_must_be_there),
		cmocka_unit_test(the_last_slice_pairs_with_the_first),
		cmocka_unit_test(values_are_judged_tensor_by_tensor),
		cmocka_unit_test(a_model_that_is_missing_fails_every_plan),
		cmocka_unit_test(tensors_without_arithmetic),
	};

	return cmocka_run_group_tests(tests, models_open, model_fixture_close);
}
