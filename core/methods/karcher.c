/*
 * karcher: the Riemannian centre of mass of the models' directions (H. Karcher,
 * "Riemannian center of mass and mollifier smoothing", 1977), all of one
 * weight, at their mean length. With n_i = |x_i|, u_i = x_i / n_i for the
 * inputs with n_i > tol,
 *
 *	u = sum_i a_i u_i, of length 1;		a_i = 1 / their number
 *	d_i = u.u_i	theta_i = acos d_i
 *	T = sum_i a_i theta_i / sin theta_i (u_i - d_i u)
 *	u <- cos|T| u + sin|T| T / |T|, of length 1
 *
 * until |T| < tol or `max_iter` times; out = u mean_i n_i, over all inputs.
 *
 * u = sum_i c_i u_i throughout, so that all of it happens to the c_i, on the
 * Gram matrix. The state is the factor of every input in the result. Where
 * mergekit's roundings are replayed they happen to u: karcher_steps.h.
 */
#include "core/methods/karcher_steps.h"

enum { KARCHER_MAX_ITER, KARCHER_TOL };

#define KARCHER_ITER_MAX 100000
/* Beyond this the arc to a point opposite to u has no direction. */
#define KARCHER_OPPOSITE (-1 + 1e-12)

struct iteration {
	size_t n;
	double tol;
	double *cosines; /* u_i.u_j */
	double share[METHOD_INPUTS_MAX];
	double c[METHOD_INPUTS_MAX];
};

/* A NaN is a point like others, and makes all NaN. */
static bool takes_part(double norm, double tol)
{
	return !(norm <= tol);
}

static void begin(struct iteration *it, const double *norms)
{
	size_t points = 0;

	for (size_t i = 0; i < it->n; i++)
		points += takes_part(norms[i], it->tol);
	for (size_t i = 0; i < it->n; i++) {
		bool part = takes_part(norms[i], it->tol);

		it->share[i] = part ? 1 / (double)points : 0;
		it->c[i] = it->share[i];
		for (size_t j = i; j < it->n; j++) {
			double *pair = &it->cosines[gram_pair(it->n, i, j)];

			part = takes_part(norms[i], it->tol) &&
			       takes_part(norms[j], it->tol);
			*pair = part ? *pair / norms[i] / norms[j] : 0;
		}
	}
}

static double length(const struct iteration *it, const double *c)
{
	double square = gram_square(it->cosines, it->n, c);

	return square < 0 ? 0 : sqrt(square);
}

static void scale(struct iteration *it, double factor)
{
	for (size_t i = 0; i < it->n; i++)
		it->c[i] *= factor;
}

/* u is the mean of the points, or, where they cancel, the first. */
static void start(struct iteration *it)
{
	double norm = length(it, it->c);
	size_t first = 0;

	if (!(norm < it->tol || norm == 0)) {
		scale(it, 1 / norm);
		return;
	}
	while (first + 1 < it->n && it->share[first] == 0)
		first++;
	for (size_t i = 0; i < it->n; i++)
		it->c[i] = i == first && it->share[i] > 0 ? 1 : 0;
}

/* u.u_i, within [-1, 1]; NaN stays NaN. */
static double cosine(const struct iteration *it, size_t i)
{
	double d = 0;

	for (size_t j = 0; j < it->n; j++)
		d += it->c[j] * it->cosines[j < i ? gram_pair(it->n, j, i)
						  : gram_pair(it->n, i, j)];
	if (d > 1)
		return 1;
	return d < -1 ? -1 : d;
}

/* T in terms of the u_i. */
static void tangent(const struct iteration *it, double *t)
{
	double along = 0; /* how much of u is taken off */

	for (size_t i = 0; i < it->n; i++) {
		double d = cosine(it, i);
		double theta = acos(d);

		t[i] = 0;
		if (it->share[i] == 0 || theta < it->tol || theta == 0 ||
		    d <= KARCHER_OPPOSITE)
			continue;
		t[i] = it->share[i] * theta / sin(theta);
		along += t[i] * d;
	}
	for (size_t i = 0; i < it->n; i++)
		t[i] -= along * it->c[i];
}

/* One step; false: the mean is found. */
static bool advance(struct iteration *it)
{
	double t[METHOD_INPUTS_MAX];
	double norm;

	tangent(it, t);
	norm = length(it, t);
	if (!(norm >= it->tol) || norm == 0)
		return false;
	for (size_t i = 0; i < it->n; i++)
		it->c[i] = cos(norm) * it->c[i] + sin(norm) / norm * t[i];
	norm = length(it, it->c);
	if (norm > it->tol)
		scale(it, 1 / norm);
	return true;
}

static void find_mean(struct iteration *it, const double *norms, size_t steps)
{
	begin(it, norms);
	start(it);
	for (size_t i = 0; i < steps; i++)
		if (!advance(it))
			return;
}

static size_t unchanged(const struct method_args *args)
{
	return args->inputs == 1 ? 0 : METHOD_CHANGED;
}

static const char *check(const struct method_args *args)
{
	if (args->arithmetic != ARITHMETIC_FLOAT32 &&
	    method_value(args, KARCHER_MAX_ITER, 0) > KARCHER_STEPS_MAX)
		return "with mergekit's arithmetic every step is computed once "
		       "more for each step after it, and max_iter is at most "
		       "64; make it less, or leave llmergefs.arithmetic out";
	return NULL;
}

static size_t steps_max(const struct method_args *args)
{
	return (size_t)method_value(args, KARCHER_MAX_ITER, 0);
}

static size_t state_size(const struct method_args *args)
{
	return ROUNDS ? karcher_steps_size(args, steps_max(args))
		      : args->inputs * sizeof(float);
}

static int reduce_steps(const struct method_args *args, const struct scan *scan,
			struct karcher_steps *st, double *sums)
{
	st->tol = (float)method_value(args, KARCHER_TOL, 0);
	return karcher_steps_find(args, scan, steps_max(args), st, sums);
}

static int reduce_gram(const struct method_args *args, const struct scan *scan,
		       float *factors, double *gram)
{
	struct iteration it = {
		.n = args->inputs,
		.tol = method_value(args, KARCHER_TOL, 0),
		.cosines = gram,
	};
	double norms[METHOD_INPUTS_MAX] = { 0 };
	double sum = 0;
	int rc = gram_reduce(args, scan, gram);

	if (rc)
		return rc;
	for (size_t i = 0; i < it.n; i++) {
		norms[i] = gram_norm(it.cosines, it.n, i);
		sum += norms[i];
	}
	find_mean(&it, norms, steps_max(args));
	for (size_t i = 0; i < it.n; i++)
		if (it.share[i] > 0)
			factors[i] = (float)one_nan(it.c[i] / norms[i] * sum /
						    (double)it.n);
	return 0;
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	if (ROUNDS)
		return reduce_steps(args, scan, state, scratch);
	return reduce_gram(args, scan, state, scratch);
}

static void karcher_tile(const struct method_args *args, const void *state,
			 const struct tile *tile)
{
	if (ROUNDS)
		karcher_steps_tile(args, state, tile);
	else
		gram_combine(args, tile, state);
}

static const struct method_option options[] = {
	[KARCHER_MAX_ITER] = {
		.name = "max_iter",
		.type = OPTION_INT,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 10,
		.min = 0,
		.max = KARCHER_ITER_MAX,
		.help = "most steps towards the mean",
	},
	[KARCHER_TOL] = {
		.name = "tol",
		.type = OPTION_FLOAT,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 1e-5,
		.min = 0,
		.max = INFINITY,
		.help = "a shorter step is the last; a shorter tensor is none",
	},
};

METHOD(karcher) = {
	.name = "karcher",
	.summary = "Riemannian mean of directions, at the mean length",
	.version = 1,
	.element_ps = 140,
	.base = BASE_UNUSED,
	.models_min = 1,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = unchanged,
	.check = check,
	.state_size = state_size,
	.scratch_size = gram_size,
	.reduce = reduce,
	.tile = karcher_tile,
};
