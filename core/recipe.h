/*
 * A recipe: a mergekit config, JSON or YAML, unchanged, plus our own settings
 * under one key, `llmergefs:`. It is parsed into this structure and checked as
 * far as it can be without opening a model; plan.h does the rest.
 *
 * `models:` is kept as one slice whose sources have no layer range (mergekit
 * expands it the same way); base_model is appended last to it where it is set
 * and not listed.
 *
 * A source may name a base of its own, for its task vector alone; its layers
 * have the source's range.
 *
 * Unknown keys are warnings with file and path (mergekit ignores them), with a
 * "did you mean" where one is near, or where the key stands one level off.
 */
#ifndef LMFS_RECIPE_H
#define LMFS_RECIPE_H

#include "core/dtype.h"
#include "core/base/hash.h"
#include "core/json.h"
#include "core/method.h"
#include "core/model.h"
#include "core/where.h"

#define RECIPE_TEXT_MAX (16u << 20)
#define RECIPE_SHARD_SIZE 5000000000u

struct slice_source {
	struct model_ref model;
	const struct json *parameters; /* NULL: none */
	bool has_range;		       /* a `slices:` recipe */
	uint64_t begin, end;	       /* layer_range: [begin, end) */
	bool has_own_base;	       /* llmergefs.base_model of the source: */
	struct model_ref own_base;     /* its task vector starts there */
	char *path; /* "models[1]", "slices[0].sources[1]", for sentences */
};

struct slice {
	struct slice_source *sources; /* config order; the appended base last */
	size_t count;
	bool has_base;
	struct model_ref base;	       /* of the slice, else of the recipe */
	const struct json *parameters; /* NULL: none */
};

struct recipe {
	const char *path; /* as given */
	const char *dir;  /* its folder, absolute */
	const char *text; /* verbatim, or JSON (recipe_file.h) */
	size_t text_len;
	const struct json *tree;
	const struct merge_method *method;
	struct slice *slices;
	size_t slices_count;
	bool whole_models; /* written with `models:` */
	bool has_base;
	struct model_ref base;
	enum dtype dtype, out_dtype;   /* DTYPE_NONE: not given */
	const struct json *parameters; /* NULL: none */
	const char
		*tokenizer_source; /* NULL: none; "union", "base", or a ref */
	struct model_ref tokenizer_model; /* where it is a ref */
	uint64_t pad_to_multiple_of;	  /* 0: not given */
	const char *chat_template;	  /* "auto"; NULL: none */
	uint64_t seed;			  /* llmergefs.seed, default 0 */
	enum rng_kind rng;		  /* llmergefs.rng */
	enum semantics semantics;	  /* llmergefs.semantics */
	enum arithmetic arithmetic;	  /* llmergefs.arithmetic */
	uint64_t shard_size; /* llmergefs.shard_size in bytes; 0: never split */
	struct hash128 hash; /* of the canonical text: same in JSON and YAML */
	struct arena *arena; /* owns all of it */
};

/*
 * Read and parse a file without a sweep (recipe_file.h has those with one). All
 * that is wrong goes to the report; NULL if anything is. YAML unless the name
 * ends in .json (a JSON text is YAML, too, but for the messages).
 */
struct recipe *recipe_open(const char *path, struct report *report);

/* The same from memory; `path` names it in sentences and gives its folder. */
struct recipe *recipe_parse(const char *path, const char *text, size_t len,
			    bool yaml, struct report *report);
void recipe_close(struct recipe *recipe); /* NULL is fine */
static inline void recipe_auto_close(struct recipe *const *recipe)
{
	recipe_close(*recipe);
}
#define AUTO_RECIPE AUTO(recipe_auto_close)

/* What llmergefs.rng, .semantics and .arithmetic are, as recipes spell it. */
struct recipe_manner {
	const char *rng, *semantics, *arithmetic;
};
struct recipe_manner recipe_manner(const struct recipe *recipe);

/* ", the base of ./a and 2 more", where models have this one for a base of
 * their own; else "". */
struct where recipe_own_base_text(const struct recipe *recipe,
				  const struct model_ref *model);

/* 5000000000, "5GB", "500MB", "1.5B" (K, M, B, G as mergekit: powers of 1000),
 * for llmergefs.shard_size and the command line. False: not a size. */
bool recipe_size(const char *text, uint64_t *bytes);

#endif
