/*
 * In this order: everything that can be wrong is found out before the fork; the
 * engine's threads are started after it; the parent is told when the mount has
 * answered.
 */
#define FUSE_USE_VERSION 312

#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "fs/command.h"
#include "fs/live.h"
#include "fs/log.h"
#include "fs/mountpoint.h"
#include "fs/ops.h"
#include "fs/unmount.h"

#define THREADS_MIN 4u
#define THREADS_MAX 32u
#define THREADS_SPARE 2u
#define READY 'r'

/* A mount in the making, and while it lives. */
struct session {
	const struct options *options;
	struct lens *lens;
	const char *mountpoint;
	struct mount mount;
	struct fuse_session *fuse;
	int ready_fd;  /* of the pipe to the parent; -1: in the foreground */
	bool answered; /* the mount, to greet() */
};

/* --- the words for FUSE ------------------------------------------------ */

static int add_words(const struct session *session, struct fuse_args *args)
{
	const char *more = session->options->mount_options;
	char *words = NULL;
	int rc;

	/* Not `ro`: what would change something is answered by us. */
	if (asprintf(&words,
		     "subtype=llmergefs,nosuid,nodev,noatime,"
		     "default_permissions,max_read=%u%s%s",
		     ENGINE_READ_MAX, more ? "," : "", more ? more : "") < 0)
		return -1;
	rc = fuse_opt_add_arg(args, "llmergefs");
	if (rc == 0)
		rc = fuse_opt_add_arg(args, "-o");
	if (rc == 0)
		rc = fuse_opt_add_arg(args, words);
	if (rc == 0 && session->options->debug)
		rc = fuse_opt_add_arg(args, "-d");
	free(words);
	return rc;
}

/* The name in /proc/mounts is the recipe's path; commas in it are escaped. */
static int add_name(const struct session *session, struct fuse_args *args)
{
	AUTO_FREE char *real = realpath(session->options->recipe, NULL);
	AUTO_FREE char *word = NULL;
	char *opts = NULL;
	int rc;

	if (asprintf(&word, "fsname=%s",
		     real ? real : session->options->recipe) < 0) {
		word = NULL;
		return -1;
	}
	rc = fuse_opt_add_opt_escaped(&opts, word);
	if (rc == 0)
		rc = fuse_opt_add_arg(args, "-o");
	if (rc == 0)
		rc = fuse_opt_add_arg(args, opts);
	free(opts);
	return rc;
}

/* --- the child: serving ------------------------------------------------ */

static int fail_mount(const char *mountpoint)
{
	const char *why = "FUSE refused the mount; its own words are above";

	if (access("/dev/fuse", F_OK) != 0)
		why = "there is no /dev/fuse; load the module (modprobe fuse), "
		      "or give the container the device (docker run --device "
		      "/dev/fuse --cap-add SYS_ADMIN)";
	else if (access("/dev/fuse", R_OK | W_OK) != 0)
		why = "/dev/fuse cannot be opened; give the container the "
		      "device (docker run --device /dev/fuse --cap-add "
		      "SYS_ADMIN)";
	log_line(LOG_ERROR, "cannot mount on %s: %s", mountpoint, why);
	return EXIT_MOUNT;
}

static int open_fuse(struct session *session)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	if (add_words(session, &args) == 0 && add_name(session, &args) == 0)
		session->fuse = ops_session(&args, &session->mount);
	fuse_opt_free_args(&args);
	if (!session->fuse) {
		log_line(LOG_ERROR, "-o %s: FUSE does not take these options",
			 session->options->mount_options
				 ? session->options->mount_options
				 : "");
		return EXIT_USAGE;
	}
	if (fuse_session_mount(session->fuse, session->mountpoint) != 0)
		return fail_mount(session->mountpoint);
	return EXIT_OK;
}

/* From here on there is nobody to read what we print. */
static void leave_terminal(void)
{
	AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_to_stderr(false);
	if (null >= 0)
		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			dup2(null, fd);
	if (chdir("/") < 0)
		log_line(LOG_WARNING, "cannot leave the working folder: %m");
}

static void say_ready(struct session *session)
{
	const char ready = READY;

	log_line(LOG_INFO, "%s mounted on %s", session->options->recipe,
		 session->mountpoint);
	if (session->ready_fd < 0)
		return;
	leave_terminal();
	if (write(session->ready_fd, &ready, 1) != 1)
		log_line(LOG_WARNING, "the command that started it is gone");
	close(session->ready_fd);
}

/*
 * On a thread of its own, beside the loop: wait until the mount answers, and
 * only then raise the read-ahead, which the kernel's first exchange with us
 * lowers again.
 */
static bool greet(void *ctx)
{
	struct session *session = ctx;
	struct statvfs st;
	struct error err;

	if (statvfs(session->mountpoint, &st) < 0) {
		log_line(LOG_ERROR, "%s does not answer: %m",
			 session->mountpoint);
		return false;
	}
	session->answered = true;
	if (mountpoint_read_ahead(session->mountpoint,
				  session->options->readahead_kb, &err) < 0)
		log_line(LOG_INFO, "%s", err.text);
	say_ready(session);
	return true;
}

static unsigned threads_of(const struct options *options)
{
	uint64_t wanted = options->engine.threads;

	if (wanted == 0)
		wanted = pool_machine_threads();
	return (unsigned)min_u64(THREADS_MAX,
				 max_u64(THREADS_MIN, wanted + THREADS_SPARE));
}

static int run_loop(struct session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	unsigned threads = threads_of(session->options);
	int rc;

	if (!config)
		return EXIT_FAILED;
	fuse_loop_cfg_set_max_threads(config, threads);
	/* Idle ones stay: their buffers and caches are warm. */
	fuse_loop_cfg_set_idle_threads(config, threads);
	rc = fuse_session_loop_mt(session->fuse, config);
	fuse_loop_cfg_destroy(config);
	/* The kernel's other word for a mount that is gone, which FUSE takes
	 * for an error. */
	if (rc == -ECONNABORTED)
		rc = 0;
	if (rc < 0)
		log_line(LOG_ERROR, "the connection to the kernel broke: %s",
			 strerror(-rc));
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

static int serve_mounted(struct session *session)
{
	struct unmounter *unmounter =
		unmounter_open(session->mountpoint, greet, session);
	int code = EXIT_FAILED;

	if (unmounter)
		code = run_loop(session);
	unmounter_close(unmounter);
	fuse_session_unmount(session->fuse);
	/* What is being made is finished and kept, unless somebody is against
	 * it. */
	unmount_unblock_signals();
	return code == EXIT_OK && !session->answered ? EXIT_MOUNT : code;
}

static int open_tree(struct session *session, struct live *live)
{
	struct mount *mount = &session->mount;
	struct error err;
	int rc;

	mount->uid = getuid();
	mount->gid = getgid();
	mount->tree = tree_open(session->lens->mtime);
	if (!mount->tree)
		return EXIT_FAILED;
	rc = tree_add_lens(mount->tree, tree_root(mount->tree), session->lens,
			   &err);
	if (rc == 0)
		rc = live_add(live, mount->tree, &err);
	return rc ? command_failed(&err) : EXIT_OK;
}

static int serve(struct session *session)
{
	struct live live = { .lens = session->lens };
	int code = EXIT_OK;

	unmount_block_signals();
	session->mount.engine = command_engine(session->options, &code);
	live.engine = session->mount.engine;
	if (session->mount.engine)
		code = open_tree(session, &live);
	if (code == EXIT_OK)
		code = open_fuse(session);
	if (code == EXIT_OK)
		code = serve_mounted(session);
	/* Parked reads are answered before the session that they answer to is
	 * gone. */
	if (session->mount.engine)
		engine_forget(session->mount.engine, session->lens);
	if (session->fuse)
		fuse_session_destroy(session->fuse);
	tree_close(session->mount.tree);
	engine_close(session->mount.engine);
	return code;
}

/* --- the parent: waiting ----------------------------------------------- */

static int wait_for_end(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) {
		log_line(LOG_ERROR, "the daemon died before it had mounted");
		return EXIT_FAILED;
	}
	return WEXITSTATUS(status);
}

/* The daemon says so once its mount has answered. */
static int wait_for_answer(pid_t child, int ready_fd)
{
	char ready;

	return read(ready_fd, &ready, 1) == 1 ? EXIT_OK : wait_for_end(child);
}

static int serve_in_background(struct session *session)
{
	int ends[2];
	pid_t child;
	int code;

	if (pipe2(ends, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		log_line(LOG_ERROR, "cannot start a daemon: %m");
		return EXIT_FAILED;
	}
	if (child == 0) {
		close(ends[0]);
		setsid();
		session->ready_fd = ends[1];
		return serve(session);
	}
	close(ends[1]);
	code = wait_for_answer(child, ends[0]);
	close(ends[0]);
	return code;
}

static int mount_lens(struct session *session)
{
	AUTO_FREE char *mountpoint = NULL;
	const struct options *options = session->options;
	struct error err;
	int rc;

	rc = mountpoint_prepare(options->target, &mountpoint, &err);
	if (rc == 0)
		rc = mountpoint_check(mountpoint, session->lens,
				      options->engine.cache_dir, &err);
	if (rc) {
		command_failed(&err);
		return EXIT_MOUNT;
	}
	session->mountpoint = mountpoint;
	if (options->foreground || options->debug)
		return serve(session);
	return serve_in_background(session);
}

int mount_main(const struct options *options)
{
	struct session session = { .options = options, .ready_fd = -1 };
	int code = EXIT_OK;

	session.lens = command_lens(options, &code);
	if (!session.lens)
		return code;
	code = mount_lens(&session);
	lens_close(session.lens);
	return code;
}
