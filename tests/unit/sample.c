#include "tests/unit/sample.h"

#include <math.h>

static const double weights[INPUTS] = { 0.3, 0.66, -0.2, 0.51 };

const struct variant variants[VARIANTS] = {
	{ "linear", { 0 }, { 0 }, { 0 } },
	{ "linear", { "normalize" }, { 0 }, { 0 } },
	{ "passthrough", { 0 }, { 0 }, { 0 } },
	{ "passthrough", { "scale" }, { 0.7 }, { 0 } },
	{ "passthrough", { "scale" }, { 0 }, { 0 } },
	{ "slerp", { "t" }, { 0.3 }, { 0 } },
	{ "slerp", { "t" }, { 1.4 }, { 0 } },
	{ "task_arithmetic", { 0 }, { 0 }, { 1, 1, 1, 1 } },
	{ "task_arithmetic",
	  { "normalize", "lambda", "density" },
	  { 1, 0.7, 0.5 },
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

static size_t inputs_of(const struct merge_method *method)
{
	size_t models =
		method->models_max < INPUTS ? method->models_max : INPUTS - 1;

	return method->base == BASE_UNUSED ? models : models + 1;
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
	for (size_t o = 0; o < 4 && variant->option[o]; o++)
		job_set_all(&s->jf, variant->option[o], variant->value[o]);
}

void sample_open(struct sample *s, const struct variant *variant,
		 enum data data)
{
	const struct merge_method *method = method_by_name(variant->method);
	size_t inputs = inputs_of(method);
	size_t base = method->base == BASE_UNUSED ? METHOD_NO_BASE : BASE;
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
