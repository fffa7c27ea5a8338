/*
 * The folder of a cache in the hands of a person: what it holds, whether that
 * is sound, and making it smaller. Mounts may use it all the while: what they
 * publish, replace or evict meanwhile is no error, and what is taken from them
 * they make again. Nothing but objects and files that were being written is
 * ever removed, and no link is followed.
 *
 * A folder that is missing is an empty cache. One that is not a cache of ours,
 * or belongs to another, is refused with a sentence, as is one whose lock
 * others hold for too long. Bytes are counted as budgets count them
 * (evict_charge()).
 */
#ifndef LMFS_INSPECT_H
#define LMFS_INSPECT_H

#include "cache/folder.h"

struct inspect_object {
	enum cache_class class;
	struct hash128 key;
	uint64_t bytes;
	uint64_t used; /* last use, seconds since 1970, within five minutes */
};

/* Some files of one kind. */
struct inspect_sum {
	uint64_t count, bytes;
	uint64_t oldest, newest; /* last uses; 0 where there are none */
};

struct inspect_list {
	struct inspect_sum classes[CACHE_CLASSES];
	struct inspect_sum writing;   /* by living writers */
	struct inspect_sum leftovers; /* of killed ones */
	uint64_t strange;	      /* files that are none of the cache's */
};

/* May be NULL; the object is valid during the call. */
typedef void (*inspect_visit)(void *ctx, const struct inspect_object *object);

/* Sum up, and show each object. Changes nothing. */
int inspect_list(struct folder *folder, inspect_visit visit, void *ctx,
		 struct inspect_list *list, struct error *err);

/* An object that was read through. */
struct inspect_verdict {
	struct inspect_object object;
	int code;     /* 0: sound; EBADMSG: not; else why it cannot be read */
	bool removed; /* since it was not sound */
};

typedef void (*inspect_judge)(void *ctx, const struct inspect_verdict *verdict);

/* What went, and what is left. */
struct inspect_freed {
	struct inspect_sum objects, leftovers;
	uint64_t left;	  /* bytes of all objects, also those */
	uint64_t writing; /* being written */
};

/*
 * Read every object, remove the bad ones, and show each verdict; then remove
 * what killed writers left (freed->objects are the bad ones).
 */
int inspect_verify(struct folder *folder, inspect_judge judge, void *ctx,
		   struct inspect_freed *freed, struct error *err);

/*
 * Evict what budgets would evict first, until at most bytes_max are left.
 * EBUSY: more than that is being written; the rest is gone.
 */
int inspect_trim(struct folder *folder, uint64_t bytes_max,
		 struct inspect_freed *freed, struct error *err);

/* Remove every object. */
int inspect_clear(struct folder *folder, struct inspect_freed *freed,
		  struct error *err);

#endif
