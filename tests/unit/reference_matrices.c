/*
 * The references of methods that take a tensor as one matrix: by one-sided
 * Jacobi rotations, which give singular vectors without squaring anything.
 */
#include "tests/unit/reference_matrices.h"

#include <float.h>
#include <math.h>

#define SWEEPS_MAX 60
#define NONE_BELOW 1e-6 /* of the greatest singular value: 0 to binary32 */
#define OFF 1e-6	/* of the root mean square of what is added */

/* rows x cols; rows follow each other. */
struct mat {
	size_t rows, cols;
	double *at;
};

static struct mat mat_open(size_t rows, size_t cols)
{
	return (struct mat){ rows, cols,
			     calloc(rows * cols + 1, sizeof(double)) };
}

static double *mat_row(struct mat m, size_t row)
{
	return m.at + row * m.cols;
}

static double row_dot(struct mat m, size_t i, size_t j)
{
	double sum = 0;

	for (size_t k = 0; k < m.cols; k++)
		sum += mat_row(m, i)[k] * mat_row(m, j)[k];
	return sum;
}

/* a b, or a b' */
static struct mat product(struct mat a, struct mat b, bool turned)
{
	struct mat out = mat_open(a.rows, turned ? b.rows : b.cols);

	for (size_t r = 0; r < a.rows; r++)
		for (size_t k = 0; k < a.cols; k++)
			for (size_t c = 0; c < out.cols; c++)
				mat_row(out, r)[c] +=
					mat_row(a, r)[k] *
					(turned ? mat_row(b, c)[k]
						: mat_row(b, k)[c]);
	return out;
}

static void rotate(struct mat m, size_t i, size_t j, double cosine, double sine)
{
	for (size_t k = 0; k < m.cols; k++) {
		double a = mat_row(m, i)[k];
		double b = mat_row(m, j)[k];

		mat_row(m, i)[k] = cosine * a - sine * b;
		mat_row(m, j)[k] = sine * a + cosine * b;
	}
}

/* x = u' diag(s) v, with fewer rows than columns: `v` is x in the beginning,
 * and `u` the unit matrix. */
struct svd {
	struct mat u, v;
	double *s; /* falling */
};

/* Make rows i and j orthogonal: whether they were not. */
static bool turn_pair(struct svd *svd, size_t i, size_t j)
{
	double a = row_dot(svd->v, i, i);
	double b = row_dot(svd->v, j, j);
	double c = row_dot(svd->v, i, j);
	double zeta, t, cosine;

	if (fabs(c) <= 4 * DBL_EPSILON * sqrt(a * b) || c == 0)
		return false;
	zeta = (b - a) / (2 * c);
	t = (zeta < 0 ? -1 : 1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
	cosine = 1 / sqrt(1 + t * t);
	rotate(svd->v, i, j, cosine, cosine * t);
	rotate(svd->u, i, j, cosine, cosine * t);
	return true;
}

static void swap_rows(struct mat m, size_t i, size_t j)
{
	rotate(m, i, j, 0, 1);
}

static void sort(struct svd *svd)
{
	size_t n = svd->v.rows;

	for (size_t i = 0; i < n; i++)
		svd->s[i] = sqrt(row_dot(svd->v, i, i));
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++) {
			double less = svd->s[i];

			if (svd->s[j] <= less)
				continue;
			swap_rows(svd->u, i, j);
			swap_rows(svd->v, i, j);
			svd->s[i] = svd->s[j];
			svd->s[j] = less;
		}
}

static struct svd svd_of(struct mat x)
{
	struct svd svd = { mat_open(x.rows, x.rows), mat_open(x.rows, x.cols),
			   calloc(x.rows + 1, sizeof(double)) };
	bool turned = true;

	memcpy(svd.v.at, x.at, x.rows * x.cols * sizeof(double));
	for (size_t i = 0; i < x.rows; i++)
		mat_row(svd.u, i)[i] = 1;
	for (int sweep = 0; turned && sweep < SWEEPS_MAX; sweep++) {
		turned = false;
		for (size_t i = 0; i < x.rows; i++)
			for (size_t j = i + 1; j < x.rows; j++)
				turned |= turn_pair(&svd, i, j);
	}
	sort(&svd);
	for (size_t i = 0; i < x.rows; i++)
		for (size_t k = 0; k < x.cols && svd.s[i] > 0; k++)
			mat_row(svd.v, i)[k] /= svd.s[i];
	return svd;
}

static void svd_close(struct svd *svd)
{
	free(svd->u.at);
	free(svd->v.at);
	free(svd->s);
}

/* out += factor u_i' v_i, of vectors of two decompositions */
static void add_outer(struct mat out, const double *u, const double *v,
		      double factor)
{
	for (size_t r = 0; r < out.rows; r++)
		for (size_t c = 0; c < out.cols; c++)
			mat_row(out, r)[c] += factor * u[r] * v[c];
}

/* u' f(s) v, where f is 1 or 1 / s of what is not 0 to binary32 */
static struct mat polar(struct mat x)
{
	struct svd svd = svd_of(x);
	struct mat out = mat_open(x.rows, x.cols);

	for (size_t i = 0; i < x.rows; i++)
		if (svd.s[i] > NONE_BELOW * svd.s[0])
			add_outer(out, mat_row(svd.u, i), mat_row(svd.v, i), 1);
	svd_close(&svd);
	return out;
}

static double option(const struct merge_method *method,
		     const struct method_args *args, const char *name,
		     double fallback)
{
	for (size_t o = 0; o < method->options_count; o++)
		if (!strcmp(method->options[o].name, name))
			return args->values[o * args->inputs];
	return fallback;
}

/* --- the methods; out is zero at first ---------------------------------- */

struct task {
	const struct merge_method *method;
	const struct method_args *args;
	size_t models;
	struct mat deltas[METHOD_INPUTS_MAX];
	struct mat out;
};

static void make_tsv_m(struct task *task)
{
	size_t k = task->out.rows / task->models;
	struct mat u = mat_open(k * task->models, task->out.rows);
	struct mat v = mat_open(k * task->models, task->out.cols);
	double *s = calloc(k * task->models, sizeof(*s));
	struct mat left, right;

	for (size_t m = 0; m < task->models; m++) {
		struct svd svd = svd_of(task->deltas[m]);

		/* A model that is the base has no vectors. */
		for (size_t i = m * k; i < (m + 1) * k && svd.s[0] > 0; i++) {
			memcpy(mat_row(u, i), mat_row(svd.u, i - m * k),
			       u.cols * sizeof(double));
			memcpy(mat_row(v, i), mat_row(svd.v, i - m * k),
			       v.cols * sizeof(double));
			s[i] = svd.s[i - m * k];
		}
		svd_close(&svd);
	}
	left = polar(u);
	right = polar(v);
	for (size_t i = 0; i < u.rows; i++)
		add_outer(task->out, mat_row(left, i), mat_row(right, i), s[i]);
	free(left.at);
	free(right.at);
	free(u.at);
	free(v.at);
	free(s);
}

static void make_iso_c(struct task *task)
{
	struct mat sum = mat_open(task->out.rows, task->out.cols);
	struct svd svd;
	double mean = 0;

	for (size_t m = 0; m < task->models; m++)
		for (size_t k = 0; k < sum.rows * sum.cols; k++)
			sum.at[k] += task->deltas[m].at[k];
	svd = svd_of(sum);
	for (size_t i = 0; i < sum.rows; i++)
		mean += svd.s[i] / (double)sum.rows;
	for (size_t i = 0; i < sum.rows; i++)
		if (svd.s[i] > NONE_BELOW * svd.s[0])
			add_outer(task->out, mat_row(svd.u, i),
				  mat_row(svd.v, i), mean);
	svd_close(&svd);
	free(sum.at);
}

static void make_core_space(struct task *task)
{
	size_t most = task->out.rows / 4;
	size_t k = (size_t)option(task->method, task->args, "rank", 0);
	size_t all;
	double mean = 0;
	struct svd svd;

	k = k < most ? k : most;
	all = k * task->models;
	all = all < task->out.rows ? all : task->out.rows;
	for (size_t m = 0; m < task->models; m++) {
		svd = svd_of(task->deltas[m]);
		for (size_t i = 0; i < k; i++)
			add_outer(task->out, mat_row(svd.u, i),
				  mat_row(svd.v, i),
				  svd.s[i] / (double)task->models);
		svd_close(&svd);
	}
	if (option(task->method, task->args, "isotropic", 0) == 0)
		return;
	svd = svd_of(task->out);
	memset(task->out.at, 0,
	       task->out.rows * task->out.cols * sizeof(double));
	for (size_t i = 0; i < all; i++)
		mean += svd.s[i] / (double)all;
	for (size_t i = 0; i < all; i++)
		if (svd.s[i] > NONE_BELOW * svd.s[0])
			add_outer(task->out, mat_row(svd.u, i),
				  mat_row(svd.v, i), mean);
	svd_close(&svd);
}

/* X has the deltas over their norms as rows; its vectors v_i with s_i^2 are the
 * eigenvectors and -values of the matrix that is inverted. */
static void make_wudi(struct task *task)
{
	double reg = option(task->method, task->args, "reg", 0);
	size_t rows = task->out.rows;
	size_t cols = task->out.cols;
	struct mat x = mat_open(rows * task->models, cols);
	struct mat sums = mat_open(rows, cols);
	double ridge = 0;
	struct svd svd;

	for (size_t m = 0; m < task->models; m++) {
		struct mat delta = task->deltas[m];
		struct mat gram = product(delta, delta, true);
		struct mat cubed = product(gram, delta, false);
		double square = 0;

		for (size_t r = 0; r < rows; r++)
			square += row_dot(delta, r, r);
		for (size_t k = 0; k < rows * cols && square > 0; k++) {
			mat_row(x, m * rows)[k] = delta.at[k] / sqrt(square);
			sums.at[k] +=
				(cubed.at[k] + reg * delta.at[k]) / square;
		}
		ridge += square > 0 ? reg / square : 0;
		free(gram.at);
		free(cubed.at);
	}
	svd = svd_of(x);
	for (size_t i = 0; i < x.rows; i++) {
		double value = svd.s[i] * svd.s[i] + ridge;
		double limit = svd.s[0] * svd.s[0] + ridge;

		if (value <= limit * (double)cols * 0x1p-23)
			continue;
		for (size_t r = 0; r < rows; r++) {
			double along = 0;

			for (size_t k = 0; k < cols; k++)
				along += mat_row(sums, r)[k] *
					 mat_row(svd.v, i)[k];
			for (size_t k = 0; k < cols; k++)
				mat_row(task->out, r)[k] +=
					along / value * mat_row(svd.v, i)[k];
		}
	}
	svd_close(&svd);
	free(x.at);
	free(sums.at);
}

/* --- one tensor --------------------------------------------------------- */

/* What is no matrix, element by element, to the bit. */
static void make_mean(const struct task *task, const float *const *x,
		      float factor, float *out)
{
	const float *base = x[task->args->base];

	for (size_t j = 0; j < task->args->elements; j++) {
		float sum = 0;

		for (size_t i = 0; i < task->args->inputs; i++)
			if (i != task->args->base)
				sum += x[i][j] - base[j];
		out[j] = base[j] + factor * (sum / (float)task->models);
	}
}

/* The deltas, and whether all of their numbers are finite. */
static bool take_deltas(struct task *task, const float *const *x)
{
	const struct method_args *args = task->args;
	bool finite = true;

	for (size_t i = 0; i < args->inputs; i++) {
		struct mat delta;

		if (i == args->base)
			continue;
		delta = mat_open(args->rows, args->cols);
		for (size_t j = 0; j < args->elements; j++) {
			delta.at[j] = (double)(x[i][j] - x[args->base][j]);
			finite &= isfinite(delta.at[j]) != 0;
		}
		task->deltas[task->models++] = delta;
	}
	return finite;
}

static void finish(const struct task *task, const float *base, double factor,
		   struct reference *result)
{
	size_t n = task->args->elements;
	double square = 0;

	for (size_t j = 0; j < n; j++)
		square += task->out.at[j] * task->out.at[j] / (double)n;
	for (size_t j = 0; j < n; j++) {
		float whole =
			(float)((double)base[j] + factor * task->out.at[j]);
		float greatest = fmaxf(fabsf(base[j]), fabsf(whole));

		result->out[j] = whole;
		result->unit[j] =
			(double)(nextafterf(greatest, INFINITY) - greatest) +
			OFF * fabs(factor) * sqrt(square);
	}
}

static const struct {
	const char *method;
	void (*make)(struct task *task);
} makers[] = {
	{ "tsv_m", make_tsv_m },
	{ "iso_c", make_iso_c },
	{ "core_space", make_core_space },
	{ "wudi", make_wudi },
};

bool reference_matrices(const struct merge_method *method,
			const struct method_args *args, const float *const *x,
			struct reference *result)
{
	struct task task = { .method = method, .args = args };
	double factor = option(method, args, "lambda",
			       option(method, args, "weight", 1));
	size_t m = 0;

	while (m < ARRAY_LEN(makers) && strcmp(makers[m].method, method->name))
		m++;
	if (m == ARRAY_LEN(makers))
		return false;
	if (!take_deltas(&task, x) && option(method, args, "matrix", 1) != 0) {
		for (size_t j = 0; j < args->elements; j++) {
			result->out[j] = NAN;
			result->unit[j] = 1;
		}
	} else if (option(method, args, "matrix", 1) == 0) {
		make_mean(&task, x, (float)factor, result->out);
	} else {
		task.out = mat_open(args->rows, args->cols);
		makers[m].make(&task);
		finish(&task, x[args->base], factor, result);
	}
	for (size_t i = 0; i < task.models; i++)
		free(task.deltas[i].at);
	free(task.out.at);
	return true;
}
