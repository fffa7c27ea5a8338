#include "tests/unit/reference.h"

#include <assert.h>
#include <math.h>

#include "core/rng.h"
#include "tests/unit/reference_elements.h"
#include "tests/unit/reference_field.h"
#include "tests/unit/reference_matrices.h"

static double option(const struct merge_method *method,
		     const struct method_args *args, const char *name,
		     size_t input)
{
	for (size_t o = 0; o < method->options_count; o++)
		if (!strcmp(method->options[o].name, name))
			return args->values[o * args->inputs + input];
	abort();
}

struct place {
	float magnitude;
	size_t index;
};

/* NaN counts as the greatest. */
static int by_magnitude(const void *a, const void *b)
{
	const struct place *p = a;
	const struct place *q = b;

	if (isnan(p->magnitude) != isnan(q->magnitude))
		return isnan(p->magnitude) ? -1 : 1;
	if (p->magnitude > q->magnitude)
		return -1;
	if (p->magnitude < q->magnitude)
		return 1;
	return p->index < q->index ? -1 : 1;
}

/* The elements from the greatest magnitude on; the caller frees them. */
static struct place *sorted(const float *delta, size_t n)
{
	struct place *places = calloc(n, sizeof(*places));

	for (size_t j = 0; j < n; j++)
		places[j] = (struct place){ fabsf(delta[j]), j };
	qsort(places, n, sizeof(*places), by_magnitude);
	return places;
}

void reference_trim(const float *delta, size_t n, double density, float *mask)
{
	struct place *places = sorted(delta, n);
	size_t k = (size_t)(density * (double)n);

	memset(mask, 0, n * sizeof(*mask));
	for (size_t j = 0; j < (k ? k : 1); j++)
		mask[places[j].index] = 1;
	free(places);
}

void reference_band(const float *delta, size_t n, double density, double gamma,
		    float *mask)
{
	struct place *places = sorted(delta, n);
	long size = (long)n;
	long target = (long)(density * (double)n);
	long bottom = size - target - (long)(gamma * (double)n);

	if (bottom < 0)
		bottom = 0;
	memset(mask, 0, n * sizeof(*mask));
	for (long at = bottom; at < bottom + target && at < size; at++)
		mask[places[size - 1 - at].index] = 1;
	free(places);
}

/* The generator as its authors give it, from its beginning. */
void reference_mt19937(uint32_t seed, uint64_t place, size_t count,
		       uint32_t *numbers)
{
	uint32_t x[624] = { seed };

	for (uint32_t k = 1; k < 624; k++)
		x[k] = 1812433253u * (x[k - 1] ^ (x[k - 1] >> 30)) + k;
	for (uint64_t at = 0; at < place + count; at++) {
		size_t k = at % 624;
		uint32_t y =
			(x[k] & 0x80000000u) | (x[(k + 1) % 624] & 0x7fffffffu);

		x[k] = x[(k + 397) % 624] ^ (y >> 1) ^
		       (y % 2 ? 0x9908b0dfu : 0);
		if (at < place)
			continue;
		y = x[k];
		y ^= y >> 11;
		y ^= (y << 7) & 0x9d2c5680u;
		y ^= (y << 15) & 0xefc60000u;
		numbers[at - place] = y ^ (y >> 18);
	}
}

/* Those of an input's elements, which the caller frees; NULL: it has none. */
static uint32_t *numbers_of(const struct method_args *args, size_t i)
{
	uint32_t *numbers;

	if (!args->streams)
		return NULL;
	numbers = calloc(args->elements, sizeof(*numbers));
	reference_mt19937((uint32_t)args->seed, args->streams[i],
			  args->elements, numbers);
	return numbers;
}

/* Whether element j is kept, with probability p. */
static bool coin(const struct method_args *args, size_t i, size_t j,
		 const uint32_t *numbers, float p)
{
	struct rng_key key;

	if (numbers)
		return (double)(numbers[j] % 0x1000000) * 0x1p-24 < (double)p;
	key = rng_block_key(args->seed, args->positions[i], args->name,
			    j / RNG_BLOCK);
	return rng_draw(key, j % RNG_BLOCK) <
	       floor((double)p * 4294967296.0 + 0.5);
}

static void draw(const struct method_args *args, size_t i, double density,
		 float *mask)
{
	uint32_t *numbers = numbers_of(args, i);

	for (size_t j = 0; j < args->elements; j++)
		mask[j] = coin(args, i, j, numbers, (float)density);
	free(numbers);
}

/* Twice the rank of each of a row: equals have the mean of theirs. */
static void rank_row(const float *delta, size_t cols, double *twice)
{
	struct place *places = sorted(delta, cols);
	size_t end;

	for (size_t at = 0; at < cols; at = end) {
		end = at + 1;
		while (end < cols && !memcmp(&places[at].magnitude,
					     &places[end].magnitude, 4))
			end++;
		/* Places count from the greatest. */
		for (size_t p = at; p < end; p++)
			twice[places[p].index] =
				2 * (double)cols - (double)(at + end) - 1;
	}
	free(places);
}

static void rank_chances(const struct merge_method *method,
			 const struct method_args *args, size_t i,
			 const float *delta, float *chances)
{
	double density = option(method, args, "density", i);
	double epsilon = option(method, args, "epsilon", i);
	double *twice = calloc(args->cols, sizeof(*twice));

	for (size_t j = 0; j < args->elements; j++) {
		size_t col = j % args->cols;
		float q = 0.5f;

		if (col == 0)
			rank_row(delta + j, args->cols, twice);
		if (args->cols > 1)
			q = (float)(twice[col] / 2) / (float)(args->cols - 1);
		chances[j] =
			(float)(density - epsilon) + q * 2 * (float)epsilon;
	}
	free(twice);
}

static void draw_ranked(const struct merge_method *method,
			const struct method_args *args, size_t i,
			const float *delta, float *mask)
{
	float *chances = calloc(args->elements, sizeof(*chances));
	uint32_t *numbers = numbers_of(args, i);

	rank_chances(method, args, i, delta, chances);
	for (size_t j = 0; j < args->elements; j++)
		mask[j] = coin(args, i, j, numbers, chances[j]);
	free(numbers);
	free(chances);
}

/* Multiply by the mask, and give the L1 norm back where asked to. */
static void apply_mask(float *delta, const float *mask, size_t n, bool rescale)
{
	double before = 0;
	double after = 0;

	for (size_t j = 0; j < n; j++) {
		before += (double)fabsf(delta[j]);
		delta[j] *= mask[j];
		after += (double)fabsf(delta[j]);
	}
	if (!rescale || before < 1e-7 || after < 1e-7)
		return;
	for (size_t j = 0; j < n; j++)
		delta[j] *= (float)before / (float)after;
}

/* By the papers: what is kept is divided by the chance that it had. */
static void divide_by_chance(const struct merge_method *method,
			     const struct method_args *args, size_t i,
			     float *delta, const float *mask)
{
	double density = option(method, args, "density", i);
	bool ranked = !strncmp(method->name, "della", 5);
	float *chances = calloc(args->elements, sizeof(*chances));

	for (size_t j = 0; j < args->elements; j++)
		chances[j] = (float)density;
	if (ranked)
		rank_chances(method, args, i, delta, chances);
	for (size_t j = 0; j < args->elements; j++) {
		delta[j] *= mask[j];
		if (option(method, args, "rescale", 0) != 0 && mask[j] != 0)
			delta[j] /= chances[j];
	}
	free(chances);
}

static void sparsify(const struct merge_method *method,
		     const struct method_args *args, size_t i, float *delta)
{
	double density = option(method, args, "density", i);
	size_t n = args->elements;
	float *mask;

	if (!strcmp(method->name, "task_arithmetic")) {
		if (option(method, args, "sparsify", i) != 0)
			reference_one_bit(delta, n);
		return;
	}
	if (density >= 1)
		return;
	if ((strncmp(method->name, "dare", 4) && density <= 0) ||
	    (!strncmp(method->name, "breadcrumbs", 11) &&
	     density * (double)n < 1)) {
		memset(delta, 0, n * sizeof(*delta));
		return;
	}
	mask = calloc(n, sizeof(*mask));
	if (!strcmp(method->name, "ties"))
		reference_trim(delta, n, density, mask);
	else if (!strncmp(method->name, "breadcrumbs", 11))
		reference_band(delta, n, density,
			       option(method, args, "gamma", i), mask);
	else if (!strncmp(method->name, "della", 5))
		draw_ranked(method, args, i, delta, mask);
	else
		draw(args, i, density, mask);
	if (args->semantics == SEMANTICS_PAPER)
		divide_by_chance(method, args, i, delta, mask);
	else
		apply_mask(delta, mask, n,
			   option(method, args, "rescale", 0) != 0);
	free(mask);
}

/* All deltas of an element are in delta[0 .. m - 1], not weighted. */
static float combine_plain(const struct merge_method *method,
			   const struct method_args *args, const float *delta,
			   const float *w, size_t m)
{
	double lambda = option(method, args, "lambda", 0);
	float sum = 0, mixed = 0;
	size_t votes = 0;

	for (size_t i = 0; i < m; i++)
		sum += delta[i];
	for (size_t i = 0; i < m; i++) {
		bool agrees =
			(delta[i] > 0 && sum > 0) || (delta[i] < 0 && sum < 0);

		mixed += delta[i] * w[i] * (float)agrees;
		votes += agrees;
	}
	if (option(method, args, "normalize", 0) && votes)
		mixed /= (float)votes;
	return lambda == 1 ? mixed : mixed * (float)lambda;
}

/* All weighted deltas of an element are in wd[0 .. m - 1]. */
static float combine(const struct merge_method *method,
		     const struct method_args *args, const float *wd,
		     const float *w, size_t m)
{
	bool elects =
		strstr(method->name, "ties") || !strcmp(method->name, "della");
	double lambda = option(method, args, "lambda", 0);
	float sum = 0;
	float mixed = 0;
	float div = 0;

	for (size_t i = 0; i < m; i++)
		sum += wd[i];
	for (size_t i = 0; i < m; i++) {
		float sign = wd[i] > 0 ? 1 : wd[i] < 0 ? -1 : 0;
		float mask = !elects || sign == (sum >= 0 ? 1 : -1) ? 1 : 0;

		mixed += wd[i] * mask;
		div += w[i] * mask;
	}
	if (elects ? div == 0 : fabsf(div) < 1e-8f)
		div = 1;
	if (option(method, args, "normalize", 0))
		mixed /= div;
	return lambda == 1 ? mixed : mixed * (float)lambda;
}

static void make_task(const struct merge_method *method,
		      const struct method_args *args, const float *const *x,
		      float *out)
{
	size_t n = args->elements;
	const float *base = x[args->base];
	float *wd = calloc(n * args->inputs, sizeof(*wd));
	bool elects =
		strstr(method->name, "ties") || !strcmp(method->name, "della");
	bool plain = elects && args->semantics == SEMANTICS_PAPER;
	float w[METHOD_INPUTS_MAX];
	size_t m = 0;

	for (size_t i = 0; i < args->inputs; i++) {
		float *delta = wd + m * n;

		if (i == args->base)
			continue;
		for (size_t j = 0; j < n; j++)
			delta[j] = x[i][j] - base[j];
		sparsify(method, args, i, delta);
		w[m] = (float)option(method, args, "weight", i);
		for (size_t j = 0; j < n; j++)
			delta[j] *= plain ? 1 : w[m];
		m++;
	}
	for (size_t j = 0; j < n; j++) {
		float column[METHOD_INPUTS_MAX];

		for (size_t i = 0; i < m; i++)
			column[i] = wd[i * n + j];
		out[j] = base[j] + (plain ? combine_plain : combine)(
					   method, args, column, w, m);
	}
	free(wd);
}

/* 1 for the elements whose variance over the m models is among the greatest. */
static void vary_most(const float *delta, size_t n, size_t m, float share,
		      float *mask)
{
	float *variance = calloc(n, sizeof(*variance));
	struct place *places;
	size_t varying = 0;

	for (size_t j = 0; j < n; j++) {
		double mean = 0;
		double sum = 0;

		for (size_t i = 0; i < m; i++)
			mean += (double)delta[i * n + j] / (double)m;
		for (size_t i = 0; i < m; i++)
			sum += pow((double)delta[i * n + j] - mean, 2);
		variance[j] = (float)(sum / (double)m);
		varying += variance[j] != 0;
	}
	places = sorted(variance, n);
	for (size_t p = 0; p < (size_t)((float)varying * share); p++)
		mask[places[p].index] = 1;
	free(places);
	free(variance);
}

/* delta, masked already, becomes sum_i c_i m_i d_i / sum_i c_i m_i in place of
 * that of the first model. */
static void fuse(float *delta, size_t n, size_t m)
{
	float c[METHOD_INPUTS_MAX] = { 0 };
	float total = 0;

	for (size_t i = 0; i < m; i++) {
		double square = 0;

		for (size_t j = 0; j < n; j++)
			square += (double)delta[i * n + j] *
				  (double)delta[i * n + j];
		c[i] = (float)(square / (double)n);
		total += c[i];
	}
	for (size_t i = 0; i < m; i++)
		c[i] = fabsf(total) < 1e-6f ? 1 / (float)m : c[i] / total;
	for (size_t j = 0; j < n; j++) {
		float sum = 0;
		float mixed = 0;
		float div = 0;

		for (size_t i = 0; i < m; i++)
			sum += delta[i * n + j];
		for (size_t i = 0; i < m; i++) {
			float d = delta[i * n + j];
			float mask = d * (sum >= 0 ? 1.0f : -1.0f) > 0 ? 1 : 0;

			mixed += d * (c[i] * mask);
			div += c[i] * mask;
		}
		delta[j] = mixed / (div < 1e-6f ? 1e-6f : div);
	}
}

static void make_sce(const struct merge_method *method,
		     const struct method_args *args, const float *const *x,
		     float *out)
{
	size_t n = args->elements;
	double share = option(method, args, "select_topk", 0);
	float *delta = calloc(n * args->inputs, sizeof(*delta));
	float *mask = calloc(n, sizeof(*mask));
	size_t m = 0;
	bool any = share >= 1;

	for (size_t i = 0; i < args->inputs; i++) {
		if (i == args->base)
			continue;
		for (size_t j = 0; j < n; j++)
			delta[m * n + j] = x[i][j] - x[args->base][j];
		m++;
	}
	if (share < 1)
		vary_most(delta, n, m, (float)share, mask);
	for (size_t j = 0; j < n; j++)
		any = any || mask[j] != 0;
	for (size_t j = 0; j < m * n; j++)
		delta[j] = !any ? 0 : delta[j] * (share < 1 ? mask[j % n] : 1);
	fuse(delta, n, m);
	for (size_t j = 0; j < n; j++)
		out[j] = x[args->base][j] + delta[j];
	free(mask);
	free(delta);
}

/* At most four inputs, of which the weights are added up one by one. */
static void make_linear(const struct merge_method *method,
			const struct method_args *args, const float *const *x,
			float *out)
{
	float total = 0;

	assert(args->inputs <= 4);
	for (size_t i = 0; i < args->inputs; i++)
		total += (float)option(method, args, "weight", i);
	for (size_t j = 0; j < args->elements; j++) {
		float sum = 0;

		for (size_t i = 0; i < args->inputs; i++)
			sum = fmaf(x[i][j],
				   (float)option(method, args, "weight", i),
				   sum);
		out[j] = option(method, args, "normalize", 0) ? sum / total
							      : sum;
	}
}

static void make_passthrough(const struct merge_method *method,
			     const struct method_args *args,
			     const float *const *x, float *out)
{
	double scale = option(method, args, "scale", 0);

	for (size_t j = 0; j < args->elements; j++)
		out[j] = isnan(scale) ? x[0][j] : x[0][j] * (float)scale;
}

static double dot(const float *a, const float *b, size_t n)
{
	long double sum = 0;

	for (size_t j = 0; j < n; j++)
		sum += (long double)a[j] * (long double)b[j];
	return (double)sum;
}

static double length(const float *a, size_t n)
{
	double norm = sqrt(dot(a, a, n));

	return norm <= 1e-8 ? 1 : norm;
}

static void make_slerp(const struct merge_method *method,
		       const struct method_args *args, const float *const *x,
		       float *out, double *unit)
{
	const float *v0 = x[args->base];
	const float *v1 = x[!args->base];
	size_t n = args->elements;
	double t = (double)(float)option(method, args, "t", 0);
	double d = dot(v0, v1, n) / (length(v0, n) * length(v1, n));
	double theta = acos(d > 1 ? 1 : d < -1 ? -1 : d);
	double c0 = sin((1 - t) * theta) / sin(theta);
	double c1 = sin(t * theta) / sin(theta);

	if (fabs(d) > 0.9995) {
		c0 = 1 - t;
		c1 = t;
	}
	for (size_t j = 0; j < n; j++) {
		double a = c0 * (double)v0[j];
		double b = c1 * (double)v1[j];
		float greater = (float)fmax(fabs(a), fabs(b));

		out[j] = (float)(a + b);
		unit[j] = (double)(nextafterf(greater, INFINITY) - greater);
	}
}

void reference_make(const struct merge_method *method,
		    const struct method_args *args, const float *const *x,
		    float *out, double *unit)
{
	struct reference result = { out, unit };

	if (reference_elements(method, args, x, out) ||
	    reference_field(method, args, x, out) ||
	    reference_directions(method, args, x, &result) ||
	    reference_matrices(method, args, x, &result))
		return;
	if (!strcmp(method->name, "linear"))
		make_linear(method, args, x, out);
	else if (!strcmp(method->name, "passthrough"))
		make_passthrough(method, args, x, out);
	else if (!strcmp(method->name, "sce"))
		make_sce(method, args, x, out);
	else if (!strcmp(method->name, "slerp"))
		make_slerp(method, args, x, out, unit);
	else
		make_task(method, args, x, out);
}
