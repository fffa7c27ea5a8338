/*
 * What the programs of the benchmark share. Each does one thing, measures
 * nothing but that, and prints one JSON object a line on standard output, which
 * bench.py reads. Whatever is wrong ends them with a sentence and exit code 1:
 * a figure is there, or it is not.
 */
#ifndef LMFS_TESTS_BENCH_H
#define LMFS_TESTS_BENCH_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/file.h"

#define MIB (1u << 20)
#define PAGE 4096u

__attribute__((noreturn))
PRINTF_LIKE(1, 2) static inline void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static inline uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end)
		die("%s is no number", text);
	return number;
}

/* A file, which must not be empty, and its size. */
static inline int open_sized(const char *path, uint64_t *size)
{
	struct error err;
	struct stat st;
	int fd;

	if (file_open(path, &fd, &st, &err) < 0)
		die("%s", err.text);
	if (st.st_size <= 0)
		die("%s is empty", path);
	*size = (uint64_t)st.st_size;
	return fd;
}

static inline void *alloc_pages(size_t size)
{
	void *memory = aligned_alloc(PAGE, round_up_u64(size, PAGE));

	if (!memory)
		die("no memory for %zu bytes", size);
	return memory;
}

#endif
