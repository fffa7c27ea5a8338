/*
 * What the files of the answers to the kernel share: ops.c (names, attributes),
 * ops_folders.c (listings), ops_open.c (open, release), ops_files.c (read,
 * write), ops_handle.c (what is open), ops_refuse.c (every change).
 */
#ifndef LMFS_OPS_INSIDE_H
#define LMFS_OPS_INSIDE_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "fs/ops.h"
#include "fs/passthrough.h"

static inline struct mount *mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Takes the tree's lock: not for reads. */
static inline const struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return tree_node(mount_of(req)->tree, ino);
}

static inline bool is_dir(const struct node *node)
{
	return node->kind == NODE_DIR;
}

/*
 * An open file or folder. It is answered from this alone: its node is there
 * until the handle is released, for the kernel does not forget what is open.
 */
struct handle {
	const struct node *node;
	struct handle *before, *after; /* under the mount's lock of them */
	struct access_file *access;    /* NODE_SHARD; may be NULL */
	int kept; /* NODE_SHARD: a finished file of its bytes; -1: none */
	uint64_t passed; /* NODE_SHARD: to passthrough_begin(); 0: not yet */
	char *text;	 /* NODE_LIVE: as it was when it opened */
	size_t len;
	struct tree_entry *entries; /* NODE_DIR that changes; NULL: none yet */
	size_t count;
	struct conversation *conversation; /* NODE_CONTROL */
	pthread_mutex_t lock;		   /* of the conversation */
};

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/* NULL: no memory. */
struct handle *handle_open(struct mount *mount, const struct node *node);
/* With all that was put into it; looks at no node. */
void handle_close(struct mount *mount, struct handle *handle);
void handle_close_all(struct mount *mount);

mode_t mode_of(enum node_kind kind);

/* With all that the kernel may keep; counts no look-up. */
struct fuse_entry_param entry_of(const struct mount *mount,
				 const struct node *node);

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	      off_t off, struct fuse_file_info *fi);
/* Of a folder, too. */
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* Answer EROFS to whatever would change something. */
void ops_refuse_changes(struct fuse_lowlevel_ops *ops);

#endif
