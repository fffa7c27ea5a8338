/*
 * A report as one text, for those who are not told line by line.
 */
#ifndef LMFS_SENTENCES_H
#define LMFS_SENTENCES_H

#include "core/base/error.h"

/* All its sentences, errors first, one a line; the caller frees it. NULL: no
 * memory. */
char *sentences_text(const struct report *report);

/* Its errors as one sentence. Returns the negative code of the first. */
int sentences_error(const struct report *report, struct error *err);

#endif
