/*
 * .llmergefs/control: commands to the daemon. Who opens it (the owner of the
 * mount only) writes one JSON object in a line, and reads the answer from the
 * same descriptor, a line, too; then the next.
 *
 *	{"op": "switch", "name": "a"}
 *	{"op": "set", "name": "a", "settings": ["parameters.lambda=0.5"]}
 *	{"op": "warm", "name": "a", "what": "reductions"}
 *		"pattern" with "pattern": GLOB, or "all"; it ends with the
 *		descriptor
 *	{"op": "progress"}	of the warming that this descriptor began
 *
 *	{"ok": true, ...}	{"ok": false, "code": 2, "error": "sentence"}
 *
 * code is the exit code for a command line.
 */
#ifndef LMFS_CONTROL_H
#define LMFS_CONTROL_H

#include "fs/catalog.h"

#define CONTROL_LINE_MAX (1u << 20)

struct control;

/* Borrows both. NULL: no memory. */
struct control *control_open(struct catalog *catalog, struct engine *engine);

/* Ends what open conversations have begun, and the conversations. */
void control_close(struct control *control); /* NULL is fine */

/* A descriptor that is open on it; used by one thread at a time. */
struct conversation;

struct conversation *conversation_open(struct control *control);
void conversation_close(struct conversation *conversation);

/* Take what was written; a whole line is carried out before it returns. 0, or
 * -EFBIG for a line that is too long. */
int conversation_write(struct conversation *conversation, const char *bytes,
		       size_t len);

/* The next bytes of the answers, at most `len`; 0: there are no more. */
size_t conversation_read(struct conversation *conversation, char *bytes,
			 size_t len);

#endif
