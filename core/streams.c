#include "core/streams.h"

#include "core/mt19937.h"

struct generator {
	bool seeded;
	uint32_t seed;
	struct mt19937 mt;
};

struct streams {
	struct generator *generators; /* by input */
	size_t count;
	uint32_t *numbers; /* of all inputs that draw */
	size_t size;	   /* elements of `numbers` */
	size_t tile;	   /* elements that an input has of them */
	const uint32_t *draws[METHOD_INPUTS_MAX];
};

struct streams *streams_open(void)
{
	return calloc(1, sizeof(struct streams));
}

void streams_close(struct streams *streams)
{
	if (!streams)
		return;
	free(streams->generators);
	free(streams->numbers);
	free(streams);
}

static bool generators_reserve(struct streams *streams, size_t count)
{
	struct generator *all;

	if (streams->count >= count)
		return true;
	all = reallocarray(streams->generators, count, sizeof(*all));
	if (!all)
		return false;
	for (size_t i = streams->count; i < count; i++)
		all[i].seeded = false;
	streams->generators = all;
	streams->count = count;
	return true;
}

static bool numbers_reserve(struct streams *streams, size_t size)
{
	if (streams->size >= size)
		return true;
	free(streams->numbers);
	streams->size = 0;
	streams->numbers = calloc(size, sizeof(*streams->numbers));
	if (streams->numbers)
		streams->size = size;
	return streams->numbers;
}

bool streams_fit(struct streams *streams, const struct method_args *args,
		 size_t count)
{
	size_t drawing = 0;

	for (size_t i = 0; i < args->inputs; i++)
		drawing += args->streams[i] != RNG_NO_STREAM;
	streams->tile = count;
	return generators_reserve(streams, args->inputs) &&
	       numbers_reserve(streams, drawing * count);
}

/* The one that has the least way to a place; NULL: none is before it. */
static const struct generator *nearest(const struct streams *streams,
				       uint32_t seed, uint64_t place)
{
	const struct generator *best = NULL;

	for (size_t i = 0; i < streams->count; i++) {
		const struct generator *each = &streams->generators[i];

		if (each->seeded && each->seed == seed &&
		    each->mt.place <= place &&
		    (!best || each->mt.place > best->mt.place))
			best = each;
	}
	return best;
}

/* A generator that is not beyond the place, and near it if one can be. */
static void bring_near(struct streams *streams, struct generator *generator,
		       uint32_t seed, uint64_t place)
{
	const struct generator *from = nearest(streams, seed, place);

	if (from == generator)
		return;
	if (from)
		mt19937_copy(&generator->mt, &from->mt);
	else
		mt19937_seed(&generator->mt, seed);
	generator->seed = seed;
	generator->seeded = true;
}

/* Reading on, the place is among, or next to, what was made last. */
static bool is_at(const struct generator *generator, uint32_t seed,
		  uint64_t place)
{
	return generator->seeded && generator->seed == seed &&
	       place >= generator->mt.place &&
	       place - generator->mt.place <= generator->mt.made;
}

const uint32_t *const *streams_draw(struct streams *streams,
				    const struct kernels *kernels,
				    const struct method_args *args,
				    uint64_t first, size_t count)
{
	uint32_t seed = (uint32_t)args->seed;
	uint32_t *numbers = streams->numbers;

	for (size_t i = 0; i < args->inputs; i++) {
		struct generator *generator = &streams->generators[i];
		uint64_t place = args->streams[i] + first;

		streams->draws[i] = NULL;
		if (args->streams[i] == RNG_NO_STREAM)
			continue;
		if (!is_at(generator, seed, place))
			bring_near(streams, generator, seed, place);
		mt19937_draw(&generator->mt, kernels, place, count, numbers);
		streams->draws[i] = numbers;
		numbers += streams->tile;
	}
	return streams->draws;
}
