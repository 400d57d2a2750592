/* SPDX-License-Identifier: Apache-2.0 */
/* What host and device say of the matrix-core tiles: shapes, and the local memory that they take. C11, CUDA and HIP. */
#ifndef FKMI_MATRIX_SHAPE_H
#define FKMI_MATRIX_SHAPE_H

#include "kernels/common/state.h"

enum {
	FKMI_MATRIX_STEP = 16,           /* dimensions of a fragment */
	FKMI_MATRIX_SLAB = 32,           /* dimensions of points that go through local memory at a time */
	FKMI_MATRIX_PAD = 8,             /* elements behind each row there, so that rows start in different banks */
	FKMI_MATRIX_MOST_CENTROIDS = 128 /* of any stage: what K is padded to */
};

/* Members of what prepare measures of a problem: bits of floats that are not negative, whose order is that of integers.
 */
enum {
	FKMI_MEASURE_LARGEST,  /* |C_kj| at most */
	FKMI_MEASURE_NORM,     /* |c~_k| at most */
	FKMI_MEASURE_RESIDUAL, /* |c~_k - C_k| at most */
	FKMI_MEASURE_SHIFT,    /* |m| at most */
	FKMI_MEASURES
};

/*
 * The shapes, X(name, least d, most d, groups of 16 dimensions in registers): with `any`, points do not stay in
 * registers but come again, slab by slab, with every tile of centroids.
 */
#define FKMI_MATRIX_SHAPES(X)                                                                                          \
	X(d32, 1, 32, 2)                                                                                                   \
	X(d64, 33, 64, 4)                                                                                                  \
	X(d128, 65, 128, 8)                                                                                                \
	X(any, 129, 65536, 0)

/* Of an architecture: points of a tile; elements of a stage of centroids (points in registers); its centroids (any). */
#define FKMI_MATRIX_MMA_POINTS 256
#define FKMI_MATRIX_MMA_RESIDENT (64 * 128)
#define FKMI_MATRIX_MMA_STREAMED 128
#define FKMI_MATRIX_MFMA_POINTS 256 /* two groups on a compute unit and its 64 KB, but for `any` */
#define FKMI_MATRIX_MFMA_RESIDENT (32 * 128)
#define FKMI_MATRIX_MFMA_STREAMED 64
#define FKMI_MATRIX_WMMA_POINTS 128 /* both halves of a wave have a copy of its operands: registers are few */
#define FKMI_MATRIX_WMMA_RESIDENT (32 * 128)
#define FKMI_MATRIX_WMMA_STREAMED 64

/* Centroids of a stage. Nothing is divided by 0 even where the quotient is not asked for: compilers object. */
#define FKMI_MATRIX_WIDTH(steps) (16 * ((steps) == 0 ? 1 : (steps)))
#define FKMI_MATRIX_CENTROIDS(steps, resident, streamed)                                                               \
	((steps) == 0                                                         ? (streamed)                                 \
	 : (resident) / FKMI_MATRIX_WIDTH(steps) > FKMI_MATRIX_MOST_CENTROIDS ? FKMI_MATRIX_MOST_CENTROIDS                 \
																		  : (resident) / FKMI_MATRIX_WIDTH(steps))

/* Bytes of a slab of points, and of centroids with their norms in one of two stages. */
#define FKMI_MATRIX_POINT_BYTES(points) ((points) * (FKMI_MATRIX_SLAB + FKMI_MATRIX_PAD) * 2)
#define FKMI_MATRIX_CENTROID_BYTES(steps, centroids)                                                                   \
	((centroids) * (((steps) == 0 ? FKMI_MATRIX_SLAB : 16 * (steps)) + FKMI_MATRIX_PAD) * 2 + (centroids) * 4)
#define FKMI_MATRIX_STAGE_BYTES(steps, points, centroids)                                                              \
	(((steps) == 0 ? FKMI_MATRIX_POINT_BYTES(points) : 0) + FKMI_MATRIX_CENTROID_BYTES(steps, centroids))

/* All stages; points that stay in registers, and a tile's results, go through the same memory. */
#define FKMI_MATRIX_SWEEP_BYTES(steps, points, centroids)                                                              \
	(2 * FKMI_MATRIX_STAGE_BYTES(steps, points, centroids) > FKMI_MATRIX_POINT_BYTES(points)                           \
		 ? 2 * FKMI_MATRIX_STAGE_BYTES(steps, points, centroids)                                                       \
		 : FKMI_MATRIX_POINT_BYTES(points))
/* Behind that, of a recheck: thresholds, counts and candidates of the rows. */
#define FKMI_MATRIX_LOCAL_BYTES(steps, points, centroids)                                                              \
	(FKMI_MATRIX_SWEEP_BYTES(steps, points, centroids) + (points) * (8 + 4 * FKMI_CANDIDATES))

#endif
