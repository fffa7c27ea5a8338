/*
 * Identity: XXH3-128 over
 *
 *	size || (inode, mtime) or the SHA-256 name of a Hugging Face blob ||
 *	the first IDENTITY_HEAD bytes || IDENTITY_SAMPLES blocks of
 *	IDENTITY_BLOCK bytes, evenly spaced from the first byte to the last
 *
 * where numbers are 8 bytes in the machine's order (a cache is a machine's
 *own). The samples of a blob guard its name: a model saved through a link of
 *the cache rewrites the blob in place and leaves it the old name.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/source.h"

#define IDENTITY_HEAD (1u << 20)
#define IDENTITY_SAMPLES 16
#define IDENTITY_BLOCK 4096
#define SHA256_HEX_LEN 64

/* The part of a source that fills after the models are opened. */
struct source_live {
	atomic_int fd;	      /* -1: not opened yet */
	pthread_mutex_t lock; /* of what is below, and of opening */
	bool identified;
	struct hash128 identity;
	atomic_uint_fast64_t *bytes_read; /* of the set */
};

/* What tells a file, and one state of it, from any other. */
struct stamp {
	dev_t device;
	ino_t inode;
	uint64_t size;
	struct timespec mtime;
};

struct source {
	char *path; /* absolute */
	struct stamp stamp;
	struct source_live *live;
};

struct source_set {
	struct source **items;	/* in order of their coming */
	struct source **sorted; /* the same, by stamp */
	size_t count, room;
	atomic_uint_fast64_t bytes_read;
};

static struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){ .device = st->st_dev,
			       .inode = st->st_ino,
			       .size = (uint64_t)st->st_size,
			       .mtime = st->st_mtim };
}

static int order_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int stamp_order(const struct stamp *a, const struct stamp *b)
{
	int order = order_u64(a->device, b->device);

	if (order == 0)
		order = order_u64(a->inode, b->inode);
	if (order == 0)
		order = order_u64(a->size, b->size);
	if (order == 0)
		order = order_u64((uint64_t)a->mtime.tv_sec,
				  (uint64_t)b->mtime.tv_sec);
	if (order == 0)
		order = order_u64((uint64_t)a->mtime.tv_nsec,
				  (uint64_t)b->mtime.tv_nsec);
	return order;
}

static void source_close(struct source *source)
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

static struct source *source_open(const char *path, const struct stamp *stamp,
				  atomic_uint_fast64_t *bytes_read)
{
	AUTO(auto_source_close) struct source *source = NULL;

	source = calloc(1, sizeof(*source));
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

struct source_set *source_set_open(void)
{
	return calloc(1, sizeof(struct source_set));
}

void source_set_close(struct source_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		source_close(set->items[i]);
	free(set->items);
	free(set->sorted);
	free(set);
}

/* How many known sources come before this stamp. */
static size_t stamp_rank(const struct source_set *set,
			 const struct stamp *stamp)
{
	size_t begin = 0, end = set->count;

	while (begin < end) {
		size_t mid = begin + (end - begin) / 2;

		if (stamp_order(&set->sorted[mid]->stamp, stamp) < 0)
			begin = mid + 1;
		else
			end = mid;
	}
	return begin;
}

static bool set_reserve(struct source_set *set)
{
	size_t room = set->room ? 2 * set->room : 16;
	struct source **grown;

	if (set->count < set->room)
		return true;
	grown = reallocarray(set->items, room, sizeof(struct source *));
	if (!grown)
		return false;
	set->items = grown;
	grown = reallocarray(set->sorted, room, sizeof(struct source *));
	if (!grown)
		return false;
	set->sorted = grown;
	set->room = room;
	return true;
}

int source_get(struct source_set *set, const char *path, struct source **source,
	       struct error *err)
{
	struct source *made;
	struct stamp stamp;
	struct stat st;
	size_t rank;

	if (stat(path, &st) < 0)
		return fail(err, errno, "%s: %m", path);
	if (!S_ISREG(st.st_mode))
		return fail(err, EINVAL, "%s is not a regular file", path);
	stamp = stamp_of(&st);
	rank = stamp_rank(set, &stamp);
	if (rank < set->count &&
	    stamp_order(&set->sorted[rank]->stamp, &stamp) == 0) {
		*source = set->sorted[rank];
		return 0;
	}
	made = set_reserve(set) ? source_open(path, &stamp, &set->bytes_read)
				: NULL;
	if (!made)
		return fail(err, ENOMEM, "%s: no memory", path);
	memmove(&set->sorted[rank + 1], &set->sorted[rank],
		(set->count - rank) * sizeof(struct source *));
	set->sorted[rank] = made;
	set->items[set->count++] = made;
	*source = made;
	return 0;
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

dev_t source_device(const struct source *source)
{
	return source->stamp.device;
}

size_t source_set_count(const struct source_set *set)
{
	return set->count;
}

const struct source *source_set_at(const struct source_set *set, size_t i)
{
	return set->items[i];
}

uint64_t source_set_bytes_read(const struct source_set *set)
{
	return set->bytes_read;
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
	snprintf(how, sizeof(how), "%ju bytes then, %ju now", then->size,
		 now.size);
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
		return fail(err, EIO, "%s: cannot read %zu bytes at %ju: %s",
			    source->path, len, off,
			    read_rc == -ENODATA ? "the file ends before"
						: strerror(-read_rc));
	atomic_fetch_add(source->live->bytes_read, len);
	return 0;
}

/* The SHA-256 name if `path` is <folder>/blobs/<64 hex digits>, else NULL. */
static const char *blob_name(const char *path)
{
	static const char folder[] = "/blobs/";
	size_t len = strlen(path), tail = sizeof(folder) - 1 + SHA256_HEX_LEN;
	const char *name = path + len - (len < tail ? 0 : SHA256_HEX_LEN);

	if (len < tail ||
	    memcmp(path + len - tail, folder, sizeof(folder) - 1) != 0)
		return NULL;
	return strspn(name, "0123456789abcdef") == SHA256_HEX_LEN ? name : NULL;
}

/* Add what tells this file from others that look the same in the samples. */
static void add_version(const struct source *source, struct hasher *hasher)
{
	AUTO_FREE char *real = realpath(source->path, NULL);
	const char *blob = real ? blob_name(real) : NULL;
	uint64_t file[] = { source->stamp.inode,
			    (uint64_t)source->stamp.mtime.tv_sec,
			    (uint64_t)source->stamp.mtime.tv_nsec };
	struct stat st;

	/* The link may lead elsewhere since the file was opened. */
	if (blob && stat(real, &st) == 0 && st.st_dev == source->stamp.device &&
	    st.st_ino == source->stamp.inode)
		hasher_add(hasher, blob, SHA256_HEX_LEN);
	else
		hasher_add(hasher, file, sizeof(file));
}

/* range * i / (IDENTITY_SAMPLES - 1), without overflow. */
static uint64_t sample_off(uint64_t range, unsigned i)
{
	const uint64_t steps = IDENTITY_SAMPLES - 1;

	return range / steps * i + range % steps * i / steps;
}

static int add_content(const struct source *source, struct hasher *hasher,
		       struct error *err)
{
	AUTO_FREE char *buf = malloc(IDENTITY_HEAD);
	uint64_t head = min_u64(source->stamp.size, IDENTITY_HEAD);
	uint64_t block = min_u64(source->stamp.size, IDENTITY_BLOCK);
	uint64_t range = source->stamp.size - block;
	int rc;

	if (!buf)
		return fail(err, EIO, "%s: no memory", source->path);
	rc = source_read(source, buf, head, 0, err);
	if (rc)
		return rc;
	hasher_add(hasher, buf, head);
	for (unsigned i = 0; head < source->stamp.size && i < IDENTITY_SAMPLES;
	     i++) {
		rc = source_read(source, buf, block, sample_off(range, i), err);
		if (rc)
			return rc;
		hasher_add(hasher, buf, block);
	}
	return 0;
}

static int identify(const struct source *source, struct hash128 *identity,
		    struct error *err)
{
	AUTO_HASHER struct hasher *hasher = hasher_open();
	int rc;

	if (!hasher)
		return fail(err, EIO, "%s: no memory", source->path);
	hasher_add(hasher, &source->stamp.size, sizeof(source->stamp.size));
	add_version(source, hasher);
	rc = add_content(source, hasher, err);
	if (rc)
		return rc;
	*identity = hasher_value(hasher);
	return 0;
}

int source_identity(const struct source *source, struct hash128 *identity,
		    struct error *err)
{
	struct source_live *live = source->live;
	bool known;
	int rc;

	pthread_mutex_lock(&live->lock);
	known = live->identified;
	*identity = live->identity;
	pthread_mutex_unlock(&live->lock);
	if (known)
		return 0;
	/* Two threads may both compute it, to the same value: no lock is held
	 * over reads. */
	rc = identify(source, identity, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&live->lock);
	live->identity = *identity;
	live->identified = true;
	pthread_mutex_unlock(&live->lock);
	return 0;
}
