#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "core/base/pool.h"

#include <cmocka.h>

#define THREADS 4

/* A gate that tasks wait at, so that a test knows where they are. */
struct gate {
	atomic_int inside;
	atomic_bool open;
};

struct job {
	struct task task;
	struct pool *pool;
	struct gate *gate;
	atomic_int *calls;
	int order;
};

static void wait_until(const atomic_int *value, int wanted)
{
	for (int i = 0; atomic_load(value) < wanted; i++) {
		if (i > 20000)
			fail_msg("%d never came, only %d", wanted,
				 atomic_load(value));
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
	}
}

static void wait_at(struct gate *gate)
{
	atomic_fetch_add(&gate->inside, 1);
	while (!atomic_load(&gate->open))
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
}

static void run_at_gate(struct task *task)
{
	wait_at(CONTAINER_OF(task, struct job, task)->gate);
}

static void run_in_order(struct task *task)
{
	struct job *job = CONTAINER_OF(task, struct job, task);

	job->order = atomic_fetch_add(job->calls, 1);
}

static void run_and_free(struct task *task)
{
	struct job *job = CONTAINER_OF(task, struct job, task);

	atomic_fetch_add(job->calls, 1);
	free(job);
}

static void count_one(void *ctx, size_t i)
{
	atomic_fetch_add((atomic_int *)ctx + i, 1);
}

static void a_pool_has_threads_within_limits(void **state)
{
	struct error err;
	struct pool *pool = pool_open(3, &err);

	assert_int_equal(pool_threads(pool), 3);
	pool_close(pool);
	assert_null(pool_open(0, &err));
	assert_string_equal(err.text, "a pool has 1 to 256 threads, not 0");
	assert_int_equal(err.code, EINVAL);
	assert_null(pool_open(POOL_THREADS_MAX + 1, &err));
	assert_int_equal(pool_threads(NULL), 0);
	pool_close(NULL);
}

static void tasks_run_first_in_first_out(void **state)
{
	struct pool *pool = pool_open(1, NULL);
	atomic_int calls = 0;
	struct gate gate = { 0 };
	struct job first = { .task.run = run_at_gate, .gate = &gate };
	struct job jobs[50];

	pool_submit(pool, &first.task);
	wait_until(&gate.inside, 1);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i] = (struct job){ .task.run = run_in_order,
					.calls = &calls };
		pool_submit(pool, &jobs[i].task);
	}
	assert_int_equal(pool_queued(pool), ARRAY_LEN(jobs));
	atomic_store(&gate.open, true);
	pool_close(pool);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		assert_int_equal(jobs[i].order, i);
}

static void closing_runs_what_is_queued(void **state)
{
	struct pool *pool = pool_open(THREADS, NULL);
	atomic_int calls = 0;
	struct job *job;

	for (int i = 0; i < 1000; i++) {
		job = calloc(1, sizeof(*job));
		*job = (struct job){ .task.run = run_and_free,
				     .calls = &calls };
		pool_submit(pool, &job->task);
	}
	pool_close(pool);
	assert_int_equal(calls, 1000);
}

/* All threads are inside tasks at once, so none serves another's turn. */
static void every_thread_works(void **state)
{
	struct pool *pool = pool_open(THREADS, NULL);
	struct gate gate = { 0 };
	struct job jobs[THREADS];

	for (size_t i = 0; i < THREADS; i++) {
		jobs[i] =
			(struct job){ .task.run = run_at_gate, .gate = &gate };
		pool_submit(pool, &jobs[i].task);
	}
	wait_until(&gate.inside, THREADS);
	atomic_store(&gate.open, true);
	pool_close(pool);
}

static void each_index_is_called_once(void **state)
{
	static const size_t counts[] = { 0, 1, 2, THREADS, 1000 };
	struct pool *pool = pool_open(THREADS, NULL);
	static atomic_int calls[1000];

	for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
		for (size_t i = 0; i < ARRAY_LEN(calls); i++)
			calls[i] = 0;
		pool_each(pool, counts[c], count_one, calls);
		for (size_t i = 0; i < ARRAY_LEN(calls); i++)
			assert_int_equal(calls[i], i < counts[c]);
	}
	pool_close(pool);
}

static void note_order(void *ctx, size_t i)
{
	size_t *next = ctx;

	assert_int_equal(*next, i);
	++*next;
}

static void without_a_pool_the_caller_works_in_order(void **state)
{
	size_t next = 0;

	pool_each(NULL, 100, note_order, &next);
	assert_int_equal(next, 100);
}

static void gate_each(void *ctx, size_t i)
{
	wait_at(ctx);
}

static void *open_when_all_inside(void *arg)
{
	struct gate *gate = arg;

	wait_until(&gate->inside, THREADS + 1);
	atomic_store(&gate->open, true);
	return NULL;
}

/*
 * The workers, which sleep by then, and the caller are inside calls at the same
 * time.
 */
static void workers_and_caller_share_the_work(void **state)
{
	struct pool *pool = pool_open(THREADS, NULL);
	struct gate gate = { 0 };
	pthread_t opener;

	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	pthread_create(&opener, NULL, open_when_all_inside, &gate);
	pool_each(pool, THREADS + 1, gate_each, &gate);
	pthread_join(opener, NULL);
	pool_close(pool);
}

static void each_inner(void *ctx, size_t i)
{
	struct job *job = ctx;

	atomic_fetch_add(job->calls, 1);
}

static void each_outer(void *ctx, size_t i)
{
	struct job *job = ctx;

	pool_each(job->pool, 7, each_inner, job);
}

static void run_nested(struct task *task)
{
	struct job *job = CONTAINER_OF(task, struct job, task);

	wait_at(job->gate);
	pool_each(job->pool, 5, each_outer, job);
}

/*
 * Every worker is inside a task that splits its work twice over, and more such
 * tasks wait: nobody is free to help, and all ends.
 */
static void splitting_on_every_worker_ends(void **state)
{
	struct pool *pool = pool_open(THREADS, NULL);
	struct gate gate = { 0 };
	struct job jobs[5 * THREADS];
	atomic_int calls = 0;

	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i] = (struct job){ .task.run = run_nested,
					.pool = pool,
					.gate = &gate,
					.calls = &calls };
		pool_submit(pool, &jobs[i].task);
	}
	wait_until(&gate.inside, THREADS);
	atomic_store(&gate.open, true);
	pool_close(pool);
	assert_int_equal(calls, 5 * 7 * ARRAY_LEN(jobs));
}

/* One worker stands at a gate; the caller does all of the work alone. */
static void a_busy_pool_does_not_hold_the_caller(void **state)
{
	struct pool *pool = pool_open(1, NULL);
	struct gate gate = { 0 };
	struct job busy = { .task.run = run_at_gate, .gate = &gate };
	static atomic_int calls[100];

	pool_submit(pool, &busy.task);
	wait_until(&gate.inside, 1);
	pool_each(pool, ARRAY_LEN(calls), count_one, calls);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(calls[i], 1);
	atomic_store(&gate.open, true);
	pool_close(pool);
}

struct race {
	struct pool *pool;
	struct gate gate;  /* that the worker's first task waits at */
	struct gate share; /* that the calls of pool_each() wait at */
	atomic_int calls;
	struct job queued;
};

static void *call_each(void *arg)
{
	struct race *race = arg;

	pool_each(race->pool, 2, gate_each, &race->share);
	return NULL;
}

/* A worker that comes free helps a caller before it takes from the queue. */
static void helpers_go_before_the_queue(void **state)
{
	struct race race = { .pool = pool_open(1, NULL) };
	struct job first = { .task.run = run_at_gate, .gate = &race.gate };
	pthread_t caller;

	race.queued =
		(struct job){ .task.run = run_in_order, .calls = &race.calls };
	pool_submit(race.pool, &first.task);
	wait_until(&race.gate.inside, 1);
	pool_submit(race.pool, &race.queued.task);
	pthread_create(&caller, NULL, call_each, &race);
	wait_until(&race.share.inside, 1);
	atomic_store(&race.gate.open, true);
	wait_until(&race.share.inside, 2);
	assert_int_equal(race.calls, 0);
	atomic_store(&race.share.open, true);
	pthread_join(caller, NULL);
	pool_close(race.pool);
	assert_int_equal(race.calls, 1);
}

static void *call_many(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < 200; i++)
		pool_each(job->pool, 5, each_inner, job);
	return NULL;
}

static void many_callers_share_a_pool(void **state)
{
	struct pool *pool = pool_open(2, NULL);
	atomic_int calls = 0;
	struct job job = { .pool = pool, .calls = &calls };
	pthread_t callers[8];

	for (size_t i = 0; i < ARRAY_LEN(callers); i++)
		pthread_create(&callers[i], NULL, call_many, &job);
	for (size_t i = 0; i < ARRAY_LEN(callers); i++)
		pthread_join(callers[i], NULL);
	pool_close(pool);
	assert_int_equal(calls, 8 * 200 * 5);
}

static void run_signal_check(struct task *task)
{
	struct job *job = CONTAINER_OF(task, struct job, task);
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	job->order = sigismember(&mask, SIGINT) &&
		     sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1);
}

static void signals_are_blocked_in_workers_only(void **state)
{
	struct pool *pool = pool_open(1, NULL);
	struct job job = { .task.run = run_signal_check };
	sigset_t mask;

	pool_submit(pool, &job.task);
	pool_close(pool);
	assert_true(job.order);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGINT));
}

static void run_inside_check(struct task *task)
{
	struct job *job = CONTAINER_OF(task, struct job, task);

	job->order = pool_inside(job->pool);
}

static void a_worker_knows_its_pool(void **state)
{
	struct pool *pool = pool_open(2, NULL), *other = pool_open(1, NULL);
	struct job in = { .task.run = run_inside_check, .pool = pool };
	struct job out = { .task.run = run_inside_check, .pool = pool };

	assert_false(pool_inside(pool));
	pool_submit(pool, &in.task);
	pool_submit(other, &out.task);
	pool_close(other);
	pool_close(pool);
	assert_true(in.order);
	assert_false(out.order);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_has_threads_within_limits),
		cmocka_unit_test(tasks_run_first_in_first_out),
		cmocka_unit_test(closing_runs_what_is_queued),
		cmocka_unit_test(every_thread_works),
		cmocka_unit_test(each_index_is_called_once),
		cmocka_unit_test(without_a_pool_the_caller_works_in_order),
		cmocka_unit_test(workers_and_caller_share_the_work),
		cmocka_unit_test(splitting_on_every_worker_ends),
		cmocka_unit_test(a_busy_pool_does_not_hold_the_caller),
		cmocka_unit_test(helpers_go_before_the_queue),
		cmocka_unit_test(many_callers_share_a_pool),
		cmocka_unit_test(signals_are_blocked_in_workers_only),
		cmocka_unit_test(a_worker_knows_its_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
