/*
 * Run a command, and say what it took.
 *
 *	measure LOG FOLDER COMMAND...
 *
 * Its output goes to the file LOG. When it has ended, everything in FOLDER ("-"
 * for none) is synced, on a clock of its own: what a program leaves in the page
 * cache is not on the disk yet. The launcher is small, for Linux counts in a
 * child's greatest size that of who has forked it. A launcher that is killed
 * takes the command along.
 *
 * "rss" is the most memory it had resident, mapped files included; "anon" the
 * most that was its own, looked at every few milliseconds.
 */
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LOOK_MS 5
#define FTW_FDS 16
#define STATUS_MAX 4096

static pid_t start(const char *log, char **argv)
{
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
	    dup2(fd, STDERR_FILENO) < 0)
		_exit(127);
	execvp(argv[0], argv);
	_exit(127);
}

/* RssAnon, in bytes; 0 once there is none. */
static uint64_t anon_bytes(pid_t pid)
{
	char path[64], text[STATUS_MAX];
	AUTO_FD int fd = -1;
	const char *line;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	line = strstr(text, "RssAnon:");
	return line ? strtoull(line + 8, NULL, 10) << 10 : 0;
}

static uint64_t watch(pid_t pid)
{
	AUTO_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = { .fd = fd, .events = POLLIN };
	uint64_t most = 0;

	if (fd < 0)
		die("pidfd_open: %s", strerror(errno));
	do
		most = max_u64(most, anon_bytes(pid));
	while (poll(&ended, 1, LOOK_MS) == 0);
	return most;
}

static int sync_entry(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fsync(fd) < 0)
		die("%s: %s", path, strerror(errno));
	return 0;
}

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	double begin, ended, synced;
	uint64_t anon;
	int status;
	pid_t pid;

	if (argc < 4)
		die("measure LOG FOLDER COMMAND...");
	begin = clock_seconds();
	pid = start(argv[1], argv + 3);
	anon = watch(pid);
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4: %s", strerror(errno));
	ended = clock_seconds();
	if (strcmp(argv[2], "-") != 0 && status == 0 &&
	    nftw(argv[2], sync_entry, FTW_FDS, FTW_PHYS) < 0)
		die("%s: %s", argv[2], strerror(errno));
	synced = clock_seconds();
	printf("{\"status\": %d, \"run_s\": %.4f, \"sync_s\": %.4f, "
	       "\"seconds\": %.4f, \"user_s\": %.4f, \"system_s\": %.4f, "
	       "\"rss\": %llu, \"anon\": %llu}\n",
	       status, ended - begin, synced - ended, synced - begin,
	       seconds_of(usage.ru_utime), seconds_of(usage.ru_stime),
	       (unsigned long long)usage.ru_maxrss << 10,
	       (unsigned long long)anon);
	return EXIT_SUCCESS;
}
