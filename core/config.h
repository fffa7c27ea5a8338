/*
 * config.json of the merged model: the donor's own text, byte for byte, but for
 * the members that the recipe changes:
 *
 *	architectures	the donor's override_architecture
 *	dtype, torch_dtype	out_dtype, else dtype, under the keys of the
 *				donor (without any: torch_dtype, which every
 *				loader reads)
 *	num_hidden_layers and its kin, layer_types	with `slices:`
 *	vocab_size	where a tokenizer setting cuts the vocabulary
 *
 * The last two may stand in the part of a multimodal config that describes the
 * language model (text_config). mergekit leaves layer_types as it was, which
 * transformers 5 refuses to load; here it is put together as the layers are.
 */
#ifndef LMFS_CONFIG_H
#define LMFS_CONFIG_H

#include "core/plan.h"

/*
 * The text, in the arena, of *len bytes; the donor must have a config.
 * Warnings, where there is no member to change, go to the report. NULL: the
 * error.
 */
const char *config_make(const struct plan *plan, struct model_set *models,
			struct arena *arena, size_t *len, struct report *report,
			struct error *err);

#endif
