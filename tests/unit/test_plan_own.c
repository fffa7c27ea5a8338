/*
 * Recipes whose models name bases of their own: what is read, what is said, and
 * which input each task vector starts from.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/plan_fixture.h"

#include <cmocka.h>

#define HEAD "lm_head.weight"
#define EMBED "model.embed_tokens.weight"
#define LAYERS EMBED " BF16 8x4; l.0.w BF16 4; l.1.w BF16 4"

static int models_open(void **state)
{
	int rc = model_fixture_open(state);
	const struct fixture *fx = *state;

	plan_fixture_model(fx, "base", "llama", LAYERS);
	plan_fixture_model(fx, "chat", "llama", LAYERS);
	plan_fixture_model(fx, "from", "llama", LAYERS);
	plan_fixture_model(fx, "other", "llama", LAYERS);
	plan_fixture_model(fx, "less", "llama",
			   EMBED " BF16 8x4; l.0.w BF16 4");
	plan_fixture_model(fx, "rows", "llama",
			   EMBED " BF16 9x4; l.0.w BF16 4; l.1.w BF16 4");
	plan_fixture_model(fx, "deep", "llama", LAYERS "; l.2.w BF16 4");
	plan_fixture_model(fx, "deepfrom", "llama", LAYERS "; l.2.w BF16 4");
	plan_fixture_model(fx, "lacks", "llama",
			   EMBED " BF16 8x4; l.0.w BF16 4; l.1.v BF16 4");
	plan_fixture_model(fx, "rows2", "llama",
			   EMBED " BF16 9x4; l.0.w BF16 4; l.1.w BF16 4");
	plan_fixture_model(fx, "head", "llama", LAYERS "; " HEAD " BF16 8x4");
	plan_fixture_model(fx, "f32", "llama",
			   EMBED " F32 8x4; l.0.w F32 4; l.1.w F32 4");
	return rc;
}

/* The inputs of a job: "*" before the base, "-" after what is only a base of
 * some model's own, "<i" after a model where its task vector starts. */
static void inputs_text(const struct job *job, char text[256])
{
	FILE *out = fmemopen(text, 256, "w");

	assert_non_null(out);
	for (size_t i = 0; i < job->args.inputs; i++) {
		const struct tensor *tensor = job->inputs[i].tensor;
		AUTO_FREE char *dir = strdup(source_path(tensor->source));
		bool is_base = i == job->args.base;

		*strrchr(dir, '/') = '\0';
		fprintf(out, "%s%s/%s", is_base ? " *" : " ",
			strrchr(dir, '/') + 1, tensor->name);
		if (method_is_model(&job->args, i))
			fprintf(out, "<%zu", method_origin(&job->args, i));
		else if (!is_base)
			fputc('-', out);
	}
	assert_int_equal(fclose(out), 0);
}

#define OWN(model, base) \
	"{model: ./" model ", llmergefs: {base_model: " base "}}"
#define MODELS(method, models)                           \
	"merge_method: " method "\nbase_model: ./base\n" \
	"parameters: {weight: 1, density: 0.5}\nmodels: [" models "]\n"

/* A recipe, and the inputs of its job `name`. */
static const struct {
	const char *yaml, *name, *inputs;
} inputs_cases[] = {
	/* a base that is no input yet comes after all, once */
	{ MODELS("ties",
		 OWN("chat", "./from") ", " OWN("other", "{model: ./from}")),
	  "l.0.w", " chat/l.0.w<3 other/l.0.w<3 *base/l.0.w from/l.0.w-" },
	/* a model may be another's base */
	{ MODELS("della", "{model: ./base}, " OWN(
				  "chat", "./other") ", {model: ./other}"),
	  "l.1.w", " *base/l.1.w chat/l.1.w<2 other/l.1.w<0" },
	/* the recipe's base is one that all have already */
	{ MODELS("breadcrumbs", OWN("chat", "./base") ", {model: ./other}"),
	  "l.0.w", " chat/l.0.w<2 other/l.0.w<2 *base/l.0.w" },
	/* the embedding that an output matrix is tied to */
	{ MODELS("task_arithmetic", OWN("head", "./from")), HEAD,
	  " head/" HEAD "<2 *base/" EMBED " from/" EMBED "-" },
	/* layers are the source's; those of the recipe's base are its own */
	{ "merge_method: dare_ties\nbase_model: ./base\n"
	  "parameters: {weight: 1, density: 0.5}\n"
	  "slices:\n"
	  "  - sources:\n"
	  "      - {model: ./base, layer_range: [0, 1]}\n"
	  "      - model: ./deep\n"
	  "        layer_range: [2, 3]\n"
	  "        llmergefs: {base_model: ./deepfrom}\n"
	  "      - model: ./chat\n"
	  "        layer_range: [1, 2]\n"
	  "        llmergefs: {base_model: ./base}\n"
	  "      - model: ./other\n"
	  "        layer_range: [0, 1]\n"
	  "        llmergefs: {base_model: ./deepfrom}\n",
	  "l.0.w",
	  " *base/l.0.w deep/l.2.w<4 chat/l.1.w<5 other/l.0.w<6 "
	  "deepfrom/l.2.w- base/l.1.w- deepfrom/l.0.w-" },
};

static void task_vectors_start_from_own_bases(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(inputs_cases); i++) {
		AUTO_PLANNED struct planned planned;
		char text[256];

		planned_open(&planned, *state, inputs_cases[i].yaml);
		assert_non_null(planned.plan);
		inputs_text(planned_job(&planned, inputs_cases[i].name), text);
		assert_string_equal(text, inputs_cases[i].inputs);
	}
}

/* Values, positions of masks and keys are those of the same recipe without. */
static void a_base_that_is_the_recipes_changes_nothing(void **state)
{
	static const char *const yaml[] = {
		MODELS("dare_ties", OWN("chat", "./base") ", {model: ./other}"),
		MODELS("dare_ties", "{model: ./chat}, {model: ./other}"),
	};
	struct hash128 keys[ARRAY_LEN(yaml)];

	for (size_t i = 0; i < ARRAY_LEN(yaml); i++) {
		AUTO_PLANNED struct planned planned;
		struct error err = { 0 };
		const struct job *job;

		planned_open(&planned, *state, yaml[i]);
		assert_int_equal(planned.report.count, 0);
		job = planned_job(&planned, "l.1.w");
		assert_null(job->args.origins);
		assert_false(merge_tensor_key(job, &keys[i], &err));
	}
	assert_true(hash_equal(keys[0], keys[1]));
}

/* Options and positions of models do not move; the mere base has defaults. */
static void own_bases_leave_the_models_as_they_are(void **state)
{
	AUTO_PLANNED struct planned planned;
	const struct job *job;

	planned_open(&planned, *state,
		     "merge_method: dare_ties\nbase_model: ./base\nmodels:\n"
		     "  - model: ./chat\n"
		     "    llmergefs: {base_model: ./from}\n"
		     "    parameters: {weight: 3, density: 0.5}\n"
		     "  - {model: ./base}\n"
		     "  - {model: ./other, parameters: {weight: 2}}\n");
	assert_int_equal(planned.report.count, 0);
	job = planned_job(&planned, "l.0.w");
	assert_int_equal(job->args.inputs, 4);
	assert_int_equal(job->args.base, 1);
	assert_int_equal(job->args.positions[0], 0);
	assert_int_equal(job->args.positions[2], 1);
	assert_true(method_value(&job->args, 0, 0) == 3);
	assert_true(method_value(&job->args, 0, 2) == 2);
	assert_true(isnan(method_value(&job->args, 0, 3)));
	assert_true(method_value(&job->args, 1, 3) == 1);
	assert_ptr_equal(planned.plan->donor->config,
			 model_set_at(planned.models, 1)->config);
	assert_int_equal(model_set_count(planned.models), 4);
}

/* A type that only an own base has counts as any input's does. */
static void an_own_base_is_an_input_of_the_arithmetic(void **state)
{
	AUTO_PLANNED struct planned planned;

	planned_open(&planned, *state, MODELS("ties", OWN("chat", "./f32")));
	assert_int_equal(planned.report.count, 0);
	assert_int_equal(planned_job(&planned, "l.0.w")->dtype, DTYPE_F32);
}

static const struct {
	const char *yaml;
	int code;
	const char *notes;
} notes_cases[] = {
	{ MODELS("ties", OWN("chat", "./less")), EDOM,
	  "m.yml: models[0]: ./less has 1 layers l.N, ./base has 2; "
	  "`models` needs models of one depth, `slices` does not\n" },
	{ MODELS("ties", OWN("chat", "./lacks")), EDOM,
	  "m.yml: tensor l.1.w: missing in ./lacks, the base of "
	  "./chat's own; ./chat has no task vector without it\n" },
	{ MODELS("ties", OWN("rows", "./rows2")), EDOM,
	  "m.yml: tensor model.embed_tokens.weight: shape 8x4 in the "
	  "base ./base, 9x4 in ./rows; the vocabularies differ in "
	  "size; where the tokenizers are the same, "
	  "`tokenizer_source: base` cuts both to it\n"
	  "m.yml: tensor model.embed_tokens.weight: shape 8x4 in the "
	  "base ./base, 9x4 in ./rows2; the vocabularies differ in "
	  "size; where the tokenizers are the same, "
	  "`tokenizer_source: base` cuts both to it\n" },
	{ MODELS("ties", OWN("chat", "./rows")), EDOM,
	  "m.yml: tensor model.embed_tokens.weight: shape 8x4 in the "
	  "base ./base, 9x4 in ./rows; the vocabularies differ in "
	  "size; where the tokenizers are the same, "
	  "`tokenizer_source: base` cuts both to it\n" },
	{ MODELS("ties", OWN("chat", "./nowhere")), ENOENT,
	  "m.yml: models[0].llmergefs.base_model: model \"./nowhere\": "
	  "no such folder in @\n" },
	{ MODELS("ties", OWN("chat", "a+b")), ENOTSUP,
	  "m.yml: models[0].llmergefs.base_model: a+b: LoRA adapters "
	  "are not supported yet; merge the adapter into its model "
	  "first (peft: merge_and_unload) and name the result\n" },
	{ MODELS("ties", OWN("chat", "[]")), EINVAL,
	  "m.yml: models[0].llmergefs.base_model: a model must be a "
	  "path or an object, not a list\n" },
	{ MODELS("ties", OWN("chat", "./chat")), EINVAL,
	  "m.yml: models[0].llmergefs.base_model: ./chat names "
	  "itself, so that its task vector would be 0; name the model"
	  " that it was made from\n" },
	{ MODELS("ties", OWN("base", "./from")), EINVAL,
	  "m.yml: models[0].llmergefs.base_model: ./base is the "
	  "recipe's base_model and has no task vector; take the key "
	  "away\n" },
	{ "merge_method: linear\nparameters: {weight: 1}\nmodels: [" OWN(
		  "chat", "./from") "]\n",
	  EINVAL,
	  "m.yml: models[0].llmergefs.base_model: linear has no use "
	  "for a base of ./chat's own; it takes one in "
	  "task_arithmetic, ties, dare_linear, dare_ties, "
	  "breadcrumbs, breadcrumbs_ties, della_linear, della\n" },
	{ MODELS("ties", "{model: ./chat, llmergefs: {base: ./from}}"), EINVAL,
	  "m.yml: models[0].llmergefs.base: unknown key\n" },
	{ MODELS("ties", "{model: ./chat, llmergefs: ./from}"), EINVAL,
	  "m.yml: models[0].llmergefs: must be an object, not a "
	  "string\n" },
	{ MODELS("ties", "{model: ./chat, base_model: ./from}"), 0,
	  "m.yml: models[0].base_model: ignored; all models have the "
	  "recipe's base_model; a base of this model's own stands "
	  "under its `llmergefs`\n" },
	{ "merge_method: ties\nbase_model: ./base\nparameters: {weight: 1}\n"
	  "slices:\n"
	  "  - sources:\n"
	  "      - {model: ./base, layer_range: [0, 1]}\n"
	  "      - model: ./deep\n"
	  "        layer_range: [2, 3]\n"
	  "        llmergefs: {base_model: ./from}\n",
	  EINVAL,
	  "m.yml: slices[0].sources[1]: layer_range [2, 3] ends "
	  "beyond ./from, which has 2 layers l.N\n" },
};

static void what_is_wrong_with_an_own_base_is_said(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(notes_cases); i++) {
		AUTO_PLANNED struct planned planned;

		planned_open(&planned, *state, notes_cases[i].yaml);
		assert_notes(*state, &planned.report, notes_cases[i].notes);
		assert_int_equal(planned.report.code, notes_cases[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(task_vectors_start_from_own_bases),
		cmocka_unit_test(a_base_that_is_the_recipes_changes_nothing),
		cmocka_unit_test(own_bases_leave_the_models_as_they_are),
		cmocka_unit_test(an_own_base_is_an_input_of_the_arithmetic),
		cmocka_unit_test(what_is_wrong_with_an_own_base_is_said),
	};

	return cmocka_run_group_tests(tests, models_open, model_fixture_close);
}
