/* SPDX-License-Identifier: Apache-2.0 */
/* The tiles of kernels/matrix/, for the tile table of each backend that has kernels of them. */
#ifndef FKMI_GPU_ASSIGN_MATRIX_H
#define FKMI_GPU_ASSIGN_MATRIX_H

#include "gpu.h"
#include "kernels/matrix/shape.h"

struct fkmi_gpu_matrix_shape {
	const char *name; /* of a tile, behind the prefix that names the instruction */
	const char *filter, *recheck;
	int32_t padded_d; /* of operands, for d within the shape; 0: d rounded up to FKMI_MATRIX_SLAB */
};

/* The shape of a tile; NULL: it is none of these. */
const struct fkmi_gpu_matrix_shape *fkmi_gpu_matrix_shape(const struct fkmi_tile *tile);

/* An entry, for FKMI_MATRIX_SHAPES. family: MMA, MFMA or WMMA, as in kernels/matrix/shape.h; rate: multiply-adds per
 * second of a multiprocessor or compute unit at d = 128. */
#define FKMI_GPU_MATRIX_TILE(prefix, id, d_least, d_most, steps, family, bits, rate)                                   \
	{.name = prefix #id,                                                                                               \
	 .kernel = "fkmi_k_matrix_filter_" #id,                                                                            \
	 .needs = (bits),                                                                                                  \
	 .dtypes = 1u << FKM_F16 | 1u << FKM_BF16 | 1u << FKM_F32,                                                         \
	 .d_min = (d_least),                                                                                               \
	 .d_max = (d_most),                                                                                                \
	 .k_max = INT32_MAX - FKMI_MATRIX_MOST_CENTROIDS,                                                                  \
	 .points = FKMI_MATRIX_##family##_POINTS,                                                                          \
	 .centroids = FKMI_GPU_MATRIX_CENTROIDS(steps, family),                                                            \
	 .dims = FKMI_MATRIX_STEP * (steps),                                                                               \
	 .local_bytes =                                                                                                    \
		 FKMI_MATRIX_LOCAL_BYTES(steps, FKMI_MATRIX_##family##_POINTS, FKMI_GPU_MATRIX_CENTROIDS(steps, family)),      \
	 .multiply_adds_per_second = (rate) * ((steps) == 0 ? 0.7 : (steps) / 8.0),                                        \
	 .seconds_per_tile = 1.5e-5,                                                                                       \
	 .seconds_per_chunk = FKMI_GPU_SECONDS_PER_CHUNK},
#define FKMI_GPU_MATRIX_CENTROIDS(steps, family)                                                                       \
	FKMI_MATRIX_CENTROIDS(steps, FKMI_MATRIX_##family##_RESIDENT, FKMI_MATRIX_##family##_STREAMED)

#endif
