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
	/* Replies are in memory: a splice would only add a pipe. And who waits
	 * for an O_DIRECT read that the kernel has sent in parts cannot be
	 * interrupted. */
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA |
			    FUSE_CAP_ASYNC_DIO);
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

static const struct fuse_lowlevel_ops reading = {
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
};

struct fuse_session *ops_session(struct fuse_args *args, struct mount *mount)
{
	struct fuse_lowlevel_ops ops = reading;

	ops_refuse_changes(&ops);
	return fuse_session_new(args, &ops, sizeof(ops), mount);
}
