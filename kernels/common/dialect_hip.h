/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HIP's part of dialect.h, over clang's builtins alone, so that neither ROCm's headers nor its device libraries are
 * needed. Waves have 32 or 64 items. hipRTC puts headers of its own before the source: macros, not declarations, that
 * these might contradict.
 */
#ifndef FKMI_COMMON_DIALECT_HIP_H
#define FKMI_COMMON_DIALECT_HIP_H

#define int16_t __INT16_TYPE__
#define uint16_t __UINT16_TYPE__
#define int32_t __INT32_TYPE__
#define uint32_t __UINT32_TYPE__
#define int64_t __INT64_TYPE__
#define uint64_t __UINT64_TYPE__
#define uintptr_t __UINTPTR_TYPE__

typedef float fkmi_float2 __attribute__((ext_vector_type(2)));
typedef float fkmi_float4 __attribute__((ext_vector_type(4)));
typedef unsigned fkmi_uint2 __attribute__((ext_vector_type(2)));
typedef unsigned fkmi_uint4 __attribute__((ext_vector_type(4)));
#define float2 fkmi_float2
#define float4 fkmi_float4
#define uint2 fkmi_uint2
#define uint4 fkmi_uint4

#define fabs(a) __builtin_fabs(a)
#define fma(a, b, c) __builtin_fma(a, b, c)
#define fmax(a, b) __builtin_fmax(a, b)
#define fmin(a, b) __builtin_fmin(a, b)
#define rint(a) __builtin_rint(a)
#define sqrt(a) __builtin_sqrt(a)

#define FKMI_INLINE static __attribute__((device, always_inline)) inline
/* A kernel of `items` items in a group, with registers for two waves on each SIMD unit, so that one works while the
 * other waits. */
#define FKMI_KERNEL_OF(items)                                                                                          \
	extern "C" __attribute__((global, amdgpu_flat_work_group_size(items, items), amdgpu_waves_per_eu(2),               \
							  visibility("protected"))) void
#define FKMI_KERNEL FKMI_KERNEL_OF(FKMI_GROUP)
#define FKMI_KERNEL_ABREAST(groups) FKMI_KERNEL
#define FKMI_UNROLL _Pragma("unroll")
#define FKMI_LOCKSTEP 32
#define FKMI_LOCAL_ARRAY(type, name, count) __attribute__((shared)) type name[count]
/* A function of a lane that is a member, and the local memory that a launch asks for. */
#define FKMI_LANE __attribute__((device, always_inline)) inline
#define FKMI_DYNAMIC_LOCAL(name)                                                                                       \
	extern __attribute__((shared)) uint4 fkmi_dynamic_local[];                                                         \
	char *name = (char *)fkmi_dynamic_local
#define FKMI_BARRIER()                                                                                                 \
	do {                                                                                                               \
		__builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");                                                         \
		__builtin_amdgcn_s_barrier();                                                                                  \
		__builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");                                                         \
	} while (0)

FKMI_INLINE int fkmi_item(void)
{
	return (int)__builtin_amdgcn_workitem_id_x();
}
FKMI_INLINE int64_t fkmi_group(void)
{
	return (int64_t)__builtin_amdgcn_workgroup_id_x();
}
FKMI_INLINE int64_t fkmi_groups(void)
{
	return (int64_t)(__builtin_amdgcn_grid_size_x() / __builtin_amdgcn_workgroup_size_x());
}

FKMI_INLINE void fkmi_meet(int first, int count)
{
	(void)first;
	(void)count;
	__builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
	__builtin_amdgcn_wave_barrier();
	__builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}

FKMI_INLINE int32_t fkmi_local_add32(int32_t *p, int32_t v)
{
	return __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
}
FKMI_INLINE void fkmi_local_max32(int32_t *p, int32_t v)
{
	__hip_atomic_fetch_max(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
}
FKMI_INLINE int32_t fkmi_add32(int32_t *p, int32_t v)
{
	return __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
FKMI_INLINE int32_t fkmi_exchange32(int32_t *p, int32_t v)
{
	return __hip_atomic_exchange(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
FKMI_INLINE int32_t fkmi_compare_exchange32(int32_t *p, int32_t expected, int32_t v)
{
	__hip_atomic_compare_exchange_strong(p, &expected, v, __ATOMIC_RELAXED, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
	return expected;
}
FKMI_INLINE void fkmi_or32(int32_t *p, int32_t v)
{
	__hip_atomic_fetch_or(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
FKMI_INLINE void fkmi_min32(int32_t *p, int32_t v)
{
	__hip_atomic_fetch_min(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
FKMI_INLINE void fkmi_max32(int32_t *p, int32_t v)
{
	__hip_atomic_fetch_max(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
FKMI_INLINE void fkmi_add64(int64_t *p, int64_t v)
{
	__hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
FKMI_INLINE void fkmi_min64(int64_t *p, int64_t v)
{
	__hip_atomic_fetch_min(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
FKMI_INLINE void fkmi_max64(int64_t *p, int64_t v)
{
	__hip_atomic_fetch_max(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
/* Lowers an index, of which -1 is none yet. */
FKMI_INLINE void fkmi_lower_index(int64_t *p, int64_t v)
{
	__hip_atomic_fetch_min((uint64_t *)p, (uint64_t)v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}

FKMI_INLINE int64_t fkmi_double_bits(double v)
{
	return __builtin_bit_cast(int64_t, v);
}
FKMI_INLINE double fkmi_bits_double(int64_t bits)
{
	return __builtin_bit_cast(double, bits);
}
FKMI_INLINE int32_t fkmi_float_bits(float v)
{
	return __builtin_bit_cast(int32_t, v);
}
FKMI_INLINE float fkmi_bits_float(uint32_t bits)
{
	return __builtin_bit_cast(float, bits);
}
FKMI_INLINE float fkmi_half_to_float(uint16_t bits)
{
	return (float)__builtin_bit_cast(_Float16, bits);
}
FKMI_INLINE uint16_t fkmi_float_to_half(float v)
{
	return __builtin_bit_cast(uint16_t, (_Float16)v);
}
/* Pairs of f16, the first in the low bits: rounded, and multiplied. */
typedef _Float16 fkmi_half2 __attribute__((ext_vector_type(2)));
FKMI_INLINE uint32_t fkmi_floats_to_halves(float low, float high)
{
	const fkmi_half2 pair = {(_Float16)low, (_Float16)high};
	return __builtin_bit_cast(uint32_t, pair);
}
FKMI_INLINE uint32_t fkmi_multiply_halves(uint32_t a, uint32_t b)
{
	return __builtin_bit_cast(uint32_t, __builtin_bit_cast(fkmi_half2, a) * __builtin_bit_cast(fkmi_half2, b));
}

/* The value of the item whose number differs in the bits of mask, a constant below 32. ds_swizzle's bit mode, which
 * works on each half of a wave of 64. */
#define FKMI_SWAP32(bits, mask) ((uint32_t)__builtin_amdgcn_ds_swizzle((int)(bits), (mask) << 10 | 0x1f))
#define FKMI_SWAP_DOUBLE(value, mask)                                                                                  \
	fkmi_bits_double((int64_t)((uint64_t)FKMI_SWAP32((uint64_t)fkmi_double_bits(value) >> 32, mask) << 32 |            \
							   FKMI_SWAP32(fkmi_double_bits(value), mask)))

#define FKMI_MULTIPLY_ADD(a, b, c) __builtin_fmaf(a, b, c)
#define FKMI_MIN(a, b) __builtin_fminf(a, b)
#define FKMI_MAX(a, b) __builtin_fmaxf(a, b)
#define FKMI_SQRTF(a) __builtin_sqrtf(a)

#endif
