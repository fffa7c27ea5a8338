/*
 * A merged model is read-only: whatever would change it is answered EROFS here,
 * and not by a read-only mount, whose answer would be the kernel's. What can be
 * done to the control file (write, setattr) is refused for all others there.
 */
#include <errno.h>

#include "fs/ops_inside.h"

static void refuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
			 mode_t mode, dev_t rdev)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
			 mode_t mode)
{
	fuse_reply_err(req, EROFS);
}

/* Also rmdir. */
static void refuse_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
			   const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
			  fuse_ino_t new_parent, const char *new_name,
			  unsigned flags)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent,
			const char *new_name)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_create(fuse_req_t req, fuse_ino_t parent, const char *name,
			  mode_t mode, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			    const char *value, size_t size, int flags)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_fallocate(fuse_req_t req, fuse_ino_t ino, int mode,
			     off_t off, off_t len, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

void ops_refuse_changes(struct fuse_lowlevel_ops *ops)
{
	ops->mknod = refuse_mknod;
	ops->mkdir = refuse_mkdir;
	ops->unlink = refuse_unlink;
	ops->rmdir = refuse_unlink;
	ops->symlink = refuse_symlink;
	ops->rename = refuse_rename;
	ops->link = refuse_link;
	ops->create = refuse_create;
	ops->setxattr = refuse_setxattr;
	ops->removexattr = refuse_removexattr;
	ops->fallocate = refuse_fallocate;
}
