/*
 * What a person may ask of a catalog: switch, set, and which lenses there are.
 */
#include <errno.h>
#include <stdio.h>

#include "fs/catalog_inside.h"
#include "fs/log.h"
#include "fs/sentences.h"

/* --- names ------------------------------------------------------------------
 */

/* What a name below the root means: a recipe, and one point of it, or all. */
struct place {
	struct entry *entry;
	const struct generation *generation;
	const char *point; /* NULL: none is named */
	size_t at;	   /* of the point */
};

static int no_such_folder(const char *name, struct error *err)
{
	return fail(err, EINVAL, "the mount has no folder \"%s\"", name);
}

static int find_point(struct place *place, const char *name, const char *point,
		      struct error *err)
{
	place->point = point;
	place->at = recipe_file_find(place->generation->file, point);
	return place->at == SIZE_MAX ? no_such_folder(name, err) : 0;
}

/* `changes` is held. */
static int find_place(struct catalog *catalog, const char *name,
		      struct place *place, struct error *err)
{
	const char *slash = strchr(name, '/');
	AUTO_FREE char *first =
		strndup(name, slash ? (size_t)(slash - name) : strlen(name));

	*place = (struct place){ 0 };
	if (!first)
		return fail(err, ENOMEM, "no memory for a name");
	place->entry = catalog_entry(catalog, catalog->flat ? "" : first);
	if (!place->entry)
		return no_such_folder(name, err);
	place->generation = place->entry->generation;
	if (!place->generation)
		return fail(err, EINVAL, "%s cannot be opened: %s", name,
			    place->entry->error);
	if (catalog->flat)
		return *name ? find_point(place, name, name, err) : 0;
	return slash ? find_point(place, name, slash + 1, err) : 0;
}

/* --- current ------------------------------------------------------------ */

static int check_model(const struct place *place, const char *name,
		       struct error *err)
{
	const struct recipe_file *file = place->generation->file;

	if (!recipe_file_sweeps(file) || place->point)
		return 0;
	return fail(err, EINVAL,
		    "%s is a sweep, not a model; name a point of it, such as "
		    "\"%s/%s\"",
		    name, name, recipe_file_point(file, 0));
}

static int check_links(const struct catalog *catalog, struct error *err)
{
	const struct entry *only = catalog->flat ? catalog->entries[0] : NULL;

	if (!only ||
	    (only->generation && recipe_file_sweeps(only->generation->file)))
		return 0;
	return fail(err, EINVAL,
		    "the mount shows one recipe, so there is nothing to switch "
		    "to; mount several, a folder of them, or a sweep");
}

static int switch_to(struct catalog *catalog, const char *name,
		     struct error *err)
{
	struct place place;
	int rc = check_links(catalog, err);

	if (rc == 0)
		rc = find_place(catalog, name, &place, err);
	if (rc == 0)
		rc = check_model(&place, name, err);
	if (rc == 0)
		rc = tree_link(catalog->service.tree, CATALOG_CURRENT, name,
			       err);
	return rc;
}

int catalog_switch(struct catalog *catalog, const char *name, struct error *err)
{
	int rc;

	pthread_mutex_lock(&catalog->changes);
	rc = switch_to(catalog, name, err);
	pthread_mutex_unlock(&catalog->changes);
	if (rc == 0)
		log_line(LOG_INFO, "current is %s", name);
	return rc;
}

/* The first model that there is, as a name below the root; the caller frees it.
 * NULL: there is none. */
static char *first_model(const struct catalog *catalog)
{
	char *name = NULL;

	for (size_t i = 0; i < catalog->count; i++) {
		const struct entry *entry = catalog->entries[i];
		const struct generation *generation = entry->generation;
		const char *point;

		if (!generation)
			continue;
		point = recipe_file_point(generation->file, 0);
		if (asprintf(&name, "%s%s%s", entry->name,
			     *entry->name && point ? "/" : "",
			     point ? point : "") < 0)
			return NULL;
		return name;
	}
	return NULL;
}

static bool has_current(const struct catalog *catalog)
{
	AUTO_FREE char *now =
		tree_link_target(catalog->service.tree, CATALOG_CURRENT);

	return now;
}

void catalog_first_current(struct catalog *catalog)
{
	AUTO_FREE char *name = NULL;
	struct error err;

	if (has_current(catalog) || catalog->count == 0 ||
	    check_links(catalog, NULL))
		return;
	name = first_model(catalog);
	if (name &&
	    tree_link(catalog->service.tree, CATALOG_CURRENT, name, &err))
		log_line(LOG_WARNING, "%s", err.text);
}

/* --- set ---------------------------------------------------------------- */

/* Whether two settings, as texts, are of the same path. */
static bool same_path(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return len == strcspn(b, "=") && strncmp(a, b, len) == 0;
}

static bool is_replaced(const char *old, const char *const *settings,
			size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (same_path(old, settings[i]))
			return true;
	return false;
}

/* What an entry has, where it is not replaced, and then the new ones. NULL: no
 * memory. */
static char **join_settings(const struct entry *entry,
			    const char *const *settings, size_t count,
			    size_t *all)
{
	char **texts =
		calloc(entry->settings_count + count + 1, sizeof(char *));

	*all = 0;
	if (!texts)
		return NULL;
	for (size_t i = 0; count && i < entry->settings_count; i++)
		if (!is_replaced(entry->settings[i], settings, count))
			texts[(*all)++] = strdup(entry->settings[i]);
	for (size_t i = 0; i < count; i++)
		texts[(*all)++] = strdup(settings[i]);
	for (size_t i = 0; i < *all; i++) {
		if (texts[i])
			continue;
		texts_free(texts, *all);
		return NULL;
	}
	return texts;
}

static int set_entry(struct catalog *catalog, struct entry *entry,
		     const struct catalog_change *change, struct error *err)
{
	size_t all;
	char **texts =
		join_settings(entry, change->settings, change->count, &all);
	const struct stamp before = entry->stamp;

	if (!texts)
		return fail(err, ENOMEM, "no memory for settings");
	if (catalog_renew(catalog, entry, texts, all, change->report) < 0) {
		/* What has changed in the file meanwhile is still to be read.
		 */
		entry->stamp = before;
		texts_free(texts, all);
		return sentences_error(change->report, err);
	}
	pthread_mutex_lock(&catalog->lock);
	texts_free(entry->settings, entry->settings_count);
	entry->settings = texts;
	entry->settings_count = all;
	pthread_mutex_unlock(&catalog->lock);
	return 0;
}

/* Why a name is of no recipe. */
static void refuse_name(struct catalog *catalog, const char *name,
			struct error *err)
{
	struct place place;

	if (find_place(catalog, name, &place, err) == 0)
		fail(err, EINVAL,
		     "%s is a point of a sweep; set what its recipe has in all "
		     "points, or edit the sweep",
		     name);
}

/* The recipe that a name is of; a point has none of its own. NULL: there is
 * none, and the error says why. */
static struct entry *find_entry(struct catalog *catalog, const char *name,
				struct error *err)
{
	bool only = !name || !*name; /* the only recipe is meant */
	struct entry *entry;

	if (only != catalog->flat) {
		if (only)
			fail(err, EINVAL,
			     "name a recipe of the mount: MOUNT/NAME");
		else
			refuse_name(catalog, name, err);
		return NULL;
	}
	/* One that is broken may be mended. */
	entry = catalog_entry(catalog, only ? "" : name);
	if (!entry)
		refuse_name(catalog, only ? "" : name, err);
	else if (entry->nameless)
		fail(err, EINVAL, "%s", entry->error);
	return entry && !entry->nameless ? entry : NULL;
}

int catalog_set(struct catalog *catalog, struct catalog_change *change,
		struct error *err)
{
	struct entry *entry;
	int rc = -EINVAL;

	pthread_mutex_lock(&catalog->changes);
	entry = find_entry(catalog, change->name, err);
	if (entry)
		rc = set_entry(catalog, entry, change, err);
	if (rc == 0) {
		change->number = entry->number;
		catalog_first_current(catalog);
		log_line(LOG_INFO, "%s: generation %u, set from outside",
			 entry->path, entry->number);
	}
	pthread_mutex_unlock(&catalog->changes);
	return rc;
}

/* --- lenses ------------------------------------------------------------- */

/* All lenses of all recipes. NULL: no memory. */
static struct lens **all_lenses(const struct catalog *catalog, size_t *count)
{
	struct lens **list;
	size_t room = 1;

	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->entries[i]->generation)
			room += catalog->entries[i]->generation->count;
	list = calloc(room, sizeof(struct lens *));
	*count = 0;
	for (size_t i = 0; list && i < catalog->count; i++) {
		const struct generation *g = catalog->entries[i]->generation;

		for (size_t j = 0; g && j < g->count; j++)
			list[(*count)++] = g->lenses[j];
	}
	return list;
}

static int call_all(struct catalog *catalog, const struct lens_call *call,
		    struct error *err)
{
	size_t count;
	AUTO_FREE struct lens **list = all_lenses(catalog, &count);

	if (!list)
		return fail(err, ENOMEM, "no memory for a list of models");
	return call->fn(call->ctx, list, count, err);
}

static int call_place(struct catalog *catalog, const char *name,
		      const struct lens_call *call, struct error *err)
{
	struct place place;
	int rc = find_place(catalog, name, &place, err);

	if (rc)
		return rc;
	if (!place.point)
		return call->fn(call->ctx, place.generation->lenses,
				place.generation->count, err);
	return call->fn(call->ctx, place.generation->lenses + place.at, 1, err);
}

int catalog_with_lenses(struct catalog *catalog, const char *name,
			const struct lens_call *call, struct error *err)
{
	int rc;

	pthread_mutex_lock(&catalog->changes);
	rc = name && *name ? call_place(catalog, name, call, err)
			   : call_all(catalog, call, err);
	pthread_mutex_unlock(&catalog->changes);
	return rc;
}
