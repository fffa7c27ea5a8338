#include "core/card.h"

#include <stdio.h>

#include "core/base/text.h"

#define FENCE_MIN 3

/*
 * Whether a model was found in the Hugging Face cache under the name that the
 * recipe gives: .../models--org--name/snapshots/<commit>.
 */
static bool is_of_hub(const struct model *model)
{
	static const char before[] = "/models--", after[] = "/snapshots/";
	const char *at = strstr(model->dir, before);
	const char *name = model->ref.path;

	if (!at)
		return false;
	for (at += strlen(before); *name; name++) {
		size_t len = *name == '/' ? 2 : 1;

		if (strncmp(at, *name == '/' ? "--" : name, len) != 0)
			return false;
		at += len;
	}
	return strncmp(at, after, strlen(after)) == 0;
}

/* Whether a model before the i-th has the same path (another revision). */
static bool is_named_before(const struct model_set *models, size_t i)
{
	const char *path = model_set_at(models, i)->ref.path;

	for (size_t j = 0; j < i; j++)
		if (strcmp(model_set_at(models, j)->ref.path, path) == 0)
			return true;
	return false;
}

static void write_front(FILE *out, const struct model_set *models)
{
	bool any = false;

	fputs("---\n", out);
	for (size_t i = 0; i < model_set_count(models); i++) {
		const struct model *model = model_set_at(models, i);

		if (!is_of_hub(model) || is_named_before(models, i))
			continue;
		fputs(any ? "- " : "base_model:\n- ", out);
		json_write_string(out, model->ref.path);
		fputc('\n', out);
		any = true;
	}
	fputs("library_name: transformers\n"
	      "tags:\n- merge\n- mergekit\n- llmergefs\n---\n",
	      out);
}

/* A name as code: what would end it, or the line, is replaced. */
static void write_code(FILE *out, const char *name)
{
	fputc('`', out);
	for (; *name; name++)
		fputc(*name == '`' || (unsigned char)*name < ' ' ? '?' : *name,
		      out);
	fputc('`', out);
}

static void write_models(FILE *out, const struct plan *plan,
			 const struct model_set *models)
{
	const struct recipe *recipe = plan->recipe;

	for (size_t i = 0; i < model_set_count(models); i++) {
		const struct model *model = model_set_at(models, i);

		fputs("* ", out);
		write_code(out, model->ref.text);
		if (recipe->has_base &&
		    model_ref_equal(&recipe->base, &model->ref))
			fputs(" (base)", out);
		if (recipe_own_base_text(recipe, &model->ref).text[0])
			fputs(" (base of a model's own)", out);
		fputc('\n', out);
	}
}

/* Backticks around a text: more than any run of them inside it. */
static size_t fence_length(const char *text)
{
	size_t longest = FENCE_MIN - 1, run = 0;

	for (; *text; text++) {
		run = *text == '`' ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	return longest + 1;
}

static void write_fence(FILE *out, size_t length, const char *after)
{
	while (length--)
		fputc('`', out);
	fprintf(out, "%s\n", after);
}

static void write_recipe(FILE *out, const struct recipe *recipe)
{
	size_t fence = fence_length(recipe->text);
	size_t len = recipe->text_len;
	char hash[HASH_HEX_LEN + 1];

	hash_hex(recipe->hash, hash);
	write_fence(out, fence, "yaml");
	fwrite(recipe->text, 1, len, out);
	if (len && recipe->text[len - 1] != '\n')
		fputc('\n', out);
	write_fence(out, fence, "");
	fprintf(out, "\nThe XXH3-128 of the recipe is `%s`.\n", hash);
}

char *card_make(const struct plan *plan, const struct model_set *models,
		size_t *len)
{
	const struct merge_method *method = plan->recipe->method;
	AUTO_TEXT struct text text = TEXT_INIT;
	char *bytes;

	if (text_open(&text) < 0)
		return NULL;
	write_front(text.out, models);
	fprintf(text.out,
		"\n# Merged model\n\n"
		"Merged by llmergefs with the method `%s` (%s) from\n\n",
		method->name, method->summary);
	write_models(text.out, plan, models);
	fputs("\nby this recipe, which is mergekit_config.yml, too:\n\n",
	      text.out);
	write_recipe(text.out, plan->recipe);
	return text_take(&text, &bytes, len) < 0 ? NULL : bytes;
}
