#include "tests/unit/reference_field.h"

#include <math.h>

static double value_of(const struct merge_method *method,
		       const struct method_args *args, const char *name,
		       size_t input)
{
	for (size_t o = 0; o < method->options_count; o++)
		if (!strcmp(method->options[o].name, name))
			return args->values[o * args->inputs + input];
	abort();
}

static float delta_of(const struct method_args *args, const float *const *x,
		      size_t i, size_t j)
{
	return x[i][j] - x[args->base][j];
}

void reference_one_bit(float *delta, size_t n)
{
	double size = 0;
	float mean;

	for (size_t j = 0; j < n; j++)
		size += (double)fabsf(delta[j]);
	mean = (float)(size / (double)n);
	for (size_t j = 0; j < n; j++)
		delta[j] = delta[j] < 0 ? -mean : mean;
}

static void make_bitdelta(const struct merge_method *method,
			  const struct method_args *args, const float *const *x,
			  float *out)
{
	size_t n = args->elements;
	float *sum = calloc(n, sizeof(*sum));
	float *delta = calloc(n, sizeof(*delta));

	for (size_t i = 0; i < args->inputs; i++) {
		float weight = (float)value_of(method, args, "weight", i);

		if (i == args->base)
			continue;
		for (size_t j = 0; j < n; j++)
			delta[j] = delta_of(args, x, i, j);
		if (value_of(method, args, "one_bit", i) != 0)
			reference_one_bit(delta, n);
		for (size_t j = 0; j < n; j++)
			sum[j] += delta[j] * weight;
	}
	for (size_t j = 0; j < n; j++)
		out[j] = x[args->base][j] + sum[j];
	free(delta);
	free(sum);
}

/* The free element of greatest magnitude, the first of equals, NaN before all;
 * m: none differs from the base. */
static size_t greatest(const float *delta, const bool *taken, size_t m)
{
	size_t best = m;

	for (size_t k = 0; k < m; k++) {
		bool greater = best == m ||
			       fabsf(delta[k]) > fabsf(delta[best]) ||
			       (isnan(delta[k]) && !isnan(delta[best]));

		if (!taken[k] && delta[k] != 0 && greater)
			best = k;
	}
	return best;
}

static size_t count_of(const struct merge_method *method,
		       const struct method_args *args, const char *own,
		       const char *shared, size_t i)
{
	double value = value_of(method, args, own, i);

	return (size_t)(isnan(value) ? value_of(method, args, shared, 0)
				     : value);
}

static void make_cabs(const struct merge_method *method,
		      const struct method_args *args, const float *const *x,
		      float *out)
{
	bool *taken = calloc(args->elements, sizeof(*taken));
	float *sum = calloc(args->elements, sizeof(*sum));
	float delta[1024];

	for (size_t i = 0; i < args->inputs; i++) {
		size_t n = count_of(method, args, "n_val", "default_n_val", i);
		size_t m = count_of(method, args, "m_val", "default_m_val", i);
		float weight = (float)value_of(method, args, "weight", i);

		for (size_t at = 0; i != args->base && at < args->elements;
		     at += m) {
			size_t rest = args->elements - at;
			size_t count = rest < m ? rest : m;
			size_t best;

			for (size_t k = 0; k < count; k++)
				delta[k] = delta_of(args, x, i, at + k);
			for (size_t kept = 0; kept < n; kept++) {
				best = greatest(delta, taken + at, count);
				if (best == count)
					break;
				taken[at + best] = true;
				sum[at + best] += delta[best] * weight;
			}
		}
	}
	for (size_t j = 0; j < args->elements; j++)
		out[j] = x[args->base][j] + sum[j];
	free(sum);
	free(taken);
}

/* Of a model that is one tensor. */
static void make_metagpt(const struct merge_method *method,
			 const struct method_args *args, const float *const *x,
			 float *out)
{
	double squares[METHOD_INPUTS_MAX] = { 0 };
	double all = 0;

	for (size_t i = 0; i < args->inputs; i++) {
		for (size_t j = 0; i != args->base && j < args->elements; j++)
			squares[i] += pow((double)delta_of(args, x, i, j), 2);
		all += squares[i];
	}
	for (size_t j = 0; j < args->elements; j++) {
		float sum = 0;

		for (size_t i = 0; i < args->inputs; i++) {
			double weight = value_of(method, args, "weight", i);
			double lambda = all == 0 ? 0 : squares[i] / all;

			if (i != args->base)
				sum += delta_of(args, x, i, j) *
				       (float)(weight * lambda);
		}
		out[j] = x[args->base][j] + sum;
	}
}

static const struct {
	const char *method;
	void (*make)(const struct merge_method *method,
		     const struct method_args *args, const float *const *x,
		     float *out);
} makers[] = {
	{ "bitdelta", make_bitdelta },
	{ "cabs", make_cabs },
	{ "metagpt", make_metagpt },
};

bool reference_field(const struct merge_method *method,
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
