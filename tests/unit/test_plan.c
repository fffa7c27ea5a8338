#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/unit/plan_fixture.h"

#include <cmocka.h>

#define EMBED "model.embed_tokens.weight"
#define UP(n) "model.layers." #n ".mlp.up.weight"
#define Q(n) "model.layers." #n ".self_attn.q.weight"
#define NORM "model.norm.weight"
#define HEAD "lm_head.weight"

/* A model of three layers, its values all of one type. */
#define BODY(dtype)                                                           \
	EMBED " " dtype " 8x4; " UP(0) " " dtype " 6x4; " UP(                 \
		1) " " dtype " 6x4; " UP(2) " " dtype " 6x4; " NORM " " dtype \
					    " 4"

static int models_open(void **state)
{
	int rc = model_fixture_open(state);
	const struct fixture *fx = *state;

	plan_fixture_model(fx, "a", "llama", BODY("BF16"));
	plan_fixture_model(fx, "b", "llama", BODY("BF16"));
	plan_fixture_model(fx, "c", "llama", BODY("BF16"));
	plan_fixture_model(fx, "f32", "llama", BODY("F32"));
	plan_fixture_model(fx, "f16", "llama", BODY("F16"));
	plan_fixture_model(fx, "f64", "llama", BODY("F64"));
	plan_fixture_model(fx, "head", "llama",
			   BODY("BF16") "; " HEAD " BF16 8x4");
	plan_fixture_model(fx, "head2", "llama",
			   BODY("BF16") "; " HEAD " BF16 8x4");
	return rc;
}

/* All tensors of the donor, values by filter and depth, t = 0 outside. */
static void whole_models_are_merged_tensor_by_tensor(void **state)
{
	assert_plan(
		*state,
		"merge_method: linear\n"
		"models:\n"
		"  - {model: ./a, parameters: {weight: [1, 3]}}\n"
		"  - model: ./b\n"
		"    parameters:\n"
		"      weight:\n"
		"        - {filter: layers.1, value: 7}\n"
		"        - {filter: norm, value: 9}\n"
		"parameters: {weight: 0.5, normalize: [true, false]}\n",
		"",
		EMBED
		" tile BF16 8x4 linear a/" EMBED " b/" EMBED
		" weight=1,0.5 normalize=1\n" UP(
			0) " tile BF16 6x4 linear "
			   "a/" UP(0) " b/" UP(
				   0) " weight=1,0.5 "
				      "normalize=1\n" UP(
					      1) " tile BF16 6x4 "
						 "linear a/" UP(1) " b/" UP(
							 1) " weight"
							    "=2,"
							    "7 "
							    "normali"
							    "ze="
							    "1\n" UP(
								    2) " tile "
								       "BF16 "
								       "6x4 "
								       "linear "
								       "a/" UP(2) " b/" UP(
									       2) " weight=3,0.5 normalize=0\n" NORM
										  " tile BF16 4 linear a/" NORM
										  " b/" NORM
										  " weight=1,9 normalize=1\n");
}

/* A base that is not listed comes last, and has no options of its own. */
static void the_base_is_marked_and_asked_for_nothing(void **state)
{
	AUTO_PLANNED struct planned planned;
	const struct job *job;

	planned_open(&planned, *state,
		     "merge_method: dare_ties\nbase_model: ./b\n"
		     "models:\n"
		     "  - {model: ./a, parameters: {weight: 1, density: 0.5}}\n"
		     "  - {model: ./b}\n"
		     "  - {model: ./c, parameters: {weight: 2}}\n"
		     "llmergefs: {seed: 77}\n");
	assert_int_equal(planned.report.count, 0);
	assert_ptr_equal(planned.plan->donor, model_set_at(planned.models, 1));
	job = planned_job(&planned, UP(1));
	assert_int_equal(job->args.inputs, 3);
	assert_int_equal(job->args.base, 1);
	assert_true(method_value(&job->args, 0, 0) == 1);
	assert_true(isnan(method_value(&job->args, 0, 1)));
	assert_true(method_value(&job->args, 0, 2) == 2);
	/* positions are among the models that are not the base */
	assert_int_equal(job->args.positions[0], 0);
	assert_int_equal(job->args.positions[2], 1);
	assert_int_equal(job->args.seed, 77);
	assert_string_equal(job->args.name, UP(1));
	assert_int_equal(job->args.cols, 4);
	assert_int_equal(job->args.elements, 24);
	assert_int_equal(job->size, 48);
	assert_int_equal(job->layer, 1);
	assert_int_equal(planned_job(&planned, NORM)->layer, UINT64_MAX);
	assert_int_equal(planned.plan->bytes, (32 + 3 * 24 + 4) * 2);
}

/* A method that has no paper's semantics of its own makes the same bytes by the
 * same key whatever the recipe asks for. */
static void semantics_reach_the_methods_that_have_them(void **state)
{
	static const struct {
		const char *method;
		enum semantics semantics;
	} cases[] = {
		{ "ties", SEMANTICS_PAPER },
		{ "dare_linear", SEMANTICS_PAPER },
		{ "della", SEMANTICS_PAPER },
		{ "task_arithmetic", SEMANTICS_MERGEKIT },
		{ "linear", SEMANTICS_MERGEKIT },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_PLANNED struct planned planned;
		char yaml[256];

		snprintf(yaml, sizeof(yaml),
			 "merge_method: %s\nbase_model: ./b\n"
			 "parameters: {weight: 1}\n"
			 "models: [{model: ./a}]\n"
			 "llmergefs: {semantics: paper}\n",
			 cases[i].method);
		planned_open(&planned, *state, yaml);
		assert_int_equal(planned.report.count, 0);
		assert_int_equal(planned_job(&planned, UP(1))->args.semantics,
				 cases[i].semantics);
	}
}

/* Layers are renumbered; filters of models see the source's number, filters of
 * all the output's; gradients start anew in every slice. */
static void slices_stack_layers(void **state)
{
	AUTO_PLANNED struct planned planned;
	char text[PLAN_TEXT_MAX];

	planned_open(&planned, *state,
		     "merge_method: passthrough\n"
		     "slices:\n"
		     "  - sources:\n"
		     "      - model: ./a\n"
		     "        layer_range: [0, 2]\n"
		     "  - sources:\n"
		     "      - model: ./b\n"
		     "        layer_range: [0, 3]\n"
		     "        parameters:\n"
		     "          scale:\n"
		     "            - {filter: layers.2, value: 5}\n"
		     "            - {filter: layers, value: [0, 1]}\n"
		     "  - sources:\n"
		     "      - {model: ./c, layer_range: [3, 3]}\n"
		     "parameters:\n"
		     "  scale: {filter: layers.1, value: 3}\n");
	assert_int_equal(planned.report.count, 0);
	planned_text(&planned, text);
	assert_string_equal(text, EMBED
			    " copy BF16 8x4 - a/" EMBED
			    "\n" UP(0) " copy BF16 6x4 - a/" UP(0) "\n" UP(1) " tile BF16 6x4 passthrough a/" UP(1) " scale=3\n" UP(
				    2) " tile BF16 6x4 passthrough "
				       "b/" UP(0) " scale=0\n" UP(
					       3) " t"
						  "il"
						  "e "
						  "BF"
						  "16"
						  " 6"
						  "x4"
						  " p"
						  "as"
						  "st"
						  "hr"
						  "ou"
						  "gh"
						  " b"
						  "/" UP(1) " scale=0.5\n" UP(
							  4) " tile BF16 6x4 "
							     "passthrough "
							     "b/" UP(2) " scale"
									"=5"
									"\n" NORM
									" copy "
									"BF16 "
									"4 - "
									"c"
									"/" NORM
									"\n");
	assert_int_equal(planned.plan->layers, 5);
	assert_int_equal(planned_job(&planned, UP(4))->layer, 4);
	assert_ptr_equal(planned.plan->donor, model_set_at(planned.models, 0));
}

/* A slice of one layer is at t = 1; a base of the slice's own. */
static void slices_have_bases_of_their_own(void **state)
{
	assert_plan(
		*state,
		"merge_method: slerp\n"
		"base_model: ./a\n"
		"slices:\n"
		"  - sources:\n"
		"      - {model: ./a, layer_range: [2, 3]}\n"
		"      - {model: ./b, layer_range: [0, 1]}\n"
		"    parameters: {t: [0.25, 0.75]}\n"
		"  - sources:\n"
		"      - {model: ./c, layer_range: [1, 2]}\n"
		"      - {model: ./b, layer_range: [1, 2]}\n"
		"    base_model: ./b\n"
		"parameters: {t: 0.5}\n",
		"",
		EMBED
		" tile BF16 8x4 slerp *a/" EMBED " b/" EMBED
		" t=0.25\n" UP(0) " tile BF16 6x4 slerp *a/" UP(2) " b/" UP(0) " t=0.75\n" UP(
			1) " tile BF16 6x4 slerp c/" UP(1) " *b/" UP(1) " t=0."
									"5"
									"\n" NORM
									" tile "
									"BF16 "
									"4 "
									"slerp "
									"c"
									"/" NORM
									" *"
									"b"
									"/" NORM
									" t=0."
									"5\n");
}

/* Inputs are rounded to dtype, the output is out_dtype, dtype, or what holds
 * all inputs; what is unchanged and of the same type is the source's bytes. */
static void types_follow_the_recipe(void **state)
{
	static const struct {
		const char *method, *models, *types, *norm, *notes;
	} cases[] = {
		{ "linear", "./a", "", "tile BF16 4 linear a/" NORM, "" },
		{ "linear", "./a, ./f16", "",
		  "tile F32 4 linear a/" NORM " f16/" NORM, "" },
		{ "linear", "./a, ./f32", "",
		  "tile F32 4 linear a/" NORM " f32/" NORM, "" },
		{ "linear", "./f32, ./f16", "dtype: bfloat16",
		  "tile BF16 4 linear f32/" NORM ">BF16 f16/" NORM ">BF16",
		  "" },
		{ "linear", "./a, ./f16", "dtype: float32",
		  "tile F32 4 linear a/" NORM " f16/" NORM, "" },
		{ "linear", "./a, ./f32", "out_dtype: float16",
		  "tile F16 4 linear a/" NORM " f32/" NORM, "" },
		{ "linear", "./a, ./f32", "dtype: float16\nout_dtype: float32",
		  "tile F32 4 linear a/" NORM ">F16 f32/" NORM ">F16", "" },
		{ "linear", "./a, ./f64", "",
		  "tile F64 4 linear a/" NORM " f64/" NORM,
		  "m.yml: tensor " EMBED " (and 4 more): float64 values are "
		  "merged in binary32\n" },
		{ "passthrough", "./a", "", "copy BF16 4 - a/" NORM, "" },
		{ "passthrough", "./a", "dtype: bfloat16",
		  "copy BF16 4 - a/" NORM, "" },
		{ "passthrough", "./a", "dtype: float32\nout_dtype: bfloat16",
		  "copy BF16 4 - a/" NORM, "" },
		{ "passthrough", "./a", "dtype: float16\nout_dtype: bfloat16",
		  "tile BF16 4 passthrough a/" NORM ">F16", "" },
		{ "passthrough", "./a", "dtype: float32",
		  "tile F32 4 passthrough a/" NORM, "" },
		{ "passthrough", "./f32", "dtype: bfloat16",
		  "tile BF16 4 passthrough f32/" NORM ">BF16", "" },
		{ "passthrough", "./f64", "", "copy F64 4 - f64/" NORM, "" },
		{ "passthrough", "./f64", "dtype: float32\nout_dtype: float64",
		  "tile F64 4 passthrough f64/" NORM ">F32",
		  "m.yml: out_dtype: merged values are computed in binary32 "
		  "and stored as float64\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *yaml = NULL;
		AUTO_FREE char *want = NULL;
		AUTO_FREE char *list = strdup(cases[i].models);
		AUTO_PLANNED struct planned planned;
		char text[PLAN_TEXT_MAX];
		char *second = strchr(list, ',');

		if (second)
			*second++ = '\0';
		assert_true(asprintf(&yaml,
				     "merge_method: %s\n%s\n"
				     "models:\n  - {model: %s}\n%s%s%s"
				     "%s",
				     cases[i].method, cases[i].types, list,
				     second ? "  - {model: " : "",
				     second ? second : "", second ? "}\n" : "",
				     strcmp(cases[i].method, "linear") == 0
					     ? "parameters: {weight: 1}\n"
					     : "") > 0);
		planned_open(&planned, *state, yaml);
		assert_notes(*state, &planned.report, cases[i].notes);
		planned_text(&planned, text);
		assert_true(asprintf(&want, "\n" NORM " %s", cases[i].norm) >
			    0);
		if (!strstr(text, want))
			fail_msg("%s\nno %s in\n%s", yaml, want, text);
	}
}

/* lm_head is in the output if any input has it; others give the embedding. */
static void a_tied_head_is_read_from_the_embedding(void **state)
{
	static const char both[] =
		"merge_method: linear\nparameters: {weight: 1}\n"
		"models: [{model: ./%s}, {model: ./%s}]\n";
	static const struct {
		const char *first, *second;
		const char *head; /* NULL: none */
	} cases[] = {
		{ "a", "b", NULL },
		{ "head", "head2", "head/" HEAD " head2/" HEAD },
		{ "head", "a", "head/" HEAD " a/" EMBED },
		{ "a", "head", "a/" EMBED " head/" HEAD },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *yaml = NULL;
		AUTO_FREE char *want = NULL;
		AUTO_PLANNED struct planned planned;
		char text[PLAN_TEXT_MAX];

		assert_true(asprintf(&yaml, both, cases[i].first,
				     cases[i].second) > 0);
		planned_open(&planned, *state, yaml);
		assert_int_equal(planned.report.count, 0);
		assert_int_equal(planned.plan->dropped_count, 0);
		planned_text(&planned, text);
		if (!cases[i].head) {
			assert_null(strstr(text, HEAD));
			continue;
		}
		assert_true(asprintf(&want,
				     HEAD " tile BF16 8x4 linear %s "
					  "weight=1,1 normalize=1\n",
				     cases[i].head) > 0);
		assert_memory_equal(text, want, strlen(want));
	}
}

/* Slices: the head is the last slice's, though the donor has one itself. */
static void a_head_comes_from_the_last_slice(void **state)
{
	static const char yaml[] =
		"merge_method: passthrough\n"
		"slices:\n"
		"  - sources: [{model: ./%s, layer_range: [0, 1]}]\n"
		"  - sources: [{model: ./%s, layer_range: [3, 3]}]\n";
	static const struct {
		const char *first, *last, *head;
	} cases[] = {
		{ "a", "head", HEAD " copy BF16 8x4 - head/" HEAD "\n" EMBED },
		{ "head", "a", EMBED " copy" },
		{ "head", "head2",
		  HEAD " copy BF16 8x4 - head2/" HEAD "\n" EMBED },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *text = NULL;
		AUTO_PLANNED struct planned planned;
		char jobs[PLAN_TEXT_MAX];

		assert_true(asprintf(&text, yaml, cases[i].first,
				     cases[i].last) > 0);
		planned_open(&planned, *state, text);
		assert_int_equal(planned.report.count, 0);
		planned_text(&planned, jobs);
		assert_memory_equal(jobs, cases[i].head, strlen(cases[i].head));
	}
}

/* A donor whose config ties its head, and a model that has one of its own. */
static void an_untied_head_is_warned_about(void **state)
{
	const struct fixture *fx = *state;

	plan_fixture_model(fx, "tied", "llama", BODY("BF16"));
	fixture_text(fx, "tied/config.json",
		     "{\"model_type\": \"llama\", \"tie_word_embeddings\": "
		     "true}");
	assert_plan(fx,
		    "merge_method: passthrough\nbase_model: ./tied\n"
		    "slices:\n"
		    "  - sources: [{model: ./head, layer_range: [0, 0]}]\n",
		    "m.yml: tensor " HEAD ": some model has one of its own, "
		    "so the merge has one, too; but config.json comes from "
		    "./tied and says tie_word_embeddings: true, and loaders "
		    "will not read it\n",
		    HEAD " copy BF16 8x4 - head/" HEAD "\n" EMBED
			 " copy BF16 8x4 - head/" EMBED "\n" NORM
			 " copy BF16 4 - head/" NORM "\n");
}

static void names_that_only_others_have_are_listed(void **state)
{
	const struct fixture *fx = *state;
	AUTO_PLANNED struct planned planned;

	plan_fixture_model(fx, "more", "llama",
			   BODY("BF16") "; visual.proj BF16 4; " UP(
				   3) " BF16 6x4; model.layers.0.bias BF16 4");
	planned_open(&planned, fx,
		     "merge_method: passthrough\nbase_model: ./a\n"
		     "slices:\n"
		     "  - sources: [{model: ./more, layer_range: [0, 2]}]\n"
		     "  - sources: [{model: ./more, layer_range: [0, 1]}]\n");
	assert_int_equal(planned.report.count, 0);
	assert_int_equal(planned.plan->dropped_count, 2);
	assert_string_equal(planned.plan->dropped[0], "model.layers.0.bias");
	assert_string_equal(planned.plan->dropped[1], "visual.proj");
}

/* Layers of another kind in some places only: hybrids stack as well. */
static void layers_need_not_be_alike(void **state)
{
	const struct fixture *fx = *state;

	plan_fixture_model(fx, "hybrid", "llama",
			   UP(0) " BF16 4; " Q(1) " BF16 4; " UP(2) " BF16 4");
	assert_plan(
		fx,
		"merge_method: passthrough\n"
		"slices:\n"
		"  - sources: [{model: ./hybrid, layer_range: [1, 3]}]\n"
		"  - sources: [{model: ./hybrid, layer_range: [0, 2]}]\n",
		"",
		Q(0) " copy BF16 4 - hybrid/" Q(1) "\n" UP(
			1) " copy BF16 4 - hybrid/" UP(2) "\n" UP(2) " copy "
								     "BF16 4 - "
								     "hybrid"
								     "/" UP(0) "\n" Q(3) " copy BF16 4 - hybrid/" Q(
									     1) "\n");
}

/* Each kind of layers spans its own depth. */
static void gradients_span_each_kind_of_layers(void **state)
{
	const struct fixture *fx = *state;

	plan_fixture_model(
		fx, "vl", "vl",
		"v.blocks.0.w BF16 4; v.blocks.1.w BF16 4; " UP(
			0) " BF16 4; " UP(1) " BF16 4; " UP(2) " BF16 4; p.w "
							       "BF16 4");
	assert_plan(
		fx,
		"merge_method: linear\n"
		"models: [{model: ./vl, parameters: {weight: [1, 5]}}]\n",
		"",
		UP(0) " tile BF16 4 linear vl/" UP(
			0) " weight=1 "
			   "normalize=1\n" UP(1) " tile BF16 4 linear vl/" UP(1) " weight=3 normalize=1\n" UP(
				   2) " tile "
				      "BF16 4 "
				      "linear "
				      "vl/" UP(
					      2) " weight=5 normalize=1\n"
						 "p.w tile BF16 4 linear "
						 "vl/p.w weight=1 normalize=1\n"
						 "v.blocks.0.w tile BF16 4 "
						 "linear vl/v.blocks.0.w "
						 "weight=1 "
						 "normalize=1\n"
						 "v.blocks.1.w tile BF16 4 "
						 "linear vl/v.blocks.1.w "
						 "weight=5 "
						 "normalize=1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_models_are_merged_tensor_by_tensor),
		cmocka_unit_test(the_base_is_marked_and_asked_for_nothing),
		cmocka_unit_test(semantics_reach_the_methods_that_have_them),
		cmocka_unit_test(slices_stack_layers),
		cmocka_unit_test(slices_have_bases_of_their_own),
		cmocka_unit_test(types_follow_the_recipe),
		cmocka_unit_test(a_tied_head_is_read_from_the_embedding),
		cmocka_unit_test(a_head_comes_from_the_last_slice),
		cmocka_unit_test(an_untied_head_is_warned_about),
		cmocka_unit_test(names_that_only_others_have_are_listed),
		cmocka_unit_test(layers_need_not_be_alike),
		cmocka_unit_test(gradients_span_each_kind_of_layers),
	};

	return cmocka_run_group_tests(tests, models_open, model_fixture_close);
}
