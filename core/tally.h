/*
 * Sentences about tensors, said once: a model that lacks the biases of 32
 * layers is one line, not 32. The first tensor is named, the others counted.
 */
#ifndef LMFS_TALLY_H
#define LMFS_TALLY_H

#include "core/base/error.h"
#include "core/base/hash.h"

#define TALLY_MAX 400

struct tally_note {
	int code;	     /* positive errno, 0: a warning */
	struct hash128 hash; /* of the sentence */
	char *sentence;
	char *tensor; /* the first that it was said about */
	size_t count;
};

struct tally {
	struct tally_note *notes;
	size_t count;
	size_t errors; /* said so far, all tensors counted */
	size_t lost;   /* sayings past TALLY_MAX sentences, or without memory */
	int lost_code; /* of the first error among them */
};

/* What a sentence is said about, and how grave it is; code 0: a warning. */
struct tally_subject {
	int code;
	const char *tensor;
};

/* Say something about a tensor; always returns false, for `return tally_...`.
 */
bool tally_add(struct tally *tally, struct tally_subject subject,
	       const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Report all as "path: tensor x (and 31 more): sentence", in the order of their
 * coming, and end the tally. */
void tally_flush(struct tally *tally, const char *path, struct report *report);

#endif
