#include "fs/census.h"

#include <errno.h>
#include <pthread.h>

#include "core/peers.h"

#define SLOTS_MIN 256 /* a power of two */

/* All that make one kind of thing, found by key; at most one a slot and more in
 * a chain behind it. */
struct ledger {
	struct likeness **slots;
	size_t slot_count; /* a power of two; 0: none yet */
	size_t count;
	size_t members;	       /* jobs that are counted */
	size_t shared;	       /* likenesses of two or more */
	uint64_t bytes;	       /* of all members */
	uint64_t distinct;     /* bytes of each likeness once */
	uint64_t shared_bytes; /* of shared ones, each once */
};

struct census {
	pthread_mutex_t lock;
	struct ledger tensors, states; /* under the lock */
	uint64_t kept_max, kept_bytes;
	size_t kept;
	atomic_uint_fast64_t clock;
};

struct census *census_open(uint64_t kept_max)
{
	struct census *census = calloc(1, sizeof(*census));

	if (!census)
		return NULL;
	pthread_mutex_init(&census->lock, NULL);
	census->kept_max = kept_max;
	return census;
}

static void ledger_done(struct ledger *ledger)
{
	struct likeness *next;

	for (size_t i = 0; i < ledger->slot_count; i++) {
		for (struct likeness *l = ledger->slots[i]; l; l = next) {
			next = l->next;
			free(l);
		}
	}
	free(ledger->slots);
}

void census_close(struct census *census)
{
	if (!census)
		return;
	ledger_done(&census->tensors);
	ledger_done(&census->states);
	pthread_mutex_destroy(&census->lock);
	free(census);
}

/* --- the clock ---------------------------------------------------------- */

uint64_t census_now(const struct census *census)
{
	return atomic_load_explicit(&census->clock, memory_order_acquire);
}

/*
 * The event is written down before the clock shows its time: who has seen that
 * time sees the event, and who has not knows that it comes after him. The lock
 * is held.
 */
static void mark(struct census *census, atomic_uint_fast64_t *since)
{
	uint64_t now =
		atomic_load_explicit(&census->clock, memory_order_relaxed) + 1;

	if (atomic_load_explicit(since, memory_order_relaxed))
		return;
	atomic_store_explicit(since, now, memory_order_relaxed);
	atomic_store_explicit(&census->clock, now, memory_order_release);
}

void census_mark(struct census *census, atomic_uint_fast64_t *since)
{
	pthread_mutex_lock(&census->lock);
	mark(census, since);
	pthread_mutex_unlock(&census->lock);
}

/* --- a ledger ----------------------------------------------------------- */

static struct likeness **slot_of(const struct ledger *ledger,
				 struct hash128 key)
{
	return &ledger->slots[key.lo & (ledger->slot_count - 1)];
}

static bool ledger_grow(struct ledger *ledger)
{
	struct ledger grown = { .slot_count = max_u64(SLOTS_MIN,
						      2 * ledger->slot_count) };
	struct likeness *next;

	grown.slots = calloc(grown.slot_count, sizeof(struct likeness *));
	if (!grown.slots)
		return false;
	for (size_t i = 0; i < ledger->slot_count; i++) {
		for (struct likeness *l = ledger->slots[i]; l; l = next) {
			struct likeness **slot = slot_of(&grown, l->key);

			next = l->next;
			l->next = *slot;
			*slot = l;
		}
	}
	free(ledger->slots);
	ledger->slots = grown.slots;
	ledger->slot_count = grown.slot_count;
	return true;
}

static struct likeness *ledger_find(struct ledger *ledger, struct hash128 key,
				    uint64_t bytes)
{
	struct likeness **slot, *found;

	if (ledger->count == ledger->slot_count && !ledger_grow(ledger))
		return NULL;
	slot = slot_of(ledger, key);
	for (found = *slot; found; found = found->next)
		if (hash_equal(found->key, key))
			return found;
	found = calloc(1, sizeof(*found));
	if (!found)
		return NULL;
	found->key = key;
	found->bytes = bytes;
	found->next = *slot;
	*slot = found;
	ledger->count++;
	ledger->distinct += bytes;
	return found;
}

static struct likeness *ledger_add(struct ledger *ledger, struct hash128 key,
				   uint64_t bytes)
{
	struct likeness *like = ledger_find(ledger, key, bytes);

	if (!like)
		return NULL;
	ledger->members++;
	ledger->bytes += bytes;
	if (++like->count == 2) {
		ledger->shared++;
		ledger->shared_bytes += bytes;
	}
	return like;
}

static void ledger_free(struct ledger *ledger, struct likeness *like)
{
	struct likeness **link = slot_of(ledger, like->key);

	while (*link != like)
		link = &(*link)->next;
	*link = like->next;
	ledger->count--;
	ledger->distinct -= like->bytes;
	free(like);
}

static void ledger_remove(struct ledger *ledger, struct likeness *like)
{
	ledger->members--;
	ledger->bytes -= like->bytes;
	if (--like->count == 1) {
		ledger->shared--;
		ledger->shared_bytes -= like->bytes;
	}
	if (like->count == 0)
		ledger_free(ledger, like);
}

/* --- lenses ------------------------------------------------------------- */

/* Keep from now on what several make, where there is room for it. */
static void keep(struct census *census, struct likeness *like,
		 const struct job *job)
{
	if (like->count < 2 || !like->bytes || atomic_load(&like->since) ||
	    !keeping_pays(job) ||
	    like->bytes > census->kept_max - census->kept_bytes)
		return;
	census->kept++;
	census->kept_bytes += like->bytes;
	mark(census, &like->since);
}

static void drop_tensor(struct census *census, struct likeness *like)
{
	if (like->count == 1 && atomic_load(&like->since)) {
		census->kept--;
		census->kept_bytes -= like->bytes;
	}
	ledger_remove(&census->tensors, like);
}

/* What is known of a job before the lock is taken. */
struct entry {
	struct hash128 tensor, state;
};

static int read_entry(const struct job *job, struct entry *entry)
{
	int rc = 0;

	if (job->kind == JOB_COPY)
		return 0;
	rc = merge_tensor_likeness(job, &entry->tensor);
	if (rc == 0 && job_counts_state(job))
		rc = merge_state_likeness(job, &entry->state);
	return rc;
}

static int add_job(struct census *census, const struct job *job,
		   struct lens_slot *slot, const struct entry *entry)
{
	if (job->kind == JOB_COPY)
		return 0;
	slot->tensor_like =
		ledger_add(&census->tensors, entry->tensor, job->size);
	if (!slot->tensor_like)
		return -ENOMEM;
	if (!job_counts_state(job))
		return 0;
	slot->state_like =
		ledger_add(&census->states, entry->state, job->state_size);
	return slot->state_like ? 0 : -ENOMEM;
}

static void remove_all(struct census *census, struct lens *lens)
{
	for (size_t i = 0; i < lens->plan->count; i++) {
		struct lens_slot *slot = &lens->slots[i];

		if (slot->tensor_like)
			drop_tensor(census, TAKE(slot->tensor_like));
		if (slot->state_like)
			ledger_remove(&census->states, TAKE(slot->state_like));
	}
}

static int add_all(struct census *census, struct lens *lens,
		   const struct entry *entries)
{
	const struct plan *plan = lens->plan;

	for (size_t i = 0; i < plan->count; i++) {
		int rc = add_job(census, &plan->jobs[i], &lens->slots[i],
				 &entries[i]);

		if (rc) {
			remove_all(census, lens);
			return rc;
		}
	}
	for (size_t i = 0; i < plan->count; i++)
		if (lens->slots[i].tensor_like)
			keep(census, lens->slots[i].tensor_like,
			     &plan->jobs[i]);
	return 0;
}

int census_add(struct census *census, struct lens *lens)
{
	const struct plan *plan = lens->plan;
	AUTO_FREE struct entry *entries =
		calloc(plan->count + 1, sizeof(*entries));
	int rc = entries ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < plan->count; i++)
		rc = read_entry(&plan->jobs[i], &entries[i]);
	if (rc)
		return rc;
	pthread_mutex_lock(&census->lock);
	rc = add_all(census, lens, entries);
	pthread_mutex_unlock(&census->lock);
	return rc;
}

void census_remove(struct census *census, struct lens *lens)
{
	pthread_mutex_lock(&census->lock);
	remove_all(census, lens);
	pthread_mutex_unlock(&census->lock);
}

void census_stats(struct census *census, struct census_stats *stats)
{
	const struct ledger *t = &census->tensors, *s = &census->states;

	pthread_mutex_lock(&census->lock);
	*stats = (struct census_stats){
		.tensors = t->members,
		.tensor_bytes = t->bytes,
		.distinct = t->count,
		.distinct_bytes = t->distinct,
		.shared_tensors = t->shared,
		.shared_bytes = t->shared_bytes,
		.kept_tensors = census->kept,
		.kept_bytes = census->kept_bytes,
		.reductions = s->members,
		.distinct_reductions = s->count,
		.shared_reductions = s->shared,
	};
	pthread_mutex_unlock(&census->lock);
}
