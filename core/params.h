/*
 * What a parameter is worth for one tensor: mergekit's settings, resolved.
 *
 * A setting is a scalar, a list of scalars (a gradient over the layers of the
 * slice), {filter, value}, or a list of those; a filter is a plain substring of
 * the tensor's name, the first that matches wins, none: the setting is absent
 * at this level and the next level is asked. Levels, first hit wins: source,
 * slice, recipe, the method's default.
 *
 * Gradient of length L at t in [0, 1]: s = t (L - 1), between g[trunc s] and
 * the next in double arithmetic; booleans step. t = j / (n - 1) for layer j of
 * the n layers of its slice, 1 where n = 1, and 0 outside the layers.
 */
#ifndef LMFS_PARAMS_H
#define LMFS_PARAMS_H

#include "core/base/error.h"
#include "core/json.h"
#include "core/method.h"

#define PARAM_LEVELS_MAX 3

/* Where a value is looked for: `parameters` objects (NULL: none there). */
struct param_levels {
	const struct json *at[PARAM_LEVELS_MAX];
};

/*
 * The value of `option` for the tensor `name` at gradient position t: a number,
 * 0 or 1 for a bool, OPTION_UNSET for an option that has no default and need
 * not be given. EINVAL: missing though required, wrong type, out of range; the
 * sentence names the option, and the caller adds the tensor and model.
 */
int param_resolve(const struct method_option *option,
		  const struct param_levels *levels, const char *name, double t,
		  double *value, struct error *err);

/*
 * Check the form of every setting of one `parameters` object, wherever its
 * filters would match: types, gradients, mixes. Errors go to the report with
 * `path` before the name ("models[1].parameters").
 */
void param_check(const struct json *parameters,
		 const struct merge_method *method, const char *path,
		 struct report *report);

#endif
