/*
 * Finished files of the layout: found, read through once, and served.
 *
 * The key of a file is the hash of its header and of the keys of its tensors,
 * so whatever its bytes depend on is in it.
 */
#include <errno.h>

#include "core/base/file.h"
#include "fs/engine_inside.h"
#include "fs/log.h"

/* --- keys ----------------------------------------------------------------- */

static bool known_key(struct engine *engine, const struct lens *lens,
		      const struct layout_file *file, struct hash128 *key)
{
	struct lens_shard *shard = lens_shard(lens, file);
	bool known;

	pthread_mutex_lock(&engine->lock);
	known = shard->key_known;
	*key = shard->key;
	pthread_mutex_unlock(&engine->lock);
	return known;
}

static int make_key(struct engine *engine, const struct lens *lens,
		    const struct layout_file *file, struct hash128 *key,
		    struct error *err)
{
	AUTO_HASHER struct hasher *hasher = hasher_open();
	char hex[HASH_HEX_LEN + 1];
	struct hash128 tensor;
	int rc;

	if (!hasher)
		return fail(err, ENOMEM, "no memory for the key of a file");
	hasher_add(hasher, file->header, file->header_size);
	for (size_t i = 0; i < file->count; i++) {
		rc = job_tensor_key(engine, lens, file->jobs[i], &tensor, err);
		if (rc)
			return rc;
		hash_hex(tensor, hex);
		hasher_add(hasher, hex, HASH_HEX_LEN);
	}
	*key = hasher_value(hasher);
	return 0;
}

int shard_key(struct engine *engine, const struct lens *lens,
	      const struct layout_file *file, struct hash128 *key,
	      struct error *err)
{
	struct lens_shard *shard = lens_shard(lens, file);
	int rc;

	if (known_key(engine, lens, file, key))
		return 0;
	rc = make_key(engine, lens, file, key, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&engine->lock);
	shard->key = *key;
	shard->key_known = true;
	pthread_mutex_unlock(&engine->lock);
	return 0;
}

/* --- finding -------------------------------------------------------------- */

/* Whether the file is the one that was read through, or was written here. */
static bool is_sound(struct engine *engine, struct lens_shard *shard, int fd)
{
	struct stamp stamp;
	struct stat st;
	bool same;

	if (fstat(fd, &st) < 0)
		return false;
	stamp = stamp_of(&st);
	pthread_mutex_lock(&engine->lock);
	same = stamp_order(&stamp, &shard->sound) == 0;
	pthread_mutex_unlock(&engine->lock);
	return same;
}

void shard_note_sound(struct engine *engine, struct lens_shard *shard, int fd,
		      const struct stat *before)
{
	struct stamp stamp = stamp_of(before), now;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return;
	now = stamp_of(&st);
	if (stamp_order(&stamp, &now) != 0)
		return;
	pthread_mutex_lock(&engine->lock);
	shard->sound = stamp;
	pthread_mutex_unlock(&engine->lock);
}

/* Read it through: whether it is what its name says. */
static bool check(struct engine *engine, const struct lens *lens,
		  const struct layout_file *file, int fd, struct hash128 key,
		  struct hash128 sum)
{
	struct lens_shard *shard = lens_shard(lens, file);
	struct stat before;
	int rc;

	if (is_sound(engine, shard, fd))
		return true;
	if (fstat(fd, &before) < 0)
		return false;
	rc = shelf_check(fd, sum, &engine->closing);
	if (rc == 0) {
		shard_note_sound(engine, shard, fd, &before);
		return true;
	}
	if (rc == -EBADMSG) {
		count(&engine->counters.shards_bad, 1);
		log_line(LOG_WARNING,
			 "%s: the file that was kept of it is not sound, and "
			 "is removed",
			 file->name);
		shelf_remove(engine->shelf, key, sum);
		pthread_mutex_lock(&engine->lock);
		shard->keeping = false;
		pthread_mutex_unlock(&engine->lock);
	}
	return false;
}

int shard_find(struct engine *engine, const struct lens *lens,
	       const struct layout_file *file)
{
	AUTO_FD int fd = -1;
	struct hash128 key, sum;

	if (shard_key(engine, lens, file, &key, NULL))
		return -1;
	fd = shelf_find(engine->shelf, key, file->size, &sum);
	if (fd < 0 || !check(engine, lens, file, fd, key, sum))
		return -1;
	return TAKE_FD(fd);
}

/* On the thread of the checker. */
static void open_parked(struct task *task)
{
	struct engine_opening *opening =
		CONTAINER_OF(task, struct engine_opening, task);
	struct engine *engine = opening->engine;
	const struct lens *lens = opening->lens;

	opening->done(opening, shard_find(engine, lens, opening->file));
	lens_release(engine, lens);
}

int engine_open_shard(struct engine *engine, struct engine_opening *opening,
		      int *fd)
{
	const struct lens *lens = opening->lens;
	const struct layout_file *file = opening->file;
	struct hash128 key, sum;

	*fd = -1;
	if (!engine->shelf || atomic_load(&engine->closing) ||
	    shelf_is_empty(engine->shelf))
		return 0;
	if (known_key(engine, lens, file, &key)) {
		AUTO_FD int found =
			shelf_find(engine->shelf, key, file->size, &sum);

		if (found < 0)
			return 0;
		if (is_sound(engine, lens_shard(lens, file), found)) {
			*fd = TAKE_FD(found);
			return 0;
		}
	}
	opening->engine = engine;
	opening->task.run = open_parked;
	lens_hold(engine, lens);
	pool_submit(engine->checker, &opening->task);
	return ENGINE_PARKED;
}

bool engine_read_shard(struct engine *engine, const struct lens *lens, int fd,
		       uint64_t off, size_t len, void *buf)
{
	if (file_read_at(fd, buf, len, off))
		return false;
	count(&engine->counters.reads, 1);
	count(&engine->counters.bytes_served, len);
	count(&engine->counters.bytes_shards, len);
	count(&lens->live->reads, 1);
	count(&lens->live->bytes_served, len);
	return true;
}
