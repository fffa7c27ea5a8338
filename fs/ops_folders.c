/*
 * Folders: what is in them. One that changes is listed as it was when the
 * listing began, and the kernel learns only numbers and kinds from it. Of one
 * that does not, it keeps the listing, and the attributes that come with it, as
 * if it had looked up each name: so each is counted.
 */
#include <errno.h>

#include "fs/ops_inside.h"

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *mount = mount_of(req);
	const struct node *dir = tree_node(mount->tree, ino);
	struct handle *handle;

	if (!dir || !is_dir(dir)) {
		fuse_reply_err(req, dir ? ENOTDIR : ENOENT);
		return;
	}
	handle = handle_open(mount, dir);
	if (!handle) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fi->cache_readdir = !node_changes(dir);
	fi->keep_cache = !node_changes(dir);
	fi->fh = (uintptr_t)handle;
	/* Nobody waits for the answer any more, so nobody will release it. */
	if (fuse_reply_open(req, fi) != 0)
		handle_close(mount, handle);
}

/* Names are those of the time when the reading began, or began again. */
static bool take_names(fuse_req_t req, struct handle *folder, off_t off)
{
	if (!node_changes(folder->node) || (folder->entries && off > 0))
		return true;
	free(folder->entries);
	folder->entries =
		tree_list(mount_of(req)->tree, folder->node, &folder->count);
	return folder->entries;
}

static size_t count_of(const struct handle *folder)
{
	return 2 + (node_changes(folder->node) ? folder->count
					       : folder->node->count);
}

/* The node of an entry, where it cannot go: it is neither the folder itself,
 * nor its parent, nor in a folder that changes. */
static const struct node *node_of_entry(const struct handle *folder, size_t at)
{
	if (at < 2 || node_changes(folder->node))
		return NULL;
	return folder->node->children[at - 2];
}

/* Entry `at` of a folder: itself, its parent, its children. */
static struct tree_entry entry_at(const struct handle *folder, size_t at)
{
	const struct node *dir = folder->node,
			  *child = node_of_entry(folder, at);

	if (at == 0)
		return (struct tree_entry){ ".", dir->ino, NODE_DIR };
	if (at == 1)
		return (struct tree_entry){ "..", dir->parent->ino, NODE_DIR };
	if (child)
		return (struct tree_entry){ child->name, child->ino,
					    child->kind };
	return folder->entries[at - 2];
}

struct listing {
	fuse_req_t req;
	const struct handle *folder;
	bool plus; /* with attributes */
	bool keep; /* they are kept, and look-ups counted */
	char *buf;
	size_t size, used;
};

/* False: it does not fit any more. */
static bool list_entry(struct listing *list, size_t at)
{
	const struct mount *mount = mount_of(list->req);
	const struct node *kept =
		list->keep ? node_of_entry(list->folder, at) : NULL;
	const struct tree_entry entry = entry_at(list->folder, at);
	size_t left = list->size - list->used;
	/* Without a number of its own the kernel takes no attributes. */
	struct fuse_entry_param param = {
		.attr.st_ino = entry.ino,
		.attr.st_mode = mode_of(entry.kind),
	};
	off_t next = (off_t)at + 1;
	size_t need;

	if (kept)
		param = entry_of(mount, kept);
	if (list->plus)
		need = fuse_add_direntry_plus(list->req, list->buf + list->used,
					      left, entry.name, &param, next);
	else
		need = fuse_add_direntry(list->req, list->buf + list->used,
					 left, entry.name, &param.attr, next);
	if (need > left)
		return false;
	if (kept)
		tree_lookup(mount->tree, list->folder->node, kept->name);
	list->used += need;
	return true;
}

/* Nobody waits for the answer any more, so nobody will forget what is in it. */
static void forget_entries(const struct mount *mount,
			   const struct handle *folder, size_t begin,
			   size_t end)
{
	for (size_t at = begin; at < end; at++) {
		const struct node *kept = node_of_entry(folder, at);

		if (kept)
			tree_forget(mount->tree, kept->ino, 1);
	}
}

static void list_dir(fuse_req_t req, size_t size, off_t off,
		     const struct fuse_file_info *fi, bool plus)
{
	const struct mount *mount = mount_of(req);
	struct handle *folder = handle_of(fi);
	AUTO_FREE char *buf = malloc(size);
	struct listing list = {
		.req = req,
		.folder = folder,
		.plus = plus,
		/* What has left is to be forgotten, and not to be known anew.
		 */
		.keep = plus && !tree_is_stale(folder->node),
		.buf = buf,
		.size = size,
	};
	size_t begin = (size_t)off, at = begin;

	if (!buf || off < 0 || !take_names(req, folder, off)) {
		fuse_reply_err(req, off < 0 ? EINVAL : ENOMEM);
		return;
	}
	while (at < count_of(folder) && list_entry(&list, at))
		at++;
	if (fuse_reply_buf(req, buf, list.used) != 0 && list.keep)
		forget_entries(mount, folder, begin, at);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi)
{
	list_dir(req, size, off, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	list_dir(req, size, off, fi, true);
}
