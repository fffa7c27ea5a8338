#include <stdarg.h>
#include <stdio.h>

#include <sanitizer/asan_interface.h>

#include "core/base/arena.h"

#define BLOCK_SIZE_MIN 4096
#define BLOCK_SIZE_MAX (1u << 20)
#define ALIGNMENT _Alignof(max_align_t)

/*
 * Bytes behind `used` are zero, and poisoned for AddressSanitizer, as is the
 * rest of an allocation up to the next aligned address.
 */
struct block {
	struct block *next;
	size_t used;
	size_t size;
	max_align_t data[];
};

struct arena {
	struct block *blocks; /* the first one is being filled */
	size_t block_size;    /* of the next block */
	size_t used;
};

struct arena *arena_open(void)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (arena)
		arena->block_size = BLOCK_SIZE_MIN;
	return arena;
}

static struct block *block_open(size_t size)
{
	struct block *block;

	if (size > SIZE_MAX - sizeof(*block))
		return NULL;
	block = calloc(1, sizeof(*block) + size);
	if (!block)
		return NULL;
	block->size = size;
	ASAN_POISON_MEMORY_REGION(block->data, size);
	return block;
}

static void *block_take(struct block *block, size_t need, size_t len)
{
	char *data = (char *)block->data + block->used;

	block->used += need;
	ASAN_UNPOISON_MEMORY_REGION(data, len);
	return data;
}

/* A block with `need` free bytes in front of the list; NULL: no memory. */
static struct block *arena_grow(struct arena *arena, size_t need)
{
	struct block *block;

	block = block_open(need > arena->block_size ? need : arena->block_size);
	if (!block)
		return NULL;
	if (arena->block_size < BLOCK_SIZE_MAX)
		arena->block_size *= 2;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
	struct block *block = arena->blocks;
	size_t len, need;

	if (__builtin_mul_overflow(count, size, &len) ||
	    len > SIZE_MAX - ALIGNMENT)
		return NULL;
	/* Also an empty allocation has an address of its own. */
	need = round_up_u64(len ? len : 1, ALIGNMENT);
	if (!block || need > block->size - block->used)
		block = arena_grow(arena, need);
	if (!block)
		return NULL;
	arena->used += need;
	return block_take(block, need, len);
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy;

	if (len == SIZE_MAX)
		return NULL;
	copy = arena_alloc(arena, len + 1, 1);
	if (copy)
		memcpy(copy, text, len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0) {
		text = NULL;
		return NULL;
	}
	return arena_strndup(arena, text, (size_t)len);
}

size_t arena_used(const struct arena *arena)
{
	return arena->used;
}

void arena_close(struct arena *arena)
{
	struct block *block;

	if (!arena)
		return;
	while ((block = arena->blocks)) {
		arena->blocks = block->next;
		ASAN_UNPOISON_MEMORY_REGION(block->data, block->size);
		free(block);
	}
	free(arena);
}
