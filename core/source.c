#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/source_inside.h"

void source_close(struct source *source)
{
	if (!source)
		return;
	if (source->live) {
		if (source->live->fd >= 0)
			close(source->live->fd);
		pthread_mutex_destroy(&source->live->lock);
	}
	free(source->live);
	free(source->path);
	free(source);
}

static void auto_source_close(struct source *const *source)
{
	source_close(*source);
}

static char *absolute_path(const char *path)
{
	AUTO_FREE char *dir = NULL;
	char *joined;

	if (path[0] == '/')
		return strdup(path);
	dir = getcwd(NULL, 0);
	if (!dir || asprintf(&joined, "%s/%s", dir, path) < 0)
		return NULL;
	return joined;
}

struct source *source_open(const char *path, const struct stamp *stamp,
			   atomic_uint_fast64_t *bytes_read)
{
	AUTO(auto_source_close)
	struct source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	source->stamp = *stamp;
	source->live = calloc(1, sizeof(*source->live));
	if (!source->live)
		return NULL;
	pthread_mutex_init(&source->live->lock, NULL);
	atomic_init(&source->live->fd, -1);
	source->live->bytes_read = bytes_read;
	source->path = absolute_path(path);
	return source->path ? TAKE(source) : NULL;
}

const char *source_path(const struct source *source)
{
	return source->path;
}

uint64_t source_size(const struct source *source)
{
	return source->stamp.size;
}

struct timespec source_mtime(const struct source *source)
{
	return source->stamp.mtime;
}

static int fail_changed(const struct source *source, const char *how,
			struct error *err)
{
	return fail(err, EIO,
		    "%s changed since it was opened (%s): restart the mount",
		    source->path, how);
}

static int source_check(const struct source *source, const struct stat *st,
			struct error *err)
{
	const struct stamp now = stamp_of(st), *then = &source->stamp;
	char how[80];

	if (stamp_order(then, &now) == 0)
		return 0;
	if (now.device != then->device || now.inode != then->inode)
		return fail_changed(source, "another file has its name", err);
	if (now.size == then->size)
		return fail_changed(source, "it was written to", err);
	snprintf(how, sizeof(how), "%" PRIu64 " bytes then, %" PRIu64 " now",
		 then->size, now.size);
	return fail_changed(source, how, err);
}

static int open_checked(const struct source *source, int *fd, struct error *err)
{
	AUTO_FD int opened = -1;
	struct error cause;
	struct stat st;
	int rc;

	rc = file_open(source->path, &opened, &st, &cause);
	if (rc == -ENOENT)
		return fail_changed(source, "it is gone", err);
	if (rc == -EMFILE || rc == -ENFILE)
		return fail(err, EIO,
			    "%s: too many open files: raise the limit "
			    "(ulimit -n)",
			    source->path);
	if (rc)
		return fail(err, EIO, "%s", cause.text);
	rc = source_check(source, &st, err);
	if (rc)
		return rc;
	/* Tensors are read from end to end: read farther ahead. */
	posix_fadvise(opened, 0, 0, POSIX_FADV_SEQUENTIAL);
	*fd = TAKE_FD(opened);
	return 0;
}

/* The descriptor, opened by the first who asks. */
static int source_fd(const struct source *source, int *fd, struct error *err)
{
	struct source_live *live = source->live;
	int rc = 0;

	*fd = atomic_load(&live->fd);
	if (*fd >= 0)
		return 0;
	pthread_mutex_lock(&live->lock);
	*fd = atomic_load(&live->fd);
	if (*fd < 0)
		rc = open_checked(source, fd, err);
	if (rc == 0)
		atomic_store(&live->fd, *fd);
	pthread_mutex_unlock(&live->lock);
	return rc;
}

int source_read(const struct source *source, void *buf, size_t len,
		uint64_t off, struct error *err)
{
	struct stat st;
	int rc, read_rc, fd;

	rc = source_fd(source, &fd, err);
	if (rc)
		return rc;
	read_rc = file_read_at(fd, buf, len, off);
	/* Checked after the read, so that it covers the bytes just read. */
	if (fstat(fd, &st) < 0)
		return fail(err, EIO, "%s: %m", source->path);
	rc = source_check(source, &st, err);
	if (rc)
		return rc;
	if (read_rc)
		return fail(err, EIO,
			    "%s: cannot read %zu bytes at %" PRIu64 ": %s",
			    source->path, len, off,
			    read_rc == -ENODATA ? "the file ends before"
						: strerror(-read_rc));
	atomic_fetch_add(source->live->bytes_read, len);
	return 0;
}

bool source_copy(const struct source *source, uint64_t off, uint64_t len,
		 int to, uint64_t to_off)
{
	off_t in = (off_t)off, out = (off_t)to_off;
	struct stat st;
	int fd = -1;

	if (source_fd(source, &fd, NULL) < 0)
		return false;
	for (uint64_t left = len; left > 0;) {
		ssize_t n = copy_file_range(fd, &in, to, &out, left, 0);

		if (n <= 0)
			return false;
		left -= (uint64_t)n;
	}
	/* Checked after, as for a read. */
	if (fstat(fd, &st) < 0 || source_check(source, &st, NULL) < 0)
		return false;
	atomic_fetch_add(source->live->bytes_read, len);
	return true;
}
