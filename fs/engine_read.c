/*
 * The course of a read. It gathers what it needs, and then fills the bytes.
 *
 *	engine_read: gather_here --all there--> fill -> 0
 *	                 | needs a key or something made
 *	                 v
 *	   .--> continue_read (readers) --> gather --all there--> fill -> done()
 *	   |                                  | not there yet
 *	   '------ woken (a maker) <----------'
 */
#include <errno.h>

#include "fs/engine_inside.h"
#include "fs/log.h"

#define CHUNKS_MIN 4

static void drop_references(struct engine_read *read)
{
	put_references(read->engine, read->chunks, read->chunks_count);
	free(read->chunks);
	read->chunks = NULL;
	read->chunks_count = read->chunks_room = 0;
}

/* Takes the reference. */
static int keep_chunk(struct engine_read *read, const struct blob *chunk,
		      struct error *err)
{
	size_t room = max_u64(CHUNKS_MIN, 2 * read->chunks_room);
	const struct blob **grown;

	if (read->chunks_count == read->chunks_room) {
		grown = reallocarray(read->chunks, room,
				     sizeof(const struct blob *));
		if (!grown) {
			cache_put(read->engine->cache, chunk);
			return fail(err, ENOMEM, "no memory for a read");
		}
		read->chunks = grown;
		read->chunks_room = room;
	}
	read->chunks[read->chunks_count++] = chunk;
	return 0;
}

static struct piece next_piece(const struct engine_read *read)
{
	return piece_at(read, read->gathered);
}

/* What a read waited for has come: take the reference. */
static int take_what_came(struct engine_read *read, const struct blob *blob,
			  struct error *err)
{
	int rc;

	if (read->wants_state && !has_large_state(read->wants_state)) {
		job_keep_state(read->engine, read->lens, read->wants_state,
			       blob);
		return 0;
	}
	rc = keep_chunk(read, blob, err);
	if (rc == 0)
		read->gathered += next_piece(read).len;
	return rc;
}

/*
 * Ask the cache. With the lock held from the look at `cancelled` to the moment
 * where the read waits, a cancel comes either before or after, never between.
 */
static int ask_cache(struct engine_read *read,
		     const struct cache_request *request,
		     const struct blob **blob, struct error *err)
{
	struct engine *engine = read->engine;
	int rc = -EINTR;

	pthread_mutex_lock(&engine->cancel);
	if (!read->cancelled)
		rc = cache_get(engine->cache, request, &read->waiter, blob,
			       err);
	else
		request->free_ctx(request->ctx);
	pthread_mutex_unlock(&engine->cancel);
	if (rc == -EINTR)
		return fail(err, EINTR, "the reader gave up");
	if (rc == CACHE_PARKED)
		count(&engine->counters.parked, 1);
	return rc == CACHE_PARKED ? ENGINE_PARKED : rc;
}

/* Whether the job has its state, or needs none. A large one is gathered by each
 * piece, as a chunk is. */
static bool has_state(const struct engine_read *read, const struct job *job)
{
	return job->state_size == 0 || job_state(read->lens, job);
}

/* One thing that the next piece needs, a state or a chunk. */
static int gather_one(struct engine_read *read, const struct piece *piece,
		      struct error *err)
{
	const struct job *job = piece->span.job;
	bool state = !has_state(read, job);
	struct cache_request request;
	const struct blob *blob;
	int rc;

	read->wants_state = state ? job : NULL;
	if (state)
		rc = state_request(read->engine, read->lens, job, &request,
				   err);
	else
		rc = chunk_request(read->engine, read->lens, job, piece->chunk,
				   &request, err);
	if (rc == 0)
		rc = ask_cache(read, &request, &blob, err);
	return rc ? rc : take_what_came(read, blob, err);
}

/* Whether the piece can be filled as things are. */
static bool is_there(const struct engine_read *read, const struct piece *piece)
{
	const struct job *job = piece->span.job;

	if (piece->span.kind == SPAN_HEADER)
		return true;
	return !piece->chunked && has_state(read, job);
}

/* Whether what the piece lacks can be asked for without reading sources. */
static bool can_ask(const struct engine_read *read, const struct piece *piece)
{
	const struct job *job = piece->span.job;

	return piece->chunked && chunk_key_known(read->lens, job) &&
	       has_state(read, job);
}

/* Gather as far as `may_read_sources` allows: 0, ENGINE_PARKED (the read is
 * out of our hands), -EAGAIN (sources have to be read), or an error. */
static int gather(struct engine_read *read, bool may_read_sources,
		  struct error *err)
{
	while (read->gathered < read->len) {
		struct piece piece = next_piece(read);
		int rc;

		if (is_there(read, &piece)) {
			read->gathered += piece.len;
			continue;
		}
		if (!may_read_sources && !can_ask(read, &piece))
			return -EAGAIN;
		rc = gather_one(read, &piece, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int fill_piece(struct engine_read *read, const struct piece *piece,
		      size_t *chunks_used, unsigned char *out,
		      struct error *err)
{
	const struct blob *large = NULL;
	const unsigned char *from;

	if (piece->span.kind == SPAN_HEADER) {
		memcpy(out, piece->span.bytes, piece->len);
		return 0;
	}
	if (!piece->chunked) {
		if (has_large_state(piece->span.job))
			large = read->chunks[(*chunks_used)++];
		return make_piece(read, piece, large, out, err);
	}
	from = read->chunks[(*chunks_used)++]->data;
	memcpy(out, from + (piece->span.off - piece->chunk.off), piece->len);
	count(&read->engine->counters.bytes_chunks, piece->len);
	return 0;
}

/* All is gathered. */
static int fill(struct engine_read *read, unsigned char *buf, struct error *err)
{
	size_t chunks_used = 0;
	struct piece piece;
	int rc;

	for (size_t at = 0; at < read->len; at += piece.len) {
		piece = piece_at(read, at);
		rc = fill_piece(read, &piece, &chunks_used, buf + at, err);
		if (rc)
			return rc;
	}
	look_ahead(read);
	return 0;
}

/* The read is over: what it holds is given back, and it is counted. Errors are
 * logged here, once, and become -EIO. */
static int end_read(struct engine_read *read, int rc, const struct error *err)
{
	struct engine_counters *counters = &read->engine->counters;

	drop_references(read);
	count_reading(read, false);
	if (rc == 0 && read->beforehand)
		return 0;
	if (rc == 0) {
		count(&counters->reads, 1);
		count(&counters->bytes_served, read->len);
		count(&read->lens->live->reads, 1);
		count(&read->lens->live->bytes_served, read->len);
		return 0;
	}
	if (rc == -EINTR) {
		count(&counters->cancelled, 1);
		return rc;
	}
	count(&counters->errors, 1);
	log_line(LOG_ERROR, "%s: %s", read->file->name, err->text);
	return -EIO;
}

/* The answer to a parked read, which is gone after it. */
static void answer(struct engine_read *read, int rc, const void *data,
		   const struct error *err)
{
	struct engine *engine = read->engine;
	const struct lens *lens = read->lens;

	rc = end_read(read, rc, err);
	engine_log_trouble(engine);
	read->done(read, rc, rc ? NULL : data, rc ? err : NULL);
	lens_release(engine, lens);
}

/* On a thread of the readers'. */
static void continue_read(struct task *task)
{
	struct engine_read *read = CONTAINER_OF(task, struct engine_read, task);
	const struct blob *came = TAKE(read->woken_with);
	struct error err = { 0 };
	void *buf = NULL;
	int rc = 0;

	if (came)
		rc = take_what_came(read, came, &err);
	if (rc == 0)
		rc = gather(read, true, &err);
	if (rc == ENGINE_PARKED)
		return;
	if (rc == 0 && !(buf = engine_buffer(read->engine)))
		rc = fail(&err, ENOMEM, "no memory for a read");
	if (rc == 0)
		rc = fill(read, buf, &err);
	answer(read, rc, buf, &err);
}

/* On the thread of a maker. */
static void woken(struct cache_waiter *waiter, const struct blob *blob,
		  const struct error *err)
{
	struct engine_read *read =
		CONTAINER_OF(waiter, struct engine_read, waiter);

	if (!blob) {
		answer(read, -err->code, NULL, err);
		return;
	}
	read->woken_with = blob;
	pool_submit(read->engine->readers, &read->task);
}

/* Whether all of the read can be filled as things are. */
static bool is_all_there(const struct engine_read *read)
{
	struct piece piece;

	for (size_t at = 0; at < read->len; at += piece.len) {
		piece = piece_at(read, at);
		if (!is_there(read, &piece))
			return false;
	}
	return true;
}

/* Gather on the caller's thread what can be had at once; where the read goes
 * on elsewhere, the lens is held until it is answered. */
static int gather_here(struct engine_read *read, struct error *err)
{
	struct engine *engine = read->engine;
	const struct lens *lens = read->lens;
	int rc;

	lens_hold(engine, lens);
	rc = gather(read, false, err);
	if (rc == -EAGAIN) {
		pool_submit(engine->readers, &read->task);
		return ENGINE_PARKED;
	}
	if (rc != ENGINE_PARKED)
		lens_release(engine, lens);
	return rc;
}

int engine_read(struct engine *engine, struct engine_read *read, void *buf,
		struct error *err)
{
	struct error own = { 0 };
	int rc = 0;

	read->engine = engine;
	count_reading(read, true);
	read->began = census_now(engine->census);
	read->waiter.done = woken;
	read->task.run = continue_read;
	read->tiled = tiles_take(engine, read);
	if (!is_all_there(read))
		rc = gather_here(read, &own);
	if (rc == ENGINE_PARKED)
		return rc;
	if (rc == 0)
		rc = fill(read, buf, &own);
	rc = end_read(read, rc, &own);
	return rc ? fail(err, -rc, "%s", own.text) : 0;
}

bool engine_cancel(struct engine *engine, struct engine_read *read)
{
	bool taken;

	pthread_mutex_lock(&engine->cancel);
	read->cancelled = true;
	taken = cache_cancel(engine->cache, &read->waiter);
	pthread_mutex_unlock(&engine->cancel);
	if (!taken)
		return false;
	drop_references(read);
	count_reading(read, false);
	count(&engine->counters.cancelled, 1);
	lens_release(engine, read->lens);
	return true;
}
