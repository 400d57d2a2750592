/* SPDX-License-Identifier: Apache-2.0 */
/* What host and device say of assignment for few dimensions. C11 and CUDA. assign_simt.cuh explains it. */
#ifndef FKMI_CUDA_SIMT_H
#define FKMI_CUDA_SIMT_H

#include <stdint.h>

enum {
	FKMI_SIMT_THREADS = 256,          /* of a block that assigns */
	FKMI_SIMT_BLOCKS = 2,             /* that a multiprocessor holds at a time */
	FKMI_SIMT_PREPARE_THREADS = 1024, /* of the block that prepares a problem */
	FKMI_SIMT_CENTROIDS = 8,          /* in a group */
	FKMI_SIMT_MOST_DIMS = 16,
	FKMI_SIMT_CHUNK_FLOATS = 12288, /* of operands in shared memory */
};

/* The kernels fkmi_simt_d<dims>: X(dims, least d, rows of a thread). Coordinates past d count as zeros. */
#define FKMI_SIMT_SHAPES(X)                                                                                            \
	X(1, 1, 8)                                                                                                         \
	X(2, 2, 8)                                                                                                         \
	X(3, 3, 8)                                                                                                         \
	X(4, 4, 8)                                                                                                         \
	X(6, 5, 6)                                                                                                         \
	X(8, 7, 6)                                                                                                         \
	X(12, 9, 4)                                                                                                        \
	X(16, 13, 4)

/* A group of centroids: [dims][FKMI_SIMT_CENTROIDS] coordinates, then -|z|^2 / 2 of each (minus infinity for what only
 * pads and for a centroid that equals one before it), then what spreads groups over the banks of shared memory. */
#define FKMI_SIMT_GROUP_FLOATS(dims) (FKMI_SIMT_CENTROIDS * ((dims) + 1) + 4)

/* Of one problem, made by prepare. */
struct fkmi_simt_problem {
	float mu[FKMI_SIMT_MOST_DIMS];
	float scale;
	float norm_max;
	float slope, intercept; /* the margin of assign_simt.cuh */
	int32_t usable;         /* 0: out of the filter's range */
};

struct fkmi_simt_prepare {
	const int32_t *active;   /* [b] */
	const double *centroids; /* [b, k, d] */
	const int64_t *state;    /* [b, FKMI_STATE_MEMBERS] */
	struct fkmi_simt_problem *problems;
	float *operands;  /* [b, groups, FKMI_SIMT_GROUP_FLOATS(dims)] */
	float *norms;     /* [b, k] */
	int32_t *table;   /* [b, slots] */
	int32_t *slot_of; /* [b, k] */
	int64_t slots;    /* a power of two, at least 2 k */
	int32_t b, k, d, dims, groups;
};

struct fkmi_simt_assign {
	const int32_t *active;
	const void *points; /* the caller's */
	const double *row_scale;
	int64_t row_stride, batch_stride; /* elements */
	const void *weights;              /* as row_scale, null or the caller's */
	int64_t weights_stride;
	const double *column_scale; /* f64 [b, d] */
	const double *centroids;
	const struct fkmi_simt_problem *problems;
	const float *operands, *norms;
	int64_t *state;
	int32_t *labels, *previous; /* [b, n]; previous may be null */
	int64_t *sums, *weight_sums;
	int64_t n;
	int32_t b, k, d, groups;
	int32_t chunk_groups; /* that shared memory holds at a time */
	int32_t dtype, weights_dtype;
	int32_t wide;               /* rows may be read four elements at a time */
	int32_t exact;              /* 0: the filter's label is taken */
	int32_t accumulates, delta; /* whether sums are made, and only of rows whose label changed */
	int32_t span_row, span_rows;
	int32_t tiles; /* of a problem's span, each of 32 times the rows of a thread */
};

#endif
