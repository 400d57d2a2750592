/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors of floats at the width of one instruction set, for which the including file is compiled: FKMI_ISA_AVX512,
 * FKMI_ISA_AVX2 or FKMI_ISA_SSE2; 16-byte vectors without any of them. The types are the vector extensions of GCC and
 * Clang; what those do not give is an intrinsic here. A mask has one truth value per lane.
 */
#ifndef FKMI_CPU_SIMD_H
#define FKMI_CPU_SIMD_H

#include "flashkmeans/flashkmeans.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(FKMI_ISA_AVX512) || defined(FKMI_ISA_AVX2)
#include <immintrin.h>
#elif defined(FKMI_ISA_SSE2)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif
#define INLINE static inline __attribute__((always_inline))

/* Lanes of a vector. */
#if defined(FKMI_ISA_AVX512)
enum { LANES = 16 };
#elif defined(FKMI_ISA_AVX2)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vfloat __attribute__((vector_size(4 * LANES)));
typedef double vdouble __attribute__((vector_size(4 * LANES)));
typedef int32_t vint __attribute__((vector_size(4 * LANES)));
#if defined(FKMI_ISA_AVX512)
typedef __mmask16 vmask;
#else
typedef vint vmask;
#endif

INLINE vfloat v_load(const float *p)
{
	vfloat a;
	memcpy(&a, p, sizeof a);
	return a;
}

INLINE void v_store(float *p, vfloat a)
{
	memcpy(p, &a, sizeof a);
}

INLINE vint v_load_int(const int32_t *p)
{
	vint a;
	memcpy(&a, p, sizeof a);
	return a;
}

INLINE void v_store_int(int32_t *p, vint a)
{
	memcpy(p, &a, sizeof a);
}

INLINE vfloat v_set(float a)
{
	return a - (vfloat){0}; /* exact, and the sign of a zero stays */
}

INLINE vint v_set_int(int32_t a)
{
	return a - (vint){0};
}

INLINE vfloat v_fma(vfloat a, vfloat b, vfloat c)
{
#if defined(FKMI_ISA_AVX512)
	return _mm512_fmadd_ps(a, b, c);
#elif defined(FKMI_ISA_AVX2)
	return _mm256_fmadd_ps(a, b, c);
#elif defined(__ARM_NEON)
	return vfmaq_f32(c, a, b);
#else
	return a * b + c;
#endif
}

/* Rounds once, on every machine. */
INLINE vdouble v_fma_double(vdouble a, vdouble b, vdouble c)
{
#if defined(FKMI_ISA_AVX512)
	return _mm512_fmadd_pd(a, b, c);
#elif defined(FKMI_ISA_AVX2)
	return _mm256_fmadd_pd(a, b, c);
#else
	return (vdouble){fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1])};
#endif
}

/* The greater; b if either is NaN. */
INLINE vfloat v_max(vfloat a, vfloat b)
{
#if defined(FKMI_ISA_AVX512)
	return _mm512_max_ps(a, b);
#elif defined(FKMI_ISA_AVX2)
	return _mm256_max_ps(a, b);
#elif defined(FKMI_ISA_SSE2)
	return _mm_max_ps(a, b);
#else
	vint greater = a > b;
	return (vfloat)((greater & (vint)a) | (~greater & (vint)b));
#endif
}

/* The smaller; b if either is NaN. */
INLINE vfloat v_min(vfloat a, vfloat b)
{
#if defined(FKMI_ISA_AVX512)
	return _mm512_min_ps(a, b);
#elif defined(FKMI_ISA_AVX2)
	return _mm256_min_ps(a, b);
#elif defined(FKMI_ISA_SSE2)
	return _mm_min_ps(a, b);
#else
	vint smaller = a < b;
	return (vfloat)((smaller & (vint)a) | (~smaller & (vint)b));
#endif
}

INLINE vfloat v_sqrt(vfloat a)
{
#if defined(FKMI_ISA_AVX512)
	return _mm512_sqrt_ps(a);
#elif defined(FKMI_ISA_AVX2)
	return _mm256_sqrt_ps(a);
#elif defined(FKMI_ISA_SSE2)
	return _mm_sqrt_ps(a);
#elif defined(__ARM_NEON)
	return vsqrtq_f32(a);
#else
	return (vfloat){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
#endif
}

/* False where either is NaN. */
INLINE vmask v_greater(vfloat a, vfloat b)
{
#if defined(FKMI_ISA_AVX512)
	return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
#else
	return a > b;
#endif
}

INLINE vmask v_at_least(vfloat a, vfloat b)
{
#if defined(FKMI_ISA_AVX512)
	return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
#else
	return a >= b;
#endif
}

INLINE vmask v_differs(vint a, vint b)
{
#if defined(FKMI_ISA_AVX512)
	return _mm512_cmpneq_epi32_mask((__m512i)a, (__m512i)b);
#else
	return a != b;
#endif
}

/* Lanes of a where the mask is set, of b elsewhere. */
INLINE vint v_choose_int(vmask m, vint a, vint b)
{
#if defined(FKMI_ISA_AVX512)
	return (vint)_mm512_mask_mov_epi32((__m512i)b, m, (__m512i)a);
#elif defined(FKMI_ISA_AVX2)
	return (vint)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m);
#else
	return (m & a) | (~m & b);
#endif
}

/* Lane i in bit i. */
INLINE uint64_t v_bits(vmask m)
{
#if defined(FKMI_ISA_AVX512)
	return m;
#elif defined(FKMI_ISA_AVX2)
	return (uint64_t)_mm256_movemask_ps((__m256)m);
#elif defined(FKMI_ISA_SSE2)
	return (uint64_t)_mm_movemask_ps((__m128)m);
#else
	return (uint64_t)((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8));
#endif
}

/* ---- points of any type as floats ---- */

INLINE float bits_to_float(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

INLINE float from_bf16(uint16_t h)
{
	return bits_to_float((uint32_t)h << 16);
}

INLINE float from_f16(uint16_t h)
{
	uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
	/* 2^112 moves the exponent, and normalises subnormals. */
	float value = magnitude < 0x0f800000 ? bits_to_float(magnitude) * 0x1p112f : bits_to_float(0x70000000 | magnitude);
	return h & 0x8000 ? -value : value;
}

/*
 * Rows are taken in quads, four adjacent coordinates of one row: a vector holds the quads of LANES / 4 rows, every
 * fourth one, so that four vectors are transposed within their quads.
 */

/* Four 16-bit elements, of which count exist; the others are 0. */
INLINE uint64_t load_halves(const void *row, int64_t j, int64_t count)
{
	const uint16_t *p = (const uint16_t *)row + j;
	uint64_t halves = 0;
	if (count == 4)
		memcpy(&halves, p, sizeof halves);
	else
		for (int i = 0; i < count; i++)
			halves |= (uint64_t)p[i] << 16 * i;
	return halves;
}

INLINE vfloat v_load_quads(const void *const *rows, enum fkm_dtype dtype, int64_t j, int64_t count)
{
#if defined(FKMI_ISA_AVX512)
	if (dtype == FKM_F32) {
		__mmask8 present = (__mmask8)((1 << count) - 1);
		__m128 a[4];
		UNROLL for (int i = 0; i < 4; i++)
		{
			const float *p = (const float *)rows[4 * i] + j;
			a[i] = count == 4 ? _mm_loadu_ps(p) : _mm_maskz_loadu_ps(present, p);
		}
		__m512 low = _mm512_insertf32x4(_mm512_castps128_ps512(a[0]), a[1], 1);
		return _mm512_insertf32x4(_mm512_insertf32x4(low, a[2], 2), a[3], 3);
	}
	__m256i halves =
		_mm256_set_epi64x((long long)load_halves(rows[12], j, count), (long long)load_halves(rows[8], j, count),
						  (long long)load_halves(rows[4], j, count), (long long)load_halves(rows[0], j, count));
	if (dtype == FKM_F16)
		return _mm512_cvtph_ps(halves);
	return (vfloat)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
#elif defined(FKMI_ISA_AVX2)
	if (dtype == FKM_F32) {
		__m128i present = _mm_cmpgt_epi32(_mm_set1_epi32((int)count), _mm_setr_epi32(0, 1, 2, 3));
		__m128 a[2];
		UNROLL for (int i = 0; i < 2; i++)
		{
			const float *p = (const float *)rows[4 * i] + j;
			a[i] = count == 4 ? _mm_loadu_ps(p) : _mm_maskload_ps(p, present);
		}
		return _mm256_insertf128_ps(_mm256_castps128_ps256(a[0]), a[1], 1);
	}
	__m128i halves =
		_mm_set_epi64x((long long)load_halves(rows[4], j, count), (long long)load_halves(rows[0], j, count));
	if (dtype == FKM_F16)
		return _mm256_cvtph_ps(halves);
	return (vfloat)_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16);
#else
	if (dtype == FKM_F32 && count == 4)
		return v_load((const float *)rows[0] + j);
	float a[4] = {0};
	for (int i = 0; i < count; i++) {
		if (dtype == FKM_F32)
			a[i] = ((const float *)rows[0])[j + i];
		else
			a[i] = dtype == FKM_F16 ? from_f16(((const uint16_t *)rows[0])[j + i])
									: from_bf16(((const uint16_t *)rows[0])[j + i]);
	}
	return v_load(a);
#endif
}

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vint){__VA_ARGS__})
#endif

/* a0 b0 a1 b1 of each quad. */
INLINE vfloat v_zip_low(vfloat a, vfloat b)
{
#if defined(FKMI_ISA_AVX512)
	return SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
#elif defined(FKMI_ISA_AVX2)
	return SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
#else
	return SHUFFLE(a, b, 0, 4, 1, 5);
#endif
}

/* a2 b2 a3 b3 of each quad. */
INLINE vfloat v_zip_high(vfloat a, vfloat b)
{
#if defined(FKMI_ISA_AVX512)
	return SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
#elif defined(FKMI_ISA_AVX2)
	return SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
#else
	return SHUFFLE(a, b, 2, 6, 3, 7);
#endif
}

/* In each quad, a[i] element j becomes a[j] element i. */
INLINE void v_transpose_quads(vfloat a[4])
{
	vfloat low[2] = {v_zip_low(a[0], a[2]), v_zip_low(a[1], a[3])};
	vfloat high[2] = {v_zip_high(a[0], a[2]), v_zip_high(a[1], a[3])};
	a[0] = v_zip_low(low[0], low[1]);
	a[1] = v_zip_high(low[0], low[1]);
	a[2] = v_zip_low(high[0], high[1]);
	a[3] = v_zip_high(high[0], high[1]);
}

#endif
