/*
 * karcher as mergekit computes it, each operation rounded to the work type. The
 * mean u is no longer a combination of the u_i whose factors tell all, so every
 * element goes through all steps again, with what the passes over the tensor
 * have found: for each step the u.u_i, |T| and the length of the new u. So the
 * k-th step costs as much as the k-1 before it, and their number is limited.
 *
 * Norms and what divides by them stay binary32, as in mergekit. Its own, added
 * up in binary32, depend on the CPU and the number of threads in their last
 * bits; and no rounding takes that away.
 */
#ifndef LMFS_METHODS_KARCHER_STEPS_H
#define LMFS_METHODS_KARCHER_STEPS_H

#include "core/methods/chain.h"

#define KARCHER_STEPS_MAX 64

/* What a step has found; for every input u.u_i and its factor in T follow. */
struct karcher_step {
	float along, aside; /* cos |T|, sin |T| */
	float tangent_norm;
	float norm; /* of the new u; 1 where it is not divided */
};

/* The state: norms of the inputs, then the steps one after another. */
struct karcher_steps {
	float share; /* a_i, of those whose norm exceeds tol */
	float tol;
	float mean_norm; /* of their mean; below tol: u starts as the first */
	float scale;	 /* of u in the result */
	uint32_t first;	 /* input of those; args->inputs: there is none */
	uint32_t done;	 /* steps made */
	float numbers[];
};

static inline size_t karcher_step_numbers(const struct method_args *args)
{
	return sizeof(struct karcher_step) / sizeof(float) + 2 * args->inputs;
}

static inline size_t karcher_steps_size(const struct method_args *args,
					size_t steps)
{
	return sizeof(struct karcher_steps) +
	       (args->inputs + steps * karcher_step_numbers(args)) *
		       sizeof(float);
}

/* Where a step is among the numbers, and its u.u_i. */
static inline size_t karcher_step_at(const struct method_args *args, size_t s)
{
	return args->inputs + s * karcher_step_numbers(args);
}

static inline size_t karcher_dots_at(const struct method_args *args, size_t s)
{
	return karcher_step_at(args, s) +
	       sizeof(struct karcher_step) / sizeof(float);
}

static inline struct karcher_step
karcher_step_of(const struct method_args *args, const struct karcher_steps *st,
		size_t s)
{
	struct karcher_step step;

	memcpy(&step, st->numbers + karcher_step_at(args, s), sizeof(step));
	return step;
}

/* A norm that is NaN takes part in nothing, as no comparison is true of it. */
static inline bool step_takes(const struct karcher_steps *st, size_t i)
{
	return st->numbers[i] > st->tol;
}

static inline void step_unit(const struct karcher_steps *st,
			     const struct tile *tile, size_t i,
			     float *restrict unit)
{
	const float *restrict x = tile->in[i];
	float norm = st->numbers[i];
	size_t count = tile->count;

	for (size_t k = 0; k < count; k++)
		unit[k] = R(x[k] / norm);
}

/* The mean of the u_i, not yet divided. */
static inline void step_mean(const struct method_args *args,
			     const struct karcher_steps *st,
			     const struct tile *tile, float *restrict u)
{
	float unit[TILE_ELEMENTS] __attribute__((aligned(64)));
	size_t count = tile->count;

	memset(u, 0, count * sizeof(*u));
	for (size_t i = 0; i < args->inputs; i++) {
		if (!step_takes(st, i))
			continue;
		step_unit(st, tile, i, unit);
		for (size_t k = 0; k < count; k++)
			u[k] = R(u[k] + R(unit[k] * st->share));
	}
}

static inline void step_begin(const struct method_args *args,
			      const struct karcher_steps *st,
			      const struct tile *tile, float *u)
{
	if (st->mean_norm < st->tol) {
		step_unit(st, tile, st->first, u);
		return;
	}
	step_mean(args, st, tile, u);
	chain_divide(u, st->mean_norm, tile->count);
}

/* T = sum_i f_i (u_i - d_i u) */
static inline void step_tangent(const struct method_args *args,
				const struct karcher_steps *st,
				const struct tile *tile, size_t s,
				const float *restrict u, float *restrict t)
{
	float unit[TILE_ELEMENTS] __attribute__((aligned(64)));
	const float *dots = st->numbers + karcher_dots_at(args, s);
	size_t count = tile->count;

	memset(t, 0, count * sizeof(*t));
	for (size_t i = 0; i < args->inputs; i++) {
		float d = dots[i];
		float f = dots[args->inputs + i];

		if (f == 0)
			continue;
		step_unit(st, tile, i, unit);
		for (size_t k = 0; k < count; k++)
			t[k] = R(t[k] + R(f * R(unit[k] - R(d * u[k]))));
	}
}

/* u along T, not yet divided by its new length. */
static inline void step_turn(const struct method_args *args,
			     const struct karcher_steps *st,
			     const struct tile *tile, size_t s,
			     float *restrict u)
{
	float t[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct karcher_step of = karcher_step_of(args, st, s);
	size_t count = tile->count;

	step_tangent(args, st, tile, s, u, t);
	for (size_t k = 0; k < count; k++)
		u[k] = R(R(of.along * u[k]) +
			 R(of.aside * R(t[k] / of.tangent_norm)));
}

/* u after so many steps. */
static inline void step_replay(const struct method_args *args,
			       const struct karcher_steps *st, size_t steps,
			       const struct tile *tile, float *u)
{
	step_begin(args, st, tile, u);
	for (size_t s = 0; s < steps; s++) {
		step_turn(args, st, tile, s, u);
		chain_divide(u, karcher_step_of(args, st, s).norm, tile->count);
	}
}

static inline void add_mean(const struct method_args *args,
			    const struct tile *tile, const void *ctx,
			    double *sums)
{
	float u[TILE_ELEMENTS] __attribute__((aligned(64)));

	step_mean(args, ctx, tile, u);
	*sums += lanes_dot(u, u, tile->count);
}

static inline void add_dots(const struct method_args *args,
			    const struct tile *tile, const void *ctx,
			    double *sums)
{
	float u[TILE_ELEMENTS] __attribute__((aligned(64)));
	float unit[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct karcher_steps *st = ctx;

	step_replay(args, st, st->done, tile, u);
	for (size_t i = 0; i < args->inputs; i++) {
		if (!step_takes(st, i))
			continue;
		step_unit(st, tile, i, unit);
		sums[i] += lanes_dot(u, unit, tile->count);
	}
}

static inline void add_tangent(const struct method_args *args,
			       const struct tile *tile, const void *ctx,
			       double *sums)
{
	float u[TILE_ELEMENTS] __attribute__((aligned(64)));
	float t[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct karcher_steps *st = ctx;

	step_replay(args, st, st->done, tile, u);
	step_tangent(args, st, tile, st->done, u, t);
	*sums += lanes_dot(t, t, tile->count);
}

static inline void add_turn(const struct method_args *args,
			    const struct tile *tile, const void *ctx,
			    double *sums)
{
	float u[TILE_ELEMENTS] __attribute__((aligned(64)));
	const struct karcher_steps *st = ctx;

	step_replay(args, st, st->done, tile, u);
	step_turn(args, st, tile, st->done, u);
	*sums += lanes_dot(u, u, tile->count);
}

/* s = sum_i |x_i| / n, of all inputs. */
static inline float step_scale(const struct method_args *args,
			       const struct karcher_steps *st)
{
	double share = 1 / (double)args->inputs;
	double sum = 0;
	float rounded = 0;

	for (size_t i = 0; i < args->inputs; i++) {
		rounded += (float)share * st->numbers[i];
		sum += share * (double)st->numbers[i];
	}
	if (args->arithmetic == ARITHMETIC_MERGEKIT_014)
		return chain_number(sum);
	return R(rounded);
}

static inline void step_norms(const struct method_args *args,
			      const double *squares, struct karcher_steps *st)
{
	double share = 1 / (double)args->inputs;
	double total = 0;

	st->first = (uint32_t)args->inputs;
	for (size_t i = args->inputs; i-- > 0;) {
		st->numbers[i] = chain_norm_f32(squares[i]);
		if (!step_takes(st, i))
			continue;
		st->first = (uint32_t)i;
		total += share;
	}
	st->share = total > 0 ? (float)(share / total) : 0;
	st->scale = step_scale(args, st);
}

/* The factors in T, of the products u.u_i. */
static inline void step_factors(const struct method_args *args,
				const double *products,
				struct karcher_steps *st)
{
	float *dots = st->numbers + karcher_dots_at(args, st->done);
	float *factors = dots + args->inputs;

	for (size_t i = 0; i < args->inputs; i++) {
		float d = R(chain_number(products[i]));
		float theta;

		d = d > 1 ? 1 : d;
		dots[i] = d < -1 ? -1 : d;
		theta = R((float)acos((double)dots[i]));
		factors[i] = 0;
		if (step_takes(st, i) && !(theta < R(st->tol)))
			factors[i] = R(R(theta / R((float)sin((double)theta))) *
				       st->share);
	}
}

/* One step; *done: the mean is found. */
static inline int step_find(const struct method_args *args,
			    const struct scan *scan, struct karcher_steps *st,
			    double *sums, bool *done)
{
	const struct chain_pass dots = { args->inputs, add_dots, st };
	const struct chain_pass tangent = { 1, add_tangent, st };
	const struct chain_pass turn = { 1, add_turn, st };
	float *step = st->numbers + karcher_step_at(args, st->done);
	struct karcher_step of = { 0 };
	int rc = chain_sums(args, scan, &dots, sums);

	if (rc)
		return rc;
	step_factors(args, sums, st);
	rc = chain_sums(args, scan, &tangent, sums);
	of.tangent_norm = chain_norm_f32(*sums);
	*done = of.tangent_norm < st->tol;
	if (rc || *done)
		return rc;
	of.along = R((float)cos((double)of.tangent_norm));
	of.aside = R((float)sin((double)of.tangent_norm));
	memcpy(step, &of, sizeof(of));
	rc = chain_sums(args, scan, &turn, sums);
	of.norm = chain_norm_f32(*sums);
	if (!(of.norm > st->tol))
		of.norm = 1;
	memcpy(step, &of, sizeof(of));
	st->done++;
	return rc;
}

/* st->tol is set; sums: one of every input. */
static inline int karcher_steps_find(const struct method_args *args,
				     const struct scan *scan, size_t steps,
				     struct karcher_steps *st, double *sums)
{
	const struct chain_pass squares = { args->inputs, chain_squares, NULL };
	const struct chain_pass mean = { 1, add_mean, st };
	bool done = false;
	int rc = chain_sums(args, scan, &squares, sums);

	if (rc)
		return rc;
	step_norms(args, sums, st);
	if (st->first == args->inputs)
		return 0;
	rc = chain_sums(args, scan, &mean, sums);
	st->mean_norm = chain_norm_f32(*sums);
	while (!rc && !done && st->done < steps)
		rc = step_find(args, scan, st, sums, &done);
	return rc;
}

static inline void karcher_steps_tile(const struct method_args *args,
				      const struct karcher_steps *st,
				      const struct tile *tile)
{
	float *restrict out = tile->out;
	size_t count = tile->count;

	if (st->first == args->inputs) {
		memset(out, 0, count * sizeof(*out));
		return;
	}
	step_replay(args, st, st->done, tile, out);
	for (size_t k = 0; k < count; k++)
		out[k] = R(out[k] * st->scale);
}

#endif
