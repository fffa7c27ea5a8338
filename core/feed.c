#include "core/feed.h"

#include <assert.h>
#include <errno.h>

#include "core/streams.h"

#define SCRATCH_ALIGN 64

struct buffer {
	void *data;
	size_t size; /* bytes */
};

struct merge_scratch {
	struct buffer raw;    /* a block of every input, as in the files */
	struct buffer tiles;  /* a tile of every input, then one of results */
	struct buffer method; /* what it asks for to work on rows */
	struct streams *streams; /* NULL before its first job with any */
	uint64_t block_first;	 /* the element that the block begins with */
	void *raw_of[METHOD_INPUTS_MAX];
	float *tile_of[METHOD_INPUTS_MAX + 1];
};

/* The sizes that a job's inputs are cut into, in elements. */
struct cut {
	size_t tile;
	size_t block; /* a multiple of the tile */
};

struct merge_scratch *merge_scratch_open(void)
{
	return calloc(1, sizeof(struct merge_scratch));
}

void merge_scratch_close(struct merge_scratch *scratch)
{
	if (!scratch)
		return;
	free(scratch->raw.data);
	free(scratch->tiles.data);
	free(scratch->method.data);
	streams_close(scratch->streams);
	free(scratch);
}

static size_t element_size(const struct job *job, size_t input)
{
	return dtype_info(job->inputs[input].tensor->dtype)->bits / 8;
}

static int cut_of(const struct feed *feed, struct cut *cut, struct error *err)
{
	const struct job *job = feed->job;
	uint64_t cols = job->args.cols;
	size_t bytes = element_size(job, 0); /* of one element of each */

	assert(job->args.inputs > 0 && job->args.inputs <= METHOD_INPUTS_MAX);
	cut->tile = TILE_ELEMENTS;
	if (feed->rows) {
		if (cols > FEED_ROW_ELEMENTS_MAX)
			return fail(err, ENOTSUP,
				    "%s works on whole rows, and %llu elements "
				    "in a row are too many (the limit is %u)",
				    job->method->name, (unsigned long long)cols,
				    FEED_ROW_ELEMENTS_MAX);
		cut->tile = cols * max_u64(1, TILE_ELEMENTS / cols);
	}
	for (size_t i = 1; i < job->args.inputs; i++)
		bytes += element_size(job, i);
	cut->block = FEED_BLOCK_BYTES / bytes / cut->tile * cut->tile;
	cut->block = max_u64(cut->block, cut->tile);
	return 0;
}

/* Grow a buffer; what was in it is lost. */
static bool buffer_reserve(struct buffer *buffer, size_t size)
{
	if (buffer->size >= size)
		return true;
	free(buffer->data);
	buffer->size = 0;
	buffer->data = aligned_alloc(SCRATCH_ALIGN, size);
	if (buffer->data)
		buffer->size = size;
	return buffer->data;
}

static size_t aligned(size_t bytes)
{
	return round_up_u64(bytes, SCRATCH_ALIGN);
}

static size_t method_scratch_size(const struct job *job, struct cut cut)
{
	if (!job->method->rows_scratch)
		return 0;
	return aligned(job->method->rows_scratch(&job->args, cut.tile));
}

static bool streams_reserve(struct merge_scratch *scratch,
			    const struct job *job, struct cut cut)
{
	if (!job->args.streams)
		return true;
	if (!scratch->streams)
		scratch->streams = streams_open();
	return scratch->streams &&
	       streams_fit(scratch->streams, &job->args, cut.tile);
}

static int scratch_fit(struct merge_scratch *scratch, const struct job *job,
		       struct cut cut, struct error *err)
{
	size_t inputs = job->args.inputs;
	size_t tile = aligned(cut.tile * sizeof(float));
	size_t raw = 0;
	unsigned char *at;

	for (size_t i = 0; i < inputs; i++)
		raw += aligned(cut.block * element_size(job, i));
	if (!buffer_reserve(&scratch->raw, raw) ||
	    !buffer_reserve(&scratch->tiles, (inputs + 1) * tile) ||
	    !buffer_reserve(&scratch->method, method_scratch_size(job, cut)) ||
	    !streams_reserve(scratch, job, cut))
		return fail(err, ENOMEM,
			    "no memory for the buffers of %zu inputs", inputs);
	at = scratch->raw.data;
	for (size_t i = 0; i < inputs; i++) {
		scratch->raw_of[i] = at;
		at += aligned(cut.block * element_size(job, i));
	}
	for (size_t i = 0; i <= inputs; i++)
		scratch->tile_of[i] = (float *)scratch->tiles.data +
				      i * (tile / sizeof(float));
	return 0;
}

static int read_block(const struct feed *feed, uint64_t first, uint64_t count,
		      struct error *err)
{
	const struct job *job = feed->job;

	feed->scratch->block_first = first;
	for (size_t i = 0; i < job->args.inputs; i++) {
		const struct tensor *tensor = job->inputs[i].tensor;
		size_t size = element_size(job, i);
		int rc = source_read(tensor->source, feed->scratch->raw_of[i],
				     count * size, tensor->off + first * size,
				     err);

		if (rc)
			return rc;
	}
	return 0;
}

static void take_tile(const struct feed *feed, uint64_t first, size_t count)
{
	const struct job *job = feed->job;
	struct merge_scratch *scratch = feed->scratch;
	const float *in[METHOD_INPUTS_MAX];
	struct tile tile = { .first = first, .count = count, .in = in };

	for (size_t i = 0; i < job->args.inputs; i++) {
		enum dtype dtype = job->inputs[i].tensor->dtype;
		enum dtype round = job->inputs[i].round;
		size_t skip =
			(first - scratch->block_first) * element_size(job, i);

		assert(feed->kernels->load[dtype]);
		feed->kernels->load[dtype](
			scratch->tile_of[i],
			(const char *)scratch->raw_of[i] + skip, count);
		if (round != DTYPE_NONE && feed->kernels->round[round])
			feed->kernels->round[round](scratch->tile_of[i], count);
		in[i] = scratch->tile_of[i];
	}
	tile.out = scratch->tile_of[job->args.inputs];
	tile.scratch = job->method->rows_scratch ? scratch->method.data : NULL;
	if (job->args.streams)
		tile.draws = streams_draw(scratch->streams, feed->kernels,
					  &job->args, first, count);
	feed->take(feed->ctx, &tile);
}

/* The end of the piece, at most `end`, that stops at a multiple of `size`. */
static uint64_t piece_end(uint64_t first, uint64_t end, size_t size)
{
	return min_u64(end, first - first % size + size);
}

static int feed_block(const struct feed *feed, uint64_t first, uint64_t end,
		      size_t tile, struct error *err)
{
	int rc = read_block(feed, first, end - first, err);

	if (!rc && feed->take_block &&
	    feed->take_block(feed->ctx, first, end - first,
			     (const void *const *)feed->scratch->raw_of))
		return 0;
	for (uint64_t at = first, tile_end; !rc && at < end; at = tile_end) {
		tile_end = piece_end(at, end, tile);
		take_tile(feed, at, tile_end - at);
	}
	return rc;
}

int feed_run(const struct feed *feed, uint64_t first, uint64_t count,
	     struct error *err)
{
	uint64_t end = first + count;
	struct cut cut = { 0 };
	int rc = cut_of(feed, &cut, err);

	if (!rc)
		rc = scratch_fit(feed->scratch, feed->job, cut, err);
	for (uint64_t at = first, block_end; !rc && at < end; at = block_end) {
		block_end = piece_end(at, end, cut.block);
		rc = feed_block(feed, at, block_end, cut.tile, err);
	}
	return rc;
}

/*
 * Where the exponents lie in a stored element: all of them set is an infinity
 * or NaN. The stored form is asked, as rounding on load can make infinities.
 */
static const uint64_t exponent_bits[DTYPE_COUNT] = {
	[DTYPE_F64] = 0x7ff0000000000000u,
	[DTYPE_F32] = 0x7f800000u,
	[DTYPE_F16] = 0x7c00u,
	[DTYPE_BF16] = 0x7f80u,
};

static bool sources_finite(const struct feed *feed, uint64_t element)
{
	const struct job *job = feed->job;

	for (size_t i = 0; i < job->args.inputs; i++) {
		uint64_t mask = exponent_bits[job->inputs[i].tensor->dtype];
		size_t size = element_size(job, i);
		size_t skip = (element - feed->scratch->block_first) * size;
		uint64_t bits = 0;

		memcpy(&bits, (const char *)feed->scratch->raw_of[i] + skip,
		       size);
		if ((bits & mask) == mask)
			return false;
	}
	return true;
}

size_t feed_made_nonfinite(const struct feed *feed, const struct tile *tile)
{
	size_t (*nonfinite)(const float *, size_t) =
		feed->kernels->nonfinite[feed->job->dtype];
	size_t made = 0;

	if (!nonfinite(tile->out, tile->count))
		return 0;
	for (size_t i = 0; i < tile->count; i++)
		if (nonfinite(tile->out + i, 1) &&
		    sources_finite(feed, tile->first + i))
			made++;
	return made;
}
