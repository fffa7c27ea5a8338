#include "core/matrix.h"

#include <assert.h>
#include <math.h>

/* One product. */
struct product {
	const struct matrix_work *work;
	struct matrix out, a, b;
	bool adds;     /* to what is in `out` */
	bool mirrored; /* `out` is symmetric: its upper half is copied */
	size_t block_rows, block_cols;
};

/* A block of a matrix: where it begins, and its sides. */
struct place {
	size_t row, col, rows, cols;
};

static size_t blocks_of(size_t side)
{
	return (side + GEMM_BLOCK - 1) / GEMM_BLOCK;
}

static struct place place_at(struct matrix m, size_t block_row,
			     size_t block_col)
{
	size_t row = block_row * GEMM_BLOCK;
	size_t col = block_col * GEMM_BLOCK;

	return (struct place){ row, col, min_u64(GEMM_BLOCK, m.rows - row),
			       min_u64(GEMM_BLOCK, m.cols - col) };
}

/* Copy a block out of a matrix, whose elements follow each other along rows,
 * or along columns. */
static void pack_rows(double *block, struct matrix m, struct place place)
{
	for (size_t r = 0; r < place.rows; r++) {
		size_t at = (place.row + r) * m.row_step + place.col;
		double *restrict to = block + r * GEMM_STRIDE;

		if (m.wide) {
			memcpy(to, m.wide + at, place.cols * sizeof(*to));
			continue;
		}
		for (size_t c = 0; c < place.cols; c++)
			to[c] = (double)m.narrow[at + c];
	}
}

static void pack_cols(double *block, struct matrix m, struct place place)
{
	for (size_t c = 0; c < place.cols; c++) {
		size_t at = (place.col + c) * m.col_step + place.row;

		for (size_t r = 0; r < place.rows; r++)
			block[r * GEMM_STRIDE + c] =
				m.wide ? m.wide[at + r]
				       : (double)m.narrow[at + r];
	}
}

static void pack(double *block, struct matrix m, struct place place)
{
	if (m.col_step == 1)
		pack_rows(block, m, place);
	else
		pack_cols(block, m, place);
}

/* All NaNs are one: what is stored may be a state, plain bytes. */
static void put(struct matrix m, size_t row, size_t col, double x)
{
	size_t at = row * m.row_step + col * m.col_step;

	if (m.wide)
		m.wide[at] = x;
	else
		m.narrow[at] = isnan(x) ? (float)NAN : (float)x;
}

static void unpack(const double *block, struct matrix m, struct place place)
{
	bool turned = m.col_step != 1;
	size_t outer = turned ? place.cols : place.rows;
	size_t inner = turned ? place.rows : place.cols;

	for (size_t i = 0; i < outer; i++)
		for (size_t j = 0; j < inner; j++) {
			size_t r = turned ? j : i;
			size_t c = turned ? i : j;

			put(m, place.row + r, place.col + c,
			    block[r * GEMM_STRIDE + c]);
		}
}

static void make_block(const struct product *p, size_t block_row,
		       size_t block_col, double *lane)
{
	struct place place = place_at(p->out, block_row, block_col);
	double *a = lane + GEMM_BLOCK_DOUBLES;
	double *b = a + GEMM_BLOCK_DOUBLES;

	if (p->adds)
		pack(lane, p->out, place);
	else
		memset(lane, 0, GEMM_BLOCK_DOUBLES * sizeof(*lane));
	for (size_t k = 0; k < blocks_of(p->a.cols); k++) {
		struct place left = place_at(p->a, block_row, k);
		struct place right = place_at(p->b, k, block_col);
		const struct gemm_size size = { left.rows, right.cols,
						left.cols };

		pack(a, p->a, left);
		pack(b, p->b, right);
		gemm_block(lane, a, b, size);
	}
	unpack(lane, p->out, place);
	/* A block of the diagonal is made whole: its lower half counts. */
	for (size_t r = 0; p->mirrored && r < place.rows; r++)
		for (size_t c = 0; c < place.cols; c++)
			if (place.row + r > place.col + c)
				put(p->out, place.col + c, place.row + r,
				    lane[r * GEMM_STRIDE + c]);
}

static void run_lane(void *ctx, size_t lane)
{
	const struct product *p = ctx;
	double *memory = p->work->memory + lane * MATRIX_LANE_DOUBLES;
	size_t blocks = p->block_rows * p->block_cols;

	for (size_t i = lane; i < blocks; i += p->work->lanes) {
		size_t row = i / p->block_cols;
		size_t col = i % p->block_cols;

		if (!p->mirrored || col <= row)
			make_block(p, row, col, memory);
	}
}

static void run_product(struct product *p)
{
	size_t blocks;

	assert(p->a.cols == p->b.rows);
	assert(p->out.rows == p->a.rows && p->out.cols == p->b.cols);
	p->block_rows = blocks_of(p->out.rows);
	p->block_cols = blocks_of(p->out.cols);
	blocks = p->block_rows * p->block_cols;
	scan_each(p->work->scan, min_u64(blocks, p->work->lanes), run_lane, p);
}

void matrix_multiply(const struct matrix_work *work, struct matrix out,
		     struct matrix a, struct matrix b)
{
	struct product product = { .work = work, .out = out, .a = a, .b = b };

	run_product(&product);
}

void matrix_add_product(const struct matrix_work *work, struct matrix out,
			struct matrix a, struct matrix b)
{
	struct product product = {
		.work = work, .out = out, .a = a, .b = b, .adds = true
	};

	assert(out.wide);
	run_product(&product);
}

void matrix_gram(const struct matrix_work *work, double *out, struct matrix a)
{
	struct product product = {
		.work = work,
		.out = matrix_wide(out, a.rows, a.rows),
		.a = a,
		.b = matrix_turned(a),
		.mirrored = true,
	};

	run_product(&product);
}

void matrix_compose(const struct matrix_work *work, double *out,
		    struct matrix vectors, const double *f, double *scratch)
{
	size_t n = vectors.cols;

	for (size_t j = 0; j < vectors.rows; j++)
		for (size_t k = 0; k < n; k++)
			scratch[j * n + k] = f[j] * vectors.wide[j * n + k];
	matrix_multiply(work, matrix_wide(out, n, n), matrix_turned(vectors),
			matrix_wide(scratch, vectors.rows, n));
}
