/* SPDX-License-Identifier: Apache-2.0 */
/* Assignment for sm_90a: the kernels, by name. The host side is backends/cuda/assign_sm90.c. */
#include "kernels/cuda/flash_assign.cuh"
#include "kernels/cuda/kept_assign.cuh"
#include "kernels/cuda/operands.cuh"
#include "kernels/cuda/recheck.cuh"

#define ASSIGN_KERNEL(name, threads, ...)                                                                              \
	extern "C" __global__ void __launch_bounds__(threads, 1)                                                           \
		name(const __grid_constant__ struct tensor_map points, const __grid_constant__ struct tensor_map centroids,    \
			 const __grid_constant__ struct fkmi_sm90_assign a)                                                        \
	{                                                                                                                  \
		__VA_ARGS__(&points, &centroids, a);                                                                           \
	}
#define FLASH_KERNEL(name, shape, rechecks, fetches)                                                                   \
	ASSIGN_KERNEL(name, FKMI_SM90_THREADS, flash_assign<shape, rechecks, fetches>)

#define WITHOUT_PARENTHESES(...) __VA_ARGS__
#define FLASH_KERNELS(name, d_least, d_most, k_least, points, centroids, stages, stage_bytes, shape)                   \
	typedef WITHOUT_PARENTHESES shape name##_shape;                                                                    \
	static_assert(name##_shape::POINTS == points && name##_shape::COLUMNS == centroids, "sm90.h: " #name);             \
	static_assert(shared_layout<name##_shape, false>::BYTES <=                                                         \
						  FKMI_SM90_SHARED_BYTES(points, centroids, stages, stage_bytes) &&                            \
					  shared_layout<name##_shape, true>::BYTES <=                                                      \
						  FKMI_SM90_SHARED_BYTES(points, centroids, stages, stage_bytes),                              \
				  "sm90.h: " #name);                                                                                   \
	FLASH_KERNEL(fkmi_sm90_##name, name##_shape, false, false)                                                         \
	FLASH_KERNEL(fkmi_sm90_##name##_recheck, name##_shape, true, true)
FKMI_SM90_SHAPES(FLASH_KERNELS)
FLASH_KERNEL(fkmi_sm90_any_fetch, any_shape, false, true)

#define KEPT_KERNEL(name, recheck, d_least, d_most, k_most, columns, slices, buffers, shape)                           \
	typedef WITHOUT_PARENTHESES shape name##_shape;                                                                    \
	static_assert(kept_layout<name##_shape>::CENTROIDS == FKMI_SM90_KEPT_BYTES(slices, buffers, 0) &&                  \
					  name##_shape::SLICES == slices && name##_shape::COLUMNS == columns,                              \
				  "sm90.h: " #name);                                                                                   \
	ASSIGN_KERNEL(fkmi_sm90_##name, FKMI_SM90_KEPT_THREADS, kept_assign<name##_shape>)
FKMI_SM90_KEPT_SHAPES(KEPT_KERNEL)

#define SMALL_KERNEL(name, threads, blocks, type, function)                                                            \
	extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ struct type a)          \
	{                                                                                                                  \
		function(a);                                                                                                   \
	}

SMALL_KERNEL(fkmi_sm90_center, FKMI_SM90_CENTER_GROUP, 1, fkmi_sm90_prepare, center)
SMALL_KERNEL(fkmi_sm90_measure, FKMI_SM90_GROUP, 1, fkmi_sm90_prepare, measure_centroids)
SMALL_KERNEL(fkmi_sm90_convert, FKMI_SM90_GROUP, 1, fkmi_sm90_prepare, convert_centroids)
SMALL_KERNEL(fkmi_sm90_center_points, FKMI_SM90_CENTER_GROUP, 1, fkmi_sm90_copy, center_points)
SMALL_KERNEL(fkmi_sm90_copy_points, FKMI_SM90_GROUP, 1, fkmi_sm90_copy, copy_points)
SMALL_KERNEL(fkmi_sm90_decide, FKMI_SM90_GROUP, 3, fkmi_sm90_recheck, decide)
SMALL_KERNEL(fkmi_sm90_scan, FKMI_SM90_GROUP, 2, fkmi_sm90_recheck, scan)
