#include "core/recipe_file_inside.h"

#include <errno.h>
#include <strings.h>

#include "core/base/file.h"
#include "core/recipe_reader.h"
#include "core/setting_path.h"
#include "core/yaml.h"

/* The absolute folder of the file's path, in the arena. */
static const char *folder_of(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 1;
	const char *start = slash ? path : ".";
	AUTO_FREE char *dir = strndup(start, slash && len == 0 ? 1 : len);
	AUTO_FREE char *absolute = dir ? realpath(dir, NULL) : NULL;

	return dir ? arena_strdup(arena, absolute ? absolute : dir) : NULL;
}

/* An empty file that owns its arena; NULL: no memory. */
static struct recipe_file *file_new(const struct recipe_text *text)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct recipe_file *file;

	file = arena ? arena_alloc(arena, 1, sizeof(*file)) : NULL;
	if (!file)
		return NULL;
	file->path = arena_strdup(arena, text->path);
	file->dir = folder_of(arena, text->path);
	file->text = arena_strndup(arena, text->text, text->len);
	file->text_len = text->len;
	if (!file->path || !file->dir || !file->text)
		return NULL;
	file->arena = TAKE(arena);
	return file;
}

/* Say the sentence of a failed call; returns its code. */
static int failed(const struct recipe_file *file, const struct error *err,
		  const char *where, struct report *report)
{
	report_error(report, err->code, "%s: %s%s", file->path, where,
		     err->text);
	return -err->code;
}

static int parse_tree(struct recipe_file *file, bool yaml,
		      struct report *report)
{
	struct error err = { 0 };
	struct json *tree = NULL;
	int rc;

	rc = yaml ? yaml_parse(file->text, file->text_len, file->arena, &tree,
			       &err)
		  : json_parse(file->text, file->text_len, file->arena, &tree,
			       &err);
	if (rc < 0)
		return failed(file, &err, "", report);
	file->tree = tree;
	if (tree->type == JSON_OBJECT)
		return 0;
	report_error(report, EINVAL,
		     "%s: must be an object with keys such as `merge_method` "
		     "and `models`, not %s",
		     file->path, json_type_name(tree->type));
	return -EINVAL;
}

/* Settings from outside, copied into the tree. */
static int apply_settings(struct recipe_file *file,
			  const struct setting *settings, size_t count,
			  struct report *report)
{
	struct error err = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct setting own = settings[i];
		int rc;

		own.value = json_copy(settings[i].value, file->arena);
		rc = own.value ? settings_apply(file->tree, &own, 1,
						file->arena, &file->tree, &err)
			       : fail(&err, ENOMEM, "out of memory");
		if (rc < 0)
			return failed(file, &err, "", report);
	}
	file->changed = count > 0;
	return 0;
}

/* What the sweep gives a value to at each point, nothing else may set. */
static int check_settings(const struct recipe_file *file,
			  const struct setting *settings, size_t count,
			  struct report *report)
{
	struct setting_path own, swept;
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < file->sweep.keys_count; j++) {
			const char *key = file->sweep.keys[j];

			if (setting_path_read(settings[i].path, &own, NULL) <
				    0 ||
			    setting_path_read(key, &swept, NULL) < 0 ||
			    !setting_path_inside(&own, &swept))
				continue;
			report_error(report, EINVAL,
				     "%s: %s: the sweep gives %s its values; "
				     "set something else, or change "
				     "llmergefs.sweep",
				     file->path, settings[i].path, key);
			rc = -EINVAL;
		}
	}
	return rc;
}

/* Each key of the sweep leads somewhere, which its values have no say in. */
static int check_keys(const struct recipe_file *file, struct report *report)
{
	static const struct json null = { .type = JSON_NULL };
	AUTO_ARENA struct arena *scratch = arena_open();
	int rc = 0;

	if (!scratch) {
		report_error(report, ENOMEM, "%s: out of memory", file->path);
		return -ENOMEM;
	}
	for (size_t i = 0; i < file->sweep.keys_count; i++) {
		struct setting setting = { file->sweep.keys[i], &null };
		const struct json *tree;
		struct error err = { 0 };

		if (settings_apply(file->tree, &setting, 1, scratch, &tree,
				   &err) < 0)
			rc = failed(file, &err, "llmergefs.sweep: ", report);
	}
	return rc;
}

/* Take the sweep out of the tree, and `llmergefs` where nothing else is in it.
 */
static int remove_sweep(struct recipe_file *file, struct report *report)
{
	struct error err = { 0 };
	int rc = setting_remove(file->tree, "llmergefs.sweep", file->arena,
				&file->tree, &err);

	if (rc == 0 && json_member(file->tree, "llmergefs")->count == 0)
		rc = setting_remove(file->tree, "llmergefs", file->arena,
				    &file->tree, &err);
	return rc < 0 ? failed(file, &err, "", report) : 0;
}

static int read_sweep(struct recipe_file *file, struct report *report)
{
	const struct json *value =
		json_given(json_member(file->tree, "llmergefs"), "sweep");
	int rc;

	if (!value)
		return 0;
	file->sweeps = true;
	rc = sweep_read(value, file->path, file->arena, &file->sweep, report);
	if (rc == 0)
		rc = remove_sweep(file, report);
	return rc < 0 ? rc : check_keys(file, report);
}

struct recipe_file *recipe_file_parse(const struct recipe_text *text,
				      const struct setting *settings,
				      size_t count, struct report *report)
{
	AUTO_RECIPE_FILE struct recipe_file *file = file_new(text);
	int rc;

	if (!file) {
		report_error(report, ENOMEM, "%s: out of memory", text->path);
		return NULL;
	}
	rc = parse_tree(file, text->yaml, report);
	if (rc == 0)
		rc = apply_settings(file, settings, count, report);
	if (rc == 0)
		rc = read_sweep(file, report);
	if (rc == 0)
		rc = check_settings(file, settings, count, report);
	return rc == 0 ? TAKE(file) : NULL;
}

struct recipe_file *recipe_file_open(const char *path,
				     const struct setting *settings,
				     size_t count, struct report *report)
{
	struct error err = { 0 };
	AUTO_FREE char *bytes = NULL;
	const char *dot = strrchr(path, '.');
	struct recipe_text text = {
		.path = path,
		.yaml = !dot || strcasecmp(dot, ".json") != 0,
	};

	if (file_slurp(path, RECIPE_TEXT_MAX, &bytes, &text.len, &err) < 0) {
		report_failure(report, &err);
		return NULL;
	}
	text.text = bytes;
	return recipe_file_parse(&text, settings, count, report);
}

void recipe_file_close(struct recipe_file *file)
{
	if (file)
		arena_close(file->arena);
}

const char *recipe_file_path(const struct recipe_file *file)
{
	return file->path;
}

const char *recipe_file_dir(const struct recipe_file *file)
{
	return file->dir;
}

bool recipe_file_sweeps(const struct recipe_file *file)
{
	return file->sweeps;
}

size_t recipe_file_count(const struct recipe_file *file)
{
	return file->sweeps ? file->sweep.count : 1;
}

const char *recipe_file_point(const struct recipe_file *file, size_t i)
{
	return file->sweeps ? file->sweep.points[i].name : NULL;
}

size_t recipe_file_find(const struct recipe_file *file, const char *name)
{
	for (size_t i = 0; i < file->sweep.count; i++)
		if (strcmp(file->sweep.points[i].name, name) == 0)
			return i;
	return SIZE_MAX;
}
