/*
 * What warming is inside, which its files share: warm.c (its thread, reductions
 * and tensors), warm_files.c (finished files).
 */
#ifndef LMFS_WARM_INSIDE_H
#define LMFS_WARM_INSIDE_H

#include <pthread.h>

#include "fs/warm.h"

/* A lens, and what is left to do for it; the warm thread's own. */
struct part {
	const struct lens *lens;
	uint64_t reductions, bytes;
	bool whole_begun; /* the state that peers share, once */
	bool left;
};

struct warm {
	struct engine *engine;
	enum warm_what what;
	char *pattern; /* NULL: all tensors */
	struct part *parts;
	size_t count;
	pthread_t thread;
	bool started;
	atomic_bool stop;
	pthread_mutex_t lock;
	struct warm_progress progress; /* under the lock */
};

/* What was done; the first failure is kept. */
void warm_add_failure(struct warm *warm, const struct error *err);
void warm_add_bytes(struct warm *warm, struct part *part, uint64_t bytes);

/* Whether anything may still be begun for this lens. */
bool warm_is_due(struct warm *warm, const struct part *part);

/*
 * Wait until something may be begun for this lens, and take the turn: false,
 * never. A mount that is read without a pause gets one thing a second made all
 * the same.
 */
bool warm_take_turn(struct warm *warm, const struct part *part);

/* Keep the files of all lenses, in their order. */
void warm_keep_files(struct warm *warm);

#endif
