#include "tests/unit/reference_elements.h"

#include <math.h>

static float value_of(const struct merge_method *method,
		      const struct method_args *args, const char *name,
		      size_t input)
{
	for (size_t o = 0; o < method->options_count; o++)
		if (!strcmp(method->options[o].name, name))
			return (float)args->values[o * args->inputs + input];
	abort();
}

static void make_nearswap(const struct merge_method *method,
			  const struct method_args *args, const float *const *x,
			  float *out)
{
	const float *a = x[args->base];
	const float *b = x[!args->base];
	float t = value_of(method, args, "t", 0);

	for (size_t j = 0; j < args->elements; j++) {
		float far = fabsf(a[j] - b[j]);
		float w = 1 / (far < 1e-6f ? 1e-6f : far) * t;

		w = w > 1 ? 1 : w < 0 ? 0 : w;
		out[j] = w * b[j] + (1 - w) * a[j];
	}
}

/* How many models move element j; moves[i]: whether input i does. */
static size_t changers(const struct method_args *args, const float *const *x,
		       float epsilon, size_t j, bool moves[METHOD_INPUTS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < args->inputs; i++) {
		moves[i] = i != args->base &&
			   fabsf(x[i][j] - x[args->base][j]) > epsilon;
		count += moves[i];
	}
	return count;
}

static void ram_lambdas(const struct merge_method *method,
			const struct method_args *args, const float *const *x,
			float lambda[METHOD_INPUTS_MAX])
{
	float epsilon = value_of(method, args, "epsilon", 0);
	bool moves[METHOD_INPUTS_MAX];
	size_t shared[METHOD_INPUTS_MAX] = { 0 };
	size_t unique[METHOD_INPUTS_MAX] = { 0 };

	for (size_t j = 0; j < args->elements; j++) {
		size_t count = changers(args, x, epsilon, j, moves);

		for (size_t i = 0; i < args->inputs; i++) {
			shared[i] += moves[i] && count > 1;
			unique[i] += moves[i] && count == 1;
		}
	}
	for (size_t i = 0; i < args->inputs; i++) {
		float alpha = value_of(method, args, "alpha", 0);
		float least = unique[i] ? (float)unique[i] : epsilon;
		float rho = (float)shared[i] / least;

		lambda[i] = 1 + value_of(method, args, "r", 0) *
					(rho > alpha ? alpha : rho);
	}
}

static void make_ram(const struct merge_method *method,
		     const struct method_args *args, const float *const *x,
		     float *out)
{
	float epsilon = value_of(method, args, "epsilon", 0);
	float lambda[METHOD_INPUTS_MAX];
	bool moves[METHOD_INPUTS_MAX];

	for (size_t i = 0; i < args->inputs; i++)
		lambda[i] = 1;
	if (!strcmp(method->name, "ramplus_tl"))
		ram_lambdas(method, args, x, lambda);
	for (size_t j = 0; j < args->elements; j++) {
		size_t count = changers(args, x, epsilon, j, moves);
		float sum = 0;

		for (size_t i = 0; i < args->inputs; i++) {
			float delta = x[i][j] - x[args->base][j];

			if (i == args->base)
				continue;
			if (isnan(delta))
				sum = NAN;
			else if (moves[i] && count == 1)
				sum += delta * lambda[i];
			else if (moves[i])
				sum += delta / (float)count;
		}
		out[j] = x[args->base][j] + sum;
	}
}

/* sum exp(x - max x) of a row, and the maximum. */
static long double exp_sum(const float *x, size_t n, long double *max)
{
	long double sum = 0;

	*max = -INFINITY;
	for (size_t j = 0; j < n; j++)
		*max = fmaxl(*max, (long double)x[j]);
	for (size_t j = 0; j < n; j++)
		sum += expl((long double)x[j] - *max);
	return sum;
}

static float row_divergence(const float *a, const float *b, size_t n)
{
	long double a_max, b_max, kl = 0;
	long double a_sum = exp_sum(a, n, &a_max);
	long double b_sum = exp_sum(b, n, &b_max);

	for (size_t j = 0; j < n; j++) {
		long double p = expl((long double)b[j] - b_max) / b_sum + 1e-8L;
		long double q = expl((long double)a[j] - a_max) / a_sum + 1e-8L;

		kl += p * logl(p / q);
	}
	return (float)(kl < 0 ? 0 : kl);
}

/* NaN counts as the greatest. */
static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a;
	float y = *(const float *)b;

	if (isnan(x) || isnan(y))
		return isnan(x) - isnan(y);
	return (x > y) - (x < y);
}

static void make_arcee_fusion(const struct merge_method *method,
			      const struct method_args *args,
			      const float *const *x, float *out)
{
	const float *a = x[args->base];
	const float *b = x[!args->base];
	size_t n = args->elements;
	float *score = calloc(n, sizeof(*score));
	float *sorted = calloc(n, sizeof(*sorted));
	float kl = 0;
	float limit;

	for (size_t j = 0; j < n; j++) {
		if (j % args->cols == 0)
			kl = row_divergence(a + j, b + j, args->cols);
		score[j] = fabsf(b[j] - a[j]) * kl;
	}
	memcpy(sorted, score, n * sizeof(*score));
	qsort(sorted, n, sizeof(*sorted), by_size);
	limit = sorted[(n - 1) / 2] +
		1.5f * (sorted[3 * (n - 1) / 4] - sorted[(n - 1) / 4]);
	for (size_t j = 0; j < n; j++)
		out[j] = a[j] + (b[j] - a[j]) * (score[j] >= limit ? 1 : 0);
	free(score);
	free(sorted);
}

static float delta_of(const struct method_args *args, const float *const *x,
		      size_t i, size_t j)
{
	return x[i][j] - x[args->base][j];
}

static void make_consensus(const struct merge_method *method,
			   const struct method_args *args,
			   const float *const *x, float *out)
{
	float k = value_of(method, args, "prun_thre_k", 0);
	float lambda = value_of(method, args, "lambda", 0);

	for (size_t j = 0; j < args->elements; j++) {
		float sum = 0;
		float votes = 0;

		for (size_t i = 0; i < args->inputs; i++)
			if (i != args->base)
				sum += delta_of(args, x, i, j);
		for (size_t i = 0; i < args->inputs; i++) {
			float delta = delta_of(args, x, i, j);
			float l = value_of(method, args, "tall_mask_lambda", i);

			if (i != args->base)
				votes += fabsf(delta) > fabsf(sum - delta) * l;
		}
		out[j] = x[args->base][j] + sum * (votes >= k) * lambda;
	}
}

/* The unified task vector at an element. */
static float unified(const struct method_args *args, const float *const *x,
		     size_t j)
{
	float sum = 0;
	float greatest = 0;

	for (size_t i = 0; i < args->inputs; i++)
		if (i != args->base)
			sum += delta_of(args, x, i, j);
	for (size_t i = 0; i < args->inputs; i++) {
		float delta = delta_of(args, x, i, j);

		if (i != args->base && (sum > 0 ? delta > 0 : delta < 0) &&
		    fabsf(delta) > greatest)
			greatest = fabsf(delta);
	}
	return sum > 0 ? greatest : -greatest;
}

/* Where every model has task: true, the task is the first model's. */
static void make_emr(const struct merge_method *method,
		     const struct method_args *args, const float *const *x,
		     float *out)
{
	size_t task = args->base == 0 ? 1 : 0;
	bool masks = value_of(method, args, "task", task) != 0;
	double own = 0;
	double masked = 0;
	float scale = 1;

	for (size_t j = 0; j < args->elements; j++) {
		float delta = delta_of(args, x, task, j);
		float u = unified(args, x, j);

		own += (double)fabsf(delta);
		if (masks && !(u > 0 ? delta > 0 : u < 0 && delta < 0))
			u *= 0;
		out[j] = u;
		masked += (double)fabsf(out[j]);
	}
	if (masks && masked != 0)
		scale = (float)(own / masked);
	for (size_t j = 0; j < args->elements; j++)
		out[j] = x[args->base][j] + out[j] * scale;
}

static void make_magmax(const struct merge_method *method,
			const struct method_args *args, const float *const *x,
			float *out)
{
	float lambda = value_of(method, args, "lambda", 0);

	for (size_t j = 0; j < args->elements; j++) {
		float best = 0;

		for (size_t i = 0; i < args->inputs; i++) {
			float delta = delta_of(args, x, i, j);

			if (i != args->base && fabsf(delta) >= fabsf(best))
				best = delta;
		}
		out[j] = x[args->base][j] + best * lambda;
	}
}

static const struct {
	const char *method;
	void (*make)(const struct merge_method *method,
		     const struct method_args *args, const float *const *x,
		     float *out);
} makers[] = {
	{ "nearswap", make_nearswap },
	{ "ram", make_ram },
	{ "ramplus_tl", make_ram },
	{ "arcee_fusion", make_arcee_fusion },
	{ "consensus_ta", make_consensus },
	{ "emr", make_emr },
	{ "magmax", make_magmax },
};

bool reference_elements(const struct merge_method *method,
			const struct method_args *args, const float *const *x,
			float *out)
{
	for (size_t m = 0; m < ARRAY_LEN(makers); m++)
		if (!strcmp(makers[m].method, method->name)) {
			makers[m].make(method, args, x, out);
			return true;
		}
	return false;
}
