/*
 * The generator of the random masks of `mergekit-yaml --random-seed`: MT19937
 * (Matsumoto and Nishimura, "Mersenne Twister", 1998), here with a way to any
 * place of its sequence that does not make what lies before.
 *
 * The generator's words x_0, x_1, ... begin with 624 that the seed gives. The
 * number at place n is x_{n+624}, tempered. All that follows a place n depends
 * on the 624 words from x_n on, its window (of x_n the highest bit alone, which
 * makes 19937 bits). A generator holds the window of its place, and the words
 * after it that were made last: places among these can be read again.
 *
 * Plain memory: nothing to end. One thread at a time.
 */
#ifndef LMFS_MT19937_H
#define LMFS_MT19937_H

#include "core/kernels.h"
#include "core/mt19937_loops.h"

/* Words that are made at a time: a tile of numbers. */
#define MT19937_RUN 1024
/* A longer way is faster jumped than walked: a jump takes as long as 2 million
 * places without vectors, 2.8 million with AVX2, as measured. */
#define MT19937_WALK_MAX (2u << 20)

struct mt19937 {
	uint64_t place;				 /* of the window */
	uint32_t made;				 /* words after the window */
	uint32_t x[MT19937_WORDS + MT19937_RUN]; /* window, then made */
};

/* At place 0 of a seed's sequence. */
void mt19937_seed(struct mt19937 *mt, uint32_t seed);

/* Be where another is. */
void mt19937_copy(struct mt19937 *mt, const struct mt19937 *from);

/* Move on by `count` places: word by word, or without the words between, in
 * about a millisecond. */
void mt19937_walk(struct mt19937 *mt, const struct kernels *kernels,
		  uint64_t count);
void mt19937_jump(struct mt19937 *mt, const struct kernels *kernels,
		  uint64_t count);

/* The numbers at places [place, place + count), of which the first is not
 * before the generator's own. */
void mt19937_draw(struct mt19937 *mt, const struct kernels *kernels,
		  uint64_t place, size_t count, uint32_t *numbers);

#endif
