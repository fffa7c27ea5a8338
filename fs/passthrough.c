#define FUSE_USE_VERSION 312

#include "fs/passthrough.h"

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* What headers older than the kernel lack. */
#define FLAGS_EXT (1u << 30)	     /* FUSE_INIT_EXT */
#define FLAGS2_PASSTHROUGH (1u << 5) /* FUSE_PASSTHROUGH >> 32 */
#define STACK_DEPTH 1
#define OPEN_NOFLUSH (1u << 5)	   /* FOPEN_NOFLUSH */
#define OPEN_PASSTHROUGH (1u << 7) /* FOPEN_PASSTHROUGH */

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

/* The end of struct fuse_init_out, which older headers name `unused`. */
struct init_answer {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth, unused[6];
};
_Static_assert(sizeof(struct init_answer) == 64, "as the kernel has it");

struct open_answer {
	uint64_t handle;
	uint32_t flags, backing;
};
_Static_assert(sizeof(struct open_answer) == 16, "as the kernel has it");

/* A file that is open. */
struct opened {
	uint64_t ino, opens;
	uint32_t backing; /* 0: reads come to us */
	struct opened *next;
};

struct passthrough {
	bool wanted;
	atomic_bool offered;	   /* by the kernel, and taken */
	atomic_uint_fast64_t init; /* number of the INIT request; 0: none */
	atomic_uint_fast64_t count;
	pthread_mutex_t lock;
	/* What follows is under the lock. */
	struct fuse_session *session; /* NULL: not attached, or it has ended */
	bool refused; /* the kernel takes no file from us: do not ask again */
	struct opened *opened;
};

struct passthrough *passthrough_open(bool wanted)
{
	struct passthrough *passthrough = calloc(1, sizeof(*passthrough));

	if (!passthrough)
		return NULL;
	passthrough->wanted = wanted;
	pthread_mutex_init(&passthrough->lock, NULL);
	return passthrough;
}

void passthrough_close(struct passthrough *passthrough)
{
	struct opened *opened;

	if (!passthrough)
		return;
	while ((opened = passthrough->opened)) {
		passthrough->opened = opened->next;
		free(opened);
	}
	pthread_mutex_destroy(&passthrough->lock);
	free(passthrough);
}

/* --- the first exchange ------------------------------------------------- */

static bool is_offered(const char *buf, size_t len)
{
	struct fuse_init_in in;

	if (len < sizeof(struct fuse_in_header) + sizeof(in))
		return false;
	memcpy(&in, buf + sizeof(struct fuse_in_header), sizeof(in));
	return in.flags & FLAGS_EXT && in.flags2 & FLAGS2_PASSTHROUGH;
}

static ssize_t read_request(int fd, void *buf, size_t len, void *userdata)
{
	struct passthrough *passthrough = passthrough_of(userdata);
	ssize_t got = read(fd, buf, len);
	struct fuse_in_header header;

	if (got < (ssize_t)sizeof(header))
		return got;
	memcpy(&header, buf, sizeof(header));
	if (header.opcode == FUSE_INIT && is_offered(buf, (size_t)got))
		atomic_store(&passthrough->init, header.unique);
	return got;
}

/* Add that we take the offer. */
static void amend(struct passthrough *passthrough, const struct iovec *iov,
		  int count)
{
	struct fuse_out_header header;
	struct init_answer answer;

	memcpy(&header, iov[0].iov_base, sizeof(header));
	if (header.unique != atomic_load(&passthrough->init) || header.error ||
	    count != 2 || iov[1].iov_len != sizeof(answer))
		return;
	atomic_store(&passthrough->init, 0);
	memcpy(&answer, iov[1].iov_base, sizeof(answer));
	answer.flags |= FLAGS_EXT;
	answer.flags2 |= FLAGS2_PASSTHROUGH;
	answer.max_stack_depth = STACK_DEPTH;
	memcpy(iov[1].iov_base, &answer, sizeof(answer));
	atomic_store(&passthrough->offered, true);
}

static ssize_t write_answer(int fd, struct iovec *iov, int count,
			    void *userdata)
{
	struct passthrough *passthrough = passthrough_of(userdata);

	if (atomic_load_explicit(&passthrough->init, memory_order_relaxed))
		amend(passthrough, iov, count);
	return writev(fd, iov, count);
}

void passthrough_attach(struct passthrough *passthrough,
			struct fuse_session *session)
{
	const struct fuse_custom_io io = {
		.read = read_request,
		.writev = write_answer,
	};

	if (!passthrough->wanted ||
	    fuse_session_custom_io(session, &io, fuse_session_fd(session)))
		return;
	pthread_mutex_lock(&passthrough->lock);
	passthrough->session = session;
	pthread_mutex_unlock(&passthrough->lock);
}

void passthrough_stop(struct passthrough *passthrough)
{
	pthread_mutex_lock(&passthrough->lock);
	passthrough->session = NULL;
	pthread_mutex_unlock(&passthrough->lock);
}

/* --- opens ------------------------------------------------------------- */

static struct opened **find(struct passthrough *passthrough, uint64_t ino)
{
	struct opened **at = &passthrough->opened;

	while (*at && (*at)->ino != ino)
		at = &(*at)->next;
	return at;
}

/* Give the kernel a file: its number, or 0. */
static uint32_t register_file(struct passthrough *passthrough, int fd)
{
	struct backing_map map = { .fd = fd };
	int number;

	if (fd < 0 || !passthrough->session || passthrough->refused ||
	    !atomic_load(&passthrough->offered))
		return 0;
	number = ioctl(fuse_session_fd(passthrough->session), BACKING_OPEN,
		       &map);
	passthrough->refused = number <= 0;
	return number > 0 ? (uint32_t)number : 0;
}

static void unregister_file(struct passthrough *passthrough, uint32_t backing)
{
	if (backing && passthrough->session)
		ioctl(fuse_session_fd(passthrough->session), BACKING_CLOSE,
		      &backing);
}

static struct opened *add_opened(struct passthrough *passthrough, uint64_t ino,
				 int fd)
{
	struct opened *opened = calloc(1, sizeof(*opened));

	if (!opened)
		return NULL;
	opened->ino = ino;
	opened->backing = register_file(passthrough, fd);
	opened->next = passthrough->opened;
	passthrough->opened = opened;
	return opened;
}

uint32_t passthrough_begin(struct passthrough *passthrough, uint64_t ino,
			   int fd)
{
	struct opened *opened;
	uint32_t backing = 0;

	pthread_mutex_lock(&passthrough->lock);
	opened = *find(passthrough, ino);
	if (!opened)
		opened = add_opened(passthrough, ino, fd);
	if (opened) {
		opened->opens++;
		backing = opened->backing;
	}
	pthread_mutex_unlock(&passthrough->lock);
	if (backing)
		atomic_fetch_add(&passthrough->count, 1);
	return backing;
}

void passthrough_end(struct passthrough *passthrough, uint64_t ino)
{
	struct opened **at, *opened;

	pthread_mutex_lock(&passthrough->lock);
	at = find(passthrough, ino);
	opened = *at;
	if (opened && --opened->opens == 0) {
		*at = opened->next;
		unregister_file(passthrough, opened->backing);
		free(opened);
	}
	pthread_mutex_unlock(&passthrough->lock);
}

int passthrough_reply(fuse_req_t req, uint64_t handle, uint32_t backing)
{
	const struct open_answer answer = {
		.handle = handle,
		.flags = OPEN_PASSTHROUGH | OPEN_NOFLUSH,
		.backing = backing,
	};

	return fuse_reply_buf(req, (const char *)&answer, sizeof(answer));
}

uint64_t passthrough_count(const struct passthrough *passthrough)
{
	return atomic_load(&passthrough->count);
}
