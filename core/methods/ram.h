/*
 * What ram and ramplus_tl share ("Behavior Knowledge Merge in Reinforced
 * Agentic Models", 2026): an element counts as changed by the models whose task
 * vector moves it by more than epsilon.
 *
 *	delta_i = x_i - base	a_i = [ |delta_i| > epsilon ]	n = sum_i a_i
 *
 *	out = base + sum_i a_i delta_i f_i	f_i = 1 / n	where n > 1
 *						f_i = lambda_i	elsewhere
 *
 * What only one model changes is taken whole, or more than whole; what several
 * change is averaged. What does not count is multiplied by 0, so that NaN stays
 * NaN.
 */
#ifndef LMFS_METHODS_RAM_H
#define LMFS_METHODS_RAM_H

#include "core/methods/body.h"

/* The first option of both. */
#define RAM_EPSILON 0
#define RAM_EPSILON_OPTION                                                  \
	{                                                                   \
		.name = "epsilon", .type = OPTION_FLOAT,                    \
		.scope = OPTION_GLOBAL, .in_state = true, .fallback = 1e-5, \
		.min = -INFINITY, .max = INFINITY,                          \
		.help = "an element that moves by no more is unchanged",    \
	}

static inline float ram_epsilon(const struct method_args *args)
{
	return R((float)method_value(args, RAM_EPSILON, 0));
}

static inline float ram_changed(float delta, float epsilon)
{
	return fabsf(delta) > epsilon ? 1 : 0;
}

/* How many models change each element of the tile. */
static inline void ram_count(const struct method_args *args,
			     const struct tile *tile, float *restrict changers)
{
	const float *restrict base = tile->in[args->base];
	float epsilon = ram_epsilon(args);
	size_t count = tile->count;

	memset(changers, 0, count * sizeof(*changers));
	for (size_t i = 0; i < args->inputs; i++) {
		const float *restrict x = tile->in[i];

		if (i == args->base)
			continue;
		for (size_t k = 0; k < count; k++)
			changers[k] += ram_changed(R(x[k] - base[k]), epsilon);
	}
}

/* out += the terms of one model; lambda is of what it alone changes, and a
 * binary32, as are its products. */
static inline void ram_add(const struct method_args *args,
			   const struct tile *tile, size_t i, float lambda,
			   const float *restrict changers)
{
	const float *restrict base = tile->in[args->base];
	const float *restrict x = tile->in[i];
	float *restrict out = tile->out;
	float epsilon = ram_epsilon(args);
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++) {
		float delta = R(x[k] - base[k]);
		float factor = changers[k] > 1 ? 1 : lambda;
		float parts = changers[k] > 1 ? changers[k] : 1;

		delta = delta * ram_changed(delta, epsilon);
		out[k] += R(delta / parts) * factor;
	}
}

/* lambdas: one for every input, whose result is binary32; NULL: 1. */
static inline void ram_merge(const struct method_args *args,
			     const struct tile *tile, const float *lambdas)
{
	float changers[TILE_ELEMENTS] __attribute__((aligned(64)));
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	size_t count = tile->count;

	ram_count(args, tile, changers);
	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < args->inputs; i++)
		if (i != args->base)
			ram_add(args, tile, i, lambdas ? lambdas[i] : 1,
				changers);
	for (size_t k = 0; k < count; k++)
		out[k] = lambdas ? base[k] + out[k] : R(base[k] + R(out[k]));
}

#endif
