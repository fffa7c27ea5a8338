/*
 * `.llmergefs/`, which tells of the mount. At its root:
 *
 *	stats.json	all figures (schema llmergefs-stats-1), one line
 *	metrics		the same for Prometheus, text format 0.0.4
 *	log		the last lines of the log
 *	errors		recipes that cannot be opened, "name.yml: sentence" a
 *			line; empty when all is well
 *	control		commands (fs/control.h)
 *
 * and in each model's folder recipe.json (the recipe, resolved) and plan.json.
 * All but control are made at each open.
 */
#ifndef LMFS_LIVE_H
#define LMFS_LIVE_H

#include "fs/access.h"
#include "fs/catalog.h"

struct passthrough;

/* What the files at the root are made from; it lives as long as the tree. */
struct live {
	struct engine *engine;
	struct catalog *catalog;
	struct access *access;		       /* may be NULL */
	const struct passthrough *passthrough; /* may be NULL */
	const char *mountpoint;
	double since; /* of clock_seconds(): when it was mounted */
	const struct engine_options *budgets; /* NULL: they are not told */
	struct tree *tree;		      /* set by live_add() */
};

int live_add(struct live *live, struct tree *tree, struct error *err);

/* recipe.json and plan.json of a lens, in .llmergefs/ below `dir` ("": the
 * volume's own folder). */
int live_add_lens(struct volume *volume, const char *dir, struct lens *lens,
		  struct error *err);

#endif
