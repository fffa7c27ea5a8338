/*
 * Files: whole reads, whole writes, paths. All descriptors are O_CLOEXEC. EINTR
 * is retried; a short transfer is an error, never a result.
 */
#ifndef LMFS_FILE_H
#define LMFS_FILE_H

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/base.h"
#include "core/base/error.h"

/*
 * Open a regular file for reading and fill `st` (may be NULL). A missing file
 * is ENOENT; a directory, a pipe or a device is EINVAL. The sentence names the
 * path.
 */
int file_open(const char *path, int *fd, struct stat *st, struct error *err);

/*
 * Read exactly len bytes at off: 0, -ENODATA where the file ends before, or
 * -errno. Says nothing to a person: the caller knows what was being read.
 */
int file_read_at(int fd, void *buf, size_t len, uint64_t off);

/* Write exactly len bytes at off: 0 or -errno. */
int file_write_at(int fd, const void *buf, size_t len, uint64_t off);

/*
 * Read a whole file of at most len_max bytes into new memory, with a NUL after
 * the end that does not count. The caller frees *text. A larger file is EFBIG.
 */
int file_slurp(const char *path, size_t len_max, char **text, size_t *len,
	       struct error *err);

/* Create a directory and its missing parents, mode 0700: 0 or -errno. */
int file_mkdirs(const char *path);

/* Closes a directory that is open at the end of its scope. */
#define AUTO_DIR AUTO(dir_auto_close)
static inline void dir_auto_close(DIR *const *dir)
{
	if (*dir)
		closedir(*dir);
}

/* Seconds on a clock that never jumps, for durations. */
double clock_seconds(void);

/* Whether a comes after b. */
static inline bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec
				    : a.tv_nsec > b.tv_nsec;
}

#endif
