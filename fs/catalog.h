/*
 * The recipes of a mount, and their generations. A recipe that changes gets a
 * new generation: lenses opened anew, a volume of the tree, new inodes; the one
 * before leaves the tree, and ends when its last reader does.
 *
 *	one recipe file		its files are those of the root
 *	one with a sweep	the root has a folder a point, and index.json
 *	several files, or a	the root has a folder a recipe, called like the
 *	folder of them		file without its ending, and `current`
 *
 * A folder is followed: a file that comes, changes or goes is a recipe that
 * does. A recipe that cannot be opened stands in .llmergefs/errors with what is
 * wrong, and has no folder, for what it would show is not known; those who have
 * its last generation open keep it. Files that were named one by one are read
 * once, and all must be sound.
 *
 * Sources are shared by all generations, opened once, and closed with the last
 * generation that has them. Changes are made one after the other; who only
 * looks does not wait for the opening of a generation, and readers of files
 * take no lock of the catalog's at all.
 */
#ifndef LMFS_CATALOG_H
#define LMFS_CATALOG_H

#include "core/recipe_file.h"
#include "fs/engine.h"
#include "fs/tree.h"

#define CATALOG_RECIPES_MAX 10000

/* One generation of one recipe file, whole. Immutable but for what its lenses
 * say can change. */
struct generation {
	unsigned number; /* of its recipe, from 1 */
	struct recipe_file *file;
	struct lens **lenses; /* one a point, in the order of points */
	size_t count;
	struct volume *volume; /* of the tree, once it is attached */
	char *index;	       /* index.json; NULL: there is no sweep */
	struct warm *warm;     /* its reductions are being made; NULL: no */
	bool joined;	       /* the engine knows its lenses */
	bool attached;	       /* its volume is the tree's */
	struct catalog *catalog;
	struct generation *next; /* the catalog's own */
};

struct catalog;

/*
 * Read the recipes: files, or one folder. All that is wrong goes to the report;
 * NULL if anything is that the mount cannot be without. Nothing is started:
 * a daemon forks after it.
 */
struct catalog *catalog_open(const char *const *paths, size_t count,
			     struct report *report);

struct source_set *catalog_sources(struct catalog *catalog);
struct timespec catalog_mtime(const struct catalog *catalog);

/* EINVAL where a mount on this folder would hide what it is made from. */
int catalog_check_mountpoint(struct catalog *catalog, const char *mountpoint,
			     struct error *err);

/* What a catalog that is served works with; all is borrowed. */
struct catalog_service {
	struct engine *engine;
	struct tree *tree;
	bool warm; /* make the reductions of each generation beforehand */
	/* Tell the kernel to let go of what has left the tree. Called on the
	 * catalog's thread. */
	void (*let_go)(void *ctx);
	void *ctx;
};

/* Show all generations in the tree. */
int catalog_serve(struct catalog *catalog,
		  const struct catalog_service *service, struct error *err);

/* Once the mount answers: start the thread that follows the folder and ends
 * generations. `device` is the mount's: no source may lie on it. */
int catalog_follow(struct catalog *catalog, dev_t device, struct error *err);

/*
 * Stop following, and let the engine forget all lenses: before the session of
 * the kernel is closed, so that every parked read is answered. Then the tree is
 * closed, and then catalog_close(), before the engine.
 */
void catalog_stop(struct catalog *catalog);
void catalog_close(struct catalog *catalog); /* NULL is fine */

/* --- what a person may ask for ------------------------------------------- */

/* Point `current` at a folder of the mount: "a", "a/lambda=0.4". EINVAL. */
int catalog_switch(struct catalog *catalog, const char *name,
		   struct error *err);

/* What catalog_set() is asked for, and what has come of it. */
struct catalog_change {
	const char *name; /* of the recipe; NULL or "": the only one */
	const char *const *settings; /* "PATH=VALUE" each */
	size_t count;
	unsigned number;       /* of the new generation */
	struct report *report; /* warnings; with a failure errors, too */
};

/*
 * Make the next generation of a recipe with these settings on top of those it
 * has; count 0: as its file says. EINVAL and the like with all that is wrong in
 * one sentence; the recipe is then as it was.
 */
int catalog_set(struct catalog *catalog, struct catalog_change *change,
		struct error *err);

/* What is done with some lenses. Returns 0 or a negative code. */
struct lens_call {
	int (*fn)(void *ctx, struct lens *const *lenses, size_t count,
		  struct error *err);
	void *ctx;
};

/*
 * Do it with the lenses below a name (NULL or "": all of the mount; "a": all
 * points of it; "a/lambda=0.4"), which cannot go during the call. Returns what
 * it does, or -EINVAL: there is no such folder.
 */
int catalog_with_lenses(struct catalog *catalog, const char *name,
			const struct lens_call *call, struct error *err);

/* A recipe as it is now, for those who tell of it. */
struct catalog_recipe {
	const char *name; /* "" where its files are the root's own */
	const char *path;
	const struct generation *generation; /* NULL: it cannot be opened */
	const char *error; /* why, a sentence a line, or NULL */
	size_t settings;   /* made by catalog_set(), not in the file */
};

/* Call fn for each, in order of names, under the catalog's lock: it must not
 * call the catalog. */
void catalog_each(struct catalog *catalog,
		  void (*fn)(void *ctx, const struct catalog_recipe *recipe),
		  void *ctx);

/* Generations that are detached, but still open somewhere. */
size_t catalog_retired(struct catalog *catalog);

#endif
