/*
 * The folder that a catalog follows, compared with its entries.
 */
#include <errno.h>
#include <stdio.h>

#include "core/base/file.h"
#include "fs/catalog_inside.h"
#include "fs/log.h"
#include "fs/sentences.h"

#define SETTLED_SECONDS 1.0

/* --- listing ------------------------------------------------------------ */

/* A recipe file of the folder. */
struct found {
	char *path;
	char *name; /* in the mount */
	struct stat st;
};

struct listing {
	struct found *files; /* in order of paths */
	size_t count;
};

static void listing_done(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++) {
		free(listing->files[i].path);
		free(listing->files[i].name);
	}
	free(listing->files);
}

static int by_path(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* Add a file that is a recipe by its name; false: no memory. */
static bool list_file(struct listing *listing, const char *folder,
		      const char *name)
{
	struct found found = { 0 };
	struct found *grown;

	if (!catalog_is_recipe(name))
		return true;
	if (asprintf(&found.path, "%s/%s", folder, name) < 0)
		return false;
	if (stat(found.path, &found.st) < 0 || !S_ISREG(found.st.st_mode)) {
		free(found.path);
		return true;
	}
	found.name = catalog_name_of(name);
	grown = reallocarray(listing->files, listing->count + 1, sizeof(found));
	if (grown)
		listing->files = grown;
	if (!grown || !found.name) {
		free(found.path);
		free(found.name);
		return false;
	}
	grown[listing->count++] = found;
	return true;
}

/* The recipes of a folder: 0 or -errno. */
static int list_folder(const char *folder, struct listing *listing)
{
	AUTO_DIR DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (!dir)
		return -errno;
	while ((errno = 0, entry = readdir(dir))) {
		if (listing->count == CATALOG_RECIPES_MAX)
			return -E2BIG;
		if (!list_file(listing, folder, entry->d_name))
			return -ENOMEM;
	}
	if (errno)
		return -errno;
	if (listing->count)
		qsort(listing->files, listing->count, sizeof(struct found),
		      by_path);
	return 0;
}

/* --- one file ----------------------------------------------------------------
 */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* told NULL: all files are finished. */
static bool is_told(const struct told *told, const struct found *found)
{
	const char *name = strrchr(found->path, '/') + 1;

	return !told || (told->count && bsearch(&name, told->names, told->count,
						sizeof(name), by_name));
}

static bool is_settling(const struct found *found)
{
	struct timespec now;
	double age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (double)(now.tv_sec - found->st.st_mtim.tv_sec) +
	      (double)(now.tv_nsec - found->st.st_mtim.tv_nsec) / 1e9;
	return age >= 0 && age < SETTLED_SECONDS;
}

static void drop_settings(struct catalog *catalog, struct entry *entry)
{
	if (!entry->settings_count)
		return;
	log_line(LOG_INFO,
		 "%s has changed; what was set from outside is dropped",
		 entry->path);
	pthread_mutex_lock(&catalog->lock);
	texts_free(TAKE(entry->settings), entry->settings_count);
	entry->settings_count = 0;
	pthread_mutex_unlock(&catalog->lock);
}

/* Read the recipe of an entry as its file says. */
static void read_entry(struct catalog *catalog, struct entry *entry,
		       struct report *report)
{
	AUTO_REPORT struct report own = REPORT_INIT;

	drop_settings(catalog, entry);
	if (catalog_renew(catalog, entry, NULL, 0, &own) < 0)
		catalog_fail(catalog, entry, sentences_text(&own));
	else if (report == NULL)
		log_line(LOG_INFO, "%s: generation %u", entry->path,
			 entry->number);
	if (!report) {
		log_report(&own);
		return;
	}
	for (size_t i = 0; i < own.count; i++)
		report_warning(report, "%s", own.notes[i].text);
}

static struct entry *add_entry(struct catalog *catalog, const char *name,
			       const struct found *found)
{
	struct entry *entry = entry_new(name, found->path);

	if (!entry || !catalog_add(catalog, entry)) {
		log_line(LOG_ERROR, "%s: no memory", found->path);
		return NULL;
	}
	entry->stamp = stamp_of(&found->st);
	return entry;
}

/* Where a file cannot have its name it stands under its whole one, which no
 * folder has, with the reason. */
static void add_nameless(struct catalog *catalog, const struct found *found,
			 const struct error *why, struct report *report)
{
	const char *name = strrchr(found->path, '/') + 1;
	struct entry *entry = add_entry(catalog, name, found);

	if (!entry)
		return;
	entry->nameless = true;
	catalog_fail(catalog, entry, strdup(why->text));
	if (report)
		report_warning(report, "%s", why->text);
	else
		log_line(LOG_ERROR, "%s", why->text);
}

static void add_found(struct catalog *catalog, const struct found *found,
		      struct report *report)
{
	struct entry *entry;
	struct error err;

	if (catalog_check_name(catalog, found->name, found->path, &err)) {
		add_nameless(catalog, found, &err, report);
		return;
	}
	entry = add_entry(catalog, found->name, found);
	if (entry)
		read_entry(catalog, entry, report);
}

/* The entry of a file, NULL: it is new. */
static struct entry *entry_of(const struct catalog *catalog, const char *path)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (strcmp(catalog->entries[i]->path, path) == 0)
			return catalog->entries[i];
	return NULL;
}

/* --- the folder --------------------------------------------------------- */

static bool is_listed(const struct listing *listing, const char *path)
{
	const struct found key = { .path = (char *)(uintptr_t)path };

	return listing->count && bsearch(&key, listing->files, listing->count,
					 sizeof(key), by_path);
}

/* Whether there were any. */
static bool drop_missing(struct catalog *catalog, const struct listing *listing)
{
	bool any = false;

	for (size_t i = catalog->count; i-- > 0;) {
		struct entry *entry = catalog->entries[i];

		if (is_listed(listing, entry->path))
			continue;
		log_line(LOG_INFO, "%s is gone", entry->path);
		catalog_drop(catalog, entry);
		any = true;
	}
	return any;
}

static bool is_same(const struct entry *entry, const struct found *found)
{
	struct stamp stamp = stamp_of(&found->st);

	return entry && stamp_order(&entry->stamp, &stamp) == 0;
}

/* freed: a name that another could not have may be free now. */
static void take_listing(struct catalog *catalog, const struct listing *listing,
			 const struct told *told, bool freed,
			 struct report *report)
{
	for (size_t i = 0; i < listing->count; i++) {
		const struct found *found = &listing->files[i];
		struct entry *entry = entry_of(catalog, found->path);

		if (is_same(entry, found)) {
			if (!entry->nameless || !freed)
				continue;
		} else if (is_settling(found) && !is_told(told, found)) {
			continue;
		}
		if (entry && entry->nameless)
			catalog_drop(catalog, TAKE(entry));
		if (entry)
			read_entry(catalog, entry, report);
		else
			add_found(catalog, found, report);
	}
}

void catalog_scan(struct catalog *catalog, struct told *told)
{
	AUTO(listing_done) struct listing listing = { 0 };
	int rc = list_folder(catalog->folder, &listing);
	bool freed;

	if (rc && !catalog->lost)
		log_line(LOG_WARNING, "%s: %s; what it had is still shown",
			 catalog->folder, strerror(-rc));
	catalog->lost = rc;
	if (rc)
		return;
	if (told->count)
		qsort(told->names, told->count, sizeof(char *), by_name);
	freed = drop_missing(catalog, &listing);
	take_listing(catalog, &listing, told, freed, NULL);
	catalog_first_current(catalog);
}

void catalog_scan_first(struct catalog *catalog, struct report *report)
{
	AUTO(listing_done) struct listing listing = { 0 };
	int rc = list_folder(catalog->folder, &listing);

	if (rc)
		report_error(report, -rc, "%s: %s", catalog->folder,
			     rc == -E2BIG ? "too many recipes" : strerror(-rc));
	else
		take_listing(catalog, &listing, NULL, false, report);
}
