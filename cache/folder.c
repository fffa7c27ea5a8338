#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>

#include "cache/account.h"
#include "cache/evict.h"
#include "cache/folder.h"
#include "cache/walk.h"
#include "core/base/file.h"

#define DIR_MODE 0700
#define FILE_MODE 0600
#define WRITABLE_BY_OTHERS (S_IWGRP | S_IWOTH)

#define TAG_FILE "CACHEDIR.TAG"
#define TAG_BEGIN                                       \
	"Signature: 8a477f597d28d172789f06886806bc55\n" \
	"# This folder is a cache of llmergefs"
#define TAG_TEXT                 \
	TAG_BEGIN                \
	"; it may be deleted.\n" \
	"# About this file see https://bford.info/cachedir/\n"

const char *const folder_class_dirs[CACHE_CLASSES] = {
	[CACHE_SURVEY] = "surveys",
	[CACHE_STATE] = "states",
	[CACHE_CHUNK] = "chunks",
	[CACHE_SHARD] = "shards",
};

struct folder {
	char *dir;
	struct account account;
};

void folder_name(enum cache_class class, struct hash128 key,
		 char name[FOLDER_NAME_MAX])
{
	char hex[HASH_HEX_LEN + 1];

	hash_hex(key, hex);
	snprintf(name, FOLDER_NAME_MAX, "%s/%.2s/%s", folder_class_dirs[class],
		 hex, hex);
}

void folder_object_name(const struct object *object, char name[FOLDER_NAME_MAX])
{
	char hex[HASH_HEX_LEN + 1];
	size_t len;

	folder_name(object->class, object->key, name);
	if (object->class != CACHE_SHARD)
		return;
	hash_hex(object->sum, hex);
	len = strlen(name);
	snprintf(name + len, FOLDER_NAME_MAX - len, ".%s", hex);
}

static int root_check(const char *dir, int root, struct error *err)
{
	struct stat st;

	if (fstat(root, &st) < 0)
		return fail(err, errno, "%s: %m", dir);
	if (st.st_uid != geteuid())
		return fail(err, EPERM,
			    "%s belongs to user %u, who could put false "
			    "results there; choose a folder of your own",
			    dir, (unsigned int)st.st_uid);
	if (st.st_mode & WRITABLE_BY_OTHERS)
		return fail(err, EPERM,
			    "%s can be written by other users, who could put "
			    "false results there; run: chmod go-w '%s'",
			    dir, dir);
	return 0;
}

static int dir_open(const char *dir, struct error *err)
{
	int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return root < 0 ? fail(err, errno, "%s: %m", dir) : root;
}

int folder_use(const struct folder *folder, struct error *err)
{
	AUTO_FD int root = dir_open(folder->dir, err);
	int rc;

	if (root < 0)
		return root;
	rc = root_check(folder->dir, root, err);
	return rc ? rc : TAKE_FD(root);
}

struct folder *folder_open(const char *dir, uint64_t bytes_max)
{
	AUTO_FREE struct folder *folder = calloc(1, sizeof(*folder));

	if (!folder)
		return NULL;
	folder->dir = strdup(dir);
	if (!folder->dir)
		return NULL;
	account_init(&folder->account, bytes_max);
	return TAKE(folder);
}

void folder_close(struct folder *folder)
{
	if (!folder)
		return;
	account_done(&folder->account);
	free(folder->dir);
	free(folder);
}

const char *folder_dir(const struct folder *folder)
{
	return folder->dir;
}

static int make_dir(int root, const char *name)
{
	return mkdirat(root, name, DIR_MODE) == 0 || errno == EEXIST ? 0
								     : -errno;
}

/* An empty one is of a process that was killed before it wrote the text. */
static int write_tag(int root)
{
	AUTO_FD int fd = -1;
	struct stat st;

	if (fstatat(root, TAG_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_size > 0)
		return 0;
	fd = openat(root, TAG_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		    FILE_MODE);
	if (fd < 0)
		return -errno;
	return file_write_at(fd, TAG_TEXT, sizeof(TAG_TEXT) - 1, 0);
}

static bool tag_is_ours(int root)
{
	AUTO_FD int fd = openat(root, TAG_FILE,
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[sizeof(TAG_BEGIN) - 1];

	return fd >= 0 && file_read_at(fd, text, sizeof(text), 0) == 0 &&
	       memcmp(text, TAG_BEGIN, sizeof(text)) == 0;
}

/* Whose it is matters only once it is a cache at all. */
int folder_root(const struct folder *folder, struct error *err)
{
	AUTO_FD int root = dir_open(folder->dir, err);
	int rc;

	if (root < 0)
		return root;
	if (!tag_is_ours(root))
		return fail(err, EINVAL,
			    "%s is not a cache of llmergefs: it has no %s of "
			    "one, and is left alone; name the right folder "
			    "with --cache-dir",
			    folder->dir, TAG_FILE);
	rc = root_check(folder->dir, root, err);
	return rc ? rc : TAKE_FD(root);
}

struct account *folder_account(struct folder *folder)
{
	return &folder->account;
}

int folder_prepare(struct folder *folder, struct error *err)
{
	AUTO_FD int root = -1;
	int rc;

	rc = file_mkdirs(folder->dir);
	if (rc)
		return fail(err, -rc, "%s: %s", folder->dir, strerror(-rc));
	root = folder_use(folder, err);
	if (root < 0)
		return root;
	account_peek(&folder->account, root);
	rc = make_dir(root, FOLDER_STAGING);
	if (rc == 0)
		rc = write_tag(root);
	if (rc)
		return fail(err, -rc, "%s: %s", folder->dir, strerror(-rc));
	return 0;
}

/* Of these errors a file does not get well again by itself. */
static bool is_bad(int rc)
{
	return rc == -EBADMSG || rc == -ENODATA || rc == -EIO;
}

int folder_load(struct folder *folder, const struct object *object, void *data)
{
	AUTO_FD int root = -1;
	AUTO_FD int fd = -1;
	char name[FOLDER_NAME_MAX];
	int rc;

	root = folder_use(folder, NULL);
	if (root < 0)
		return root;
	folder_name(object->class, object->key, name);
	fd = openat(root, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = object_read(fd, object->key, data, object->size);
	if (rc == 0)
		walk_touch(fd, object->class);
	if (!is_bad(rc))
		return rc;
	unlinkat(root, name, 0);
	account_doubt(&folder->account);
	return -EBADMSG;
}

/* A locked file of the full size, so that whoever counts sees its weight. */
static int staged_create(struct staged *staged, uint64_t bytes)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return -EAGAIN;
	snprintf(staged->name, sizeof(staged->name), "%s/%016llx",
		 FOLDER_STAGING, (unsigned long long)number);
	staged->fd = openat(staged->root, staged->name,
			    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	if (staged->fd < 0)
		return -errno;
	if (flock(staged->fd, LOCK_EX | LOCK_NB) < 0 ||
	    ftruncate(staged->fd, (off_t)bytes) < 0)
		return -errno;
	return 0;
}

static int stage(struct folder *folder, const struct object *object,
		 struct staged *staged)
{
	struct account *account = &folder->account;
	uint64_t bytes = folder_object_bytes(object);
	int rc, lock;

	staged->root = folder_use(folder, NULL);
	if (staged->root < 0)
		return staged->root;
	lock = account_enter(account, staged->root);
	if (lock < 0)
		return lock;
	rc = account_reserve(account, lock, staged->root, evict_charge(bytes));
	if (rc == 0)
		rc = staged_create(staged, bytes);
	account_leave(account, lock);
	return rc;
}

int folder_stage(struct folder *folder, const struct object *object,
		 struct staged *staged)
{
	int rc;

	*staged = (struct staged){ .root = -1, .fd = -1 };
	rc = stage(folder, object, staged);
	if (rc != -ENOENT)
		return rc;
	/* Somebody has emptied, or removed, the folder. */
	folder_unstage(folder, staged);
	rc = folder_prepare(folder, NULL);
	return rc ? rc : stage(folder, object, staged);
}

static int make_parents(int root, const char *name)
{
	char path[FOLDER_NAME_MAX];
	int rc = 0;

	for (size_t i = 0; rc == 0 && name[i]; i++) {
		path[i] = '\0';
		if (name[i] == '/')
			rc = make_dir(root, path);
		path[i] = name[i];
	}
	return rc;
}

int folder_publish(struct staged *staged, const struct object *object)
{
	char name[FOLDER_NAME_MAX];
	int rc;

	folder_object_name(object, name);
	if (renameat(staged->root, staged->name, staged->root, name) < 0) {
		if (errno != ENOENT)
			return -errno;
		rc = make_parents(staged->root, name);
		if (rc)
			return rc;
		if (renameat(staged->root, staged->name, staged->root, name) <
		    0)
			return -errno;
	}
	staged->name[0] = '\0';
	return 0;
}

void folder_unstage(struct folder *folder, struct staged *staged)
{
	if (staged->name[0])
		account_doubt(&folder->account);
	if (staged->name[0] && staged->fd >= 0)
		unlinkat(staged->root, staged->name, 0);
	if (staged->fd >= 0)
		close(staged->fd);
	if (staged->root >= 0)
		close(staged->root);
	*staged = (struct staged){ .root = -1, .fd = -1 };
}

uint64_t folder_bytes(struct folder *folder)
{
	return atomic_load(&folder->account.bytes);
}
