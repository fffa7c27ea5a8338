/*
 * The names of a sweep: of its keys, each by its shortest end that no other key
 * has, and of its points, which are names of folders.
 *
 *	keys						names
 *	parameters.lambda				lambda
 *	parameters.t[1]					t.1
 *	models[0].parameters.weight			models.0.weight
 *	models[1].parameters.weight			models.1.weight
 *	models[1].parameters.density			density
 *
 * An end is the last member with the items behind it. Keys that share one have
 * the steps from the front in the name, too, up to those that tell each from
 * all the others.
 *
 * In the name of a point a number stands as it is written, a text as it is, a
 * list or an object as JSON without blanks; '/' becomes '_'.
 */
#ifndef LMFS_SWEEP_NAME_H
#define LMFS_SWEEP_NAME_H

#include "core/setting_path.h"

#define SWEEP_NAME_MAX 255 /* bytes, as file systems have it */

/* The names of keys, of which none is another; in the arena. 0 or -ENOMEM. */
int sweep_name_keys(const struct setting_path *keys, size_t count,
		    const char **names, struct arena *arena);

/*
 * The name of a point: names[i] goes with values[i]. EINVAL with the reason
 * where no file can have it; -ENOMEM.
 */
int sweep_name_point(const char *const *names, const struct json *const *values,
		     size_t count, struct arena *arena, const char **name,
		     struct error *err);

#endif
