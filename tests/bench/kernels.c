/*
 * The arithmetic alone: elements a second of a weighted sum of two bfloat16
 * inputs, on one core, all of it in that core's L2, at every level of the CPU.
 *
 *	kernels ROUNDS
 *
 * One line a level and a way, a figure of each round: "stored", as a mount does
 * it, in one pass; and "tiles", the loads, the method's tile and the store, as
 * it does for other types.
 */
#include "tests/bench/bench.h"

#include "core/kernels.h"

#define ELEMENTS (32u << 10) /* 64 KiB an input */
#define INPUTS 2u
#define ROUND_SECONDS 0.05

struct work {
	uint16_t in[INPUTS][ELEMENTS];
	uint16_t out[ELEMENTS];
	_Alignas(64) float x[INPUTS][TILE_ELEMENTS];
	_Alignas(64) float y[TILE_ELEMENTS];
};

static void make_tile(const struct merge_method *method,
		      const struct kernels *kernels,
		      const struct method_args *args, struct work *work,
		      size_t first)
{
	const float *in[INPUTS];
	struct tile tile = {
		.first = first,
		.count = TILE_ELEMENTS,
		.in = in,
		.out = work->y,
	};

	for (size_t i = 0; i < INPUTS; i++) {
		kernels->load[DTYPE_BF16](work->x[i], work->in[i] + first,
					  TILE_ELEMENTS);
		in[i] = work->x[i];
	}
	method->tile(args, NULL, &tile);
	kernels->store[DTYPE_BF16](work->out + first, work->y, TILE_ELEMENTS);
}

static void make_stored(const struct merge_method *method,
			const struct method_args *args, struct work *work)
{
	const void *const in[INPUTS] = { work->in[0], work->in[1] };
	const struct stored run = { .count = ELEMENTS,
				    .in = in,
				    .out = work->out };

	if (!method->stored(args, NULL, &run))
		die("%s needs tiles", method->name);
}

/* Elements a second of one round. */
static double run_round(enum cpu_level level, bool stored,
			const struct method_args *args, struct work *work)
{
	const struct merge_method *method =
		method_variant(method_by_name("linear"), level, ROUNDING_f32);
	const struct kernels *kernels = kernels_at(level);
	double begin = clock_seconds(), seconds;
	uint64_t elements = 0;

	do {
		if (stored)
			make_stored(method, args, work);
		for (size_t first = 0; first < ELEMENTS && !stored;
		     first += TILE_ELEMENTS)
			make_tile(method, kernels, args, work, first);
		elements += ELEMENTS;
		seconds = clock_seconds() - begin;
	} while (seconds < ROUND_SECONDS);
	return (double)elements / seconds;
}

/* Nothing where this CPU has no such level. */
static void run_level(enum cpu_level level, bool stored, uint64_t rounds,
		      const struct method_args *args, struct work *work)
{
	if (!cpu_level_by_name(cpu_level_name(level), &level))
		return;
	printf("{\"level\": \"%s\", \"way\": \"%s\", \"elements_per_s\": [",
	       cpu_level_name(level), stored ? "stored" : "tiles");
	for (uint64_t i = 0; i < rounds; i++)
		printf("%s%.0f", i ? ", " : "",
		       run_round(level, stored, args, work));
	puts("]}");
}

/* Values of linear's options, in the order of its table. */
static void fill_values(double *values)
{
	const struct merge_method *linear = method_by_name("linear");

	for (size_t o = 0; o < linear->options_count; o++)
		for (size_t i = 0; i < INPUTS; i++)
			values[o * INPUTS + i] =
				strcmp(linear->options[o].name, "weight")
					? linear->options[o].fallback
					: 0.5;
}

int main(int argc, char **argv)
{
	AUTO_FREE struct work *work = alloc_pages(sizeof(*work));
	double values[INPUTS * METHOD_OPTIONS_MAX];
	const struct method_args args = {
		.inputs = INPUTS,
		.base = METHOD_NO_BASE,
		.values = values,
		.elements = ELEMENTS,
		.cols = ELEMENTS,
		.rows = 1,
		.name = "model.layers.0.mlp.up_proj.weight",
	};

	if (argc != 2)
		die("kernels ROUNDS");
	fill_values(values);
	for (size_t i = 0; i < INPUTS; i++)
		for (size_t k = 0; k < ELEMENTS; k++)
			work->in[i][k] = (uint16_t)(0x3c00 + 37 * k % 251);
	for (size_t i = 0; i < CPU_LEVEL_COUNT; i++)
		for (int stored = 1; stored >= 0; stored--)
			run_level((enum cpu_level)i, stored,
				  parse_number(argv[1]), &args, work);
	return EXIT_SUCCESS;
}
