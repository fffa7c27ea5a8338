/*
 * Ahead of a reader who goes through a file: once half a tensor is served, the
 * reduction of the next tensor that needs one begins, so that it is there, or
 * nearly, when the reader comes to it. One at a time, on a maker beside at
 * least one that stays free for what readers wait for.
 */
#include "fs/engine_inside.h"

/* How many tensors are looked at; smaller ones are reduced at once anyway. */
#define TENSORS_AHEAD 4
#define BYTES_LEAST ((uint64_t)1 << 20)

struct ahead {
	struct task task;
	struct cache_waiter waiter;
	struct engine *engine;
	const struct lens *lens;
	const struct job *job;
	bool is_state;	    /* else: */
	struct chunk chunk; /* of the job's bytes */
};

static void end_ahead(struct ahead *ahead, const struct blob *made)
{
	struct engine *engine = ahead->engine;
	const struct lens *lens = ahead->lens;

	if (!ahead->is_state)
		cache_put(engine->cache, made);
	else if (made)
		job_keep_state(engine, lens, ahead->job, made);
	if (ahead->is_state)
		atomic_store(&engine->is_ahead, false);
	free(ahead);
	lens_release(engine, lens);
}

/* What failed is asked for again by who needs it, and told then. */
static void came(struct cache_waiter *waiter, const struct blob *blob,
		 const struct error *err)
{
	end_ahead(CONTAINER_OF(waiter, struct ahead, waiter), blob);
}

/* On a reader's thread, for the key may need a look into sources. */
static void ask(struct task *task)
{
	struct ahead *ahead = CONTAINER_OF(task, struct ahead, task);
	struct engine *engine = ahead->engine;
	const struct blob *made = NULL;
	struct cache_request request;
	struct error err;
	int rc;

	if (ahead->is_state)
		rc = state_request(engine, ahead->lens, ahead->job, &request,
				   &err);
	else
		rc = chunk_request(engine, ahead->lens, ahead->job,
				   ahead->chunk, &request, &err);
	if (rc == 0)
		rc = cache_get(engine->cache, &request, &ahead->waiter, &made,
			       &err);
	if (rc != CACHE_PARKED)
		end_ahead(ahead, rc == 0 ? made : NULL);
}

bool begin_ahead(struct engine *engine, const struct lens *lens,
		 const struct job *job, const struct chunk *chunk)
{
	struct ahead *ahead = calloc(1, sizeof(*ahead));

	if (!ahead)
		return false;
	*ahead = (struct ahead){
		.task.run = ask,
		.waiter.done = came,
		.engine = engine,
		.lens = lens,
		.job = job,
		.is_state = !chunk,
	};
	if (chunk)
		ahead->chunk = *chunk;
	lens_hold(engine, lens);
	pool_submit(engine->readers, &ahead->task);
	return true;
}

static bool is_wanted(const struct lens *lens, const struct job *job)
{
	return job->state_size && job->size >= BYTES_LEAST && !job->peers &&
	       !has_large_state(job) && !job_state(lens, job) &&
	       !atomic_exchange(&lens_slot(lens, job)->was_ahead, true);
}

/* The first that is wanted among those behind `at`, which is the end of a
 * tensor; into the next file, too. NULL: none. */
static const struct job *find_next(const struct lens *lens,
				   const struct layout_file *file, uint64_t at)
{
	const struct layout *layout = lens->layout;
	const struct layout_file *end = layout->files + layout->count;
	struct span span;

	for (size_t n = 0; n < TENSORS_AHEAD; n++) {
		if (at == file->size) {
			if (++file == end)
				return NULL;
			at = file->header_size;
		}
		if (at == file->size)
			return NULL;
		span = layout_locate(file, at);
		if (is_wanted(lens, span.job))
			return span.job;
		at += span.len;
	}
	return NULL;
}

void look_ahead(const struct engine_read *read)
{
	struct engine *engine = read->engine;
	const struct lens *lens = read->lens;
	uint64_t last = read->off + read->len - 1;
	const struct job *next;
	struct span span;
	uint64_t served;

	if (!read->len || pool_threads(engine->makers) < 2)
		return;
	span = layout_locate(read->file, last);
	if (span.kind == SPAN_HEADER)
		return;
	served = atomic_fetch_add_explicit(&lens_slot(lens, span.job)->served,
					   min_u64(read->len, span.off + 1),
					   memory_order_relaxed);
	if (served + read->len < span.job->size / 2 ||
	    atomic_load(&lens->live->retired) ||
	    atomic_exchange(&engine->is_ahead, true))
		return;
	next = find_next(lens, read->file, last + span.len);
	if (!next || !begin_ahead(engine, lens, next, NULL))
		atomic_store(&engine->is_ahead, false);
}
