/*
 * Loads, stores and roundings between stored elements and binary32 (IEEE 754;
 * bfloat16 is the high half of a binary32). Compiled once for every CPU level:
 * plain loops that the compiler turns into that level's vectors. All of it is
 * integer arithmetic, or floating operations that IEEE 754 defines to the bit,
 * so the levels cannot differ. Only binary16 has instructions of its own
 * (F16C, AVX-512F); the loop without them is what defines the result.
 */
#include "core/bits.h"
#include "core/kernels.h"
#include "core/mt19937_loops.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

/* Elements in files, at any address. */
typedef uint16_t file_u16 __attribute__((aligned(1), may_alias));
typedef float file_f32 __attribute__((aligned(1), may_alias));
typedef double file_f64 __attribute__((aligned(1), may_alias));

#define F32_ABS 0x7fffffffu
#define F32_INF 0x7f800000u
#define F32_NAN 0x7fc00000u
#define F32_QUIET 0x00400000u
#define F16_NAN 0x7e00u
#define BF16_NAN 0x7fc0u

/* The least magnitudes that round to an infinity: halfway to 2^max. */
#define F16_OVERFLOW 0x477ff000u
#define BF16_OVERFLOW 0x7f7f8000u

/* binary32 has 112 more exponents below 1 and 13 more bits of fraction. */
#define F16_REBIAS (112u << 23)
#define F16_SHIFT 13
#define F16_NORMAL_MIN 0x38800000u /* 2^-14 */

static inline float float_of_bf16(uint16_t half)
{
	return float_from_bits((uint32_t)half << 16);
}

static inline uint16_t bf16_of(float x)
{
	uint32_t bits = float_bits(x);
	uint32_t even = (bits >> 16) & 1;

	if ((bits & F32_ABS) > F32_INF)
		return BF16_NAN;
	return (uint16_t)((bits + 0x7fff + even) >> 16);
}

static inline float float_of_f16(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	uint32_t magnitude = half & 0x7fff;
	uint32_t bits = (magnitude << F16_SHIFT) + F16_REBIAS;

	if (magnitude >= 0x7c00)
		bits += F16_REBIAS;
	if (magnitude > 0x7c00)
		bits |= F32_QUIET;
	/* A subnormal is a whole number of 2^-24. */
	if (magnitude < 0x0400)
		bits = float_bits((float)(int32_t)magnitude * 0x1p-24f);
	return float_from_bits(bits | sign);
}

static inline uint16_t f16_of(float x)
{
	uint32_t sign = float_bits(x) >> 16 & 0x8000;
	uint32_t bits = float_bits(x) & F32_ABS;
	uint32_t even = (bits >> F16_SHIFT) & 1;
	uint32_t half = (bits - F16_REBIAS + 0xfff + even) >> F16_SHIFT;

	/* The last bit of a number in [0.5, 1) is 2^-24, which is also the unit
	 * of subnormals: the addition rounds to it. */
	if (bits < F16_NORMAL_MIN)
		half = float_bits(float_from_bits(bits) + 0.5f) -
		       float_bits(0.5f);
	if (bits >= F16_OVERFLOW)
		half = 0x7c00;
	if (bits > F32_INF)
		return F16_NAN;
	return (uint16_t)(half | sign);
}

static void load_f64(float *restrict dst, const void *src, size_t count)
{
	const file_f64 *in = src;

	for (size_t i = 0; i < count; i++)
		dst[i] = (float)in[i];
}

static void load_f32(float *restrict dst, const void *src, size_t count)
{
	memcpy(dst, src, count * sizeof(*dst));
}

static void load_bf16(float *restrict dst, const void *src, size_t count)
{
	const file_u16 *in = src;

	for (size_t i = 0; i < count; i++)
		dst[i] = float_of_bf16(in[i]);
}

static void store_f64(void *restrict dst, const float *src, size_t count)
{
	file_f64 *out = dst;

	for (size_t i = 0; i < count; i++) {
		bool nan = (float_bits(src[i]) & F32_ABS) > F32_INF;

		out[i] =
			nan ? (double)float_from_bits(F32_NAN) : (double)src[i];
	}
}

static void store_f32(void *restrict dst, const float *src, size_t count)
{
	file_f32 *out = dst;

	for (size_t i = 0; i < count; i++) {
		bool nan = (float_bits(src[i]) & F32_ABS) > F32_INF;

		out[i] = nan ? float_from_bits(F32_NAN) : src[i];
	}
}

static void store_bf16(void *restrict dst, const float *src, size_t count)
{
	file_u16 *out = dst;

	for (size_t i = 0; i < count; i++)
		out[i] = bf16_of(src[i]);
}

static void round_bf16(float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = float_of_bf16(bf16_of(x[i]));
}

/*
 * The vector halves of the binary16 loops: they convert as many elements as
 * fill vectors and return how many that was; the scalar loop does the rest.
 */
#if defined(__F16C__)
#define F16_LANES 8

static inline __m128i f16_vector(__m256 x)
{
	__m128i half = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
	__m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
	__m128i nan16 = _mm_packs_epi32(_mm256_castsi256_si128(nan),
					_mm256_extracti128_si256(nan, 1));

	return _mm_blendv_epi8(half, _mm_set1_epi16(F16_NAN), nan16);
}

static size_t load_f16_vectors(float *dst, const file_u16 *in, size_t count)
{
	size_t i = 0;

	for (; i + F16_LANES <= count; i += F16_LANES) {
		__m128i half = _mm_loadu_si128((const void *)(in + i));

		_mm256_storeu_ps(dst + i, _mm256_cvtph_ps(half));
	}
	return i;
}

static size_t store_f16_vectors(file_u16 *out, const float *src, size_t count)
{
	size_t i = 0;

	for (; i + F16_LANES <= count; i += F16_LANES) {
		__m256 x = _mm256_loadu_ps(src + i);

		_mm_storeu_si128((void *)(out + i), f16_vector(x));
	}
	return i;
}

static size_t round_f16_vectors(float *x, size_t count)
{
	size_t i = 0;

	for (; i + F16_LANES <= count; i += F16_LANES) {
		__m128i half = f16_vector(_mm256_loadu_ps(x + i));

		_mm256_storeu_ps(x + i, _mm256_cvtph_ps(half));
	}
	return i;
}
#else
static size_t load_f16_vectors(float *dst, const file_u16 *in, size_t count)
{
	return 0;
}

static size_t store_f16_vectors(file_u16 *out, const float *src, size_t count)
{
	return 0;
}

static size_t round_f16_vectors(float *x, size_t count)
{
	return 0;
}
#endif

static void load_f16(float *restrict dst, const void *src, size_t count)
{
	const file_u16 *in = src;

	for (size_t i = load_f16_vectors(dst, in, count); i < count; i++)
		dst[i] = float_of_f16(in[i]);
}

static void store_f16(void *restrict dst, const float *src, size_t count)
{
	file_u16 *out = dst;

	for (size_t i = store_f16_vectors(out, src, count); i < count; i++)
		out[i] = f16_of(src[i]);
}

static void round_f16(float *x, size_t count)
{
	for (size_t i = round_f16_vectors(x, count); i < count; i++)
		x[i] = float_of_f16(f16_of(x[i]));
}

static inline size_t count_from(const float *x, size_t count, uint32_t limit)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += (float_bits(x[i]) & F32_ABS) >= limit;
	return found;
}

static size_t nonfinite_f32(const float *x, size_t count)
{
	return count_from(x, count, F32_INF);
}

static size_t nonfinite_f16(const float *x, size_t count)
{
	return count_from(x, count, F16_OVERFLOW);
}

static size_t nonfinite_bf16(const float *x, size_t count)
{
	return count_from(x, count, BF16_OVERFLOW);
}

#define KERNELS_PASTE_(level) kernels_##level
#define KERNELS_PASTE(level) KERNELS_PASTE_(level)
#define KERNELS KERNELS_PASTE(CPU_LEVEL)

extern const struct kernels KERNELS;
const struct kernels KERNELS = {
	.load = {
		[DTYPE_F64] = load_f64,
		[DTYPE_F32] = load_f32,
		[DTYPE_F16] = load_f16,
		[DTYPE_BF16] = load_bf16,
	},
	.store = {
		[DTYPE_F64] = store_f64,
		[DTYPE_F32] = store_f32,
		[DTYPE_F16] = store_f16,
		[DTYPE_BF16] = store_bf16,
	},
	.round = {
		[DTYPE_F16] = round_f16,
		[DTYPE_BF16] = round_bf16,
	},
	.nonfinite = {
		[DTYPE_F64] = nonfinite_f32,
		[DTYPE_F32] = nonfinite_f32,
		[DTYPE_F16] = nonfinite_f16,
		[DTYPE_BF16] = nonfinite_bf16,
	},
	.mt19937_twist = mt19937_twist,
	.mt19937_temper = mt19937_temper,
	.mt19937_add_windows = mt19937_add_windows,
};
