#include "fs/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "fs/target.h"

#define STAGE_MARK ".llmergefs-"
#define STAGE_TRIES 16
#define REMOVE_FDS 16
#define REMOVE_TRIES 1000
#define WAKE_SIGNAL SIGUSR1 /* from stage_close() to the guard */

struct stage {
	struct target target;
	char *path; /* of the temporary folder; NULL: there is none */
	int fd;	    /* of the temporary folder, locked */
	pthread_t guard;
	bool guarded;
	sigset_t watched, before; /* `before`: the caller's mask */
	pthread_mutex_t lock;	  /* over path: published, removed or neither */
};

/* --- removal ------------------------------------------------------------ */

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *where)
{
	remove(path);
	return 0;
}

/* Threads that still write may add a file behind the walk, but none to a folder
 * that is gone: so walk until it is. */
static void remove_tree(const char *path)
{
	for (unsigned i = 0; i < REMOVE_TRIES && access(path, F_OK) == 0; i++)
		nftw(path, remove_entry, REMOVE_FDS, FTW_DEPTH | FTW_PHYS);
}

/* Remove the temporary folder at path unless its maker lives. */
static void remove_if_dead(const char *path)
{
	AUTO_FD int fd =
		open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		remove_tree(path);
}

/* Remove what dead makers of the same name left behind. */
static void remove_leftovers(const struct stage *stage)
{
	AUTO_DIR DIR *dir = opendir(stage->target.parent);
	size_t len = strlen(stage->target.name);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		AUTO_FREE char *path = NULL;

		if (name[0] != '.' ||
		    strncmp(name + 1, stage->target.name, len) != 0 ||
		    strncmp(name + 1 + len, STAGE_MARK, strlen(STAGE_MARK)) !=
			    0)
			continue;
		if (asprintf(&path, "%s/%s", stage->target.parent, name) < 0)
			path = NULL;
		else
			remove_if_dead(path);
	}
}

/* Take the temporary folder away, if there still is one. */
static void discard(struct stage *stage)
{
	pthread_mutex_lock(&stage->lock);
	if (stage->path)
		remove_tree(stage->path);
	free(TAKE(stage->path));
	pthread_mutex_unlock(&stage->lock);
}

/* --- signals ------------------------------------------------------------ */

/* Waits for a signal that ends the process, and cleans up before it does. */
static void *guard(void *arg)
{
	struct stage *stage = arg;
	sigset_t only;
	int number = 0;

	if (sigwait(&stage->watched, &number) != 0 || number == WAKE_SIGNAL)
		return NULL;
	discard(stage);
	sigemptyset(&only);
	sigaddset(&only, number);
	signal(number, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &only, NULL);
	raise(number);
	return NULL;
}

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 &&
	       action.sa_handler == SIG_IGN;
}

static int start_guard(struct stage *stage, struct error *err)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	int rc;

	sigemptyset(&stage->watched);
	sigaddset(&stage->watched, WAKE_SIGNAL);
	/* What nohup ignores stays ignored. */
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (!is_ignored(numbers[i]))
			sigaddset(&stage->watched, numbers[i]);
	pthread_sigmask(SIG_BLOCK, &stage->watched, &stage->before);
	rc = pthread_create(&stage->guard, NULL, guard, stage);
	if (rc) {
		pthread_sigmask(SIG_SETMASK, &stage->before, NULL);
		return fail(err, rc, "cannot start a thread: %s", strerror(rc));
	}
	stage->guarded = true;
	return 0;
}

static void stop_guard(struct stage *stage)
{
	if (!stage->guarded)
		return;
	pthread_kill(stage->guard, WAKE_SIGNAL);
	pthread_join(stage->guard, NULL);
	pthread_sigmask(SIG_SETMASK, &stage->before, NULL);
}

/* --- the folder --------------------------------------------------------- */

/* False: somebody who cleans up has it. Where there are no locks, nobody
 * cleans up. */
static bool lock_folder(int fd)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return false;
	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/*
 * Make and lock a temporary folder: 0, -EAGAIN where the name is taken or was
 * cleaned away between the two, or -errno.
 */
static int make_folder(struct stage *stage, unsigned n)
{
	AUTO_FREE char *path = NULL;
	AUTO_FD int fd = -1;

	if (asprintf(&path, "%s/.%s" STAGE_MARK "%ld-%u", stage->target.parent,
		     stage->target.name, (long)getpid(), n) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (mkdir(path, 0777) < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !lock_folder(fd)) {
		rmdir(path);
		return -EAGAIN;
	}
	stage->fd = TAKE_FD(fd);
	stage->path = TAKE(path);
	return 0;
}

static int make_any_folder(struct stage *stage, struct error *err)
{
	int rc = -EAGAIN;

	/* A signal waits until what it is to remove has a name. */
	pthread_mutex_lock(&stage->lock);
	for (unsigned n = 0; rc == -EAGAIN && n < STAGE_TRIES; n++)
		rc = make_folder(stage, n);
	pthread_mutex_unlock(&stage->lock);
	if (rc < 0)
		return fail(err, -rc, "%s: cannot make a folder in it: %s",
			    stage->target.parent, strerror(-rc));
	return 0;
}

static int begin(struct stage *stage, const char *target, uint64_t bytes,
		 struct error *err)
{
	int rc = target_init(&stage->target, target, err);

	if (rc < 0)
		return rc;
	remove_leftovers(stage);
	rc = target_check_space(&stage->target, bytes, err);
	if (rc == 0)
		rc = start_guard(stage, err);
	if (rc == 0)
		rc = make_any_folder(stage, err);
	return rc;
}

int stage_open(const char *target, uint64_t bytes, struct stage **stage,
	       struct error *err)
{
	struct stage *opened = calloc(1, sizeof(*opened));
	int rc;

	if (!opened)
		return fail(err, ENOMEM, "no memory for %s", target);
	opened->fd = -1;
	pthread_mutex_init(&opened->lock, NULL);
	rc = begin(opened, target, bytes, err);
	if (rc < 0)
		stage_close(opened);
	else
		*stage = opened;
	return rc;
}

int stage_fd(const struct stage *stage)
{
	return stage->fd;
}

const char *stage_target(const struct stage *stage)
{
	return stage->target.path;
}

/* The new name is there: that it may not outlive a crash changes nothing. */
static void sync_parent(const struct stage *stage)
{
	AUTO_FD int fd =
		open(stage->target.parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		fsync(fd);
}

int stage_publish(struct stage *stage, struct error *err)
{
	int rc = 0;

	if (fsync(stage->fd) < 0)
		return fail(err, errno, "%s: %m", stage->target.path);
	pthread_mutex_lock(&stage->lock);
	if (!stage->path)
		rc = fail(err, EINTR, "%s: interrupted", stage->target.path);
	else if (rename(stage->path, stage->target.path) < 0)
		rc = fail(err, errno, "%s: %m", stage->target.path);
	else
		free(TAKE(stage->path));
	pthread_mutex_unlock(&stage->lock);
	if (rc == 0)
		sync_parent(stage);
	return rc;
}

void stage_close(struct stage *stage)
{
	if (!stage)
		return;
	discard(stage);
	stop_guard(stage);
	if (stage->fd >= 0)
		close(stage->fd);
	pthread_mutex_destroy(&stage->lock);
	target_done(&stage->target);
	free(stage);
}
