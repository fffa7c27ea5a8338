/*
 * The table of methods says of each what parsing, planning and keys go by: it
 * must be whole, and agree with mergekit's rules.
 */
#include <math.h>

#include "core/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* mergekit's input contracts; inputs other than a base. */
static const struct {
	const char *name;
	enum method_base base;
	bool base_has_options;
	size_t min, max;
	enum method_missing missing;
	bool draws;
} contracts[] = {
	{ "linear", BASE_UNUSED, true, 1, SIZE_MAX, MISSING_PRESENT, false },
	{ "slerp", BASE_REQUIRED, false, 1, 1, MISSING_LONE, false },
	{ "nuslerp", BASE_OPTIONAL, false, 2, 2, MISSING_LONE, false },
	{ "multislerp", BASE_OPTIONAL, false, 1, SIZE_MAX, MISSING_PRESENT,
	  false },
	{ "karcher", BASE_UNUSED, false, 1, SIZE_MAX, MISSING_PRESENT, false },
	{ "model_stock", BASE_REQUIRED, false, 2, SIZE_MAX, MISSING_DROP,
	  false },
	{ "task_arithmetic", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  false },
	{ "ties", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "dare_linear", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  true },
	{ "dare_ties", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  true },
	{ "nearswap", BASE_REQUIRED, false, 1, 1, MISSING_PRESENT, false },
	{ "ram", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "ramplus_tl", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  false },
	{ "arcee_fusion", BASE_REQUIRED, false, 1, 1, MISSING_LONE, false },
	/* Not mergekit's. */
	{ "consensus_ta", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  false },
	{ "emr", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "magmax", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "bitdelta", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  false },
	{ "cabs", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "metagpt", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  false },
	{ "tsv_m", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "iso_c", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "core_space", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  false },
	{ "wudi", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "breadcrumbs", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  false },
	{ "breadcrumbs_ties", BASE_REQUIRED, false, 0, SIZE_MAX,
	  MISSING_PRESENT, false },
	{ "della_linear", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT,
	  true },
	{ "della", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, true },
	{ "sce", BASE_REQUIRED, false, 0, SIZE_MAX, MISSING_PRESENT, false },
	{ "passthrough", BASE_UNUSED, true, 1, 1, MISSING_ERROR, false },
};

/* mergekit's defaults; NAN: none. */
static const struct {
	const char *method, *option;
	enum option_type type;
	enum option_scope scope;
	bool required, in_state;
	double fallback;
} defaults[] = {
#define WEIGHT OPTION_FLOAT, OPTION_PER_MODEL, true, false, NAN
#define DENSITY OPTION_FLOAT, OPTION_PER_MODEL, false, true, 1
#define GAMMA OPTION_FLOAT, OPTION_PER_MODEL, false, true, 0.01
#define DELLA_EPSILON OPTION_FLOAT, OPTION_PER_MODEL, false, true, 0.15
#define LAMBDA OPTION_FLOAT, OPTION_GLOBAL, false, false, 1
	{ "linear", "weight", WEIGHT },
	{ "linear", "normalize", OPTION_BOOL, OPTION_GLOBAL, false, false, 1 },
	{ "slerp", "t", OPTION_FLOAT, OPTION_GLOBAL, true, false, NAN },
	{ "nuslerp", "weight", WEIGHT },
	{ "nuslerp", "nuslerp_row_wise", OPTION_BOOL, OPTION_GLOBAL, false,
	  true, 0 },
	{ "nuslerp", "nuslerp_flatten", OPTION_BOOL, OPTION_GLOBAL, false, true,
	  1 },
	{ "multislerp", "weight", WEIGHT },
	{ "multislerp", "normalize_weights", OPTION_BOOL, OPTION_GLOBAL, false,
	  false, 1 },
	{ "multislerp", "eps", OPTION_FLOAT, OPTION_GLOBAL, false, false,
	  1e-8 },
	{ "karcher", "max_iter", OPTION_INT, OPTION_GLOBAL, false, true, 10 },
	{ "karcher", "tol", OPTION_FLOAT, OPTION_GLOBAL, false, true, 1e-5 },
	{ "model_stock", "filter_wise", OPTION_BOOL, OPTION_GLOBAL, false, true,
	  0 },
	{ "passthrough", "scale", OPTION_FLOAT, OPTION_PER_MODEL, false, false,
	  NAN },
#define TASK(name, normalize, rescale)                                    \
	{ name, "weight", WEIGHT }, { name, "density", DENSITY },         \
		{ name, "lambda", LAMBDA }, { name,                       \
					      "int8_mask",                \
					      OPTION_BOOL,                \
					      OPTION_GLOBAL,              \
					      false,                      \
					      false,                      \
					      0 },                        \
		{ name,	 "normalize", OPTION_BOOL, OPTION_GLOBAL,         \
		  false, false,	      normalize },                        \
	{                                                                 \
		name, "rescale", OPTION_BOOL, OPTION_GLOBAL, false, true, \
			rescale                                           \
	}
	TASK("task_arithmetic", 0, 0),
	{ "task_arithmetic", "sparsify", OPTION_CHOICE, OPTION_PER_MODEL, false,
	  true, 0 },
	TASK("ties", 1, 0),
	TASK("dare_linear", 0, 1),
	TASK("dare_ties", 0, 1),
	{ "nearswap", "t", OPTION_FLOAT, OPTION_GLOBAL, true, false, NAN },
#define EPSILON OPTION_FLOAT, OPTION_GLOBAL, false, true, 1e-5
	{ "ram", "epsilon", EPSILON },
	{ "ramplus_tl", "epsilon", EPSILON },
	{ "ramplus_tl", "r", OPTION_FLOAT, OPTION_GLOBAL, false, false, 0.1 },
	{ "ramplus_tl", "alpha", OPTION_FLOAT, OPTION_GLOBAL, false, false,
	  0.2 },
	{ "consensus_ta", "tall_mask_lambda", OPTION_FLOAT, OPTION_PER_MODEL,
	  false, false, 0.4 },
	{ "consensus_ta", "prun_thre_k", OPTION_INT, OPTION_GLOBAL, false,
	  false, 2 },
	{ "consensus_ta", "lambda", LAMBDA },
	{ "emr", "task", OPTION_BOOL, OPTION_PER_MODEL, false, true, 0 },
	{ "magmax", "lambda", LAMBDA },
	{ "bitdelta", "weight", OPTION_FLOAT, OPTION_PER_MODEL, false, false,
	  1 },
	{ "bitdelta", "one_bit", OPTION_BOOL, OPTION_PER_MODEL, false, true,
	  1 },
	{ "cabs", "weight", OPTION_FLOAT, OPTION_PER_MODEL, false, false, 1 },
	{ "cabs", "n_val", OPTION_INT, OPTION_PER_MODEL, false, false, NAN },
	{ "cabs", "m_val", OPTION_INT, OPTION_PER_MODEL, false, false, NAN },
	{ "cabs", "default_n_val", OPTION_INT, OPTION_GLOBAL, false, false,
	  64 },
	{ "cabs", "default_m_val", OPTION_INT, OPTION_GLOBAL, false, false,
	  256 },
	{ "metagpt", "weight", OPTION_FLOAT, OPTION_PER_MODEL, false, false,
	  1 },
#define MATRIX OPTION_BOOL, OPTION_GLOBAL, false, false, NAN
	{ "tsv_m", "lambda", LAMBDA },
	{ "tsv_m", "matrix", MATRIX },
	{ "iso_c", "lambda", LAMBDA },
	{ "iso_c", "matrix", MATRIX },
	{ "core_space", "weight", LAMBDA },
	{ "core_space", "matrix", MATRIX },
	{ "core_space", "rank", OPTION_INT, OPTION_GLOBAL, false, true, 16 },
	{ "core_space", "isotropic", OPTION_BOOL, OPTION_GLOBAL, false, true,
	  0 },
	{ "wudi", "lambda", LAMBDA },
	{ "wudi", "matrix", MATRIX },
	{ "wudi", "reg", OPTION_FLOAT, OPTION_GLOBAL, false, true, 1e-5 },
	TASK("breadcrumbs", 0, 0),
	{ "breadcrumbs", "gamma", GAMMA },
	TASK("breadcrumbs_ties", 0, 0),
	{ "breadcrumbs_ties", "gamma", GAMMA },
	TASK("della_linear", 0, 1),
	{ "della_linear", "epsilon", DELLA_EPSILON },
	TASK("della", 1, 1),
	{ "della", "epsilon", DELLA_EPSILON },
	{ "sce", "select_topk", OPTION_FLOAT, OPTION_GLOBAL, false, true, 1 },
	{ "sce", "int8_mask", OPTION_BOOL, OPTION_GLOBAL, false, false, 0 },
};

static const struct method_option *option_of(const struct merge_method *method,
					     const char *name)
{
	for (size_t o = 0; o < method->options_count; o++)
		if (!strcmp(method->options[o].name, name))
			return &method->options[o];
	fail_msg("%s has no option %s", method->name, name);
	return NULL;
}

static void counts_and_policies_are_mergekits(void **state)
{
	assert_int_equal(method_count(), ARRAY_LEN(contracts));
	for (size_t i = 0; i < ARRAY_LEN(contracts); i++) {
		const struct merge_method *m =
			method_by_name(contracts[i].name);

		assert_non_null(m);
		assert_int_equal(m->base, contracts[i].base);
		assert_int_equal(m->base_has_options,
				 contracts[i].base_has_options);
		assert_int_equal(m->models_min, contracts[i].min);
		assert_true(m->models_max == contracts[i].max);
		assert_int_equal(m->missing, contracts[i].missing);
		assert_int_equal(m->draws != NULL, contracts[i].draws);
	}
}

/* Methods of task vectors, and those among them whose papers differ. */
static void own_bases_and_papers_are_of_task_vectors(void **state)
{
	static const char *const own[] = { "task_arithmetic",  "ties",
					   "dare_linear",      "dare_ties",
					   "breadcrumbs",      "della_linear",
					   "breadcrumbs_ties", "della" };

	for (size_t i = 0; i < method_count(); i++) {
		const struct merge_method *m = method_at(i);
		bool listed = false;

		for (size_t j = 0; j < ARRAY_LEN(own); j++)
			listed |= strcmp(m->name, own[j]) == 0;
		assert_int_equal(m->own_bases, listed);
		assert_int_equal(m->has_paper,
				 listed && strcmp(m->name, own[0]) != 0);
	}
}

static void options_and_defaults_are_mergekits(void **state)
{
	size_t options = 0;

	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		const struct method_option *option = option_of(
			method_by_name(defaults[i].method), defaults[i].option);

		assert_int_equal(option->type, defaults[i].type);
		assert_int_equal(option->scope, defaults[i].scope);
		assert_int_equal(option->required, defaults[i].required);
		assert_int_equal(option->in_state, defaults[i].in_state);
		if (isnan(defaults[i].fallback))
			assert_true(isnan(option->fallback));
		else
			assert_true(option->fallback == defaults[i].fallback);
	}
	for (size_t i = 0; i < method_count(); i++)
		options += method_at(i)->options_count;
	assert_int_equal(options, ARRAY_LEN(defaults));
}

/* DARE's density is a probability; mergekit refuses a negative one, too. */
static void ranges_are_given(void **state)
{
	assert_true(option_of(method_by_name("dare_ties"), "density")->min ==
		    0);
	assert_true(option_of(method_by_name("dare_linear"), "density")->min ==
		    0);
	assert_true(isinf(option_of(method_by_name("ties"), "density")->min));
	for (size_t i = 0; i < method_count(); i++)
		for (size_t o = 0; o < method_at(i)->options_count; o++) {
			const struct method_option *option =
				&method_at(i)->options[o];

			if (option->type == OPTION_BOOL)
				assert_true(option->min == 0 &&
					    option->max == 1);
			assert_true((option->type == OPTION_CHOICE) ==
				    (option->choices != NULL));
			assert_true(option->min < option->max);
			assert_true(isnan(option->fallback) ||
				    (option->fallback >= option->min &&
				     option->fallback <= option->max));
			assert_true(option->help && *option->help);
		}
}

static void rows_are_whole(void **state)
{
	for (size_t i = 0; i < method_count(); i++) {
		const struct merge_method *m = method_at(i);

		assert_ptr_equal(method_by_name(m->name), m);
		assert_true(m->version > 0);
		assert_true(m->summary && *m->summary);
		assert_true(m->element_ps > 0);
		assert_true(m->options_count <= METHOD_OPTIONS_MAX);
		assert_true(m->models_min <= m->models_max);
		assert_true(!m->tile != !m->rows);
		assert_true(!m->state_size == !m->reduce);
		assert_true(!m->scratch_size || m->reduce);
		assert_true(!m->flops || m->reduce);
		assert_true(!m->rows_scratch || m->rows);
		assert_true(!m->combine || (m->reduce && !m->survey));
		assert_true(!m->whole_tiles || m->tile);
	}
	assert_null(method_by_name("dare-ties"));
	assert_null(method_by_name(""));
}

/* Every level and rounding has a row of its own, equal in all but functions. */
static void levels_have_all_methods(void **state)
{
	struct merge_method own = { .name = "linear" };

	for (size_t v = 1; v < CPU_LEVEL_COUNT * ROUNDING_COUNT; v++)
		for (size_t i = 0; i < method_count(); i++) {
			const struct merge_method *m = method_variant(
				method_at(i),
				(enum cpu_level)(v / ROUNDING_COUNT),
				(enum rounding)(v % ROUNDING_COUNT));

			assert_string_equal(m->name, method_at(i)->name);
			assert_int_equal(m->version, method_at(i)->version);
			assert_true(m->tile != method_at(i)->tile ||
				    m->rows != method_at(i)->rows);
		}
	assert_ptr_equal(
		method_variant(&own, CPU_LEVEL_baseline, ROUNDING_bf16), &own);
}

static struct method_args args_of(const double *values, size_t inputs,
				  size_t base)
{
	return (struct method_args){ .inputs = inputs,
				     .base = base,
				     .values = values,
				     .elements = 100 };
}

static void what_is_unchanged_is_said(void **state)
{
	static const char *const family[] = {
		"task_arithmetic", "ties",	  "dare_linear",
		"dare_ties",	   "breadcrumbs", "breadcrumbs_ties",
		"della_linear",	   "della",	  "sce",
		"nearswap",	   "ram",	  "ramplus_tl",
		"consensus_ta",	   "emr",	  "magmax",
		"bitdelta",	   "cabs",	  "metagpt",
		"tsv_m",	   "iso_c",	  "core_space"
	};
	const struct merge_method *m = method_by_name("passthrough");
	double scale[] = { NAN, 1, 0 };
	double values[2 * METHOD_OPTIONS_MAX] = { 0 };
	struct method_args args = args_of(&scale[0], 1, METHOD_NO_BASE);

	assert_int_equal(m->unchanged(&args), 0);
	args.values = &scale[1];
	assert_true(m->unchanged(&args) == METHOD_CHANGED);
	args.values = &scale[2];
	assert_true(m->unchanged(&args) == METHOD_CHANGED);
	for (size_t i = 0; i < ARRAY_LEN(family); i++) {
		m = method_by_name(family[i]);
		args = args_of(values, 1, 0);
		assert_int_equal(m->unchanged(&args), 0);
		args = args_of(values, 2, 1);
		assert_true(m->unchanged(&args) == METHOD_CHANGED);
	}
}

static void wudi_leaves_what_is_no_linear_layer(void **state)
{
	const struct merge_method *m = method_by_name("wudi");
	size_t matrix = option_of(m, "matrix") - m->options;
	double values[3 * METHOD_OPTIONS_MAX] = { 0 };
	struct method_args args = args_of(values, 3, 1);

	values[matrix * 3] = NAN;
	args.rank = 2;
	args.rows = args.cols = 10;
	assert_true(m->unchanged(&args) == METHOD_CHANGED);
	values[matrix * 3] = 0;
	assert_int_equal(m->unchanged(&args), 1);
	values[matrix * 3] = 1;
	args.rank = 1;
	assert_int_equal(m->unchanged(&args), 1);
	args.rank = 3;
	assert_int_equal(m->unchanged(&args), 1);
}

/* A vocabulary is no matrix unless it is said to be one. */
static void matrices_have_so_many_rows(void **state)
{
	const struct merge_method *m = method_by_name("iso_c");
	size_t matrix = option_of(m, "matrix") - m->options;
	double values[2 * METHOD_OPTIONS_MAX] = { 0 };
	struct method_args args = args_of(values, 2, 0);

	values[matrix * 2] = NAN;
	args.rank = 2;
	args.cols = 8;
	args.rows = 65536;
	args.elements = args.rows * args.cols;
	assert_int_equal(m->state_size(&args), args.elements * 4);
	args.rows++;
	args.elements += args.cols;
	assert_int_equal(m->state_size(&args), 0);
	values[matrix * 2] = 1;
	assert_int_equal(m->state_size(&args), args.elements * 4);
	assert_null(m->check(&args));
	args.cols = args.rows = 32001;
	args.elements = args.rows * args.cols;
	assert_string_equal(m->check(&args),
			    "eigenvectors are needed of more than 32000 rows "
			    "and columns; set matrix: false for this tensor");
	values[matrix * 2] = 0;
	assert_null(m->check(&args));
}

/* One model left: karcher's only point, and multislerp's, base or not. */
static void a_lone_model_is_unchanged(void **state)
{
	const struct merge_method *m = method_by_name("karcher");
	double values[2 * METHOD_OPTIONS_MAX] = { 0 };
	struct method_args args = args_of(values, 1, METHOD_NO_BASE);

	assert_int_equal(m->unchanged(&args), 0);
	args.inputs = 2;
	assert_true(m->unchanged(&args) == METHOD_CHANGED);
	m = method_by_name("multislerp");
	assert_true(m->unchanged(&args) == METHOD_CHANGED);
	args.base = 0;
	assert_int_equal(m->unchanged(&args), 1);
	args.base = 1;
	assert_int_equal(m->unchanged(&args), 0);
}

static void weights_that_cancel_are_refused(void **state)
{
	const struct merge_method *m = method_by_name("linear");
	double values[] = { 0.5, -0.5, 1, 1 };
	struct method_args args = args_of(values, 2, METHOD_NO_BASE);

	assert_string_equal(m->check(&args),
			    "the weights sum to 0, so that they cannot be "
			    "normalised; change them or set normalize: false");
	values[2] = 0;
	assert_null(m->check(&args));
	values[2] = 1;
	values[1] = 0.5;
	assert_null(m->check(&args));
	m = method_by_name("multislerp");
	values[1] = -0.5;
	assert_string_equal(m->check(&args),
			    "the weights sum to 0, so that they cannot be "
			    "normalised; change them or set "
			    "normalize_weights: false");
	values[2] = 0;
	assert_null(m->check(&args));
}

/* nuslerp keeps an angle for every column: only so many. */
static void columns_without_number_are_refused(void **state)
{
	const struct merge_method *m = method_by_name("nuslerp");
	size_t flatten = option_of(m, "nuslerp_flatten") - m->options;
	size_t row_wise = option_of(m, "nuslerp_row_wise") - m->options;
	double values[2 * METHOD_OPTIONS_MAX] = { 0 };
	struct method_args args = args_of(values, 2, METHOD_NO_BASE);

	args.rows = 8;
	args.elements = 8u << 20;
	values[row_wise * 2] = 1;
	assert_null(m->check(&args));
	args.elements += 8;
	assert_non_null(m->check(&args));
	values[flatten * 2] = 1;
	assert_null(m->check(&args));
	values[flatten * 2] = 0;
	values[row_wise * 2] = 0;
	assert_null(m->check(&args));
}

static void emr_makes_one_task_at_most(void **state)
{
	const struct merge_method *m = method_by_name("emr");
	double values[] = { 1, 1, 0 };
	struct method_args args = args_of(values, 3, 0);

	/* The base's own value is no task's. */
	assert_null(m->check(&args));
	assert_true(m->state_size(&args) > 0);
	values[1] = 0;
	assert_null(m->check(&args));
	assert_int_equal(m->state_size(&args), 0);
	values[1] = values[2] = 1;
	assert_string_equal(m->check(&args),
			    "more than one model has task: true; a result is "
			    "for one task, or unified for all");
}

/* Blocks that no tile cuts, and no more kept than there are. */
static void cabs_says_what_blocks_can_be(void **state)
{
	const struct merge_method *m = method_by_name("cabs");
	size_t n_val = option_of(m, "n_val") - m->options;
	size_t m_val = option_of(m, "m_val") - m->options;
	static const struct {
		double n, m;
		const char *sentence;
	} cases[] = {
		{ 2, 4, NULL },
		{ 4, 4, NULL },
		{ 1, 1, NULL },
		{ 0, 1024, NULL },
		{ 2, 6,
		  "m_val is not a power of two; blocks of 2, 4, 8 and so on "
		  "up to 1024 elements can be pruned" },
		{ 5, 4,
		  "n_val is greater than m_val; n_val of every m_val elements "
		  "are kept, as in 64 of 256" },
	};

	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		double values[2 * METHOD_OPTIONS_MAX] = { 0 };
		struct method_args args = args_of(values, 2, 0);

		values[n_val * 2 + 1] = cases[c].n;
		values[m_val * 2 + 1] = cases[c].m;
		/* The base's own values are nobody's. */
		values[n_val * 2] = 9;
		values[m_val * 2] = 7;
		if (cases[c].sentence)
			assert_string_equal(m->check(&args), cases[c].sentence);
		else
			assert_null(m->check(&args));
	}
}

/* A reduction is made only where the bytes depend on it. */
static void states_are_only_where_needed(void **state)
{
	static const struct {
		const char *method;
		double density, rescale;
		bool needed;
	} rows[] = {
		{ "ties", 1, 0, false },
		{ "ties", 1, 1, false },
		{ "ties", 0.5, 0, true },
		{ "ties", 0, 1, false },
		{ "ties", -1, 1, false },
		{ "ties", 2, 1, false },
		{ "dare_ties", 0.5, 1, true },
		{ "dare_ties", 0.5, 0, false },
		{ "dare_linear", 0, 1, true },
		{ "dare_linear", 1, 1, false },
		{ "dare_linear", 0.5, 1, true },
		{ "breadcrumbs", 0.5, 0, true },
		{ "breadcrumbs", 0.001, 1, false },
		{ "breadcrumbs", 1, 1, false },
		{ "breadcrumbs_ties", -1, 0, false },
		{ "della", 0.5, 1, true },
		{ "della", 0.5, 0, false },
		{ "della", -1, 1, false },
		{ "della_linear", 1, 1, false },
	};

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		const struct merge_method *m = method_by_name(rows[r].method);
		double values[2 * METHOD_OPTIONS_MAX] = { 0 };
		struct method_args args = args_of(values, 2, 0);
		size_t density = option_of(m, "density") - m->options;
		size_t rescale = option_of(m, "rescale") - m->options;

		values[density * 2 + 1] = rows[r].density;
		values[rescale * 2] = rows[r].rescale;
		assert_int_equal(m->state_size(&args) > 0, rows[r].needed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_and_policies_are_mergekits),
		cmocka_unit_test(own_bases_and_papers_are_of_task_vectors),
		cmocka_unit_test(options_and_defaults_are_mergekits),
		cmocka_unit_test(ranges_are_given),
		cmocka_unit_test(rows_are_whole),
		cmocka_unit_test(levels_have_all_methods),
		cmocka_unit_test(what_is_unchanged_is_said),
		cmocka_unit_test(a_lone_model_is_unchanged),
		cmocka_unit_test(weights_that_cancel_are_refused),
		cmocka_unit_test(emr_makes_one_task_at_most),
		cmocka_unit_test(wudi_leaves_what_is_no_linear_layer),
		cmocka_unit_test(matrices_have_so_many_rows),
		cmocka_unit_test(columns_without_number_are_refused),
		cmocka_unit_test(cabs_says_what_blocks_can_be),
		cmocka_unit_test(states_are_only_where_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
