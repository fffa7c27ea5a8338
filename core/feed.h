/*
 * How the inputs of a job become tiles: the part that making bytes (merge.c)
 * and reducing (scan.c) share. A range of elements is read a block at a time
 * from all sources into one thread's scratch, small enough to stay in L2, and
 * handed on as binary32, a tile at a time, in order.
 *
 * Tiles end at multiples of the job's tile size: TILE_ELEMENTS, or whole rows
 * of about as many elements for a method that works on rows.
 */
#ifndef LMFS_FEED_H
#define LMFS_FEED_H

#include "core/merge.h"

/* Bytes of sources that are read before they are worked on. */
#define FEED_BLOCK_BYTES (256u << 10)
/* The longest row that a method which works on rows is given. */
#define FEED_ROW_ELEMENTS_MAX (16u << 20)

struct feed {
	const struct job *job;
	const struct kernels *kernels;
	struct merge_scratch *scratch;
	bool rows; /* tiles are whole rows */
	/* Called for every tile; tile->out is a buffer of tile->count. */
	void (*take)(void *ctx, const struct tile *tile);
	/* Called for a whole block first, as it is stored: whether it needs no
	 * tiles any more. NULL: it does. */
	bool (*take_block)(void *ctx, uint64_t first, size_t count,
			   const void *const *in);
	void *ctx;
};

/* Elements [first, first + count) of the job. EIO, ENOMEM, ENOTSUP. */
int feed_run(const struct feed *feed, uint64_t first, uint64_t count,
	     struct error *err);

/*
 * How many of the tile's results the output type would hold as infinity or NaN
 * though all their sources are finite. For use in `take`, on the tile at hand.
 */
size_t feed_made_nonfinite(const struct feed *feed, const struct tile *tile);

#endif
