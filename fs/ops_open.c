/*
 * Open and release. A file of a model whose bytes lie finished in the cache is
 * read from there, by the kernel itself where that is possible (passthrough).
 * Where the kept file has to be read through first, the open is parked, and
 * answered by the engine.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/ops_inside.h"

/* What the kind of file needs while it is open. 0 or -errno. */
static int fill_handle(fuse_req_t req, struct handle *handle,
		       struct fuse_file_info *fi)
{
	const struct mount *mount = mount_of(req);
	const struct node *node = handle->node;

	switch (node->kind) {
	case NODE_LIVE:
		fi->direct_io = 1;
		return node->make(node->ctx, &handle->text, &handle->len);
	case NODE_CONTROL:
		fi->direct_io = 1;
		fi->nonseekable = 1;
		handle->conversation = conversation_open(mount->control);
		return handle->conversation ? 0 : -ENOMEM;
	case NODE_SHARD:
		if (mount->access)
			handle->access =
				access_begin(mount->access,
					     fuse_req_ctx(req)->pid, node->ino);
		break;
	default:
		break;
	}
	fi->keep_cache = 1;
	return 0;
}

static int open_handle(fuse_req_t req, fuse_ino_t ino, struct handle **out,
		       struct fuse_file_info *fi)
{
	struct mount *mount = mount_of(req);
	const struct node *node = tree_node(mount->tree, ino);
	struct handle *handle;
	int rc;

	if (!node)
		return -ENOENT;
	if (node->kind != NODE_CONTROL &&
	    ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC))
		return -EROFS;
	handle = handle_open(mount, node);
	if (!handle)
		return -ENOMEM;
	rc = fill_handle(req, handle, fi);
	if (rc)
		handle_close(mount, handle);
	else
		*out = handle;
	return rc;
}

/* Where nobody waits for the answer any more, nobody will release it. */
static void answer(fuse_req_t req, struct handle *handle,
		   struct fuse_file_info *fi)
{
	struct mount *mount = mount_of(req);
	uint32_t backing = 0;
	int rc;

	fi->noflush = 1;
	fi->fh = (uintptr_t)handle;
	if (handle->node->kind == NODE_SHARD) {
		backing = passthrough_begin(mount->passthrough,
					    handle->node->ino, handle->kept);
		handle->passed = handle->node->ino;
	}
	rc = backing ? passthrough_reply(req, fi->fh, backing)
		     : fuse_reply_open(req, fi);
	if (rc != 0)
		handle_close(mount, handle);
}

/* An open that waits until a kept file has been read through. */
struct opening {
	struct engine_opening of;
	fuse_req_t req;
	struct handle *handle;
	struct fuse_file_info fi;
};

static void answer_parked(struct engine_opening *of, int fd)
{
	struct opening *opening = CONTAINER_OF(of, struct opening, of);

	opening->handle->kept = fd;
	answer(opening->req, opening->handle, &opening->fi);
	free(opening);
}

/* Whether it is parked; else handle->kept is what there is. */
static bool is_parked(fuse_req_t req, struct handle *handle,
		      const struct fuse_file_info *fi)
{
	struct opening *opening = calloc(1, sizeof(*opening));
	int rc;

	if (!opening)
		return false;
	*opening = (struct opening){
		.of = { .lens = handle->node->lens,
			.file = handle->node->shard,
			.done = answer_parked },
		.req = req,
		.handle = handle,
		.fi = *fi,
	};
	rc = engine_open_shard(mount_of(req)->engine, &opening->of,
			       &handle->kept);
	if (rc == ENGINE_PARKED)
		return true;
	free(opening);
	return false;
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *handle;
	int rc = open_handle(req, ino, &handle, fi);

	if (rc)
		fuse_reply_err(req, -rc);
	else if (handle->node->kind != NODE_SHARD ||
		 !is_parked(req, handle, fi))
		answer(req, handle, fi);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *mount = mount_of(req);
	struct handle *handle = handle_of(fi);
	const struct node *node = handle->node;

	/* The file may be kept now that it was read. */
	if (node->kind == NODE_SHARD && handle->kept < 0)
		engine_shard_closed(mount->engine, node->lens, node->shard);
	handle_close(mount, handle);
	fuse_reply_err(req, 0);
}
