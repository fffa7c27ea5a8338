#include "fs/workspace.h"

#include <pthread.h>

enum { BUFFER_ALIGN = 64 };

struct owned {
	struct workspace workspace;
	struct workspaces *set;
	struct owned *next, **link; /* among those of the set */
};

struct workspaces {
	size_t buffer_size;
	pthread_key_t key;
	pthread_mutex_t lock;
	struct owned *all;
};

static void owned_free(struct owned *owned)
{
	merge_scratch_close(owned->workspace.scratch);
	free(owned->workspace.buffer);
	free(owned);
}

static void list_add(struct workspaces *set, struct owned *owned)
{
	pthread_mutex_lock(&set->lock);
	owned->next = set->all;
	owned->link = &set->all;
	if (owned->next)
		owned->next->link = &owned->next;
	set->all = owned;
	pthread_mutex_unlock(&set->lock);
}

static void list_remove(struct workspaces *set, struct owned *owned)
{
	pthread_mutex_lock(&set->lock);
	*owned->link = owned->next;
	if (owned->next)
		owned->next->link = owned->link;
	pthread_mutex_unlock(&set->lock);
}

static void at_thread_exit(void *data)
{
	struct owned *owned = data;

	list_remove(owned->set, owned);
	owned_free(owned);
}

static struct owned *owned_new(struct workspaces *set)
{
	struct owned *owned = calloc(1, sizeof(*owned));

	if (!owned)
		return NULL;
	owned->set = set;
	owned->workspace.buffer = aligned_alloc(BUFFER_ALIGN, set->buffer_size);
	owned->workspace.scratch = merge_scratch_open();
	if (owned->workspace.buffer && owned->workspace.scratch)
		return owned;
	owned_free(owned);
	return NULL;
}

struct workspace *workspace_mine(struct workspaces *set)
{
	struct owned *owned = pthread_getspecific(set->key);

	if (owned)
		return &owned->workspace;
	owned = owned_new(set);
	if (!owned)
		return NULL;
	if (pthread_setspecific(set->key, owned) != 0) {
		owned_free(owned);
		return NULL;
	}
	list_add(set, owned);
	return &owned->workspace;
}

struct workspaces *workspaces_open(size_t buffer_size)
{
	AUTO_FREE struct workspaces *set = calloc(1, sizeof(*set));

	if (!set || pthread_key_create(&set->key, at_thread_exit) != 0)
		return NULL;
	set->buffer_size = round_up_u64(buffer_size, BUFFER_ALIGN);
	pthread_mutex_init(&set->lock, NULL);
	return TAKE(set);
}

void workspaces_close(struct workspaces *set)
{
	struct owned *next;

	if (!set)
		return;
	pthread_key_delete(set->key);
	for (struct owned *owned = set->all; owned; owned = next) {
		next = owned->next;
		owned_free(owned);
	}
	pthread_mutex_destroy(&set->lock);
	free(set);
}
