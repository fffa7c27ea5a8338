/*
 * What comes out of the engine: the bytes, where they are kept, what is
 * counted, and what is said where sources fail. Who waits for whom is tested in
 * test_engine_wait.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/log.h"
#include "tests/unit/engine_fixture.h"

#include <cmocka.h>

#define CUTS 20

/* Ends at the end of the file, lengths of all magnitudes. */
static void random_cut(uint64_t *seed, uint64_t size, uint64_t *off,
		       size_t *len)
{
	uint64_t bits = fixture_random(seed) % 22;

	*off = fixture_random(seed) % size;
	*len = min_u64(size - *off,
		       1 + fixture_random(seed) % ((uint64_t)1 << bits));
}

static void assert_cuts(struct engine *engine, const struct lens *lens,
			const unsigned char *expected, uint64_t seed)
{
	uint64_t size = engine_file(lens)->size, off;
	size_t len;

	for (size_t i = 0; i < CUTS; i++) {
		random_cut(&seed, size, &off, &len);
		assert_reads(engine, lens, expected, off, len);
	}
	assert_reads(engine, lens, expected, size - 1, 1);
	assert_reads_all(engine, lens, expected);
}

static void any_cut_has_the_bytes_of_whole_tensors(void **state)
{
	static const char *const recipes[] = { ENGINE_LINEAR, ENGINE_TIES,
					       ENGINE_COPY };
	static const enum engine_cache caches[] = { ENGINE_CACHE_AUTO,
						    ENGINE_CACHE_ALL,
						    ENGINE_CACHE_OFF };

	for (size_t r = 0; r < ARRAY_LEN(recipes); r++) {
		struct lens *lens = engine_lens(*state, recipes[r]);
		AUTO_FREE unsigned char *expected = engine_expected(lens);

		for (size_t c = 0; c < ARRAY_LEN(caches); c++) {
			struct engine *engine =
				engine_start(*state, caches[c], NULL);

			assert_cuts(engine, lens, expected, r + 1);
			engine_forget(engine, lens);
			engine_close(engine);
		}
		lens_close(lens);
	}
}

static void reads_count_by_where_bytes_come_from(void **state)
{
	struct lens *lens = engine_lens(*state, ENGINE_COPY);
	struct engine *engine = engine_start(*state, ENGINE_CACHE_AUTO, NULL);
	AUTO_FREE unsigned char *expected = engine_expected(lens);
	const struct layout_file *file = engine_file(lens);
	uint64_t tensors = file->size - file->header_size;
	struct engine_stats stats;

	assert_reads_all(engine, lens, expected);
	stats = engine_stats_of(engine);
	assert_int_equal(stats.reads,
			 (file->size + ENGINE_READ_MAX - 1) / ENGINE_READ_MAX);
	assert_int_equal(stats.bytes_served, file->size);
	assert_int_equal(stats.bytes_copied, tensors);
	assert_int_equal(stats.bytes_merged + stats.bytes_chunks, 0);
	assert_int_equal(stats.parked + stats.errors + stats.cancelled, 0);
	engine_end(engine, lens);
	lens = engine_lens(*state, ENGINE_LINEAR);
	engine = engine_start(*state, ENGINE_CACHE_AUTO, NULL);
	file = engine_file(lens);
	assert_int_equal(engine_job(lens, ENGINE_LARGE)->kind, JOB_TILE);
	free(expected);
	expected = engine_expected(lens);
	assert_reads_all(engine, lens, expected);
	stats = engine_stats_of(engine);
	assert_int_equal(stats.bytes_merged, file->size - file->header_size);
	assert_int_equal(stats.parked + stats.chunks + stats.bytes_chunks, 0);
	assert_true(stats.merge_seconds > 0);
	engine_end(engine, lens);
}

static int files_seen;

static int count_file(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	files_seen += type == FTW_F;
	return 0;
}

static int files_below(const struct fixture *fx, const char *dir)
{
	char path[FIXTURE_PATH_MAX];

	files_seen = 0;
	fixture_path(fx, dir, path);
	nftw(path, count_file, 8, FTW_PHYS);
	return files_seen;
}

/* Read all with an engine of its own; what it did. */
static struct engine_stats read_once(const struct fixture *fx,
				     enum engine_cache cache, const char *dir)
{
	struct lens *lens = engine_lens(fx, ENGINE_TIES);
	struct engine *engine = engine_start(fx, cache, dir);
	AUTO_FREE unsigned char *expected = engine_expected(lens);
	struct engine_stats stats;

	assert_reads_all(engine, lens, expected);
	stats = engine_stats_of(engine);
	engine_end(engine, lens);
	return stats;
}

static void with_cache_all_a_second_engine_makes_nothing(void **state)
{
	struct engine_stats first =
		read_once(*state, ENGINE_CACHE_ALL, "cache-all");
	struct engine_stats second =
		read_once(*state, ENGINE_CACHE_ALL, "cache-all");

	assert_true(first.reductions > 0);
	assert_true(first.chunks >= 3);
	assert_int_equal(first.cache.made,
			 first.reductions + first.surveys + first.chunks);
	assert_int_equal(first.cache.disk_hits, 0);
	assert_true(first.bytes_chunks > 0);
	assert_int_equal(first.bytes_merged, 0);
	assert_int_equal(second.cache.made, 0);
	assert_int_equal(second.reductions + second.chunks, 0);
	/* A state that is there needs no survey. */
	assert_int_equal(second.cache.disk_hits,
			 first.reductions + first.chunks);
	assert_int_equal(second.bytes_chunks, first.bytes_chunks);
}

static void with_cache_auto_states_alone_are_kept(void **state)
{
	struct engine_stats first =
		read_once(*state, ENGINE_CACHE_AUTO, "cache-auto");
	struct engine_stats second =
		read_once(*state, ENGINE_CACHE_AUTO, "cache-auto");

	assert_true(first.reductions > 0);
	assert_int_equal(first.cache.made, first.reductions + first.surveys);
	assert_int_equal(second.reductions, 0);
	assert_int_equal(second.cache.disk_hits, first.reductions);
	assert_true(first.bytes_merged > 0);
	assert_int_equal(second.bytes_merged, first.bytes_merged);
	assert_int_equal(second.chunks + second.bytes_chunks, 0);
}

static void with_cache_off_nothing_is_on_disk(void **state)
{
	struct engine_stats first =
		read_once(*state, ENGINE_CACHE_OFF, "cache-off");
	struct engine_stats second =
		read_once(*state, ENGINE_CACHE_OFF, "cache-off");

	assert_int_equal(files_below(*state, "cache-off"), 0);
	assert_true(files_below(*state, "cache-auto") > 0);
	assert_int_equal(second.reductions, first.reductions);
	assert_int_equal(second.cache.disk_hits, 0);
}

static void a_cache_without_room_changes_no_bytes(void **state)
{
	struct lens *lens = engine_lens(*state, ENGINE_TIES);
	struct engine *engine =
		engine_start_with(*state, ENGINE_CACHE_ALL, NULL, 0);
	AUTO_FREE unsigned char *expected = engine_expected(lens);

	assert_cuts(engine, lens, expected, 9);
	assert_true(engine_stats_of(engine).cache.evicted > 0);
	/* Whatever reads and slots held has been put. */
	engine_forget(engine, lens);
	WAIT_UNTIL(engine_stats_of(engine).cache.memory_bytes == 0);
	engine_end(engine, lens);
}

static void lenses_come_and_go_below_one_engine(void **state)
{
	struct engine *engine = engine_start(*state, ENGINE_CACHE_ALL, NULL);
	struct lens *first = engine_lens(*state, ENGINE_TIES);
	struct lens *second = engine_lens(*state, ENGINE_TIES);
	struct lens *other = engine_lens(*state, ENGINE_LINEAR);
	AUTO_FREE unsigned char *ties = engine_expected(first);
	AUTO_FREE unsigned char *linear = engine_expected(other);
	uint64_t made;

	assert_reads_all(engine, first, ties);
	made = engine_stats_of(engine).cache.made;
	engine_forget(engine, first);
	lens_close(first);
	assert_reads_all(engine, second, ties);
	assert_int_equal(engine_stats_of(engine).cache.made, made);
	assert_reads_all(engine, other, linear);
	assert_true(engine_stats_of(engine).cache.made > made);
	engine_forget(engine, other);
	lens_close(other);
	engine_end(engine, second);
}

/* out = x minus the greatest of its row: elements alone do not do. */
static void lower_rows(const struct method_args *args, const void *state,
		       const struct tile *rows)
{
	for (size_t r = 0; r < rows->count; r += args->cols) {
		float top = rows->in[0][r];

		for (size_t c = 0; c < args->cols; c++)
			top = fmaxf(top, rows->in[0][r + c]);
		for (size_t c = 0; c < args->cols; c++)
			rows->out[r + c] = rows->in[0][r + c] - top;
	}
}

static const struct merge_method lower_method = {
	.name = "lower",
	.version = 1,
	.models_min = 2,
	.models_max = 2,
	.rows = lower_rows,
};

static void use_rows(struct job *job)
{
	job->kind = JOB_ROWS;
	job->method = &lower_method;
}

static void read_rows_by_chunks(const struct fixture *fx)
{
	struct lens *lens = engine_lens(fx, ENGINE_LINEAR);
	struct engine *engine =
		engine_start(fx, ENGINE_CACHE_AUTO, "cache-rows");
	struct job *large = engine_job(lens, ENGINE_LARGE);
	uint64_t row = large->args.cols * 2;
	uint64_t stride = ENGINE_CHUNK_BYTES / row * row;
	AUTO_FREE unsigned char *expected = NULL;
	struct engine_stats stats;

	use_rows(large);
	use_rows(engine_job(lens, ENGINE_SMALL));
	expected = engine_expected(lens);
	/* The first byte asks for the first chunk, and it alone. */
	assert_reads(engine, lens, expected, engine_job_off(lens, ENGINE_LARGE),
		     1);
	stats = engine_stats_of(engine);
	assert_int_equal(stats.chunks, 1);
	assert_int_equal(stats.bytes_chunks, 1);
	assert_int_equal(stats.cache.memory_bytes, stride);
	assert_cuts(engine, lens, expected, 4);
	stats = engine_stats_of(engine);
	assert_int_equal(stats.chunks, (large->size + stride - 1) / stride + 1);
	assert_int_equal(stats.cache.made, stats.chunks);
	assert_int_equal(stats.cache.disk_hits, 0);
	engine_end(engine, lens);
}

/* The second engine finds no chunks on disk: they are kept with ALL only. */
static void rows_are_made_by_chunks_once(void **state)
{
	read_rows_by_chunks(*state);
	read_rows_by_chunks(*state);
}

static void made_nonfinite_is_counted_and_told(void **state)
{
	struct lens *lens = engine_lens(*state, ENGINE_OVERFLOW);
	struct engine *engine = engine_start(*state, ENGINE_CACHE_AUTO, NULL);
	struct job *job = engine_job(lens, ENGINE_HUGE);
	AUTO_FREE unsigned char *expected = engine_expected(lens);
	AUTO_FREE char *log = NULL;
	size_t len;

	assert_reads_all(engine, lens, expected);
	assert_int_equal(engine_stats_of(engine).nonfinite, 3);
	assert_int_equal(lens_slot(lens, job)->nonfinite, 3);
	log = log_text(&len);
	assert_non_null(strstr(log,
			       " warning: model.huge.weight: infinite or NaN "
			       "numbers come out of finite models (the first "
			       "read made 3); lower the weights, or give "
			       "out_dtype a wider range\n"));
	assert_null(strstr(log, ENGINE_SMALL));
	engine_end(engine, lens);
}

static void touch(const struct fixture *fx, const char *name)
{
	const struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
	char path[FIXTURE_PATH_MAX];

	fixture_path(fx, name, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* On the spot, parked for a state, parked for a chunk. */
static void a_source_that_changed_is_refused_and_told(void **state)
{
	static const struct {
		const char *recipe;
		enum engine_cache cache;
		const char *touched;
	} rows[] = {
		{ ENGINE_LINEAR, ENGINE_CACHE_AUTO, "a/model.safetensors" },
		{ ENGINE_LINEAR, ENGINE_CACHE_ALL, "b/model.safetensors" },
		{ ENGINE_TIES, ENGINE_CACHE_AUTO, "c/model.safetensors" },
		{ ENGINE_COPY, ENGINE_CACHE_AUTO, "b/model.safetensors" },
	};
	const struct fixture *fx = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lens *lens = engine_lens(fx, rows[i].recipe);
		struct engine *engine = engine_start(fx, rows[i].cache, NULL);
		uint64_t off = engine_job_off(lens, ENGINE_SMALL);
		char wanted[ERROR_TEXT_MAX], line[ERROR_TEXT_MAX + 64];
		struct error err = { 0 };
		AUTO_FREE char *log = NULL;
		struct engine_stats stats;
		unsigned char byte;
		size_t len;

		snprintf(wanted, sizeof(wanted),
			 ENGINE_SMALL ": %s/%s changed since it was opened "
				      "(it was written to): restart the mount",
			 fx->dir, rows[i].touched);
		snprintf(line, sizeof(line), " error: model.safetensors: %s",
			 wanted);
		touch(fx, rows[i].touched);
		assert_int_equal(engine_read_wait(engine, lens,
						  engine_file(lens), off, 1,
						  &byte, &err),
				 -EIO);
		assert_int_equal(err.code, EIO);
		assert_string_equal(err.text, wanted);
		log = log_text(&len);
		assert_non_null(strstr(log, line));
		stats = engine_stats_of(engine);
		assert_int_equal(stats.errors, 1);
		assert_int_equal(stats.reads + stats.bytes_served, 0);
		assert_int_equal(stats.reductions + stats.chunks, 0);
		assert_int_equal(stats.bytes_merged + stats.bytes_copied, 0);
		/* What needs no source is still there. */
		assert_int_equal(engine_read_wait(engine, lens,
						  engine_file(lens), 0, 1,
						  &byte, &err),
				 0);
		engine_end(engine, lens);
		engine_fixture_models(fx);
	}
}

static void what_cannot_be_opened_is_reported(void **state)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	const struct engine_options options = {
		.threads = POOL_THREADS_MAX + 1,
		.level = CPU_LEVEL_baseline,
	};

	assert_null(engine_open(&options, &report));
	assert_int_equal(report.count, 1);
	assert_string_equal(report.notes[0].text,
			    "a pool has 1 to 256 threads, not 257");
	engine_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_cut_has_the_bytes_of_whole_tensors),
		cmocka_unit_test(reads_count_by_where_bytes_come_from),
		cmocka_unit_test(with_cache_all_a_second_engine_makes_nothing),
		cmocka_unit_test(with_cache_auto_states_alone_are_kept),
		cmocka_unit_test(with_cache_off_nothing_is_on_disk),
		cmocka_unit_test(a_cache_without_room_changes_no_bytes),
		cmocka_unit_test(lenses_come_and_go_below_one_engine),
		cmocka_unit_test(rows_are_made_by_chunks_once),
		cmocka_unit_test(made_nonfinite_is_counted_and_told),
		cmocka_unit_test(a_source_that_changed_is_refused_and_told),
		cmocka_unit_test(what_cannot_be_opened_is_reported),
	};

	return cmocka_run_group_tests_name("engine", tests, engine_fixture_open,
					   engine_fixture_close);
}
