/*
 * The account; its numbers are little-endian, and the second is the complement
 * of the first. Anything else is no account, and is counted anew.
 *
 *	 0       8       16       24
 *	+-------+-------+--------+
 *	| magic | bytes | ~bytes |
 *	+-------+-------+--------+
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cache/account.h"
#include "cache/evict.h"
#include "core/base/file.h"

#define ACCOUNT_FILE "account"
#define ACCOUNT_MODE 0600
#define ACCOUNT_MAGIC "lmfsuse"

#define LOCK_WAIT_SECONDS 2.0
#define LOCK_NAP_MIN_NS 50000L
#define LOCK_NAP_MAX_NS 10000000L
#define LOCK_TRIES 3

/* Evict a sixteenth of the budget at once: walks are dear. */
enum { SLACK_DIVISOR = 16 };

struct record {
	char magic[8];
	uint64_t bytes, complement;
};

void account_init(struct account *account, uint64_t bytes_max)
{
	account->bytes_max = bytes_max;
	atomic_init(&account->bytes, 0);
	atomic_init(&account->counted, false);
	pthread_mutex_init(&account->gate, NULL);
}

void account_done(struct account *account)
{
	pthread_mutex_destroy(&account->gate);
}

static bool record_read(int fd, uint64_t *bytes)
{
	struct record record;

	if (file_read_at(fd, &record, sizeof(record), 0))
		return false;
	*bytes = le64toh(record.bytes);
	return memcmp(record.magic, ACCOUNT_MAGIC, sizeof(record.magic)) == 0 &&
	       record.complement == ~record.bytes;
}

static int record_write(int fd, uint64_t bytes)
{
	struct record record = { ACCOUNT_MAGIC, htole64(bytes),
				 htole64(~bytes) };

	return file_write_at(fd, &record, sizeof(record), 0);
}

void account_peek(struct account *account, int root)
{
	AUTO_FD int fd = openat(root, ACCOUNT_FILE,
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint64_t bytes;

	if (fd >= 0 && record_read(fd, &bytes))
		atomic_store(&account->bytes, bytes);
}

/* flock() has no time limit of its own. */
static int lock_soon(int fd)
{
	double end = clock_seconds() + LOCK_WAIT_SECONDS;
	struct timespec nap = { .tv_nsec = LOCK_NAP_MIN_NS };

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_seconds() > end)
			return -ENOLCK;
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < LOCK_NAP_MAX_NS)
			nap.tv_nsec *= 2;
	}
	return 0;
}

/*
 * -ESTALE: somebody removed the file while this waited for its lock, and others
 * may hold that of a new one.
 */
static int account_open(int root)
{
	AUTO_FD int fd = -1;
	struct stat st;
	int rc;

	fd = openat(root, ACCOUNT_FILE,
		    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		    ACCOUNT_MODE);
	if (fd < 0)
		return -errno;
	rc = lock_soon(fd);
	if (rc == 0 && fstat(fd, &st) < 0)
		rc = -errno;
	if (rc == 0 && st.st_nlink == 0)
		rc = -ESTALE;
	return rc ? rc : TAKE_FD(fd);
}

int account_enter(struct account *account, int root)
{
	int tries = LOCK_TRIES, fd;

	pthread_mutex_lock(&account->gate);
	do
		fd = account_open(root);
	while (fd == -ESTALE && tries-- > 0);
	if (fd < 0)
		pthread_mutex_unlock(&account->gate);
	return fd;
}

void account_leave(struct account *account, int fd)
{
	close(fd);
	pthread_mutex_unlock(&account->gate);
}

/* Count what is there, and evict where `bytes` more would be too many. */
static int make_room(struct account *account, int root, uint64_t bytes,
		     uint64_t *used)
{
	uint64_t most = account->bytes_max;
	uint64_t room = max_u64(bytes, most / SLACK_DIVISOR);
	struct usage usage;
	int rc;

	atomic_store(&account->counted, true);
	rc = evict_count(root, &usage);
	if (rc == 0 && usage.bytes > most - bytes)
		rc = evict_down_to(root, &usage, most - room);
	if (rc)
		account_doubt(account);
	*used = usage.bytes;
	return rc;
}

int account_reserve(struct account *account, int fd, int root, uint64_t bytes)
{
	uint64_t used = 0;
	int rc;

	if (bytes > account->bytes_max)
		return -EFBIG;
	if (!atomic_load(&account->counted) || !record_read(fd, &used) ||
	    used > account->bytes_max - bytes) {
		rc = make_room(account, root, bytes, &used);
		if (rc)
			return rc;
	}
	if (used > account->bytes_max - bytes)
		return -EBUSY;
	rc = record_write(fd, used + bytes);
	if (rc == 0)
		atomic_store(&account->bytes, used + bytes);
	return rc;
}

int account_settle(struct account *account, int fd, int root,
		   uint64_t bytes_max, struct usage *usage)
{
	int rc;

	rc = evict_count(root, usage);
	if (rc == 0)
		rc = evict_down_to(root, usage, bytes_max);
	if (rc == 0)
		rc = record_write(fd, usage->bytes);
	if (rc == 0)
		atomic_store(&account->bytes, usage->bytes);
	return rc;
}

void account_doubt(struct account *account)
{
	atomic_store(&account->counted, false);
}
