/*
 * Into the background: the child serves, the parent waits until it says that it
 * is ready, or has ended.
 */
#ifndef LMFS_DAEMON_H
#define LMFS_DAEMON_H

/*
 * Fork. In the child: `run`, with the descriptor for daemon_ready(), whose exit
 * code is returned. In the parent: EXIT_OK once the child is ready, else the
 * exit code that it ended with.
 */
int daemon_start(int (*run)(void *ctx, int ready_fd), void *ctx);

/* Leave the terminal and the working folder, and let the parent return. */
void daemon_ready(int ready_fd);

#endif
