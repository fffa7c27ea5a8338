/*
 * The answers to the kernel, over libfuse's low-level interface. What belongs
 * to a volume of the tree never changes: its names and attributes are good for
 * ever, and its pages stay cached over opens. The kernel keeps nothing of the
 * rest: names in the root and in .llmergefs/, links, and live files, which are
 * made at each open. Every attempt to change something is answered EROFS, but
 * for what is written to the control file.
 *
 * A read is answered on the thread that took it, out of that thread's buffer,
 * or is parked in the engine and answered by whoever finishes it.
 */
#ifndef LMFS_OPS_H
#define LMFS_OPS_H

#include <pthread.h>

#include "fs/access.h"
#include "fs/control.h"

/* What all answers are made from: the session's userdata. */
struct mount {
	struct engine *engine;
	struct tree *tree;
	struct control *control; /* for the control file */
	struct access *access;	 /* NULL: nobody asks who reads */
	struct passthrough *passthrough;
	uid_t uid;
	gid_t gid;
	/* The session's own: what is open, for what the kernel never closes. */
	struct handle *handles;
	pthread_mutex_t handles_lock;
};

struct fuse_args;
struct fuse_session;

/* A session of these answers; borrows the mount. What it has open is closed
 * with it, so the mount must be whole until then. NULL: FUSE has said why. */
struct fuse_session *ops_session(struct fuse_args *args, struct mount *mount);

/*
 * Tell the kernel to let go of all names of volumes that have left the tree.
 * What somebody still has open then is forgotten once it is closed, but what is
 * looked up after that, from a folder that is open, is kept anew: so this is
 * called again, each second or so, as long as there are such volumes. It may
 * wait until look-ups in their folders are answered: not with a lock that an
 * answer takes, and not on a thread that answers.
 */
void ops_let_go(struct fuse_session *session, struct mount *mount);

#endif
