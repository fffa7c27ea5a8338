/*
 * The folder of a cache, which any number of processes may share:
 *
 *	DIR/CACHEDIR.TAG	so that backups pass it by
 *	DIR/account		its lock, and how much it holds
 *	DIR/staging/<random>	being written, locked by its writer
 *	DIR/states/<2>/<key>	objects; <2> are the first two digits of the
 *	DIR/chunks/<2>/<key>	key, of which the name has all 32
 *	DIR/shards/<2>/<key>.<sum>	files without a header of ours (see
 *				shelf.h), whose checksum stands in the name
 *
 * It must belong to the user, and be writable by nobody else: checksums guard
 * against accidents, not against another who puts objects there. It is looked
 * up by its path each time, so that one that is removed, or replaced, while it
 * is in use is simply begun anew. No link below it is followed where files are
 * counted or removed. All functions may be called from any thread.
 *
 * The budget is hard, over all processes, whoever is killed when: it counts the
 * objects and what is being written, in whole blocks of 4096 bytes. Directories
 * (at most 2 MiB of them), the tag and the account come on top, and so does, as
 * long as a reader has it open, an object that was evicted. Every process has
 * its own budget for the whole folder: of two mounts that share one, the
 * smaller evicts down to its own whenever it writes. A mount that writes
 * nothing evicts nothing; `llmergefs cache gc` does.
 */
#ifndef LMFS_FOLDER_H
#define LMFS_FOLDER_H

#include "cache/cache.h"
#include "cache/object.h"

enum { FOLDER_FANOUT = 256, FOLDER_NAME_MAX = 96 };

#define FOLDER_STAGING "staging"

extern const char *const folder_class_dirs[CACHE_CLASSES];

struct folder;
struct account;

/* The object that is asked for. */
struct object {
	enum cache_class class;
	struct hash128 key;
	size_t size;	    /* of its payload */
	struct hash128 sum; /* CACHE_SHARD: its checksum */
};

/* Bytes of its file. */
static inline uint64_t folder_object_bytes(const struct object *object)
{
	return object->class == CACHE_SHARD ? object->size
					    : object_bytes(object->size);
}

/* The path of an object, which is no shard, below the folder. */
void folder_name(enum cache_class class, struct hash128 key,
		 char name[FOLDER_NAME_MAX]);

/* The path of any object. */
void folder_object_name(const struct object *object,
			char name[FOLDER_NAME_MAX]);

/* Touches nothing yet. NULL: no memory. */
struct folder *folder_open(const char *dir, uint64_t bytes_max);
void folder_close(struct folder *folder); /* NULL is fine */

const char *folder_dir(const struct folder *folder);

/* Make what is missing of it, and check it: 0, or -errno with a sentence. */
int folder_prepare(struct folder *folder, struct error *err);

/*
 * The folder as it is, for those who look at it or clean it up: a descriptor,
 * which the caller closes; -ENOENT where there is none; or -errno with a
 * sentence, as where it is another's, or no cache of ours.
 */
int folder_root(const struct folder *folder, struct error *err);

/* Its lock, and what it holds; the folder's own. */
struct account *folder_account(struct folder *folder);

/*
 * A descriptor of the folder for those who use it, which the caller closes, or
 * -errno with a sentence, as where it is another's.
 */
int folder_use(const struct folder *folder, struct error *err);

/*
 * Read an object into data: 0; -ENOENT; -EBADMSG (it was a bad one, and is
 * removed); or -errno.
 */
int folder_load(struct folder *folder, const struct object *object, void *data);

/* A file being written. Not published, it goes when it is closed. */
struct staged {
	int root, fd; /* -1 when closed */
	char name[FOLDER_NAME_MAX];
};

/*
 * Reserve room for an object, and begin its file: 0 or -errno, as
 * account_reserve(). The caller closes it.
 */
int folder_stage(struct folder *folder, const struct object *object,
		 struct staged *staged);

/* Give the file, which has been written, the name of its object. */
int folder_publish(struct staged *staged, const struct object *object);

void folder_unstage(struct folder *folder, struct staged *staged);

/* Bytes that all processes hold there, as far as is known. */
uint64_t folder_bytes(struct folder *folder);

#endif
