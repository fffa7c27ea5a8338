/*
 * The contract of a merge method. Any range of any output tensor must be
 * producible on its own, so a method is
 *
 *	reduce	at most once a tensor: read the inputs, keep a small state
 *		(norms, thresholds, counts), which is cached on disk; what of it
 *		no option changes is a survey, cached apart, which makes the
 *		reduction of other options cheaper;
 *	tile	any run of elements, from the inputs and the state; or
 *	rows	any block of whole rows, where elements alone do not do.
 *
 * A method sees binary32 only, opens nothing, allocates nothing and keeps
 * nothing between calls; tile and rows cannot fail. Its output depends on its
 * arguments alone: not on the CPU, the thread, the cuts or the order of calls.
 *
 * A method is one file, core/methods/<name>.c, compiled once for each CPU level
 * and rounding (see core/methods/body.h), and one row of METHODS. Options,
 * counts and policies are data: parsing, validation, help, docs, cache keys and
 * the property tests follow from the table.
 */
#ifndef LMFS_METHOD_H
#define LMFS_METHOD_H

#include <math.h>

#include "core/base/base.h"
#include "core/base/hash.h"

#define METHODS(X)          \
	X(linear)           \
	X(slerp)            \
	X(nuslerp)          \
	X(multislerp)       \
	X(karcher)          \
	X(model_stock)      \
	X(task_arithmetic)  \
	X(ties)             \
	X(dare_linear)      \
	X(dare_ties)        \
	X(breadcrumbs)      \
	X(breadcrumbs_ties) \
	X(della_linear)     \
	X(della)            \
	X(sce)              \
	X(nearswap)         \
	X(ram)              \
	X(ramplus_tl)       \
	X(arcee_fusion)     \
	X(consensus_ta)     \
	X(emr)              \
	X(magmax)           \
	X(bitdelta)         \
	X(cabs)             \
	X(metagpt)          \
	X(tsv_m)            \
	X(iso_c)            \
	X(core_space)       \
	X(wudi)             \
	X(passthrough)

#define METHOD_INPUTS_MAX 256
#define METHOD_OPTIONS_MAX 16
#define METHOD_ANY_COUNT SIZE_MAX
#define METHOD_NO_BASE SIZE_MAX
#define METHOD_CHANGED SIZE_MAX

/* A tile never straddles a multiple of TILE_ELEMENTS of the flat index. */
#define TILE_ELEMENTS 1024
/* A reduction works on blocks of the flat index, and folds them in order. */
#define SCAN_BLOCK_ELEMENTS 65536

enum cpu_level {
#define CPU_LEVEL_ENUM(level) CPU_LEVEL_##level,
	CPU_LEVELS(CPU_LEVEL_ENUM)
#undef CPU_LEVEL_ENUM
		CPU_LEVEL_COUNT
};

/*
 * What a method rounds to after every operation that mergekit rounds after:
 * nothing (binary32 it is), or the type that mergekit works in. As lower-case
 * names, like those of the levels.
 */
#define ROUNDINGS(X) X(f32) X(bf16) X(f16)

enum rounding {
#define ROUNDING_ENUM(name) ROUNDING_##name,
	ROUNDINGS(ROUNDING_ENUM)
#undef ROUNDING_ENUM
		ROUNDING_COUNT
};

/* llmergefs.arithmetic: whose operations and roundings a recipe asks for. */
enum arithmetic {
	ARITHMETIC_FLOAT32,	 /* binary32, rounded once, when stored */
	ARITHMETIC_MERGEKIT,	 /* as mergekit 0.1.5, in the work type */
	ARITHMETIC_MERGEKIT_014, /* as mergekit 0.1.4, in the work type */
};

/* llmergefs.semantics: where TIES and DARE are not what their papers say. */
enum semantics { SEMANTICS_MERGEKIT, SEMANTICS_PAPER };

/* llmergefs.rng: where random masks come from. */
enum rng_kind {
	RNG_COUNTER, /* core/rng.h: any element's by itself */
	RNG_MT19937, /* core/mt19937.h: the stream of mergekit --random-seed */
};

#define RNG_NO_STREAM UINT64_MAX

enum option_type { OPTION_FLOAT, OPTION_BOOL, OPTION_INT, OPTION_CHOICE };
enum option_scope { OPTION_GLOBAL, OPTION_PER_MODEL };

/* The value of an option that is not given and has no default. */
#define OPTION_UNSET ((double)NAN)

struct method_option {
	const char *name;
	enum option_type type;
	enum option_scope scope;
	bool required;
	bool in_state;	  /* the result of reduce depends on it */
	double fallback;  /* default; OPTION_UNSET: none */
	double min, max;  /* inclusive; -INFINITY, INFINITY: any */
	const char *help; /* one line */
	/* OPTION_CHOICE: the names of the values 0 to max, in order. */
	const char *const *choices;
};

enum method_base {
	BASE_UNUSED, /* a base_model is an input like the others */
	BASE_OPTIONAL,
	BASE_REQUIRED,
};

/* What happens where some models lack a tensor that others have. */
enum method_missing {
	MISSING_ERROR,
	MISSING_PRESENT, /* merge those present; the base must be */
	MISSING_LONE, /* exactly one present: that one unchanged; else error */
	MISSING_DROP, /* merge those present; too few: the base alone as it is,
		       * else the result lacks it, too */
};

/* The arguments of one output tensor; the same for all of its elements. */
struct method_args {
	size_t inputs; /* tensors present, in config order */
	size_t base;   /* index of the base among them, or METHOD_NO_BASE */
	const double *values; /* [option * inputs + input]; global: input 0 */
	uint64_t elements;    /* of the output and of each input */
	uint64_t cols;	      /* last dimension; 1 for rank 0 */
	uint64_t rows;	      /* first dimension; 1 for rank 0 */
	unsigned rank;	      /* dimensions */
	/* [input]: of an input other than the base, the input that its task
	 * vector starts from: the base, or a base of its own where the method
	 * has own_bases (another model may be it, too). METHOD_NO_BASE: it is
	 * the base, or only such a base, which comes after all models. NULL:
	 * the base, for all. */
	const size_t *origins;
	enum arithmetic arithmetic;
	enum semantics semantics;
	/* Keys of random masks (core/rng.h). */
	enum rng_kind rng;
	uint64_t seed;
	const char *name;	   /* of the output tensor */
	const uint32_t *positions; /* [input]: among the recipe's non-base
				    * models, whether or not all are present */
	/* [input]: where its draws begin in the stream of RNG_MT19937, one for
	 * each element; RNG_NO_STREAM: it takes none. NULL: RNG_COUNTER. */
	const uint64_t *streams;
};

static inline double method_value(const struct method_args *args, size_t option,
				  size_t input)
{
	return args->values[option * args->inputs + input];
}

/* Not the base, and no base of a model's own: it has a task vector. */
static inline bool method_is_model(const struct method_args *args, size_t input)
{
	return input != args->base &&
	       (!args->origins || args->origins[input] != METHOD_NO_BASE);
}

/* The input that a model's task vector starts from. */
static inline size_t method_origin(const struct method_args *args, size_t input)
{
	return args->origins ? args->origins[input] : args->base;
}

/* A run of elements: `in[i]` are those of input i. 64-byte aligned. */
struct tile {
	uint64_t first; /* flat index of the first */
	size_t count;	/* at most TILE_ELEMENTS; for rows: whole rows */
	const float *const *in;
	float *out;    /* NULL in a scan */
	void *scratch; /* of rows_scratch bytes, the thread's own; else NULL */
	/* [input]: the 32-bit numbers of its elements in the stream, NULL where
	 * it takes none. NULL: RNG_COUNTER. */
	const uint32_t *const *draws;
};

/* The same of stored elements, all of them bfloat16, at any address. */
struct stored {
	size_t count; /* even */
	const void *const *in;
	void *out;
};

/*
 * A pass over the inputs, given to reduce by the driver. scan_run() calls `add`
 * for every tile of the elements [first, first + count), on all cores:
 * `partial` starts zeroed for each SCAN_BLOCK_ELEMENTS block and is folded into
 * `total` in the order of blocks, so that floating sums are the same for any
 * number of threads. Where `commutes` is set (integer counts) there is one
 * partial a thread, folded in any order. `first` must be a multiple of the
 * block. For a method that has `rows` tiles are whole rows, and a block is as
 * many whole rows as come next to SCAN_BLOCK_ELEMENTS, at least one. Returns 0
 * or -errno, which reduce passes on.
 */
struct scan;

struct scan_step {
	size_t partial_size;
	bool commutes;
	void (*add)(const struct method_args *args, const struct tile *tile,
		    const void *ctx, void *partial);
	void (*fold)(const struct method_args *args, const void *ctx,
		     void *total, const void *partial);
	const void *ctx;
};

int scan_run(const struct scan *scan, uint64_t first, uint64_t count,
	     const struct scan_step *step, void *total);

/* Work of reduce's own between passes: call run(ctx, i) once for every i in
 * [0, count), on all cores, in any order. */
void scan_each(const struct scan *scan, size_t count,
	       void (*run)(void *ctx, size_t i), void *ctx);

/* Say why reduce fails, other than by its scans: -code, which it returns. */
int scan_refuse(const struct scan *scan, int code, const char *sentence);

/* In reduce, what the method's survey made; NULL: it has none, or no need of
 * one. */
const void *scan_survey(const struct scan *scan);

/*
 * The first stage of reductions: what they take from the inputs whatever the
 * options are. Methods that have the same survey share what it makes.
 */
struct method_survey {
	const char *name;
	unsigned version; /* raised whenever its bytes change */
	/* Bytes, 0: with these options reduce needs none. Otherwise neither
	 * they nor what is made depend on options or on how masks are drawn. */
	size_t (*size)(const struct method_args *args);
	/* The survey is plain data, zeroed before. */
	int (*make)(const struct method_args *args, const struct scan *scan,
		    void *survey);
};

struct merge_method {
	const char *name;    /* in recipes */
	const char *summary; /* one line */
	unsigned version;    /* raised whenever output bytes change */
	/* What an element of one input takes a thread, in picoseconds, reading
	 * it apart: whether a result is worth keeping (fs/engine_piece.c). */
	unsigned element_ps;
	enum method_base base;
	bool base_has_options; /* per-model options are resolved for it, too */
	size_t models_min, models_max; /* inputs other than a base */
	enum method_missing missing;
	bool own_bases;	 /* a model may name a base of its own */
	bool has_paper;	 /* SEMANTICS_PAPER is something else; a method without
			  * never sees it. No state may depend on it. */
	bool result_f32; /* mergekit's result is binary32 in any work type */
	/* Every tile that `tile` is given begins at a multiple of TILE_ELEMENTS
	 * and ends at one, or with the tensor. */
	bool whole_tiles;
	/* Whether an input takes a draw for each of its elements. NULL: none
	 * does; else seed, name and positions (or streams) count. */
	bool (*draws)(const struct method_args *args, size_t input);
	const struct method_option *options;
	size_t options_count;

	/* The input whose bytes are the result, METHOD_CHANGED: none. May be
	 * NULL: none ever. */
	size_t (*unchanged)(const struct method_args *args);
	/* A wrong combination of values, as a sentence; NULL: fine. May be
	 * NULL. (A value alone is checked by its row in the table.) */
	const char *(*check)(const struct method_args *args);
	/* Bytes of state for these arguments, 0: no reduction. May be NULL. The
	 * state is plain data, zeroed before reduce, stored as it is. It may
	 * depend on the rounding that the method is compiled for. */
	size_t (*state_size)(const struct method_args *args);
	/* What reduce begins with, where there is a state. May be NULL. */
	const struct method_survey *survey;
	/* Bytes that reduce needs while it runs. May be NULL: none. */
	size_t (*scratch_size)(const struct method_args *args);
	int (*reduce)(const struct method_args *args, const struct scan *scan,
		      void *state, void *scratch);
	/* For a state of the whole model, the same for all its tensors, of one
	 * size: add that of one more tensor (in the order of the plan) to
	 * `total`, which is zeroed before the first. What reduce makes may
	 * depend on positions; it has no survey. NULL: every tensor has a state
	 * of its own. */
	void (*combine)(void *total, const void *state);
	/* Floating-point operations of reduce in core/gemm.h, for an estimate
	 * of its time; the state's bytes depend on that library, too, and so do
	 * its key and the tensor's. NULL: it does not call it. */
	double (*flops)(const struct method_args *args);
	/* Exactly one of the two. */
	void (*tile)(const struct method_args *args, const void *state,
		     const struct tile *tile);
	void (*rows)(const struct method_args *args, const void *state,
		     const struct tile *rows);
	/* What load, tile and store make of a run of bfloat16, in one pass, for
	 * where they cost more than the method: see core/methods/words.h.
	 * False: not with these arguments, or some result is not finite; out
	 * means nothing. May be NULL. Never called where an input draws. */
	bool (*stored)(const struct method_args *args, const void *state,
		       const struct stored *run);
	/* Bytes of tile->scratch for rows of `count` elements, which hold
	 * nothing yet. May be NULL: none. */
	size_t (*rows_scratch)(const struct method_args *args, size_t count);
};

size_t method_count(void);

/* The i-th method, compiled for the lowest level: for all but its functions. */
const struct merge_method *method_at(size_t i);

/* By name, NULL: none. */
const struct merge_method *method_by_name(const char *name);

/* The same method compiled for a level and a rounding; all levels give the same
 * bits. A method that is not in the table (a test's own) is returned as it is.
 */
const struct merge_method *method_variant(const struct merge_method *method,
					  enum cpu_level level,
					  enum rounding rounding);

#endif
