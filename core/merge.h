/*
 * The driver: makes any byte range of one output tensor, and the state that its
 * method reduces from the inputs. It reads sources into the caller's scratch, a
 * block that stays in L2 at a time, converts to binary32, runs the method a
 * tile of TILE_ELEMENTS at a time, and converts the result.
 *
 * A job is immutable after the plan has made it; any number of threads may work
 * on it, each with its own scratch.
 */
#ifndef LMFS_MERGE_H
#define LMFS_MERGE_H

#include "core/base/error.h"
#include "core/base/pool.h"
#include "core/kernels.h"
#include "core/method.h"
#include "core/safetensors.h"

enum job_kind {
	JOB_COPY, /* the bytes of inputs[0], from its first byte on */
	JOB_TILE, /* any element range, made when asked for */
	JOB_ROWS, /* whole rows only: made by chunks */
};

struct job_peers;

struct job_input {
	const struct tensor *tensor; /* its first job.elements are used (a
				      * vocabulary matrix may be longer) */
	enum dtype round; /* rounded to it on load; DTYPE_NONE: not */
};

/* One output tensor. */
struct job {
	const char *name;
	enum job_kind kind;
	enum dtype dtype; /* of the output */
	struct shape shape;
	uint64_t elements;
	uint64_t size;			   /* bytes */
	const struct merge_method *method; /* NULL: JOB_COPY */
	enum rounding rounding;		   /* of its variant */
	struct method_args args;
	const struct job_input *inputs; /* args.inputs of them */
	size_t state_size;		/* 0: needs no state */
	/* Of the survey that the state is made from; 0: it is not worth keeping
	 * apart, and made along with the state. */
	size_t survey_size;
	uint64_t layer; /* of the output, UINT64_MAX: outside the layers */
	/* The jobs of the plan whose one state this is, itself among them
	 * (core/peers.h). NULL: its state is its own. */
	struct job_peers *peers;
};

/* Read buffers and tiles of one thread. */
struct merge_scratch;

#define AUTO_MERGE_SCRATCH AUTO(merge_scratch_auto_close)

struct merge_scratch *merge_scratch_open(void);		 /* NULL: no memory */
void merge_scratch_close(struct merge_scratch *scratch); /* NULL is fine */
static inline void
merge_scratch_auto_close(struct merge_scratch *const *scratch)
{
	merge_scratch_close(*scratch);
}

/*
 * Compute the state of a job (job->state_size bytes, any alignment up to 64 by
 * the caller) on all threads of the pool and the calling one; pool may be NULL.
 * The bytes do not depend on the number of threads or the level. For a job with
 * peers that takes a pass over all of them.
 */
int merge_state(const struct job *job, enum cpu_level level, struct pool *pool,
		void *state, struct error *err);

/*
 * The same in two steps, for a job with a survey_size: the survey
 * (job->survey_size bytes), and the state from it. What a survey holds does not
 * depend on the options, and is never looked at here.
 */
int merge_survey(const struct job *job, enum cpu_level level, struct pool *pool,
		 void *survey, struct error *err);
int merge_surveyed_state(const struct job *job, enum cpu_level level,
			 struct pool *pool, const void *survey, void *state,
			 struct error *err);

/*
 * Make the bytes [off, off + len) of the tensor, within its size. For JOB_ROWS
 * off and len must be whole rows. `state` is NULL where state_size is 0. Adds
 * to *nonfinite (may be NULL) the elements made whose value would be infinite
 * or NaN though all their inputs are finite. On failure (EIO) the bytes of out
 * mean nothing.
 */
int merge_bytes(const struct job *job, enum cpu_level level, const void *state,
		uint64_t off, size_t len, void *out,
		struct merge_scratch *scratch, uint64_t *nonfinite,
		struct error *err);

/*
 * Cache keys: all that the bytes depend on. The state's: method name and
 * version, arithmetic, the options with in_state set, shape, which input is the
 * base (or the origin of which), and each input's identity, offset, dtype and
 * rounding; for methods that draw also seed, name and positions, or the
 * streams; for states that core/gemm.h makes its name. The tensor's: the same
 * with semantics, all options and the output dtype. The survey's: its name and
 * version in place of the method's, no options and nothing of draws. Of jobs
 * that are peers, the state's is one, of what all of them depend on, positions
 * too, and it is part of the tensor's. May read sources (their identity).
 */
int merge_survey_key(const struct job *job, struct hash128 *key,
		     struct error *err);
int merge_state_key(const struct job *job, struct hash128 *key,
		    struct error *err);
int merge_tensor_key(const struct job *job, struct hash128 *key,
		     struct error *err);

/*
 * The same with source_likeness() in place of the identity: equal ones make the
 * same bytes, without a look into any file; two copies of a file are different.
 * 0 or -ENOMEM.
 */
int merge_state_likeness(const struct job *job, struct hash128 *likeness);
int merge_tensor_likeness(const struct job *job, struct hash128 *likeness);

#endif
