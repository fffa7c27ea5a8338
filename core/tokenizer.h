/*
 * Tokenizers, as far as a merge needs them: whether two models have the same,
 * and how many tokens there are. Two are the same where their files are, byte
 * for byte; of tokenizer_config.json only the added tokens count, for the rest
 * of it (templates, class names, lengths) does not change what an id means.
 */
#ifndef LMFS_TOKENIZER_H
#define LMFS_TOKENIZER_H

#include "core/model.h"

#define TOKENIZER_TEXT_MAX JSON_TEXT_MAX

/* 0 where they are the same; ENOTSUP: the sentence names the files. */
int tokenizer_same(const struct model *a, const struct model *b,
		   struct error *err);

/*
 * The number of distinct tokens of tokenizer.json, the vocabulary and the added
 * tokens together. ENOTSUP where there is no such file, where the ids are not
 * 0 .. count - 1, or where a token has two ids.
 */
int tokenizer_count(const struct model *model, uint64_t *count,
		    struct error *err);

/* The same for chat templates: chat_template.jinja, chat_template.json and the
 * chat_template of tokenizer_config.json. */
int chat_template_same(const struct model *a, const struct model *b,
		       struct error *err);

#endif
