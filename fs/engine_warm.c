/*
 * What is made beforehand, for a thread that waits for it.
 */
#include <time.h>

#include "core/base/file.h"
#include "fs/engine_inside.h"

#define YIELD_STEP_NS 500000
#define NS_PER_MS 1000000
#define NS_PER_S 1000000000

bool engine_keeps(const struct engine *engine)
{
	return engine->keeps;
}

int engine_make_state(struct engine *engine, const struct lens *lens,
		      const struct job *job, struct error *err)
{
	struct cache_request request;
	const struct blob *state;
	int rc;

	if (!job->state_size || job_state(lens, job))
		return 0;
	rc = state_request(engine, lens, job, &request, err);
	if (rc == 0)
		rc = cache_get_wait(engine->cache, &request, &state, err);
	if (rc == 0)
		job_keep_state(engine, lens, job, state);
	return rc;
}

void engine_keep(struct engine *engine, const struct lens *lens,
		 const struct job *job)
{
	census_mark(engine->census, &lens_slot(lens, job)->kept_since);
}

int engine_make_chunk(struct engine *engine, const struct lens *lens,
		      const struct job *job, uint64_t off, uint64_t *len,
		      struct error *err)
{
	struct chunk chunk = chunk_at(job, off);
	struct cache_request request;
	const struct blob *blob;
	int rc;

	rc = engine_make_state(engine, lens, job, err);
	if (rc == 0 && has_large_state(job)) {
		*len = job->size - off;
		return 0;
	}
	if (rc == 0)
		rc = chunk_request(engine, lens, job, chunk, &request, err);
	if (rc == 0)
		rc = cache_get_wait(engine->cache, &request, &blob, err);
	if (rc)
		return rc;
	cache_put(engine->cache, blob);
	*len = chunk.off + chunk.size - off;
	return 0;
}

bool engine_yield(struct engine *engine, const struct lens *lens)
{
	const struct timespec step = { .tv_nsec = YIELD_STEP_NS };
	double until = clock_seconds() + ENGINE_YIELD_MS / 1e3;

	while (atomic_load(&engine->counters.reading) > 0) {
		if (atomic_load(&lens->live->retired) ||
		    clock_seconds() >= until)
			return true;
		nanosleep(&step, NULL);
	}
	return false;
}

bool engine_take_turn(struct engine *engine)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)ENGINE_YIELD_MS * NS_PER_MS;
	if (until.tv_nsec >= NS_PER_S) {
		until.tv_nsec -= NS_PER_S;
		until.tv_sec++;
	}
	return pthread_mutex_timedlock(&engine->turn, &until) == 0;
}

void engine_end_turn(struct engine *engine)
{
	pthread_mutex_unlock(&engine->turn);
}
