#include "core/recipe_reader.h"

#include <errno.h>

/* layer_range: [begin, end). */
static void read_range(const struct reader *reader, const struct json *source,
		       const char *where, struct slice_source *out)
{
	const struct json *range = json_member(source, "layer_range");
	struct where place = where_at("%s.layer_range", where);

	if (!range) {
		reader_wrong(
			reader, EINVAL, place.text,
			"missing; give the first layer and the one after the "
			"last, as in [0, 16]");
		return;
	}
	if (range->type != JSON_ARRAY || range->count != 2 ||
	    !json_u64(range->items[0], &out->begin) ||
	    !json_u64(range->items[1], &out->end) || out->end > LAYERS_MAX) {
		reader_wrong(reader, EINVAL, place.text,
			     "must be two whole numbers, the first layer and "
			     "the one "
			     "after the last, as in [0, 16]");
		return;
	}
	if (out->begin > out->end)
		reader_wrong(reader, EINVAL, place.text,
			     "[%llu, %llu] ends before it starts",
			     (unsigned long long)out->begin,
			     (unsigned long long)out->end);
	else
		out->has_range = true;
}

/* llmergefs.base_model of a source; false (reported): something is wrong. */
static bool read_own_base(const struct reader *reader,
			  const struct json *source, const char *where,
			  struct slice_source *out)
{
	struct where place = where_at("%s.llmergefs", where);
	const struct json *ours = reader_typed(reader, source, "llmergefs",
					       JSON_OBJECT, place.text);
	const struct json *base = json_given(ours, "base_model");

	place = where_at("%s.llmergefs.base_model", where);
	if (base)
		out->has_own_base =
			reader_ref(reader, base, place.text, &out->own_base);
	return !base || out->has_own_base;
}

static bool read_input(const struct reader *reader, const struct json *value,
		       const char *where, struct slice_source *out)
{
	struct where inner = where_at("%s.", where);
	const struct json *model = json_member(value, "model");
	bool own_ok;

	out->path = arena_strdup(reader->recipe->arena, where);
	if (!out->path) {
		reader_wrong(reader, ENOMEM, where, "out of memory");
		return false;
	}
	if (value->type != JSON_OBJECT) {
		reader_wrong(reader, EINVAL, where,
			     "must be an object with the key `model`, not %s",
			     json_type_name(value->type));
		return false;
	}
	out->parameters = reader_parameters(reader, value, inner.text);
	own_ok = read_own_base(reader, value, where, out);
	inner = where_at("%s.model", where);
	if (model)
		return reader_ref(reader, model, inner.text, &out->model) &&
		       own_ok;
	reader_wrong(reader, EINVAL, inner.text, "missing");
	return false;
}

/* The inputs of a slice; room for one more, the base. */
static bool read_inputs(const struct reader *reader, const struct json *list,
			const char *where, bool ranged, struct slice *slice)
{
	bool ok = true;

	if (list->count >= METHOD_INPUTS_MAX) {
		reader_wrong(reader, EINVAL, where, "%zu models; at most %d",
			     list->count, METHOD_INPUTS_MAX - 1);
		return false;
	}
	slice->sources =
		reader_alloc(reader, list->count + 1, sizeof(*slice->sources));
	if (!slice->sources)
		return false;
	for (size_t i = 0; i < list->count; i++) {
		struct slice_source *source = &slice->sources[i];
		struct where place = where_at("%s[%zu]", where, i);

		ok &= read_input(reader, list->items[i], place.text, source);
		if (ranged)
			read_range(reader, list->items[i], place.text, source);
	}
	slice->count = list->count;
	return ok;
}

/* A base_model that is not among the models is one more input, the last. */
static void append_base(const struct reader *reader, struct slice *slice)
{
	struct slice_source *last = &slice->sources[slice->count];

	if (!slice->has_base)
		return;
	for (size_t i = 0; i < slice->count; i++)
		if (model_ref_equal(&slice->sources[i].model, &slice->base))
			return;
	last->model = slice->base;
	last->path = arena_strdup(reader->recipe->arena, "base_model");
	if (last->path)
		slice->count++;
	else
		reader_wrong(reader, ENOMEM, "base_model", "out of memory");
}

static void read_models(const struct reader *reader, const struct json *list)
{
	struct recipe *recipe = reader->recipe;
	struct slice *slice = reader_alloc(reader, 1, sizeof(*slice));

	if (!slice)
		return;
	slice->has_base = recipe->has_base;
	slice->base = recipe->base;
	if (!read_inputs(reader, list, "models", false, slice))
		return;
	append_base(reader, slice);
	recipe->slices = slice;
	recipe->slices_count = 1;
	recipe->whole_models = true;
}

static bool read_slice(const struct reader *reader, const struct json *value,
		       const char *where, struct slice *slice)
{
	struct where inner = where_at("%s.sources", where);
	const struct json *base = json_given(value, "base_model");
	const struct json *sources;
	bool ok = true;

	if (value->type != JSON_OBJECT) {
		reader_wrong(reader, EINVAL, where,
			     "must be an object with the key `sources`, not %s",
			     json_type_name(value->type));
		return false;
	}
	slice->has_base = reader->recipe->has_base;
	slice->base = reader->recipe->base;
	sources = reader_list(reader, value, "sources", inner.text);
	if (!sources)
		reader_wrong(reader, EINVAL, inner.text, "no source is listed");
	else
		ok = read_inputs(reader, sources, inner.text, true, slice);
	inner = where_at("%s.", where);
	slice->parameters = reader_parameters(reader, value, inner.text);
	inner = where_at("%s.base_model", where);
	if (base)
		slice->has_base =
			reader_ref(reader, base, inner.text, &slice->base);
	return sources && ok && (!base || slice->has_base);
}

static void read_slices(const struct reader *reader, const struct json *list)
{
	struct recipe *recipe = reader->recipe;
	struct slice *slices =
		reader_alloc(reader, list->count, sizeof(*slices));
	bool ok = slices != NULL;

	for (size_t i = 0; slices && i < list->count; i++) {
		struct where place = where_at("slices[%zu]", i);

		ok &= read_slice(reader, list->items[i], place.text,
				 &slices[i]);
	}
	if (!ok)
		return;
	recipe->slices = slices;
	recipe->slices_count = list->count;
}

static void read_lists(const struct reader *reader)
{
	const struct json *tree = reader->recipe->tree;
	size_t errors = reader->report->errors;
	const struct json *models =
		reader_list(reader, tree, "models", "models");
	const struct json *slices =
		reader_list(reader, tree, "slices", "slices");
	const struct json *modules =
		reader_typed(reader, tree, "modules", JSON_OBJECT, "modules");
	bool modular = modules && modules->count > 0;

	if (!!models + !!slices + modular != 1 &&
	    reader->report->errors == errors)
		reader_wrong(reader, EINVAL, "",
			     "exactly one of `models`, `slices` and `modules` "
			     "must be "
			     "present and not empty");
	if (modular)
		reader_wrong(
			reader, ENOTSUP, "modules",
			"not supported yet; `models` merges all modules of the "
			"models alike");
	if (models)
		read_models(reader, models);
	if (slices)
		read_slices(reader, slices);
}

/* False (reported): there is one, and it is no reference. */
static bool read_base(const struct reader *reader)
{
	struct recipe *recipe = reader->recipe;
	const struct json *base = json_given(recipe->tree, "base_model");

	if (base)
		recipe->has_base =
			reader_ref(reader, base, "base_model", &recipe->base);
	return !base || recipe->has_base;
}

void recipe_read_inputs(const struct reader *reader)
{
	bool base_ok = read_base(reader);

	reader->recipe->parameters =
		reader_parameters(reader, reader->recipe->tree, "");
	read_lists(reader);
	if (!base_ok)
		reader->recipe->slices = NULL;
}
