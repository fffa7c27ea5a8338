#include "fs/daemon.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "fs/log.h"
#include "fs/options.h"

#define READY 'r'

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

void daemon_ready(int ready_fd)
{
	const char ready = READY;

	leave_terminal();
	if (write(ready_fd, &ready, 1) != 1)
		log_line(LOG_WARNING, "the command that started it is gone");
	close(ready_fd);
}

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

int daemon_start(int (*run)(void *ctx, int ready_fd), void *ctx)
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
		return run(ctx, ends[1]);
	}
	close(ends[1]);
	code = wait_for_answer(child, ends[0]);
	close(ends[0]);
	return code;
}
