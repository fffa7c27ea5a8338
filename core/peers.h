/*
 * The jobs of a plan that share one state: those of a method whose reduction is
 * of the whole model (merge_method.combine). The plan makes one list of them
 * once its jobs are in order, and each job points to it; it lives as long as
 * the plan. What the list says is fixed, but for its keys, which are worked out
 * once: they name every tensor of the models.
 */
#ifndef LMFS_PEERS_H
#define LMFS_PEERS_H

#include <pthread.h>

#include "core/base/arena.h"
#include "core/merge.h"

struct peers_key {
	bool known;
	struct hash128 key;
};

struct job_peers {
	const struct job *const *jobs; /* in the order of the plan */
	size_t count;
	uint64_t bytes; /* of sources that the reduction reads */
	pthread_mutex_t lock;
	struct peers_key identity, likeness; /* under the lock */
};

/* Whether the state of a job is its own to count: there is one, and of peers
 * the first has it. */
static inline bool job_counts_state(const struct job *job)
{
	return job->state_size && (!job->peers || job->peers->jobs[0] == job);
}

/* Make the list of those of `count` jobs that have a method of this kind, and
 * point them to it; the jobs stay where they are. 0 or -ENOMEM. */
int peers_make(struct job *jobs, size_t count, struct arena *arena);

/* Whether a key is known already; and make it so. */
bool peers_key_get(struct job_peers *peers, const struct peers_key *which,
		   struct hash128 *key);
void peers_key_set(struct job_peers *peers, struct peers_key *which,
		   struct hash128 key);

#endif
