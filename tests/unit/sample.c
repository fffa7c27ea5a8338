#include "tests/unit/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const double weights[INPUTS] = { 0.3, 0.66, -0.2, 0.51 };

const struct variant variants[VARIANTS] = {
	{ "linear", { 0 }, { 0 }, { 0 } },
	{ "linear", { "normalize" }, { 0 }, { 0 } },
	{ "passthrough", { 0 }, { 0 }, { 0 } },
	{ "passthrough", { "scale" }, { 0.7 }, { 0 } },
	{ "passthrough", { "scale" }, { 0 }, { 0 } },
	{ "slerp", { "t" }, { 0.3 }, { 0 } },
	{ "slerp", { "t" }, { 1.4 }, { 0 } },
	{ "nuslerp", { 0 }, { 0 }, { 0 } },
	{ "nuslerp", { NO_BASE }, { 0 }, { 0 } },
	{ "nuslerp", { "nuslerp_flatten" }, { 0 }, { 0 } },
	{ "nuslerp",
	  { "nuslerp_flatten", "nuslerp_row_wise" },
	  { 0, 1 },
	  { 0 } },
	{ "nuslerp",
	  { "nuslerp_flatten", "nuslerp_row_wise", NO_BASE },
	  { 0, 1 },
	  { 0 } },
	{ "multislerp", { 0 }, { 0 }, { 0 } },
	{ "multislerp", { NO_BASE }, { 0 }, { 0 } },
	{ "multislerp", { "normalize_weights", "eps" }, { 0, 0.2 }, { 0 } },
	{ "karcher", { 0 }, { 0 }, { 0 } },
	{ "karcher", { "max_iter", "tol" }, { 1, 1e-12 }, { 0 } },
	{ "model_stock", { 0 }, { 0 }, { 0 } },
	{ "model_stock", { "filter_wise" }, { 1 }, { 0 } },
	{ "task_arithmetic", { 0 }, { 0 }, { 1, 1, 1, 1 } },
	{ "task_arithmetic",
	  { "normalize", "lambda", "density" },
	  { 1, 0.7, 0.5 },
	  { 1, 1, 1, 1 } },
	{ "task_arithmetic", { "sparsify" }, { 1 }, { 0.5, 1, 0.2, 0.1 } },
	{ "task_arithmetic",
	  { "sparsify", "normalize", "lambda" },
	  { 1, 1, 1.7 },
	  { 1, 1, 1, 1 } },
	{ "ties", { 0 }, { 0 }, { 1, 1, 1, 1 } },
	{ "ties", { 0 }, { 0 }, { 0.5, 1, 0.2, 0.1 } },
	{ "ties", { "rescale" }, { 1 }, { 0.5, 1, 1, 0.1 } },
	{ "ties",
	  { "normalize", "lambda", "int8_mask" },
	  { 0, 1.3, 1 },
	  { 0.999, 0, 0, 1e-9 } },
	{ "ties", { "rescale", "lambda" }, { 1, -2 }, { 1e-9, 1, -1, 0.7 } },
	{ "dare_linear", { 0 }, { 0 }, { 1, 1, 1, 1 } },
	{ "dare_linear", { 0 }, { 0 }, { 0.5, 1, 0.1, 0.9 } },
	{ "dare_linear",
	  { "rescale", "normalize", "lambda" },
	  { 0, 1, 0.9 },
	  { 0.3, 0, 0, 1 - 1e-12 } },
	{ "dare_ties", { 0 }, { 0 }, { 0.5, 1, 0.1, 0.9 } },
	{ "dare_ties", { "rescale", "normalize" }, { 0, 1 }, { 0.5, 1, 1, 0 } },
	{ "nearswap", { "t" }, { 0.001 }, { 0 } },
	{ "nearswap", { "t" }, { -1 }, { 0 } },
	{ "ram", { 0 }, { 0 }, { 0 } },
	{ "ram", { "epsilon" }, { 0.002 }, { 0 } },
	{ "ramplus_tl", { 0 }, { 0 }, { 0 } },
	{ "ramplus_tl", { "epsilon", "alpha" }, { 0.002, 10 }, { 0 } },
	{ "arcee_fusion", { 0 }, { 0 }, { 0 } },
	{ "consensus_ta", { 0 }, { 0 }, { 0 } },
	{ "consensus_ta",
	  { "prun_thre_k", "tall_mask_lambda", "lambda" },
	  { 1, 0.9, 0.3 },
	  { 0 } },
	{ "consensus_ta", { "prun_thre_k" }, { 3 }, { 0 } },
	{ "emr", { 0 }, { 0 }, { 0 } },
	{ "emr", { "task" }, { 1 }, { 0 } },
	{ "magmax", { 0 }, { 0 }, { 0 } },
	{ "magmax", { "lambda" }, { -0.7 }, { 0 } },
	{ "bitdelta", { 0 }, { 0 }, { 0 } },
	{ "bitdelta", { "one_bit" }, { 0 }, { 0 } },
	{ "cabs", { 0 }, { 0 }, { 0 } },
	{ "cabs", { "n_val", "m_val" }, { 2, 4 }, { 0 } },
	{ "cabs", { "default_n_val", "m_val" }, { 13, 32 }, { 0 } },
	{ "cabs", { "n_val", "default_m_val" }, { 300, 1024 }, { 0 } },
	{ "cabs", { "n_val", "m_val" }, { 30, 64 }, { 0 } },
	{ "cabs", { "n_val", "m_val" }, { 1, 2 }, { 0 } },
	{ "cabs", { "n_val", "m_val" }, { 3, 8 }, { 0 } },
	{ "cabs", { "n_val" }, { 0 }, { 0 } },
	{ "metagpt", { 0 }, { 0 }, { 0 } },
	{ "tsv_m", { 0 }, { 0 }, { 0 } },
	{ "tsv_m", { "lambda" }, { -0.7 }, { 0 } },
	{ "tsv_m", { "matrix" }, { 0 }, { 0 } },
	{ "iso_c", { "lambda" }, { 1.4 }, { 0 } },
	{ "core_space", { 0 }, { 0 }, { 0 } },
	{ "core_space", { "rank", "isotropic" }, { 3, 1 }, { 0 } },
	{ "core_space", { "matrix" }, { 0 }, { 0 } },
	{ "wudi", { 0 }, { 0 }, { 0 } },
	{ "wudi", { "reg", "lambda" }, { 0, 0.6 }, { 0 } },
	{ "ramplus_tl", { "epsilon", "r" }, { 0.004, -0.7 }, { 0 } },
	{ "breadcrumbs", { 0 }, { 0 }, { 1, 1, 1, 1 } },
	{ "breadcrumbs", { "gamma" }, { 0.05 }, { 0.5, 1, 0.2, 0.97 } },
	{ "breadcrumbs",
	  { "rescale", "normalize", "lambda", "gamma" },
	  { 1, 1, 0.8, 0.001 },
	  { 0.5, 1, 0, 0.1 } },
	{ "breadcrumbs_ties", { "gamma" }, { 0 }, { 0.3, 1, 1e-9, 0.9 } },
	{ "breadcrumbs_ties",
	  { "gamma", "rescale" },
	  { 0.1, 1 },
	  { 0.5, 1, 0.95, -1 } },
	{ "della_linear", { 0 }, { 0 }, { 0.5, 1, 0.2, 0.8 } },
	{ "della_linear",
	  { "rescale", "normalize", "lambda", "epsilon" },
	  { 0, 1, 0.8, 0.0999 },
	  { 0.9, 1, 0, 0.1 } },
	{ "della_linear",
	  { "rescale", "epsilon" },
	  { 0, -0.3 },
	  { 0.5, 1, 0.6, 0.4 } },
	{ "della", { "epsilon" }, { 0.49999 }, { 0.5, 1, 1, -1 } },
	{ "della", { "epsilon", "normalize" }, { 0.1, 0 }, { 0.7, 1, 0.3, 1 } },
	{ "della", { 0 }, { 0 }, { 1, 1, 1, 1 } },
	{ "ties", { PAPER }, { 0 }, { 0.5, 1, 0.2, 0.1 } },
	{ "ties",
	  { "normalize", "lambda", PAPER },
	  { 0, 1.3 },
	  { 1, 1, 1, 0 } },
	{ "dare_linear", { PAPER }, { 0 }, { 0.5, 1, 0.1, 0 } },
	{ "dare_linear",
	  { "rescale", "normalize", PAPER },
	  { 0, 1 },
	  { 0.3, 1, 0.9, 1 } },
	{ "dare_ties", { "normalize", PAPER }, { 1 }, { 0.5, 1, 0.1, 0.9 } },
	{ "breadcrumbs_ties", { PAPER }, { 0 }, { 0.5, 1, 0.2, 0.97 } },
	{ "della", { PAPER }, { 0 }, { 0.5, 1, 0.2, 0.8 } },
	{ "della", { "rescale", PAPER }, { 0 }, { 0.5, 1, 0.3, 0 } },
	{ "della_linear",
	  { "normalize", "epsilon", PAPER },
	  { 1, -0.1 },
	  { 0.7, 1, 0.3, 1 } },
	{ "sce", { 0 }, { 0 }, { 0 } },
	{ "sce", { "select_topk", "int8_mask" }, { 0.3, 1 }, { 0 } },
	{ "sce", { "select_topk" }, { 0.999 }, { 0 } },
	{ "sce", { "select_topk" }, { 1e-7 }, { 0 } },
};

static const float special_values[] = {
	NAN,	INFINITY, -INFINITY, -0.0f,	0.0f,	 0x1p-149f,
	1e-40f, 3e38f,	  -3e38f,    0x1p-126f, -1e-40f, 1.0f,
};

static float number(enum data data, uint64_t *seed, float like)
{
	uint32_t pick = fixture_random(seed);

	if (data == DATA_EQUALS)
		return like + (float)((int)(pick % 9) - 4) * 0x1p-9f;
	if (data == DATA_SPECIALS && pick % 50 == 0)
		return special_values[pick / 50 % ARRAY_LEN(special_values)];
	return like + fixture_normal(seed, 0.002f);
}

static bool is_option(const struct variant *variant, size_t o)
{
	return o < 4 && variant->option[o] &&
	       strcmp(variant->option[o], NO_BASE) != 0 &&
	       strcmp(variant->option[o], PAPER) != 0;
}

/* What the last option says, where it is none. */
static bool has_mark(const struct variant *variant, const char *mark)
{
	size_t o = 0;

	while (is_option(variant, o))
		o++;
	return o < 4 && variant->option[o] &&
	       strcmp(variant->option[o], mark) == 0;
}

static bool has_base(const struct variant *variant)
{
	return method_by_name(variant->method)->base != BASE_UNUSED &&
	       !has_mark(variant, NO_BASE);
}

static size_t inputs_of(const struct variant *variant)
{
	const struct merge_method *method = method_by_name(variant->method);
	size_t models =
		method->models_max < INPUTS ? method->models_max : INPUTS - 1;

	return models + has_base(variant);
}

static void sample_set(struct sample *s, const struct variant *variant)
{
	const struct merge_method *method = s->jf.job.method;

	for (size_t o = 0; o < method->options_count; o++)
		for (size_t i = 0; i < s->jf.job.args.inputs; i++) {
			const char *name = method->options[o].name;

			if (!strcmp(name, "weight"))
				job_set(&s->jf, name, i, weights[i]);
			if (!strcmp(name, "density"))
				job_set(&s->jf, name, i, variant->density[i]);
		}
	if (has_mark(variant, PAPER))
		s->jf.job.args.semantics = SEMANTICS_PAPER;
	for (size_t o = 0; is_option(variant, o); o++)
		job_set_all(&s->jf, variant->option[o], variant->value[o]);
}

void sample_open(struct sample *s, const struct variant *variant,
		 enum data data)
{
	const struct merge_method *method = method_by_name(variant->method);
	size_t inputs = inputs_of(variant);
	size_t base = has_base(variant) ? BASE : METHOD_NO_BASE;
	uint64_t seed = 42 + data;

	job_open(&s->jf, method, inputs, base, ROWS, COLS);
	for (size_t i = 0; i < inputs; i++)
		s->x[i] = calloc(ELEMENTS, sizeof(float));
	for (size_t j = 0; j < ELEMENTS; j++) {
		float like = fixture_normal(&seed, 0.02f);

		if (data == DATA_EQUALS)
			like = roundf(like * 0x1p9f) * 0x1p-9f;
		for (size_t i = 0; i < inputs; i++)
			s->x[i][j] = i == base && data != DATA_SPECIALS
					     ? like
					     : number(data, &seed, like);
	}
	for (size_t i = 0; i < inputs; i++)
		job_input(&s->jf, i, DTYPE_F32, s->x[i]);
	sample_set(s, variant);
}

void sample_close(struct sample *s)
{
	for (size_t i = 0; i < s->jf.job.args.inputs; i++)
		free(s->x[i]);
	job_close(&s->jf);
}

void assert_same(const void *a, const void *b, size_t size, const char *label)
{
	if (memcmp(a, b, size))
		fail_msg("%s: different bytes", label);
}

void sample_check_levels(struct sample *s, const char *label)
{
	unsigned char *first = malloc(s->jf.job.size);
	unsigned char *out = malloc(s->jf.job.size);
	struct pool *pool = pool_open(4, NULL);
	void *first_state;

	job_make(&s->jf, CPU_LEVEL_baseline, NULL, first, &first_state);
	for (size_t l = 0; l < CPU_LEVEL_COUNT; l++) {
		enum cpu_level level;
		void *state;

		if (!cpu_level_by_name(cpu_level_name((enum cpu_level)l),
				       &level))
			continue;
		job_make(&s->jf, level, pool, out, &state);
		assert_same(out, first, s->jf.job.size, label);
		assert_true(!state == !first_state);
		if (state)
			assert_same(state, first_state, s->jf.job.state_size,
				    label);
		free(state);
	}
	pool_close(pool);
	free(first_state);
	free(first);
	free(out);
}
