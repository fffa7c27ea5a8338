#include "cache/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "core/base/file.h"
#include "cache/folder.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

/* A time of use need not be exact: spare the disk. */
enum { TOUCH_SECONDS = 300 };

enum { STAGED_DIGITS = 16, FANOUT_DIGITS = 2 };

static const enum cache_class order[CACHE_CLASSES] = { CACHE_SHARD, CACHE_CHUNK,
						       CACHE_SURVEY,
						       CACHE_STATE };

/* Tells whether a name is of this kind, and notes what follows from it. */
typedef bool (*recognize)(struct walk_file *file, size_t fan);

static bool digits_parse(const char *text, size_t count, uint64_t *number)
{
	static const char digits[] = "0123456789abcdef";
	const char *digit;

	*number = 0;
	for (size_t i = 0; i < count; i++) {
		digit = text[i] ? strchr(digits, text[i]) : NULL;
		if (!digit)
			return false;
		*number = *number << 4 | (uint64_t)(digit - digits);
	}
	return true;
}

static bool hash_parse(const char *text, struct hash128 *hash)
{
	return digits_parse(text, HASH_HEX_LEN / 2, &hash->hi) &&
	       digits_parse(text + HASH_HEX_LEN / 2, HASH_HEX_LEN / 2,
			    &hash->lo);
}

bool walk_shard_name(const char *name, struct hash128 *key, struct hash128 *sum)
{
	return strlen(name) == WALK_SHARD_NAME_LEN && hash_parse(name, key) &&
	       name[HASH_HEX_LEN] == '.' &&
	       hash_parse(name + HASH_HEX_LEN + 1, sum);
}

static bool is_object(struct walk_file *file, size_t fan)
{
	const char *name = file->name;

	if (file->class == CACHE_SHARD) {
		if (!walk_shard_name(name, &file->key, &file->sum))
			return false;
	} else if (strlen(name) != HASH_HEX_LEN ||
		   !hash_parse(name, &file->key)) {
		return false;
	}
	return file->key.hi >> (64 - 4 * FANOUT_DIGITS) == fan;
}

static bool is_staged(struct walk_file *file, size_t fan)
{
	uint64_t number;

	return strlen(file->name) == STAGED_DIGITS &&
	       digits_parse(file->name, STAGED_DIGITS, &number);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void meet(struct walk *walk, struct walk_file *file,
		 recognize recognized, size_t fan)
{
	if (is_dots(file->name) ||
	    fstatat(file->dir, file->name, &file->st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISREG(file->st.st_mode) && recognized(file, fan))
		walk->visit(walk->ctx, file);
	else
		walk->strange++;
}

/* Visit the files of a directory, whose descriptor is taken. */
static int walk_dir(struct walk *walk, int fd, struct walk_file *file,
		    recognize recognized, size_t fan)
{
	AUTO_DIR DIR *dir = fdopendir(fd);
	const struct dirent *found;
	int rc = -errno;

	if (!dir) {
		close(fd);
		return rc;
	}
	file->dir = dirfd(dir);
	while ((errno = 0, found = readdir(dir))) {
		file->name = found->d_name;
		meet(walk, file, recognized, fan);
	}
	return -errno;
}

static int walk_class(struct walk *walk, int root, enum cache_class class)
{
	AUTO_FD int top = openat(root, folder_class_dirs[class], DIR_FLAGS);
	struct walk_file file = { .class = class };
	char name[FANOUT_DIGITS + 1];
	int rc = 0, fd;

	if (top < 0)
		return errno == ENOENT ? 0 : -errno;
	for (size_t i = 0; rc == 0 && i < FOLDER_FANOUT; i++) {
		snprintf(name, sizeof(name), "%02x", (unsigned int)i & 255);
		fd = openat(top, name, DIR_FLAGS);
		if (fd >= 0)
			rc = walk_dir(walk, fd, &file, is_object, i);
		else if (errno != ENOENT)
			rc = -errno;
	}
	return rc;
}

int walk_objects(struct walk *walk, int root)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < CACHE_CLASSES; i++)
		rc = walk_class(walk, root, order[i]);
	return rc;
}

int walk_staging(struct walk *walk, int root)
{
	struct walk_file file = { 0 };
	int fd = openat(root, FOLDER_STAGING, DIR_FLAGS);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return walk_dir(walk, fd, &file, is_staged, 0);
}

/* A writer holds the lock of its file for as long as it lives. */
bool walk_writer_lives(const struct walk_file *file)
{
	AUTO_FD int fd = openat(file->dir, file->name,
				O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0;
}

/*
 * Of a shard the time of access, so that the other, by which a reader knows
 * that nobody has written since, stays.
 */
void walk_touch(int fd, enum cache_class class)
{
	bool shard = class == CACHE_SHARD;
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_NOW },
		{ .tv_nsec = shard ? UTIME_OMIT : UTIME_NOW },
	};
	struct stat st;

	if (fstat(fd, &st) == 0 &&
	    time(NULL) - (shard ? st.st_atime : st.st_mtime) > TOUCH_SECONDS)
		futimens(fd, times);
}
