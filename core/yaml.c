/*
 * libyaml's events, handed to core/yaml_build.c.
 */
#include <errno.h>

#include <yaml.h>

#include "core/yaml.h"
#include "core/yaml_build.h"

struct reader {
	yaml_parser_t parser;
	const char *text;
	size_t documents;
	struct yaml_build build;
};

static const char *to_text(const yaml_char_t *bytes)
{
	return (const char *)bytes;
}

/* The tag "!" only says that the text decides, even that of a quoted scalar. */
static const char *to_tag(const yaml_char_t *tag)
{
	return tag && strcmp(to_text(tag), "!") != 0 ? to_text(tag) : NULL;
}

static struct json_place place_of(yaml_mark_t mark)
{
	return (struct json_place){ mark.line + 1, mark.column + 1 };
}

static int on_nothing(struct reader *reader, const yaml_event_t *event)
{
	return 0;
}

static int on_document(struct reader *reader, const yaml_event_t *event)
{
	struct json_place place = place_of(event->start_mark);

	if (reader->documents++ == 0)
		return 0;
	return fail(reader->build.err, EINVAL,
		    "line %zu, column %zu: a second document begins; put it "
		    "into a file of its own",
		    place.line, place.column);
}

static int on_alias(struct reader *reader, const yaml_event_t *event)
{
	struct yaml_token token = {
		.place = place_of(event->start_mark),
		.anchor = to_text(event->data.alias.anchor),
	};

	return yaml_build_alias(&reader->build, &token);
}

static int on_scalar(struct reader *reader, const yaml_event_t *event)
{
	struct yaml_token token = {
		.place = place_of(event->start_mark),
		.anchor = to_text(event->data.scalar.anchor),
		.tag = to_tag(event->data.scalar.tag),
		.text = to_text(event->data.scalar.value),
		.len = event->data.scalar.length,
	};

	token.plain = event->data.scalar.plain_implicit ||
		      (event->data.scalar.tag && !token.tag);

	return yaml_build_scalar(&reader->build, &token);
}

static int on_list(struct reader *reader, const yaml_event_t *event)
{
	struct yaml_token token = {
		.place = place_of(event->start_mark),
		.anchor = to_text(event->data.sequence_start.anchor),
		.tag = to_tag(event->data.sequence_start.tag),
	};

	return yaml_build_open(&reader->build, &token, JSON_ARRAY);
}

static int on_mapping(struct reader *reader, const yaml_event_t *event)
{
	struct yaml_token token = {
		.place = place_of(event->start_mark),
		.anchor = to_text(event->data.mapping_start.anchor),
		.tag = to_tag(event->data.mapping_start.tag),
	};

	return yaml_build_open(&reader->build, &token, JSON_OBJECT);
}

static int on_end(struct reader *reader, const yaml_event_t *event)
{
	struct yaml_token token = { .place = place_of(event->start_mark) };

	return yaml_build_close(&reader->build, &token);
}

static int (*const handlers[])(struct reader *, const yaml_event_t *) = {
	[YAML_NO_EVENT] = on_nothing,
	[YAML_STREAM_START_EVENT] = on_nothing,
	[YAML_STREAM_END_EVENT] = on_nothing,
	[YAML_DOCUMENT_START_EVENT] = on_document,
	[YAML_DOCUMENT_END_EVENT] = on_nothing,
	[YAML_ALIAS_EVENT] = on_alias,
	[YAML_SCALAR_EVENT] = on_scalar,
	[YAML_SEQUENCE_START_EVENT] = on_list,
	[YAML_SEQUENCE_END_EVENT] = on_end,
	[YAML_MAPPING_START_EVENT] = on_mapping,
	[YAML_MAPPING_END_EVENT] = on_end,
};

/* What libyaml has found wrong; for a byte that is no text it has no line. */
static int say_broken(const struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	struct json_place place = place_of(parser->problem_mark);

	if (parser->error == YAML_MEMORY_ERROR)
		return fail(reader->build.err, ENOMEM, "no memory");
	if (parser->error == YAML_READER_ERROR)
		place = json_place(reader->text, parser->problem_offset);
	return fail(reader->build.err, EINVAL, "line %zu, column %zu: %s%s%s",
		    place.line, place.column, parser->problem,
		    parser->context ? " " : "",
		    parser->context ? parser->context : "");
}

/* One event; *more is false after the last. */
static int step(struct reader *reader, bool *more)
{
	AUTO(yaml_event_delete) yaml_event_t event;

	memset(&event, 0, sizeof(event));
	if (!yaml_parser_parse(&reader->parser, &event))
		return say_broken(reader);
	*more = event.type != YAML_STREAM_END_EVENT;
	return handlers[event.type](reader, &event);
}

/* An empty text is null, as in PyYAML. */
static int read_root(struct reader *reader, struct json **root)
{
	struct yaml_build *build = &reader->build;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more)
		rc = step(reader, &more);
	if (rc)
		return rc;
	if (!build->root)
		build->root =
			arena_alloc(build->arena, 1, sizeof(*build->root));
	if (!build->root)
		return fail(build->err, ENOMEM, "no memory");
	*root = build->root;
	return 0;
}

int yaml_parse(const char *text, size_t len, struct arena *arena,
	       struct json **tree, struct error *err)
{
	struct reader reader = { .text = text,
				 .build = { .arena = arena, .err = err } };
	int rc;

	if (len > YAML_TEXT_MAX)
		return fail(err, EINVAL, "the text has more than %u bytes",
			    YAML_TEXT_MAX);
	if (!yaml_parser_initialize(&reader.parser))
		return fail(err, ENOMEM, "no memory");
	/* Else a mark at its start could turn the text into UTF-16. */
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader.parser,
				     (const unsigned char *)text, len);
	rc = read_root(&reader, tree);
	yaml_build_done(&reader.build);
	yaml_parser_delete(&reader.parser);
	return rc;
}
