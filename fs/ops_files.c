/*
 * Files: read, write. A read of a shard is answered at once, or parked in the
 * engine and answered by whoever finishes it, exactly once. What is written to
 * the control file is carried out before the write returns.
 */
#include <errno.h>

#include "fs/log.h"
#include "fs/ops_inside.h"

/* --- reading ------------------------------------------------------------ */

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

/* Out of the engine, or out of a kept file as long as that can be read. */
static void read_shard(fuse_req_t req, const struct handle *handle, size_t size,
		       uint64_t off, void *buf)
{
	const struct node *node = handle->node;
	struct engine *engine = mount_of(req)->engine;
	struct request *request;
	int rc;

	if (handle->kept >= 0 &&
	    engine_read_shard(engine, node->lens, handle->kept, off, size,
			      buf)) {
		fuse_reply_buf(req, buf, size);
		return;
	}
	engine_shard_read(node->lens, node->shard, size);
	request = calloc(1, sizeof(*request));
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
static void read_live(fuse_req_t req, const struct handle *live, size_t size,
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

static void read_file(fuse_req_t req, const struct handle *handle, size_t size,
		      uint64_t off)
{
	const struct node *node = handle->node;
	void *buf = engine_buffer(mount_of(req)->engine);

	if (off >= node->size) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	size = min_u64(size, node->size - off);
	/* Before the answer, after which the file may be closed. */
	access_read(handle->access, off, size);
	if (!buf || size > ENGINE_READ_MAX)
		fuse_reply_err(req, buf ? EIO : ENOMEM);
	else if (node->kind == NODE_SHARD)
		read_shard(req, handle, size, off, buf);
	else
		read_source(req, node, size, off, buf);
}

/* A conversation is used by one thread at a time. */
static void read_control(fuse_req_t req, struct handle *handle, size_t size)
{
	char *buf = engine_buffer(mount_of(req)->engine);

	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_mutex_lock(&handle->lock);
	size = conversation_read(handle->conversation, buf,
				 min_u64(size, ENGINE_READ_MAX));
	pthread_mutex_unlock(&handle->lock);
	fuse_reply_buf(req, buf, size);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi)
{
	struct handle *handle = handle_of(fi);
	const struct node *node = handle->node;

	if (node->kind == NODE_CONTROL) {
		read_control(req, handle, size);
	} else if (node->kind == NODE_LIVE) {
		read_live(req, handle, size, (uint64_t)off);
	} else if (node->kind == NODE_TEXT) {
		read_text(req, node->text, node->size, size, (uint64_t)off);
	} else {
		read_file(req, handle, size, (uint64_t)off);
	}
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	      off_t off, struct fuse_file_info *fi)
{
	struct handle *handle = handle_of(fi);
	int rc;

	if (handle->node->kind != NODE_CONTROL) {
		fuse_reply_err(req, EROFS);
		return;
	}
	pthread_mutex_lock(&handle->lock);
	rc = conversation_write(handle->conversation, buf, size);
	pthread_mutex_unlock(&handle->lock);
	if (rc)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_write(req, size);
}
