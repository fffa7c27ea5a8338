/*
 * What a catalog is inside, which its files share: catalog.c (its life, and
 * names), catalog_entry.c (recipes, one by one), catalog_scan.c (the folder),
 * catalog_follow.c (its thread), catalog_ask.c (what a person may ask for).
 *
 *	changes		held by whoever changes recipes, for as long as that
 *			takes; goes before `lock`
 *	lock		of what follows in the structure; short
 */
#ifndef LMFS_CATALOG_INSIDE_H
#define LMFS_CATALOG_INSIDE_H

#include <pthread.h>

#include "core/stamp.h"
#include "fs/generation.h"

#define CATALOG_CURRENT "current"

struct entry {
	char *name; /* in the root; "": its files are the root's own */
	char *path;
	struct stamp stamp; /* of the file that was read last */
	char **settings;    /* from catalog_set(), "PATH=VALUE" each */
	size_t settings_count;
	bool nameless;	 /* no folder can be called so; see `error` */
	unsigned number; /* of the generation that came last */
	struct generation *generation; /* NULL: it could not be opened */
	char *error;		       /* why; NULL: it could */
};

struct catalog {
	char *folder; /* the one that is followed, absolute; NULL: none */
	bool flat;
	char *working_dir; /* when it was opened: a daemon leaves it */
	struct source_set *sources;
	struct catalog_service service;
	pthread_t thread;
	bool following;
	int wake;    /* eventfd: something is to be done on the thread */
	int inotify; /* -1: none */
	int watch;   /* of the folder; -1: none */
	bool lost;   /* the folder cannot be read, and it was said */
	pthread_mutex_t changes;
	pthread_mutex_t lock;
	bool stopping;
	struct entry **entries; /* in order of names */
	size_t count;
	struct generation *retired; /* detached, open somewhere */
	struct generation *gone;    /* forgotten, to be closed */
};

/* The entry of this name, NULL: there is none. `changes` or `lock` is held. Of
 * a nameless one and another the other. */
struct entry *catalog_entry(struct catalog *catalog, const char *name);

/*
 * Read the recipe of an entry anew, with its settings and these: 0, and its
 * next generation is shown; or the negative code of the first error, all of
 * them in the report, and nothing is changed. `changes` is held.
 */
int catalog_renew(struct catalog *catalog, struct entry *entry,
		  char *const *settings, size_t count, struct report *report);

/* Show the generation that an entry has, in the place of `before`. */
int catalog_show(struct catalog *catalog, struct entry *entry,
		 struct generation *generation, struct error *err);

/* An entry for a file, which is not read yet; NULL: no memory. */
struct entry *entry_new(const char *name, const char *path);
void entry_free(struct entry *entry);

/* A list of strings and all of them; NULL is fine. */
static inline void texts_free(char **texts, size_t count)
{
	for (size_t i = 0; texts && i < count; i++)
		free(texts[i]);
	free(texts);
}

/* Add it, in its place; false: no memory, and it is freed. */
bool catalog_add(struct catalog *catalog, struct entry *entry);

/* Take it and what it shows away. */
void catalog_drop(struct catalog *catalog, struct entry *entry);

/* It could not be opened: it shows nothing, but why. Takes the text. */
void catalog_fail(struct catalog *catalog, struct entry *entry, char *error);

/* Let `current` point to the first folder there is, if it points nowhere yet.
 */
void catalog_first_current(struct catalog *catalog);

/* Whether a file of a folder is a recipe by its name: *.yml, *.yaml, *.json,
 * and not hidden. */
bool catalog_is_recipe(const char *name);

/* The name in the mount of a recipe file, "a" of "x/a.yml"; the caller frees
 * it. NULL: no memory. */
char *catalog_name_of(const char *path);

/* EINVAL where no folder of the mount can be called so, or another is. */
int catalog_check_name(struct catalog *catalog, const char *name,
		       const char *path, struct error *err);

/* Names of files of the folder, each once or more. */
struct told {
	char **names;
	size_t count;
};

/*
 * Bring the entries up to the folder; `changes` is held. A file that was
 * written to within the last second is left for the next time, for its writer
 * may not be done, unless it is told that it was finished.
 */
void catalog_scan(struct catalog *catalog, struct told *told);

/* Read the folder for the first time, before anything is served: what is
 * broken is a warning, a folder that cannot be read an error. */
void catalog_scan_first(struct catalog *catalog, struct report *report);

#endif
