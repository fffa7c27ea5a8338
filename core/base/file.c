#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "core/base/file.h"

#define DIR_MODE 0700

int file_open(const char *path, int *fd, struct stat *st, struct error *err)
{
	AUTO_FD int opened = -1;
	struct stat own;

	/* Without O_NONBLOCK the open of a pipe waits for its writer. */
	opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (opened < 0)
		return fail(err, errno, "%s: %m", path);
	if (fstat(opened, &own) < 0)
		return fail(err, errno, "%s: %m", path);
	if (!S_ISREG(own.st_mode))
		return fail(err, EINVAL, "%s is %s, not a file", path,
			    S_ISDIR(own.st_mode) ? "a directory"
						 : "a pipe or a device");
	if (st)
		*st = own;
	*fd = TAKE_FD(opened);
	return 0;
}

/* 0, or -EOVERFLOW where a range does not end within what off_t can say. */
static int range_check(size_t len, uint64_t off)
{
	uint64_t end;

	return add_u64(off, len, &end) && end <= INT64_MAX ? 0 : -EOVERFLOW;
}

int file_read_at(int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;
	ssize_t n;

	if (range_check(len, off))
		return -EOVERFLOW;
	while (done < len) {
		n = pread(fd, (char *)buf + done, len - done,
			  (off_t)(off + done));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ENODATA;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int file_write_at(int fd, const void *buf, size_t len, uint64_t off)
{
	size_t done = 0;
	ssize_t n;

	if (range_check(len, off))
		return -EOVERFLOW;
	while (done < len) {
		n = pwrite(fd, (const char *)buf + done, len - done,
			   (off_t)(off + done));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/*
 * Read on to the end of the file; the size that it has is only a first guess,
 * since it may grow meanwhile, and those under /proc say 0.
 */
static int slurp_fd(int fd, size_t len_max, size_t guess, char **text,
		    size_t *len)
{
	AUTO_FREE char *buf = NULL;
	size_t size = guess + 2, used = 0;
	char *grown;
	ssize_t n;

	for (;;) {
		if (!buf || used + 1 == size) {
			size = buf ? 2 * size : size;
			grown = realloc(buf, size);
			if (!grown)
				return -ENOMEM;
			buf = grown;
		}
		n = pread(fd, buf + used, size - 1 - used, (off_t)used);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		used += n > 0 ? (size_t)n : 0;
		if (used > len_max)
			return -EFBIG;
	}
	buf[used] = '\0';
	*text = TAKE(buf);
	*len = used;
	return 0;
}

int file_slurp(const char *path, size_t len_max, char **text, size_t *len,
	       struct error *err)
{
	AUTO_FD int fd = -1;
	struct stat st = { 0 };
	int rc;

	rc = file_open(path, &fd, &st, err);
	if (rc)
		return rc;
	rc = (uint64_t)st.st_size > len_max
		     ? -EFBIG
		     : slurp_fd(fd, len_max, (size_t)st.st_size, text, len);
	if (rc == -EFBIG)
		return fail(err, EFBIG, "%s is larger than %zu bytes", path,
			    len_max);
	if (rc)
		return fail(err, -rc, "%s: %s", path, strerror(-rc));
	return 0;
}

static int make_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, DIR_MODE) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdirs(const char *path)
{
	AUTO_FREE char *copy = strdup(path);
	char *slash;
	int rc;

	if (!copy)
		return -ENOMEM;
	if (*copy == '\0')
		return -ENOENT;
	/* The root needs no making. */
	for (slash = strchr(copy + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		rc = make_dir(copy);
		if (rc)
			return rc;
		*slash = '/';
	}
	return make_dir(copy);
}

double clock_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
