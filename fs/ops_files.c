/*
 * Files: open, read, release. A read of a shard is answered at once, or parked
 * in the engine and answered by whoever finishes it, exactly once.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/log.h"
#include "fs/ops_inside.h"

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

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
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

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
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

/* Out of this thread's buffer: the reader may close the file, and another
 * thread free its text, while the reply is still being sent. */
static void read_live(fuse_req_t req, const struct live *live, size_t size,
		      uint64_t off)
{
	char *buf = engine_buffer(mount_of(req)->engine);

	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	size = off >= live->len ? 0 : min_u64(size, live->len - off);
	size = min_u64(size, ENGINE_READ_MAX);
	if (size)
		memcpy(buf, live->text + off, size);
	fuse_reply_buf(req, buf, size);
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

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi)
{
	const struct node *node = node_of(req, ino);

	if (!node || is_dir(node)) {
		fuse_reply_err(req, node ? EISDIR : ENOENT);
	} else if (node->kind == NODE_LIVE) {
		read_live(req, (const struct live *)(uintptr_t)fi->fh, size,
			  (uint64_t)off);
	} else if (node->kind == NODE_TEXT) {
		read_text(req, node->text, node->size, size, (uint64_t)off);
	} else {
		read_file(req, node, size, (uint64_t)off);
	}
}
