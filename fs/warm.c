#include <errno.h>
#include <fnmatch.h>

#include "core/peers.h"
#include "fs/warm_inside.h"

/* --- what there is to do ------------------------------------------------ */

static bool is_wanted(const struct warm *warm, const struct job *job)
{
	return job->kind != JOB_COPY &&
	       (!warm->pattern || fnmatch(warm->pattern, job->name, 0) == 0);
}

/* Whether finished files are kept, instead of what they are made of. */
static bool keeps_files(const struct warm *warm)
{
	return warm->what == WARM_ALL && engine_keeps_shards(warm->engine);
}

static void count_part(const struct warm *warm, struct part *part)
{
	const struct plan *plan = part->lens->plan;
	const struct layout *layout = part->lens->layout;
	bool whole = false;

	for (size_t i = 0; i < plan->count; i++) {
		const struct job *job = &plan->jobs[i];

		if (!is_wanted(warm, job))
			continue;
		part->reductions += job->state_size > 0 && !job->peers;
		whole |= job->peers != NULL;
		if (warm->what != WARM_REDUCTIONS && !keeps_files(warm))
			part->bytes += job->size;
	}
	for (size_t i = 0; keeps_files(warm) && i < layout->count; i++)
		part->bytes += layout->files[i].size;
	part->reductions += whole;
}

static bool matches_any(const struct warm *warm)
{
	for (size_t i = 0; i < warm->count; i++) {
		const struct plan *plan = warm->parts[i].lens->plan;

		for (size_t j = 0; j < plan->count; j++)
			if (fnmatch(warm->pattern, plan->jobs[j].name, 0) == 0)
				return true;
	}
	return false;
}

/* --- what was done ------------------------------------------------------ */

void warm_add_failure(struct warm *warm, const struct error *err)
{
	struct warm_progress *progress = &warm->progress;

	pthread_mutex_lock(&warm->lock);
	if (progress->failed++ == 0)
		progress->first = *err;
	pthread_mutex_unlock(&warm->lock);
}

static void add_reduction(struct warm *warm, struct part *part)
{
	part->reductions--;
	pthread_mutex_lock(&warm->lock);
	warm->progress.reductions_done++;
	pthread_mutex_unlock(&warm->lock);
}

void warm_add_bytes(struct warm *warm, struct part *part, uint64_t bytes)
{
	part->bytes -= bytes;
	pthread_mutex_lock(&warm->lock);
	warm->progress.bytes_done += bytes;
	pthread_mutex_unlock(&warm->lock);
}

/* What is left of it will not be done by anybody. */
static void leave(struct warm *warm, struct part *part)
{
	if (part->left)
		return;
	pthread_mutex_lock(&warm->lock);
	warm->progress.reductions -= part->reductions;
	warm->progress.bytes -= part->bytes;
	pthread_mutex_unlock(&warm->lock);
	part->left = true;
	lens_release(warm->engine, part->lens);
}

/* --- the thread --------------------------------------------------------- */

/* Whoever replaced a lens waits for us to leave it, whichever is its turn. */
static void leave_retired(struct warm *warm)
{
	for (size_t i = 0; i < warm->count; i++) {
		struct part *part = &warm->parts[i];

		/* One that was left may be gone. */
		if (!part->left && atomic_load(&part->lens->live->retired))
			leave(warm, part);
	}
}

bool warm_is_due(struct warm *warm, const struct part *part)
{
	if (atomic_load(&warm->stop))
		return false;
	leave_retired(warm);
	return !part->left;
}

bool warm_take_turn(struct warm *warm, const struct part *part)
{
	bool busy = true;

	for (int ms = 0; busy && ms < 1000; ms += ENGINE_YIELD_MS) {
		if (!warm_is_due(warm, part))
			return false;
		busy = engine_yield(warm->engine, part->lens);
	}
	do
		if (!warm_is_due(warm, part))
			return false;
	while (!engine_take_turn(warm->engine));
	return true;
}

static void make_state(struct warm *warm, struct part *part,
		       const struct job *job)
{
	struct error err = { 0 };

	if (job->state_size == 0 || (job->peers && part->whole_begun) ||
	    !warm_take_turn(warm, part))
		return;
	part->whole_begun |= job->peers != NULL;
	if (engine_make_state(warm->engine, part->lens, job, &err))
		warm_add_failure(warm, &err);
	engine_end_turn(warm->engine);
	add_reduction(warm, part);
}

static void make_bytes(struct warm *warm, struct part *part,
		       const struct job *job)
{
	struct error err = { 0 };
	uint64_t len;

	engine_keep(warm->engine, part->lens, job);
	for (uint64_t off = 0; off < job->size; off += len) {
		if (!warm_take_turn(warm, part))
			return;
		if (engine_make_chunk(warm->engine, part->lens, job, off, &len,
				      &err)) {
			warm_add_failure(warm, &err);
			len = job->size - off;
		}
		engine_end_turn(warm->engine);
		warm_add_bytes(warm, part, len);
	}
}

static void each_of_file(struct warm *warm, struct part *part,
			 const struct layout_file *file,
			 void (*fn)(struct warm *warm, struct part *part,
				    const struct job *job))
{
	for (size_t i = 0; !part->left && i < file->count; i++)
		if (is_wanted(warm, file->jobs[i]))
			fn(warm, part, file->jobs[i]);
}

static void each_job(struct warm *warm,
		     void (*fn)(struct warm *warm, struct part *part,
				const struct job *job))
{
	for (size_t i = 0; i < warm->count; i++) {
		struct part *part = &warm->parts[i];

		/* A lens that was left may be gone, and all that is its. */
		for (size_t f = 0; !part->left && f < part->lens->layout->count;
		     f++)
			each_of_file(warm, part, &part->lens->layout->files[f],
				     fn);
	}
}

static void *run(void *arg)
{
	struct warm *warm = arg;

	each_job(warm, make_state);
	if (keeps_files(warm))
		warm_keep_files(warm);
	else if (warm->what != WARM_REDUCTIONS)
		each_job(warm, make_bytes);
	engine_log_trouble(warm->engine);
	for (size_t i = 0; i < warm->count; i++)
		leave(warm, &warm->parts[i]);
	pthread_mutex_lock(&warm->lock);
	warm->progress.ended = true;
	pthread_mutex_unlock(&warm->lock);
	return NULL;
}

/* --- its life ----------------------------------------------------------- */

static int start(struct warm *warm, struct error *err)
{
	int rc;

	for (size_t i = 0; i < warm->count; i++)
		lens_hold(warm->engine, warm->parts[i].lens);
	rc = thread_start(&warm->thread, run, warm);
	warm->started = rc == 0;
	if (rc == 0)
		return 0;
	for (size_t i = 0; i < warm->count; i++)
		lens_release(warm->engine, warm->parts[i].lens);
	return fail(err, -rc, "cannot start a thread to warm with: %s",
		    strerror(-rc));
}

static int set_up(struct warm *warm, struct lens *const *lenses,
		  const char *pattern, struct error *err)
{
	if (warm->what == WARM_PATTERN)
		warm->pattern = strdup(pattern);
	warm->parts = calloc(warm->count + 1, sizeof(*warm->parts));
	if (!warm->parts || (warm->what == WARM_PATTERN && !warm->pattern))
		return fail(err, ENOMEM, "no memory to warm");
	for (size_t i = 0; i < warm->count; i++) {
		struct part *part = &warm->parts[i];

		part->lens = lenses[i];
		count_part(warm, part);
		warm->progress.reductions += part->reductions;
		warm->progress.bytes += part->bytes;
	}
	if (warm->pattern && !matches_any(warm))
		return fail(err, EINVAL,
			    "no tensor has a name like \"%s\"; a pattern is "
			    "matched with the whole name: try \"*%s*\"",
			    pattern, pattern);
	return 0;
}

struct warm *warm_open(struct engine *engine, struct lens *const *lenses,
		       size_t count, enum warm_what what, const char *pattern,
		       struct error *err)
{
	struct warm *warm;

	if (what != WARM_REDUCTIONS && !engine_keeps(engine)) {
		fail(err, EINVAL,
		     "tensors cannot be warmed where none are kept: mount with "
		     "--cache auto or --cache all, and a cache folder");
		return NULL;
	}
	warm = calloc(1, sizeof(*warm));
	if (!warm) {
		fail(err, ENOMEM, "no memory to warm");
		return NULL;
	}
	warm->engine = engine;
	warm->what = what;
	warm->count = count;
	pthread_mutex_init(&warm->lock, NULL);
	if (set_up(warm, lenses, pattern, err) == 0 && start(warm, err) == 0)
		return warm;
	warm_close(warm);
	return NULL;
}

void warm_look(struct warm *warm, struct warm_progress *progress)
{
	pthread_mutex_lock(&warm->lock);
	*progress = warm->progress;
	pthread_mutex_unlock(&warm->lock);
}

void warm_stop(struct warm *warm)
{
	atomic_store(&warm->stop, true);
}

void warm_close(struct warm *warm)
{
	if (!warm)
		return;
	warm_stop(warm);
	if (warm->started)
		pthread_join(warm->thread, NULL);
	pthread_mutex_destroy(&warm->lock);
	free(warm->pattern);
	free(warm->parts);
	free(warm);
}
