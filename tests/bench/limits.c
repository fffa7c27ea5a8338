/*
 * What the machine's memory gives, as a limit to compare with.
 *
 *	limits THREADS MIB
 *
 * Each thread copies its own memory, of so many MiB, several times over; the
 * figure is the best of them, in bytes read plus bytes written a second.
 */
#include "tests/bench/bench.h"

#include <pthread.h>

#include "core/base/pool.h"

#define TIMES 5
#define THREADS_MAX 64u

struct copier {
	pthread_t thread;
	pthread_barrier_t *barrier;
	unsigned char *from, *to;
	size_t size;
};

/* The barriers are where the clock is looked at. */
static void *copy(void *arg)
{
	struct copier *copier = arg;

	for (int i = 0; i < TIMES; i++) {
		pthread_barrier_wait(copier->barrier);
		memcpy(copier->to, copier->from, copier->size);
		pthread_barrier_wait(copier->barrier);
	}
	return NULL;
}

static double best_seconds(pthread_barrier_t *barrier)
{
	double best = 0;

	for (int i = 0; i < TIMES; i++) {
		double begin, seconds;

		pthread_barrier_wait(barrier);
		begin = clock_seconds();
		pthread_barrier_wait(barrier);
		seconds = clock_seconds() - begin;
		best = i == 0 || seconds < best ? seconds : best;
	}
	return best;
}

int main(int argc, char **argv)
{
	struct copier copiers[THREADS_MAX];
	pthread_barrier_t barrier;
	double seconds, bytes;
	unsigned threads;
	size_t size;

	if (argc != 3)
		die("limits THREADS MIB");
	threads = (unsigned)parse_number(argv[1]);
	size = parse_number(argv[2]) * MIB;
	if (threads < 1 || threads > THREADS_MAX || !size)
		die("from 1 to %u threads", THREADS_MAX);
	pthread_barrier_init(&barrier, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++) {
		struct copier *copier = &copiers[i];

		copier->barrier = &barrier;
		copier->size = size;
		copier->from = alloc_pages(size);
		copier->to = alloc_pages(size);
		memset(copier->from, 1, size);
		memset(copier->to, 2, size);
		if (thread_start(&copier->thread, copy, copier) < 0)
			die("no thread");
	}
	seconds = best_seconds(&barrier);
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(copiers[i].thread, NULL);
		free(copiers[i].from);
		free(copiers[i].to);
	}
	bytes = 2.0 * (double)size * threads;
	printf("{\"gbps\": %.4f}\n", bytes / seconds / 1e9);
	return EXIT_SUCCESS;
}
