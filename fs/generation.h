/*
 * The life of one generation of a recipe file (see catalog.h): its lenses are
 * opened and hung into a volume, then it is made known to the engine and
 * attached to the tree, and at last, when nobody can read it any more, closed.
 */
#ifndef LMFS_GENERATION_H
#define LMFS_GENERATION_H

#include "fs/catalog.h"

/*
 * Open all recipes of a file, each sentence said once however many points it
 * is true of. Takes the file and a reference of the models (NULL: no memory for
 * them), in any case. NULL, with everything wrong in the report.
 */
struct generation *generation_open(struct recipe_file *file,
				   struct model_set *models,
				   struct report *report);

/* Make its lenses known to the engine: all, or none. */
int generation_join(struct generation *generation, struct engine *engine,
		    struct error *err);

/* Whether it has left: nobody begins anything new for it then. */
void generation_retire(struct generation *generation, bool retired);

/* Stop its warming, and let the engine forget it: waits for what is being made
 * of it. Does nothing the second time. */
void generation_forget(struct generation *generation, struct engine *engine);

/* It has been forgotten, or never joined; its volume is the tree's, or was
 * never attached (then it is closed here). NULL is fine. */
void generation_close(struct generation *generation);

#endif
