/*
 * Errors as sentences.
 *
 * A function that can fail returns 0 or -errno. Where a person can act on the
 * failure its last parameter is a `struct error *`, on the caller's stack, that
 * receives one sentence: what is wrong, where, and what to do. It is written
 * only on failure and may always be NULL. A sentence is one line of printable
 * UTF-8: control characters and other bytes, which a name from a file may bring
 * along, become '?'.
 *
 *	return fail(err, EINVAL, "slerp takes 2 models, not %zu", n);
 *
 * Callers add where they were on the way up, so that one line tells all:
 *
 *	return fail_in(err, rc, "models[%zu]", i);
 *
 * The number says what kind of trouble it is, and decides the exit code:
 *
 *	EINVAL	the recipe or the command line is wrong
 *	ENOENT	a model, or a file of one, is missing
 *	EBADMSG	a source file is malformed
 *	EDOM	sources do not fit each other (shapes, layers, tokenizers)
 *	ENOTSUP	correct, but not supported (yet)
 *	others	the system's own errors
 *
 * A struct report collects many such sentences, errors and warnings, so that
 * everything wrong with a recipe is said at once.
 */
#ifndef LMFS_ERROR_H
#define LMFS_ERROR_H

#include "core/base/base.h"

#define ERROR_TEXT_MAX 2048
#define REPORT_NOTES_MAX 1000

struct error {
	int code; /* positive errno, 0: no error */
	char text[ERROR_TEXT_MAX];
};

/* Sets the sentence (cut at ERROR_TEXT_MAX) and returns -code. */
int fail(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the sentence and returns rc (negative). */
int fail_in(struct error *err, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

enum note_kind { NOTE_WARNING, NOTE_ERROR };

struct note {
	enum note_kind kind;
	int code;   /* positive errno; 0 for a warning */
	char *text; /* owned by the report */
};

struct report {
	struct note *notes; /* in the order of their coming */
	size_t count;
	size_t errors; /* how many of all, kept or not, are errors */
	size_t lost;   /* notes beyond REPORT_NOTES_MAX or without memory */
	int code;      /* of the first error, 0 when there is none */
};

#define REPORT_INIT \
	{           \
		0   \
	}
#define AUTO_REPORT AUTO(report_done)

void report_done(struct report *report);

/* Add a sentence. They cannot fail: what finds no room is counted as lost. */
void report_error(struct report *report, int code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
void report_warning(struct report *report, const char *fmt, ...)
	PRINTF_LIKE(2, 3);

/* Add the sentence of a failed call; returns its -code. */
int report_failure(struct report *report, const struct error *err);

/* Add the notes of another report, each with "context: " before it. */
void report_add_all(struct report *report, const struct report *other,
		    const char *context);

/* 0, or -code of the first error. */
int report_result(const struct report *report);

#endif
