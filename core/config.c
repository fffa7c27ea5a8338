#include "core/config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "core/base/text.h"

#define EDITS_MAX 12
/* The member of a multimodal config that describes the language model. */
#define LANGUAGE_PART "text_config"

/* Edits of one object of the config. */
struct edits {
	struct json_edit list[EDITS_MAX];
	size_t count;
};

struct change {
	const struct plan *plan;
	struct model_set *models;
	struct arena *arena;
	struct report *report;
	struct edits top;
	struct edits inner; /* of LANGUAGE_PART */
	bool in_part;	    /* what is being changed stands there */
};

static int no_memory(struct error *err)
{
	return fail(err, ENOMEM, "no memory for config.json");
}

/* `value` is NULL where there was no memory for it. */
static int add_edit(struct edits *edits, const char *name, const char *value)
{
	if (!value || edits->count == EDITS_MAX)
		return -ENOMEM;
	edits->list[edits->count++] =
		(struct json_edit){ .name = name, .value = value };
	return 0;
}

/* JSON text of a string, in the arena; NULL: no memory. */
static const char *quote(struct arena *arena, const char *string,
			 const char *before, const char *after)
{
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;

	if (text_open(&text) < 0)
		return NULL;
	fputs(before, text.out);
	json_write_string(text.out, string);
	fputs(after, text.out);
	if (text_take(&text, &bytes, NULL) < 0)
		return NULL;
	return arena_strdup(arena, bytes);
}

static int change_architectures(struct change *c)
{
	const char *name = c->plan->donor->ref.override_architecture;

	if (!name)
		return 0;
	return add_edit(&c->top, "architectures",
			quote(c->arena, name, "[", "]"));
}

static int change_dtype(struct change *c)
{
	static const char *const keys[] = { "dtype", "torch_dtype" };
	const struct recipe *recipe = c->plan->recipe;
	enum dtype dtype = recipe->out_dtype != DTYPE_NONE ? recipe->out_dtype
							   : recipe->dtype;
	bool found = false;
	const char *value;
	int rc = 0;

	if (dtype == DTYPE_NONE)
		return 0;
	value = quote(c->arena, dtype_info(dtype)->torch, "", "");
	for (size_t i = 0; i < ARRAY_LEN(keys) && rc == 0; i++) {
		if (!json_member(c->plan->donor->config, keys[i]))
			continue;
		found = true;
		rc = add_edit(&c->top, keys[i], value);
	}
	if (rc == 0 && !found)
		rc = add_edit(&c->top, "torch_dtype", value);
	return rc;
}

/* The object of a model's config that is being changed. */
static const struct json *part_of(const struct change *c,
				  const struct model *model)
{
	return c->in_part ? json_member(model->config, LANGUAGE_PART)
			  : model->config;
}

/* Find where the donor has this member; false: nowhere. */
static bool find_part(struct change *c, const char *name)
{
	const struct json *config = c->plan->donor->config;

	c->in_part = !json_member(config, name);
	return !c->in_part ||
	       json_member(json_member(config, LANGUAGE_PART), name);
}

static struct edits *part_edits(struct change *c)
{
	return c->in_part ? &c->inner : &c->top;
}

static const char *number_text(struct arena *arena, uint64_t number)
{
	return arena_printf(arena, "%" PRIu64, number);
}

/* Write the layer types of one slice, which are those of its first source, and
 * add to *count; false: that source does not say. */
static bool write_slice_types(struct change *c, const struct slice *slice,
			      FILE *out, uint64_t *count)
{
	const struct slice_source *source = &slice->sources[0];
	const struct model *model =
		model_get(c->models, &source->model, c->report);
	const struct json *types;

	types = model ? json_member(part_of(c, model), "layer_types") : NULL;
	if (!types || types->type != JSON_ARRAY || source->end > types->count)
		return false;
	for (uint64_t i = source->begin; i < source->end; i++) {
		fputs((*count)++ ? ", " : "", out);
		json_write(out, types->items[i], 0);
	}
	return true;
}

static int change_layer_types(struct change *c)
{
	const struct recipe *recipe = c->plan->recipe;
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;
	uint64_t count = 0;
	bool known = true;
	const struct json *old =
		json_member(part_of(c, c->plan->donor), "layer_types");

	if (!old || old->type != JSON_ARRAY)
		return 0;
	if (text_open(&text) < 0)
		return -ENOMEM;
	fputc('[', text.out);
	for (size_t i = 0; i < recipe->slices_count && known; i++)
		known = write_slice_types(c, &recipe->slices[i], text.out,
					  &count);
	fputc(']', text.out);
	if (text_take(&text, &bytes, NULL) < 0)
		return -ENOMEM;
	if (!known) {
		report_warning(c->report,
			       "%s/config.json: layer_types is left as it is: "
			       "the sources of the slices do not all have one",
			       c->plan->donor->dir);
		return 0;
	}
	return add_edit(part_edits(c), "layer_types",
			arena_strdup(c->arena, bytes));
}

static const char *const layer_keys[] = { "num_hidden_layers", "n_layer",
					  "n_layers", "num_layers" };

/* The first of the keys that the donor has; NULL: none. */
static const char *find_layer_key(struct change *c)
{
	for (size_t i = 0; i < ARRAY_LEN(layer_keys); i++)
		if (find_part(c, layer_keys[i]))
			return layer_keys[i];
	return NULL;
}

static bool same_count(const struct json *a, const struct json *b)
{
	uint64_t x, y;

	return json_u64(a, &x) && json_u64(b, &y) && x == y;
}

/*
 * Set the number of layers. Some configs say it twice (num_layers beside
 * num_hidden_layers): every key with the same number follows.
 */
static int change_layers(struct change *c)
{
	const char *first;
	const struct json *part;
	int rc = 0;

	if (!c->plan->layers)
		return 0;
	first = find_layer_key(c);
	if (!first) {
		report_warning(c->report,
			       "%s/config.json: has no num_hidden_layers (or "
			       "n_layer, n_layers, num_layers) to set to "
			       "%" PRIu64,
			       c->plan->donor->dir, c->plan->layers);
		return 0;
	}
	part = part_of(c, c->plan->donor);
	for (size_t i = 0; i < ARRAY_LEN(layer_keys) && rc == 0; i++)
		if (layer_keys[i] == first ||
		    same_count(json_member(part, layer_keys[i]),
			       json_member(part, first)))
			rc = add_edit(part_edits(c), layer_keys[i],
				      number_text(c->arena, c->plan->layers));
	return rc < 0 ? rc : change_layer_types(c);
}

static int change_vocab_size(struct change *c)
{
	if (!c->plan->vocab_size)
		return 0;
	if (!find_part(c, "vocab_size")) {
		report_warning(c->report,
			       "%s/config.json: has no vocab_size to set to "
			       "%" PRIu64,
			       c->plan->donor->dir, c->plan->vocab_size);
		return 0;
	}
	return add_edit(part_edits(c), "vocab_size",
			number_text(c->arena, c->plan->vocab_size));
}

/*
 * The text of the part as the donor wrote it, so that 1.0 does not become 1:
 * what is left between ':' and '}' when all other members are removed.
 */
static const char *part_text(struct change *c, size_t *len, struct error *err)
{
	const struct model *donor = c->plan->donor;
	AUTO_FREE struct json_edit *others =
		calloc(donor->config->count, sizeof(*others));
	AUTO_FREE char *left = NULL;
	size_t count = 0, left_len;
	const char *begin, *end, *text;

	if (!others) {
		no_memory(err);
		return NULL;
	}
	for (size_t i = 0; i < donor->config->count; i++)
		if (strcmp(donor->config->names[i], LANGUAGE_PART) != 0)
			others[count++].name = donor->config->names[i];
	if (json_edit(donor->config_text, donor->config_len, others, count,
		      &left, &left_len, err) < 0)
		return NULL;
	begin = memchr(left, ':', left_len);
	end = memrchr(left, '}', left_len);
	assert(begin && end && begin < end);
	*len = (size_t)(end - begin - 1);
	text = arena_strndup(c->arena, begin + 1, *len);
	if (!text)
		no_memory(err);
	return text;
}

/* The part, edited, becomes one edit of the whole. */
static int edit_part(struct change *c, struct error *err)
{
	AUTO_FREE char *after = NULL;
	static const char blanks[] = " \t\r\n";
	const char *before;
	size_t len, skip;
	int rc;

	if (!c->inner.count)
		return 0;
	before = part_text(c, &len, err);
	if (!before)
		return -ENOMEM;
	rc = json_edit(before, len, c->inner.list, c->inner.count, &after, &len,
		       err);
	if (rc < 0)
		return rc;
	skip = strspn(after, blanks);
	while (len > skip && strchr(blanks, after[len - 1]))
		len--;
	if (add_edit(&c->top, LANGUAGE_PART,
		     arena_strndup(c->arena, after + skip, len - skip)) < 0)
		return no_memory(err);
	return 0;
}

static int make_changes(struct change *c, struct error *err)
{
	if (change_architectures(c) < 0 || change_dtype(c) < 0 ||
	    change_layers(c) < 0 || change_vocab_size(c) < 0)
		return no_memory(err);
	return edit_part(c, err);
}

const char *config_make(const struct plan *plan, struct model_set *models,
			struct arena *arena, size_t *len, struct report *report,
			struct error *err)
{
	struct change c = {
		.plan = plan, .models = models, .arena = arena, .report = report
	};
	AUTO_FREE char *edited = NULL;
	const char *text;

	if (make_changes(&c, err) < 0 ||
	    json_edit(plan->donor->config_text, plan->donor->config_len,
		      c.top.list, c.top.count, &edited, len, err) < 0)
		return NULL;
	text = arena_strndup(arena, edited, *len);
	if (!text)
		no_memory(err);
	return text;
}
