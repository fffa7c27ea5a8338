#include <errno.h>

#include "core/model.h"

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool model_ref_equal(const struct model_ref *a, const struct model_ref *b)
{
	return same(a->path, b->path) && same(a->revision, b->revision) &&
	       same(a->lora, b->lora) &&
	       same(a->override_architecture, b->override_architecture);
}

static int no_memory(struct error *err)
{
	return fail(err, ENOMEM, "no memory");
}

/* Split PATH[@REV], `len` bytes of text. */
static int parse_path(const char *text, size_t len, struct arena *arena,
		      struct model_ref *ref, struct error *err)
{
	const char *at = memchr(text, '@', len);
	size_t path_len = at ? (size_t)(at - text) : len;

	if (path_len == 0)
		return fail(err, EINVAL, "\"%s\" names no model", text);
	if (at && memchr(at + 1, '@', len - path_len - 1))
		return fail(err, EINVAL,
			    "\"%.*s\": more than one '@'; a path that has one "
			    "is written {model: {path: ..., revision: ...}}",
			    (int)len, text);
	if (at && path_len + 1 == len)
		return fail(err, EINVAL, "\"%.*s\": no revision after '@'",
			    (int)len, text);
	ref->path = arena_strndup(arena, text, path_len);
	ref->revision =
		at ? arena_strndup(arena, at + 1, len - path_len - 1) : NULL;
	return ref->path && (ref->revision || !at) ? 0 : no_memory(err);
}

/* PATH[@REV][+LORA[@REV]] */
static int parse_string(const char *text, struct arena *arena,
			struct model_ref *ref, struct error *err)
{
	const char *plus = strchr(text, '+');
	struct model_ref lora = { 0 };
	int rc;

	if (plus && strchr(plus + 1, '+'))
		return fail(err, EINVAL,
			    "\"%s\": more than one '+'; a path that has one "
			    "is written {model: {path: ...}, lora: ...}",
			    text);
	rc = parse_path(text, plus ? (size_t)(plus - text) : strlen(text),
			arena, ref, err);
	if (rc == 0 && plus)
		rc = parse_path(plus + 1, strlen(plus + 1), arena, &lora, err);
	if (rc)
		return rc;
	ref->text = arena_strdup(arena, text);
	ref->lora = plus ? arena_strdup(arena, plus + 1) : NULL;
	return ref->text && (ref->lora || !plus) ? 0 : no_memory(err);
}

/* The optional string `name` of an object; null stands for absent. */
static int member_text(const struct json *object, const char *name,
		       struct arena *arena, const char **text,
		       struct error *err)
{
	const struct json *value = json_member(object, name);

	*text = NULL;
	if (!value || value->type == JSON_NULL)
		return 0;
	if (value->type != JSON_STRING || value->string[0] == '\0')
		return fail(err, EINVAL, "%s: must be a string, not %s", name,
			    value->type == JSON_STRING
				    ? "an empty one"
				    : json_type_name(value->type));
	*text = arena_strdup(arena, value->string);
	return *text ? 0 : no_memory(err);
}

/* PATH[@REV], or {path, revision}: where nothing is split. */
static int parse_part(const struct json *value, const char *name,
		      struct arena *arena, struct model_ref *part,
		      struct error *err)
{
	int rc;

	if (value->type == JSON_STRING)
		return parse_path(value->string, strlen(value->string), arena,
				  part, err);
	if (value->type != JSON_OBJECT)
		return fail(err, EINVAL,
			    "%s: must be a path or {path, revision}, not %s",
			    name, json_type_name(value->type));
	rc = member_text(value, "path", arena, &part->path, err);
	if (rc == 0)
		rc = member_text(value, "revision", arena, &part->revision,
				 err);
	if (rc)
		return fail_in(err, rc, "%s", name);
	if (!part->path)
		return fail(err, EINVAL, "%s: \"path\" is missing", name);
	return 0;
}

static const char *part_text(const struct model_ref *part, struct arena *arena)
{
	return part->revision ? arena_printf(arena, "%s@%s", part->path,
					     part->revision)
			      : part->path;
}

static int parse_object(const struct json *object, struct arena *arena,
			struct model_ref *ref, struct error *err)
{
	const struct json *model = json_member(object, "model");
	const struct json *lora = json_member(object, "lora");
	struct model_ref adapter = { 0 };
	int rc;

	if (!model)
		return fail(err, EINVAL, "\"model\" is missing");
	rc = parse_part(model, "model", arena, ref, err);
	if (rc == 0)
		rc = member_text(object, "override_architecture", arena,
				 &ref->override_architecture, err);
	if (rc)
		return rc;
	ref->text = part_text(ref, arena);
	if (!ref->text)
		return no_memory(err);
	if (!lora || lora->type == JSON_NULL)
		return 0;
	rc = parse_part(lora, "lora", arena, &adapter, err);
	if (rc)
		return rc;
	ref->lora = part_text(&adapter, arena);
	if (ref->lora)
		ref->text = arena_printf(arena, "%s+%s", ref->text, ref->lora);
	return ref->lora && ref->text ? 0 : no_memory(err);
}

int model_ref_parse(const struct json *value, struct arena *arena,
		    struct model_ref *ref, struct error *err)
{
	struct model_ref made = { 0 };
	int rc;

	if (value->type == JSON_STRING)
		rc = parse_string(value->string, arena, &made, err);
	else if (value->type == JSON_OBJECT)
		rc = parse_object(value, arena, &made, err);
	else
		rc = fail(err, EINVAL,
			  "a model must be a path or an object, not %s",
			  json_type_name(value->type));
	if (rc == 0)
		*ref = made;
	return rc;
}
