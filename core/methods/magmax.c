/*
 * magmax: of all task vectors the element of greatest magnitude (Marczak et
 * al., "MagMax: Leveraging Model Merging for Seamless Continual Learning",
 * 2024).
 *
 *	delta_i = x_i - base	p = argmax_i |delta_i|
 *	out = base + lambda delta_p
 *
 * Of equal magnitudes that of the model listed last is taken, as the authors'
 * program does.
 */
#include "core/methods/body.h"

enum { MAGMAX_LAMBDA };

static void take_greater(const struct method_args *args,
			 const struct tile *tile, size_t i)
{
	const float *restrict base = tile->in[args->base];
	const float *restrict x = tile->in[i];
	float *restrict greatest = tile->out;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++) {
		float delta = R(x[k] - base[k]);
		bool greater = fabsf(delta) >= fabsf(greatest[k]);

		greatest[k] = greater ? delta : greatest[k];
	}
}

static void magmax_tile(const struct method_args *args, const void *state,
			const struct tile *tile)
{
	float lambda = (float)method_value(args, MAGMAX_LAMBDA, 0);
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;

	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < args->inputs; i++)
		if (i != args->base)
			take_greater(args, tile, i);
	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + R(out[k] * lambda));
}

static const struct method_option options[] = {
	[MAGMAX_LAMBDA] = {
		.name = "lambda",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.fallback = 1,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "factor of the merged task vector",
	},
};

METHOD(magmax) = {
	.name = "magmax",
	.summary = "the base plus the greatest element of all task vectors",
	.version = 1,
	.element_ps = 110,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.tile = magmax_tile,
};
