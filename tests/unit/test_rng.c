/*
 * The generator of masks: its values are fixed for ever, and its masks look
 * like independent coin throws. Every statistic is compared with its standard
 * deviation; as nothing here is random, a test passes always or never.
 */
#include <math.h>

#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define BLOCKS 2048
#define DRAWS ((size_t)BLOCKS * RNG_BLOCK)
#define SIGMAS 4.5 /* about 1 in 150,000 for one statistic */

static const double rates[] = { 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99 };

/* 1 for kept, 0 for dropped: a whole tensor's mask. */
static void draw_mask(uint64_t seed, uint32_t position, const char *name,
		      double p, unsigned char *mask)
{
	uint64_t threshold = rng_threshold(p);

	for (size_t b = 0; b < BLOCKS; b++) {
		struct rng_key key = rng_block_key(seed, position, name, b);

		for (uint32_t i = 0; i < RNG_BLOCK; i++)
			*mask++ = rng_draw(key, i) < threshold;
	}
}

/* How far `hits` of `n` throws with probability p are off, in deviations. */
static double sigmas(double hits, double n, double p)
{
	return fabs(hits - n * p) / sqrt(n * p * (1 - p));
}

static void assert_sigmas(double hits, double n, double p, const char *what)
{
	if (sigmas(hits, n, p) > SIGMAS)
		fail_msg("%s: %g of %g at p = %g", what, hits, n, p);
}

static void values_never_change(void **state)
{
	struct rng_key a = rng_block_key(0, 0, "model.embed_tokens.weight", 0);
	struct rng_key b = rng_block_key(UINT64_MAX, 3, "", 1000000000000u);

	assert_int_equal(a.k0, 0x7b25e371);
	assert_int_equal(a.k1, 0xe8258d58);
	assert_int_equal(b.k0, 0x0346c4c1);
	assert_int_equal(b.k1, 0x41575f3d);
	assert_int_equal(rng_draw(a, 0), 0x614a5600);
	assert_int_equal(rng_draw(a, 4095), 0x8e0c7f3e);
	assert_int_equal(rng_draw((struct rng_key){ 0, 0 }, 1), 0x1fce552);
}

static void thresholds_are_rounded_probabilities(void **state)
{
	assert_int_equal(rng_threshold(0), 0);
	assert_int_equal(rng_threshold(0.5), 0x80000000u);
	assert_int_equal(rng_threshold(0x1p-32), 1);
	assert_int_equal(rng_threshold(0x1p-34), 0);
	assert_int_equal(rng_threshold(1 - 0x1p-24), 0xffffff00u);
	assert_true(rng_threshold(1) == UINT64_C(1) << 32);
}

static void masks_have_the_rate(void **state)
{
	unsigned char *mask = malloc(DRAWS);

	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		size_t kept = 0;

		draw_mask(0, 0, "rate", rates[r], mask);
		for (size_t i = 0; i < DRAWS; i++)
			kept += mask[i];
		assert_sigmas((double)kept, DRAWS, rates[r], "rate");
	}
	free(mask);
}

/* Pairs at a distance: the chance that both are kept is p squared. */
static void assert_independent(const unsigned char *a, const unsigned char *b,
			       size_t n, double p, const char *what)
{
	size_t both = 0;
	size_t none = 0;

	for (size_t i = 0; i < n; i++) {
		both += a[i] & b[i];
		none += !(a[i] | b[i]);
	}
	assert_sigmas((double)both, (double)n, p * p, what);
	assert_sigmas((double)none, (double)n, (1 - p) * (1 - p), what);
}

static void neighbours_are_independent(void **state)
{
	static const size_t lags[] = { 1,   2,	  3,	4,    7,    8,
				       16,  31,	  32,	64,   128,  256,
				       512, 1024, 2048, 4095, 4096, 8192 };
	unsigned char *mask = malloc(DRAWS);

	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		draw_mask(1, 0, "neighbours", rates[r], mask);
		for (size_t l = 0; l < ARRAY_LEN(lags); l++)
			assert_independent(mask, mask + lags[l],
					   DRAWS - lags[l], rates[r], "lag");
	}
	free(mask);
}

/*
 * Indices that differ in few bits are where a weak hash shows: with the index
 * entered as it is, these pairs correlate by 0.003. Measured against the mask's
 * own rate, whose chance deviation all pairs share.
 */
static void near_indices_are_independent(void **state)
{
	static const size_t differences[] = { 0x001, 0x003, 0x005, 0x00c,
					      0x014, 0x030, 0x500, 0x800,
					      0x9a0, 0xa60, 0xc00, 0xfff };
	unsigned char *mask = malloc(DRAWS);
	double pairs = DRAWS / 2.0;

	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		double kept = 0;

		draw_mask(11, 0, "x", rates[r], mask);
		for (size_t i = 0; i < DRAWS; i++)
			kept += mask[i];
		kept /= DRAWS;
		for (size_t d = 0; d < ARRAY_LEN(differences); d++) {
			double both = 0;

			for (size_t i = 0; i < DRAWS; i++)
				both += mask[i] & mask[i ^ differences[d]];
			both = both / 2 - pairs * kept * kept;
			assert_true(fabs(both) <
				    SIGMAS * sqrt(pairs) * kept * (1 - kept));
		}
	}
	free(mask);
}

/* Chi-square of runs of eight elements as bytes, at p = 1/2: 255 degrees. */
static void bytes_of_masks_are_uniform(void **state)
{
	unsigned char *mask = malloc(DRAWS);
	double count[256] = { 0 };
	double expected = DRAWS / 8.0 / 256;
	double chi2 = 0;

	draw_mask(2, 0, "bytes", 0.5, mask);
	for (size_t i = 0; i < DRAWS; i += 8) {
		unsigned byte = 0;

		for (size_t j = 0; j < 8; j++)
			byte = byte << 1 | mask[i + j];
		count[byte]++;
	}
	for (size_t i = 0; i < 256; i++)
		chi2 += (count[i] - expected) * (count[i] - expected) /
			expected;
	assert_true(fabs(chi2 - 255) < SIGMAS * sqrt(2 * 255));
	free(mask);
}

/* Every place in a block is kept as often, over the keys of many blocks. */
static void places_in_a_block_are_alike(void **state)
{
	unsigned char *mask = malloc(DRAWS);
	double chi2 = 0;

	draw_mask(3, 0, "places", 0.5, mask);
	for (size_t i = 0; i < RNG_BLOCK; i++) {
		double kept = 0;

		for (size_t b = 0; b < BLOCKS; b++)
			kept += mask[b * RNG_BLOCK + i];
		chi2 += pow(sigmas(kept, BLOCKS, 0.5), 2);
	}
	assert_true(fabs(chi2 - RNG_BLOCK) < SIGMAS * sqrt(2.0 * RNG_BLOCK));
	free(mask);
}

/* The counts of blocks vary as much as those of coin throws, no less. */
static void counts_of_blocks_vary(void **state)
{
	unsigned char *mask = malloc(DRAWS);

	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		double chi2 = 0;

		draw_mask(4, 0, "counts", rates[r], mask);
		for (size_t b = 0; b < BLOCKS; b++) {
			double kept = 0;

			for (size_t i = 0; i < RNG_BLOCK; i++)
				kept += mask[b * RNG_BLOCK + i];
			chi2 += pow(sigmas(kept, RNG_BLOCK, rates[r]), 2);
		}
		assert_true(fabs(chi2 - BLOCKS) < SIGMAS * sqrt(2.0 * BLOCKS));
	}
	free(mask);
}

static void streams_are_independent(void **state)
{
	unsigned char *a = malloc(DRAWS);
	unsigned char *b = malloc(DRAWS);

	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		double p = rates[r];

		draw_mask(5, 0, "model.layers.1.mlp.up_proj.weight", p, a);
		draw_mask(6, 0, "model.layers.1.mlp.up_proj.weight", p, b);
		assert_independent(a, b, DRAWS, p, "seeds");
		draw_mask(5, 1, "model.layers.1.mlp.up_proj.weight", p, b);
		assert_independent(a, b, DRAWS, p, "models");
		draw_mask(5, 0, "model.layers.2.mlp.up_proj.weight", p, b);
		assert_independent(a, b, DRAWS, p, "tensors");
		assert_independent(a, b + RNG_BLOCK, DRAWS - RNG_BLOCK, p,
				   "tensors, blocks");
	}
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_never_change),
		cmocka_unit_test(thresholds_are_rounded_probabilities),
		cmocka_unit_test(masks_have_the_rate),
		cmocka_unit_test(neighbours_are_independent),
		cmocka_unit_test(near_indices_are_independent),
		cmocka_unit_test(bytes_of_masks_are_uniform),
		cmocka_unit_test(places_in_a_block_are_alike),
		cmocka_unit_test(counts_of_blocks_vary),
		cmocka_unit_test(streams_are_independent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
