/*
 * core_space: task vectors cut to a low rank, and merged where all of them live
 * (Panariello et al., "Accurate and Efficient Low-Rank Model Merging in Core
 * Space", 2025). With delta_i cut to its k greatest singular values, B_i A_i,
 *
 *	B = [B_1 ... B_n], its left singular vectors U
 *	A = [A_1 ... A_n]', its left singular vectors V
 *	core_i = U' B_i A_i V
 *	M = U f(core_1, ..., core_n) V'
 *
 * The paper cuts nothing, since its models are LoRA adapters; for whole weights
 * it is as in mergekit's open pull request 646: B_i are singular vectors, A_i
 * has the values in it, k = max(1, min(rank, floor(r / 4))) with r = min(rows,
 * columns), and f is the mean. U and V span all B_i and A_i, so that M then is
 * the mean of all B_i A_i, and is made so. (The request drops some of U or V
 * where n k is more than r.)
 *
 * With `isotropic`, f is the mean with its min(n k, r) singular values made
 * equal, to their mean: the paper's "Iso" in core space, which is that of the
 * sum, over n. By the symmetric root of B'B, with U = B (B'B)^(-1/2):
 *
 *	E = (B'B)^(1/2) A', E E' = Q diag(S^2) Q', S 0 where it is 0 to binary32
 *	M = mean(S) U  Q diag(1 / S) Q' E
 *
 * The state is two factors, B / n and A' (or U and the rest), which are small:
 * an element is the product of a row and a column.
 */
#include "core/methods/whole.h"

enum { CORE_RANK = WHOLE_OPTIONS_COUNT, CORE_ISOTROPIC };

/* One reduction. All factors are rows: B', A'. */
struct merger {
	const struct method_args *args;
	struct matrix_work work;
	size_t n, wide;	     /* sides of a delta on its side */
	size_t each, all;    /* rank of one model, and of all together */
	struct matrix delta; /* of one model, on its side */
	double *left;	     /* all x n */
	double *right;	     /* all x wide */
	double *square;	     /* n x n */
	double *squares;     /* n */
	double *space;
};

static size_t rank_of(const struct method_args *args)
{
	double asked = method_value(args, CORE_RANK, 0);
	size_t most = whole_short(args) / 4;

	if (asked < (double)most)
		most = (size_t)asked;
	return max_u64(1, most);
}

static size_t rank_of_all(const struct method_args *args)
{
	return rank_of(args) * whole_models(args);
}

/* The greatest side of all matrices that there are. */
static size_t side_of(const struct method_args *args)
{
	return max_u64(whole_long(args), rank_of_all(args));
}

static bool isotropic(const struct method_args *args)
{
	return method_value(args, CORE_ISOTROPIC, 0) != 0;
}

static const char *check(const struct method_args *args)
{
	return whole_check(args,
			   max_u64(whole_short(args),
				   isotropic(args) ? rank_of_all(args) : 0));
}

/* Two factors: rows x all, and all x cols. */
static size_t state_size(const struct method_args *args)
{
	if (!whole_is_matrix(args))
		return 0;
	return rank_of_all(args) * (args->rows + args->cols) * sizeof(float);
}

/* What the isotropic mean takes besides: roots, their work space, E, Q. */
static size_t isotropic_doubles(const struct method_args *args)
{
	size_t all = rank_of_all(args);

	if (!isotropic(args))
		return 0;
	return 3 * all * all + all + gemm_eigen_work(all) +
	       all * (whole_short(args) + whole_long(args)) + 64;
}

static size_t scratch_size(const struct method_args *args)
{
	size_t n = whole_short(args);

	if (!whole_is_matrix(args))
		return 0;
	return whole_bytes(
		16, whole_work_doubles(side_of(args)) + args->elements / 2 + 1 +
			    rank_of_all(args) * (args->rows + args->cols) +
			    n * n + n + gemm_eigen_top_work(n) +
			    isotropic_doubles(args));
}

static double flops(const struct method_args *args)
{
	double n = (double)whole_short(args);
	double wide = (double)whole_long(args);
	double all = (double)rank_of_all(args);
	double root_of_all = (2 * GEMM_EIGEN_FLOPS + 8) * pow(all, 3) +
			     5 * all * all * (n + wide);

	return (double)whole_models(args) *
		       (GEMM_EIGEN_TOP_FLOPS * pow(n, 3) + n * n * wide) +
	       2 * all * n * wide + (isotropic(args) ? root_of_all : 0);
}

/* Factors of the model whose delta was read; those of singular values that are
 * 0 to binary32 are 0. */
static int cut(struct merger *m, size_t model)
{
	double *left = m->left + model * m->each * m->n;
	double *right = m->right + model * m->each * m->wide;
	double least;
	int rc;

	matrix_gram(&m->work, m->square, m->delta);
	rc = whole_refuse(m->work.scan,
			  gemm_eigen_top(m->n, m->square, m->each, m->squares,
					 left, m->space));
	if (rc)
		return rc;
	least = matrix_least_square(m->squares, m->each);
	for (size_t j = 0; j < m->each; j++)
		if (!(m->squares[j] > least))
			memset(left + j * m->n, 0, m->n * sizeof(*left));
	matrix_multiply(&m->work, matrix_wide(right, m->each, m->wide),
			matrix_wide(left, m->each, m->n), m->delta);
	return 0;
}

/* Replace both factors by those of the isotropic sum. */
static int make_isotropic(struct merger *m, double *rest)
{
	size_t all = m->all;
	struct matrix left = matrix_wide(m->left, all, m->n);
	struct matrix right = matrix_wide(m->right, all, m->wide);
	struct whole_roots of_left = {
		.up = whole_carve(&rest, all * all),
		.down = whole_carve(&rest, all * all),
		.vectors = whole_carve(&rest, all * all),
		.values = whole_carve(&rest, all),
		.space = whole_carve(&rest, gemm_eigen_work(all)),
	};
	struct whole_roots of_core = of_left;
	double *e = whole_carve(&rest, all * m->wide);
	double *basis = whole_carve(&rest, all * m->n);
	double mean;
	int rc = whole_roots(&m->work, left, &of_left);

	if (rc)
		return rc;
	matrix_multiply(&m->work, matrix_wide(basis, all, m->n),
			matrix_wide(of_left.down, all, all), left);
	matrix_multiply(&m->work, matrix_wide(e, all, m->wide),
			matrix_wide(of_left.up, all, all), right);
	of_core.up = NULL;
	rc = whole_roots(&m->work, matrix_wide(e, all, m->wide), &of_core);
	if (rc)
		return rc;
	mean = of_core.sum / (double)min_u64(all, m->n);
	for (size_t k = 0; k < all * all; k++)
		of_core.down[k] *= mean;
	memcpy(m->left, basis, all * m->n * sizeof(*basis));
	matrix_multiply(&m->work, right, matrix_wide(of_core.down, all, all),
			matrix_wide(e, all, m->wide));
	return 0;
}

/* The state: the first factor is that of the rows. */
static void store(const struct merger *m, float *state)
{
	bool turned = m->args->rows > m->args->cols;
	const double *first = turned ? m->right : m->left;
	const double *second = turned ? m->left : m->right;
	double models = (double)whole_models(m->args);
	size_t rows = m->args->rows;
	size_t all = m->all;
	float *to = state + rows * all;

	for (size_t j = 0; j < all; j++)
		for (size_t r = 0; r < rows; r++)
			state[r * all + j] =
				(float)(first[j * rows + r] / models);
	for (size_t k = 0; k < all * m->args->cols; k++)
		to[k] = (float)second[k];
}

static struct merger merger_on(const struct method_args *args,
			       const struct scan *scan, double **rest)
{
	size_t n = whole_short(args);
	size_t wide = whole_long(args);
	size_t all = rank_of_all(args);

	return (struct merger){
		.args = args,
		.work = whole_work(scan, side_of(args), rest),
		.n = n,
		.wide = wide,
		.each = rank_of(args),
		.all = all,
		.delta = whole_view(args,
				    whole_carve_floats(rest, args->elements)),
		.left = whole_carve(rest, all * n),
		.right = whole_carve(rest, all * wide),
		.square = whole_carve(rest, n * n),
		.squares = whole_carve(rest, n),
		.space = whole_carve(rest, gemm_eigen_top_work(n)),
	};
}

static int reduce(const struct method_args *args, const struct scan *scan,
		  void *state, void *scratch)
{
	double *rest = scratch;
	struct merger m = merger_on(args, scan, &rest);
	int rc = 0;

	for (size_t i = 0; i < whole_models(args) && !rc; i++) {
		rc = whole_read(args, scan, i, m.delta.narrow);
		if (rc == 0)
			rc = cut(&m, i);
	}
	if (rc == 0 && isotropic(args))
		rc = make_isotropic(&m, rest);
	if (rc == 0)
		store(&m, state);
	return whole_end(state, m.all * (m.n + m.wide), rc);
}

/* out += elements [col, col + count) of a row of the product */
static void add_row(const float *restrict left, const float *right, size_t all,
		    size_t cols, size_t count, float *restrict out)
{
	for (size_t j = 0; j < all; j++) {
		const float *restrict from = right + j * cols;
		float factor = left[j];

		for (size_t k = 0; k < count; k++)
			out[k] += factor * from[k];
	}
}

static void core_space_tile(const struct method_args *args, const void *state,
			    const struct tile *tile)
{
	float factor = R((float)method_value(args, WHOLE_FACTOR, 0));
	const float *restrict base = tile->in[args->base];
	float *restrict out = tile->out;
	const float *left = state;
	size_t count = tile->count;
	size_t cols = args->cols;
	size_t all = rank_of_all(args);

	if (!state) {
		whole_mean(args, tile);
		return;
	}
	memset(out, 0, count * sizeof(*out));
	for (size_t k = 0, part; k < count; k += part) {
		uint64_t row = (tile->first + k) / cols;
		uint64_t col = (tile->first + k) % cols;

		part = min_u64(cols - col, count - k);
		add_row(left + row * all, left + args->rows * all + col, all,
			cols, part, out + k);
	}
	for (size_t k = 0; k < count; k++)
		out[k] = R(base[k] + R(factor * R(out[k])));
}

static const struct method_option options[] = {
	WHOLE_OPTION_ROWS("weight"),
	[CORE_RANK] = {
		.name = "rank",
		.type = OPTION_INT,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 16,
		.min = 1,
		.max = GEMM_SIDE_MAX,
		.help = "singular values kept of each task vector; at most a "
			"quarter of the shorter side",
	},
	[CORE_ISOTROPIC] = {
		.name = "isotropic",
		.type = OPTION_BOOL,
		.scope = OPTION_GLOBAL,
		.in_state = true,
		.fallback = 0,
		.min = 0,
		.max = 1,
		.help = "make the singular values of the merged core equal",
	},
};

METHOD(core_space) = {
	.name = "core_space",
	.summary = "task vectors cut to a low rank, merged in the common space",
	.version = 1,
	.element_ps = 1500,
	.base = BASE_REQUIRED,
	.models_min = 0,
	.models_max = METHOD_ANY_COUNT,
	.missing = MISSING_PRESENT,
	.options = options,
	.options_count = ARRAY_LEN(options),
	.unchanged = base_alone,
	.check = check,
	.state_size = state_size,
	.scratch_size = scratch_size,
	.reduce = reduce,
	.flops = flops,
	.tile = core_space_tile,
};
