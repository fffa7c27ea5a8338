/*
 * `.llmergefs/` at the root of a mount, which tells of itself: recipe.json (the
 * recipe, resolved), plan.json, stats.json and log, made at each open.
 */
#ifndef LMFS_LIVE_H
#define LMFS_LIVE_H

#include "fs/engine.h"
#include "fs/tree.h"

/* What the files are made from; it lives as long as the tree. */
struct live {
	struct engine *engine;
	struct lens *lens;
};

int live_add(struct live *live, struct tree *tree, struct error *err);

#endif
