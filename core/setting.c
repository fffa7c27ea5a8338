#include "core/setting.h"

#include <errno.h>

#include "core/base/utf8.h"
#include "core/json_tree.h"
#include "core/setting_path.h"

/* A tree in the making: the nodes of the path are new, all else is shared. */
struct change {
	const struct setting_path *path;
	struct arena *arena;
	struct error *err;
};

/* Nodes are not written once they are made, so the new tree may have old ones
 * in its lists, whose type has no const. */
static struct json *shared(const struct json *node)
{
	return (struct json *)(uintptr_t)node;
}

static int no_memory(const struct change *change)
{
	return fail(change->err, ENOMEM, "no memory");
}

static bool is_absent(const struct json *node)
{
	return !node || node->type == JSON_NULL;
}

/* "models[1]" of the path, its first `count` steps. */
static int shown(const struct change *change, size_t count)
{
	return count ? (int)change->path->steps[count - 1].end : 0;
}

/* The step leads nowhere, because `node` is of another type; NULL: nothing. */
static int wrong_type(const struct change *change, const struct json *node,
		      size_t i)
{
	const char *text = change->path->text, *where = i ? text : "the recipe";
	int end = shown(change, i + 1);
	int here = i ? shown(change, i) : (int)strlen(where);

	if (!node)
		return fail(change->err, EINVAL, "%.*s: there is no %.*s", end,
			    text, here, where);
	if (node->type == JSON_ARRAY)
		return fail(change->err, EINVAL,
			    "%.*s: %.*s is a list; an item of it is named as "
			    "in %.*s[0]",
			    end, text, here, where, here, where);
	return fail(change->err, EINVAL, "%.*s: %.*s is %s, not %s", end, text,
		    here, where, json_type_name(node->type),
		    change->path->steps[i].item ? "a list" : "an object");
}

/*
 * The place of the i-th step in a node (NULL: nothing is there): an index, or
 * its count where a member is not there. Negative: the step leads nowhere, and
 * err says why.
 */
static int find_step(const struct change *change, const struct json *node,
		     size_t i, size_t *at)
{
	const struct setting_step *step = &change->path->steps[i];
	enum json_type due = step->item ? JSON_ARRAY : JSON_OBJECT;

	*at = 0;
	if (!node && !step->item)
		return 0;
	if (!node || node->type != due)
		return wrong_type(change, node, i);
	*at = step->index;
	if (step->item && step->index >= node->count)
		return fail(change->err, EINVAL,
			    "%.*s: there %s %zu, counted from 0",
			    shown(change, i + 1), change->path->text,
			    node->count == 1 ? "is" : "are", node->count);
	while (!step->item && *at < node->count &&
	       (strncmp(node->names[*at], step->name, step->len) != 0 ||
		node->names[*at][step->len] != '\0'))
		++*at;
	return 0;
}

/* Copy the lists of a container, with room for `count` items; names, too, where
 * the count is another. NULL: no memory. */
static struct json **new_lists(const struct change *change,
			       const struct json *from, size_t count,
			       struct json *node, const char ***names)
{
	struct json **items = arena_alloc(change->arena, count, sizeof(*items));

	*names = NULL;
	if (from->type == JSON_OBJECT && count != from->count)
		*names = arena_alloc(change->arena, count, sizeof(**names));
	if (!items ||
	    (!*names && from->type == JSON_OBJECT && count != from->count))
		return NULL;
	*node = *from;
	node->count = count;
	node->items = items;
	if (*names)
		node->names = *names;
	return items;
}

/*
 * A copy of `from` in which the child of the i-th step can be set through the
 * result, an object's added where it is not there. NULL: no memory.
 */
static struct json **copy_with(const struct change *change,
			       const struct json *from, size_t i, size_t at,
			       struct json *node)
{
	const struct setting_step *step = &change->path->steps[i];
	size_t count = at < from->count ? from->count : from->count + 1;
	const char **names;
	struct json **items = new_lists(change, from, count, node, &names);
	size_t doubled;

	if (!items)
		return NULL;
	for (size_t j = 0; j < from->count; j++)
		items[j] = from->items[j];
	if (count == from->count)
		return &items[at];
	for (size_t j = 0; j < from->count; j++)
		names[j] = from->names[j];
	names[at] = arena_strndup(change->arena, step->name, step->len);
	if (!names[at] || json_index(node, change->arena, &doubled) < 0)
		return NULL;
	return &items[at];
}

/* The tree with this value at the path. */
static int apply(const struct change *change, const struct json *tree,
		 const struct json *value, const struct json **out)
{
	static const struct json empty = { .type = JSON_OBJECT };
	struct json *root = NULL, **slot = &root;

	if (change->path->count + json_height(value) > JSON_DEPTH_MAX)
		return fail(change->err, EINVAL,
			    "%s: lists and objects are nested deeper than %d "
			    "levels",
			    change->path->text, JSON_DEPTH_MAX);
	for (size_t i = 0; i < change->path->count; i++) {
		const struct json *from = is_absent(tree) ? NULL : tree;
		size_t at;
		int rc = find_step(change, from, i, &at);

		if (rc < 0)
			return rc;
		from = from ? from : &empty;
		*slot = arena_alloc(change->arena, 1, sizeof(**slot));
		slot = *slot ? copy_with(change, from, i, at, *slot) : NULL;
		if (!slot)
			return no_memory(change);
		tree = at < from->count ? from->items[at] : NULL;
	}
	*slot = shared(value);
	*out = root;
	return 0;
}

int settings_apply(const struct json *tree, const struct setting *settings,
		   size_t count, struct arena *arena, const struct json **out,
		   struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct setting_path path;
		const struct change change = { &path, arena, err };
		int rc = setting_path_read(settings[i].path, &path, err);

		if (rc == 0)
			rc = apply(&change, tree, settings[i].value, &tree);
		if (rc < 0)
			return rc;
	}
	*out = tree;
	return 0;
}

/* What holds the node that the path leads to, and its place there; NULL: there
 * is no such node. */
static const struct json *find_holder(const struct change *change,
				      const struct json *tree, size_t *at)
{
	const struct change quiet = { .path = change->path };
	const struct json *holder = NULL;

	for (size_t i = 0; i < change->path->count; i++) {
		holder = tree;
		if (is_absent(tree) || find_step(&quiet, tree, i, at) < 0 ||
		    *at == tree->count)
			return NULL;
		tree = tree->items[*at];
	}
	return holder;
}

/* A copy of a container without one item. NULL: no memory. */
static struct json *copy_without(const struct change *change,
				 const struct json *from, size_t at)
{
	struct json *node = arena_alloc(change->arena, 1, sizeof(*node));
	const char **names;
	struct json **items;
	size_t doubled;

	items = node ? new_lists(change, from, from->count - 1, node, &names)
		     : NULL;
	if (!items)
		return NULL;
	for (size_t i = 0; i < node->count; i++)
		items[i] = from->items[i < at ? i : i + 1];
	if (!names)
		return node;
	for (size_t i = 0; i < node->count; i++)
		names[i] = from->names[i < at ? i : i + 1];
	return json_index(node, change->arena, &doubled) < 0 ? NULL : node;
}

int setting_remove(const struct json *tree, const char *path,
		   struct arena *arena, const struct json **out,
		   struct error *err)
{
	struct setting_path steps;
	const struct change change = { &steps, arena, err };
	const struct json *holder, *node;
	size_t at = 0;
	int rc = setting_path_read(path, &steps, err);

	if (rc < 0)
		return rc;
	*out = tree;
	holder = find_holder(&change, tree, &at);
	if (!holder)
		return 0;
	node = copy_without(&change, holder, at);
	if (!node)
		return no_memory(&change);
	steps.count--;
	if (steps.count > 0)
		return apply(&change, tree, node, out);
	*out = node;
	return 0;
}

int setting_check_path(const char *path, struct error *err)
{
	struct setting_path steps;

	return setting_path_read(path, &steps, err);
}

/* What stands behind the '='. NULL: no memory. */
static const struct json *read_value(const char *text, struct arena *arena)
{
	struct json *value;
	int rc = json_parse(text, strlen(text), arena, &value, NULL);

	if (rc == 0)
		return value;
	if (rc == -ENOMEM)
		return NULL;
	value = arena_alloc(arena, 1, sizeof(*value));
	if (!value)
		return NULL;
	value->type = JSON_STRING;
	value->string = arena_strdup(arena, text);
	return value->string ? value : NULL;
}

int setting_parse(const char *text, struct arena *arena,
		  struct setting *setting, struct error *err)
{
	const char *equals = strchr(text, '=');
	char *path;
	int rc;

	if (!equals)
		return fail(err, EINVAL,
			    "\"%s\": give a path, '=' and a value, as in "
			    "parameters.lambda=0.5",
			    text);
	if (!utf8_valid(text, strlen(text)))
		return fail(err, EINVAL, "\"%s\" is not UTF-8", text);
	path = arena_strndup(arena, text, (size_t)(equals - text));
	if (!path)
		return fail(err, ENOMEM, "no memory");
	rc = setting_check_path(path, err);
	if (rc < 0)
		return rc;
	setting->path = path;
	setting->value = read_value(equals + 1, arena);
	return setting->value ? 0 : fail(err, ENOMEM, "no memory");
}

int settings_parse(const char *const *texts, size_t count, const char *option,
		   struct arena *arena, struct setting **settings,
		   struct error *err)
{
	int rc = 0;

	*settings = arena_alloc(arena, count + 1, sizeof(**settings));
	if (!*settings)
		return fail(err, ENOMEM, "no memory for settings");
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = setting_parse(texts[i], arena, *settings + i, err);
		if (rc && option)
			rc = fail_in(err, rc, "%s%s", option, texts[i]);
	}
	return rc;
}
