/*
 * The thread of a catalog: it follows the folder, tells the kernel of names
 * that changed, and ends generations that nobody has open any more.
 *
 * inotify says when something has happened; what it was is found out by looking
 * at the folder as a whole, and so it is every few seconds without being told,
 * for network file systems do not tell.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "fs/catalog_inside.h"
#include "fs/log.h"

#define LOOK_MS 2000
#define EVENTS_BYTES 4096
#define WHOLE_EVENTS (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE)

/* --- generations that have left -------------------------------------------
 */

/*
 * The kernel remembers names for as long as it has the memory: without a word
 * it would keep what has left the tree, and so would we.
 */
static void let_go(struct catalog *catalog)
{
	bool any;

	pthread_mutex_lock(&catalog->lock);
	any = catalog->retired;
	pthread_mutex_unlock(&catalog->lock);
	if (any)
		catalog->service.let_go(catalog->service.ctx);
}

static void end_gone(struct catalog *catalog)
{
	struct generation *list, *next;

	pthread_mutex_lock(&catalog->lock);
	list = TAKE(catalog->gone);
	pthread_mutex_unlock(&catalog->lock);
	for (; list; list = next) {
		next = list->next;
		generation_forget(list, catalog->service.engine);
		generation_close(list);
	}
}

/* How long to sleep; 0: to stop. */
static int sleep_ms(struct catalog *catalog)
{
	int ms = -1;

	pthread_mutex_lock(&catalog->lock);
	if (catalog->folder || catalog->retired)
		ms = LOOK_MS;
	if (catalog->stopping)
		ms = 0;
	pthread_mutex_unlock(&catalog->lock);
	return ms;
}

/* --- the folder ------------------------------------------------------------
 */

static void told_done(struct told *told)
{
	texts_free(told->names, told->count);
}

/* A file was finished, or came or went as a whole; one that was only created is
 * being written. Without memory it is found out a little later. */
static void add_told(struct told *told, const struct inotify_event *event)
{
	char **grown;

	if (!(event->mask & WHOLE_EVENTS) || !event->len)
		return;
	grown = reallocarray(told->names, told->count + 1, sizeof(char *));
	if (!grown)
		return;
	told->names = grown;
	grown[told->count] = strdup(event->name);
	told->count += grown[told->count] != NULL;
}

/* Read away what has been told. */
static void drain(int inotify, struct told *told)
{
	_Alignas(struct inotify_event) char events[EVENTS_BYTES];
	ssize_t len;

	while (inotify >= 0 &&
	       (len = read(inotify, events, sizeof(events))) > 0)
		for (ssize_t at = 0; at < len;) {
			const struct inotify_event *event =
				(const void *)(events + at);

			add_told(told, event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
}

/* The folder may have been moved away, and another made. */
static void watch(struct catalog *catalog)
{
	int watch;

	if (catalog->inotify < 0)
		return;
	watch = inotify_add_watch(catalog->inotify, catalog->folder,
				  WHOLE_EVENTS | IN_CREATE | IN_ATTRIB);
	if (catalog->watch >= 0 && watch != catalog->watch)
		inotify_rm_watch(catalog->inotify, catalog->watch);
	catalog->watch = watch;
}

static void scan(struct catalog *catalog)
{
	AUTO(told_done) struct told told = { 0 };

	watch(catalog);
	drain(catalog->inotify, &told);
	pthread_mutex_lock(&catalog->changes);
	catalog_scan(catalog, &told);
	pthread_mutex_unlock(&catalog->changes);
}

/* --- the thread ----------------------------------------------------------- */

static void *follow(void *arg)
{
	struct catalog *catalog = arg;
	struct pollfd fds[] = {
		{ .fd = catalog->wake, .events = POLLIN },
		{ .fd = catalog->inotify, .events = POLLIN },
	};
	eventfd_t woken;
	int ms;

	while ((ms = sleep_ms(catalog)) != 0) {
		int ready = poll(fds, ARRAY_LEN(fds), ms);

		eventfd_read(catalog->wake, &woken);
		if (catalog->folder && (ready == 0 || fds[1].revents))
			scan(catalog);
		let_go(catalog);
		end_gone(catalog);
	}
	return NULL;
}

static void watch_folder(struct catalog *catalog)
{
	catalog->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	watch(catalog);
	if (catalog->watch >= 0)
		return;
	log_line(LOG_INFO, "%s: no inotify (%m); it is looked at every %d s",
		 catalog->folder, LOOK_MS / 1000);
}

int catalog_follow(struct catalog *catalog, dev_t device, struct error *err)
{
	int rc;

	source_set_refuse(catalog->sources, device);
	if (catalog->folder)
		watch_folder(catalog);
	rc = thread_start(&catalog->thread, follow, catalog);
	if (rc)
		return fail(err, -rc, "cannot start a thread: %s",
			    strerror(-rc));
	catalog->following = true;
	return 0;
}

/* All before the first is waited for: else who warms the others would go on. */
static void retire_all(struct catalog *catalog)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->entries[i]->generation)
			generation_retire(catalog->entries[i]->generation,
					  true);
}

static void forget_list(struct catalog *catalog, struct generation *list)
{
	for (; list; list = list->next)
		generation_forget(list, catalog->service.engine);
}

void catalog_stop(struct catalog *catalog)
{
	pthread_mutex_lock(&catalog->lock);
	catalog->stopping = true;
	pthread_mutex_unlock(&catalog->lock);
	eventfd_write(catalog->wake, 1);
	if (catalog->following)
		pthread_join(catalog->thread, NULL);
	catalog->following = false;
	retire_all(catalog);
	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->entries[i]->generation)
			generation_forget(catalog->entries[i]->generation,
					  catalog->service.engine);
	forget_list(catalog, catalog->retired);
	forget_list(catalog, catalog->gone);
}
