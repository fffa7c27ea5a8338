/*
 * A read that its caller waits for.
 */
#include <errno.h>

#include "fs/engine_inside.h"

/* A reader that sleeps until its read is answered. */
struct sleeper {
	struct engine_read read;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool answered;
	int rc;
	void *buf;
	struct error *err;
};

static void wake(struct engine_read *read, int rc, const void *data,
		 const struct error *err)
{
	struct sleeper *sleeper = CONTAINER_OF(read, struct sleeper, read);

	pthread_mutex_lock(&sleeper->lock);
	if (rc == 0)
		memcpy(sleeper->buf, data, read->len);
	else if (sleeper->err)
		*sleeper->err = *err;
	sleeper->rc = rc;
	sleeper->answered = true;
	pthread_cond_signal(&sleeper->woken);
	pthread_mutex_unlock(&sleeper->lock);
}

static int read_and_sleep(struct engine *engine, struct sleeper *sleeper)
{
	int rc =
		engine_read(engine, &sleeper->read, sleeper->buf, sleeper->err);

	if (rc != ENGINE_PARKED)
		return rc;
	pthread_mutex_lock(&sleeper->lock);
	while (!sleeper->answered)
		pthread_cond_wait(&sleeper->woken, &sleeper->lock);
	pthread_mutex_unlock(&sleeper->lock);
	return sleeper->rc;
}

static int read_part(struct engine *engine, const struct engine_read *what,
		     void *buf, struct error *err)
{
	struct sleeper sleeper = { .read = *what, .buf = buf, .err = err };
	int rc;

	pthread_mutex_init(&sleeper.lock, NULL);
	pthread_cond_init(&sleeper.woken, NULL);
	rc = read_and_sleep(engine, &sleeper);
	pthread_cond_destroy(&sleeper.woken);
	pthread_mutex_destroy(&sleeper.lock);
	return rc;
}

int read_wait(struct engine *engine, const struct engine_read *what, void *buf,
	      struct error *err)
{
	struct engine_read part = *what;
	unsigned char *out = buf;
	int rc = 0;

	part.done = wake;
	for (size_t at = 0; rc == 0 && at < what->len; at += part.len) {
		part.off = what->off + at;
		part.len = min_u64(what->len - at, ENGINE_READ_MAX);
		rc = read_part(engine, &part, out + at, err);
	}
	return rc;
}

int engine_read_wait(struct engine *engine, const struct lens *lens,
		     const struct layout_file *file, uint64_t off, size_t len,
		     void *buf, struct error *err)
{
	const struct engine_read what = {
		.lens = lens, .file = file, .off = off, .len = len
	};

	return read_wait(engine, &what, buf, err);
}
