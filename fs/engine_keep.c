/*
 * Finished files of the layout: made, and kept in the cache's folder.
 */
#include <errno.h>

#include "fs/engine_inside.h"
#include "fs/log.h"

#define KEEP_PIECE ((size_t)4 << 20)

bool engine_keeps_shards(const struct engine *engine)
{
	return engine->keeper != NULL;
}

static int fail_keep(const struct layout_file *file, int rc, struct error *err)
{
	if (rc == -EFBIG || rc == -EBUSY)
		return fail(err, -rc,
			    "%s: no room for it in the cache; raise "
			    "--cache-disk",
			    file->name);
	return fail(err, -rc, "%s: cannot be kept in the cache: %s", file->name,
		    strerror(-rc));
}

static int fill_file(struct engine *engine, const struct lens *lens,
		     const struct layout_file *file, struct shelf_file *kept,
		     const struct keep_step *step, struct error *err)
{
	AUTO_FREE void *piece = malloc(KEEP_PIECE);
	struct engine_read read = { .lens = lens,
				    .file = file,
				    .beforehand = true };
	size_t len;
	int rc;

	if (!piece)
		return fail(err, ENOMEM, "%s: no memory to keep it",
			    file->name);
	for (uint64_t off = 0; off < file->size; off += len) {
		len = min_u64(file->size - off, KEEP_PIECE);
		if (!step->next(step->ctx, off))
			return fail(err, ECANCELED, "%s: left", file->name);
		read.off = off;
		read.len = len;
		rc = read_wait(engine, &read, piece, err);
		if (rc)
			return rc;
		rc = shelf_add(kept, piece, len);
		if (rc)
			return fail_keep(file, rc, err);
	}
	return 0;
}

/* What was just written here need not be read through. */
static void note_written(struct engine *engine, const struct lens *lens,
			 const struct layout_file *file, struct hash128 key,
			 struct hash128 sum)
{
	struct hash128 found;
	AUTO_FD int fd = shelf_find(engine->shelf, key, file->size, &found);
	struct stat st;

	count(&engine->counters.shards_kept, 1);
	if (fd >= 0 && hash_equal(found, sum) && fstat(fd, &st) == 0)
		shard_note_sound(engine, lens_shard(lens, file), fd, &st);
}

static int write_file(struct engine *engine, const struct lens *lens,
		      const struct layout_file *file, struct hash128 key,
		      const struct keep_step *step, struct error *err)
{
	struct shelf_file kept;
	int rc = shelf_begin(engine->shelf, key, file->size, &kept);

	if (rc)
		rc = fail_keep(file, rc, err);
	else
		rc = fill_file(engine, lens, file, &kept, step, err);
	if (rc) {
		shelf_abandon(&kept);
		return rc;
	}
	rc = shelf_finish(&kept);
	if (rc)
		return fail_keep(file, rc, err);
	note_written(engine, lens, file, key, kept.object.sum);
	return 0;
}

int engine_keep_shard(struct engine *engine, const struct lens *lens,
		      const struct layout_file *file,
		      const struct keep_step *step, struct error *err)
{
	struct hash128 key;
	int rc, fd;

	if (!engine->shelf)
		return fail(err, EINVAL,
			    "%s: there is no cache folder to keep "
			    "it in",
			    file->name);
	rc = shard_key(engine, lens, file, &key, err);
	if (rc)
		return rc;
	fd = shard_find(engine, lens, file);
	if (fd < 0)
		return write_file(engine, lens, file, key, step, err);
	close(fd);
	return 0;
}

/* What is kept because it was read. */
struct keeping {
	struct task task;
	struct engine *engine;
	const struct lens *lens;
	const struct layout_file *file;
};

/* Readers go first; a mount that is read without a pause gets a piece of four
 * megabytes a second kept all the same. */
static bool keep_more(void *ctx, uint64_t done)
{
	const struct keeping *keeping = ctx;
	struct engine *engine = keeping->engine;
	bool busy = true;

	for (int ms = 0; busy && ms < 1000; ms += ENGINE_YIELD_MS) {
		if (atomic_load(&engine->closing) ||
		    atomic_load(&keeping->lens->live->retired))
			return false;
		busy = engine_yield(engine, keeping->lens);
	}
	return true;
}

/* Evicted, and read again, it is kept again. One that could not be kept is not
 * tried again. */
static void begin_anew(const struct keeping *keeping)
{
	struct lens_shard *shard = lens_shard(keeping->lens, keeping->file);

	pthread_mutex_lock(&keeping->engine->lock);
	shard->keeping = false;
	atomic_store(&shard->served, 0);
	pthread_mutex_unlock(&keeping->engine->lock);
}

static void keep(struct task *task)
{
	struct keeping *keeping = CONTAINER_OF(task, struct keeping, task);
	struct engine *engine = keeping->engine;
	const struct lens *lens = keeping->lens;
	const struct keep_step step = { keep_more, keeping };
	struct error err = { 0 };
	int rc = 0;

	if (keep_more(keeping, 0))
		rc = engine_keep_shard(engine, lens, keeping->file, &step,
				       &err);
	if (rc && rc != -ECANCELED)
		log_line(LOG_WARNING, "%s", err.text);
	else
		begin_anew(keeping);
	free(keeping);
	lens_release(engine, lens);
}

void engine_shard_read(const struct lens *lens, const struct layout_file *file,
		       size_t len)
{
	count(&lens_shard(lens, file)->served, len);
}

/* Whether it is this caller who shall keep the file. */
static bool takes_keeping(struct engine *engine, const struct lens *lens,
			  const struct layout_file *file)
{
	struct lens_shard *shard = lens_shard(lens, file);
	bool mine;

	if (atomic_load(&shard->served) < file->size / 2 ||
	    atomic_load(&lens->live->retired) || atomic_load(&engine->closing))
		return false;
	pthread_mutex_lock(&engine->lock);
	mine = !shard->keeping;
	shard->keeping = true;
	pthread_mutex_unlock(&engine->lock);
	return mine;
}

void engine_shard_closed(struct engine *engine, const struct lens *lens,
			 const struct layout_file *file)
{
	struct keeping *keeping;

	if (!engine->keeper || !takes_keeping(engine, lens, file))
		return;
	keeping = calloc(1, sizeof(*keeping));
	if (!keeping)
		return;
	*keeping = (struct keeping){
		.task.run = keep, .engine = engine, .lens = lens, .file = file
	};
	lens_hold(engine, lens);
	pool_submit(engine->keeper, &keeping->task);
}

void engine_stop_shards(struct engine *engine)
{
	atomic_store(&engine->closing, true);
}
