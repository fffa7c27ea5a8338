/*
 * What is made: bytes on the spot, chunks and states for the cache.
 */
#include <errno.h>
#include <stdio.h>

#include "core/base/file.h"
#include "fs/engine_inside.h"
#include "fs/log.h"

/* What a maker needs to know; the lens waits for it (engine_forget). */
struct make_ctx {
	struct engine *engine;
	const struct lens *lens;
	const struct job *job;
	uint64_t off;		  /* of a chunk, in the tensor */
	const void *survey;	  /* of a state, once it is there; NULL: none */
	const struct blob *large; /* the state, where the lens has it not */
};

const struct blob *job_state(const struct lens *lens, const struct job *job)
{
	if (job->state_size == 0 || has_large_state(job))
		return NULL;
	return atomic_load_explicit(&lens_slot(lens, job)->state,
				    memory_order_acquire);
}

void put_references(struct engine *engine, const struct blob **blobs,
		    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct blob *gone = blobs[i];

		if (gone->size > STATE_KEPT_MAX) {
			pthread_mutex_lock(&engine->lock);
			gone = engine->large;
			engine->large = blobs[i];
			pthread_mutex_unlock(&engine->lock);
		}
		cache_put(engine->cache, gone);
	}
}

void job_keep_state(struct engine *engine, const struct lens *lens,
		    const struct job *job, const struct blob *state)
{
	const struct blob *none = NULL;

	if (has_large_state(job)) {
		put_references(engine, &state, 1);
		return;
	}
	if (!atomic_compare_exchange_strong(&lens_slot(lens, job)->state, &none,
					    state))
		cache_put(engine->cache, state);
}

bool chunk_key_known(const struct lens *lens, const struct job *job)
{
	return atomic_load_explicit(&lens_slot(lens, job)->key_known,
				    memory_order_acquire);
}

static struct method_counters *counters_of(struct engine *engine,
					   const struct job *job)
{
	size_t i = 0;

	while (i < method_count() && method_at(i) != job->method)
		i++;
	return &engine->methods[i];
}

static uint64_t ns_since(double begin)
{
	return (uint64_t)((clock_seconds() - begin) * 1e9);
}

static void count_nonfinite(struct engine *engine, const struct lens *lens,
			    const struct job *job, uint64_t nonfinite)
{
	struct lens_slot *slot = lens_slot(lens, job);

	if (!nonfinite)
		return;
	count(&engine->counters.nonfinite, nonfinite);
	if (atomic_fetch_add(&slot->nonfinite, nonfinite) == 0)
		log_line(LOG_WARNING,
			 "%s: infinite or NaN numbers come out of finite "
			 "models (the first read made %ju); lower the weights, "
			 "or give out_dtype a wider range",
			 job->name, (uintmax_t)nonfinite);
}

/* Bytes, from make->off on, of a tensor whose state, if it needs one, is there.
 */
static int make_bytes(const struct make_ctx *make, size_t len, void *out,
		      struct error *err)
{
	struct engine *engine = make->engine;
	const struct job *job = make->job;
	struct workspace *workspace = workspace_mine(engine->workspaces);
	const struct blob *state =
		make->large ? make->large : job_state(make->lens, job);
	double begin = clock_seconds();
	struct method_counters *counters;
	uint64_t nonfinite = 0;
	int rc;

	if (!workspace)
		return fail(err, ENOMEM, "%s: no memory to merge", job->name);
	rc = merge_bytes(job, engine->level, state ? state->data : NULL,
			 make->off, len, out, workspace->scratch, &nonfinite,
			 err);
	if (job->kind == JOB_COPY)
		return rc;
	counters = counters_of(engine, job);
	count(&counters->merge_ns, ns_since(begin));
	if (rc)
		return rc;
	count(&counters->bytes_merged, len);
	count_nonfinite(engine, make->lens, job, nonfinite);
	return 0;
}

int make_piece(const struct engine_read *read, const struct piece *piece,
	       const struct blob *large, void *out, struct error *err)
{
	struct engine *engine = read->engine;
	const struct job *job = piece->span.job;
	const struct make_ctx make = { .engine = engine,
				       .lens = read->lens,
				       .job = job,
				       .off = piece->span.off,
				       .large = large };
	int rc = make_bytes(&make, piece->len, out, err);

	if (rc)
		return rc;
	count(job->kind == JOB_COPY ? &engine->counters.bytes_copied
				    : &engine->counters.bytes_merged,
	      piece->len);
	return 0;
}

static int make_chunk(void *ctx, void *data, size_t size, struct error *err)
{
	const struct make_ctx *make = ctx;
	int rc = make_bytes(make, size, data, err);

	count(&make->engine->counters.chunks, rc == 0);
	return rc;
}

static int make_survey(void *ctx, void *data, size_t size, struct error *err)
{
	const struct make_ctx *make = ctx;
	struct method_counters *counters = counters_of(make->engine, make->job);
	double begin = clock_seconds();
	int rc;

	rc = merge_survey(make->job, make->engine->level, make->engine->helpers,
			  data, err);
	count(&make->engine->counters.surveys, rc == 0);
	count(&counters->reduce_ns, ns_since(begin));
	return rc;
}

static int make_state(void *ctx, void *data, size_t size, struct error *err)
{
	const struct make_ctx *make = ctx;
	struct method_counters *counters = counters_of(make->engine, make->job);
	double begin = clock_seconds();
	int rc;

	rc = merge_surveyed_state(make->job, make->engine->level,
				  make->engine->helpers, make->survey, data,
				  err);
	count(&make->engine->counters.reductions, rc == 0);
	count(&counters->reductions, rc == 0);
	count(&counters->reduce_ns, ns_since(begin));
	return rc;
}

void lens_hold(struct engine *engine, const struct lens *lens)
{
	pthread_mutex_lock(&engine->lock);
	++lens->live->busy;
	pthread_mutex_unlock(&engine->lock);
}

void lens_release(struct engine *engine, const struct lens *lens)
{
	pthread_mutex_lock(&engine->lock);
	if (--lens->live->busy == 0)
		pthread_cond_broadcast(&engine->quiet);
	pthread_mutex_unlock(&engine->lock);
}

static void free_ctx(void *ctx)
{
	struct make_ctx *make = ctx;

	lens_release(make->engine, make->lens);
	free(make);
}

static int fill_request(struct engine *engine, const struct lens *lens,
			const struct job *job, struct cache_request *request,
			struct error *err)
{
	struct make_ctx *make = calloc(1, sizeof(*make));

	if (!make)
		return fail(err, ENOMEM, "%s: no memory to merge", job->name);
	make->engine = engine;
	make->lens = lens;
	make->job = job;
	request->ctx = make;
	request->free_ctx = free_ctx;
	lens_hold(engine, lens);
	return 0;
}

static int survey_request(struct engine *engine, const struct lens *lens,
			  const struct job *job, struct cache_request *request,
			  struct error *err)
{
	int rc;

	*request = (struct cache_request){
		.class = CACHE_SURVEY,
		.size = job->survey_size,
		.make = make_survey,
	};
	rc = merge_survey_key(job, &request->key, err);
	return rc ? rc : fill_request(engine, lens, job, request, err);
}

static int state_needs(void *ctx, struct cache_request *below,
		       struct error *err)
{
	const struct make_ctx *make = ctx;
	int rc;

	if (!make->job->survey_size)
		return 0;
	rc = survey_request(make->engine, make->lens, make->job, below, err);
	return rc ? rc : 1;
}

static void state_got(void *ctx, const struct blob *survey)
{
	((struct make_ctx *)ctx)->survey = survey->data;
}

int state_request(struct engine *engine, const struct lens *lens,
		  const struct job *job, struct cache_request *request,
		  struct error *err)
{
	int rc;

	*request = (struct cache_request){
		.class = CACHE_STATE,
		.size = job->state_size,
		.needs = state_needs,
		.got = state_got,
		.make = make_state,
	};
	rc = merge_state_key(job, &request->key, err);
	return rc ? rc : fill_request(engine, lens, job, request, err);
}

/* Two threads may both do so, to the same value. */
int job_tensor_key(struct engine *engine, const struct lens *lens,
		   const struct job *job, struct hash128 *key,
		   struct error *err)
{
	struct lens_slot *slot = lens_slot(lens, job);
	int rc;

	if (chunk_key_known(lens, job)) {
		*key = slot->tensor_key;
		return 0;
	}
	rc = merge_tensor_key(job, key, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&engine->lock);
	if (!chunk_key_known(lens, job)) {
		slot->tensor_key = *key;
		atomic_store_explicit(&slot->key_known, true,
				      memory_order_release);
	}
	pthread_mutex_unlock(&engine->lock);
	return 0;
}

int chunk_request(struct engine *engine, const struct lens *lens,
		  const struct job *job, struct chunk chunk,
		  struct cache_request *request, struct error *err)
{
	char hex[HASH_HEX_LEN + 1], text[HASH_HEX_LEN + 80];
	struct hash128 key;
	int rc;

	*request = (struct cache_request){
		.class = CACHE_CHUNK,
		.keep = job_is_kept(engine, lens, job,
				    census_now(engine->census)),
		.size = chunk.size,
		.make = make_chunk,
	};
	rc = job_tensor_key(engine, lens, job, &key, err);
	if (rc)
		return rc;
	hash_hex(key, hex);
	snprintf(text, sizeof(text), "chunk %s at %ju of %zu", hex,
		 (uintmax_t)chunk.off, chunk.size);
	request->key = hash_bytes(text, strlen(text));
	rc = fill_request(engine, lens, job, request, err);
	if (rc == 0)
		((struct make_ctx *)request->ctx)->off = chunk.off;
	return rc;
}
