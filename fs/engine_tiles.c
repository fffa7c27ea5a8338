/*
 * Bytes of chunks ahead of those who read on and on by little: where the kernel
 * reads ahead by 128 KiB, as it does unless it is told otherwise, one mapped
 * reader has two reads under way at most, which keeps two threads busy at most,
 * and neither for long. What is dear to make is made in whole chunks then, each
 * once, of which those that come next are begun.
 */
#include "fs/engine_inside.h"

#define STREAMS 32
/* Reads of one stream overtake each other. */
#define STREAM_SLACK ((uint64_t)512 << 10)
/* Longer reads need nobody ahead of them. */
#define LONG_READ ((size_t)512 << 10)
#define CHUNKS_AHEAD_MAX 8

/* Somebody who goes through a file. */
struct stream {
	const struct layout_file *file; /* NULL: nobody */
	uint64_t end;			/* of what was read */
	uint64_t begun;			/* in the file: chunks before it are */
};

struct tiles {
	pthread_mutex_t lock; /* of the rest */
	struct stream streams[STREAMS];
	size_t next; /* to be given away */
};

void engine_tile_ahead(struct engine *engine)
{
	struct tiles *tiles = calloc(1, sizeof(*tiles)), *none = NULL;

	if (!tiles)
		return;
	pthread_mutex_init(&tiles->lock, NULL);
	if (!atomic_compare_exchange_strong(&engine->tiles, &none, tiles))
		tiles_close(tiles);
}

void tiles_close(struct tiles *tiles)
{
	if (!tiles)
		return;
	pthread_mutex_destroy(&tiles->lock);
	free(tiles);
}

/*
 * Begin the chunks behind the one that the read ends in, in its tensor, but for
 * those that were begun before: where those end, in the file.
 */
static uint64_t begin_next(struct engine *engine,
			   const struct engine_read *read, uint64_t begun)
{
	uint64_t last = read->off + read->len - 1;
	struct span span = layout_locate(read->file, last);
	const struct job *job = span.job;
	size_t count = min_u64(pool_threads(engine->makers), CHUNKS_AHEAD_MAX);
	struct chunk chunk;
	uint64_t start;

	if (span.kind == SPAN_HEADER || !tiling_pays(job) ||
	    (job->state_size && !job_state(read->lens, job)))
		return begun;
	start = last - span.off; /* of the tensor */
	chunk = chunk_at(job, span.off);
	while (count-- > 0 && chunk.off + chunk.size < job->size) {
		chunk = chunk_at(job, chunk.off + chunk.size);
		if (start + chunk.off < begun)
			continue;
		if (!begin_ahead(engine, read->lens, job, &chunk))
			return begun;
		begun = start + chunk.off + chunk.size;
	}
	return begun;
}

/* --- streams ------------------------------------------------------------ */

/* Whose read this is: NULL, and somebody new is noted. Under the lock. */
static struct stream *find_stream(struct tiles *tiles,
				  const struct engine_read *read)
{
	struct stream *stream;

	for (size_t i = 0; i < STREAMS; i++) {
		stream = &tiles->streams[i];
		if (stream->file == read->file &&
		    read->off + STREAM_SLACK >= stream->end &&
		    read->off <= stream->end + STREAM_SLACK)
			return stream;
	}
	tiles->streams[tiles->next++ % STREAMS] = (struct stream){
		.file = read->file,
		.end = read->off + read->len,
	};
	return NULL;
}

bool tiles_take(struct engine *engine, const struct engine_read *read)
{
	struct tiles *tiles = atomic_load(&engine->tiles);
	struct stream *stream;

	if (!tiles || read->beforehand || read->len == 0 ||
	    read->len >= LONG_READ || atomic_load(&read->lens->live->retired))
		return false;
	pthread_mutex_lock(&tiles->lock);
	stream = find_stream(tiles, read);
	if (stream) {
		stream->end = max_u64(stream->end, read->off + read->len);
		stream->begun = begin_next(engine, read, stream->begun);
	}
	pthread_mutex_unlock(&tiles->lock);
	return stream != NULL;
}
