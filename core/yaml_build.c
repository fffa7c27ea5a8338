#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/json_tree.h"
#include "core/yaml.h"
#include "core/yaml_build.h"
#include "core/yaml_scalar.h"

#define SAID_MAX 60 /* bytes of a name or a scalar in a sentence */

static int PRINTF_LIKE(3, 4)
	wrong(struct yaml_build *build, const struct yaml_token *token,
	      const char *fmt, ...)
{
	char what[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	return fail(build->err, EINVAL, "line %zu, column %zu: %s",
		    token->place.line, token->place.column, what);
}

static int no_memory(struct yaml_build *build)
{
	return fail(build->err, ENOMEM, "no memory");
}

static int too_deep(struct yaml_build *build, const struct yaml_token *token)
{
	return wrong(build, token,
		     "lists and mappings are nested deeper than %d levels",
		     JSON_DEPTH_MAX);
}

/* A tag of YAML's own in its short form is "!!" and this; else NULL. */
static const char *short_tag(const char *tag)
{
	size_t len = strlen(YAML_TAG_PREFIX);

	return strncmp(tag, YAML_TAG_PREFIX, len) == 0 ? tag + len : NULL;
}

static int bad_tag(struct yaml_build *build, const struct yaml_token *token)
{
	const char *name = short_tag(token->tag);

	return wrong(build, token, "the tag %s%.*s has no meaning here",
		     name ? "!!" : "", SAID_MAX, name ? name : token->tag);
}

/* Make the anchor of a node that begins; without one *anchor stays as it is. */
static int add_anchor(struct yaml_build *build, const struct yaml_token *token,
		      struct yaml_anchor **anchor)
{
	int rc;

	if (!token->anchor)
		return 0;
	rc = yaml_anchor_add(&build->anchors, token->anchor, build->arena,
			     anchor);
	if (rc == -EEXIST)
		return wrong(build, token, "the anchor &%.*s is doubled",
			     SAID_MAX, token->anchor);
	return rc ? no_memory(build) : 0;
}

/* Count a node, and what stands in it, as part of the container `into`. */
static int grow(struct yaml_build *build, const struct yaml_token *token,
		struct yaml_value *into, const struct yaml_value *value)
{
	into->size += value->size;
	if (into->height <= value->height)
		into->height = value->height + 1;
	if (into->size > YAML_NODES_MAX)
		return wrong(build, token,
			     "with all aliases written out there are more than "
			     "%d values",
			     YAML_NODES_MAX);
	return 0;
}

static int merge_object(struct yaml_build *build,
			const struct yaml_token *token,
			struct yaml_frame *frame, const struct json *object)
{
	struct yaml_member member;

	if (object->type != JSON_OBJECT)
		return wrong(build, token,
			     "<< takes a mapping or a list of mappings, not %s",
			     json_type_name(object->type));
	for (size_t i = 0; i < object->count; i++) {
		member = (struct yaml_member){ .name = object->names[i],
					       .value = object->items[i] };
		if (yaml_members_add(&frame->merged, member) < 0)
			return no_memory(build);
	}
	return 0;
}

/* Of a list of mappings the first one wins: it is merged last. */
static int merge_value(struct yaml_build *build, const struct yaml_token *token,
		       struct yaml_frame *frame, const struct json *value)
{
	int rc = 0;

	frame->merging = false;
	if (value->type != JSON_ARRAY)
		return merge_object(build, token, frame, value);
	for (size_t i = value->count; i > 0 && rc == 0; i--)
		rc = merge_object(build, token, frame, value->items[i - 1]);
	return rc;
}

static bool wants_name(const struct yaml_build *build)
{
	const struct yaml_frame *top;

	if (build->depth == 0)
		return false;
	top = &build->frames[build->depth - 1];
	return top->value.node->type == JSON_OBJECT && !top->name &&
	       !top->merging;
}

static int add_name(struct yaml_build *build, const struct yaml_token *token,
		    const struct yaml_value *value)
{
	struct yaml_frame *top = &build->frames[build->depth - 1];

	if (!value->text)
		return wrong(build, token, "a key must be a scalar, not %s",
			     json_type_name(value->node->type));
	top->name = value->text;
	top->name_place = token->place;
	return grow(build, token, &top->value, value);
}

/* Hand a finished node to the container around it. */
static int add_value(struct yaml_build *build, const struct yaml_token *token,
		     const struct yaml_value *value)
{
	struct yaml_member member = { .value = value->node };
	struct yaml_frame *top;
	int rc;

	if (build->depth == 0) {
		build->root = value->node;
		return 0;
	}
	if (wants_name(build))
		return add_name(build, token, value);
	top = &build->frames[build->depth - 1];
	rc = grow(build, token, &top->value, value);
	if (rc)
		return rc;
	if (top->merging)
		return merge_value(build, token, top, value->node);
	member.name = TAKE(top->name);
	member.place = top->name_place;
	return yaml_members_add(&top->members, member) < 0 ? no_memory(build)
							   : 0;
}

int yaml_build_alias(struct yaml_build *build, const struct yaml_token *token)
{
	const char *name = token->anchor;
	const struct yaml_anchor *anchor;

	anchor = yaml_anchor_find(&build->anchors, name);
	if (!anchor)
		return wrong(build, token,
			     "no anchor &%.*s comes before its "
			     "alias",
			     SAID_MAX, name);
	if (!anchor->value.node)
		return wrong(build, token,
			     "the alias *%.*s stands inside what it names",
			     SAID_MAX, name);
	if (build->depth + anchor->value.height > JSON_DEPTH_MAX)
		return too_deep(build, token);
	return add_value(build, token, &anchor->value);
}

/* Is it the merge key? */
static bool is_merge(const struct yaml_build *build,
		     const struct yaml_token *token)
{
	if (!wants_name(build))
		return false;
	if (token->tag)
		return strcmp(token->tag, YAML_TAG_PREFIX "merge") == 0;
	return token->plain && strcmp(token->text, "<<") == 0;
}

static int make_scalar(struct yaml_build *build, const struct yaml_token *token,
		       struct yaml_value *value)
{
	int rc;

	if (strlen(token->text) != token->len)
		return wrong(build, token, "a string must not hold NUL");
	value->size = 1 + token->len / YAML_NODE_LEN;
	value->node = arena_alloc(build->arena, 1, sizeof(*value->node));
	value->text = arena_strdup(build->arena, token->text);
	if (!value->node || !value->text)
		return no_memory(build);
	value->node->line = (unsigned)token->place.line;
	rc = yaml_scalar(value->text, token->tag, token->plain, value->node);
	if (rc == -ENOTSUP)
		return bad_tag(build, token);
	if (rc == -EINVAL)
		return wrong(build, token, "cannot read \"%.*s\" as !!%s",
			     SAID_MAX, token->text,
			     token->tag ? short_tag(token->tag) : "int");
	return rc ? no_memory(build) : 0;
}

int yaml_build_scalar(struct yaml_build *build, const struct yaml_token *token)
{
	struct yaml_value value = { 0 };
	struct yaml_anchor *anchor = NULL;
	int rc;

	if (is_merge(build, token)) {
		build->frames[build->depth - 1].merging = true;
		return 0;
	}
	rc = make_scalar(build, token, &value);
	if (rc)
		return rc;
	rc = add_anchor(build, token, &anchor);
	if (rc)
		return rc;
	if (anchor)
		anchor->value = value;
	return add_value(build, token, &value);
}

/* The only tag that a container may have is that of its own type. */
static bool is_tag_of(const char *tag, enum json_type type)
{
	const char *own = type == JSON_ARRAY ? YAML_TAG_PREFIX "seq"
					     : YAML_TAG_PREFIX "map";

	return !tag || strcmp(tag, own) == 0;
}

int yaml_build_open(struct yaml_build *build, const struct yaml_token *token,
		    enum json_type type)
{
	struct yaml_value value = { .size = 1, .height = 1 };
	struct yaml_frame *top;

	if (!is_tag_of(token->tag, type))
		return bad_tag(build, token);
	if (build->depth == JSON_DEPTH_MAX)
		return too_deep(build, token);
	if (wants_name(build))
		return wrong(build, token, "a key must be a scalar, not %s",
			     json_type_name(type));
	value.node = arena_alloc(build->arena, 1, sizeof(*value.node));
	if (!value.node)
		return no_memory(build);
	value.node->type = type;
	value.node->line = (unsigned)token->place.line;
	top = &build->frames[build->depth++];
	*top = (struct yaml_frame){ .value = value };
	return add_anchor(build, token, &top->anchor);
}

/* Copy the members of a container that ends into its node. */
static int fill_node(struct yaml_build *build, struct yaml_frame *frame)
{
	const struct yaml_members *members = &frame->members;
	struct json *node = frame->value.node;
	struct json **items;
	const char **names;
	size_t doubled;

	items = arena_alloc(build->arena, members->count, sizeof(*items));
	names = arena_alloc(build->arena, members->count, sizeof(*names));
	if (!items || !names)
		return no_memory(build);
	for (size_t i = 0; i < members->count; i++) {
		items[i] = members->at[i].value;
		names[i] = members->at[i].name;
	}
	node->count = members->count;
	node->items = items;
	if (node->type == JSON_ARRAY)
		return 0;
	node->names = names;
	return json_index(node, build->arena, &doubled) ? no_memory(build) : 0;
}

static int finish_mapping(struct yaml_build *build, struct yaml_frame *frame)
{
	struct yaml_member doubled;
	int rc;

	rc = yaml_members_merge(&frame->members, &frame->merged, &doubled);
	if (rc == -EEXIST)
		return fail(build->err, EINVAL,
			    "line %zu, column %zu: the key \"%.*s\" is doubled",
			    doubled.place.line, doubled.place.column, SAID_MAX,
			    doubled.name);
	return rc ? no_memory(build) : 0;
}

static void frame_done(struct yaml_frame *frame)
{
	yaml_members_done(&frame->members);
	yaml_members_done(&frame->merged);
}

int yaml_build_close(struct yaml_build *build, const struct yaml_token *token)
{
	struct yaml_frame *top = &build->frames[build->depth - 1];
	struct yaml_value value = top->value;
	int rc = 0;

	if (value.node->type == JSON_OBJECT)
		rc = finish_mapping(build, top);
	if (rc == 0)
		rc = fill_node(build, top);
	if (rc)
		return rc;
	if (top->anchor)
		top->anchor->value = value;
	frame_done(top);
	build->depth--;
	return add_value(build, token, &value);
}

void yaml_build_done(struct yaml_build *build)
{
	while (build->depth > 0)
		frame_done(&build->frames[--build->depth]);
	yaml_anchors_done(&build->anchors);
}
