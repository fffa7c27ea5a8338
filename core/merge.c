#include "core/merge.h"

#include <assert.h>
#include <errno.h>

#include "core/feed.h"

/* A range of bytes in the making. */
struct making {
	const struct feed *feed;
	const struct merge_method *method;
	const void *state;
	uint64_t off, end;  /* in the tensor */
	unsigned char *out; /* of the byte at off */
	uint64_t *nonfinite;
};

/* The bytes of a tile that lie in the range. */
static void store_part(const struct making *making, const struct tile *tile,
		       size_t size)
{
	unsigned char stored[TILE_ELEMENTS * sizeof(double)];
	uint64_t begin = tile->first * size;
	uint64_t end = begin + tile->count * size;
	uint64_t from = max_u64(begin, making->off);
	uint64_t to = min_u64(end, making->end);

	assert(tile->count * size <= sizeof(stored));
	making->feed->kernels->store[making->feed->job->dtype](
		stored, tile->out, tile->count);
	memcpy(making->out + (from - making->off), stored + (from - begin),
	       to - from);
}

/* The elements of a tile that the range touches. */
static struct tile touched_part(const struct making *making,
				const struct tile *tile, size_t size)
{
	uint64_t first = max_u64(tile->first, making->off / size);
	uint64_t last = min_u64(tile->first + tile->count,
				(making->end + size - 1) / size);
	struct tile part = *tile;

	part.first = first;
	part.count = last - first;
	part.out += first - tile->first;
	return part;
}

static void make_tile(void *ctx, const struct tile *tile)
{
	const struct making *making = ctx;
	const struct job *job = making->feed->job;
	size_t size = dtype_info(job->dtype)->bits / 8;
	uint64_t begin = tile->first * size;

	if (making->method->tile)
		making->method->tile(&job->args, making->state, tile);
	else
		making->method->rows(&job->args, making->state, tile);
	if (making->nonfinite) {
		const struct tile part = touched_part(making, tile, size);

		*making->nonfinite += feed_made_nonfinite(making->feed, &part);
	}
	if (begin < making->off || begin + tile->count * size > making->end)
		store_part(making, tile, size);
	else
		making->feed->kernels->store[job->dtype](
			making->out + (begin - making->off), tile->out,
			tile->count);
}

/* Whether the method can make the job's bytes of those of the files at once. */
static bool is_stored_alike(const struct job *job)
{
	if (job->dtype != DTYPE_BF16 || job->args.streams)
		return false;
	for (size_t i = 0; i < job->args.inputs; i++)
		if (job->inputs[i].tensor->dtype != DTYPE_BF16 ||
		    (job->inputs[i].round != DTYPE_NONE &&
		     job->inputs[i].round != DTYPE_BF16))
			return false;
	return true;
}

static bool make_block(void *ctx, uint64_t first, size_t count,
		       const void *const *in)
{
	const struct making *making = ctx;
	uint64_t begin = first * sizeof(uint16_t);
	struct stored run = { .count = count, .in = in };

	if (count % 2 || begin < making->off ||
	    begin + count * sizeof(uint16_t) > making->end)
		return false;
	run.out = making->out + (begin - making->off);
	return making->method->stored(&making->feed->job->args, making->state,
				      &run);
}

static int copy_bytes(const struct job *job, uint64_t off, size_t len,
		      void *out, struct error *err)
{
	const struct tensor *tensor = job->inputs[0].tensor;

	return source_read(tensor->source, out, len, tensor->off + off, err);
}

static int make_bytes(struct making *making, struct error *err)
{
	const struct job *job = making->feed->job;
	size_t size = dtype_info(job->dtype)->bits / 8;
	uint64_t first = making->off / size;
	uint64_t last = (making->end + size - 1) / size;

	if (making->method->whole_tiles) {
		first -= first % TILE_ELEMENTS;
		last = min_u64(job->elements,
			       round_up_u64(last, TILE_ELEMENTS));
	}
	assert(job->kind != JOB_ROWS ||
	       (making->off / size) % job->args.cols == 0);
	return feed_run(making->feed, first, last - first, err);
}

int merge_bytes(const struct job *job, enum cpu_level level, const void *state,
		uint64_t off, size_t len, void *out,
		struct merge_scratch *scratch, uint64_t *nonfinite,
		struct error *err)
{
	struct feed feed = {
		.job = job,
		.kernels = kernels_at(level),
		.scratch = scratch,
		.rows = job->kind == JOB_ROWS,
		.take = make_tile,
	};
	struct making making = {
		.feed = &feed,
		.state = state,
		.off = off,
		.end = off + len,
		.out = out,
		.nonfinite = nonfinite,
	};
	int rc;

	assert(off <= job->size && len <= job->size - off);
	if (!len)
		return 0;
	if (job->kind == JOB_COPY) {
		rc = copy_bytes(job, off, len, out, err);
	} else {
		making.method =
			method_variant(job->method, level, job->rounding);
		feed.ctx = &making;
		if (making.method->stored && is_stored_alike(job))
			feed.take_block = make_block;
		rc = make_bytes(&making, err);
	}
	return rc ? fail_in(err, rc, "%s", job->name) : 0;
}
