/*
 * What the last component of a tensor's name says: whether it is a buffer; and
 * for tensors outside the layers whether it comes after them, whether its rows
 * are the vocabulary, and which embedding stands in for an output matrix that a
 * model ties to it. These few tables are all that is known about architectures.
 */
#ifndef LMFS_NAMES_H
#define LMFS_NAMES_H

#include "core/model.h"

/* Final norms, output matrices, heads: used after the layers. The rest (the
 * embeddings) is used before them. */
bool name_after_layers(const char *name);

/* A buffer that old checkpoints hold and loaders make anew: a Llama's rotary
 * frequencies, for one. mergekit's definitions list no such tensor. */
bool name_is_buffer(const char *name);

/* The first dimension counts the tokens of the vocabulary. */
bool name_is_vocabulary(const char *name);

/*
 * The tensor of this model that an output matrix of this name is tied to: its
 * input embedding. NULL: `name` is no output matrix, or there is no embedding.
 */
const struct tensor *tied_embedding(const struct model *model,
				    const char *name);

#endif
