/*
 * What the files of the answers to the kernel share: ops.c (names, attributes,
 * folders), ops_files.c (open, read, release), ops_refuse.c (every change).
 */
#ifndef LMFS_OPS_INSIDE_H
#define LMFS_OPS_INSIDE_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "fs/ops.h"

static inline const struct mount *mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline const struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return tree_node(mount_of(req)->tree, ino);
}

static inline bool is_dir(const struct node *node)
{
	return node->kind == NODE_DIR;
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* Answer EROFS to whatever would change something. */
void ops_refuse_changes(struct fuse_lowlevel_ops *ops);

#endif
