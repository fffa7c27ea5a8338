/*
 * One number for every span of the flat index, the rows of a tensor or all of
 * it, made of the Gram matrix of the vectors' parts in the span.
 *
 * A span that lies in one block of the scan is done with there. Of one that
 * does not, every block sums up its part: the first is the open one of its
 * block, all later ones are heads of theirs; the fold, in the order of blocks,
 * joins them.
 */
#ifndef LMFS_METHODS_GRAM_SPANS_H
#define LMFS_METHODS_GRAM_SPANS_H

#include "core/methods/gram.h"

struct span_rule {
	uint64_t length; /* elements of a span, the last one's too */
	double (*value)(const struct method_args *args, const double *gram);
};

/* The block's first element, then as many numbers as are said. */
struct span_partial {
	bool begun;
	uint64_t first;
	double numbers[]; /* head and open Gram matrices, then values */
};

struct span_total {
	uint64_t at;   /* the element that the next block begins with */
	double *state; /* values of all spans */
	double gram[]; /* of the span under way */
};

static inline size_t span_count(const struct method_args *args, uint64_t length)
{
	return args->elements / length;
}

static inline size_t span_scratch_size(const struct method_args *args)
{
	return sizeof(struct span_total) + gram_size(args);
}

static inline size_t span_partial_size(const struct method_args *args,
				       const struct span_rule *rule)
{
	size_t values = SCAN_BLOCK_ELEMENTS / rule->length + 2;

	return sizeof(struct span_partial) + 2 * gram_size(args) +
	       values * sizeof(double);
}

/* Elements [at, end) of the tile, which lie in span `span`. */
static inline void span_add_part(const struct method_args *args,
				 const struct tile *tile,
				 const struct span_rule *rule,
				 struct span_partial *partial, uint64_t at,
				 uint64_t end)
{
	size_t pairs = gram_pairs(gram_vectors(args));
	uint64_t span = at / rule->length;
	bool is_head = span * rule->length < partial->first;
	double *gram = partial->numbers + (is_head ? 0 : pairs);
	double *values = partial->numbers + 2 * pairs;

	if (at == span * rule->length)
		memset(gram, 0, pairs * sizeof(*gram));
	gram_add_part(args, tile, at - tile->first, end - at, gram);
	if (!is_head && end == (span + 1) * rule->length)
		values[span - partial->first / rule->length] =
			rule->value(args, gram);
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
	size_t pairs = gram_pairs(gram_vectors(args));
	const double *values = part->numbers + 2 * pairs;
	uint64_t begin = sum->at;
	uint64_t end = min_u64(args->elements, begin + SCAN_BLOCK_ELEMENTS);
	uint64_t span = begin / rule->length;
	uint64_t first = span;

	sum->at = end;
	if (begin > span * rule->length) {
		for (size_t p = 0; p < pairs; p++)
			sum->gram[p] += part->numbers[p];
		if (end < (span + 1) * rule->length)
			return;
		sum->state[span++] = rule->value(args, sum->gram);
	}
	for (; (span + 1) * rule->length <= end; span++)
		sum->state[span] = values[span - first];
	memcpy(sum->gram, part->numbers + pairs, pairs * sizeof(double));
}

/* The values of all spans; scratch of span_scratch_size(). */
static inline int span_reduce(const struct method_args *args,
			      const struct scan *scan,
			      const struct span_rule *rule, double *state,
			      void *scratch)
{
	const struct scan_step step = {
		.partial_size = span_partial_size(args, rule),
		.add = span_add,
		.fold = span_fold,
		.ctx = rule,
	};
	struct span_total *total = scratch;
	int rc;

	total->at = 0;
	total->state = state;
	rc = gram_scan(args, scan, &step, total);
	for (size_t s = 0; s < span_count(args, rule->length); s++)
		state[s] = one_nan(state[s]);
	return rc;
}

#endif
