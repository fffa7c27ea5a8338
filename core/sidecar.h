/*
 * The files beside the weights, as the merged model's folder shows them:
 * config.json (changed where the recipe changes it), the recipe as
 * mergekit_config.yml, a model card README.md, and every other small file of
 * the donor with its subfolders: tokenizer, chat template, generation config,
 * remote code. Left out are other weights (*.safetensors *.bin *.gguf *.pt
 * *.pth
 * *.ckpt *.h5 *.msgpack *.onnx *.npz, consolidated*, adapter_*, optimizer*,
 * training state), index files of weights, .git and other dot entries, and
 * files larger than SIDECAR_SIZE_MAX.
 */
#ifndef LMFS_SIDECAR_H
#define LMFS_SIDECAR_H

#include "core/layout.h"

#define SIDECAR_SIZE_MAX (256u << 20)
#define SIDECAR_FILES_MAX 10000
#define SIDECAR_DEPTH_MAX 16

struct sidecar {
	const char *path; /* relative, '/' between folders: "config.json" */
	const char *text; /* made by us; NULL: the donor's own file */
	uint64_t size;
	const struct source *source; /* the donor's own file; NULL: text */
	const char *origin; /* "made", or the donor's folder: for `check` */
};

struct sidecars {
	struct sidecar *files; /* in order of strcmp of paths */
	size_t count;
	struct arena *arena;
};

/*
 * Borrows plan and layout; sources of donor files join the models' source set.
 * Where the donor has no config.json that is a warning, not an error.
 */
struct sidecars *sidecars_open(const struct plan *plan,
			       const struct layout *layout,
			       struct model_set *models, struct report *report);
void sidecars_close(struct sidecars *sidecars); /* NULL is fine */

#endif
