#include "core/recipe_levels.h"

#include <stddef.h>

static const struct dead_key dead_top[] = {
	{ "embed_slerp", "nothing reads it; a filter on embed_tokens sets the "
			 "embeddings' own value" },
	{ "input_model_parameters", "nothing reads it; parameters stand below "
				    "each model" },
	{ "layer_range", "a range of layers stands in `slices`, at each "
			 "source" },
	{ NULL, NULL },
};

#define DEAD_BASE                                                             \
	{                                                                     \
		"base_model",                                                 \
			"all models have the recipe's base_model; a base of " \
			"this model's own stands under its `llmergefs`"       \
	}

static const struct dead_key dead_model[] = {
	DEAD_BASE,
	{ "layer_range", "`models` merges whole models; a range of layers "
			 "needs `slices`" },
	{ NULL, NULL },
};

static const struct dead_key dead_slice[] = {
	{ "residual_weight", "mergekit reads it and never uses it" },
	{ "layer_range", "a range of layers stands at each of the slice's "
			 "sources" },
	{ NULL, NULL },
};

static const struct dead_key dead_source[] = {
	DEAD_BASE,
	{ "residual_weight", "nothing reads it" },
	{ NULL, NULL },
};

const struct level recipe_level_top = {
	.keys = (const char *const[]){ "merge_method", "models", "slices",
				       "modules", "base_model", "dtype",
				       "out_dtype", "parameters",
				       "tokenizer_source", "tokenizer",
				       "chat_template", "llmergefs", NULL },
	.dead = dead_top,
	.has_parameters = true,
};
const struct level recipe_level_model = {
	.keys = (const char *const[]){ "model", "parameters", "llmergefs",
				       NULL },
	.dead = dead_model,
	.has_parameters = true,
};
const struct level recipe_level_slice = {
	.keys = (const char *const[]){ "sources", "base_model", "parameters",
				       NULL },
	.dead = dead_slice,
	.has_parameters = true,
};
const struct level recipe_level_source = {
	.keys = (const char *const[]){ "model", "layer_range", "parameters",
				       "llmergefs", NULL },
	.dead = dead_source,
	.has_parameters = true,
};
const struct level recipe_level_tokenizer = {
	.keys = (const char *const[]){ "source", "tokens", "pad_to_multiple_of",
				       NULL },
};
const struct level recipe_level_ref = {
	.keys = (const char *const[]){ "model", "lora", "override_architecture",
				       NULL },
};
const struct level recipe_level_path = {
	.keys = (const char *const[]){ "path", "revision", NULL },
};
const struct level recipe_level_condition = {
	.keys = (const char *const[]){ "filter", "value", NULL },
};
const struct level recipe_level_ours = {
	.keys = (const char *const[]){ "seed", "rng", "semantics", "arithmetic",
				       "shard_size", "sweep", NULL },
	.ours = true,
};
const struct level recipe_level_own = {
	.keys = (const char *const[]){ "base_model", NULL },
	.ours = true,
};
