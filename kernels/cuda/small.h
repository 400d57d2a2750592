/* SPDX-License-Identifier: Apache-2.0 */
/* What host and device say of the kernel that runs whole iterations of small problems. C11 and CUDA. */
#ifndef FKMI_CUDA_SMALL_H
#define FKMI_CUDA_SMALL_H

#include <stdint.h>

enum {
	FKMI_SMALL_GROUP = 256,      /* threads, FKMI_GROUP of the common kernels */
	FKMI_SMALL_ROWS = 64,        /* that a group multiplies at a time */
	FKMI_SMALL_COLUMNS = 256,    /* centroids that it multiplies them with */
	FKMI_SMALL_SHARES = 4,       /* of a row's columns, each of another warp */
	FKMI_SMALL_LISTED = 16,      /* undecided rows that it takes at a time */
	FKMI_SMALL_STEP = 16,        /* dimensions of one multiplication */
	FKMI_SMALL_DIMS = 256,       /* at most */
	FKMI_SMALL_CENTROIDS = 4096, /* at most */
};

/* Places in dynamic shared memory, in bytes. Rows of points and of centroids are `pitch` apart, an odd number of 16
 * bytes, so that eight rows lie in different banks. */
struct fkmi_small_layout {
	int32_t pitch;
	int32_t points, centroids;    /* f16, rows x pitch, columns x pitch */
	int32_t mean, scale;          /* f64 [d] */
	int32_t shift;                /* f32 [d] */
	int32_t norms;                /* [columns] */
	int32_t squares, residuals;   /* f32 [rows] */
	int32_t labels, fresh;        /* int32 [rows]: before and after the assignment */
	int32_t best, second, column; /* [shares, rows] */
	int32_t listed;               /* uint16 [rows] */
	int32_t limits;               /* f32 [rows] */
	int32_t masks;                /* uint32 [FKMI_SMALL_LISTED, words]: a bit for each centroid */
	int32_t bytes;
};

/* One centroid as the filter knows it. */
struct fkmi_small_centroid {
	float half_norm; /* hn of small_certificate.cuh; not a number: beyond f16 */
	float norm;      /* |c~| at most */
	float residual;  /* |c~ - C| at most */
	float unused;
};

struct fkmi_small {
	const void *points, *weights;
	const double *row_scale;
	int64_t row_stride, batch_stride, weights_stride; /* elements */
	const int32_t *active;
	int64_t *state;
	const double *column_min, *column_max, *column_scale;
	double *centroids;
	int64_t *sums, *weight_sums;
	int32_t *labels, *previous;
	double *distances;
	/* relocation, as of kernels/common/relocate.h */
	int64_t *move_count, *move_rows, *sort_keys, *sort_rows;
	int32_t *move_targets, *move_heads, *move_next;
	int64_t sort_size;
	double *shifts;                        /* [b, k] */
	uint16_t *operands;                    /* -c^, f16 [b, k, d_padded] */
	struct fkmi_small_centroid *described; /* [b, k] */
	int64_t n;
	int32_t b, k, d, d_padded, dtype, weights_dtype;
	int32_t cosine, exact, relocates;
	int32_t wide;       /* eight elements of the points can be read at once */
	int32_t iterations; /* 0: labels alone */
	int32_t anew;       /* the first starts from no labels and no sums */
	int32_t row, rows;  /* the span; all rows where there are iterations */
	int32_t groups;     /* that share a problem: a set */
	int32_t sets;
	int32_t group_rows;                       /* rows of a group, a multiple of FKMI_SMALL_ROWS */
	float gamma, norm_factor, distance_error; /* small_certificate.cuh */
	struct fkmi_small_layout at;
};

#endif
