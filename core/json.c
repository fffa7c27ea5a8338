/*
 * A text that core/json_scan.c has found correct goes through cJSON, and its
 * tree is copied into the arena. cJSON keeps the order of the text, so the n-th
 * value of the walk below is the n-th span of the scan: from it come the line,
 * the spelling of a number, and the place that a sentence names.
 */
#include <errno.h>
#include <math.h>

#include <cjson/cJSON.h>

#include "core/json_scan.h"
#include "core/json_tree.h"

#define AUTO_CJSON AUTO(cjson_auto_delete)

struct frame {
	const cJSON *next;  /* the child that is copied next; NULL: done */
	struct json *items; /* where it goes */
};

struct copier {
	const char *text;
	const struct json_span *spans;
	size_t count;
	size_t at;     /* the span of the next value */
	unsigned line; /* of text[line_off] */
	uint32_t line_off;
	struct arena *arena;
	struct error *err;
	struct frame frames[JSON_DEPTH_MAX];
	size_t depth;
};

static void cjson_auto_delete(cJSON *const *tree)
{
	cJSON_Delete(*tree);
}

static int no_memory(struct copier *copier)
{
	return fail(copier->err, ENOMEM, "no memory");
}

/* The line of an offset; offsets come in rising order. */
static unsigned line_at(struct copier *copier, uint32_t off)
{
	for (; copier->line_off < off; copier->line_off++)
		copier->line += copier->text[copier->line_off] == '\n';
	return copier->line;
}

/* Whole numbers are written as json_write_number() writes them. */
static int keep_spelling(struct copier *copier, const struct json_span *span,
			 struct json *node)
{
	if (node->integral && fabs(node->number) < JSON_EXACT_END)
		return 0;
	node->string = arena_strndup(copier->arena, copier->text + span->start,
				     span->end - span->start);
	return node->string ? 0 : no_memory(copier);
}

static int copy_number(struct copier *copier, const cJSON *from,
		       struct json *node)
{
	const struct json_span *span = &copier->spans[copier->at];
	size_t len = span->end - span->start;
	struct json_place place;

	node->number = from->valuedouble;
	node->integral = !memchr(copier->text + span->start, '.', len) &&
			 !memchr(copier->text + span->start, 'e', len) &&
			 !memchr(copier->text + span->start, 'E', len);
	if (isfinite(node->number))
		return keep_spelling(copier, span, node);
	place = json_place(copier->text, span->start);
	return fail(copier->err, EINVAL,
		    "line %zu, column %zu: the number is too large for 64-bit "
		    "floating point",
		    place.line, place.column);
}

static int copy_string(struct copier *copier, const cJSON *from,
		       struct json *node)
{
	node->string = arena_strdup(copier->arena, from->valuestring);
	return node->string ? 0 : no_memory(copier);
}

static int say_doubled(struct copier *copier, const char *name, size_t member)
{
	struct json_place place;
	size_t at = copier->at + 1;

	for (size_t i = 0; i < member; i++)
		at = json_span_after(copier->spans, copier->count, at);
	place = json_place(copier->text, copier->spans[at].name);
	return fail(copier->err, EINVAL,
		    "line %zu, column %zu: the name \"%s\" is doubled",
		    place.line, place.column, name);
}

static int copy_names(struct copier *copier, const cJSON *from,
		      struct json *node)
{
	const char **names;
	size_t i = 0, doubled;
	int rc;

	names = arena_alloc(copier->arena, node->count, sizeof(*names));
	if (!names)
		return no_memory(copier);
	for (const cJSON *child = from->child; child; child = child->next) {
		names[i] = arena_strdup(copier->arena, child->string);
		if (!names[i++])
			return no_memory(copier);
	}
	node->names = names;
	rc = json_index(node, copier->arena, &doubled);
	if (rc == -EEXIST)
		return say_doubled(copier, names[doubled], doubled);
	return rc ? no_memory(copier) : 0;
}

/* Make room for the children and have them copied next. */
static int copy_container(struct copier *copier, const cJSON *from,
			  struct json *node)
{
	struct json *items, **list;

	for (const cJSON *child = from->child; child; child = child->next)
		node->count++;
	items = arena_alloc(copier->arena, node->count, sizeof(*items));
	list = arena_alloc(copier->arena, node->count, sizeof(*list));
	if (!items || !list)
		return no_memory(copier);
	for (size_t i = 0; i < node->count; i++)
		list[i] = &items[i];
	node->items = list;
	copier->frames[copier->depth++] =
		(struct frame){ .next = from->child, .items = items };
	return node->type == JSON_OBJECT ? copy_names(copier, from, node) : 0;
}

static enum json_type type_of(const cJSON *from)
{
	if (cJSON_IsObject(from))
		return JSON_OBJECT;
	if (cJSON_IsArray(from))
		return JSON_ARRAY;
	if (cJSON_IsString(from))
		return JSON_STRING;
	if (cJSON_IsNumber(from))
		return JSON_NUMBER;
	return cJSON_IsBool(from) ? JSON_BOOL : JSON_NULL;
}

static int copy_value(struct copier *copier, const cJSON *from,
		      struct json *node)
{
	int rc = 0;

	node->type = type_of(from);
	node->line = line_at(copier, copier->spans[copier->at].start);
	if (node->type == JSON_BOOL)
		node->boolean = cJSON_IsTrue(from);
	else if (node->type == JSON_NUMBER)
		rc = copy_number(copier, from, node);
	else if (node->type == JSON_STRING)
		rc = copy_string(copier, from, node);
	else if (node->type != JSON_NULL)
		rc = copy_container(copier, from, node);
	copier->at++;
	return rc;
}

static int copy_tree(struct copier *copier, const cJSON *root,
		     struct json *node)
{
	struct frame *top;
	const cJSON *from;
	int rc;

	rc = copy_value(copier, root, node);
	while (rc == 0 && copier->depth > 0) {
		top = &copier->frames[copier->depth - 1];
		from = top->next;
		if (!from) {
			copier->depth--;
			continue;
		}
		top->next = from->next;
		rc = copy_value(copier, from, top->items++);
	}
	return rc;
}

int json_parse(const char *text, size_t len, struct arena *arena,
	       struct json **tree, struct error *err)
{
	AUTO_FREE struct json_span *spans = NULL;
	AUTO_CJSON cJSON *root = NULL;
	struct copier copier = {
		.text = text, .line = 1, .arena = arena, .err = err
	};
	struct json *node;
	int rc;

	rc = json_scan(text, len, &spans, &copier.count, err);
	if (rc)
		return rc;
	copier.spans = spans;
	/* The scan leaves cJSON no reason to fail but memory. */
	root = cJSON_ParseWithLengthOpts(text, len, NULL, false);
	node = arena_alloc(arena, 1, sizeof(*node));
	if (!root || !node)
		return no_memory(&copier);
	rc = copy_tree(&copier, root, node);
	if (rc)
		return rc;
	*tree = node;
	return 0;
}
