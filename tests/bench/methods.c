/*
 * What a method costs without FUSE: reductions and elements of a recipe's
 * greatest tensor, by some numbers of threads, sources in the page cache.
 *
 *	methods THREADS,... ROUNDS [LEVEL] RECIPE...
 *
 * One line a recipe and number of threads. Seconds are lists, one of each
 * round; a round makes the state, and then every byte of the tensor once, a
 * stretch of about a MiB at a time, as reads of a mount do.
 */
#include "tests/bench/bench.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/plan.h"
#include "fs/lens.h"
#include "fs/sentences.h"

#define ROUNDS_MAX 99u

struct run {
	const struct job *job;
	enum cpu_level level;
	size_t threads;
	struct pool *pool; /* for reductions; NULL: one thread */
	const void *state;
	uint64_t stretch; /* bytes that are made in one call */
	atomic_uint_fast64_t next;
};

/* Which source bytes a step has read, and how long it took. */
struct step {
	double seconds[ROUNDS_MAX];
	uint64_t bytes_read;
};

static void *make_stretches(void *arg)
{
	struct run *run = arg;
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	uint64_t off, size = run->job->size;
	AUTO_FREE void *out = alloc_pages(run->stretch);
	struct error err = { 0 };

	if (!scratch)
		die("no memory for scratch");
	memset(out, 0, run->stretch);
	while ((off = atomic_fetch_add(&run->next, run->stretch)) < size)
		if (merge_bytes(run->job, run->level, run->state, off,
				min_u64(run->stretch, size - off), out, scratch,
				NULL, &err) < 0)
			die("%s", err.text);
	return NULL;
}

static void make_all(struct run *run)
{
	pthread_t threads[POOL_THREADS_MAX];

	run->next = 0;
	for (size_t i = 1; i < run->threads; i++)
		if (thread_start(&threads[i], make_stretches, run) < 0)
			die("no thread");
	make_stretches(run);
	for (size_t i = 1; i < run->threads; i++)
		pthread_join(threads[i], NULL);
}

/* The calling thread works, too: one of them is not the pool's. */
static void open_pool(struct run *run)
{
	struct error err = { 0 };

	if (run->threads == 1)
		return;
	run->pool = pool_open(run->threads - 1, &err);
	if (!run->pool)
		die("%s", err.text);
}

static void make_state(const struct run *run, void *state)
{
	struct error err = { 0 };

	if (merge_state(run->job, run->level, run->pool, state, &err) < 0)
		die("%s", err.text);
}

static const struct job *greatest_job(const struct plan *plan)
{
	const struct job *greatest = plan->jobs;

	for (size_t i = 0; i < plan->count; i++)
		if (plan->jobs[i].size > greatest->size)
			greatest = &plan->jobs[i];
	return greatest;
}

static uint64_t stretch_of(const struct job *job)
{
	uint64_t row = max_u64(1, job->size / max_u64(1, job->args.rows));

	return job->kind == JOB_ROWS ? row * max_u64(1, MIB / row) : MIB;
}

static void print_seconds(const char *name, const struct step *step,
			  unsigned rounds)
{
	printf(", \"%s_s\": [", name);
	for (unsigned i = 0; i < rounds; i++)
		printf("%s%.6f", i ? ", " : "", step->seconds[i]);
	printf("], \"%s_read\": %llu", name,
	       (unsigned long long)step->bytes_read);
}

static void print_run(const char *recipe, const struct run *run,
		      const struct step steps[2], unsigned rounds)
{
	printf("{\"recipe\": \"%s\", \"method\": \"%s\", \"level\": \"%s\", "
	       "\"threads\": %zu, \"tensor\": \"%s\", \"elements\": %llu, "
	       "\"bytes\": %llu, \"state\": %zu",
	       recipe, run->job->method ? run->job->method->name : "copy",
	       cpu_level_name(run->level), run->threads, run->job->name,
	       (unsigned long long)run->job->elements,
	       (unsigned long long)run->job->size, run->job->state_size);
	print_seconds("reduce", &steps[0], rounds);
	print_seconds("make", &steps[1], rounds);
	puts("}");
	fflush(stdout);
}

static void run_rounds(struct run *run, const struct source_set *sources,
		       unsigned rounds, struct step steps[2])
{
	size_t size = run->job->state_size;
	AUTO_FREE void *state = size ? alloc_pages(size) : NULL;

	run->state = state;
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t read = source_set_bytes_read(sources);
		double begin = clock_seconds();

		if (size)
			make_state(run, state);
		steps[0].seconds[i] = clock_seconds() - begin;
		steps[0].bytes_read = source_set_bytes_read(sources) - read;
		read += steps[0].bytes_read;
		begin = clock_seconds();
		make_all(run);
		steps[1].seconds[i] = clock_seconds() - begin;
		steps[1].bytes_read = source_set_bytes_read(sources) - read;
	}
}

static void run_recipe(const char *path, enum cpu_level level,
		       const char *threads, unsigned rounds)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct lens *lens = lens_open_file(path, &report);

	if (!lens) {
		AUTO_FREE char *text = sentences_text(&report);

		die("%s", text ? text : "no memory");
	}
	while (threads) {
		struct step steps[2] = { 0 };
		struct run run = { .level = level };
		char *end;

		run.threads = strtoul(threads, &end, 10);
		if (run.threads < 1 || run.threads > POOL_THREADS_MAX)
			die("%s: no numbers of threads", threads);
		threads = *end == ',' ? end + 1 : NULL;
		run.job = greatest_job(lens->plan);
		run.stretch = stretch_of(run.job);
		open_pool(&run);
		run_rounds(&run, model_set_sources(lens->models), rounds,
			   steps);
		pool_close(run.pool);
		print_run(path, &run, steps, rounds);
	}
	lens_close(lens);
}

int main(int argc, char **argv)
{
	enum cpu_level level = cpu_level_best();
	unsigned rounds;
	int i = 3;

	if (argc < 4)
		die("methods THREADS,... ROUNDS [LEVEL] RECIPE...");
	rounds = (unsigned)parse_number(argv[2]);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		die("from 1 to %u rounds", ROUNDS_MAX);
	if (cpu_level_by_name(argv[3], &level))
		i++;
	for (; i < argc; i++)
		run_recipe(argv[i], level, argv[1], rounds);
	return EXIT_SUCCESS;
}
