#include <assert.h>
#include <sys/mman.h>

#include "cache/table.h"

enum { SLOTS_MIN = 64, BLOB_ALIGN = 64, BLOB_MAPPED_MIN = 64 * 1024 };

static void *map_bytes(size_t size)
{
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return data == MAP_FAILED ? NULL : data;
}

void *blob_alloc(size_t size)
{
	uint64_t bytes = round_up_u64(max_u64(size, 1), BLOB_ALIGN);

	if (size >= BLOB_MAPPED_MIN)
		return map_bytes(size);
	return aligned_alloc(BLOB_ALIGN, bytes);
}

/* The bytes are the cache's own; to those who borrow them they are const. */
void blob_free(const struct blob *blob)
{
	void *data;

	memcpy(&data, &blob->data, sizeof(data));
	if (!data || blob->size < BLOB_MAPPED_MIN)
		free(data);
	else if (munmap(data, blob->size) < 0) /* too many holes by then */
		madvise(data, blob->size, MADV_DONTNEED);
}

bool table_init(struct table *table, size_t bytes_max)
{
	*table = (struct table){ .bytes_max = bytes_max };
	table->slots = calloc(SLOTS_MIN, sizeof(*table->slots));
	table->slot_count = table->slots ? SLOTS_MIN : 0;
	return table->slots;
}

void table_done(struct table *table)
{
	for (size_t i = 0; i < table->slot_count; i++)
		entry_free_all(table->slots[i]);
	free(table->slots);
}

/* A key is a hash already: any of its bits will do. */
static struct entry **slot_of(const struct table *table, struct hash128 key)
{
	return &table->slots[key.lo & (table->slot_count - 1)];
}

struct entry *table_find(const struct table *table, struct hash128 key)
{
	struct entry *entry = *slot_of(table, key);

	while (entry && !hash_equal(entry->key, key))
		entry = entry->next;
	return entry;
}

static void slot_push(struct table *table, struct entry *entry)
{
	struct entry **slot = slot_of(table, entry->key);

	entry->next = *slot;
	*slot = entry;
}

/* Without memory the table stays as it is: its chains are longer, no more. */
static void table_grow(struct table *table)
{
	struct table grown = *table;
	struct entry *entry, *next;

	grown.slot_count = 2 * table->slot_count;
	grown.slots = calloc(grown.slot_count, sizeof(*grown.slots));
	if (!grown.slots)
		return;
	for (size_t i = 0; i < table->slot_count; i++) {
		for (entry = table->slots[i]; entry; entry = next) {
			next = entry->next;
			slot_push(&grown, entry);
		}
	}
	free(table->slots);
	*table = grown;
}

struct entry *table_add(struct table *table, struct hash128 key, size_t size)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	if (table->count >= table->slot_count)
		table_grow(table);
	entry->key = key;
	entry->blob.size = size;
	entry->refs = 1;
	slot_push(table, entry);
	table->count++;
	return entry;
}

void table_remove(struct table *table, struct entry *entry)
{
	struct entry **link = slot_of(table, entry->key);

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	entry->next = NULL;
	table->count--;
}

void table_charge(struct table *table, const struct entry *entry)
{
	table->bytes += entry->blob.size;
}

void table_discharge(struct table *table, const struct entry *entry)
{
	table->bytes -= entry->blob.size;
}

static void idle_append(struct table *table, struct entry *entry)
{
	entry->older = table->newest;
	entry->newer = NULL;
	*(table->newest ? &table->newest->newer : &table->oldest) = entry;
	table->newest = entry;
}

static void idle_remove(struct table *table, struct entry *entry)
{
	*(entry->older ? &entry->older->newer : &table->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &table->newest) = entry->older;
	entry->older = entry->newer = NULL;
}

void table_hold(struct table *table, struct entry *entry)
{
	if (entry->refs++ == 0)
		idle_remove(table, entry);
}

void table_release(struct table *table, struct entry *entry)
{
	assert(entry->refs > 0);
	if (--entry->refs == 0)
		idle_append(table, entry);
}

struct entry *table_trim(struct table *table)
{
	struct entry *list = NULL, *entry;

	while (table->bytes > table->bytes_max && table->oldest) {
		entry = table->oldest;
		idle_remove(table, entry);
		table_remove(table, entry);
		table_discharge(table, entry);
		table->evicted++;
		entry->next = list;
		list = entry;
	}
	return list;
}

static void entry_free(struct entry *entry)
{
	blob_free(&entry->blob);
	free(entry);
}

void entry_free_all(struct entry *list)
{
	struct entry *next;

	for (; list; list = next) {
		next = list->next;
		entry_free(list);
	}
}
