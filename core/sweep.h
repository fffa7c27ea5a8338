/*
 * A sweep: many recipes out of one.
 *
 *	llmergefs:
 *	  sweep:				every combination, the last
 *	    parameters.lambda: [0.2, 0.4]	key turning fastest
 *	    models[1].parameters.density: [0.3, 0.5]
 * or
 *	  sweep:				point by point, where values go
 *	  - {models[0].parameters.weight: 0.2,	together
 *	     models[1].parameters.weight: 0.8}
 *
 * A point is named by its values as they are written, each key by its shortest
 * end that no other key of the sweep has: lambda=0.4,density=0.3, or, where
 * "weight" alone would be two, models.0.weight=0.2,models.1.weight=0.8 (from
 * the front up to what tells them apart, then the last name). A number keeps
 * its spelling, so 0.20 stays lambda=0.20; a list or an object is JSON without
 * blanks; a '/' becomes '_'. Two points of one name are an error, and so is a
 * name that no folder can have: longer than 255 bytes, or with a control
 * character.
 *
 * In the first form every value is a list of alternatives, and a gradient is a
 * list in that list; in the second values are taken whole, and points may
 * differ in their keys. A key may not lie in another of the same point.
 */
#ifndef LMFS_SWEEP_H
#define LMFS_SWEEP_H

#include "core/setting.h"

#define SWEEP_POINTS_MAX 4096
#define SWEEP_KEYS_MAX 32

struct sweep_point {
	const char *name;
	const struct setting *settings;
	size_t count;
};

struct sweep {
	const struct sweep_point *points; /* in the order of the text */
	size_t count;
	const char *const *keys; /* what the points set, as they come */
	size_t keys_count;
};

/*
 * Expand the value of llmergefs.sweep. What is wrong goes to the report as
 * "path: llmergefs.sweep...: sentence", path being the recipe's. 0, or the
 * negative code of the first error.
 */
int sweep_read(const struct json *value, const char *path, struct arena *arena,
	       struct sweep *sweep, struct report *report);

#endif
