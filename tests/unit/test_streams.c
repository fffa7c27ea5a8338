/*
 * Masks from a stream: which numbers an element's coin is thrown by depends on
 * the seed and its place, and not on what is read first, in which pieces, by
 * how many threads, or by what else the scratch has been used for.
 */
#include <math.h>

#include "core/base/pool.h"
#include "core/rng.h"
#include "tests/unit/job_fixture.h"
#include "tests/unit/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define INPUTS 4 /* the base, and one that draws nothing */
#define COLS 1500
#define ROWS 60

static const char *const drawing[] = { "dare_linear", "dare_ties", "della",
				       "della_linear" };

struct masked {
	struct job_fixture jf;
	uint64_t streams[INPUTS];
	float *x[INPUTS];
};

static void masked_open(struct masked *masked, const char *method, size_t cols)
{
	struct job_fixture *jf = &masked->jf;
	uint64_t seed = 8;
	size_t n = ROWS * COLS;

	job_open(jf, method_by_name(method), INPUTS, 1, n / cols, cols);
	for (size_t i = 0; i < INPUTS; i++) {
		masked->x[i] = calloc(n, sizeof(float));
		for (size_t k = 0; k < n; k++)
			masked->x[i][k] = fixture_normal(&seed, 0.02f);
		job_input_floats(jf, i, DTYPE_F32, masked->x[i]);
	}
	job_set_all(jf, "weight", 0.6);
	job_set_all(jf, "density", 0.45);
	job_set(jf, "density", 2, 1);
	job_set_all(jf, "rescale", 0);
	jf->job.args.rng = RNG_MT19937;
	jf->job.args.seed = 31;
	jf->job.args.streams = masked->streams;
	masked->streams[0] = 12345;
	masked->streams[1] = RNG_NO_STREAM;
	masked->streams[2] = RNG_NO_STREAM;
	masked->streams[3] = 12345 + n;
}

static void masked_close(struct masked *masked)
{
	for (size_t i = 0; i < INPUTS; i++)
		free(masked->x[i]);
	job_close(&masked->jf);
}

/* Whole tensors against coins thrown one by one from the stream's beginning. */
static void masks_are_those_of_the_stream(void **state)
{
	static const size_t cols[] = { COLS, 1, 9, 45000 };
	struct pool *pool = pool_open(3, NULL);
	size_t n = ROWS * COLS;
	float *want = calloc(n, sizeof(*want));
	float *out = calloc(n, sizeof(*out));

	for (size_t m = 0; m < ARRAY_LEN(drawing); m++)
		for (size_t c = 0; c < ARRAY_LEN(cols); c++) {
			struct masked masked;
			struct job_fixture *jf = &masked.jf;

			masked_open(&masked, drawing[m], cols[c]);
			reference_make(jf->job.method, &jf->job.args,
				       (const float *const *)masked.x, want,
				       NULL);
			for (int l = 0; l <= (int)cpu_level_best(); l++) {
				job_make(jf, (enum cpu_level)l, pool, out,
					 NULL);
				if (memcmp(out, want, n * sizeof(*out)) != 0)
					fail_msg("%s, %zu columns, %s",
						 drawing[m], cols[c],
						 cpu_level_name(
							 (enum cpu_level)l));
			}
			masked_close(&masked);
		}
	pool_close(pool);
	free(want);
	free(out);
}

/* Probabilities that no multiple of 2^-24 is, and the least ones. */
static void rare_elements_are_kept_exactly(void **state)
{
	static const double densities[] = { 0,	      1e-9,	  1e-7,
					    3e-5,     0x1p-10,	  0.001,
					    0.999999, 1 - 0x1p-30 };
	size_t n = ROWS * COLS;
	float *want = calloc(n, sizeof(*want));
	float *out = calloc(n, sizeof(*out));

	for (size_t d = 0; d < ARRAY_LEN(densities); d++) {
		struct masked masked;
		struct job_fixture *jf = &masked.jf;

		masked_open(&masked, "dare_linear", COLS);
		job_set(jf, "density", 0, densities[d]);
		reference_make(jf->job.method, &jf->job.args,
			       (const float *const *)masked.x, want, NULL);
		job_make(jf, cpu_level_best(), NULL, out, NULL);
		if (memcmp(out, want, n * sizeof(*out)) != 0)
			fail_msg("density %g", densities[d]);
		masked_close(&masked);
	}
	free(want);
	free(out);
}

/* p is a 24-bit fraction itself where it is a threshold: u < p is exact. */
static void thresholds_of_streams_are_exact(void **state)
{
	static const uint32_t lows[] = {
		0, 1, 2, 255, 256, 0xfffffe, 0xffffff
	};
	static const float ps[] = {
		0,	  0x1p-149f,  0x1p-24f, 0x1.8p-24f,   0x1.000002p-24f,
		0x1p-23f, 0x1.8p-17f, 0.1f,	1 - 0x1p-24f, 1
	};

	for (size_t p = 0; p < ARRAY_LEN(ps); p++)
		for (size_t l = 0; l < ARRAY_LEN(lows); l++) {
			uint32_t x = 0xab000000u | lows[l];
			bool kept = rng_stream_draw(x) <
				    rng_threshold_of(true, (double)ps[p]);

			assert_int_equal(kept, (double)lows[l] * 0x1p-24 <
						       (double)ps[p]);
		}
}

/* Two tensors, other seeds and other places by turns in one scratch. */
static void pieces_make_the_whole_whatever_came_before(void **state)
{
	AUTO_MERGE_SCRATCH struct merge_scratch *scratch = merge_scratch_open();
	size_t size = ROWS * COLS * sizeof(float);
	unsigned char *whole[3] = { malloc(size), malloc(size), malloc(size) };
	unsigned char *piece = malloc(size);
	struct masked masked[3];
	uint64_t random = 4;

	for (size_t j = 0; j < 3; j++) {
		masked_open(&masked[j], j == 2 ? "della" : "dare_ties", COLS);
		if (j == 1)
			masked[j].jf.job.args.seed = 32;
		masked[j].streams[0] += j * 3 * ROWS * COLS;
		masked[j].streams[3] += j * 9 * ROWS * COLS;
		job_make(&masked[j].jf, cpu_level_best(), NULL, whole[j], NULL);
	}
	for (size_t round = 0; round < 600; round++) {
		size_t j = fixture_random(&random) % 3;
		size_t unit = j == 2 ? COLS * sizeof(float) : 1;
		size_t off = fixture_random(&random) % (size / unit);
		size_t len = fixture_random(&random) % (size / unit - off + 1);

		if (fixture_random(&random) % 2)
			len = min_u64(len, 1 + 4096 / unit);
		assert_false(merge_bytes(&masked[j].jf.job, cpu_level_best(),
					 NULL, off * unit, len * unit, piece,
					 scratch, NULL, NULL));
		assert_memory_equal(piece, whole[j] + off * unit, len * unit);
	}
	for (size_t j = 0; j < 3; j++) {
		masked_close(&masked[j]);
		free(whole[j]);
	}
	free(piece);
}

/* Every thread has its own gaps to pass; sums are of the same elements. */
static void states_are_the_same_for_any_threads(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(drawing); m++) {
		struct pool *pool = pool_open(5, NULL);
		struct masked masked;
		void *states[2] = { NULL, NULL };
		float *out = malloc(ROWS * COLS * sizeof(float));

		masked_open(&masked, drawing[m], COLS);
		job_set_all(&masked.jf, "rescale", 1);
		job_make(&masked.jf, cpu_level_best(), NULL, out, &states[0]);
		job_make(&masked.jf, cpu_level_best(), pool, out, &states[1]);
		assert_true(masked.jf.job.state_size > 0);
		assert_memory_equal(states[0], states[1],
				    masked.jf.job.state_size);
		pool_close(pool);
		masked_close(&masked);
		free(states[0]);
		free(states[1]);
		free(out);
	}
}

/* 2^34 elements into the stream, as the last tensor of a large model. */
static void far_places_have_their_own_numbers(void **state)
{
	struct masked masked;
	size_t n = ROWS * COLS;
	float *a = malloc(n * sizeof(*a));
	float *b = malloc(n * sizeof(*b));
	size_t same = 0;

	masked_open(&masked, "dare_linear", COLS);
	job_set(&masked.jf, "density", 3, 1);
	masked.streams[3] = RNG_NO_STREAM;
	masked.streams[0] = UINT64_C(1) << 34;
	job_make(&masked.jf, cpu_level_best(), NULL, a, NULL);
	masked.streams[0] += COLS;
	job_make(&masked.jf, cpu_level_best(), NULL, b, NULL);
	masked_close(&masked);
	for (size_t k = 0; k < n; k++)
		same += !memcmp(&a[k], &b[k], sizeof(*a));
	/* Two masks of density 0.45 agree on 0.505 of the elements. */
	assert_true(fabs((double)same / (double)n - 0.505) < 0.01);
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masks_are_those_of_the_stream),
		cmocka_unit_test(rare_elements_are_kept_exactly),
		cmocka_unit_test(thresholds_of_streams_are_exact),
		cmocka_unit_test(pieces_make_the_whole_whatever_came_before),
		cmocka_unit_test(states_are_the_same_for_any_threads),
		cmocka_unit_test(far_places_have_their_own_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
