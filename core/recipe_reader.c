#include "core/recipe_reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/params.h"

void reader_wrong(const struct reader *reader, int code, const char *where,
		  const char *fmt, ...)
{
	char sentence[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	report_error(reader->report, code, "%s: %s%s%s", reader->recipe->path,
		     where, where[0] ? ": " : "", sentence);
}

void *reader_alloc(const struct reader *reader, size_t count, size_t size)
{
	void *memory = arena_alloc(reader->recipe->arena, count, size);

	if (!memory)
		reader_wrong(reader, ENOMEM, "", "out of memory");
	return memory;
}

const struct json *reader_typed(const struct reader *reader,
				const struct json *object, const char *name,
				enum json_type type, const char *where)
{
	const struct json *value = json_given(object, name);

	if (!value || value->type == type)
		return value;
	reader_wrong(reader, EINVAL, where, "must be %s, not %s",
		     json_type_name(type), json_type_name(value->type));
	return NULL;
}

const char *reader_string(const struct reader *reader, const char *name)
{
	const struct json *value = reader_typed(reader, reader->recipe->tree,
						name, JSON_STRING, name);

	return value && value->string[0] != '\0' ? value->string : NULL;
}

bool reader_ref(const struct reader *reader, const struct json *value,
		const char *where, struct model_ref *ref)
{
	struct error err = { 0 };
	int rc = model_ref_parse(value, reader->recipe->arena, ref, &err);

	if (rc < 0) {
		reader_wrong(reader, -rc, where, "%s", err.text);
		return false;
	}
	if (!ref->lora)
		return true;
	reader_wrong(
		reader, ENOTSUP, where,
		"%s: LoRA adapters are not supported yet; merge the adapter "
		"into "
		"its model first (peft: merge_and_unload) and name the result",
		ref->text);
	return false;
}

const struct json *reader_list(const struct reader *reader,
			       const struct json *object, const char *name,
			       const char *where)
{
	const struct json *list =
		reader_typed(reader, object, name, JSON_ARRAY, where);

	return list && list->count > 0 ? list : NULL;
}

const struct json *reader_parameters(const struct reader *reader,
				     const struct json *parent,
				     const char *where)
{
	struct where place = where_at("%sparameters", where);
	struct where path =
		where_at("%s: %s", reader->recipe->path, place.text);
	const struct json *parameters = reader_typed(
		reader, parent, "parameters", JSON_OBJECT, place.text);

	param_check(parameters, reader->recipe->method, path.text,
		    reader->report);
	return parameters;
}
