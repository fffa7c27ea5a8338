/*
 * Who reads, and how: for status (how many have shards open) and for the access
 * log, one line for each process that has closed the last of its files:
 *
 *	2026-11-24T12:00:00Z pid=4711 comm=python3 files=2 opens=3 reads=514
 *	bytes=538968064 sequential=0.97 pattern=mmap,sequential seconds=1.84
 *
 * (on one line). Reads are those that come to us: what the kernel still has of
 * a file is read unseen. They count for the process that opened the file. The
 * pattern is what most of its bytes came by: mmap where the process has the
 * file mapped (looked up in /proc), else read; sequential where most reads
 * begin near the end of those before them, else random; none where there were
 * no reads at all.
 */
#ifndef LMFS_ACCESS_H
#define LMFS_ACCESS_H

#include <sys/types.h>

#include "core/base/base.h"
#include "core/base/error.h"

struct access;

/* `log` is a file to append to; NULL: count only. NULL on failure. It starts no
 * thread before the first read. */
struct access *access_open(const char *log, struct error *err);
/* All files have ended. NULL is fine. */
void access_close(struct access *access);

/* One open file of one process. */
struct access_file;

/* The process is that of the thread `pid`. NULL: no memory, and then nothing of
 * it is counted. */
struct access_file *access_begin(struct access *access, pid_t pid,
				 uint64_t ino);
/* NULL is fine for both. A read of many (the first, the eighth, ...) may wait a
 * little for a look into /proc, where there is a log. */
void access_read(struct access_file *file, uint64_t off, size_t len);
void access_end(struct access_file *file);

uint64_t access_files(struct access *access);	  /* open now */
uint64_t access_processes(struct access *access); /* that have any open */

#endif
