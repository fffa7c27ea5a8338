/*
 * ramplus_tl: ram, with what only one model changes made stronger, the more so
 * the more of that model's changes in the tensor overlap with others'. The rest
 * of the formula is in ram.h.
 *
 *	shared_i = #{ a_i, n > 1 }	unique_i = #{ a_i, n = 1 }
 *	rho_i = shared_i / max(unique_i, epsilon)
 *	lambda_i = 1 + r rho_i, with rho_i within [0, alpha]
 *
 * The state is the two counts of every input; r and alpha are not in it.
 */
#include "core/methods/ram.h"

enum { RAMPLUS_EPSILON = RAM_EPSILON, RAMPLUS_R, RAMPLUS_ALPHA };

struct overlap {
	uint64_t shared, unique;
};

static size_t state_size(const struct method_args *args)
{
	return args->inputs * sizeof(struct overlap);
}

static void add(const struct method_args *args, const struct tile *tile,
		const void *ctx, void *partial)
{
	float changers[TILE_ELEMENTS] __attribute__((aligned(64)));
	const float *restrict base = tile->in[args->base];
	struct overlap *overlaps = partial;
	float epsilon = ram_epsilon(args);
	size_t count = tile->count;

	ram_count(args, tile, changers);
	for (size_t i = 0; i < args->inputs; i++) {
		const float *restrict x = tile->in[i];
		uint32_t changed = 0;
		uint32_t unique = 0;

		if (i == args->base)
			continue;
		for (size_t k = 0; k < count; k++) {
			bool counts = fabsf(R(x[k] - base[k])) > epsilon;

			changed += counts;
			unique += counts & (changers[k] == 1);
		}
		overlaps[i].shared += changed - unique;
		overlaps[i].unique += unique;
	}
}

static void fold(const struct method_args *args, const void *ctx, void *total,
		 const void *partial)
{
	const struct overlap *part = partial;
	struct overlap *sum = total;

	for (size_t i = 0; i < args->inputs; i++) {
		sum[i].shared += part[i].shared;
		sum[i].unique += part[i].unique;
	}
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	const struct scan_step step = {
		.partial_size = state_size(args),
		.commutes = true,
		.add = add,
		.fold = fold,
	};

	return scan_run(scan, 0, args->elements, &step, state);
}

static float lambda_of(const struct method_args *args,
		       const struct overlap *overlap)
{
	float alpha = (float)method_value(args, RAMPLUS_ALPHA, 0);
	float r = (float)method_value(args, RAMPLUS_R, 0);
	float unique = fmaxf((float)overlap->unique, ram_epsilon(args));
	float rho = (float)overlap->shared / unique;

	rho = rho < 0 ? 0 : rho;
	rho = rho > alpha ? alpha : rho;
	return 1 + r * rho;
}

static void ramplus_tile(const struct method_args *args, const void *state,
			 const struct tile *tile)
{
	const struct overlap *overlaps = state;
	float lambdas[METHOD_INPUTS_MAX];

	for (size_t i = 0; i < args->inputs; i++)
		lambdas[i] = lambda_of(args, &overlaps[i]);
	ram_merge(args, tile, lambdas);
}

static const struct method_option options[] = {
	[RAMPLUS_EPSILON] = RAM_EPSILON_OPTION,
	[RAMPLUS_R] = {
		.name = "r",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.fallback = 0.1,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "how much stronger overlap makes a model's own changes",
	},
	[RAMPLUS_ALPHA] = {
		.name = "alpha",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.fallback = 0.2,
		.min = -INFINITY,
		.max = INFINITY,
		.help = "greatest overlap that counts",
	},
};

METHOD(ramplus_tl) = {
	.name = "ramplus_tl",
	.summary = "ram, with what one model alone changes made stronger",
	.version = 1,
	.element_ps = 260,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.result_f32 = true,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.state_size = state_size,
	.reduce = reduce,
	.tile = ramplus_tile,
};
