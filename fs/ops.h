/*
 * The answers to the kernel, over libfuse's low-level interface. Everything is
 * immutable: names and attributes are good for ever, pages stay cached over
 * opens, and every attempt to change something is answered EROFS. Live files
 * alone are made at each open, and never cached.
 *
 * A read is answered on the thread that took it, out of that thread's buffer,
 * or is parked in the engine and answered by whoever finishes it.
 */
#ifndef LMFS_OPS_H
#define LMFS_OPS_H

#include "fs/engine.h"
#include "fs/tree.h"

/* What all answers are made from: the session's userdata. */
struct mount {
	struct engine *engine;
	struct tree *tree;
	uid_t uid;
	gid_t gid;
};

struct fuse_args;
struct fuse_session;

/* A session of these answers; borrows the mount. NULL: FUSE has said why. */
struct fuse_session *ops_session(struct fuse_args *args, struct mount *mount);

#endif
