#include "core/recipe_keys.h"

#include <errno.h>

#include "core/near.h"
#include "core/recipe_levels.h"
#include "core/where.h"

struct walk {
	const struct recipe *recipe;
	struct report *report;
};

static bool key_listed(const char *const *keys, const char *key)
{
	for (; *keys; keys++)
		if (strcmp(*keys, key) == 0)
			return true;
	return false;
}

static const char *dead_reason(const struct dead_key *dead, const char *key)
{
	for (; dead && dead->name; dead++)
		if (strcmp(dead->name, key) == 0)
			return dead->why;
	return NULL;
}

static const struct method_option *
option_near(const struct merge_method *method, const char *key,
	    size_t *distance)
{
	const struct method_option *best = NULL;

	for (size_t i = 0; method && i < method->options_count; i++) {
		size_t d = near_distance(key, method->options[i].name);

		if (d >= *distance)
			continue;
		best = &method->options[i];
		*distance = d;
	}
	return best;
}

/* What was probably meant by an unknown key, as the end of a sentence. */
static struct where hint(const struct walk *walk, const struct level *level,
			 const char *key)
{
	const struct method_option *option = NULL;
	const char *best = NULL;
	size_t distance = NEAR_NOT;

	for (const char *const *name = level->keys; *name; name++) {
		size_t d = near_distance(key, *name);

		if (d >= distance)
			continue;
		best = *name;
		distance = d;
	}
	if (level->has_parameters)
		option = option_near(walk->recipe->method, key, &distance);
	if (option)
		return where_at("; did you mean \"parameters: {%s: ...}\"?",
				option->name);
	if (best)
		return where_at("; did you mean \"%s\"?", best);
	if (level != &recipe_level_top &&
	    key_listed(recipe_level_top.keys, key))
		return where_at("; it belongs at the top of the recipe");
	return where_at("%s", "");
}

static void note_unknown(const struct walk *walk, const struct level *level,
			 const char *where, const char *key)
{
	const char *path = walk->recipe->path;
	const char *why = dead_reason(level->dead, key);
	struct where meant;

	if (why) {
		report_warning(walk->report, "%s: %s%s: ignored; %s", path,
			       where, key, why);
		return;
	}
	meant = hint(walk, level, key);
	if (level->ours)
		report_error(walk->report, EINVAL, "%s: %s%s: unknown key%s",
			     path, where, key, meant.text);
	else
		report_warning(walk->report, "%s: %s%s: unknown key, ignored%s",
			       path, where, key, meant.text);
}

/* `where` ends with a dot, or is empty. */
static void check_keys(const struct walk *walk, const struct level *level,
		       const struct json *object, const char *where)
{
	if (!object || object->type != JSON_OBJECT)
		return;
	for (size_t i = 0; i < object->count; i++)
		if (!key_listed(level->keys, object->names[i]))
			note_unknown(walk, level, where, object->names[i]);
}

static void check_conditions(const struct walk *walk,
			     const struct json *setting, const char *where)
{
	struct where inner = where_at("%s.", where);

	check_keys(walk, &recipe_level_condition, setting, inner.text);
	if (setting->type != JSON_ARRAY)
		return;
	for (size_t i = 0; i < setting->count; i++) {
		inner = where_at("%s[%zu].", where, i);
		check_keys(walk, &recipe_level_condition, setting->items[i],
			   inner.text);
	}
}

static const struct method_option *
option_named(const struct merge_method *method, const char *key)
{
	for (size_t i = 0; i < method->options_count; i++)
		if (strcmp(method->options[i].name, key) == 0)
			return &method->options[i];
	return NULL;
}

static struct where parameter_hint(const struct merge_method *method,
				   const char *key)
{
	size_t distance = NEAR_NOT;
	const struct method_option *option =
		option_near(method, key, &distance);

	if (option)
		return where_at("; did you mean \"%s\"?", option->name);
	if (key_listed(recipe_level_top.keys, key))
		return where_at("; it belongs at the top of the recipe");
	return where_at("%s", "");
}

/* One parameter; `shared`: of a slice or the recipe, not of one model. */
static void check_parameter(const struct walk *walk, const char *key,
			    const char *where, bool shared)
{
	const struct merge_method *method = walk->recipe->method;
	const struct method_option *option = option_named(method, key);

	if (option) {
		if (option->scope == OPTION_GLOBAL && !shared)
			report_warning(walk->report,
				       "%s: %s: ignored; %s has one value for "
				       "all models: give it under the recipe's "
				       "`parameters`",
				       walk->recipe->path, where, key);
		return;
	}
	report_warning(walk->report,
		       "%s: %s: %s has no such parameter, "
		       "ignored%s",
		       walk->recipe->path, where, method->name,
		       parameter_hint(method, key).text);
}

/* `where` ends with a dot, or is empty. */
static void check_parameters(const struct walk *walk, const struct json *parent,
			     const char *where, bool shared)
{
	const struct json *parameters = json_member(parent, "parameters");

	if (!parameters || parameters->type != JSON_OBJECT)
		return;
	for (size_t i = 0; i < parameters->count; i++) {
		const char *key = parameters->names[i];
		struct where inner = where_at("%sparameters.%s", where, key);

		if (walk->recipe->method)
			check_parameter(walk, key, inner.text, shared);
		check_conditions(walk, parameters->items[i], inner.text);
	}
}

/* `where` ends with a dot, or is empty. */
static void check_ref(const struct walk *walk, const struct json *parent,
		      const char *where, const char *key)
{
	const struct json *ref = json_member(parent, key);
	struct where inner = where_at("%s%s.", where, key);

	check_keys(walk, &recipe_level_ref, ref, inner.text);
	inner = where_at("%s%s.model.", where, key);
	check_keys(walk, &recipe_level_path, json_member(ref, "model"),
		   inner.text);
	inner = where_at("%s%s.lora.", where, key);
	check_keys(walk, &recipe_level_path, json_member(ref, "lora"),
		   inner.text);
}

/* A list of inputs: `models`, or the `sources` of a slice. */
static void check_inputs(const struct walk *walk, const struct level *level,
			 const struct json *list, const char *where)
{
	if (!list || list->type != JSON_ARRAY)
		return;
	for (size_t i = 0; i < list->count; i++) {
		const struct json *ours =
			json_member(list->items[i], "llmergefs");
		struct where inner = where_at("%s[%zu].", where, i);

		check_keys(walk, level, list->items[i], inner.text);
		check_ref(walk, list->items[i], inner.text, "model");
		check_parameters(walk, list->items[i], inner.text, false);
		inner = where_at("%s[%zu].llmergefs.", where, i);
		check_keys(walk, &recipe_level_own, ours, inner.text);
		check_ref(walk, ours, inner.text, "base_model");
	}
}

static void check_slices(const struct walk *walk, const struct json *slices)
{
	if (!slices || slices->type != JSON_ARRAY)
		return;
	for (size_t i = 0; i < slices->count; i++) {
		const struct json *slice = slices->items[i];
		struct where where = where_at("slices[%zu].", i);
		struct where sources = where_at("slices[%zu].sources", i);

		check_keys(walk, &recipe_level_slice, slice, where.text);
		check_ref(walk, slice, where.text, "base_model");
		check_parameters(walk, slice, where.text, true);
		check_inputs(walk, &recipe_level_source,
			     json_member(slice, "sources"), sources.text);
	}
}

void recipe_keys_check(const struct recipe *recipe, struct report *report)
{
	const struct walk walk = { .recipe = recipe, .report = report };
	const struct json *tree = recipe->tree;
	const struct json *tokenizer = json_member(tree, "tokenizer");

	check_keys(&walk, &recipe_level_top, tree, "");
	check_parameters(&walk, tree, "", true);
	check_ref(&walk, tree, "", "base_model");
	check_inputs(&walk, &recipe_level_model, json_member(tree, "models"),
		     "models");
	check_slices(&walk, json_member(tree, "slices"));
	check_ref(&walk, tree, "", "tokenizer_source");
	check_keys(&walk, &recipe_level_tokenizer, tokenizer, "tokenizer.");
	check_ref(&walk, tokenizer, "tokenizer.", "source");
	check_keys(&walk, &recipe_level_ours, json_member(tree, "llmergefs"),
		   "llmergefs.");
}
