/*
 * Surveys and states of jobs: a method's functions, run on a scan of its
 * inputs. A state of the whole model is made of those that its peers would have
 * alone, one tensor after the other, each on all threads.
 */
#include <errno.h>

#include "core/peers.h"
#include "core/scan.h"

const void *scan_survey(const struct scan *scan)
{
	return scan->survey;
}

static int survey(const struct method_survey *of, const struct scan *scan,
		  void *made)
{
	memset(made, 0, of->size(&scan->job->args));
	return of->make(&scan->job->args, scan, made);
}

static int reduce(const struct merge_method *method, const struct scan *scan,
		  void *state)
{
	const struct method_args *args = &scan->job->args;
	AUTO_FREE void *scratch = NULL;
	size_t size = 0;

	if (method->scratch_size)
		size = method->scratch_size(args);
	if (size)
		scratch = scan_alloc(size);
	if (size && !scratch)
		return scan_no_memory(scan);
	memset(state, 0, scan->job->state_size);
	return method->reduce(args, scan, state, scratch);
}

/* Make the survey first, to be forgotten afterwards. */
static int survey_and_reduce(const struct merge_method *method,
			     const struct scan *scan, void *state)
{
	AUTO_FREE void *made =
		scan_alloc(method->survey->size(&scan->job->args));
	struct scan with = *scan;
	int rc;

	if (!made)
		return scan_no_memory(scan);
	with.survey = made;
	rc = survey(method->survey, scan, made);
	return rc ? rc : reduce(method, &with, state);
}

static struct scan scan_of(const struct job *job, enum cpu_level level,
			   struct pool *pool, struct scan_shared *shared)
{
	return (struct scan){
		.job = job,
		.kernels = kernels_at(level),
		.pool = pool,
		.shared = shared,
	};
}

/* All is done, one way or another: the result, with the job's name to it. */
static int scan_result(const struct scan *scan, int rc)
{
	scan_end(scan->shared);
	return rc ? fail_in(scan->shared->err, rc, "%s", scan->job->name) : 0;
}

int merge_survey(const struct job *job, enum cpu_level level, struct pool *pool,
		 void *made, struct error *err)
{
	const struct merge_method *method =
		method_variant(job->method, level, job->rounding);
	struct scan_shared shared = { .lock = PTHREAD_MUTEX_INITIALIZER,
				      .err = err };
	const struct scan scan = scan_of(job, level, pool, &shared);

	return scan_result(&scan, survey(method->survey, &scan, made));
}

static int state_alone(const struct job *job, enum cpu_level level,
		       struct pool *pool, const void *made, void *state,
		       struct error *err)
{
	const struct merge_method *method =
		method_variant(job->method, level, job->rounding);
	struct scan_shared shared = { .lock = PTHREAD_MUTEX_INITIALIZER,
				      .err = err };
	struct scan scan = scan_of(job, level, pool, &shared);

	scan.survey = made;
	if (!made && method->survey && method->survey->size(&job->args))
		return scan_result(&scan,
				   survey_and_reduce(method, &scan, state));
	return scan_result(&scan, reduce(method, &scan, state));
}

static int state_of_all(const struct job_peers *peers, enum cpu_level level,
			struct pool *pool, void *state, struct error *err)
{
	size_t size = peers->jobs[0]->state_size;
	AUTO_FREE void *part = scan_alloc(size);
	int rc = 0;

	if (!part)
		return fail(err, ENOMEM, "no memory for a reduction");
	memset(state, 0, size);
	for (size_t i = 0; rc == 0 && i < peers->count; i++) {
		const struct job *peer = peers->jobs[i];

		rc = state_alone(peer, level, pool, NULL, part, err);
		if (rc == 0)
			peer->method->combine(state, part);
	}
	return rc;
}

int merge_surveyed_state(const struct job *job, enum cpu_level level,
			 struct pool *pool, const void *made, void *state,
			 struct error *err)
{
	if (job->peers)
		return state_of_all(job->peers, level, pool, state, err);
	return state_alone(job, level, pool, made, state, err);
}

int merge_state(const struct job *job, enum cpu_level level, struct pool *pool,
		void *state, struct error *err)
{
	return merge_surveyed_state(job, level, pool, NULL, state, err);
}
