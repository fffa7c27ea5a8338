/*
 * FUSE passthrough: the kernel answers the reads of a file from another one, at
 * that one's speed, and we never see them. It takes Linux 6.9 and the right to
 * do so (CAP_SYS_ADMIN), and a file system of the other file that is not
 * stacked itself; where anything of it is missing, reads come to us.
 *
 * libfuse before 3.17 knows nothing of it. So what it writes to the kernel goes
 * through a function of ours, which adds the three words to the one answer that
 * matters (INIT), and opens are answered by hand. The layouts are those of
 * include/uapi/linux/fuse.h, version 7.40.
 *
 * The kernel lets a file be open in one way at a time: from another file, and
 * the same one, or through its page cache. Who is first decides until the last
 * one has closed it.
 */
#ifndef LMFS_PASSTHROUGH_H
#define LMFS_PASSTHROUGH_H

#include "core/base/base.h"

struct passthrough;
struct fuse_session;
struct fuse_req;

/* wanted: false, and nothing is ever handed to the kernel. NULL: no memory. */
struct passthrough *passthrough_open(bool wanted);
void passthrough_close(struct passthrough *passthrough); /* NULL is fine */

/* Once the session is mounted, and before it is served: its userdata leads to
 * `passthrough` by passthrough_of(), which the caller defines. Without memory
 * nothing is handed to the kernel. */
void passthrough_attach(struct passthrough *passthrough,
			struct fuse_session *session);
struct passthrough *passthrough_of(void *userdata);

/* The connection ends: nothing more is asked of the kernel. */
void passthrough_stop(struct passthrough *passthrough);

/*
 * A file is opened: the number of its backing, where the kernel shall read from
 * `fd` (-1: there is no such file), or 0: reads come to us. Each is followed by
 * one passthrough_end(), once it is closed, or was not opened after all.
 */
uint32_t passthrough_begin(struct passthrough *passthrough, uint64_t ino,
			   int fd);
void passthrough_end(struct passthrough *passthrough, uint64_t ino);

/* As fuse_reply_open(), for a file that has a backing. */
int passthrough_reply(struct fuse_req *req, uint64_t handle, uint32_t backing);

/* Opens that were handed to the kernel so far. */
uint64_t passthrough_count(const struct passthrough *passthrough);

#endif
