/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between CUDA, HIP and OpenCL C 1.2, so that a kernel is written once. Groups and grids have one
 * dimension; a group has FKMI_GROUP items; nothing is assumed of the width of a subgroup. A kernel never relies on the
 * number of its groups: it walks its work in strides of fkmi_groups().
 *
 * FKMI_LOCKSTEP neighbouring items, a power of two, run in lockstep or, where it is more than 1, can be made to meet:
 * fkmi_meet(first, count) is a barrier of local memory for the items first .. first+count-1, which lie in one such set.
 * FKMI_KERNEL_ABREAST(groups) is a kernel that takes no more registers than so many groups on a multiprocessor have.
 *
 * A place in memory is a parameter FKMI_ARG(type, name), which FKMI_USE(type, name) makes a pointer: OpenCL passes a
 * buffer and an offset in bytes. Floating-point operations must not be contracted (CUDA and HIP: a compiler option).
 */
#ifndef FKMI_COMMON_DIALECT_H
#define FKMI_COMMON_DIALECT_H

#include "state.h"

#if defined(FKMI_DIALECT) /* another header's, for tests */

#include FKMI_DIALECT

#elif defined(__OPENCL_VERSION__)

#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#if defined(cl_khr_int64_extended_atomics)
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable
#endif
#pragma OPENCL FP_CONTRACT OFF

typedef short int16_t;
typedef ushort uint16_t;
typedef int int32_t;
typedef uint uint32_t;
typedef long int64_t;
typedef ulong uint64_t;

#define FKMI_INLINE static inline
#define FKMI_KERNEL __kernel __attribute__((reqd_work_group_size(FKMI_GROUP, 1, 1))) void
#define FKMI_KERNEL_ABREAST(groups) FKMI_KERNEL
#define FKMI_GLOBAL __global
#define FKMI_LOCAL __local
#define FKMI_LOCAL_ARRAY(type, name, count) __local type name[count]
#define FKMI_ARG(type, name) __global char *name##_base, long name##_offset
#define FKMI_USE(type, name) __global type *name = (__global type *)(name##_base + name##_offset)
#define FKMI_UNROLL _Pragma("unroll")
#if !defined(FKMI_LOCKSTEP) /* an option of the build, 32, where warps have so many items and the compiler knows PTX */
#define FKMI_LOCKSTEP 1
#endif
#define FKMI_BARRIER() barrier(CLK_LOCAL_MEM_FENCE)
#define FKMI_BARRIER_ALL() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)

FKMI_INLINE int fkmi_item(void)
{
	return (int)get_local_id(0);
}
FKMI_INLINE int64_t fkmi_group(void)
{
	return (int64_t)get_group_id(0);
}
FKMI_INLINE int64_t fkmi_groups(void)
{
	return (int64_t)get_num_groups(0);
}

/*
 * The items of a warp run ahead of each other, so that OpenCL C, which has no barrier of some items of a group, cannot
 * say this: bar.warp.sync is what __syncwarp compiles to. It orders the named items' accesses to memory, the compiler's
 * own is kept in order by the clobber, and items are numbered along warps since groups have one dimension.
 */
FKMI_INLINE void fkmi_meet(int first, int count)
{
#if FKMI_LOCKSTEP > 1
	asm volatile("bar.warp.sync %0;" : : "r"(0xffffffffu >> (32 - count) << first % 32) : "memory");
#else
	(void)first;
	(void)count;
#endif
}

FKMI_INLINE int32_t fkmi_local_add32(FKMI_LOCAL int32_t *p, int32_t v)
{
	return atomic_add(p, v);
}
FKMI_INLINE void fkmi_local_max32(FKMI_LOCAL int32_t *p, int32_t v)
{
	atomic_max(p, v);
}
FKMI_INLINE int32_t fkmi_add32(FKMI_GLOBAL int32_t *p, int32_t v)
{
	return atomic_add(p, v);
}
FKMI_INLINE int32_t fkmi_exchange32(FKMI_GLOBAL int32_t *p, int32_t v)
{
	return atomic_xchg(p, v);
}
FKMI_INLINE int32_t fkmi_compare_exchange32(FKMI_GLOBAL int32_t *p, int32_t expected, int32_t v)
{
	return atomic_cmpxchg(p, expected, v);
}
FKMI_INLINE void fkmi_or32(FKMI_GLOBAL int32_t *p, int32_t v)
{
	atomic_or(p, v);
}
FKMI_INLINE void fkmi_min32(FKMI_GLOBAL int32_t *p, int32_t v)
{
	atomic_min(p, v);
}
FKMI_INLINE void fkmi_max32(FKMI_GLOBAL int32_t *p, int32_t v)
{
	atomic_max(p, v);
}
FKMI_INLINE void fkmi_add64(FKMI_GLOBAL int64_t *p, int64_t v)
{
	atom_add(p, v);
}
#if defined(cl_khr_int64_extended_atomics)
FKMI_INLINE void fkmi_min64(FKMI_GLOBAL int64_t *p, int64_t v)
{
	atom_min(p, v);
}
FKMI_INLINE void fkmi_max64(FKMI_GLOBAL int64_t *p, int64_t v)
{
	atom_max(p, v);
}
#else
FKMI_INLINE void fkmi_min64(FKMI_GLOBAL int64_t *p, int64_t v)
{
	int64_t seen = atom_add(p, 0L);
	while (v < seen) {
		int64_t found = atom_cmpxchg(p, seen, v);
		if (found == seen)
			break;
		seen = found;
	}
}
FKMI_INLINE void fkmi_max64(FKMI_GLOBAL int64_t *p, int64_t v)
{
	int64_t seen = atom_add(p, 0L);
	while (v > seen) {
		int64_t found = atom_cmpxchg(p, seen, v);
		if (found == seen)
			break;
		seen = found;
	}
}
#endif
/* Lowers an index, of which -1 is none yet. */
FKMI_INLINE void fkmi_lower_index(FKMI_GLOBAL int64_t *p, int64_t v)
{
	int64_t seen = atom_add(p, 0L);
	while ((uint64_t)v < (uint64_t)seen) {
		int64_t found = atom_cmpxchg(p, seen, v);
		if (found == seen)
			break;
		seen = found;
	}
}

FKMI_INLINE int64_t fkmi_double_bits(double v)
{
	return as_long(v);
}
FKMI_INLINE double fkmi_bits_double(int64_t bits)
{
	return as_double(bits);
}
FKMI_INLINE int32_t fkmi_float_bits(float v)
{
	return as_int(v);
}
FKMI_INLINE float fkmi_bits_float(uint32_t bits)
{
	return as_float(bits);
}
FKMI_INLINE float fkmi_half_to_float(uint16_t bits)
{
	return vload_half(0, (const half *)&bits);
}

/* A multiply-add of the filter, which may round twice: the compiler does what is faster, here and nowhere else. */
FKMI_INLINE float fkmi_multiply_add(float a, float b, float c)
{
#pragma OPENCL FP_CONTRACT ON
	return a * b + c;
}
#define FKMI_MULTIPLY_ADD(a, b, c) fkmi_multiply_add(a, b, c)
#define FKMI_MIN(a, b) fmin(a, b)
#define FKMI_MAX(a, b) fmax(a, b)
#define FKMI_SQRTF(a) sqrt(a)

#else /* CUDA, HIP */

#define FKMI_GLOBAL
#define FKMI_LOCAL
#define FKMI_ARG(type, name) type *name##_base
#define FKMI_USE(type, name) type *name = name##_base
#define FKMI_BARRIER_ALL() FKMI_BARRIER()

#if defined(__HIP__)
#include "dialect_hip.h"
#else

#include <stdint.h>

#define FKMI_INLINE static __device__ __forceinline__
/* A kernel of `items` items in a group. */
#define FKMI_KERNEL_OF(items) extern "C" __global__ void __launch_bounds__(items)
#define FKMI_KERNEL FKMI_KERNEL_OF(FKMI_GROUP)
#define FKMI_KERNEL_ABREAST(groups) extern "C" __global__ void __launch_bounds__(FKMI_GROUP, groups)
#define FKMI_UNROLL _Pragma("unroll")
#define FKMI_LOCKSTEP 32
#define FKMI_LOCAL_ARRAY(type, name, count) __shared__ type name[count]
/* CUDA and HIP only: a function of a lane that is a member, and the local memory that a launch asks for. */
#define FKMI_LANE __device__ __forceinline__
#define FKMI_DYNAMIC_LOCAL(name)                                                                                       \
	extern __shared__ uint4 fkmi_dynamic_local[];                                                                      \
	char *name = (char *)fkmi_dynamic_local
#define FKMI_BARRIER() __syncthreads()

FKMI_INLINE int fkmi_item(void)
{
	return (int)threadIdx.x;
}
FKMI_INLINE int64_t fkmi_group(void)
{
	return (int64_t)blockIdx.x;
}
FKMI_INLINE int64_t fkmi_groups(void)
{
	return (int64_t)gridDim.x;
}

FKMI_INLINE void fkmi_meet(int first, int count)
{
	__syncwarp(0xffffffffu >> (32 - count) << first % 32);
}

FKMI_INLINE int32_t fkmi_local_add32(int32_t *p, int32_t v)
{
	return atomicAdd(p, v);
}
FKMI_INLINE void fkmi_local_max32(int32_t *p, int32_t v)
{
	atomicMax(p, v);
}
FKMI_INLINE int32_t fkmi_add32(int32_t *p, int32_t v)
{
	return atomicAdd(p, v);
}
FKMI_INLINE int32_t fkmi_exchange32(int32_t *p, int32_t v)
{
	return atomicExch(p, v);
}
FKMI_INLINE int32_t fkmi_compare_exchange32(int32_t *p, int32_t expected, int32_t v)
{
	return atomicCAS(p, expected, v);
}
FKMI_INLINE void fkmi_or32(int32_t *p, int32_t v)
{
	atomicOr(p, v);
}
FKMI_INLINE void fkmi_min32(int32_t *p, int32_t v)
{
	atomicMin(p, v);
}
FKMI_INLINE void fkmi_max32(int32_t *p, int32_t v)
{
	atomicMax(p, v);
}
FKMI_INLINE void fkmi_add64(int64_t *p, int64_t v)
{
	atomicAdd((unsigned long long *)p, (unsigned long long)v);
}
FKMI_INLINE void fkmi_min64(int64_t *p, int64_t v)
{
	atomicMin((long long *)p, (long long)v);
}
FKMI_INLINE void fkmi_max64(int64_t *p, int64_t v)
{
	atomicMax((long long *)p, (long long)v);
}
/* Lowers an index, of which -1 is none yet. */
FKMI_INLINE void fkmi_lower_index(int64_t *p, int64_t v)
{
	atomicMin((unsigned long long *)p, (unsigned long long)v);
}

FKMI_INLINE int64_t fkmi_double_bits(double v)
{
	return (int64_t)__double_as_longlong(v);
}
FKMI_INLINE double fkmi_bits_double(int64_t bits)
{
	return __longlong_as_double((long long)bits);
}
FKMI_INLINE int32_t fkmi_float_bits(float v)
{
	return __float_as_int(v);
}
FKMI_INLINE float fkmi_bits_float(uint32_t bits)
{
	return __uint_as_float(bits);
}
FKMI_INLINE float fkmi_half_to_float(uint16_t bits)
{
	float v;
	asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(bits));
	return v;
}
FKMI_INLINE uint16_t fkmi_float_to_half(float v)
{
	uint16_t bits;
	asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
	return bits;
}
/* Pairs of f16, the first in the low bits: rounded, and multiplied. */
FKMI_INLINE uint32_t fkmi_floats_to_halves(float low, float high)
{
	uint32_t pair;
	asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
	return pair;
}
FKMI_INLINE uint32_t fkmi_multiply_halves(uint32_t a, uint32_t b)
{
	uint32_t product;
	asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
	return product;
}

/* The value of the item whose number differs in the bits of mask, a constant below 32; all items of a group take part.
 */
#define FKMI_SWAP_DOUBLE(value, mask) __shfl_xor_sync(0xffffffffu, value, mask)

#define FKMI_MULTIPLY_ADD(a, b, c) fmaf(a, b, c)
#define FKMI_MIN(a, b) fminf(a, b)
#define FKMI_MAX(a, b) fmaxf(a, b)
#define FKMI_SQRTF(a) sqrtf(a)

#endif /* __HIP__ */

#endif

#endif
