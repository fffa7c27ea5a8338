/*
 * The angle between two vectors, and the factors by which nuslerp adds them up.
 * A column's factors are wanted an element at a time, so sines are computed
 * here.
 *
 * Where mergekit's roundings are replayed, a pass finds the norms and another
 * the products of the unit vectors. mergekit 0.1.4 turns opposite vectors, too,
 * dividing by the sine of pi as rounded, and makes NaN of parallel binary16.
 */
#ifndef LMFS_METHODS_NUSLERP_ANGLE_H
#define LMFS_METHODS_NUSLERP_ANGLE_H

#include "core/methods/gram_columns.h"
#include "core/methods/gram_spans.h"
#include "core/methods/rounded_dot.h"

#define NUSLERP_NORM_MIN 1e-7
#define NUSLERP_PARALLEL 1e-16f
#define NUSLERP_SINE_MIN 1e-8f /* of 0.1.4; in binary16 it is 0 */

/* pi in two parts, of which the first has many zeros to its end. */
#define PI_HIGH 0x1.921fb544p+1
#define PI_LOW 0x1.0b4611a626331p-33
/* Added and taken off, it rounds to a whole number, even where undecided. */
#define ROUNDER 0x1.8p52

/* divisor: where roundings are replayed; else 1, and not used. */
struct factors {
	float first, second, divisor;
};

/* NaN stays NaN. */
static inline double norm_of(double square)
{
	double norm = sqrt(square);

	return norm < NUSLERP_NORM_MIN ? NUSLERP_NORM_MIN : norm;
}

/* Whether interpolation is linear, by the cosine as mergekit has it. */
static inline bool is_straight(const struct method_args *args, float cosine)
{
	bool parallel = R(1 - R(cosine * cosine)) <= R(NUSLERP_PARALLEL);

	if (args->arithmetic == ARITHMETIC_MERGEKIT_014 && cosine < 0)
		return false;
	return parallel;
}

/* The angle, of the products v0.v0, v0.v1, v1.v1. */
static inline void find_angle(const struct method_args *args,
			      const double *gram, double *theta)
{
	double d = gram[1] / norm_of(gram[0]) / norm_of(gram[2]);
	float cosine = (float)d;

	*theta = acos(d);
	if (cosine <= -1)
		*theta = (double)(float)M_PI;
	if (is_straight(args, cosine))
		*theta = 0;
}

/* The same of the rounded products of unit vectors. */
static inline void find_rounded_angle(const struct method_args *args,
				      const double *product, double *theta)
{
	float d = R((float)*product);

	d = d > 1 ? 1 : d;
	d = d < -1 ? -1 : d;
	*theta = (double)R((float)acos((double)d));
	if (is_straight(args, d))
		*theta = args->arithmetic == ARITHMETIC_MERGEKIT_014 &&
					 R(NUSLERP_SINE_MIN) == 0
				 ? (double)NAN
				 : 0;
}

static inline void find_norms(const struct method_args *args,
			      const double *gram, double *norms)
{
	float least = R((float)NUSLERP_NORM_MIN);

	for (size_t i = 0; i < 2; i++) {
		float norm = R((float)sqrt(gram[2 * i]));

		norms[i] = (double)(norm < least ? least : norm);
	}
}

/* known: the two norms of every span. */
static inline void add_units(const struct method_args *args,
			     const struct tile *tile,
			     const struct span_part *part, const double *known,
			     double *sums)
{
	const struct column_run run =
		column_run_at(args, tile, part->at, part->count);
	float norm0 = (float)known[2 * part->span];
	float norm1 = (float)known[2 * part->span + 1];
	float u0[TILE_ELEMENTS] __attribute__((aligned(64)));
	float u1[TILE_ELEMENTS] __attribute__((aligned(64)));

	for (size_t k = 0; k < run.count; k++) {
		u0[k] = R(R(run.v0[k] - run.base[k]) / norm0);
		u1[k] = R(R(run.v1[k] - run.base[k]) / norm1);
	}
	*sums += lanes_dot_rounded(u0, u1, run.count);
}

/*
 * For any x of up to a few million: x = k pi + r, sin x = (-1)^k sin r, and a
 * polynomial for |r| <= pi/2, right to 13 digits. Plain operations only, so
 * that it is the same everywhere and can be done for many elements at once.
 */
static inline double sine(double x)
{
	double k = (x * M_1_PI + ROUNDER) - ROUNDER;
	double half = (k * 0.5 + ROUNDER) - ROUNDER;
	double sign = 1 - 4 * fabs(k * 0.5 - half);
	double r = (x - k * PI_HIGH) - k * PI_LOW;
	double s = r * r;
	double p = 1 / 355687428096000.0;

	p = p * s - 1 / 1307674368000.0;
	p = p * s + 1 / 6227020800.0;
	p = p * s - 1 / 39916800.0;
	p = p * s + 1 / 362880.0;
	p = p * s - 1 / 5040.0;
	p = p * s + 1 / 120.0;
	p = p * s - 1 / 6.0;
	return sign * (r + r * s * p);
}

static inline struct factors factors_of(double t, double theta)
{
	double over = 1 / sine(theta);
	double first = sine((1 - t) * theta) * over;
	double second = sine(t * theta) * over;

	return (struct factors){
		.first = (float)(theta == 0 ? 1 - t : first),
		.second = (float)(theta == 0 ? t : second),
		.divisor = 1,
	};
}

static inline struct factors rounded_factors_of(double t, double theta)
{
	float first = R((float)(1 - t) * (float)theta);
	float second = R((float)t * (float)theta);

	if (theta == 0)
		return (struct factors){ (float)(1 - t), (float)t, 1 };
	return (struct factors){
		.first = R((float)sine((double)first)),
		.second = R((float)sine((double)second)),
		.divisor = R((float)sine(theta)),
	};
}

static inline struct factors factors_at(double t, double theta)
{
	return ROUNDS ? rounded_factors_of(t, theta) : factors_of(t, theta);
}

#endif
