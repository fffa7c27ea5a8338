/*
 * A text in the making: a stream to print into, whose bytes are taken at the
 * end. What goes wrong on the way (no memory) is said there, once.
 *
 *	AUTO_TEXT struct text text = TEXT_INIT;
 *
 *	if (text_open(&text) < 0)
 *		return -ENOMEM;
 *	fprintf(text.out, "%zu tensors\n", count);
 *	return text_take(&text, &bytes, &len);
 */
#ifndef LMFS_TEXT_H
#define LMFS_TEXT_H

#include <stdio.h>

#include "core/base/base.h"

struct text {
	FILE *out; /* NULL: not open */
	char *bytes;
	size_t len;
};

#define TEXT_INIT             \
	{                     \
		NULL, NULL, 0 \
	}
#define AUTO_TEXT AUTO(text_done)

/* 0 or -ENOMEM. */
int text_open(struct text *text) MUST_USE;

/*
 * End the text: 0, and the caller owns *bytes, which has a NUL after its *len
 * bytes (len may be NULL); or -ENOMEM.
 */
int text_take(struct text *text, char **bytes, size_t *len) MUST_USE;

void text_done(struct text *text); /* whatever state it is in */

#endif
