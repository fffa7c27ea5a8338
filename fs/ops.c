#include <errno.h>
#include <sys/statvfs.h>

#include "fs/ops_inside.h"

/* What never changes may be kept for ever. */
#define TIMEOUT_FOREVER 1e9
/* All read-ahead is background to the kernel: let enough of it in. */
#define MAX_BACKGROUND 64
#define CONGESTION_THRESHOLD 48
#define BLOCK_SIZE 4096
#define STAT_BLOCK 512

static double attr_timeout(const struct node *node)
{
	return node_changes(node) ? 0 : TIMEOUT_FOREVER;
}

/* Of a name in a folder, and of its not being there. */
static double entry_timeout(const struct node *dir)
{
	return node_changes(dir) ? 0 : TIMEOUT_FOREVER;
}

mode_t mode_of(enum node_kind kind)
{
	if (kind == NODE_DIR)
		return S_IFDIR | 0555;
	if (kind == NODE_LINK)
		return S_IFLNK | 0777;
	return kind == NODE_CONTROL ? S_IFREG | 0600 : S_IFREG | 0444;
}

/* Of a node that does not change, or a copy of one that does. */
static struct stat stat_of(const struct mount *mount, const struct node *node)
{
	return (struct stat){
		.st_ino = node->ino,
		.st_mode = mode_of(node->kind),
		.st_nlink = is_dir(node) ? 2 + node->dirs : 1,
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

static struct stat stat_now(const struct mount *mount, const struct node *node)
{
	struct node now;

	if (!node_changes(node))
		return stat_of(mount, node);
	now = tree_now(mount->tree, node);
	return stat_of(mount, &now);
}

struct fuse_entry_param entry_of(const struct mount *mount,
				 const struct node *node)
{
	return (struct fuse_entry_param){
		.ino = node->ino,
		.attr = stat_now(mount, node),
		.attr_timeout = attr_timeout(node),
		/* A volume's folder does not change, but its name does. */
		.entry_timeout = entry_timeout(node->parent),
	};
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* Replies are in memory: a splice would only add a pipe. And who waits
	 * for an O_DIRECT read that the kernel has sent in parts cannot be
	 * interrupted. */
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA |
			    FUSE_CAP_ASYNC_DIO | FUSE_CAP_CACHE_SYMLINKS);
	conn->max_read = ENGINE_READ_MAX;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
}

static void op_destroy(void *userdata)
{
	handle_close_all(userdata);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct mount *mount = mount_of(req);
	const struct node *dir = node_of(req, parent), *node;
	struct fuse_entry_param entry;

	if (!dir) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	node = tree_lookup(mount->tree, dir, name);
	if (node)
		entry = entry_of(mount, node);
	else /* Without a number it says that there is no such name. */
		entry = (struct fuse_entry_param){
			.entry_timeout = entry_timeout(dir),
		};
	/* Nobody waits for the answer any more, so nobody will forget it. */
	if (fuse_reply_entry(req, &entry) != 0 && node)
		tree_forget(mount->tree, entry.ino, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	tree_forget(mount_of(req)->tree, ino, lookups);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		tree_forget(mount_of(req)->tree, forgets[i].ino,
			    forgets[i].nlookup);
	fuse_reply_none(req);
}

static void reply_attr(fuse_req_t req, const struct node *node)
{
	const struct stat st = stat_now(mount_of(req), node);

	fuse_reply_attr(req, &st, attr_timeout(node));
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	const struct node *node = node_of(req, ino);

	if (node)
		reply_attr(req, node);
	else
		fuse_reply_err(req, ENOENT);
}

/* A shell's `>` cuts the control file before it writes to it: it is as empty as
 * it was. */
static bool is_harmless(const struct node *node, const struct stat *attr,
			int to_set)
{
	return node && node->kind == NODE_CONTROL &&
	       to_set & FUSE_SET_ATTR_SIZE && attr->st_size == 0 &&
	       !(to_set &
		 (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID));
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	const struct node *node = node_of(req, ino);

	if (is_harmless(node, attr, to_set))
		reply_attr(req, node);
	else
		fuse_reply_err(req, EROFS);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const struct node *node = node_of(req, ino);
	AUTO_FREE char *target = NULL;

	if (node && node->kind == NODE_LINK)
		target = tree_link_target(mount_of(req)->tree, node->name);
	if (target)
		fuse_reply_readlink(req, target);
	else
		fuse_reply_err(req, node && node->kind != NODE_LINK ? EINVAL
								    : ENOENT);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct tree *tree = mount_of(req)->tree;
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

static const struct fuse_lowlevel_ops reading = {
	.init = op_init,
	.destroy = op_destroy,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_release,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.statfs = op_statfs,
};

struct passthrough *passthrough_of(void *userdata)
{
	const struct mount *mount = userdata;

	return mount->passthrough;
}

struct fuse_session *ops_session(struct fuse_args *args, struct mount *mount)
{
	struct fuse_lowlevel_ops ops = reading;

	ops_refuse_changes(&ops);
	pthread_mutex_init(&mount->handles_lock, NULL);
	return fuse_session_new(args, &ops, sizeof(ops), mount);
}

void ops_let_go(struct fuse_session *session, struct mount *mount)
{
	size_t count;
	AUTO_FREE struct tree_name *stale =
		tree_stale_names(mount->tree, &count);

	/* The answer that the kernel has no such name is as good. */
	for (size_t i = 0; i < count; i++)
		fuse_lowlevel_notify_inval_entry(session, stale[i].dir,
						 stale[i].name,
						 strlen(stale[i].name));
}
