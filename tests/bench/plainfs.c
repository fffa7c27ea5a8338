/*
 * A FUSE that computes nothing, set up as llmergefs sets up its own: the limit
 * of what a merge through FUSE can be.
 *
 *	plainfs MOUNTPOINT hot FILE
 *		one file of that size, answered from one buffer in the CPU's
 *		cache: what the transport alone gives
 *	plainfs MOUNTPOINT sources FILE...
 *		a read reads the same range of every FILE and answers with the
 *		first: what a merge of them reads, without its arithmetic; with
 *		one FILE, a plain copy behind a FUSE
 *
 * The file in the mount is `model.safetensors`. Says "ready", and ends when it
 * is unmounted.
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "tests/bench/bench.h"

#include "core/base/pool.h"
#include "fs/mountpoint.h"

#define NAME "model.safetensors"
#define NODE 2
#define FILES_MAX 64u
#define READAHEAD_KB 4096u
#define MAX_BACKGROUND 64
#define CONGESTION_THRESHOLD 48
#define THREADS_MIN 4u
#define THREADS_SPARE 2u
#define FOREVER 1e9

struct plainfs {
	int fds[FILES_MAX];
	uint64_t sizes[FILES_MAX];
	size_t count;
	unsigned char *hot; /* NULL: it reads */
	pthread_key_t buffers;
};

static struct plainfs *plainfs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct stat stat_of(const struct plainfs *fs, fuse_ino_t ino)
{
	struct stat st = {
		.st_ino = ino,
		.st_mode = ino == NODE ? S_IFREG | 0444 : S_IFDIR | 0555,
		.st_nlink = ino == NODE ? 1 : 2,
		.st_size = ino == NODE ? (off_t)fs->sizes[0] : 0,
		.st_blksize = MIB,
	};

	return st;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA |
			    FUSE_CAP_ASYNC_DIO | FUSE_CAP_CACHE_SYMLINKS);
	conn->max_read = MIB;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = NODE,
		.attr = stat_of(plainfs_of(req), NODE),
		.attr_timeout = FOREVER,
		.entry_timeout = FOREVER,
	};

	if (strcmp(name, NAME) != 0)
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct stat st = stat_of(plainfs_of(req), ino);

	fuse_reply_attr(req, &st, FOREVER);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

/* The calling thread's own, of a MiB for each file. */
static unsigned char *buffer_of(struct plainfs *fs)
{
	unsigned char *buffer = pthread_getspecific(fs->buffers);

	if (!buffer) {
		buffer = alloc_pages(fs->count * MIB);
		pthread_setspecific(fs->buffers, buffer);
	}
	return buffer;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct plainfs *fs = plainfs_of(req);
	unsigned char *buffer = fs->hot ? fs->hot : buffer_of(fs);
	uint64_t at = (uint64_t)off;

	size = min_u64(min_u64(size, MIB),
		       fs->sizes[0] - min_u64(fs->sizes[0], at));
	for (size_t i = 0; !fs->hot && i < fs->count; i++) {
		size_t len =
			min_u64(size, fs->sizes[i] - min_u64(fs->sizes[i], at));

		if (file_read_at(fs->fds[i], buffer + i * MIB, len, at) < 0) {
			fuse_reply_err(req, EIO);
			return;
		}
	}
	fuse_reply_buf(req, (const char *)buffer, size);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
};

static void open_files(struct plainfs *fs, bool hot, char *const *paths)
{
	for (; *paths; paths++, fs->count++) {
		if (fs->count == FILES_MAX)
			die("at most %u files", FILES_MAX);
		fs->fds[fs->count] = open_sized(*paths, &fs->sizes[fs->count]);
	}
	if (hot) {
		fs->hot = alloc_pages(MIB);
		memset(fs->hot, 0x3c, MIB);
	}
	if (pthread_key_create(&fs->buffers, free))
		die("no thread key");
}

static void run_loop(struct fuse_session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	unsigned threads = (unsigned)max_u64(
		THREADS_MIN, pool_machine_threads() + THREADS_SPARE);

	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_idle_threads(config, threads);
	fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
}

int main(int argc, char **argv)
{
	char *words[] = { argv[0], "-oro,nosuid,nodev,noatime,"
				   "default_permissions,max_read=1048576,"
				   "fsname=plainfs" };
	struct fuse_args args = FUSE_ARGS_INIT(ARRAY_LEN(words), words);
	struct plainfs fs = { .count = 0 };
	struct fuse_session *session;
	struct error err;

	if (argc < 4 ||
	    (strcmp(argv[2], "hot") != 0 && strcmp(argv[2], "sources") != 0))
		die("plainfs MOUNTPOINT hot|sources FILE...");
	open_files(&fs, !strcmp(argv[2], "hot"), argv + 3);
	session = fuse_session_new(&args, &ops, sizeof(ops), &fs);
	if (!session || fuse_session_mount(session, argv[1]) < 0)
		die("%s: no mount", argv[1]);
	if (mountpoint_read_ahead(argv[1], READAHEAD_KB, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	puts("ready");
	fflush(stdout);
	run_loop(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	free(fs.hot);
	for (size_t i = 0; i < fs.count; i++)
		close(fs.fds[i]);
	return EXIT_SUCCESS;
}
