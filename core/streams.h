/*
 * The numbers that the elements of a job take from a stream (method_args.
 * streams), for one thread: a generator for every input that takes any. It goes
 * on from where it is, or from where another of the thread's is that is nearer,
 * so that who reads on never jumps. What is made depends on the seed and the
 * place alone, whatever jobs the generators were used for before.
 */
#ifndef LMFS_STREAMS_H
#define LMFS_STREAMS_H

#include "core/kernels.h"

struct streams; /* of one thread */

/* NULL: no memory. */
struct streams *streams_open(void);
void streams_close(struct streams *streams); /* NULL is fine */

/* Have room for `count` elements of a job at a time; false: no memory. */
bool streams_fit(struct streams *streams, const struct method_args *args,
		 size_t count);

/*
 * For tile.draws: by input, the numbers of the elements [first, first + count)
 * of a job whose args->streams is given, which streams_fit() has fitted. Valid
 * until the next call.
 */
const uint32_t *const *streams_draw(struct streams *streams,
				    const struct kernels *kernels,
				    const struct method_args *args,
				    uint64_t first, size_t count);

#endif
