/*
 * Memory that ends together: a bump allocator for the immutable structures of
 * one model, one recipe or one plan. Nothing in it is freed singly; the owner
 * closes the arena and all is gone. Not thread-safe: it is filled by one
 * thread, then only read.
 */
#ifndef LMFS_ARENA_H
#define LMFS_ARENA_H

#include "core/base/base.h"

struct arena;

#define AUTO_ARENA AUTO(arena_auto_close)

struct arena *arena_open(void);	       /* NULL: no memory */
void arena_close(struct arena *arena); /* NULL is fine */
static inline void arena_auto_close(struct arena *const *arena)
{
	arena_close(*arena);
}

/* Zeroed, aligned for any type; NULL: no memory, or count * size overflows. */
void *arena_alloc(struct arena *arena, size_t count, size_t size) MUST_USE;

char *arena_strdup(struct arena *arena, const char *text) MUST_USE;
char *arena_strndup(struct arena *arena, const char *text, size_t len) MUST_USE;
char *arena_printf(struct arena *arena, const char *fmt, ...) MUST_USE
	PRINTF_LIKE(2, 3);

/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

#endif
