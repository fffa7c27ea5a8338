/*
 * What control.c (life, lines, answers) and control_run.c (the commands) share.
 */
#ifndef LMFS_CONTROL_INSIDE_H
#define LMFS_CONTROL_INSIDE_H

#include <pthread.h>

#include "core/base/text.h"
#include "fs/control.h"
#include "fs/warm.h"

/* A warming whose descriptor is closed: it ends by itself. */
struct ending {
	struct warm *warm;
	struct ending *next;
};

struct control {
	struct catalog *catalog;
	struct engine *engine;
	pthread_mutex_t lock; /* of the two lists */
	struct conversation *all;
	struct ending *endings;
};

struct conversation {
	struct control *control;
	struct conversation *next, **link;
	struct text line; /* what was written of it so far */
	size_t line_length;
	char *answers; /* what is there to read, from `read_at` on */
	size_t answers_len, read_at;
	struct warm *warm; /* NULL: none was begun */
};

/* Let a warming end without waiting for it. NULL is fine. */
void control_end_warm(struct control *control, struct warm *warm);

/* Carry out a command: 0, and what it has to say is written to `out` as members
 * of the answer, each with ", " before it; or a negative code. */
int control_run(struct conversation *conversation, const struct json *command,
		FILE *out, struct error *err);

#endif
