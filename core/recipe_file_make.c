#include <errno.h>

#include "core/base/text.h"
#include "core/recipe_file_inside.h"
#include "core/recipe_reader.h"

/* A sentence about a point: what stands behind "path: ". */
static const char *without_path(const struct recipe_file *file,
				const char *sentence)
{
	size_t len = strlen(file->path);

	if (strncmp(sentence, file->path, len) != 0 ||
	    strncmp(sentence + len, ": ", 2) != 0)
		return sentence;
	return sentence + len + 2;
}

/* Is it "path: POINT: what", of any point of the file? */
static bool says(const struct recipe_file *file, const char *sentence,
		 const char *what)
{
	const char *rest = without_path(file, sentence);
	size_t len = strlen(rest), end = strlen(what);
	AUTO_FREE char *point = NULL;

	if (len < end + 2 || strcmp(rest + len - end, what) != 0 ||
	    strncmp(rest + len - end - 2, ": ", 2) != 0)
		return false;
	point = strndup(rest, len - end - 2);
	return point && recipe_file_find(file, point) != SIZE_MAX;
}

static bool is_said(const struct recipe_file *file, const struct report *report,
		    enum note_kind kind, const char *what)
{
	for (size_t i = 0; i < report->count; i++)
		if (report->notes[i].kind == kind &&
		    says(file, report->notes[i].text, what))
			return true;
	return false;
}

static void add_note(const struct recipe_file *file, size_t i,
		     const struct note *note, struct report *report)
{
	const char *point = recipe_file_point(file, i);
	const char *what = without_path(file, note->text);

	if (is_said(file, report, note->kind, what))
		report->errors += note->kind == NOTE_ERROR;
	else if (note->kind == NOTE_ERROR)
		report_error(report, note->code, "%s: %s: %s", file->path,
			     point, what);
	else
		report_warning(report, "%s: %s: %s", file->path, point, what);
}

/* The notes of a point, each with its name; what another has said is counted.
 */
static void add_notes(const struct recipe_file *file, size_t i,
		      const struct report *notes, struct report *report)
{
	size_t lost = notes->errors;

	for (size_t j = 0; j < notes->count; j++) {
		lost -= notes->notes[j].kind == NOTE_ERROR;
		add_note(file, i, &notes->notes[j], report);
	}
	report->errors += lost;
	report->lost += notes->lost;
}

/* Make a recipe whose text is that of its tree. */
static struct recipe *make_written(const struct recipe_file *file,
				   const struct json *tree,
				   struct report *report)
{
	struct recipe_origin origin = { .path = file->path,
					.dir = file->dir,
					.tree = tree };
	AUTO_TEXT struct text text = TEXT_INIT;
	AUTO_FREE char *bytes = NULL;

	if (text_open(&text) == 0) {
		json_write(text.out, tree, 2);
		fputc('\n', text.out);
		if (text_take(&text, &bytes, &origin.text_len) < 0)
			bytes = NULL;
	}
	if (!bytes) {
		report_error(report, ENOMEM, "%s: out of memory", file->path);
		return NULL;
	}
	origin.text = bytes;
	return recipe_make(&origin, report);
}

static struct recipe *make_point(const struct recipe_file *file, size_t i,
				 struct report *report)
{
	const struct sweep_point *point = &file->sweep.points[i];
	AUTO_ARENA struct arena *scratch = arena_open();
	struct error err = { 0 };
	const struct json *tree;
	int rc;

	rc = scratch ? settings_apply(file->tree, point->settings, point->count,
				      scratch, &tree, &err)
		     : fail(&err, ENOMEM, "out of memory");
	if (rc == 0)
		return make_written(file, tree, report);
	report_error(report, err.code, "%s: %s", file->path, err.text);
	return NULL;
}

struct recipe *recipe_file_recipe(const struct recipe_file *file, size_t i,
				  struct report *report)
{
	const struct recipe_origin origin = {
		.path = file->path,
		.dir = file->dir,
		.text = file->text,
		.text_len = file->text_len,
		.tree = file->tree,
	};
	AUTO_REPORT struct report notes = REPORT_INIT;
	struct recipe *recipe;

	if (file->sweeps) {
		recipe = make_point(file, i, &notes);
		add_notes(file, i, &notes, report);
		return recipe;
	}
	return file->changed ? make_written(file, file->tree, report)
			     : recipe_make(&origin, report);
}

/* The recipe of a file without a sweep; ends the file. */
static struct recipe *only_recipe(struct recipe_file *made,
				  struct report *report)
{
	AUTO_RECIPE_FILE struct recipe_file *file = made;

	if (!file)
		return NULL;
	if (!file->sweeps)
		return recipe_file_recipe(file, 0, report);
	report_error(report, EINVAL,
		     "%s: llmergefs.sweep: it has %zu point%s; name one "
		     "(--point %s), or mount it",
		     file->path, file->sweep.count,
		     file->sweep.count == 1 ? "" : "s",
		     file->sweep.points[0].name);
	return NULL;
}

struct recipe *recipe_parse(const char *path, const char *text, size_t len,
			    bool yaml, struct report *report)
{
	const struct recipe_text given = { path, text, len, yaml };

	return only_recipe(recipe_file_parse(&given, NULL, 0, report), report);
}

struct recipe *recipe_open(const char *path, struct report *report)
{
	return only_recipe(recipe_file_open(path, NULL, 0, report), report);
}
