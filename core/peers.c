#include "core/peers.h"

#include <errno.h>

static bool is_peer(const struct job *job)
{
	return job->method && job->method->combine;
}

static uint64_t bytes_read(const struct job *job)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < job->args.inputs; i++) {
		enum dtype dtype = job->inputs[i].tensor->dtype;

		bytes += job->elements * dtype_info(dtype)->bits / 8;
	}
	return bytes;
}

int peers_make(struct job *jobs, size_t count, struct arena *arena)
{
	const struct job **list;
	struct job_peers *peers;
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += is_peer(&jobs[i]);
	if (!found)
		return 0;
	list = arena_alloc(arena, found, sizeof(const struct job *));
	peers = arena_alloc(arena, 1, sizeof(*peers));
	if (!list || !peers)
		return -ENOMEM;
	peers->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	peers->jobs = list;
	for (size_t i = 0; i < count; i++) {
		if (!is_peer(&jobs[i]))
			continue;
		jobs[i].peers = peers;
		list[peers->count++] = &jobs[i];
		peers->bytes += bytes_read(&jobs[i]);
	}
	return 0;
}

bool peers_key_get(struct job_peers *peers, const struct peers_key *which,
		   struct hash128 *key)
{
	bool known;

	pthread_mutex_lock(&peers->lock);
	known = which->known;
	*key = which->key;
	pthread_mutex_unlock(&peers->lock);
	return known;
}

void peers_key_set(struct job_peers *peers, struct peers_key *which,
		   struct hash128 key)
{
	pthread_mutex_lock(&peers->lock);
	*which = (struct peers_key){ true, key };
	pthread_mutex_unlock(&peers->lock);
}
