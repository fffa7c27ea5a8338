#include "core/tokenizer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "core/base/file.h"

#define CONFIG_NAME "tokenizer_config.json"

/* A file of a model, and that it has none: text NULL. The caller frees. */
struct content {
	char *text;
	size_t len;
};

static void content_done(struct content *content)
{
	free(content->text);
}

#define AUTO_CONTENT AUTO(content_done)

static int content_read(const struct model *model, const char *name,
			struct content *content, struct error *err)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", model->dir, name);
	rc = file_slurp(path, TOKENIZER_TEXT_MAX, &content->text, &content->len,
			err);
	return rc == -ENOENT ? 0 : rc;
}

static int differ(const struct model *a, const struct model *b,
		  const char *name, struct error *err)
{
	return fail(err, ENOTSUP,
		    "%s/%s and %s/%s are not the same; merging models with "
		    "different ones is not supported yet",
		    a->dir, name, b->dir, name);
}

static int file_same(const struct model *a, const struct model *b,
		     const char *name, struct error *err)
{
	AUTO_CONTENT struct content one = { 0 };
	AUTO_CONTENT struct content two = { 0 };
	int rc = content_read(a, name, &one, err);

	if (rc == 0)
		rc = content_read(b, name, &two, err);
	if (rc < 0)
		return rc;
	if (!one.text && !two.text)
		return 0;
	if (one.text && two.text && one.len == two.len &&
	    memcmp(one.text, two.text, one.len) == 0)
		return 0;
	return differ(a, b, name, err);
}

static int files_same(const struct model *a, const struct model *b,
		      const char *const *names, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int rc = file_same(a, b, names[i], err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Parse a JSON file of a model; *tree is NULL where there is none. */
static int tree_read(const struct model *model, const char *name,
		     struct arena *arena, struct json **tree, struct error *err)
{
	AUTO_CONTENT struct content content = { 0 };
	int rc = content_read(model, name, &content, err);

	*tree = NULL;
	if (rc < 0 || !content.text)
		return rc;
	rc = json_parse(content.text, content.len, arena, tree, err);
	return rc < 0 ? fail_in(err, rc, "%s/%s", model->dir, name) : 0;
}

/* The canonical text of a member of tokenizer_config.json, "" for none. */
static int member_read(const struct model *model, const char *member,
		       char **text, struct error *err)
{
	AUTO_ARENA struct arena *arena = arena_open();
	const struct json *value;
	struct json *tree;
	int rc;

	if (!arena)
		return fail(err, ENOMEM, "no memory");
	rc = tree_read(model, CONFIG_NAME, arena, &tree, err);
	if (rc < 0)
		return rc;
	value = json_member(tree, member);
	*text = value ? json_canonical(value) : strdup("");
	return *text ? 0 : fail(err, ENOMEM, "no memory");
}

static int member_same(const struct model *a, const struct model *b,
		       const char *member, struct error *err)
{
	AUTO_FREE char *one = NULL;
	AUTO_FREE char *two = NULL;
	int rc = member_read(a, member, &one, err);

	if (rc == 0)
		rc = member_read(b, member, &two, err);
	if (rc < 0)
		return rc;
	if (strcmp(one, two) == 0)
		return 0;
	rc = differ(a, b, CONFIG_NAME, err);
	return fail_in(err, rc, "%s", member);
}

int tokenizer_same(const struct model *a, const struct model *b,
		   struct error *err)
{
	static const char *const names[] = {
		"tokenizer.json",    "tokenizer.model",
		"vocab.json",	     "merges.txt",
		"added_tokens.json", "special_tokens_map.json",
	};
	int rc = files_same(a, b, names, ARRAY_LEN(names), err);

	return rc < 0 ? rc : member_same(a, b, "added_tokens_decoder", err);
}

int chat_template_same(const struct model *a, const struct model *b,
		       struct error *err)
{
	static const char *const names[] = { "chat_template.jinja",
					     "chat_template.json" };
	int rc = files_same(a, b, names, ARRAY_LEN(names), err);

	return rc < 0 ? rc : member_same(a, b, "chat_template", err);
}

struct token {
	const char *text;
	uint64_t id;
};

struct vocabulary {
	struct token *tokens;
	size_t count;
};

static int by_text_and_id(const void *a, const void *b)
{
	const struct token *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

static bool token_add(struct vocabulary *vocabulary, const char *text,
		      uint64_t id)
{
	if (!text)
		return false;
	vocabulary->tokens[vocabulary->count++] = (struct token){ text, id };
	return true;
}

/* {token: id}, or a list of [token, score] in order of ids. */
static bool tokens_of_model(const struct json *vocab,
			    struct vocabulary *vocabulary)
{
	for (size_t i = 0; i < vocab->count; i++) {
		const struct json *item = vocab->items[i];
		uint64_t id = i;
		bool ok;

		if (vocab->type == JSON_OBJECT)
			ok = json_u64(item, &id) &&
			     token_add(vocabulary, vocab->names[i], id);
		else
			ok = item->type == JSON_ARRAY && item->count > 0 &&
			     token_add(vocabulary, item->items[0]->string, id);
		if (!ok)
			return false;
	}
	return true;
}

static bool tokens_added(const struct json *added,
			 struct vocabulary *vocabulary)
{
	for (size_t i = 0; added && i < added->count; i++) {
		const struct json *item = added->items[i];
		const struct json *id_value = json_member(item, "id");
		uint64_t id;

		if (!id_value || !json_u64(id_value, &id) ||
		    !token_add(vocabulary, json_member_string(item, "content"),
			       id))
			return false;
	}
	return true;
}

/* Drop repetitions; false: a token has two ids. */
static bool tokens_fold(struct vocabulary *vocabulary)
{
	size_t kept = 0;

	qsort(vocabulary->tokens, vocabulary->count, sizeof(struct token),
	      by_text_and_id);
	for (size_t i = 0; i < vocabulary->count; i++) {
		const struct token *token = &vocabulary->tokens[i];
		const struct token *last =
			kept > 0 ? &vocabulary->tokens[kept - 1] : NULL;

		if (!last || strcmp(last->text, token->text) != 0)
			vocabulary->tokens[kept++] = *token;
		else if (last->id != token->id)
			return false;
	}
	vocabulary->count = kept;
	return true;
}

/* The ids are 0 .. count - 1: all below count, and none twice. */
static bool ids_dense(const struct vocabulary *vocabulary)
{
	AUTO_FREE bool *seen = calloc(vocabulary->count + 1, sizeof(*seen));

	for (size_t i = 0; seen && i < vocabulary->count; i++) {
		uint64_t id = vocabulary->tokens[i].id;

		if (id >= vocabulary->count || seen[id])
			return false;
		seen[id] = true;
	}
	return seen != NULL;
}

static int vocabulary_count(const struct json *tree, uint64_t *count,
			    struct error *err)
{
	const struct json *vocab =
		json_member(json_member(tree, "model"), "vocab");
	const struct json *added = json_member(tree, "added_tokens");
	AUTO_FREE struct token *tokens = NULL;
	struct vocabulary vocabulary = { 0 };

	if (!vocab || (vocab->type != JSON_OBJECT && vocab->type != JSON_ARRAY))
		return fail(err, ENOTSUP, "it has no model.vocab");
	if (added && added->type != JSON_ARRAY)
		return fail(err, ENOTSUP, "added_tokens is no list");
	tokens = calloc(vocab->count + (added ? added->count : 0) + 1,
			sizeof(*tokens));
	if (!tokens)
		return fail(err, ENOMEM, "no memory");
	vocabulary.tokens = tokens;
	if (!tokens_of_model(vocab, &vocabulary) ||
	    !tokens_added(added, &vocabulary))
		return fail(err, ENOTSUP,
			    "a token is not as in other tokenizer files");
	if (!tokens_fold(&vocabulary))
		return fail(err, ENOTSUP, "a token has two ids");
	if (!ids_dense(&vocabulary))
		return fail(err, ENOTSUP,
			    "the ids of its %zu tokens are not 0 to %zu, each "
			    "once",
			    vocabulary.count, vocabulary.count - 1);
	*count = vocabulary.count;
	return 0;
}

int tokenizer_count(const struct model *model, uint64_t *count,
		    struct error *err)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct json *tree;
	int rc;

	if (!arena)
		return fail(err, ENOMEM, "no memory");
	rc = tree_read(model, "tokenizer.json", arena, &tree, err);
	if (rc < 0)
		return rc;
	if (!tree)
		return fail(err, ENOTSUP,
			    "%s/tokenizer.json is missing, and the number of "
			    "tokens cannot be seen elsewhere yet",
			    model->dir);
	rc = vocabulary_count(tree, count, err);
	return rc < 0 ? fail_in(err, rc, "%s/tokenizer.json", model->dir) : 0;
}
