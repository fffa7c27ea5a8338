/*
 * One value of a recipe, named by its path: the spelling that sweeps, `--set`
 * and `llmergefs set` share.
 *
 *	parameters.lambda		models[1].parameters.density
 *	slices[0].sources[1].parameters.weight		llmergefs.seed
 *
 * Members are parted by '.', items of lists stand in brackets. A member that is
 * not there yet is added, with the objects on the way to it; an item of a list
 * must be there.
 */
#ifndef LMFS_SETTING_H
#define LMFS_SETTING_H

#include "core/json.h"

#define SETTING_STEPS_MAX 16

struct setting {
	const char *path;
	const struct json *value;
};

/*
 * Parse "PATH=VALUE". The value is JSON where it parses as such, else the text
 * as a string; the path is checked. Everything lives in the arena. EINVAL with
 * what is wrong, ENOMEM.
 */
int setting_parse(const char *text, struct arena *arena,
		  struct setting *setting, struct error *err);

/*
 * The same for a list of them, in order. `option` stands before a text that is
 * wrong, with the text, in its sentence ("--set "); NULL: neither does.
 */
int settings_parse(const char *const *texts, size_t count, const char *option,
		   struct arena *arena, struct setting **settings,
		   struct error *err);

/* EINVAL with the reason where the text is no path. */
int setting_check_path(const char *path, struct error *err);

/*
 * The tree with these settings, the last of equal paths winning. What they do
 * not touch is shared with the old tree, which stays as it is. EINVAL: a path
 * that leads nowhere in this tree ("models[2]: there are 2").
 */
int settings_apply(const struct json *tree, const struct setting *settings,
		   size_t count, struct arena *arena, const struct json **out,
		   struct error *err);

/* The tree without this path, where it has it. */
int setting_remove(const struct json *tree, const char *path,
		   struct arena *arena, const struct json **out,
		   struct error *err);

#endif
