#include "cache/evict.h"

#include <time.h>

#include "cache/walk.h"

enum { BLOCK_BYTES = 4096, EXACT_AGES = 16, AGES_AN_OCTAVE = 8 };

/* Where a class stands in the order in which they go. */
static const size_t places[CACHE_CLASSES] = {
	[CACHE_CHUNK] = 0,
	[CACHE_SHARD] = 0,
	[CACHE_SURVEY] = 1,
	[CACHE_STATE] = 2,
};

uint64_t evict_charge(uint64_t file_bytes)
{
	return round_up_u64(file_bytes, BLOCK_BYTES);
}

/* The three bits below the highest one tell eight ages in each octave. */
static size_t age_index(uint64_t seconds)
{
	unsigned int octave;

	if (seconds < EXACT_AGES)
		return (size_t)seconds;
	octave = 63 - (unsigned int)__builtin_clzll(seconds);
	return EXACT_AGES + (size_t)(octave - 4) * AGES_AN_OCTAVE +
	       (size_t)(seconds >> (octave - 3) & 7);
}

/* A time to come, as after a clock was put back, is no age at all. */
static size_t rank_of(const struct walk_file *file, uint64_t now)
{
	uint64_t used = walk_used(file);
	uint64_t age = used < now ? now - used : 0;

	return places[file->class] * EVICT_AGES +
	       (EVICT_AGES - 1 - age_index(age));
}

/* What a walk fills or empties, and how far. */
struct evict {
	struct usage *usage;
	size_t rank;   /* all below it go, */
	uint64_t rest; /* and so many bytes of it */
};

static void visit_staged(void *ctx, const struct walk_file *file)
{
	struct usage *usage = ctx;
	uint64_t charge = evict_charge((uint64_t)file->st.st_size);

	if (!walk_writer_lives(file) &&
	    unlinkat(file->dir, file->name, 0) == 0) {
		usage->leftovers++;
		usage->leftover_bytes += charge;
		return;
	}
	usage->bytes += charge;
	usage->writing += charge;
}

static void visit_count(void *ctx, const struct walk_file *file)
{
	struct usage *usage = ctx;
	uint64_t charge = evict_charge((uint64_t)file->st.st_size);

	usage->bytes += charge;
	usage->by_rank[rank_of(file, usage->now)] += charge;
}

/*
 * What is being written is counted first: an object published meanwhile is
 * then counted twice, never not at all.
 */
int evict_count(int root, struct usage *usage)
{
	struct walk staged = { .visit = visit_staged, .ctx = usage };
	struct walk objects = { .visit = visit_count, .ctx = usage };
	int rc;

	*usage = (struct usage){ .now = (uint64_t)time(NULL) };
	rc = walk_staging(&staged, root);
	return rc ? rc : walk_objects(&objects, root);
}

static void visit_evict(void *ctx, const struct walk_file *file)
{
	struct evict *evict = ctx;
	struct usage *usage = evict->usage;
	size_t rank = rank_of(file, usage->now);
	uint64_t charge = evict_charge((uint64_t)file->st.st_size);

	if (rank > evict->rank || (rank == evict->rank && evict->rest == 0))
		return;
	if (unlinkat(file->dir, file->name, 0) < 0)
		return;
	usage->bytes -= min_u64(charge, usage->bytes);
	usage->evicted++;
	usage->evicted_bytes += charge;
	if (rank == evict->rank)
		evict->rest -= min_u64(charge, evict->rest);
}

int evict_down_to(int root, struct usage *usage, uint64_t bytes_max)
{
	struct evict evict = { .usage = usage };
	struct walk walk = { .visit = visit_evict, .ctx = &evict };

	if (usage->bytes <= bytes_max)
		return 0;
	evict.rest = usage->bytes - bytes_max;
	while (evict.rank < EVICT_RANKS - 1 &&
	       evict.rest > usage->by_rank[evict.rank])
		evict.rest -= usage->by_rank[evict.rank++];
	return walk_objects(&walk, root);
}
