#include "core/sidecar.h"

#include <errno.h>

#include "core/card.h"
#include "core/config.h"
#include "core/donor.h"

#define MADE_MAX 4
#define INDEX_NAME "model.safetensors.index.json"

static const char made[] = "made";

struct builder {
	const struct plan *plan;
	const struct layout *layout;
	struct model_set *models;
	struct sidecars *out;
	struct report *report;
};

/* Adds a file of ours; takes nothing: text lives as long as the sidecars. */
static void add_text(struct sidecars *out, const char *path, const char *text,
		     size_t len)
{
	out->files[out->count++] = (struct sidecar){
		.path = path, .text = text, .size = len, .origin = made
	};
}

static int add_config(struct builder *b, struct error *err)
{
	const char *text;
	size_t len;

	if (!b->plan->donor->config) {
		report_warning(
			b->report,
			"%s: has no config.json, so the merged model has "
			"none, and transformers cannot load it",
			b->plan->donor->dir);
		return 0;
	}
	text = config_make(b->plan, b->models, b->out->arena, &len, b->report,
			   err);
	if (!text)
		return fail_in(err, -err->code, "%s/config.json",
			       b->plan->donor->dir);
	add_text(b->out, "config.json", text, len);
	return 0;
}

static int add_card(struct builder *b, struct error *err)
{
	AUTO_FREE char *card = NULL;
	const char *text;
	size_t len;

	card = card_make(b->plan, b->models, &len);
	text = card ? arena_strndup(b->out->arena, card, len) : NULL;
	if (!text)
		return fail(err, ENOMEM, "no memory for README.md");
	add_text(b->out, "README.md", text, len);
	return 0;
}

static int add_made(struct builder *b, struct error *err)
{
	const struct recipe *recipe = b->plan->recipe;
	int rc;

	rc = add_config(b, err);
	if (rc == 0)
		rc = add_card(b, err);
	if (rc < 0)
		return rc;
	add_text(b->out, "mergekit_config.yml", recipe->text, recipe->text_len);
	if (b->layout->index)
		add_text(b->out, INDEX_NAME, b->layout->index,
			 b->layout->index_len);
	return 0;
}

/* Whether the path, or the folder at its top, has the name of a file of ours.
 */
static bool is_taken(const struct sidecars *out, const char *path)
{
	size_t len = strcspn(path, "/");

	for (size_t i = 0; i < out->count && !out->files[i].source; i++)
		if (strncmp(out->files[i].path, path, len) == 0 &&
		    !out->files[i].path[len])
			return true;
	return false;
}

/* A file of the donor; one that went since it was listed is a warning. */
static int add_donor_file(struct builder *b, const char *path,
			  struct error *err)
{
	const char *dir = b->plan->donor->dir;
	struct source *source;
	const char *full;
	int rc;

	if (is_taken(b->out, path))
		return 0;
	full = arena_printf(b->out->arena, "%s/%s", dir, path);
	if (!full)
		return fail(err, ENOMEM, "no memory for the files of %s", dir);
	rc = source_get(model_set_sources(b->models), full, &source, err);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0) {
		report_warning(b->report, "left out: %s", err->text);
		return 0;
	}
	b->out->files[b->out->count++] =
		(struct sidecar){ .path = path,
				  .size = source_size(source),
				  .source = source,
				  .origin = dir };
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct sidecar *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int build(struct builder *b, struct error *err)
{
	struct sidecars *out = b->out;
	struct donor_files found;
	int rc;

	out->arena = arena_open();
	if (!out->arena ||
	    donor_list(b->plan->donor->dir, out->arena, &found, b->report) < 0)
		return fail(err, ENOMEM, "no memory for the files of %s",
			    b->plan->donor->dir);
	out->files = arena_alloc(out->arena, MADE_MAX + found.count,
				 sizeof(*out->files));
	if (!out->files)
		return fail(err, ENOMEM, "no memory for the files of %s",
			    b->plan->donor->dir);
	rc = add_made(b, err);
	for (size_t i = 0; i < found.count && rc == 0; i++)
		rc = add_donor_file(b, found.paths[i], err);
	qsort(out->files, out->count, sizeof(*out->files), by_path);
	return rc;
}

struct sidecars *sidecars_open(const struct plan *plan,
			       const struct layout *layout,
			       struct model_set *models, struct report *report)
{
	struct sidecars *out = calloc(1, sizeof(*out));
	struct builder b = { plan, layout, models, out, report };
	struct error err = { 0 };

	if (!out) {
		report_error(report, ENOMEM, "no memory for the small files");
		return NULL;
	}
	if (build(&b, &err) < 0) {
		report_failure(report, &err);
		sidecars_close(out);
		return NULL;
	}
	return out;
}

void sidecars_close(struct sidecars *sidecars)
{
	if (!sidecars)
		return;
	arena_close(sidecars->arena);
	free(sidecars);
}
