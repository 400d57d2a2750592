/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels' dialect on the emulator: C++ for the host. */
#ifndef EMULATOR_DIALECT_H
#define EMULATOR_DIALECT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "emulator.h"

struct uint2 {
	uint32_t x, y;
};
struct alignas(16) uint4 {
	uint32_t x, y, z, w;
};
struct alignas(16) float4 {
	float x, y, z, w;
};

#define FKMI_INLINE static inline
#define FKMI_LANE
#define FKMI_KERNEL extern "C" void
#define FKMI_KERNEL_ABREAST(groups) FKMI_KERNEL
#define FKMI_UNROLL
#define FKMI_LOCKSTEP 32
#define FKMI_GLOBAL
#define FKMI_LOCAL
/* In a section of their own, so that they can be spoiled. */
#define FKMI_LOCAL_ARRAY(type, name, count)                                                                            \
	alignas(16) static type name[count] __attribute__((section("emulated_local")))
#define FKMI_DYNAMIC_LOCAL(name) char *name = emulator_local
#define FKMI_ARG(type, name) type *name##_base
#define FKMI_USE(type, name) type *name = name##_base
#define FKMI_BARRIER() emulator_barrier()
#define FKMI_BARRIER_ALL() emulator_barrier()

static inline int fkmi_item(void)
{
	return emulator_item();
}
static inline int64_t fkmi_group(void)
{
	return emulator_group();
}
static inline int64_t fkmi_groups(void)
{
	return emulator_groups();
}

static inline void fkmi_meet(int first, int count)
{
	emulator_meet(first, count);
}

/* Items run one at a time. */
template <class T> static inline T emulated_add(T *p, T v)
{
	const T before = *p;
	*p = (T)((uint64_t)before + (uint64_t)v);
	return before;
}
static inline int32_t fkmi_local_add32(int32_t *p, int32_t v)
{
	return emulated_add(p, v);
}
static inline void fkmi_local_max32(int32_t *p, int32_t v)
{
	*p = *p > v ? *p : v;
}
static inline int32_t fkmi_add32(int32_t *p, int32_t v)
{
	return emulated_add(p, v);
}
static inline int32_t fkmi_exchange32(int32_t *p, int32_t v)
{
	const int32_t before = *p;
	*p = v;
	return before;
}
static inline int32_t fkmi_compare_exchange32(int32_t *p, int32_t expected, int32_t v)
{
	const int32_t before = *p;
	if (before == expected)
		*p = v;
	return before;
}
static inline void fkmi_min32(int32_t *p, int32_t v)
{
	*p = *p < v ? *p : v;
}
static inline void fkmi_max32(int32_t *p, int32_t v)
{
	*p = *p > v ? *p : v;
}
static inline void fkmi_or32(int32_t *p, int32_t v)
{
	*p |= v;
}
static inline void fkmi_add64(int64_t *p, int64_t v)
{
	emulated_add(p, v);
}
static inline void fkmi_min64(int64_t *p, int64_t v)
{
	*p = *p < v ? *p : v;
}
static inline void fkmi_lower_index(int64_t *p, int64_t v)
{
	*p = (uint64_t)*p < (uint64_t)v ? *p : v;
}
static inline void fkmi_max64(int64_t *p, int64_t v)
{
	*p = *p > v ? *p : v;
}

static inline int64_t fkmi_double_bits(double v)
{
	int64_t bits;
	memcpy(&bits, &v, sizeof bits);
	return bits;
}
static inline double fkmi_bits_double(int64_t bits)
{
	double v;
	memcpy(&v, &bits, sizeof v);
	return v;
}
static inline int32_t fkmi_float_bits(float v)
{
	int32_t bits;
	memcpy(&bits, &v, sizeof bits);
	return bits;
}
static inline float fkmi_bits_float(uint32_t bits)
{
	float v;
	memcpy(&v, &bits, sizeof v);
	return v;
}
static inline float fkmi_half_to_float(uint16_t bits)
{
	const int exponent = bits >> 10 & 31, fraction = bits & 1023;
	float v = exponent == 31  ? (fraction != 0 ? NAN : INFINITY)
			  : exponent == 0 ? ldexpf((float)fraction, -24)
							  : ldexpf((float)(1024 + fraction), exponent - 25);
	return bits & 0x8000 ? -v : v;
}
/* To nearest, ties to even. */
static inline uint16_t fkmi_float_to_half(float v)
{
	const uint16_t sign = signbit(v) ? 0x8000 : 0;
	const float magnitude = fabsf(v);
	if (magnitude != magnitude)
		return 0x7e00;
	if (magnitude >= 65520.0f)
		return sign | 0x7c00;
	if (magnitude < 6.103515625e-05f)
		return (uint16_t)(sign | (int)nearbyintf(ldexpf(magnitude, 24)));
	const uint32_t bits = (uint32_t)fkmi_float_bits(magnitude) - (112u << 23);
	return (uint16_t)(sign | (bits + 0xfff + (bits >> 13 & 1)) >> 13);
}
static inline uint32_t fkmi_floats_to_halves(float low, float high)
{
	return (uint32_t)fkmi_float_to_half(high) << 16 | fkmi_float_to_half(low);
}
static inline uint32_t fkmi_multiply_halves(uint32_t a, uint32_t b)
{
	return fkmi_floats_to_halves(fkmi_half_to_float((uint16_t)a) * fkmi_half_to_float((uint16_t)b),
								 fkmi_half_to_float((uint16_t)(a >> 16)) * fkmi_half_to_float((uint16_t)(b >> 16)));
}

#define FKMI_MULTIPLY_ADD(a, b, c) fmaf(a, b, c)
#define FKMI_MIN(a, b) fminf(a, b)
#define FKMI_MAX(a, b) fmaxf(a, b)
#define FKMI_SQRTF(a) sqrtf(a)

#endif
