/*
 * The other side of .llmergefs/control: what `switch`, `set`, `warm` and
 * `status` share. A mount is found from any path in it, so that MOUNT/NAME can
 * be typed with the shell's completion.
 */
#ifndef LMFS_CLIENT_H
#define LMFS_CLIENT_H

#include "core/base/arena.h"
#include "core/json.h"

struct client {
	char *root; /* of the mount, absolute, links resolved */
	char *name; /* below it: "a", "a/lambda=0.4"; "": the root itself */
	int fd;	    /* of the control file; -1: not opened yet */
	struct arena *arena; /* of the last answer */
};

#define CLIENT_INIT                  \
	{                            \
		NULL, NULL, -1, NULL \
	}
#define AUTO_CLIENT AUTO(client_done)

/* Find the mount that a path lies in. EINVAL: it lies in none of ours. */
int client_find(struct client *client, const char *path, struct error *err);

/*
 * Send one line (a JSON object, no newline) and wait for its answer, which
 * lives until the next. An answer that says no is its sentence, with a
 * code that exit_code() turns into the one the daemon gave. EACCES where the
 * mount is another's.
 */
int client_ask(struct client *client, const char *line,
	       const struct json **answer, struct error *err);

/* The text of a live file of the mount, "stats.json"; the caller frees it. */
int client_read(const struct client *client, const char *name, char **text,
		size_t *len, struct error *err);

void client_done(struct client *client);

#endif
