#include "fs/generation.h"

#include <errno.h>

#include "core/base/text.h"
#include "fs/live.h"
#include "fs/warm.h"

/* Whether a sentence that ends like this has been said already. */
static bool is_said(const struct report *report, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < report->count; i++) {
		const char *said = report->notes[i].text;
		size_t said_len = strlen(said);

		if (said_len >= len && strcmp(said + said_len - len, text) == 0)
			return true;
	}
	return false;
}

/* Add what is new of the notes on one point, with its name in front. */
static void add_new(struct report *report, const struct report *notes,
		    const char *point)
{
	for (size_t i = 0; i < notes->count; i++) {
		const struct note *note = &notes->notes[i];
		const char *name = point ? point : "";
		const char *colon = point ? ": " : "";

		if (is_said(report, note->text))
			continue;
		if (note->kind == NOTE_ERROR)
			report_error(report, note->code, "%s%s%s", name, colon,
				     note->text);
		else
			report_warning(report, "%s%s%s", name, colon,
				       note->text);
	}
}

static bool open_lens(struct generation *generation, struct model_set *models,
		      size_t i, struct report *report)
{
	AUTO_REPORT struct report notes = REPORT_INIT;
	struct recipe *recipe = recipe_file_recipe(generation->file, i, report);

	if (!recipe)
		return false;
	generation->lenses[i] = lens_open(recipe, models, &notes);
	add_new(report, &notes, recipe_file_point(generation->file, i));
	return generation->lenses[i];
}

static bool open_lenses(struct generation *generation, struct model_set *models,
			struct report *report)
{
	size_t count = recipe_file_count(generation->file);
	bool sound = true;

	generation->lenses = calloc(count, sizeof(struct lens *));
	if (!generation->lenses || !models) {
		report_error(report, ENOMEM, "%s: no memory",
			     recipe_file_path(generation->file));
		return false;
	}
	generation->count = count;
	for (size_t i = 0; i < count; i++)
		sound &= open_lens(generation, models, i, report);
	return sound;
}

/* --- what it shows ------------------------------------------------------ */

static void write_point(FILE *out, const char *name,
			const struct recipe *recipe)
{
	char hash[HASH_HEX_LEN + 1];

	hash_hex(recipe->hash, hash);
	fputs("    {\"name\": ", out);
	json_write_string(out, name);
	fprintf(out, ", \"hash\": \"%s\",\n     \"recipe\": ", hash);
	json_write(out, recipe->tree, 0);
	fputc('}', out);
}

/* Every point with its recipe: index.json. */
static int make_index(struct generation *generation)
{
	AUTO_TEXT struct text text = TEXT_INIT;

	if (text_open(&text) < 0)
		return -ENOMEM;
	fputs("{\n  \"schema\": \"llmergefs-index-1\",\n  \"points\": [\n",
	      text.out);
	for (size_t i = 0; i < generation->count; i++) {
		fputs(i ? ",\n" : "", text.out);
		write_point(text.out, recipe_file_point(generation->file, i),
			    generation->lenses[i]->recipe);
	}
	fputs("\n  ]\n}\n", text.out);
	return text_take(&text, &generation->index, NULL);
}

static int add_index(struct generation *generation, struct error *err)
{
	struct node model = { .kind = NODE_TEXT };

	if (make_index(generation) < 0)
		return fail(err, ENOMEM, "no memory for index.json");
	model.mtime = generation->lenses[0]->mtime;
	model.text = generation->index;
	model.size = strlen(generation->index);
	return volume_add(generation->volume, "index.json", &model, err);
}

static int fill_volume(struct generation *generation, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < generation->count; i++) {
		const char *point = recipe_file_point(generation->file, i);
		const char *dir = point ? point : "";

		rc = volume_add_lens(generation->volume, dir,
				     generation->lenses[i], err);
		if (rc == 0)
			rc = live_add_lens(generation->volume, dir,
					   generation->lenses[i], err);
	}
	if (rc == 0 && recipe_file_sweeps(generation->file))
		rc = add_index(generation, err);
	return rc;
}

static bool open_volume(struct generation *generation, struct report *report)
{
	struct error err;

	generation->volume = volume_open(generation->lenses[0]->mtime);
	if (!generation->volume) {
		report_error(report, ENOMEM, "no memory for a folder");
		return false;
	}
	if (fill_volume(generation, &err) == 0)
		return true;
	report_failure(report, &err);
	return false;
}

struct generation *generation_open(struct recipe_file *file,
				   struct model_set *models,
				   struct report *report)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	bool sound = false;

	if (generation) {
		generation->file = file;
		sound = open_lenses(generation, models, report) &&
			open_volume(generation, report);
	} else {
		report_error(report, ENOMEM, "%s: no memory",
			     recipe_file_path(file));
		recipe_file_close(file);
	}
	model_set_close(models);
	if (sound)
		return generation;
	generation_close(generation);
	return NULL;
}

/* --- its life ----------------------------------------------------------- */

int generation_join(struct generation *generation, struct engine *engine,
		    struct error *err)
{
	size_t joined = 0;
	int rc = 0;

	while (joined < generation->count && rc == 0) {
		rc = engine_add(engine, generation->lenses[joined], err);
		joined += rc == 0;
	}
	generation->joined = rc == 0;
	for (; rc && joined > 0; joined--)
		engine_forget(engine, generation->lenses[joined - 1]);
	return rc;
}

void generation_retire(struct generation *generation, bool retired)
{
	for (size_t i = 0; i < generation->count; i++)
		atomic_store(&generation->lenses[i]->live->retired, retired);
}

void generation_forget(struct generation *generation, struct engine *engine)
{
	if (!generation->joined)
		return;
	generation_retire(generation, true);
	warm_close(TAKE(generation->warm));
	for (size_t i = 0; i < generation->count; i++)
		engine_forget(engine, generation->lenses[i]);
	generation->joined = false;
}

void generation_close(struct generation *generation)
{
	if (!generation)
		return;
	if (!generation->attached)
		volume_close(generation->volume);
	for (size_t i = 0; i < generation->count; i++)
		lens_close(generation->lenses[i]);
	free(generation->lenses);
	free(generation->index);
	recipe_file_close(generation->file);
	free(generation);
}
