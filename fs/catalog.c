#include "fs/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/eventfd.h>

#include "core/base/file.h"
#include "core/base/utf8.h"
#include "fs/catalog_inside.h"
#include "fs/mount_words.h"
#include "fs/mountpoint.h"

static const char *const endings[] = { ".yml", ".yaml", ".json" };

static size_t stem_length(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot > name ? (size_t)(dot - name) : strlen(name);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool catalog_is_recipe(const char *name)
{
	const char *ending = name + stem_length(name);

	for (size_t i = 0; name[0] != '.' && i < ARRAY_LEN(endings); i++)
		if (strcasecmp(ending, endings[i]) == 0)
			return true;
	return false;
}

char *catalog_name_of(const char *path)
{
	const char *name = base_name(path);

	return strndup(name, stem_length(name));
}

/* What lists and commands can tell of, and a terminal can show. */
static bool is_printable(const char *name)
{
	AUTO_FREE char *printable = strdup(name);

	if (printable)
		utf8_make_printable(printable);
	return printable && strcmp(name, printable) == 0;
}

int catalog_check_name(struct catalog *catalog, const char *name,
		       const char *path, struct error *err)
{
	const struct entry *other = catalog_entry(catalog, name);

	if (strcmp(name, CATALOG_CURRENT) == 0)
		return fail(err, EINVAL,
			    "%s: a mount has a \"%s\" of its own; rename the "
			    "file",
			    path, name);
	if (!is_printable(name))
		return fail(err, EINVAL,
			    "%s: the name of a folder is UTF-8 without control "
			    "characters; rename the file",
			    path);
	if (!*name || name[0] == '.')
		return fail(err, EINVAL,
			    "%s: a hidden folder is no place for a model; "
			    "rename the file",
			    path);
	if (other && !other->nameless)
		return fail(err, EINVAL,
			    "%s: %s is called \"%s\", too; rename one of them",
			    path, other->path, name);
	return 0;
}

/* --- opening ------------------------------------------------------------ */

/* A recipe of its own folder; all that is wrong goes to the report. */
static void add_named(struct catalog *catalog, const char *path,
		      struct report *report)
{
	AUTO_FREE char *name = catalog_name_of(path);
	struct entry *entry = name ? entry_new(name, path) : NULL;
	struct error err;

	if (!entry) {
		report_error(report, ENOMEM, "%s: no memory", path);
		return;
	}
	if (catalog_check_name(catalog, name, path, &err)) {
		report_failure(report, &err);
	} else if (catalog_renew(catalog, entry, NULL, 0, report) == 0) {
		if (!catalog_add(catalog, TAKE(entry)))
			report_error(report, ENOMEM, "%s: no memory", path);
	}
	entry_free(entry);
}

static void open_files(struct catalog *catalog, const char *const *paths,
		       size_t count, struct report *report)
{
	struct stat st;

	for (size_t i = 0; i < count; i++) {
		if (stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode))
			report_error(report, EINVAL,
				     "%s is a folder; a folder of recipes is "
				     "mounted alone",
				     paths[i]);
		else
			add_named(catalog, paths[i], report);
	}
}

static void open_one(struct catalog *catalog, const char *path,
		     struct report *report)
{
	struct entry *entry = entry_new("", path);

	catalog->flat = true;
	if (!entry)
		report_error(report, ENOMEM, "%s: no memory", path);
	else if (catalog_renew(catalog, entry, NULL, 0, report) == 0)
		catalog_add(catalog, TAKE(entry));
	entry_free(entry);
}

static void open_folder(struct catalog *catalog, const char *path,
			struct report *report)
{
	AUTO_FREE char *config = NULL;

	catalog->folder = realpath(path, NULL);
	if (!catalog->folder ||
	    asprintf(&config, "%s/config.json", catalog->folder) < 0) {
		config = NULL;
		report_error(report, ENOMEM, "%s: no memory", path);
		return;
	}
	if (access(config, F_OK) == 0)
		report_error(report, EINVAL,
			     "%s is the folder of a model (it has a "
			     "config.json); mount a recipe, or a folder of "
			     "recipes",
			     path);
	else
		catalog_scan_first(catalog, report);
}

static void open_recipes(struct catalog *catalog, const char *const *paths,
			 size_t count, struct report *report)
{
	struct stat st;

	if (count > 1) {
		open_files(catalog, paths, count, report);
	} else if (stat(paths[0], &st) == 0 && S_ISDIR(st.st_mode)) {
		open_folder(catalog, paths[0], report);
	} else {
		open_one(catalog, paths[0], report);
	}
}

struct catalog *catalog_open(const char *const *paths, size_t count,
			     struct report *report)
{
	struct catalog *catalog = calloc(1, sizeof(*catalog));

	if (!catalog) {
		report_error(report, ENOMEM, "no memory for recipes");
		return NULL;
	}
	pthread_mutex_init(&catalog->changes, NULL);
	pthread_mutex_init(&catalog->lock, NULL);
	catalog->inotify = catalog->watch = -1;
	catalog->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	catalog->sources = source_set_open();
	catalog->working_dir = getcwd(NULL, 0);
	if (!catalog->working_dir)
		report_error(report, errno,
			     "the working directory: %m; change to another");
	else if (catalog->wake < 0 || !catalog->sources)
		report_error(report, ENOMEM, "no memory for recipes");
	else
		open_recipes(catalog, paths, count, report);
	if (report->errors == 0)
		return catalog;
	catalog_close(catalog);
	return NULL;
}

struct source_set *catalog_sources(struct catalog *catalog)
{
	return catalog->sources;
}

struct timespec catalog_mtime(const struct catalog *catalog)
{
	struct timespec newest = { 0 };

	for (size_t i = 0; i < catalog->count; i++) {
		const struct generation *g = catalog->entries[i]->generation;
		struct timespec mtime;

		if (!g)
			continue;
		mtime = g->lenses[0]->mtime;
		if (is_later(mtime, newest))
			newest = mtime;
	}
	if (newest.tv_sec == 0)
		clock_gettime(CLOCK_REALTIME, &newest);
	return newest;
}

int catalog_check_mountpoint(struct catalog *catalog, const char *mountpoint,
			     struct error *err)
{
	int rc = 0;

	if (catalog->folder)
		rc = mountpoint_hides(mountpoint, catalog->folder,
				      "the folder of recipes", err);
	for (size_t i = 0; rc == 0 && i < catalog->count; i++)
		rc = mountpoint_hides(mountpoint, catalog->entries[i]->path,
				      "the recipe", err);
	return rc;
}

/* --- serving ---------------------------------------------------------------
 */

int catalog_serve(struct catalog *catalog,
		  const struct catalog_service *service, struct error *err)
{
	int rc = 0;

	catalog->service = *service;
	for (size_t i = 0; rc == 0 && i < catalog->count; i++) {
		struct entry *entry = catalog->entries[i];

		/* A daemon leaves the working directory. Links stay as they
		 * are: models are looked for beside the link. */
		rc = path_settle(&entry->path, err);
		if (rc == 0 && entry->generation)
			rc = catalog_show(catalog, entry, entry->generation,
					  err);
	}
	if (rc == 0)
		catalog_first_current(catalog);
	return rc;
}

static void close_list(struct generation *list)
{
	struct generation *next;

	for (; list; list = next) {
		next = list->next;
		generation_close(list);
	}
}

void catalog_close(struct catalog *catalog)
{
	if (!catalog)
		return;
	for (size_t i = 0; i < catalog->count; i++)
		entry_free(catalog->entries[i]);
	free(catalog->entries);
	close_list(catalog->retired);
	close_list(catalog->gone);
	if (catalog->wake >= 0)
		close(catalog->wake);
	if (catalog->inotify >= 0)
		close(catalog->inotify);
	source_set_close(catalog->sources);
	pthread_mutex_destroy(&catalog->lock);
	pthread_mutex_destroy(&catalog->changes);
	free(catalog->folder);
	free(catalog->working_dir);
	free(catalog);
}

/* --- telling -----------------------------------------------------------------
 */

void catalog_each(struct catalog *catalog,
		  void (*fn)(void *ctx, const struct catalog_recipe *recipe),
		  void *ctx)
{
	pthread_mutex_lock(&catalog->lock);
	for (size_t i = 0; i < catalog->count; i++) {
		const struct entry *entry = catalog->entries[i];
		const struct catalog_recipe recipe = {
			.name = entry->name,
			.path = entry->path,
			.generation = entry->generation,
			.error = entry->error,
			.settings = entry->settings_count,
		};

		fn(ctx, &recipe);
	}
	pthread_mutex_unlock(&catalog->lock);
}

size_t catalog_retired(struct catalog *catalog)
{
	size_t count = 0;

	pthread_mutex_lock(&catalog->lock);
	for (struct generation *g = catalog->retired; g; g = g->next)
		count++;
	pthread_mutex_unlock(&catalog->lock);
	return count;
}
