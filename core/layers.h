/*
 * Layers, read off tensor names: in "model.layers.7.mlp.up_proj.weight" the
 * first number between two dots is the layer, and all before it the prefix. No
 * table of architectures is needed.
 */
#ifndef LMFS_LAYERS_H
#define LMFS_LAYERS_H

#include "core/base/arena.h"
#include "core/base/base.h"
#include "core/safetensors.h"

#define LAYERS_MAX 1000000

/* How many layers the names that begin with `prefix` have. */
struct layer_span {
	const char *prefix; /* "model.layers." : all before the first number */
	size_t layers;	    /* greatest index + 1 */
};

/*
 * The layer index of a tensor's name: the first component that is all digits
 * and stands between two dots. True, and where the digits are; false: none, or
 * one of LAYERS_MAX and above, which is no layer.
 */
struct layer_place {
	size_t begin, end; /* of the digits in the name */
	uint64_t layer;
};
bool layer_of_name(const char *name, struct layer_place *place);

/*
 * The spans of all these names, in order of strcmp of prefixes, made in the
 * arena. 0 or -ENOMEM.
 */
int layer_spans(const struct tensor *const *tensors, size_t count,
		struct arena *arena, const struct layer_span **spans,
		size_t *spans_count);

#endif
