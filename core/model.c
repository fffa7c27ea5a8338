#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/checkpoint.h"
#include "core/model.h"
#include "core/model_find.h"

#define CONFIG_TEXT_MAX (16u << 20)

/* A model and the memory that all of it lies in. */
struct held {
	struct model model;
	struct arena *arena;
};

/* A reference that no model could be opened for. */
struct failed {
	struct model_ref ref;
	const struct failed *next;
};

struct model_set {
	char *recipe_dir;
	char *working_dir; /* NULL: the process's own */
	struct source_set *sources;
	atomic_size_t references;
	struct held **held;
	size_t count;
	const struct failed *failed;
	struct arena *arena; /* of `failed` */
};

static void held_close(struct held *held)
{
	if (!held)
		return;
	arena_close(held->arena);
	free(held);
}

static void auto_held_close(struct held *const *held)
{
	held_close(*held);
}

static void auto_model_set_close(struct model_set *const *set)
{
	model_set_close(*set);
}

struct model_set *model_set_open(const char *recipe_dir,
				 struct source_set *sources)
{
	AUTO(auto_model_set_close)
	struct model_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	atomic_init(&set->references, 1);
	set->recipe_dir = strdup(recipe_dir);
	set->sources =
		sources ? source_set_open_in(sources) : source_set_open();
	set->arena = arena_open();
	if (!set->recipe_dir || !set->sources || !set->arena)
		return NULL;
	return TAKE(set);
}

int model_set_working_dir(struct model_set *set, const char *dir)
{
	set->working_dir = strdup(dir);
	return set->working_dir ? 0 : -ENOMEM;
}

struct model_set *model_set_hold(struct model_set *set)
{
	atomic_fetch_add(&set->references, 1);
	return set;
}

void model_set_close(struct model_set *set)
{
	if (!set || atomic_fetch_sub(&set->references, 1) > 1)
		return;
	for (size_t i = 0; i < set->count; i++)
		held_close(set->held[i]);
	free(set->held);
	source_set_close(set->sources);
	arena_close(set->arena);
	free(set->recipe_dir);
	free(set->working_dir);
	free(set);
}

struct source_set *model_set_sources(struct model_set *set)
{
	return set->sources;
}

size_t model_set_count(const struct model_set *set)
{
	return set->count;
}

const struct model *model_set_at(const struct model_set *set, size_t i)
{
	return &set->held[i]->model;
}

static bool copy_text(const char *text, struct arena *arena, const char **copy)
{
	*copy = text ? arena_strdup(arena, text) : NULL;
	return *copy || !text;
}

static bool copy_ref(const struct model_ref *ref, struct arena *arena,
		     struct model_ref *copy)
{
	return copy_text(ref->path, arena, &copy->path) &&
	       copy_text(ref->revision, arena, &copy->revision) &&
	       copy_text(ref->lora, arena, &copy->lora) &&
	       copy_text(ref->override_architecture, arena,
			 &copy->override_architecture) &&
	       copy_text(ref->text, arena, &copy->text);
}

static int read_config(struct model *model, struct arena *arena,
		       struct error *err)
{
	const char *path = arena_printf(arena, "%s/config.json", model->dir);
	AUTO_FREE char *text = NULL;
	struct error cause;
	struct json *tree;
	int rc;

	if (!path)
		return fail(err, ENOMEM, "%s: no memory", model->dir);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	rc = file_slurp(path, CONFIG_TEXT_MAX, &text, &model->config_len, err);
	if (rc)
		return rc;
	rc = json_parse(text, model->config_len, arena, &tree, &cause);
	if (rc)
		return fail(err, rc == -ENOMEM ? ENOMEM : EBADMSG, "%s: %s",
			    path, cause.text);
	if (tree->type != JSON_OBJECT)
		return fail(err, EBADMSG, "%s: must be an object, not %s", path,
			    json_type_name(tree->type));
	model->config = tree;
	model->config_text = arena_strndup(arena, text, model->config_len);
	if (!model->config_text)
		return fail(err, ENOMEM, "%s: no memory", path);
	return 0;
}

static void read_model(struct model *model, const struct model_place *place,
		       struct arena *arena, struct source_set *sources,
		       struct report *report)
{
	struct checkpoint checkpoint = { 0 };
	struct error err;

	if (model->ref.revision && !place->in_hub)
		report_warning(report,
			       "model \"%s\": its revision is ignored, since "
			       "%s is a folder",
			       model->ref.text, place->dir);
	model->dir = place->dir;
	if (read_config(model, arena, &err))
		report_failure(report, &err);
	checkpoint_read(place->dir, place->remedy, sources, arena, &checkpoint,
			report);
	model->tensors = checkpoint.tensors;
	model->count = checkpoint.count;
	if (layer_spans(model->tensors, model->count, arena, &model->spans,
			&model->spans_count))
		report_error(report, ENOMEM, "%s: no memory", model->dir);
}

static struct held *held_open(struct model_set *set,
			      const struct model_ref *ref,
			      struct report *report)
{
	AUTO(auto_held_close) struct held *held = calloc(1, sizeof(*held));
	const struct model_dirs dirs = { set->recipe_dir, set->working_dir };
	size_t errors = report->errors;
	struct model_place place;
	struct error err;

	if (held)
		held->arena = arena_open();
	if (!held || !held->arena ||
	    !copy_ref(ref, held->arena, &held->model.ref)) {
		report_error(report, ENOMEM, "model \"%s\": no memory",
			     ref->text);
		return NULL;
	}
	if (model_find(ref, &dirs, held->arena, &place, &err)) {
		report_failure(report, &err);
		return NULL;
	}
	read_model(&held->model, &place, held->arena, set->sources, report);
	return report->errors == errors ? TAKE(held) : NULL;
}

static bool reserve(struct model_set *set, struct report *report)
{
	struct held **grown =
		reallocarray(set->held, set->count + 1, sizeof(struct held *));

	if (!grown) {
		report_error(report, ENOMEM, "no memory");
		return false;
	}
	set->held = grown;
	return true;
}

/* What finds no memory here is only reported once more. */
static void remember_failed(struct model_set *set, const struct model_ref *ref)
{
	struct failed *failed = arena_alloc(set->arena, 1, sizeof(*failed));

	if (!failed || !copy_ref(ref, set->arena, &failed->ref))
		return;
	failed->next = set->failed;
	set->failed = failed;
}

const struct model *model_get(struct model_set *set,
			      const struct model_ref *ref,
			      struct report *report)
{
	AUTO(auto_held_close) struct held *made = NULL;

	for (size_t i = 0; i < set->count; i++)
		if (model_ref_equal(&set->held[i]->model.ref, ref))
			return &set->held[i]->model;
	for (const struct failed *f = set->failed; f; f = f->next)
		if (model_ref_equal(&f->ref, ref))
			return NULL;
	made = held_open(set, ref, report);
	if (!made || !reserve(set, report)) {
		remember_failed(set, ref);
		return NULL;
	}
	set->held[set->count++] = made;
	return &TAKE(made)->model;
}

static int by_tensor_name(const void *key, const void *item)
{
	return strcmp(key, (*(const struct tensor *const *)item)->name);
}

const struct tensor *model_tensor(const struct model *model, const char *name)
{
	const struct tensor *const *found;

	found = bsearch(name, model->tensors, model->count,
			sizeof(model->tensors[0]), by_tensor_name);
	return found ? *found : NULL;
}

struct prefix {
	const char *text;
	size_t len;
};

static int by_prefix(const void *key, const void *item)
{
	const struct prefix *prefix = key;
	const struct layer_span *span = item;
	int order = strncmp(prefix->text, span->prefix, prefix->len);

	return order ? order : -(span->prefix[prefix->len] != '\0');
}

size_t model_layers(const struct model *model, const char *prefix, size_t len)
{
	const struct prefix key = { prefix, len };
	const struct layer_span *span;

	span = bsearch(&key, model->spans, model->spans_count,
		       sizeof(model->spans[0]), by_prefix);
	return span ? span->layers : 0;
}
