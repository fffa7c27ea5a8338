#include "fs/stream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define SPARE_SLOTS 2

struct slot {
	struct stream_chunk chunk;
	bool ready; /* made, and not folded yet */
};

/* Chunk i of all lies in slot i % slots_count while it exists. */
struct stream {
	struct engine *engine;
	const struct outputs *outputs;
	const struct stream_step *step;
	struct slot *slots;
	size_t slots_count;
	pthread_t *threads;
	size_t threads_count;

	pthread_mutex_t lock;
	pthread_cond_t room, ready;
	size_t file; /* where the next chunk to make begins */
	uint64_t off;
	size_t taken, folded; /* chunks so far */
	bool ended;	      /* all chunks are folded, or one has failed */
	struct error failure;
};

static void end(struct stream *s)
{
	s->ended = true;
	pthread_cond_broadcast(&s->room);
	pthread_cond_broadcast(&s->ready);
}

/* The first failure counts. Under the lock. */
static void end_failed(struct stream *s, const struct error *err)
{
	if (!s->failure.code)
		s->failure = *err;
	end(s);
}

/* Take the next chunk to make, when there is a slot for it; NULL: no more. */
static struct slot *take_chunk(struct stream *s)
{
	const struct output_file *file;
	struct slot *slot;

	while (!s->ended && s->taken - s->folded == s->slots_count)
		pthread_cond_wait(&s->room, &s->lock);
	if (s->ended || s->file == s->outputs->count)
		return NULL;
	file = &s->outputs->files[s->file];
	slot = &s->slots[s->taken++ % s->slots_count];
	slot->chunk.file = file;
	slot->chunk.off = s->off;
	slot->chunk.len = min_u64(file->size - s->off, STREAM_CHUNK_BYTES);
	slot->chunk.last = slot->chunk.len == file->size - s->off;
	s->off += slot->chunk.len;
	if (slot->chunk.last) {
		s->file++;
		s->off = 0;
	}
	return slot;
}

static int make_chunk(struct stream *s, const struct stream_chunk *chunk,
		      struct error *err)
{
	int rc;

	if (s->step->instead && s->step->instead(s->step->ctx, chunk))
		return 0;
	rc = output_read(s->engine, chunk->file, chunk->off, chunk->len,
			 chunk->data, err);
	if (rc == 0 && s->step->work)
		rc = s->step->work(s->step->ctx, chunk, err);
	return rc < 0 ? fail_in(err, rc, "%s", chunk->file->path) : 0;
}

static void *work(void *arg)
{
	struct stream *s = arg;
	struct error err;
	struct slot *slot;
	int rc;

	pthread_mutex_lock(&s->lock);
	while ((slot = take_chunk(s))) {
		pthread_mutex_unlock(&s->lock);
		rc = make_chunk(s, &slot->chunk, &err);
		pthread_mutex_lock(&s->lock);
		if (rc < 0)
			end_failed(s, &err);
		slot->ready = true;
		pthread_cond_signal(&s->ready);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void fold_all(struct stream *s)
{
	struct error err;
	struct slot *slot;
	int rc;

	pthread_mutex_lock(&s->lock);
	while (!s->ended) {
		slot = &s->slots[s->folded % s->slots_count];
		if (s->folded == s->taken && s->file == s->outputs->count) {
			end(s);
			break;
		}
		if (!slot->ready) {
			pthread_cond_wait(&s->ready, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		rc = s->step->fold(s->step->ctx, &slot->chunk, &err);
		pthread_mutex_lock(&s->lock);
		if (rc < 0) {
			fail_in(&err, rc, "%s", slot->chunk.file->path);
			end_failed(s, &err);
		}
		slot->ready = false;
		s->folded++;
		pthread_cond_signal(&s->room);
	}
	pthread_mutex_unlock(&s->lock);
}

/* The threads leave signals to those that wait for them. */
static int start_threads(struct stream *s, size_t wanted, struct error *err)
{
	sigset_t all, before;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (rc == 0 && s->threads_count < wanted) {
		rc = pthread_create(&s->threads[s->threads_count], NULL, work,
				    s);
		s->threads_count += rc == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (s->threads_count == 0)
		return fail(err, rc, "cannot start a thread: %s", strerror(rc));
	return 0;
}

static void join_threads(struct stream *s)
{
	for (size_t i = 0; i < s->threads_count; i++)
		pthread_join(s->threads[i], NULL);
}

static int alloc_slots(struct stream *s, size_t threads, struct error *err)
{
	s->slots = calloc(threads + SPARE_SLOTS, sizeof(*s->slots));
	s->threads = calloc(threads, sizeof(*s->threads));
	if (!s->slots || !s->threads)
		return fail(err, ENOMEM, "no memory for %zu threads", threads);
	s->slots_count = threads + SPARE_SLOTS;
	for (size_t i = 0; i < s->slots_count; i++) {
		s->slots[i].chunk.data =
			aligned_alloc(STREAM_ALIGN, STREAM_CHUNK_BYTES);
		if (!s->slots[i].chunk.data)
			return fail(err, ENOMEM,
				    "no memory for the buffers of %zu threads",
				    threads);
	}
	return 0;
}

static void free_slots(struct stream *s)
{
	for (size_t i = 0; i < s->slots_count; i++)
		free(s->slots[i].chunk.data);
	free(s->slots);
	free(s->threads);
}

int stream_run(struct engine *engine, const struct outputs *outputs,
	       size_t threads, const struct stream_step *step,
	       struct error *err)
{
	struct stream s = {
		.engine = engine,
		.outputs = outputs,
		.step = step,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.room = PTHREAD_COND_INITIALIZER,
		.ready = PTHREAD_COND_INITIALIZER,
	};
	int rc;

	if (threads == 0)
		threads = pool_machine_threads();
	rc = alloc_slots(&s, threads, err);
	if (rc == 0)
		rc = start_threads(&s, threads, err);
	if (rc == 0)
		fold_all(&s);
	join_threads(&s);
	free_slots(&s);
	if (rc < 0 || !s.failure.code)
		return rc;
	return fail(err, s.failure.code, "%s", s.failure.text);
}
