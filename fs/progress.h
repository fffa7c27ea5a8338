/*
 * A progress bar on standard error, where that is a terminal; else nothing.
 */
#ifndef LMFS_PROGRESS_H
#define LMFS_PROGRESS_H

#include "core/base/base.h"

struct progress {
	const char *title;    /* borrowed */
	uint64_t total, done; /* bytes */
	double begin, shown;  /* on clock_seconds() */
	bool visible;
};

void progress_begin(struct progress *progress, const char *title,
		    uint64_t total, bool quiet);
void progress_add(struct progress *progress, uint64_t bytes);

/* Take the bar away. Returns the seconds since the beginning. */
double progress_end(struct progress *progress);

#endif
