/*
 * What a read is cut into, and what goes through chunks.
 */
#include "fs/engine_inside.h"

/*
 * What it takes to make a byte of the output, and to read it back, in
 * picoseconds of a thread. Measured on an AMD EPYC (avx2), sources and objects
 * in the page cache, a bfloat16 tensor of 64 MiB, GB/s of output:
 *
 *	                 inputs, base included: 2	3	4	8
 *	linear				2.18	1.55	1.18	0.56
 *	task_arithmetic			2.09	1.39	1.03	0.48
 *	slerp				2.75
 *	dare_linear			1.49	0.91	0.67	0.30
 *	ties				1.17	0.75	0.57	0.27
 *	dare_ties			0.90	0.54	0.38	0.17
 *
 * that is, for each input its pread(), READ_PS a byte, and the arithmetic,
 * element_ps of the method an element. To read a chunk back takes 200 (pread,
 * checksum, copy); in a mount, where another thread does it and memory for it
 * has to be found, the daemon's CPU time says 420 more than what any answer
 * takes. What pays is a quarter dearer, for it has to be written first: sums of
 * three inputs or more, DARE and TIES; not what takes two inputs and adds or
 * turns them.
 */
enum { READ_PS = 140, KEEP_PS = 420 * 5 / 4 };

/*
 * From where on chunks ahead of a reader are worth their memory, which is new
 * to each, and the change of threads. Two cores, three inputs, a mapped reader,
 * read-ahead of 128 KiB, GB/s: DELLA (7300 ps a byte) 0.12 without and 0.23
 * with them, DARE-TIES (2100) 0.91 and 0.57, TIES (1350) 0.85 and 0.56.
 */
enum { TILE_PS = 4000 };

static uint64_t element_bytes(enum dtype dtype)
{
	return dtype_info(dtype)->bits / 8;
}

/* What it takes to make all inputs' share of an element. */
static uint64_t element_cost(const struct job *job)
{
	uint64_t ps = 0;

	for (size_t i = 0; i < job->args.inputs; i++)
		ps += job->method->element_ps +
		      READ_PS * element_bytes(job->inputs[i].tensor->dtype);
	return ps;
}

bool keeping_pays(const struct job *job)
{
	if (job->kind == JOB_ROWS)
		return true;
	if (has_large_state(job))
		return false;
	return element_cost(job) > KEEP_PS * element_bytes(job->dtype);
}

bool tiling_pays(const struct job *job)
{
	return job->kind != JOB_COPY && !has_large_state(job) &&
	       element_cost(job) > TILE_PS * element_bytes(job->dtype);
}

/* Bytes of all but the last chunk of a tensor: whole rows, or whole elements.
 */
static uint64_t chunk_stride(const struct job *job)
{
	uint64_t unit = element_bytes(job->dtype);

	if (job->kind == JOB_ROWS)
		unit *= job->args.cols;
	return unit * max_u64(1, ENGINE_CHUNK_BYTES / unit);
}

struct chunk chunk_at(const struct job *job, uint64_t off)
{
	uint64_t stride = chunk_stride(job);
	uint64_t begin = off / stride * stride;

	return (struct chunk){ begin, min_u64(stride, job->size - begin) };
}

static bool has_happened(const atomic_uint_fast64_t *since, uint64_t now)
{
	uint64_t when = atomic_load_explicit(since, memory_order_relaxed);

	return when && when <= now;
}

bool job_is_kept(const struct engine *engine, const struct lens *lens,
		 const struct job *job, uint64_t now)
{
	const struct lens_slot *slot = lens_slot(lens, job);

	if (has_large_state(job))
		return false;
	if (engine->cache_kind != ENGINE_CACHE_AUTO)
		return engine->cache_kind == ENGINE_CACHE_ALL;
	return has_happened(&slot->kept_since, now) ||
	       (slot->tensor_like &&
		has_happened(&slot->tensor_like->since, now));
}

struct piece piece_at(const struct engine_read *read, size_t at)
{
	struct piece piece = { .span = layout_locate(read->file,
						     read->off + at) };
	const struct job *job = piece.span.job;

	piece.len = min_u64(read->len - at, piece.span.len);
	if (piece.span.kind == SPAN_HEADER || job->kind == JOB_COPY)
		return piece;
	piece.chunked =
		job->kind == JOB_ROWS ||
		job_is_kept(read->engine, read->lens, job, read->began) ||
		(read->tiled && tiling_pays(job));
	if (!piece.chunked)
		return piece;
	piece.chunk = chunk_at(job, piece.span.off);
	piece.len = min_u64(piece.len, piece.chunk.off + piece.chunk.size -
					       piece.span.off);
	return piece;
}
