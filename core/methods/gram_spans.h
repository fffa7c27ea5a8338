/*
 * Numbers for every span of the flat index, the rows of a tensor or all of it,
 * made of sums over the span: of the Gram matrix of the vectors' parts there,
 * or of what else a rule adds up, which may depend on numbers that are known of
 * the span already.
 *
 * A span that lies in one block of the scan is done with there. Of one that
 * does not, every block sums up its part: the first is the open one of its
 * block, all later ones are heads of theirs; the fold, in the order of blocks,
 * joins them.
 */
#ifndef LMFS_METHODS_GRAM_SPANS_H
#define LMFS_METHODS_GRAM_SPANS_H

#include "core/methods/gram.h"

/* Elements of a tile that lie in one span. */
struct span_part {
	size_t at, count;
	uint64_t span;
};

struct span_rule {
	uint64_t length; /* elements of a span, the last one's too */
	size_t sums;	 /* of a span: at most as many as span_sums_max() */
	size_t width;	 /* numbers made of them */
	void (*add)(const struct method_args *args, const struct tile *tile,
		    const struct span_part *part, const double *known,
		    double *sums);
	void (*value)(const struct method_args *args, const double *sums,
		      double *numbers);
	const double *known; /* for `add`; its size is known there */
};

/* The block's first element, then as many numbers as are said. */
struct span_partial {
	bool begun;
	uint64_t first;
	double numbers[]; /* head and open sums, then values */
};

struct span_total {
	uint64_t at;   /* the element that the next block begins with */
	double *state; /* values of all spans */
	double sums[]; /* of the span under way */
};

static inline size_t span_count(const struct method_args *args, uint64_t length)
{
	return args->elements / length;
}

static inline size_t span_sums_max(const struct method_args *args)
{
	return gram_pairs(gram_vectors(args));
}

static inline size_t span_scratch_size(const struct method_args *args)
{
	return sizeof(struct span_total) + span_sums_max(args) * sizeof(double);
}

/* For a rule: the Gram matrix. */
static inline void span_add_gram(const struct method_args *args,
				 const struct tile *tile,
				 const struct span_part *part,
				 const double *known, double *sums)
{
	gram_add_part(args, tile, part->at, part->count, sums);
}

static inline size_t span_partial_size(const struct span_rule *rule)
{
	size_t values = (SCAN_BLOCK_ELEMENTS / rule->length + 2) * rule->width;

	return sizeof(struct span_partial) +
	       (2 * rule->sums + values) * sizeof(double);
}

/* Elements [at, end) of the tile, which lie in span `span`. */
static inline void span_add_part(const struct method_args *args,
				 const struct tile *tile,
				 const struct span_rule *rule,
				 struct span_partial *partial, uint64_t at,
				 uint64_t end)
{
	const struct span_part part = {
		.at = at - tile->first,
		.count = end - at,
		.span = at / rule->length,
	};
	bool is_head = part.span * rule->length < partial->first;
	double *sums = partial->numbers + (is_head ? 0 : rule->sums);
	double *values = partial->numbers + 2 * rule->sums;
	uint64_t first = partial->first / rule->length;

	if (at == part.span * rule->length)
		memset(sums, 0, rule->sums * sizeof(*sums));
	rule->add(args, tile, &part, rule->known, sums);
	if (!is_head && end == (part.span + 1) * rule->length)
		rule->value(args, sums,
			    values + (part.span - first) * rule->width);
}

static inline void span_add(const struct method_args *args,
			    const struct tile *tile, const void *ctx,
			    void *partial)
{
	const struct span_rule *rule = ctx;
	struct span_partial *part = partial;
	uint64_t end = tile->first + tile->count;

	if (!part->begun) {
		part->begun = true;
		part->first = tile->first;
	}
	for (uint64_t at = tile->first, next; at < end; at = next) {
		next = min_u64(end, at - at % rule->length + rule->length);
		span_add_part(args, tile, rule, part, at, next);
	}
}

static inline void span_fold(const struct method_args *args, const void *ctx,
			     void *total, const void *partial)
{
	const struct span_rule *rule = ctx;
	const struct span_partial *part = partial;
	struct span_total *sum = total;
	const double *values = part->numbers + 2 * rule->sums;
	size_t width = rule->width;
	uint64_t begin = sum->at;
	uint64_t end = min_u64(args->elements, begin + SCAN_BLOCK_ELEMENTS);
	uint64_t span = begin / rule->length;
	uint64_t first = span;

	sum->at = end;
	if (begin > span * rule->length) {
		for (size_t p = 0; p < rule->sums; p++)
			sum->sums[p] += part->numbers[p];
		if (end < (span + 1) * rule->length)
			return;
		rule->value(args, sum->sums, sum->state + span++ * width);
	}
	for (; (span + 1) * rule->length <= end; span++)
		memcpy(sum->state + span * width,
		       values + (span - first) * width, width * sizeof(double));
	memcpy(sum->sums, part->numbers + rule->sums,
	       rule->sums * sizeof(double));
}

/* The values of all spans; scratch of span_scratch_size(). */
static inline int span_reduce(const struct method_args *args,
			      const struct scan *scan,
			      const struct span_rule *rule, double *state,
			      void *scratch)
{
	const struct scan_step step = {
		.partial_size = span_partial_size(rule),
		.add = span_add,
		.fold = span_fold,
		.ctx = rule,
	};
	struct span_total *total = scratch;
	int rc;

	total->at = 0;
	total->state = state;
	rc = gram_scan(args, scan, &step, total);
	for (size_t v = 0; v < span_count(args, rule->length) * rule->width;
	     v++)
		state[v] = one_nan(state[v]);
	return rc;
}

#endif
