#include "cache/shelf.h"

#include <errno.h>
#include <fcntl.h>

#include "cache/account.h"
#include "cache/walk.h"
#include "core/base/file.h"

#define READ_ONLY 0400

enum { FAN_NAME_LEN = sizeof("shards/00") };

struct shelf {
	struct folder *folder;
};

struct shelf *shelf_open(const char *dir, uint64_t bytes_max)
{
	AUTO_FREE struct shelf *shelf = calloc(1, sizeof(*shelf));

	if (shelf)
		shelf->folder = folder_open(dir, bytes_max);
	return shelf && shelf->folder ? TAKE(shelf) : NULL;
}

void shelf_close(struct shelf *shelf)
{
	if (!shelf)
		return;
	folder_close(shelf->folder);
	free(shelf);
}

bool shelf_is_empty(const struct shelf *shelf)
{
	AUTO_FD int root = folder_use(shelf->folder, NULL);

	return root < 0 ||
	       faccessat(root, folder_class_dirs[CACHE_SHARD], F_OK, 0) < 0;
}

/* --- finding -------------------------------------------------------------- */

/* The folder that a key lies in, open. */
static int open_fan(const struct shelf *shelf, struct hash128 key)
{
	AUTO_FD int root = folder_use(shelf->folder, NULL);
	char name[FOLDER_NAME_MAX];
	int fd;

	if (root < 0)
		return root;
	folder_name(CACHE_SHARD, key, name);
	name[FAN_NAME_LEN - 1] = '\0';
	fd = openat(root, name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* The file by its name, if it has this size. */
static int open_file(int dir, const char *name, uint64_t size)
{
	AUTO_FD int fd = openat(dir, name,
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return -ENOENT;
	return TAKE_FD(fd);
}

int shelf_find(const struct shelf *shelf, struct hash128 key, uint64_t size,
	       struct hash128 *sum)
{
	int fan = open_fan(shelf, key), fd = -ENOENT;
	AUTO_DIR DIR *dir = fan < 0 ? NULL : fdopendir(fan);
	const struct dirent *entry;
	struct hash128 other;

	if (!dir) {
		if (fan >= 0)
			close(fan);
		return fan < 0 ? fan : -ENOMEM;
	}
	while (fd < 0 && (entry = readdir(dir)))
		if (walk_shard_name(entry->d_name, &other, sum) &&
		    hash_equal(other, key))
			fd = open_file(dirfd(dir), entry->d_name, size);
	if (fd >= 0)
		walk_touch(fd, CACHE_SHARD);
	return fd;
}

int shelf_check(int fd, struct hash128 sum, const atomic_bool *stop)
{
	struct object_range whole = { 0 };
	struct hash128 hash;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return -errno;
	whole.size = (uint64_t)st.st_size;
	rc = object_hash(fd, whole, stop, &hash);
	if (rc)
		return rc;
	return hash_equal(hash, sum) ? 0 : -EBADMSG;
}

void shelf_remove(struct shelf *shelf, struct hash128 key, struct hash128 sum)
{
	const struct object object = { .class = CACHE_SHARD,
				       .key = key,
				       .sum = sum };
	AUTO_FD int root = folder_use(shelf->folder, NULL);
	char name[FOLDER_NAME_MAX];

	if (root < 0)
		return;
	folder_object_name(&object, name);
	unlinkat(root, name, 0);
	account_doubt(folder_account(shelf->folder));
}

/* --- writing -------------------------------------------------------------- */

int shelf_begin(struct shelf *shelf, struct hash128 key, uint64_t size,
		struct shelf_file *file)
{
	*file = (struct shelf_file){
		.shelf = shelf,
		.object = { .class = CACHE_SHARD, .key = key, .size = size },
		.staged = { .root = -1, .fd = -1 },
		.hasher = hasher_open(),
	};
	if (!file->hasher)
		return -ENOMEM;
	return folder_stage(shelf->folder, &file->object, &file->staged);
}

int shelf_add(struct shelf_file *file, const void *data, size_t len)
{
	int rc = file_write_at(file->staged.fd, data, len, file->len);

	if (rc)
		return rc;
	/* The disk is to be busy before the end. */
	sync_file_range(file->staged.fd, (off_t)file->len, (off_t)len,
			SYNC_FILE_RANGE_WRITE);
	hasher_add(file->hasher, data, len);
	file->len += len;
	return 0;
}

int shelf_finish(struct shelf_file *file)
{
	int rc = file->len == file->object.size ? 0 : -ENODATA;

	file->object.sum = hasher_value(file->hasher);
	if (rc == 0 && (fchmod(file->staged.fd, READ_ONLY) < 0 ||
			fdatasync(file->staged.fd) < 0))
		rc = -errno;
	if (rc == 0)
		rc = folder_publish(&file->staged, &file->object);
	shelf_abandon(file);
	return rc;
}

void shelf_abandon(struct shelf_file *file)
{
	folder_unstage(file->shelf->folder, &file->staged);
	hasher_close(file->hasher);
	file->hasher = NULL;
}
