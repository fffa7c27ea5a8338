/*
 * The recipes of a catalog, one by one: what each shows, and how that changes.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "fs/catalog_inside.h"
#include "fs/log.h"
#include "fs/warm.h"

/* --- entries ------------------------------------------------------------ */

struct entry *entry_new(const char *name, const char *path)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->name = strdup(name);
	entry->path = strdup(path);
	if (entry->name && entry->path)
		return entry;
	entry_free(entry);
	return NULL;
}

void entry_free(struct entry *entry)
{
	if (!entry)
		return;
	texts_free(entry->settings, entry->settings_count);
	generation_close(entry->generation);
	free(entry->error);
	free(entry->name);
	free(entry->path);
	free(entry);
}

/* How many entries come before the name. */
static size_t rank_of(const struct catalog *catalog, const char *name)
{
	size_t begin = 0, end = catalog->count;

	while (begin < end) {
		size_t mid = begin + (end - begin) / 2;

		if (strcmp(catalog->entries[mid]->name, name) < 0)
			begin = mid + 1;
		else
			end = mid;
	}
	return begin;
}

struct entry *catalog_entry(struct catalog *catalog, const char *name)
{
	struct entry *found = NULL;

	for (size_t rank = rank_of(catalog, name); rank < catalog->count;
	     rank++) {
		if (strcmp(catalog->entries[rank]->name, name) != 0)
			break;
		found = catalog->entries[rank];
		if (!found->nameless)
			break;
	}
	return found;
}

bool catalog_add(struct catalog *catalog, struct entry *entry)
{
	size_t rank = rank_of(catalog, entry->name);
	struct entry **grown;

	pthread_mutex_lock(&catalog->lock);
	grown = reallocarray(catalog->entries, catalog->count + 1,
			     sizeof(struct entry *));
	if (grown) {
		memmove(grown + rank + 1, grown + rank,
			(catalog->count - rank) * sizeof(struct entry *));
		grown[rank] = entry;
		catalog->entries = grown;
		catalog->count++;
	}
	pthread_mutex_unlock(&catalog->lock);
	if (!grown)
		entry_free(entry);
	return grown;
}

/* --- generations -------------------------------------------------------- */

/* The last of its inodes is forgotten; on any thread. */
static void generation_gone(void *ctx)
{
	struct generation *generation = ctx, **link;
	struct catalog *catalog = generation->catalog;

	pthread_mutex_lock(&catalog->lock);
	for (link = &catalog->retired; *link; link = &(*link)->next) {
		if (*link != generation)
			continue;
		*link = generation->next;
		break;
	}
	generation->next = catalog->gone;
	catalog->gone = generation;
	pthread_mutex_unlock(&catalog->lock);
	eventfd_write(catalog->wake, 1);
}

/* It is about to leave the tree, and may be gone from the moment that it has.
 */
static void retire(struct catalog *catalog, struct generation *generation)
{
	generation_retire(generation, true);
	pthread_mutex_lock(&catalog->lock);
	generation->next = catalog->retired;
	catalog->retired = generation;
	pthread_mutex_unlock(&catalog->lock);
}

/* It did not leave. */
static void restore(struct catalog *catalog, struct generation *generation)
{
	pthread_mutex_lock(&catalog->lock);
	catalog->retired = generation->next;
	pthread_mutex_unlock(&catalog->lock);
	generation_retire(generation, false);
}

/* Nobody looks at the one before through the entry any more. */
static void set_generation(struct catalog *catalog, struct entry *entry,
			   struct generation *generation)
{
	pthread_mutex_lock(&catalog->lock);
	entry->generation = generation;
	pthread_mutex_unlock(&catalog->lock);
}

static void begin_warming(struct catalog *catalog,
			  struct generation *generation)
{
	struct error err;

	if (!catalog->service.warm)
		return;
	generation->warm =
		warm_open(catalog->service.engine, generation->lenses,
			  generation->count, WARM_REDUCTIONS, NULL, &err);
	if (!generation->warm)
		log_line(LOG_WARNING, "%s: not warmed: %s",
			 recipe_file_path(generation->file), err.text);
}

int catalog_show(struct catalog *catalog, struct entry *entry,
		 struct generation *generation, struct error *err)
{
	const struct catalog_service *service = &catalog->service;
	struct generation *before =
		entry->generation == generation ? NULL : entry->generation;
	int rc = generation_join(generation, service->engine, err);

	if (rc)
		return rc;
	generation->catalog = catalog;
	if (before)
		retire(catalog, before);
	set_generation(catalog, entry, generation);
	rc = tree_attach(service->tree, *entry->name ? entry->name : NULL,
			 generation->volume, before ? before->volume : NULL,
			 generation_gone, generation, err);
	if (rc) {
		if (before)
			restore(catalog, before);
		set_generation(catalog, entry, before);
		generation_forget(generation, service->engine);
		return rc;
	}
	generation->attached = true;
	begin_warming(catalog, generation);
	eventfd_write(catalog->wake, 1);
	return 0;
}

static struct recipe_file *open_file(const struct entry *entry,
				     char *const *settings, size_t count,
				     struct report *report)
{
	AUTO_ARENA struct arena *arena = arena_open();
	struct setting *parsed = NULL;
	struct error err;
	int rc = arena ? settings_parse((const char *const *)settings, count,
					NULL, arena, &parsed, &err)
		       : fail(&err, ENOMEM, "no memory for settings");

	if (rc) {
		report_failure(report, &err);
		return NULL;
	}
	return recipe_file_open(entry->path, parsed, count, report);
}

static struct generation *open_generation(struct catalog *catalog,
					  struct recipe_file *file,
					  struct report *report)
{
	struct model_set *models =
		model_set_open(recipe_file_dir(file), catalog->sources);

	if (models && model_set_working_dir(models, catalog->working_dir) < 0) {
		model_set_close(models);
		models = NULL;
	}
	return generation_open(file, models, report);
}

int catalog_renew(struct catalog *catalog, struct entry *entry,
		  char *const *settings, size_t count, struct report *report)
{
	struct generation *generation = NULL;
	struct recipe_file *file;
	struct error err;
	struct stat st;
	int rc;

	/* Before the file is read: what changes after it is seen again. */
	if (stat(entry->path, &st) == 0)
		entry->stamp = stamp_of(&st);
	file = open_file(entry, settings, count, report);
	if (file)
		generation = open_generation(catalog, file, report);
	if (!generation)
		return report_result(report);
	generation->number = ++entry->number;
	if (!catalog->service.tree) {
		entry->generation = generation;
		return 0;
	}
	rc = catalog_show(catalog, entry, generation, &err);
	if (rc == 0) {
		pthread_mutex_lock(&catalog->lock);
		free(TAKE(entry->error));
		pthread_mutex_unlock(&catalog->lock);
		return 0;
	}
	report_failure(report, &err);
	generation_close(generation);
	return rc;
}

/* Take what an entry shows out of the tree. */
static void hide(struct catalog *catalog, struct entry *entry)
{
	struct generation *generation;

	pthread_mutex_lock(&catalog->lock);
	generation = TAKE(entry->generation);
	pthread_mutex_unlock(&catalog->lock);
	if (!generation)
		return;
	if (!generation->attached) {
		generation_close(generation);
		return;
	}
	retire(catalog, generation);
	tree_detach(catalog->service.tree, generation->volume);
	eventfd_write(catalog->wake, 1);
}

void catalog_fail(struct catalog *catalog, struct entry *entry, char *error)
{
	hide(catalog, entry);
	pthread_mutex_lock(&catalog->lock);
	free(entry->error);
	entry->error = error ? error : strdup("no memory");
	pthread_mutex_unlock(&catalog->lock);
}

void catalog_drop(struct catalog *catalog, struct entry *entry)
{
	size_t rank = rank_of(catalog, entry->name);

	/* One without a name of its own may be called like another. */
	while (catalog->entries[rank] != entry)
		rank++;
	hide(catalog, entry);
	pthread_mutex_lock(&catalog->lock);
	memmove(catalog->entries + rank, catalog->entries + rank + 1,
		(catalog->count - rank - 1) * sizeof(struct entry *));
	catalog->count--;
	pthread_mutex_unlock(&catalog->lock);
	entry_free(entry);
}
