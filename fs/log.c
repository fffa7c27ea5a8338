#include "fs/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/base/utf8.h"

struct line {
	char *text; /* NULL: this place of the ring is empty */
	enum log_level level;
	struct timespec when; /* it was said first */
	double clock;
	uint64_t times; /* it was said */
};

/* The process has one log; everything is behind the lock. */
static struct {
	pthread_mutex_t lock;
	struct line ring[LOG_LINES];
	size_t next; /* the place of the next line */
	bool quiet;  /* nothing goes to standard error */
} log_state = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *const level_names[] = {
	[LOG_INFO] = "info",
	[LOG_WARNING] = "warning",
	[LOG_ERROR] = "error",
};

/* The i-th line back from the newest; its text is NULL where there is none. */
static struct line *line_back(size_t i)
{
	return &log_state
			.ring[(log_state.next + LOG_LINES - 1 - i) % LOG_LINES];
}

/* The line that says the same and began a short while ago, else NULL. */
static struct line *find_repeat(enum log_level level, const char *text,
				double now)
{
	for (size_t i = 0; i < LOG_LINES; i++) {
		struct line *line = line_back(i);

		if (!line->text || now - line->clock > LOG_REPEAT_SECONDS)
			return NULL;
		if (line->level == level && strcmp(line->text, text) == 0)
			return line;
	}
	return NULL;
}

static void write_stderr(enum log_level level, const char *text)
{
	/* There may be a progress bar in the way. */
	const char *clear = isatty(STDERR_FILENO) ? "\r\033[K" : "";

	if (log_state.quiet)
		return;
	fprintf(stderr, "%sllmergefs: %s%s\n", clear,
		level == LOG_WARNING ? "warning: " : "", text);
}

/* Takes text. */
static void add_line(enum log_level level, char *text)
{
	double now = clock_seconds();
	struct line *line = find_repeat(level, text, now);

	if (line) {
		line->times++;
		free(text);
		return;
	}
	write_stderr(level, text);
	line = &log_state.ring[log_state.next];
	log_state.next = (log_state.next + 1) % LOG_LINES;
	free(line->text);
	*line = (struct line){
		.text = text, .level = level, .clock = now, .times = 1
	};
	clock_gettime(CLOCK_REALTIME, &line->when);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	utf8_make_printable(text);
	pthread_mutex_lock(&log_state.lock);
	add_line(level, text);
	pthread_mutex_unlock(&log_state.lock);
}

void log_report(const struct report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct note *note = &report->notes[i];

		log_line(note->kind == NOTE_ERROR ? LOG_ERROR : LOG_WARNING,
			 "%s", note->text);
	}
	if (report->lost)
		log_line(LOG_WARNING, "%zu more sentences are not shown",
			 report->lost);
}

void log_to_stderr(bool on)
{
	pthread_mutex_lock(&log_state.lock);
	log_state.quiet = !on;
	pthread_mutex_unlock(&log_state.lock);
}

static void print_line(FILE *out, const struct line *line)
{
	char when[sizeof("2000-01-01T00:00:00Z")] = "";
	struct tm utc;

	if (gmtime_r(&line->when.tv_sec, &utc))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
	fprintf(out, "%s %s: %s", when, level_names[line->level], line->text);
	if (line->times > 1)
		fprintf(out, " (%llu times)", (unsigned long long)line->times);
	fputc('\n', out);
}

static void print_ring(FILE *out)
{
	for (size_t i = LOG_LINES; i > 0; i--)
		if (line_back(i - 1)->text)
			print_line(out, line_back(i - 1));
}

char *log_text(size_t *len)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	char *bytes;

	if (text_open(&text) < 0)
		return NULL;
	pthread_mutex_lock(&log_state.lock);
	print_ring(text.out);
	pthread_mutex_unlock(&log_state.lock);
	return text_take(&text, &bytes, len) < 0 ? NULL : bytes;
}
