/*
 * nearswap: from the base a towards one model b, the more so the nearer the two
 * are (alchemonaut, "QuartetAnemoi-70B", 2024).
 *
 *	w = t / max(|a - b|, 1e-6), within [0, 1]
 *	out = w b + (1 - w) a
 *
 * The quotient is the reciprocal times t, as in mergekit.
 */
#include "core/methods/body.h"

enum { NEARSWAP_T };

#define NEARSWAP_DISTANCE_MIN 1e-6f

/* NaN stays NaN. */
static float clamp_share(float w)
{
	if (w > 1)
		return 1;
	return w < 0 ? 0 : w;
}

static void nearswap_tile(const struct method_args *args, const void *state,
			  const struct tile *tile)
{
	float t = (float)method_value(args, NEARSWAP_T, 0);
	float least = R(NEARSWAP_DISTANCE_MIN);
	const float *restrict a = tile->in[args->base];
	const float *restrict b = tile->in[1 - args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++) {
		float distance = fabsf(R(a[k] - b[k]));
		float w;

		if (distance < least)
			distance = least;
		w = clamp_share(R(R(1 / distance) * t));
		out[k] = R(R(w * b[k]) + R(R(1 - w) * a[k]));
	}
}

static const struct method_option options[] = {
	[NEARSWAP_T] = {
		.name = "t",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.required = true,
		.fallback = OPTION_UNSET,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "distance up to which the other model's number is taken",
	},
};

METHOD(nearswap) = {
	.name = "nearswap",
	.summary = "the base, swapped for one model where the two are near",
	.version = 1,
	.element_ps = 200,
	.base = BASE_REQUIRED,
	.models_min = 1,
	.models_max = 1,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.tile = nearswap_tile,
};
