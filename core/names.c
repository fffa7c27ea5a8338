#include "core/names.h"

#include <stdio.h>

#define NAME_MAX_TIED 256

struct part {
	const char *text;
	size_t len;
};

/* "norm" of "model.norm.weight": the module that the parameter belongs to. */
static struct part module_of(const char *name)
{
	static const char *const kinds[] = { ".weight", ".bias" };
	size_t len = strlen(name);
	const char *start;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t tail = strlen(kinds[i]);

		if (len > tail && strcmp(name + len - tail, kinds[i]) == 0) {
			len -= tail;
			break;
		}
	}
	start = memrchr(name, '.', len);
	start = start ? start + 1 : name;
	return (struct part){ start, (size_t)(name + len - start) };
}

static bool module_listed(const char *name, const char *const *modules,
			  size_t count)
{
	struct part part = module_of(name);

	for (size_t i = 0; i < count; i++)
		if (strlen(modules[i]) == part.len &&
		    memcmp(modules[i], part.text, part.len) == 0)
			return true;
	return false;
}

bool name_after_layers(const char *name)
{
	static const char *const modules[] = {
		"norm",		"norm_f",	   "ln_f",
		"final_norm",	"final_layernorm", "final_layer_norm",
		"lm_head",	"embed_out",	   "output",
		"output_layer", "score",	   "classifier",
		"qa_outputs",
	};

	return module_listed(name, modules, ARRAY_LEN(modules));
}

bool name_is_buffer(const char *name)
{
	static const char end[] = ".rotary_emb.inv_freq";
	size_t len = strlen(name);

	return len >= sizeof(end) - 1 &&
	       strcmp(name + len - (sizeof(end) - 1), end) == 0;
}

bool name_is_vocabulary(const char *name)
{
	static const char *const modules[] = {
		"embed_tokens", "tok_embeddings", "word_embeddings",
		"wte",		"embed_in",	  "embeddings",
		"lm_head",	"embed_out",	  "output",
		"output_layer",
	};

	return module_listed(name, modules, ARRAY_LEN(modules));
}

static const struct {
	const char *head;
	const char *embedding;
} ties[] = {
	{ "lm_head.weight", "model.embed_tokens.weight" },
	{ "lm_head.weight", "model.language_model.embed_tokens.weight" },
	{ "lm_head.weight", "transformer.wte.weight" },
	{ "lm_head.weight", "backbone.embeddings.weight" },
	{ "output.weight", "model.tok_embeddings.weight" },
};

const struct tensor *tied_embedding(const struct model *model, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(ties); i++) {
		size_t tail = strlen(ties[i].head);
		size_t prefix = len - tail;
		char other[NAME_MAX_TIED];
		const struct tensor *tensor;

		if (len < tail || prefix > NAME_MAX_TIED / 2 ||
		    strcmp(name + prefix, ties[i].head) != 0 ||
		    (prefix > 0 && name[prefix - 1] != '.'))
			continue;
		snprintf(other, sizeof(other), "%.*s%s", (int)prefix, name,
			 ties[i].embedding);
		tensor = model_tensor(model, other);
		if (tensor)
			return tensor;
	}
	return NULL;
}
