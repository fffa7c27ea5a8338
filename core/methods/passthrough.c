/*
 * passthrough: one model's tensor, as it is or times a number. What is not
 * scaled is not computed either: its bytes are the source's.
 *
 *	out = scale x
 */
#include "core/methods/body.h"

enum { PASSTHROUGH_SCALE };

static bool is_scaled(const struct method_args *args)
{
	return !isnan(method_value(args, PASSTHROUGH_SCALE, 0));
}

static size_t unchanged(const struct method_args *args)
{
	return is_scaled(args) ? METHOD_CHANGED : 0;
}

static void passthrough_tile(const struct method_args *args, const void *state,
			     const struct tile *tile)
{
	float scale = (float)method_value(args, PASSTHROUGH_SCALE, 0);

	size_t count = tile->count;
	const float *restrict x = tile->in[0];
	float *restrict out = tile->out;

	if (!is_scaled(args)) {
		memcpy(out, x, count * sizeof(*out));
		return;
	}
	for (size_t k = 0; k < count; k++)
		out[k] = R(x[k] * scale);
}

static const struct method_option options[] = {
	[PASSTHROUGH_SCALE] = {
		.name = "scale",
		.type = OPTION_FLOAT,
		.scope = OPTION_PER_MODEL,
		.fallback = OPTION_UNSET,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "multiply by this number; not set: leave as it is",
	},
};

METHOD(passthrough) = {
	.name = "passthrough",
	.summary = "one model's tensors, for stacking layers of several",
	.version = 1,
	.element_ps = 140,
	.base = BASE_UNUSED,
	.base_has_options = true,
	.models_min = 1,
	.models_max = 1,
	.missing = MISSING_ERROR,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = unchanged,
	.tile = passthrough_tile,
};
