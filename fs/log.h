/*
 * The log: lines with a time, kept in a ring for .llmergefs/log and written to
 * standard error while the process has one (in the foreground, or before it
 * became a daemon). The same line within LOG_REPEAT_SECONDS is counted, not
 * repeated. A line is one line whatever its text holds: control characters
 * become '?'. Any thread may log.
 */
#ifndef LMFS_LOG_H
#define LMFS_LOG_H

#include "core/base/error.h"

#define LOG_LINES 1000
#define LOG_REPEAT_SECONDS 10

enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR };

void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A line for each sentence of a report, in its order. */
void log_report(const struct report *report);

/* Whether lines go to standard error, too: yes at first. */
void log_to_stderr(bool on);

/* All that the ring holds, newest last; the caller frees it. NULL: no memory.
 */
char *log_text(size_t *len);

#endif
