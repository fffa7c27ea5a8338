/*
 * `llmergefs status`: what the stats.json of a mount says, for people. Two
 * samples of it give the rates of now; the time between them is the daemon's.
 */
#ifndef LMFS_STATUS_H
#define LMFS_STATUS_H

#include <stdio.h>

#include "core/base/arena.h"
#include "core/json.h"

#define STATUS_COLUMNS 80

/* One stats.json. */
struct status_sample {
	char *text; /* owned, as all of it */
	size_t len;
	struct arena *arena;
	const struct json *stats;
};

#define STATUS_SAMPLE_INIT          \
	{                           \
		NULL, 0, NULL, NULL \
	}
#define AUTO_STATUS_SAMPLE AUTO(status_sample_done)

/* Parse; takes the text, in any case. EBADMSG: it is no stats.json. */
int status_sample_init(struct status_sample *sample, char *text, size_t len,
		       struct error *err);
void status_sample_done(struct status_sample *sample);

/* What is to be seen. */
struct status_view {
	const char *root; /* of the mount */
	const char *name; /* a folder of it; "": all */
	size_t rows_max;  /* of the table of recipes */
	const struct json *before, *now;
};

/* At most STATUS_COLUMNS wide, but for a mount or a link with a long name. 0 or
 * -ENOMEM. */
int status_draw(FILE *out, const struct status_view *view);

/* The table of recipes alone: status_table.c. */
int status_draw_recipes(FILE *out, const struct status_view *view);

/* --- numbers ------------------------------------------------------------- */

#define STATUS_TEXT_MAX 48

/* A member as a number; 0 where it is not there. */
double status_number(const struct json *object, const char *name);

/* Seconds between the samples; 0: they are not of one daemon, or not two. */
double status_seconds(const struct status_view *view);

/* All return text. "269 MB", "-" for 0; "1.2 GB/s", "-" where it is 0 or not
 * known; "1.25 s", "2 h 05 min". */
const char *status_size(double bytes, char text[STATUS_TEXT_MAX]);
const char *status_rate(double bytes, double seconds,
			char text[STATUS_TEXT_MAX]);
const char *status_time(double seconds, char text[STATUS_TEXT_MAX]);

#endif
