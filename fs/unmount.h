/*
 * The end of a mount: how a mountpoint is unmounted, by root or through
 * fusermount3, and the thread that waits for the signals that ask for it.
 *
 * The first SIGINT, SIGTERM or SIGHUP unmounts. Where files are still open it
 * detaches the mount instead, and they are served until the last is closed: a
 * reader that has one mapped never gets a SIGBUS. A second signal ends the
 * process at once. A mount that is not ours, which somebody has put in the
 * place of ours, is left alone.
 */
#ifndef LMFS_UNMOUNT_H
#define LMFS_UNMOUNT_H

#include "core/base/base.h"

/* 0, or -errno (-EBUSY: files are open, and `lazy` is not set). */
int unmount(const char *mountpoint, bool lazy);

/* Block the signals in this thread and those that it starts. */
void unmount_block_signals(void);

/* Let them end the process, as they do where nobody waits for them. */
void unmount_unblock_signals(void);

/*
 * A thread that first calls `greet`, and then waits for the signals; where
 * greet says false, the mount is of no use, and it is unmounted at once.
 * Borrows the mountpoint; NULL: no memory. Closing waits until the thread has
 * nothing in hand.
 */
struct unmounter;

struct unmounter *unmounter_open(const char *mountpoint,
				 bool (*greet)(void *ctx), void *ctx);
void unmounter_close(struct unmounter *unmounter); /* NULL is fine */

#endif
