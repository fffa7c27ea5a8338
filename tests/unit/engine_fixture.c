#include "tests/unit/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "fs/log.h"

#include <cmocka.h>

#define THREADS 4
#define CACHE_MEM ((size_t)64 << 20)
#define CACHE_DISK ((uint64_t)1 << 30)
#define LARGE_ROWS 733
#define LARGE_COLS 900
#define SMALL_ELEMENTS 999

/* Recipes over the models a, b and c. */
const char ENGINE_LINEAR[] = "merge_method: linear\n"
			     "dtype: bfloat16\n"
			     "models:\n"
			     "- {model: a, parameters: {weight: 0.25}}\n"
			     "- {model: b, parameters: {weight: 0.5}}\n";

const char ENGINE_TIES[] =
	"merge_method: ties\n"
	"dtype: float32\n"
	"base_model: a\n"
	"models:\n"
	"- {model: b, parameters: {weight: 0.5, density: 0.3}}\n"
	"- {model: c, parameters: {weight: 0.75, density: 0.6}}\n";

const char ENGINE_COPY[] = "merge_method: passthrough\n"
			   "models: [{model: b}]\n";

/* Sums that float32 cannot hold, where the models are huge. */
const char ENGINE_OVERFLOW[] = "merge_method: linear\n"
			       "dtype: float32\n"
			       "models:\n"
			       "- {model: a, parameters: {weight: 1}}\n"
			       "- {model: b, parameters: {weight: 1}}\n"
			       "parameters: {normalize: false}\n";

static void write_model(const struct fixture *fx, const char *dir,
			uint64_t seed)
{
	static float large[LARGE_ROWS * LARGE_COLS];
	static float small[SMALL_ELEMENTS];
	static const float huge[ENGINE_HUGE_ELEMENTS] = { 3e38f, 1, -2e38f,
							  2,	 3, 3e38f };
	const struct fixture_tensor tensors[] = {
		{ ENGINE_HUGE,
		  DTYPE_F32,
		  { 1, { ENGINE_HUGE_ELEMENTS } },
		  huge },
		{ ENGINE_LARGE,
		  DTYPE_F32,
		  { 2, { LARGE_ROWS, LARGE_COLS } },
		  large },
		{ "model.none.weight", DTYPE_F32, { 2, { 0, 4 } }, NULL },
		{ "model.scalar", DTYPE_F32, { 0, { 0 } }, small },
		{ ENGINE_SMALL, DTYPE_F32, { 3, { 3, 37, 9 } }, small },
	};
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(large); i++)
		large[i] = fixture_normal(&seed, 1);
	for (size_t i = 0; i < ARRAY_LEN(small); i++)
		small[i] = fixture_normal(&seed, 1);
	snprintf(path, sizeof(path), "%s/model.safetensors", dir);
	fixture_safetensors(fx, path, tensors, ARRAY_LEN(tensors));
	snprintf(path, sizeof(path), "%s/config.json", dir);
	fixture_write(fx, path, "{}", 2);
}

void engine_fixture_models(const struct fixture *fx)
{
	write_model(fx, "a", 1);
	write_model(fx, "b", 2);
	write_model(fx, "c", 3);
}

int engine_fixture_open(void **state)
{
	static struct fixture fx;

	fixture_open(&fx);
	engine_fixture_models(&fx);
	log_to_stderr(false);
	*state = &fx;
	return 0;
}

int engine_fixture_close(void **state)
{
	fixture_close(*state);
	return 0;
}

struct lens *engine_lens(const struct fixture *fx, const char *recipe)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	char path[FIXTURE_PATH_MAX];
	struct lens *lens;

	fixture_write(fx, "merge.yml", recipe, strlen(recipe));
	fixture_path(fx, "merge.yml", path);
	lens = lens_open_file(path, &report);
	if (!lens)
		fail_msg("%s", report.notes[0].text);
	assert_int_equal(lens->layout->count, 1);
	return lens;
}

struct lens *engine_lens_lambda(const struct fixture *fx, double lambda)
{
	char recipe[512];

	snprintf(recipe, sizeof(recipe), "%sparameters: {lambda: %.17g}\n",
		 ENGINE_TIES, lambda);
	return engine_lens(fx, recipe);
}

struct lens *engine_lens_density(const struct fixture *fx, double density)
{
	char recipe[512];

	snprintf(recipe, sizeof(recipe),
		 "merge_method: ties\n"
		 "dtype: float32\n"
		 "base_model: a\n"
		 "models:\n"
		 "- {model: b, parameters: {weight: 0.5}}\n"
		 "- {model: c, parameters: {weight: 0.75}}\n"
		 "parameters: {density: %.17g}\n",
		 density);
	return engine_lens(fx, recipe);
}

void engine_join(struct engine *engine, struct lens *lens)
{
	struct error err;

	if (engine_add(engine, lens, &err))
		fail_msg("%s", err.text);
}

void engine_leave(struct engine *engine, struct lens *lens)
{
	engine_forget(engine, lens);
	lens_close(lens);
}

struct engine *engine_start_with(const struct fixture *fx,
				 enum engine_cache cache, const char *dir,
				 size_t cache_mem)
{
	AUTO_REPORT struct report report = REPORT_INIT;
	struct engine_options options = {
		.threads = THREADS,
		.level = cpu_level_best(),
		.cache = cache,
		.cache_mem = cache_mem,
		.cache_disk = CACHE_DISK,
	};
	char path[FIXTURE_PATH_MAX];
	struct engine *engine;

	if (dir) {
		fixture_path(fx, dir, path);
		options.cache_dir = path;
	}
	engine = engine_open(&options, &report);
	assert_non_null(engine);
	assert_int_equal(report.count, 0);
	return engine;
}

struct engine *engine_start(const struct fixture *fx, enum engine_cache cache,
			    const char *dir)
{
	return engine_start_with(fx, cache, dir, CACHE_MEM);
}

void engine_end(struct engine *engine, struct lens *lens)
{
	engine_forget(engine, lens);
	engine_close(engine);
	lens_close(lens);
}

struct engine_stats engine_stats_of(struct engine *engine)
{
	struct engine_stats stats;

	engine_stats(engine, &stats);
	return stats;
}

const struct layout_file *engine_file(const struct lens *lens)
{
	return &lens->layout->files[0];
}

static void make_whole(const struct job *job, unsigned char *out)
{
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	AUTO_FREE void *made = NULL;
	struct error err = { 0 };

	assert_non_null(scratch);
	if (job->state_size) {
		made = aligned_alloc(64, round_up_u64(job->state_size, 64));
		assert_non_null(made);
		if (merge_state(job, CPU_LEVEL_baseline, NULL, made, &err))
			fail_msg("%s", err.text);
	}
	if (merge_bytes(job, CPU_LEVEL_baseline, made, 0, job->size, out,
			scratch, NULL, &err))
		fail_msg("%s", err.text);
}

unsigned char *engine_expected(const struct lens *lens)
{
	const struct layout_file *file = engine_file(lens);
	unsigned char *bytes = malloc(file->size);

	assert_non_null(bytes);
	memcpy(bytes, file->header, file->header_size);
	for (size_t i = 0; i < file->count; i++)
		make_whole(file->jobs[i], bytes + file->offsets[i]);
	return bytes;
}

struct job *engine_job(const struct lens *lens, const char *name)
{
	for (size_t i = 0; i < lens->plan->count; i++)
		if (strcmp(lens->plan->jobs[i].name, name) == 0)
			return &lens->plan->jobs[i];
	fail_msg("no job %s", name);
	return NULL;
}

uint64_t engine_job_off(const struct lens *lens, const char *name)
{
	const struct layout_file *file = engine_file(lens);

	for (size_t i = 0; i < file->count; i++)
		if (strcmp(file->jobs[i]->name, name) == 0)
			return file->offsets[i];
	fail_msg("no job %s", name);
	return 0;
}

void assert_reads(struct engine *engine, const struct lens *lens,
		  const unsigned char *expected, uint64_t off, size_t len)
{
	AUTO_FREE unsigned char *got = malloc(len);
	struct error err = { 0 };

	assert_non_null(got);
	if (engine_read_wait(engine, lens, engine_file(lens), off, len, got,
			     &err))
		fail_msg("%s", err.text);
	if (memcmp(got, expected + off, len) != 0)
		fail_msg("%zu bytes at %ju differ", len, (uintmax_t)off);
}

void assert_reads_all(struct engine *engine, const struct lens *lens,
		      const unsigned char *expected)
{
	assert_reads(engine, lens, expected, 0, engine_file(lens)->size);
}

void gate_pass(struct gate *gate)
{
	atomic_fetch_add(&gate->came, 1);
	while (!atomic_load(&gate->open))
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
}
