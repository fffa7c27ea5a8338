#include "fs/unmount.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "fs/log.h"
#include "fs/mountinfo.h"

#define EXIT_BY_SIGNAL 128

struct unmounter {
	const char *mountpoint;
	bool (*greet)(void *ctx);
	void *ctx;
	pthread_t thread;
	bool known; /* what the kernel says of our mount */
	struct mountinfo mount;
};

static void asked_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

void unmount_block_signals(void)
{
	sigset_t set;

	asked_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void unmount_unblock_signals(void)
{
	sigset_t set;

	asked_signals(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* fusermount3 is set-uid: it may do what we may not. */
static int run_fusermount(const char *mountpoint, bool lazy)
{
	char plainly[] = "-qu", lazily[] = "-quz";
	AUTO_FREE char *owned = strdup(mountpoint);
	char *argv[] = { (char[]){ "fusermount3" }, lazy ? lazily : plainly,
			 (char[]){ "--" }, owned, NULL };
	char *envp[] = { (char[]){ "PATH=/usr/bin:/bin:/usr/local/bin" },
			 NULL };
	int status = 0;
	pid_t pid;

	if (!owned)
		return -ENOMEM;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, envp) != 0 ||
	    waitpid(pid, &status, 0) < 0)
		return -EPERM;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int unmount(const char *mountpoint, bool lazy)
{
	int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);

	if (umount2(mountpoint, flags) == 0)
		return 0;
	if (errno == EPERM)
		return run_fusermount(mountpoint, lazy);
	return -errno;
}

/* Ours may be detached by now, and another stand in its place. */
static bool is_ours(const struct unmounter *unmounter)
{
	struct mountinfo now;

	return !unmounter->known ||
	       (mountinfo_find(unmounter->mountpoint, &now) &&
		strcmp(now.device, unmounter->mount.device) == 0);
}

static void end_mount(const struct unmounter *unmounter)
{
	const char *mountpoint = unmounter->mountpoint;
	int rc;

	if (!is_ours(unmounter)) {
		log_line(LOG_INFO,
			 "%s is not ours to unmount any more; files that are "
			 "still open are served until they are closed",
			 mountpoint);
		return;
	}
	rc = unmount(mountpoint, false);
	if (rc == -EBUSY) {
		log_line(LOG_INFO,
			 "detached from %s; files are still open, and are "
			 "served until they are closed",
			 mountpoint);
		rc = unmount(mountpoint, true);
	}
	if (rc)
		log_line(LOG_ERROR, "cannot unmount %s: %s", mountpoint,
			 strerror(-rc));
}

/* The only place where unmounter_close() may end the thread. */
static int wait_for_signal(const sigset_t *set)
{
	int number, before;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
	while (sigwait(set, &number) != 0)
		;
	pthread_setcancelstate(before, NULL);
	return number;
}

static void *run_unmounter(void *arg)
{
	struct unmounter *unmounter = arg;
	sigset_t set;
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	asked_signals(&set);
	unmounter->known =
		mountinfo_find(unmounter->mountpoint, &unmounter->mount);
	if (unmounter->greet(unmounter->ctx))
		wait_for_signal(&set);
	end_mount(unmounter);
	_exit(EXIT_BY_SIGNAL + wait_for_signal(&set));
}

struct unmounter *unmounter_open(const char *mountpoint,
				 bool (*greet)(void *ctx), void *ctx)
{
	struct unmounter *unmounter = calloc(1, sizeof(*unmounter));

	if (!unmounter)
		return NULL;
	unmounter->mountpoint = mountpoint;
	unmounter->greet = greet;
	unmounter->ctx = ctx;
	if (pthread_create(&unmounter->thread, NULL, run_unmounter,
			   unmounter) == 0)
		return unmounter;
	free(unmounter);
	return NULL;
}

void unmounter_close(struct unmounter *unmounter)
{
	if (!unmounter)
		return;
	pthread_cancel(unmounter->thread);
	pthread_join(unmounter->thread, NULL);
	free(unmounter);
}
