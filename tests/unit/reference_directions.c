/*
 * nuslerp, multislerp, karcher and model_stock in double, on whole vectors: no
 * Gram matrix, no blocks.
 */
#include <assert.h>
#include <math.h>

#include "tests/unit/reference.h"

/* The vectors of a job: inputs, or their differences from the base. */
struct vectors {
	size_t n, length;
	double *v[METHOD_INPUTS_MAX];
	double *peak;  /* the greatest term of an element of the result */
	double factor; /* the greatest of an input */
	double weight[METHOD_INPUTS_MAX];
};

/* Where the elements of a vector lie in the tensor. */
struct line {
	size_t first, step, length;
};

static double option(const struct merge_method *method,
		     const struct method_args *args, const char *name,
		     size_t input)
{
	for (size_t o = 0; o < method->options_count; o++)
		if (!strcmp(method->options[o].name, name))
			return args->values[o * args->inputs + input];
	return NAN;
}

static void vectors_open(struct vectors *vs, const struct merge_method *method,
			 const struct method_args *args, const float *const *x,
			 struct line line)
{
	const float *base = args->base < args->inputs ? x[args->base] : NULL;

	*vs = (struct vectors){ .length = line.length, .factor = 1 };
	vs->peak = calloc(line.length, sizeof(*vs->peak));
	for (size_t i = 0; i < args->inputs; i++) {
		double *v;

		if (i == args->base)
			continue;
		v = calloc(line.length, sizeof(*v));
		for (size_t k = 0; k < line.length; k++) {
			size_t j = line.first + k * line.step;
			float delta = base ? x[i][j] - base[j] : x[i][j];

			v[k] = (double)delta;
		}
		vs->weight[vs->n] = option(method, args, "weight", i);
		vs->v[vs->n++] = v;
	}
	assert(vs->n > 1 && vs->v[0] && vs->v[1]);
}

static void vectors_close(struct vectors *vs)
{
	for (size_t i = 0; i < vs->n; i++)
		free(vs->v[i]);
	free(vs->peak);
}

static double dot(const double *a, const double *b, size_t n)
{
	long double sum = 0;

	for (size_t k = 0; k < n; k++)
		sum += (long double)a[k] * (long double)b[k];
	return (double)sum;
}

static double norm(const double *a, size_t n)
{
	return sqrt(dot(a, a, n));
}

static double clamp(double d)
{
	return d > 1 ? 1 : d < -1 ? -1 : d;
}

/* to += c v */
static void add(double *to, double c, const double *v, size_t n)
{
	for (size_t k = 0; k < n; k++)
		to[k] += c * v[k];
}

static void scale(double *to, double c, size_t n)
{
	for (size_t k = 0; k < n; k++)
		to[k] *= c;
}

/* out += c v_i */
static void add_vector(const struct vectors *vs, double c, size_t i,
		       double *out)
{
	add(out, c, vs->v[i], vs->length);
	for (size_t k = 0; k < vs->length; k++)
		vs->peak[k] = fmax(vs->peak[k], fabs(c * vs->v[i][k]));
}

static void nuslerp(const struct vectors *vs, double *out)
{
	size_t n = vs->length;
	double sum = vs->weight[0] + vs->weight[1];
	double t = fabs(sum) < 1e-6 ? 0.5 : vs->weight[1] / sum;
	double n0 = norm(vs->v[0], n);
	double n1 = norm(vs->v[1], n);
	double d = clamp(dot(vs->v[0], vs->v[1], n) / (n0 < 1e-7 ? 1e-7 : n0) /
			 (n1 < 1e-7 ? 1e-7 : n1));
	double theta = acos(d);
	float square = (float)d * (float)d;
	bool straight = square == 1;

	add_vector(vs, straight ? 1 - t : sin((1 - t) * theta) / sin(theta), 0,
		   out);
	add_vector(vs, straight ? t : sin(t * theta) / sin(theta), 1, out);
}

static void multislerp(const struct vectors *vs, double eps, bool normalize,
		       double *out)
{
	size_t n = vs->length;
	double *tau = calloc(n, sizeof(*tau));
	double *m = calloc(n, sizeof(*m));
	double sum = 0, length = 0, size;

	for (size_t i = 0; i < vs->n; i++)
		sum += normalize ? (double)(float)vs->weight[i] : 0;
	if (!normalize)
		sum = 1;
	for (size_t i = 0; i < vs->n; i++) {
		double w = (double)(float)vs->weight[i] / sum;

		add(m, w / (norm(vs->v[i], n) + eps), vs->v[i], n);
		add(tau, w / (norm(vs->v[i], n) + eps), vs->v[i], n);
		length += w * norm(vs->v[i], n);
		add(out, w, vs->v[i], n);
	}
	size = norm(m, n);
	if (!(size < eps || size < 3e-8)) {
		scale(m, 1 / size, n);
		add(tau, -dot(tau, m, n), m, n);
		size = norm(tau, n) + eps;
		scale(out, 0, n);
		add(out, length * cos(size), m, n);
		add(out, length * sin(size) / size, tau, n);
	}
	free(m);
	free(tau);
}

/* One step of u; false: it is the last. */
static bool karcher_step(const struct vectors *vs, double tol, double *u)
{
	size_t n = vs->length;
	double *step = calloc(n, sizeof(*step));
	double size;

	for (size_t i = 0; i < vs->n; i++) {
		double length = norm(vs->v[i], n);
		double d = clamp(dot(vs->v[i], u, n) / length);
		double share = acos(d) / sin(acos(d)) / (double)vs->n;

		if (length <= tol || acos(d) < tol)
			continue;
		add(step, share / length, vs->v[i], n);
		add(step, -share * d, u, n);
	}
	size = norm(step, n);
	if (size >= tol) {
		scale(u, cos(size), n);
		add(u, sin(size) / size, step, n);
		scale(u, 1 / norm(u, n), n);
	}
	free(step);
	return size >= tol;
}

/* All vectors are longer than tol, and do not cancel. */
static void karcher(const struct vectors *vs, double steps, double tol,
		    double *out)
{
	size_t n = vs->length;
	double length = 0;

	for (size_t i = 0; i < vs->n; i++) {
		length += norm(vs->v[i], n) / (double)vs->n;
		add(out, 1 / norm(vs->v[i], n), vs->v[i], n);
	}
	scale(out, 1 / norm(out, n), n);
	while (steps-- > 0 && karcher_step(vs, tol, out))
		continue;
	scale(out, length, n);
}

static void model_stock(struct vectors *vs, double *out)
{
	size_t n = vs->length;
	double pairs = (double)vs->n * (double)(vs->n - 1) / 2;
	double c = 0, q, t;

	for (size_t i = 0; i < vs->n; i++)
		for (size_t j = i + 1; j < vs->n; j++) {
			double norms = norm(vs->v[i], n) * norm(vs->v[j], n);

			c += clamp(dot(vs->v[i], vs->v[j], n) /
				   (norms < 1e-6 ? 1e-6 : norms));
		}
	q = 1 + ((double)vs->n - 1) * c / pairs;
	t = fabs(q) < 1e-6 ? 0 : (double)vs->n * c / pairs / q;
	vs->factor = 1 + fabs(t);
	for (size_t i = 0; i < vs->n; i++)
		add_vector(vs, t / (double)vs->n, i, out);
}

static void merge_line(const struct merge_method *method,
		       const struct method_args *args, const float *const *x,
		       struct line line, struct reference *result)
{
	const float *base = args->base < args->inputs ? x[args->base] : NULL;
	double *out = calloc(line.length, sizeof(*out));
	struct vectors vs;

	vectors_open(&vs, method, args, x, line);
	if (!strcmp(method->name, "nuslerp"))
		nuslerp(&vs, out);
	else if (!strcmp(method->name, "multislerp"))
		multislerp(&vs, option(method, args, "eps", 0),
			   option(method, args, "normalize_weights", 0) != 0,
			   out);
	else if (!strcmp(method->name, "karcher"))
		karcher(&vs, option(method, args, "max_iter", 0),
			option(method, args, "tol", 0), out);
	else
		model_stock(&vs, out);
	for (size_t k = 0; k < line.length; k++) {
		size_t j = line.first + k * line.step;
		double greatest = fmax(fabs(out[k]), vs.peak[k]);
		float whole;

		for (size_t i = 0; i < args->inputs; i++)
			greatest = fmax(greatest,
					vs.factor * fabs((double)x[i][j]));
		whole = (float)greatest;
		result->unit[j] = INFINITY;
		if (isfinite(whole))
			result->unit[j] =
				(double)vs.n / 2 *
				(double)(nextafterf(whole, INFINITY) - whole);
		result->out[j] = (float)((base ? (double)base[j] : 0) + out[k]);
	}
	vectors_close(&vs);
	free(out);
}

bool reference_directions(const struct merge_method *method,
			  const struct method_args *args, const float *const *x,
			  struct reference *result)
{
	static const char *const names[] = { "nuslerp", "multislerp", "karcher",
					     "model_stock" };
	bool rows = option(method, args, "nuslerp_flatten", 0) == 0 ||
		    option(method, args, "filter_wise", 0) == 1;
	bool columns = rows && option(method, args, "nuslerp_row_wise", 0) == 1;
	size_t count = columns ? args->cols : rows ? args->rows : 1;
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		known |= !strcmp(method->name, names[i]);
	for (size_t l = 0; known && l < count; l++) {
		struct line line = { .length = args->elements / count };

		line.first = columns ? l : l * line.length;
		line.step = columns ? args->cols : 1;
		merge_line(method, args, x, line, result);
	}
	return known;
}
