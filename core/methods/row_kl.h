/*
 * The divergence of two tensors, row by row of the last dimension:
 *
 *	P = softmax(b) + 1e-8	Q = softmax(a) + 1e-8
 *	KL = sum P log(P / Q)
 *
 * in double, or, where mergekit's roundings are replayed, of terms that are
 * rounded as it does. Two passes: the first finds every row's maximum and sum
 * of exponentials, the second its divergence. A row lies in one block of a
 * scan, whose thread then writes its numbers, or in several, whose parts are
 * put together in the order of blocks. Sums within a tile are in lanes from the
 * row's first element there.
 */
#ifndef LMFS_METHODS_ROW_KL_H
#define LMFS_METHODS_ROW_KL_H

#include "core/methods/exp_log.h"

#define SOFTMAX_FLOOR 1e-8

/* sum exp(x - max) of some of a row's elements; sum 0: of none. */
struct exp_sum {
	double max, sum;
};

struct kl_row {
	struct exp_sum a, b;
	double kl;
};

/* What a block adds to the rows that begin before it, or end after it. */
struct kl_edge {
	uint64_t row;
	struct kl_row sums;
};

struct kl_part {
	struct kl_edge head, tail;
};

/* The run of elements of one row that lies in a tile. */
struct kl_run {
	const float *a, *b;
	size_t count;
};

struct kl_pass {
	size_t a, b; /* inputs */
	struct kl_row *rows;
	void (*add)(struct kl_row *to, const struct kl_row *row,
		    const struct kl_run *run);
};

static inline uint64_t kl_rows(const struct method_args *args)
{
	return args->cols ? args->elements / args->cols : 0;
}

static inline void exp_sum_merge(struct exp_sum *to, struct exp_sum part)
{
	double max = part.max > to->max ? part.max : to->max;

	if (part.sum == 0)
		return;
	if (to->sum == 0) {
		*to = part;
		return;
	}
	to->sum = to->sum * exp_negative(to->max - max) +
		  part.sum * exp_negative(part.max - max);
	to->max = max;
}

static inline float run_max(const float *x, size_t count)
{
	float max = -INFINITY;

	for (size_t k = 0; k < count; k++)
		max = x[k] > max ? x[k] : max;
	return max;
}

static inline struct exp_sum run_exp_sum(const float *x, size_t count)
{
	double max = (double)run_max(x, count);
	double lanes[LANES] = { 0 };
	size_t k = 0;

	for (; k + LANES <= count; k += LANES)
		for (size_t j = 0; j < LANES; j++)
			lanes[j] += exp_negative((double)x[k + j] - max);
	for (size_t j = 0; k + j < count; j++)
		lanes[j] += exp_negative((double)x[k + j] - max);
	return (struct exp_sum){ max, lanes_total(lanes) };
}

static inline void kl_add_exp(struct kl_row *to, const struct kl_row *row,
			      const struct kl_run *run)
{
	exp_sum_merge(&to->a, run_exp_sum(run->a, run->count));
	exp_sum_merge(&to->b, run_exp_sum(run->b, run->count));
}

/* The softmax of one element, x - max being known, and mergekit's floor. */
static inline float rounded_share(double x, double sum)
{
	return R(R((float)(exp_negative(x) / sum)) + R((float)SOFTMAX_FLOOR));
}

/* log of a binary32 that is not negative, or NaN. */
static inline double log_or_infinity(double x)
{
	double log = log_positive(x);

	log = x == 0 ? (double)-INFINITY : log;
	return x == (double)INFINITY ? x : log;
}

/* As mergekit rounds it. */
static inline double kl_rounded_term(const struct kl_row *row, float a, float b)
{
	float p = rounded_share((double)b - row->b.max, row->b.sum);
	float q = rounded_share((double)a - row->a.max, row->a.sum);
	double log = log_or_infinity((double)R(p / q));

	return (double)R(p * R((float)log));
}

static inline double kl_term(const struct kl_row *row, float a, float b)
{
	double p = exp_negative((double)b - row->b.max) / row->b.sum +
		   SOFTMAX_FLOOR;
	double q = exp_negative((double)a - row->a.max) / row->a.sum +
		   SOFTMAX_FLOOR;

	return ROUNDS ? kl_rounded_term(row, a, b) : p * log_positive(p / q);
}

static inline void kl_add_terms(struct kl_row *to, const struct kl_row *row,
				const struct kl_run *run)
{
	const struct kl_row of = *row;
	double lanes[LANES] = { 0 };
	size_t k = 0;

	for (; k + LANES <= run->count; k += LANES)
		for (size_t j = 0; j < LANES; j++)
			lanes[j] += kl_term(&of, run->a[k + j], run->b[k + j]);
	for (size_t j = 0; k + j < run->count; j++)
		lanes[j] += kl_term(&of, run->a[k + j], run->b[k + j]);
	to->kl += lanes_total(lanes);
}

/* Where the block that holds the tile adds up a row. */
static inline struct kl_row *kl_slot(const struct method_args *args,
				     const struct kl_pass *pass,
				     struct kl_part *part, uint64_t first,
				     uint64_t row)
{
	uint64_t block = first - first % SCAN_BLOCK_ELEMENTS;
	uint64_t begin = row * args->cols;
	struct kl_edge *edge;

	if (begin >= block && begin + args->cols <= block + SCAN_BLOCK_ELEMENTS)
		return &pass->rows[row];
	edge = begin < block ? &part->head : &part->tail;
	edge->row = row;
	return &edge->sums;
}

static inline void kl_add(const struct method_args *args,
			  const struct tile *tile, const void *ctx,
			  void *partial)
{
	const struct kl_pass *pass = ctx;
	size_t k = 0;

	while (k < tile->count) {
		uint64_t at = tile->first + k;
		uint64_t row = at / args->cols;
		uint64_t left = (row + 1) * args->cols - at;
		const struct kl_run run = {
			.a = tile->in[pass->a] + k,
			.b = tile->in[pass->b] + k,
			.count = min_u64(left, tile->count - k),
		};

		pass->add(kl_slot(args, pass, partial, at, row),
			  &pass->rows[row], &run);
		k += run.count;
	}
}

static inline void kl_merge(struct kl_row *rows, const struct kl_edge *edge)
{
	struct kl_row *row = &rows[edge->row];

	exp_sum_merge(&row->a, edge->sums.a);
	exp_sum_merge(&row->b, edge->sums.b);
	row->kl += edge->sums.kl;
}

/* An edge that the block has none of is that of row 0, and adds nothing. */
static inline void kl_fold(const struct method_args *args, const void *ctx,
			   void *total, const void *partial)
{
	const struct kl_part *part = partial;

	kl_merge(total, &part->head);
	kl_merge(total, &part->tail);
}

/* rows: zeroed, one a row of the tensor. */
static inline int kl_find(const struct method_args *args,
			  const struct scan *scan, size_t a, size_t b,
			  struct kl_row *rows)
{
	struct kl_pass pass = { a, b, rows, kl_add_exp };
	const struct scan_step step = {
		.partial_size = sizeof(struct kl_part),
		.add = kl_add,
		.fold = kl_fold,
		.ctx = &pass,
	};
	int rc = scan_run(scan, 0, args->elements, &step, rows);

	if (rc)
		return rc;
	pass.add = kl_add_terms;
	return scan_run(scan, 0, args->elements, &step, rows);
}

#endif
