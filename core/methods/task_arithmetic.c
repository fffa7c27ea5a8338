/*
 * task_arithmetic: the base plus a weighted sum of task vectors (Ilharco et
 * al., "Editing Models with Task Arithmetic", 2023); the formula is in
 * task_family.h. With `sparsify: one_bit` a task vector is reduced to its signs
 * and one scale (one_bit.h) before it is weighted.
 */
#include "core/methods/one_bit.h"
#include "core/methods/task_family.h"
#include "core/methods/words.h"

enum {
	TASK_SPARSIFY = TASK_OPTIONS_COUNT,
	TASK_ARITHMETIC_OPTIONS_COUNT,
};

/* The values of `sparsify`. */
enum { SPARSIFY_NONE, SPARSIFY_ONE_BIT };

static const char *const sparsify_names[] = {
	[SPARSIFY_NONE] = "none",
	[SPARSIFY_ONE_BIT] = "one_bit",
};

static size_t state_size(const struct method_args *args)
{
	return one_bit_state_size(args, TASK_SPARSIFY);
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	return one_bit_reduce(args, TASK_SPARSIFY, scan, state, scratch);
}

static void sparsify(const struct method_args *args, const void *state,
		     const struct tile *tile, size_t i, float *delta)
{
	if (one_bit_is(args, TASK_SPARSIFY, i))
		one_bit_make(state, i, tile->count, delta);
}

static void task_arithmetic_tile(const struct method_args *args,
				 const void *state, const struct tile *tile)
{
	task_sum(args, state, tile, state ? sparsify : NULL);
}

/* By the divisor, lambda, and a weight for each input but the first, which is
 * the base: task_sum() and task_finish() in one. */
static ALWAYS_INLINE float task_words_sum(const float *factors, const float *x,
					  size_t inputs)
{
	float sum = 0;

	for (size_t i = 1; i < inputs; i++)
		sum += (x[i] - x[0]) * factors[1 + i];
	return sum;
}

static ALWAYS_INLINE float task_words(const float *factors, const float *x,
				      size_t inputs)
{
	return x[0] + factors[1] * task_words_sum(factors, x, inputs);
}

static ALWAYS_INLINE float task_words_mean(const float *factors, const float *x,
					   size_t inputs)
{
	float sum = task_words_sum(factors, x, inputs);

	return x[0] + factors[1] * (sum / factors[0]);
}

static bool task_arithmetic_stored(const struct method_args *args,
				   const void *state, const struct stored *run)
{
	const void *in[WORDS_INPUTS_MAX];
	float factors[WORDS_FACTORS_MAX] = { 1 };
	size_t inputs = 1;

	if (state || args->origins || args->inputs > WORDS_INPUTS_MAX)
		return false;
	if (method_value(args, TASK_NORMALIZE, 0))
		factors[0] = task_divisor(args);
	factors[1] = (float)method_value(args, TASK_LAMBDA, 0);
	in[0] = run->in[args->base];
	for (size_t i = 0; i < args->inputs; i++) {
		if (i == args->base)
			continue;
		factors[1 + inputs] = (float)method_value(args, TASK_WEIGHT, i);
		in[inputs++] = run->in[i];
	}
	if (factors[0] == 1)
		return words_run(factors, run, in, inputs, task_words);
	return words_run(factors, run, in, inputs, task_words_mean);
}

static const struct method_option options[TASK_ARITHMETIC_OPTIONS_COUNT] = {
	TASK_OPTION_ROWS(-INFINITY,
			 "accepted, as in mergekit; changes nothing", 0, 0),
	[TASK_SPARSIFY] = {
		.name = "sparsify",
		.type = OPTION_CHOICE,
		.scope = OPTION_PER_MODEL,
		.in_state = true,
		.fallback = SPARSIFY_NONE,
		.min = SPARSIFY_NONE,
		.max = SPARSIFY_ONE_BIT,
		.help = "one_bit: signs and one scale a tensor, as BitDelta",
		.choices = sparsify_names,
	},
};

METHOD(task_arithmetic) = {
	.name = "task_arithmetic",
	.summary = "the base plus a weighted sum of task vectors",
	.version = 1,
	.element_ps = 210,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.own_bases = true,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.state_size = state_size,
	.scratch_size = one_bit_scratch_size,
	.reduce = reduce,
	.tile = task_arithmetic_tile,
	.stored = STORED(task_arithmetic_stored),
};
