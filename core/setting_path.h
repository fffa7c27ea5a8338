/*
 * The path of a setting, in steps: "models[1].parameters.density" is a member,
 * an item and two members. A path begins with a member. A member's name is any
 * text without '.', '[' and ']' that is no plain number: those are the numbers
 * of items, which stand in brackets.
 */
#ifndef LMFS_SETTING_PATH_H
#define LMFS_SETTING_PATH_H

#include "core/setting.h"

#define SETTING_INDEX_DIGITS 9

struct setting_step {
	const char *name; /* in the text, ended by `len`: no NUL after it */
	size_t len;	  /* of a member's name */
	size_t index;	  /* of an item */
	bool item;
	size_t end; /* of the path up to this step, as text */
};

struct setting_path {
	const char *text; /* borrowed */
	struct setting_step steps[SETTING_STEPS_MAX];
	size_t count; /* 1 or more */
};

/* EINVAL with a sentence that shows the path. */
int setting_path_read(const char *text, struct setting_path *path,
		      struct error *err);

bool setting_step_equal(const struct setting_step *a,
			const struct setting_step *b);

/* How many steps two paths have in common from the front. */
size_t setting_path_common(const struct setting_path *a,
			   const struct setting_path *b);

/* Whether `inner` is `outer`, or lies in it. */
bool setting_path_inside(const struct setting_path *inner,
			 const struct setting_path *outer);

#endif
