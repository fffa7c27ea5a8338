/*
 * The text is cut into members, and each of them into
 *
 *	lead   blanks before the name: a line break and its indentation
 *	key    "name": and the blanks up to the value
 *	value
 *	trail  blanks between the value and the comma or brace
 *
 * What stays is written with its own slices, except that the first member takes
 * the first lead and the last one the last trail, so that the braces keep their
 * look. New members are written as the last one is.
 */
#include <errno.h>
#include <stdio.h>

#include "core/base/text.h"
#include "core/json_scan.h"

struct slice {
	const char *at;
	size_t len;
};

struct member {
	struct slice lead, key, value, trail;
	bool removed;
};

struct object {
	const struct json *tree;
	struct slice head; /* up to the opening brace, with it */
	struct slice tail; /* from the closing brace on */
	struct member *members;
	struct slice end_trail; /* blanks before the closing brace */
	struct slice first_lead;
	struct slice new_lead, colon; /* of new members */
};

struct writer {
	FILE *out;
	const struct object *object;
	struct slice trail; /* of the member written last */
	bool first;
};

static struct slice slice_of(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

static void put(FILE *out, struct slice slice)
{
	fwrite(slice.at, 1, slice.len, out);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct slice blanks_before(const char *text, size_t end)
{
	size_t start = end;

	while (is_blank(text[start - 1]))
		start--;
	return (struct slice){ text + start, end - start };
}

static struct slice blanks_after(const char *text, size_t start)
{
	size_t end = start;

	while (is_blank(text[end]))
		end++;
	return (struct slice){ text + start, end - start };
}

/* What stands between a name and its value: blanks and a colon. */
static struct slice colon_before(const char *text, size_t end)
{
	size_t start = end;

	while (text[start - 1] != '"')
		start--;
	return (struct slice){ text + start, end - start };
}

static struct slice after_colon(struct slice colon)
{
	const char *mark = memchr(colon.at, ':', colon.len);
	size_t skipped = (size_t)(mark - colon.at) + 1;

	return (struct slice){ mark + 1, colon.len - skipped };
}

static struct member cut_member(const char *text, const struct json_span *span)
{
	return (struct member){
		.lead = blanks_before(text, span->name),
		.key = { text + span->name, span->start - span->name },
		.value = { text + span->start, span->end - span->start },
		.trail = blanks_after(text, span->end),
	};
}

/* New members look like the last one; the only one has no lead to look at. */
static void set_style(struct object *object, const char *text,
		      const struct json_span *last)
{
	const struct member *member;

	object->colon = slice_of(": ");
	object->first_lead = slice_of("");
	object->new_lead = slice_of(" ");
	if (!last)
		return;
	object->first_lead = object->members[0].lead;
	member = &object->members[object->tree->count - 1];
	object->end_trail = member->trail;
	object->colon = colon_before(text, last->start);
	object->new_lead = member->lead;
	if (object->tree->count == 1 && member->lead.len == 0)
		object->new_lead = after_colon(object->colon);
}

static int cut_object(const char *text, size_t len, struct object *object,
		      struct error *err)
{
	AUTO_FREE struct json_span *spans = NULL;
	const struct json_span *last = NULL;
	size_t count = 0, at = 1;
	int rc;

	rc = json_scan(text, len, &spans, &count, err);
	if (rc)
		return rc;
	object->members =
		calloc(object->tree->count + 1, sizeof(*object->members));
	if (!object->members)
		return fail(err, ENOMEM, "no memory");
	object->head = (struct slice){ text, spans[0].start + 1 };
	object->tail = (struct slice){ text + spans[0].end - 1,
				       len - spans[0].end + 1 };
	object->end_trail = blanks_after(text, spans[0].start + 1);
	for (size_t i = 0; i < object->tree->count; i++) {
		last = &spans[at];
		object->members[i] = cut_member(text, last);
		at = json_span_after(spans, count, at);
	}
	set_style(object, text, last);
	return 0;
}

/* The member of this name; NULL: none. */
static struct member *find_member(const struct object *object, const char *name)
{
	for (size_t i = 0; i < object->tree->count; i++)
		if (strcmp(object->tree->names[i], name) == 0)
			return &object->members[i];
	return NULL;
}

static int check_value(const struct json_edit *edit, struct error *err)
{
	AUTO_FREE struct json_span *spans = NULL;
	size_t count;
	int rc;

	rc = json_scan(edit->value, strlen(edit->value), &spans, &count, err);
	return rc ? fail_in(err, rc, "the new value of \"%s\"", edit->name) : 0;
}

static int apply_edit(const struct object *object, const struct json_edit *edit,
		      struct error *err)
{
	struct member *member = find_member(object, edit->name);
	int rc = edit->value ? check_value(edit, err) : 0;

	if (rc || !member)
		return rc;
	member->removed = !edit->value;
	if (edit->value)
		member->value = slice_of(edit->value);
	return 0;
}

static void write_lead(struct writer *writer, struct slice lead)
{
	if (writer->first) {
		lead = writer->object->first_lead;
	} else {
		put(writer->out, writer->trail);
		fputc(',', writer->out);
	}
	put(writer->out, lead);
	writer->first = false;
}

static void write_kept(struct writer *writer, const struct member *member)
{
	bool last = member->trail.at == writer->object->end_trail.at;

	write_lead(writer, member->lead);
	put(writer->out, member->key);
	put(writer->out, member->value);
	writer->trail = last ? slice_of("") : member->trail;
}

static void write_new(struct writer *writer, const struct json_edit *edit)
{
	write_lead(writer, writer->object->new_lead);
	json_write_string(writer->out, edit->name);
	put(writer->out, writer->object->colon);
	fputs(edit->value, writer->out);
	writer->trail = slice_of("");
}

static void write_object(FILE *out, const struct object *object,
			 const struct json_edit *edits, size_t count)
{
	struct writer writer = { .out = out, .object = object, .first = true };

	put(out, object->head);
	for (size_t i = 0; i < object->tree->count; i++)
		if (!object->members[i].removed)
			write_kept(&writer, &object->members[i]);
	for (size_t i = 0; i < count; i++)
		if (edits[i].value && !find_member(object, edits[i].name))
			write_new(&writer, &edits[i]);
	put(out, object->end_trail);
	put(out, object->tail);
}

static int edit_object(struct object *object, const struct json_edit *edits,
		       size_t count, struct text *result, struct error *err)
{
	int rc;

	for (size_t i = 0; i < count; i++) {
		rc = apply_edit(object, &edits[i], err);
		if (rc)
			return rc;
	}
	if (text_open(result) < 0)
		return fail(err, ENOMEM, "no memory");
	write_object(result->out, object, edits, count);
	return 0;
}

int json_edit(const char *text, size_t len, const struct json_edit *edits,
	      size_t count, char **out, size_t *out_len, struct error *err)
{
	AUTO_ARENA struct arena *arena = arena_open();
	AUTO_FREE struct member *members = NULL;
	AUTO_TEXT struct text result = TEXT_INIT;
	struct object object = { 0 };
	struct json *tree;
	int rc;

	if (!arena)
		return fail(err, ENOMEM, "no memory");
	/* The tree has the names decoded, and has none of them doubled. */
	rc = json_parse(text, len, arena, &tree, err);
	if (rc)
		return rc;
	if (tree->type != JSON_OBJECT)
		return fail(err, EINVAL, "the text is %s, not an object",
			    json_type_name(tree->type));
	object.tree = tree;
	rc = cut_object(text, len, &object, err);
	members = object.members;
	if (rc == 0)
		rc = edit_object(&object, edits, count, &result, err);
	if (rc)
		return rc;
	if (text_take(&result, out, out_len) < 0)
		return fail(err, ENOMEM, "no memory");
	return 0;
}
