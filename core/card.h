/*
 * README.md of the merged model: a model card as the Hugging Face hub reads it.
 * YAML in front (base_model: the hub names among the models; library_name;
 * tags), then what was merged, by which method, and the recipe itself. It names
 * models as the recipe does, never by the folders that they were found in, so
 * that the card is the same wherever they lie.
 */
#ifndef LMFS_CARD_H
#define LMFS_CARD_H

#include "core/plan.h"

/* The text, which the caller frees, of *len bytes; NULL: no memory. */
char *card_make(const struct plan *plan, const struct model_set *models,
		size_t *len);

#endif
