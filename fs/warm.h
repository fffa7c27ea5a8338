/*
 * Making beforehand what a reader would wait for: the reductions of some
 * lenses, in file order, then, where asked, the bytes of some or all of their
 * tensors, which are kept in the cache. It runs on a thread of its own, one
 * make at a time, also where several run, each begun only while no read waits.
 * What has failed is counted and said, and the rest goes on; a lens that is
 * retired is left.
 */
#ifndef LMFS_WARM_H
#define LMFS_WARM_H

#include "fs/engine.h"

enum warm_what { WARM_REDUCTIONS, WARM_PATTERN, WARM_ALL };

struct warm_progress {
	uint64_t reductions, reductions_done; /* done: there, or failed */
	uint64_t bytes, bytes_done;	      /* of tensors */
	uint64_t failed; /* things that could not be made */
	bool ended;
	struct error first; /* the first failure; code 0: none */
};

struct warm;

/*
 * Begin with these lenses, which are held until it has ended or left them; the
 * list is copied. `pattern` (copied) is a glob (fnmatch) on names of tensors,
 * for WARM_PATTERN; only reductions of those tensors are made then. EINVAL:
 * nothing matches. NULL on failure.
 */
struct warm *warm_open(struct engine *engine, struct lens *const *lenses,
		       size_t count, enum warm_what what, const char *pattern,
		       struct error *err);

void warm_look(struct warm *warm, struct warm_progress *progress);

/* Ask it to stop as soon as what is being made is there; does not wait. */
void warm_stop(struct warm *warm);

/* The same, and wait for it. NULL is fine. */
void warm_close(struct warm *warm);

#endif
