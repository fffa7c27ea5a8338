/*
 * In this order: everything that can be wrong is found out before the fork; the
 * engine's threads are started after it; the parent is told when the mount has
 * answered.
 */
#define FUSE_USE_VERSION 312

#include "fs/mount.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <sys/statvfs.h>

#include "core/base/file.h"
#include "fs/command.h"
#include "fs/daemon.h"
#include "fs/live.h"
#include "fs/log.h"
#include "fs/mountpoint.h"
#include "fs/ops.h"
#include "fs/passthrough.h"
#include "fs/unmount.h"

#define THREADS_MIN 4u
#define THREADS_MAX 32u
#define THREADS_SPARE 2u

/* A mount in the making, and while it lives. */
struct session {
	const struct options *options;
	struct catalog *catalog;
	const char *mountpoint;
	struct mount mount;
	struct live live;
	struct fuse_session *fuse;
	int ready_fd;  /* of the pipe to the parent; -1: in the foreground */
	bool answered; /* the mount, to greet() */
};

/* --- the words for FUSE ------------------------------------------------- */

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

/* The name in /proc/mounts is the path of the recipe, the first where there are
 * several; commas in it are escaped. */
static int add_name(const struct session *session, struct fuse_args *args)
{
	const struct options *options = session->options;
	AUTO_FREE char *real = realpath(options->recipe, NULL);
	AUTO_FREE char *word = NULL;
	char *opts = NULL;
	int rc;

	if (asprintf(&word, "fsname=%s%s", real ? real : options->recipe,
		     options->operands_count > 2 ? ",..." : "") < 0) {
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

/* --- the child: serving ------------------------------------------------- */

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
	if (fuse_session_mount(session->fuse, session->mountpoint) != 0) {
		log_line(LOG_ERROR, "cannot mount on %s: %s",
			 session->mountpoint, mountpoint_refusal());
		return EXIT_MOUNT;
	}
	passthrough_attach(session->mount.passthrough, session->fuse);
	return EXIT_OK;
}

static void say_ready(struct session *session)
{
	log_line(LOG_INFO, "%s%s mounted on %s", session->options->recipe,
		 session->options->operands_count > 2 ? " and more" : "",
		 session->mountpoint);
	if (session->ready_fd >= 0)
		daemon_ready(session->ready_fd);
}

/*
 * On a thread of its own, beside the loop: wait until the mount answers, and
 * only then raise the read-ahead, which the kernel's first exchange with us
 * lowers again.
 */
static bool greet(void *ctx)
{
	struct session *session = ctx;
	unsigned kib = session->options->readahead_kb;
	struct statvfs fs;
	struct stat st;
	struct error err;

	if (statvfs(session->mountpoint, &fs) < 0 ||
	    stat(session->mountpoint, &st) < 0) {
		log_line(LOG_ERROR, "%s does not answer: %m",
			 session->mountpoint);
		return false;
	}
	if (catalog_follow(session->catalog, st.st_dev, &err) < 0) {
		log_line(LOG_ERROR, "%s", err.text);
		return false;
	}
	session->answered = true;
	if (mountpoint_read_ahead(session->mountpoint, kib, &err) < 0) {
		log_line(LOG_INFO, "%s", err.text);
		kib = 0;
	}
	if (kib < ENGINE_READ_MAX / 1024)
		engine_tile_ahead(session->mount.engine);
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
	engine_stop_shards(session->mount.engine);
	passthrough_stop(session->mount.passthrough);
	/* Otherwise it has ended because the mount was gone. */
	if (code != EXIT_OK)
		unmount(session->mountpoint, true);
	/* What is being made is finished and kept, unless somebody is against
	 * it. */
	unmount_unblock_signals();
	return code == EXIT_OK && !session->answered ? EXIT_MOUNT : code;
}

static void let_go(void *ctx)
{
	struct session *session = ctx;

	ops_let_go(session->fuse, &session->mount);
}

static int open_tree(struct session *session, struct error *err)
{
	const struct catalog_service service = {
		.engine = session->mount.engine,
		.tree = session->mount.tree,
		.warm = session->options->warm,
		.let_go = let_go,
		.ctx = session,
	};
	int rc = live_add(&session->live, session->mount.tree, err);

	return rc ? rc : catalog_serve(session->catalog, &service, err);
}

/* All that answers are made from, but for the engine. */
static int open_parts(struct session *session)
{
	struct mount *mount = &session->mount;
	struct error err = { 0 };
	int rc = 0;

	mount->uid = getuid();
	mount->gid = getgid();
	mount->tree = tree_open(catalog_mtime(session->catalog));
	mount->control = control_open(session->catalog, mount->engine);
	mount->passthrough =
		passthrough_open(!session->options->no_passthrough);
	if (!mount->tree || !mount->control || !mount->passthrough)
		rc = fail(&err, ENOMEM, "no memory for a mount");
	if (rc == 0) {
		mount->access = access_open(session->options->access_log, &err);
		rc = mount->access ? 0 : -err.code;
	}
	session->live = (struct live){
		.engine = mount->engine,
		.catalog = session->catalog,
		.access = mount->access,
		.passthrough = mount->passthrough,
		.mountpoint = session->mountpoint,
		.since = clock_seconds(),
		.budgets = &session->options->engine,
	};
	if (rc == 0)
		rc = open_tree(session, &err);
	return rc ? command_failed(&err) : EXIT_OK;
}

/*
 * In this order: nothing is begun any more; parked reads are answered before
 * the session that they answer to is gone, and its descriptor, whose number
 * might be another file's then; what answers are made from goes last.
 */
static void close_parts(struct session *session)
{
	struct mount *mount = &session->mount;

	catalog_stop(session->catalog);
	if (session->fuse) {
		fuse_session_unmount(session->fuse);
		fuse_session_destroy(session->fuse);
	}
	passthrough_close(mount->passthrough);
	control_close(mount->control);
	access_close(mount->access);
	tree_close(mount->tree);
	catalog_close(TAKE(session->catalog));
	engine_close(mount->engine);
}

static int serve(struct session *session)
{
	int code = EXIT_OK;

	unmount_block_signals();
	session->mount.engine = command_engine(session->options, &code);
	if (session->mount.engine)
		code = open_parts(session);
	if (code == EXIT_OK)
		code = open_fuse(session);
	if (code == EXIT_OK)
		code = serve_mounted(session);
	close_parts(session);
	return code;
}

static int serve_as_daemon(void *ctx, int ready_fd)
{
	struct session *session = ctx;

	session->ready_fd = ready_fd;
	return serve(session);
}

static int mount_catalog(struct session *session)
{
	AUTO_FREE char *mountpoint = NULL;
	const struct options *options = session->options;
	struct error err;
	int rc;

	rc = mountpoint_prepare(options->target, &mountpoint, &err);
	if (rc == 0)
		rc = catalog_check_mountpoint(session->catalog, mountpoint,
					      &err);
	if (rc == 0)
		rc = mountpoint_check(mountpoint,
				      catalog_sources(session->catalog),
				      options->engine.cache_dir, &err);
	if (rc) {
		command_failed(&err);
		return EXIT_MOUNT;
	}
	session->mountpoint = mountpoint;
	if (options->foreground || options->debug)
		return serve(session);
	return daemon_start(serve_as_daemon, session);
}

int mount_main(const struct options *options)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct session session = { .options = options, .ready_fd = -1 };
	int code;

	session.catalog = catalog_open(options->operands,
				       options->operands_count - 1, &report);
	log_report(&report);
	if (!session.catalog)
		return command_report_code(options->recipe, &report);
	code = mount_catalog(&session);
	catalog_close(session.catalog);
	return code;
}
