/*
 * Where the draws of each tensor begin in the stream: mergekit's order of
 * tensors, and of models in each, from headers alone.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/planner.h"
#include "tests/unit/plan_fixture.h"

#include <cmocka.h>

#define PLACES_MAX 64

struct place {
	const char *name;
	size_t input;
	uint64_t place;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->place < y->place ? -1 : 1;
}

/* "NAME.INPUT@PLACE ..." in the order of the stream. */
static void places_text(const struct planned *planned, char *text, size_t size)
{
	struct place places[PLACES_MAX];
	size_t count = 0, len = 0;

	assert_non_null(planned->plan);
	for (size_t j = 0; j < planned->plan->count; j++) {
		const struct job *job = &planned->plan->jobs[j];

		for (size_t i = 0; job->args.streams && i < job->args.inputs;
		     i++)
			if (job->args.streams[i] != RNG_NO_STREAM)
				places[count++] =
					(struct place){ job->name, i,
							job->args.streams[i] };
	}
	qsort(places, count, sizeof(*places), by_place);
	text[0] = '\0';
	for (size_t p = 0; p < count; p++)
		len += (size_t)snprintf(text + len, size - len, "%s%s.%zu@%llu",
					p ? " " : "", places[p].name,
					places[p].input,
					(unsigned long long)places[p].place);
	assert_true(len < size);
}

static void assert_notes_and_places(void *const *state, const char *yaml,
				    const char *notes, const char *want)
{
	AUTO_PLANNED struct planned planned;
	char text[4096];

	planned_open(&planned, *state, yaml);
	assert_notes(*state, &planned.report, notes);
	places_text(&planned, text, sizeof(text));
	assert_string_equal(text, want);
}

static void assert_places(void *const *state, const char *yaml,
			  const char *want)
{
	assert_notes_and_places(state, yaml, "", want);
}

#define LAYERS_12                                                           \
	"l.0.w F32 2; l.1.w F32 2; l.2.w F32 2; l.3.w F32 2; l.4.w F32 2; " \
	"l.5.w F32 2; l.6.w F32 2; l.7.w F32 2; l.8.w F32 2; l.9.w F32 2; " \
	"l.10.w F32 2; l.11.w F32 2"

static int models_open(void **state)
{
	int rc = model_fixture_open(state);
	const struct fixture *fx = *state;

	plan_fixture_model(fx, "deep", "x", LAYERS_12);
	plan_fixture_model(fx, "deep2", "x", LAYERS_12);
	plan_fixture_model(fx, "a", "x",
			   "z F32 3; l.0.w F32 2x2; l.1.w F32 2x2");
	plan_fixture_model(fx, "b", "x",
			   "z F32 3; l.0.w F32 2x2; l.1.w F32 2x2");
	plan_fixture_model(fx, "c", "x",
			   "z F32 3; l.0.w F32 2x2; l.1.w F32 2x2");
	plan_fixture_model(fx, "more", "x",
			   "z F32 3; l.0.w F32 2x2; l.0.b F32 2; l.1.w F32 "
			   "2x2; l.1.b F32 2; ids I64 4; none F32 0");
	plan_fixture_model(fx, "more2", "x",
			   "z F32 3; l.0.w F32 2x2; l.0.b F32 2; l.1.w F32 "
			   "2x2; ids I64 4; none F32 0");
	plan_fixture_model(fx, "less", "x",
			   "z F32 3; l.0.w F32 2x2; l.1.w F32 2x2; ids I64 4; "
			   "none F32 0");
#define EMBED "model.embed_tokens.weight F32 3x2; model.norm.weight F32 2"
	plan_fixture_model(fx, "old", "x",
			   "l.0.rotary_emb.inv_freq F32 8; l.0.w F32 2; "
			   "l.1.rotary_emb.inv_freq F32 8; l.1.w F32 2");
	plan_fixture_model(fx, "old2", "x",
			   "l.0.rotary_emb.inv_freq F32 8; l.0.w F32 2; "
			   "l.1.rotary_emb.inv_freq F32 8; l.1.w F32 2");
	plan_fixture_model(fx, "tied", "x", EMBED);
	plan_fixture_model(fx, "head", "x", EMBED "; lm_head.weight F32 3x2");
	plan_fixture_model(fx, "head2", "x", EMBED "; lm_head.weight F32 3x2");
	return rc;
}

#define RNG "llmergefs: {rng: mt19937, seed: 7}\n"
#define DARE(base, models)                                                    \
	"merge_method: dare_linear\nbase_model: ./" base "\nmodels:\n" models \
	"parameters: {weight: 1, density: 0.5}\n" RNG

static void tensors_come_in_order_of_text(void **state)
{
	assert_places(state, DARE("deep", "  - {model: ./deep2}\n"),
		      "l.0.w.0@0 l.1.w.0@2 l.10.w.0@4 l.11.w.0@6 l.2.w.0@8 "
		      "l.3.w.0@10 l.4.w.0@12 l.5.w.0@14 l.6.w.0@16 l.7.w.0@18 "
		      "l.8.w.0@20 l.9.w.0@22");
}

/* The base draws nothing wherever it stands, and who keeps all neither. */
static void models_come_in_order_of_the_recipe(void **state)
{
	assert_places(state,
		      DARE("b", "  - {model: ./c}\n  - {model: ./b}\n"
				"  - {model: ./a}\n"),
		      "l.0.w.0@0 l.0.w.2@4 l.1.w.0@8 l.1.w.2@12 z.0@16 "
		      "z.2@19");
	assert_places(state,
		      DARE("b",
			   "  - {model: ./c, parameters: {density: [0, 1]}}\n"
			   "  - {model: ./a}\n"),
		      "l.0.w.0@0 l.0.w.1@4 l.1.w.1@8 z.0@12 z.1@15");
	assert_places(state,
		      "merge_method: della\nbase_model: ./b\nmodels:\n"
		      "  - {model: ./c, parameters: {density: 0}}\n"
		      "  - {model: ./a, parameters: {density: [0.5, 1.5]}}\n"
		      "parameters: {weight: 1}\n" RNG,
		      "l.0.w.1@0 z.1@4");
}

/* Nothing is drawn for what is copied, empty, or the base's alone. */
static void what_is_kept_draws_nothing(void **state)
{
	assert_notes_and_places(
		state,
		DARE("more", "  - {model: ./less}\n"
			     "  - {model: ./more2}\n"),
		"m.yml: tensor l.0.b: missing in ./less; merged from the "
		"others\n"
		"m.yml: tensor l.1.b: missing in ./less and 1 more; that "
		"of ./more is used unchanged\n",
		"l.0.b.0@0 l.0.w.0@2 l.0.w.1@6 l.1.w.0@10 l.1.w.1@14 "
		"z.0@18 z.1@21");
}

/* mergekit does not have them: the others' places are as if they were not. */
static void buffers_come_last(void **state)
{
	assert_places(state, DARE("old", "  - {model: ./old2}\n"),
		      "l.0.w.0@0 l.1.w.0@2 l.0.rotary_emb.inv_freq.0@4 "
		      "l.1.rotary_emb.inv_freq.0@12");
}

/* A head that is read from an embedding has its turn after that. */
static void tied_heads_follow_the_embedding(void **state)
{
	assert_places(state, DARE("tied", "  - {model: ./head}\n"),
		      "model.embed_tokens.weight.0@0 lm_head.weight.0@6 "
		      "model.norm.weight.0@12");
	assert_places(state, DARE("head", "  - {model: ./tied}\n"),
		      "model.embed_tokens.weight.0@0 lm_head.weight.0@6 "
		      "model.norm.weight.0@12");
	assert_places(state, DARE("head", "  - {model: ./head2}\n"),
		      "lm_head.weight.0@0 model.embed_tokens.weight.0@6 "
		      "model.norm.weight.0@12");
}

/* The label is of the sources' layers, not of the output's. */
static void layers_that_repeat_come_together(void **state)
{
	assert_notes_and_places(
		state,
		"merge_method: dare_linear\nbase_model: ./a\nslices:\n"
		"  - sources:\n"
		"      - {model: ./a, layer_range: [0, 2]}\n"
		"      - {model: ./b, layer_range: [0, 2]}\n"
		"  - sources:\n"
		"      - {model: ./a, layer_range: [0, 1]}\n"
		"      - {model: ./b, layer_range: [1, 2]}\n"
		"  - sources:\n"
		"      - {model: ./a, layer_range: [0, 1]}\n"
		"      - {model: ./b, layer_range: [0, 1]}\n"
		"parameters: {weight: 1, density: 0.5}\n" RNG,
		"m.yml: llmergefs.rng: `slices` take some layers more than "
		"once; mergekit may draw for these in another order, so that "
		"their masks are swapped\n",
		"l.0.w.1@0 l.3.w.1@4 l.1.w.1@8 l.2.w.1@12 z.1@16");
}

static void a_stream_is_only_where_one_is_drawn_from(void **state)
{
	static const char *const none[] = {
		"merge_method: dare_linear\nbase_model: ./a\n"
		"models: [{model: ./b}]\n"
		"parameters: {weight: 1, density: 0.5}\n",
		"merge_method: dare_linear\nbase_model: ./a\n"
		"models: [{model: ./b}]\nparameters: {weight: 1}\n" RNG,
		"merge_method: ties\nbase_model: ./a\n"
		"models: [{model: ./b}]\n"
		"parameters: {weight: 1, density: 0.5}\n" RNG,
	};

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		AUTO_PLANNED struct planned planned;

		planned_open(&planned, *state, none[i]);
		assert_non_null(planned.plan);
		for (size_t j = 0; j < planned.plan->count; j++)
			assert_null(planned.plan->jobs[j].args.streams);
	}
}

static void seeds_have_32_bits(void **state)
{
	AUTO_PLANNED struct planned planned;

	planned_open(&planned, *state,
		     "merge_method: dare_linear\nbase_model: ./a\n"
		     "models: [{model: ./b}]\n"
		     "parameters: {weight: 1, density: 0.5}\n"
		     "llmergefs: {rng: mt19937, seed: 4294967303}\n");
	assert_non_null(planned.plan);
	assert_int_equal(planned.plan->jobs[0].args.rng, RNG_MT19937);
	assert_int_equal(planned.plan->jobs[0].args.seed, 7);
}

static bool draws_always(const struct method_args *args, size_t input)
{
	return true;
}

/* No file is so large: the jobs are made up. */
static void places_that_cannot_be_counted_are_refused(void **state)
{
	const struct merge_method method = { .name = "own",
					     .draws = draws_always };
	const struct recipe recipe = { .path = "m.yml", .method = &method };
	struct job jobs[2] = { { .name = "x", .method = &method },
			       { .name = "y", .method = &method } };
	struct plan plan = { .jobs = jobs, .count = 2 };
	struct report report = { 0 };
	struct drawing drawing[2] = { { .label = "x", .job = 0 },
				      { .label = "y", .job = 1 } };
	struct planner planner = {
		.recipe = &recipe,
		.report = &report,
		.plan = &plan,
		.drawing = drawing,
		.drawing_count = 2,
	};

	plan.arena = arena_open();
	jobs[0].args.inputs = jobs[1].args.inputs = 1;
	jobs[0].args.elements = UINT64_MAX / 2;
	jobs[1].args.elements = UINT64_MAX / 2;
	assert_int_equal(plan_streams(&planner), 0);
	assert_int_equal(report.errors, 0);
	assert_true(jobs[1].args.streams[0] == UINT64_MAX / 2);
	jobs[1].args.elements += 1;
	assert_int_equal(plan_streams(&planner), 0);
	assert_int_equal(report.errors, 1);
	assert_non_null(strstr(report.notes[0].text, "rng: counter"));
	report_done(&report);
	arena_close(plan.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tensors_come_in_order_of_text),
		cmocka_unit_test(models_come_in_order_of_the_recipe),
		cmocka_unit_test(what_is_kept_draws_nothing),
		cmocka_unit_test(buffers_come_last),
		cmocka_unit_test(tied_heads_follow_the_embedding),
		cmocka_unit_test(layers_that_repeat_come_together),
		cmocka_unit_test(a_stream_is_only_where_one_is_drawn_from),
		cmocka_unit_test(seeds_have_32_bits),
		cmocka_unit_test(places_that_cannot_be_counted_are_refused),
	};

	return cmocka_run_group_tests(tests, models_open, model_fixture_close);
}
