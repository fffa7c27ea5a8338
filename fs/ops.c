#define FUSE_USE_VERSION 312

#include "fs/ops.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <sys/statvfs.h>

#include "fs/log.h"

/* What never changes may be kept for ever. */
#define TIMEOUT_FOREVER 1e9
/* All read-ahead is background to the kernel: let enough of it in. */
#define MAX_BACKGROUND 64
#define CONGESTION_THRESHOLD 48
#define BLOCK_SIZE 4096
#define STAT_BLOCK 512

static const struct mount *mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static const struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return tree_node(mount_of(req)->tree, ino);
}

static bool is_dir(const struct node *node)
{
	return node->kind == NODE_DIR;
}

static double timeout_of(const struct node *node)
{
	return node->kind == NODE_LIVE ? 0 : TIMEOUT_FOREVER;
}

static nlink_t links_of(const struct node *node)
{
	nlink_t links = is_dir(node) ? 2 : 1;

	for (size_t i = 0; i < node->count; i++)
		links += is_dir(node->children[i]);
	return links;
}

static struct stat stat_of(const struct mount *mount, const struct node *node)
{
	return (struct stat){
		.st_ino = node->ino,
		.st_mode = is_dir(node) ? S_IFDIR | 0555 : S_IFREG | 0444,
		.st_nlink = links_of(node),
		.st_uid = mount->uid,
		.st_gid = mount->gid,
		.st_size = (off_t)node->size,
		.st_blksize = ENGINE_READ_MAX,
		.st_blocks =
			(blkcnt_t)((node->size + STAT_BLOCK - 1) / STAT_BLOCK),
		.st_atim = node->mtime,
		.st_mtim = node->mtime,
		.st_ctim = node->mtime,
	};
}

static struct fuse_entry_param entry_of(const struct mount *mount,
					const struct node *node)
{
	return (struct fuse_entry_param){
		.ino = node->ino,
		.attr = stat_of(mount, node),
		.attr_timeout = timeout_of(node),
		.entry_timeout = TIMEOUT_FOREVER,
	};
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* Replies are in memory: a splice would only add a pipe. */
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
	conn->max_read = ENGINE_READ_MAX;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct node *dir = node_of(req, parent);
	/* Without a number it says that there is no such name. */
	struct fuse_entry_param entry = { .entry_timeout = TIMEOUT_FOREVER };
	const struct node *node = dir ? node_child(dir, name) : NULL;

	if (!dir) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (node)
		entry = entry_of(mount_of(req), node);
	fuse_reply_entry(req, &entry);
}

/* Numbers are never used again, and nodes live as long as the mount. */
static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	const struct node *node = node_of(req, ino);
	struct stat st;

	if (!node) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	st = stat_of(mount_of(req), node);
	fuse_reply_attr(req, &st, timeout_of(node));
}

/* --- folders ----------------------------------------------------------- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

struct listing {
	fuse_req_t req;
	bool plus; /* with attributes */
	char *buf;
	size_t size, used;
};

/* Entry `at` of a folder: itself, its parent, its children. NULL: the end. */
static const struct node *entry_at(const struct node *dir, size_t at,
				   const char **name)
{
	if (at == 0) {
		*name = ".";
		return dir;
	}
	if (at == 1) {
		*name = "..";
		return dir->parent;
	}
	if (at - 2 >= dir->count)
		return NULL;
	*name = dir->children[at - 2]->name;
	return dir->children[at - 2];
}

/* False: it does not fit any more. */
static bool list_entry(struct listing *list, const struct node *node,
		       const char *name, off_t next)
{
	struct fuse_entry_param entry = entry_of(mount_of(list->req), node);
	size_t left = list->size - list->used;
	size_t need;

	if (list->plus)
		need = fuse_add_direntry_plus(list->req, list->buf + list->used,
					      left, name, &entry, next);
	else
		need = fuse_add_direntry(list->req, list->buf + list->used,
					 left, name, &entry.attr, next);
	if (need > left)
		return false;
	list->used += need;
	return true;
}

static void list_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     bool plus)
{
	AUTO_FREE char *buf = malloc(size);
	const struct node *dir = node_of(req, ino), *node;
	struct listing list = { req, plus, buf, size, 0 };
	const char *name;

	if (!dir || !is_dir(dir) || off < 0) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	while ((node = entry_at(dir, (size_t)off, &name)) &&
	       list_entry(&list, node, name, off + 1))
		off++;
	fuse_reply_buf(req, buf, list.used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	list_dir(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	list_dir(req, ino, size, off, true);
}

/* --- files ------------------------------------------------------------- */

/* The text of a live file, as it was when it was opened. */
struct live {
	char *text;
	size_t len;
};

static int open_live(const struct node *node, struct fuse_file_info *fi)
{
	AUTO_FREE struct live *live = calloc(1, sizeof(*live));
	int rc;

	if (!live)
		return -ENOMEM;
	rc = node->make(node->ctx, &live->text, &live->len);
	if (rc)
		return rc;
	fi->direct_io = 1;
	fi->fh = (uintptr_t)TAKE(live);
	return 0;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct node *node = node_of(req, ino);
	int rc = 0;

	if (!node)
		rc = -ENOENT;
	else if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC)
		rc = -EROFS;
	else if (node->kind == NODE_LIVE)
		rc = open_live(node, fi);
	else
		fi->keep_cache = 1;
	if (rc) {
		fuse_reply_err(req, -rc);
		return;
	}
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	const struct node *node = node_of(req, ino);

	if (node && node->kind == NODE_LIVE) {
		struct live *live = (struct live *)(uintptr_t)fi->fh;

		free(live->text);
		free(live);
	}
	fuse_reply_err(req, 0);
}

/* A read of a shard, from its request to its answer. */
struct request {
	fuse_req_t req;
	struct engine_read read;
};

/* After it no interrupt can come, and none is at work. */
static void end_interrupts(fuse_req_t req)
{
	fuse_req_interrupt_func(req, NULL, NULL);
}

/* The engine has logged what went wrong. */
static void answer_parked(struct engine_read *read, int rc, const void *data,
			  const struct error *err)
{
	struct request *request = CONTAINER_OF(read, struct request, read);

	end_interrupts(request->req);
	if (rc)
		fuse_reply_err(request->req, -rc);
	else
		fuse_reply_buf(request->req, data, read->len);
	free(request);
}

static void interrupted(fuse_req_t req, void *data)
{
	struct request *request = data;

	if (!engine_cancel(mount_of(req)->engine, &request->read))
		return;
	fuse_reply_err(req, EINTR);
	free(request);
}

static void read_shard(fuse_req_t req, const struct node *node, size_t size,
		       uint64_t off, void *buf)
{
	struct engine *engine = mount_of(req)->engine;
	struct request *request = calloc(1, sizeof(*request));
	int rc;

	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->req = req;
	request->read = (struct engine_read){
		.lens = node->lens,
		.file = node->shard,
		.off = off,
		.len = size,
		.done = answer_parked,
	};
	/* Before the read begins: once it is parked it is not ours. */
	fuse_req_interrupt_func(req, interrupted, request);
	rc = engine_read(engine, &request->read, buf, NULL);
	if (rc == ENGINE_PARKED)
		return;
	end_interrupts(req);
	if (rc)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_buf(req, buf, size);
	free(request);
}

static void read_source(fuse_req_t req, const struct node *node, size_t size,
			uint64_t off, void *buf)
{
	struct error err;

	if (source_read(node->source, buf, size, off, &err) == 0) {
		fuse_reply_buf(req, buf, size);
		return;
	}
	log_line(LOG_ERROR, "%s: %s", node->name, err.text);
	fuse_reply_err(req, EIO);
}

static void read_text(fuse_req_t req, const char *text, size_t len, size_t size,
		      uint64_t off)
{
	if (off >= len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, text + off, min_u64(size, len - off));
}

static void read_file(fuse_req_t req, const struct node *node, size_t size,
		      uint64_t off)
{
	void *buf = engine_buffer(mount_of(req)->engine);

	if (off >= node->size) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	size = min_u64(size, node->size - off);
	if (!buf || size > ENGINE_READ_MAX)
		fuse_reply_err(req, buf ? EIO : ENOMEM);
	else if (node->kind == NODE_SHARD)
		read_shard(req, node, size, off, buf);
	else
		read_source(req, node, size, off, buf);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	const struct node *node = node_of(req, ino);

	if (!node || is_dir(node)) {
		fuse_reply_err(req, node ? EISDIR : ENOENT);
	} else if (node->kind == NODE_LIVE) {
		struct live *live = (struct live *)(uintptr_t)fi->fh;

		read_text(req, live->text, live->len, size, (uint64_t)off);
	} else if (node->kind == NODE_TEXT) {
		read_text(req, node->text, node->size, size, (uint64_t)off);
	} else {
		read_file(req, node, size, (uint64_t)off);
	}
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct tree *tree = mount_of(req)->tree;
	const struct statvfs st = {
		.f_bsize = BLOCK_SIZE,
		.f_frsize = BLOCK_SIZE,
		.f_blocks = (tree_bytes(tree) + BLOCK_SIZE - 1) / BLOCK_SIZE,
		.f_files = tree_count(tree),
		.f_namemax = 255,
		.f_flag = ST_RDONLY,
	};

	fuse_reply_statfs(req, &st);
}

/* --- what would change something --------------------------------------- */

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	fuse_reply_err(req, EROFS);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	fuse_reply_err(req, EROFS);
}

/* Also rmdir. */
static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
		       const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t new_parent, const char *new_name,
		      unsigned flags)
{
	fuse_reply_err(req, EROFS);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent,
		    const char *new_name)
{
	fuse_reply_err(req, EROFS);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	fuse_reply_err(req, EROFS);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
			 off_t len, struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

const struct fuse_lowlevel_ops mount_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.statfs = op_statfs,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_unlink,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.write = op_write,
	.create = op_create,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.fallocate = op_fallocate,
};
