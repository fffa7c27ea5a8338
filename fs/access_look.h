/*
 * What /proc tells of a process that reads. Whether it has a file mapped is
 * looked up on a thread of its own, and waited for only a little: the list of
 * mappings is behind a lock of that process, which may be held until the very
 * read is answered that asks for it.
 */
#ifndef LMFS_ACCESS_LOOK_H
#define LMFS_ACCESS_LOOK_H

#include <stdio.h>
#include <sys/types.h>

#include "core/base/base.h"

#define ACCESS_COMM_MAX 64

/* The process of a thread, or the number given where that is not known. */
pid_t proc_of_thread(pid_t pid);

/* Its name, one printable word; "?" where it is not known. */
void proc_name(pid_t pid, char name[ACCESS_COMM_MAX]);

/* Whether a list like /proc/PID/maps has a mapping of the file of this number,
 * on a file system without a device as ours is, with the byte at `off`. */
bool maps_have(FILE *maps, uint64_t ino, uint64_t off);

struct looker;

struct looker *looker_open(void); /* NULL: no memory */
/* NULL is fine. Nobody asks any more. */
void looker_close(struct looker *looker);

/* Whether the process has the byte of the file mapped; false, too, where that
 * is not known in time. Any thread. */
bool looker_ask(struct looker *looker, pid_t pid, uint64_t ino, uint64_t off);

#endif
