/*
 * A recipe file: one recipe, or, where it has a sweep, many. The text is read
 * once; each recipe of it is then made on its own, with its settings in the
 * tree and without llmergefs.sweep. A recipe that differs from the text of the
 * file (a point of a sweep, or settings from outside) has its own tree, as
 * JSON, for its text: what mergekit_config.yml and the model card show is what
 * was merged, and its hash is that of the same recipe written by hand.
 */
#ifndef LMFS_RECIPE_FILE_H
#define LMFS_RECIPE_FILE_H

#include "core/recipe.h"
#include "core/setting.h"

struct recipe_file;

/*
 * Read the file, apply the settings (copied) and expand its sweep. A setting
 * for a path that the sweep sets, too, is EINVAL. All that is wrong goes to the
 * report; NULL if anything is.
 */
struct recipe_file *recipe_file_open(const char *path,
				     const struct setting *settings,
				     size_t count, struct report *report);

/* A text in memory; `path` names it in sentences and gives its folder. */
struct recipe_text {
	const char *path;
	const char *text;
	size_t len;
	bool yaml; /* else JSON */
};

/* The same from a text, of which nothing is kept. */
struct recipe_file *recipe_file_parse(const struct recipe_text *text,
				      const struct setting *settings,
				      size_t count, struct report *report);
void recipe_file_close(struct recipe_file *file); /* NULL is fine */
static inline void recipe_file_auto_close(struct recipe_file *const *file)
{
	recipe_file_close(*file);
}
#define AUTO_RECIPE_FILE AUTO(recipe_file_auto_close)

const char *recipe_file_path(const struct recipe_file *file);
const char *recipe_file_dir(const struct recipe_file *file); /* absolute */

/* Whether there is a sweep, and how many recipes: 1 without one. */
bool recipe_file_sweeps(const struct recipe_file *file);
size_t recipe_file_count(const struct recipe_file *file);

/* The name of the i-th point; NULL: there is no sweep. */
const char *recipe_file_point(const struct recipe_file *file, size_t i);

/* The index of a point by its name, SIZE_MAX: there is none. */
size_t recipe_file_find(const struct recipe_file *file, const char *name);

/*
 * The i-th recipe, which outlives the file. Errors and warnings of a point
 * name it: "sweep.yml: lambda=0.4: ..."; what the report already says of
 * another point of the file is counted, but not said again. NULL if anything is
 * wrong.
 */
struct recipe *recipe_file_recipe(const struct recipe_file *file, size_t i,
				  struct report *report);

#endif
