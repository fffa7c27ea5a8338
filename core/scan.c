/*
 * Passes over the inputs of a job, for reductions. Blocks of
 * SCAN_BLOCK_ELEMENTS are spread over the pool; each goes into a partial of its
 * own, and partials are folded in the order of blocks, a window of them at a
 * time, so that memory does not grow with the tensor and a floating sum is the
 * same for any number of threads. Counts that commute have one partial a thread
 * instead.
 */
#include <assert.h>
#include <errno.h>

#include "core/scan.h"

/* Blocks whose partials wait to be folded: so many, and where partials are
 * large, as many as fit, but enough for all threads. */
#define WINDOW_BLOCKS 256
#define WINDOW_BYTES ((size_t)8 << 20)
#define WINDOW_BLOCKS_OF_THREAD 4
#define PARTIAL_ALIGN 64

struct scan_worker {
	struct scan_worker *next;
	struct merge_scratch *scratch;
	void *partial; /* where the step commutes; NULL before its first block
			*/
};

/* One scan_run(), or one window of it. */
struct pass {
	const struct scan *scan;
	const struct scan_step *step;
	uint64_t first, end;	 /* elements */
	uint64_t block;		 /* elements of all but the last */
	size_t partial_size;	 /* rounded up: no two share a cache line */
	unsigned char *partials; /* of the blocks; NULL: one a worker */
};

static void worker_close(struct scan_worker *worker)
{
	merge_scratch_close(worker->scratch);
	free(worker->partial);
	free(worker);
}

static struct scan_worker *worker_open(void)
{
	struct scan_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->scratch = merge_scratch_open();
	if (worker->scratch)
		return worker;
	worker_close(worker);
	return NULL;
}

static struct scan_worker *worker_take(struct scan_shared *shared)
{
	struct scan_worker *worker;

	pthread_mutex_lock(&shared->lock);
	worker = shared->idle;
	if (worker)
		shared->idle = worker->next;
	pthread_mutex_unlock(&shared->lock);
	return worker ? worker : worker_open();
}

static void worker_give(struct scan_shared *shared, struct scan_worker *worker)
{
	pthread_mutex_lock(&shared->lock);
	worker->next = shared->idle;
	shared->idle = worker;
	pthread_mutex_unlock(&shared->lock);
}

/* The first failure is the one that is told. */
static void scan_fail(struct scan_shared *shared, int rc,
		      const struct error *err)
{
	pthread_mutex_lock(&shared->lock);
	if (!shared->rc) {
		shared->rc = rc;
		if (shared->err)
			*shared->err = *err;
	}
	pthread_mutex_unlock(&shared->lock);
	atomic_store(&shared->failed, true);
}

void *scan_alloc(size_t size)
{
	size_t bytes = round_up_u64(size, PARTIAL_ALIGN);
	void *memory = aligned_alloc(PARTIAL_ALIGN, bytes);

	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

int scan_no_memory(const struct scan *scan)
{
	struct error err;
	int rc = fail(&err, ENOMEM, "no memory for a reduction");

	scan_fail(scan->shared, rc, &err);
	return scan->shared->rc;
}

struct adding {
	const struct pass *pass;
	void *partial;
};

static void add_tile(void *ctx, const struct tile *tile)
{
	const struct adding *adding = ctx;
	const struct scan_step *step = adding->pass->step;
	struct tile seen = *tile;

	seen.out = NULL;
	step->add(&adding->pass->scan->job->args, &seen, step->ctx,
		  adding->partial);
}

static int work_on_block(const struct pass *pass, struct scan_worker *worker,
			 size_t i, struct error *err)
{
	uint64_t first = pass->first + (uint64_t)i * pass->block;
	uint64_t end = min_u64(pass->end, first + pass->block);
	struct adding adding = { .pass = pass };
	struct feed feed = {
		.job = pass->scan->job,
		.kernels = pass->scan->kernels,
		.scratch = worker->scratch,
		.rows = pass->scan->job->kind == JOB_ROWS,
		.take = add_tile,
		.ctx = &adding,
	};

	if (pass->partials) {
		adding.partial = pass->partials + i * pass->partial_size;
		memset(adding.partial, 0, pass->partial_size);
		return feed_run(&feed, first, end - first, err);
	}
	if (!worker->partial)
		worker->partial = scan_alloc(pass->partial_size);
	if (!worker->partial)
		return fail(err, ENOMEM, "no memory for a reduction");
	adding.partial = worker->partial;
	return feed_run(&feed, first, end - first, err);
}

static void run_block(void *ctx, size_t i)
{
	const struct pass *pass = ctx;
	struct scan_shared *shared = pass->scan->shared;
	struct scan_worker *worker;
	struct error err;
	int rc;

	if (atomic_load(&shared->failed))
		return;
	worker = worker_take(shared);
	if (!worker) {
		scan_no_memory(pass->scan);
		return;
	}
	rc = work_on_block(pass, worker, i, &err);
	if (rc)
		scan_fail(shared, rc, &err);
	worker_give(shared, worker);
}

static size_t blocks_of(const struct pass *pass)
{
	uint64_t count = pass->end - pass->first;

	return (count + pass->block - 1) / pass->block;
}

/* Fold the partials of all workers, and leave them without. */
static void fold_workers(const struct pass *pass, void *total)
{
	const struct scan *scan = pass->scan;

	for (struct scan_worker *w = scan->shared->idle; w; w = w->next) {
		if (w->partial && !scan->shared->rc)
			pass->step->fold(&scan->job->args, pass->step->ctx,
					 total, w->partial);
		free(w->partial);
		w->partial = NULL;
	}
}

static void run_commuting(struct pass *pass, void *total)
{
	pool_each(pass->scan->pool, blocks_of(pass), run_block, pass);
	fold_workers(pass, total);
}

static void run_window(struct pass *window, void *total)
{
	const struct scan *scan = window->scan;
	size_t blocks = blocks_of(window);

	pool_each(scan->pool, blocks, run_block, window);
	for (size_t i = 0; i < blocks && !scan->shared->rc; i++)
		window->step->fold(&scan->job->args, window->step->ctx, total,
				   window->partials + i * window->partial_size);
}

static size_t window_of(const struct pass *pass)
{
	size_t threads = pool_threads(pass->scan->pool) + 1;
	size_t fits = WINDOW_BYTES / max_u64(1, pass->partial_size);
	size_t window = min_u64(WINDOW_BLOCKS, fits);

	return min_u64(blocks_of(pass),
		       max_u64(window, threads * WINDOW_BLOCKS_OF_THREAD));
}

static void run_ordered(struct pass *pass, void *total)
{
	size_t window = window_of(pass);
	AUTO_FREE void *partials = aligned_alloc(
		PARTIAL_ALIGN, max_u64(1, window) * pass->partial_size);
	struct pass part = *pass;

	if (!partials) {
		scan_no_memory(pass->scan);
		return;
	}
	part.partials = partials;
	for (; part.first < pass->end && !pass->scan->shared->rc;
	     part.first = part.end) {
		part.end =
			min_u64(pass->end, part.first + window * pass->block);
		run_window(&part, total);
	}
}

static uint64_t block_of(const struct job *job)
{
	uint64_t cols = job->args.cols;

	if (job->kind != JOB_ROWS)
		return SCAN_BLOCK_ELEMENTS;
	return cols * max_u64(1, SCAN_BLOCK_ELEMENTS / cols);
}

int scan_run(const struct scan *scan, uint64_t first, uint64_t count,
	     const struct scan_step *step, void *total)
{
	struct pass pass = {
		.scan = scan,
		.step = step,
		.first = first,
		.end = first + count,
		.block = block_of(scan->job),
		.partial_size = round_up_u64(step->partial_size, PARTIAL_ALIGN),
	};

	assert(first % pass.block == 0);
	assert(pass.end <= scan->job->elements);
	if (!count || scan->shared->rc)
		return scan->shared->rc;
	if (step->commutes)
		run_commuting(&pass, total);
	else
		run_ordered(&pass, total);
	return scan->shared->rc;
}

void scan_each(const struct scan *scan, size_t count,
	       void (*run)(void *ctx, size_t i), void *ctx)
{
	pool_each(scan->pool, count, run, ctx);
}

int scan_refuse(const struct scan *scan, int code, const char *sentence)
{
	struct error err;
	int rc = fail(&err, code, "%s", sentence);

	scan_fail(scan->shared, rc, &err);
	return rc;
}

void scan_end(struct scan_shared *shared)
{
	while (shared->idle) {
		struct scan_worker *worker = shared->idle;

		shared->idle = worker->next;
		worker_close(worker);
	}
}
