/*
 * A model: a Hugging Face folder, reduced to its tensors and its config. It is
 * found by the reference that a recipe gives, opened once however often it is
 * named, and never changes afterwards.
 *
 * A reference is mergekit's: PATH[@REV][+LORA[@REV]], or an object {model:
 * path or {path, revision}, lora, override_architecture}. PATH is looked for
 * as a folder relative to the recipe's folder, then to the working directory;
 * then org/name[@rev] in the Hugging Face cache (HF_HUB_CACHE, else
 * HUGGINGFACE_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub,
 * else ~/.cache/huggingface/hub), offline: refs/<rev> or a commit, snapshots/.
 * What is missing is ENOENT with the `hf download` line to type.
 *
 * Weights are model.safetensors.index.json with the shards that its weight_map
 * names (an index wins over a single file, as in mergekit), or
 * model.safetensors, or, with neither, the only *.safetensors.index.json or the
 * only *.safetensors of the folder. An index and its shards must agree, both
 * ways.
 */
#ifndef LMFS_MODEL_H
#define LMFS_MODEL_H

#include "core/json.h"
#include "core/layers.h"
#include "core/safetensors.h"

struct model_ref {
	const char *path;		   /* "./a", "org/name" */
	const char *revision;		   /* NULL: none given */
	const char *lora;		   /* NULL: none given */
	const char *override_architecture; /* NULL: none given */
	const char *text; /* as the recipe spells it, for sentences */
};

/* References are equal by value, as written: ./a is not a. */
bool model_ref_equal(const struct model_ref *a, const struct model_ref *b);

/*
 * Parse a string or an object. EINVAL with mergekit's reasons (more than one
 * '+', more than one '@' in a part).
 */
int model_ref_parse(const struct json *value, struct arena *arena,
		    struct model_ref *ref, struct error *err);

struct model {
	struct model_ref ref;
	const char *dir;	 /* absolute */
	const char *config_text; /* config.json, NUL-terminated; NULL: none */
	size_t config_len;
	const struct json *config;	     /* NULL: none */
	const struct tensor *const *tensors; /* in order of strcmp of names */
	size_t count;
	const struct layer_span *spans; /* in order of strcmp of prefixes */
	size_t spans_count;
};

struct model_set; /* owns models and, through its source_set, their files */

/*
 * recipe_dir: where relative paths are looked for first (copied). The files of
 * its models are among `sources`, which is borrowed, for as long as they are
 * needed by any; NULL: they are its own alone. The set is counted:
 * model_set_hold() is one reference more, model_set_close() one less, and the
 * last one frees it (any thread).
 */
struct model_set *model_set_open(const char *recipe_dir,
				 struct source_set *sources);
struct model_set *model_set_hold(struct model_set *set);
void model_set_close(struct model_set *set); /* NULL is fine */

/* Where relative paths are looked for next, instead of the process's working
 * directory, which a daemon leaves. Before the first model. 0 or -ENOMEM. */
int model_set_working_dir(struct model_set *set, const char *dir);

struct source_set *model_set_sources(struct model_set *set);
size_t model_set_count(const struct model_set *set);
const struct model *model_set_at(const struct model_set *set, size_t i);

/*
 * The model of a reference, opened if it was not. Every problem found in its
 * files goes to the report, not the first only; NULL is returned if there was
 * any. A model that failed once is not reported twice.
 */
const struct model *model_get(struct model_set *set,
			      const struct model_ref *ref,
			      struct report *report);

/* By exact name; NULL: the model has none. */
const struct tensor *model_tensor(const struct model *model, const char *name);

/* Layers of the span with this prefix (the len first bytes), 0: none. */
size_t model_layers(const struct model *model, const char *prefix, size_t len);

#endif
