#include "cache/inspect.h"

#include <errno.h>
#include <fcntl.h>

#include "cache/account.h"
#include "cache/evict.h"
#include "cache/object.h"
#include "cache/shelf.h"
#include "cache/walk.h"

/* An object that is used between counting and evicting is spared once. */
enum { TRIM_TRIES = 4 };

static struct inspect_object object_of(const struct walk_file *file)
{
	return (struct inspect_object){
		.class = file->class,
		.key = file->key,
		.bytes = evict_charge((uint64_t)file->st.st_size),
		.used = walk_used(file),
	};
}

static void sum_add(struct inspect_sum *sum,
		    const struct inspect_object *object)
{
	if (sum->count == 0 || object->used < sum->oldest)
		sum->oldest = object->used;
	sum->newest = max_u64(sum->newest, object->used);
	sum->count++;
	sum->bytes += object->bytes;
}

static int fail_walk(const struct folder *folder, int rc, struct error *err)
{
	if (rc == -ENOTDIR)
		return fail(err, ENOTDIR,
			    "%s: a link or a file stands where a folder of the "
			    "cache belongs; remove it",
			    folder_dir(folder));
	return fail(err, -rc, "%s: %s", folder_dir(folder), strerror(-rc));
}

/* The lock of the folder, or -errno with a sentence. */
static int enter(struct folder *folder, int root, struct error *err)
{
	int lock = account_enter(folder_account(folder), root);

	if (lock == -ENOLCK)
		return fail(err, ENOLCK,
			    "%s is being cleaned up by another process, or by "
			    "one that was stopped; try again later",
			    folder_dir(folder));
	return lock < 0 ? fail_walk(folder, lock, err) : lock;
}

static void leave(struct folder *folder, int lock)
{
	account_leave(folder_account(folder), lock);
}

/* --- listing ----------------------------------------------------------- */

struct listing {
	struct inspect_list *list;
	inspect_visit visit;
	void *ctx;
	bool locked;
};

/* Without the lock a writer's life cannot be tried: it might just begin. */
static void list_staged(void *ctx, const struct walk_file *file)
{
	struct listing *listing = ctx;
	struct inspect_object object = object_of(file);

	sum_add(listing->locked && !walk_writer_lives(file)
			? &listing->list->leftovers
			: &listing->list->writing,
		&object);
}

static void list_object(void *ctx, const struct walk_file *file)
{
	struct listing *listing = ctx;
	struct inspect_object object = object_of(file);

	sum_add(&listing->list->classes[object.class], &object);
	if (listing->visit)
		listing->visit(listing->ctx, &object);
}

/* A folder that cannot be written, and so not be locked, is listed, too. */
static int list_staging(struct folder *folder, int root,
			struct listing *listing)
{
	struct walk walk = { .visit = list_staged, .ctx = listing };
	int lock = account_enter(folder_account(folder), root);
	int rc;

	listing->locked = lock >= 0;
	rc = walk_staging(&walk, root);
	listing->list->strange += walk.strange;
	if (lock >= 0)
		leave(folder, lock);
	return rc;
}

int inspect_list(struct folder *folder, inspect_visit visit, void *ctx,
		 struct inspect_list *list, struct error *err)
{
	struct listing listing = { .list = list, .visit = visit, .ctx = ctx };
	struct walk walk = { .visit = list_object, .ctx = &listing };
	AUTO_FD int root = -1;
	int rc;

	*list = (struct inspect_list){ 0 };
	root = folder_root(folder, err);
	if (root < 0)
		return root == -ENOENT ? 0 : root;
	rc = list_staging(folder, root, &listing);
	if (rc == 0)
		rc = walk_objects(&walk, root);
	list->strange += walk.strange;
	return rc ? fail_walk(folder, rc, err) : 0;
}

/* --- removing ---------------------------------------------------------- */

/* Count anew down to bytes_max; what goes is added to *freed. */
static int settle(struct folder *folder, int lock, int root, uint64_t bytes_max,
		  struct inspect_freed *freed)
{
	struct usage usage;
	int rc;

	rc = account_settle(folder_account(folder), lock, root, bytes_max,
			    &usage);
	freed->objects.count += usage.evicted;
	freed->objects.bytes += usage.evicted_bytes;
	freed->leftovers.count += usage.leftovers;
	freed->leftovers.bytes += usage.leftover_bytes;
	freed->left = usage.bytes;
	freed->writing = usage.writing;
	return rc;
}

static int trim(struct folder *folder, int root, uint64_t bytes_max,
		struct inspect_freed *freed, struct error *err)
{
	int lock = enter(folder, root, err);
	int rc = 0;

	if (lock < 0)
		return lock;
	for (int i = 0; i < TRIM_TRIES && rc == 0; i++) {
		rc = settle(folder, lock, root, bytes_max, freed);
		if (freed->left <= bytes_max)
			break;
	}
	leave(folder, lock);
	return rc ? fail_walk(folder, rc, err) : 0;
}

int inspect_trim(struct folder *folder, uint64_t bytes_max,
		 struct inspect_freed *freed, struct error *err)
{
	AUTO_FD int root = -1;
	int rc;

	*freed = (struct inspect_freed){ 0 };
	root = folder_root(folder, err);
	if (root < 0)
		return root == -ENOENT ? 0 : root;
	rc = trim(folder, root, bytes_max, freed, err);
	if (rc)
		return rc;
	if (freed->left > bytes_max)
		return fail(err, EBUSY,
			    "%s: more than that is being written; try again "
			    "once it is done",
			    folder_dir(folder));
	return 0;
}

static void remove_object(void *ctx, const struct walk_file *file)
{
	struct inspect_freed *freed = ctx;
	struct inspect_object object = object_of(file);

	if (unlinkat(file->dir, file->name, 0) == 0)
		sum_add(&freed->objects, &object);
}

int inspect_clear(struct folder *folder, struct inspect_freed *freed,
		  struct error *err)
{
	struct walk walk = { .visit = remove_object, .ctx = freed };
	AUTO_FD int root = -1;
	int rc, lock;

	*freed = (struct inspect_freed){ 0 };
	root = folder_root(folder, err);
	if (root < 0)
		return root == -ENOENT ? 0 : root;
	lock = enter(folder, root, err);
	if (lock < 0)
		return lock;
	rc = walk_objects(&walk, root);
	if (rc == 0)
		rc = settle(folder, lock, root, UINT64_MAX, freed);
	leave(folder, lock);
	return rc ? fail_walk(folder, rc, err) : 0;
}

/* --- verifying --------------------------------------------------------- */

struct verifying {
	inspect_judge judge;
	void *ctx;
	struct inspect_freed *freed;
	int code; /* why the rest cannot be judged either */
};

/* Remove what was read: 0, ENOENT where it went or was replaced, or errno. */
static int remove_same(const struct walk_file *file, const struct stat *read)
{
	struct stat st;

	if (fstatat(file->dir, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno;
	if (st.st_ino != read->st_ino || st.st_dev != read->st_dev)
		return ENOENT;
	return unlinkat(file->dir, file->name, 0) < 0 ? errno : 0;
}

/* As readers do (cache/folder.c): it does not get well again by itself. */
static bool is_bad(int code)
{
	return code == EBADMSG || code == EIO;
}

static bool is_ours(int code)
{
	return code == ENOMEM || code == EMFILE || code == ENFILE;
}

/* 0, or the code of an object that is not to be judged. */
static int judge_file(struct verifying *verifying, const struct walk_file *file,
		      int fd, struct inspect_verdict *verdict)
{
	struct stat st;
	int code;

	verdict->code = file->class == CACHE_SHARD
				? -shelf_check(fd, file->sum, NULL)
				: -object_check(fd, file->key);
	if (is_ours(verdict->code))
		return verdict->code;
	if (!is_bad(verdict->code))
		return 0;
	if (fstat(fd, &st) < 0)
		return errno;
	code = remove_same(file, &st);
	verdict->removed = code == 0;
	if (verdict->removed)
		sum_add(&verifying->freed->objects, &verdict->object);
	return code == ENOENT ? code : 0;
}

static int verify_file(const struct walk_file *file,
		       struct verifying *verifying,
		       struct inspect_verdict *verdict)
{
	AUTO_FD int fd = openat(file->dir, file->name,
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0)
		return judge_file(verifying, file, fd, verdict);
	verdict->code = errno;
	return errno == ENOENT || is_ours(errno) ? errno : 0;
}

static void verify_object(void *ctx, const struct walk_file *file)
{
	struct verifying *verifying = ctx;
	struct inspect_verdict verdict = { .object = object_of(file) };
	int code;

	if (verifying->code)
		return;
	code = verify_file(file, verifying, &verdict);
	if (code == 0)
		verifying->judge(verifying->ctx, &verdict);
	else if (code != ENOENT) /* evicted, or replaced, meanwhile */
		verifying->code = code;
}

int inspect_verify(struct folder *folder, inspect_judge judge, void *ctx,
		   struct inspect_freed *freed, struct error *err)
{
	struct verifying verifying = { judge, ctx, freed, 0 };
	struct walk walk = { .visit = verify_object, .ctx = &verifying };
	AUTO_FD int root = -1;
	int rc;

	*freed = (struct inspect_freed){ 0 };
	root = folder_root(folder, err);
	if (root < 0)
		return root == -ENOENT ? 0 : root;
	rc = walk_objects(&walk, root);
	if (rc == 0)
		rc = -verifying.code;
	if (rc)
		return fail_walk(folder, rc, err);
	return trim(folder, root, UINT64_MAX, freed, err);
}
