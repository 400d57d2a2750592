/* SPDX-License-Identifier: Apache-2.0 */
/* What host and device say of assignment for few dimensions. C11 and CUDA. assign_split.cuh explains it. */
#ifndef FKMI_CUDA_SPLIT_H
#define FKMI_CUDA_SPLIT_H

#include <stdint.h>

enum {
	FKMI_SPLIT_THREADS = 256,          /* of a block that assigns */
	FKMI_SPLIT_BLOCKS = 2,             /* that a multiprocessor holds: more leave too few registers */
	FKMI_SPLIT_PREPARE_THREADS = 1024, /* of the block that prepares a problem */
	FKMI_SPLIT_ROWS = 32,              /* of a warp's tile */
	FKMI_SPLIT_BLOCK = 64,             /* centroids that a warp takes at a time */
	FKMI_SPLIT_SET = 16,               /* of them that a lane sees */
	FKMI_SPLIT_MOST_DIMS = 8,
	FKMI_SPLIT_CHUNK_BYTES = 24 << 10, /* of fragments in shared memory */
	FKMI_SPLIT_SETS_BYTES = 20 << 10,  /* of sets in shared memory */
};

#define FKMI_SPLIT_NORM 128.0f           /* the largest norm of a centroid lies between it and twice that */
#define FKMI_SPLIT_NORM_LIMIT 320.0f     /* half its square is an f16 number */
#define FKMI_SPLIT_SQUARES_LIMIT 0x1p30f /* of a row whose coordinates surely are f16 numbers */
#define FKMI_SPLIT_LOW 0x1p-20f

/* The kernels fkmi_split_d<most dims>: X(most dims). */
#define FKMI_SPLIT_SHAPES(X) X(4) X(8)

/* Instructions of 16 products that a score of d dimensions takes. */
#define FKMI_SPLIT_CHUNKS(d) (((d) + 3) / 4)

/* A block of 64 centroids as operands of multiplications, in pieces of 8 bytes: [8 chunks / 2][32 lanes][2]. */
#define FKMI_SPLIT_FRAGMENTS(chunks) (8 * (chunks) * 32)
#define FKMI_SPLIT_FRAGMENT_BYTES(chunks) (8 * FKMI_SPLIT_FRAGMENTS(chunks))

/* A set of 16 centroids: [dims][16] coordinates, then -|z|^2 / 2 of each (minus infinity for what only pads and for a
 * centroid that equals one before it), then what spreads sets over the banks of shared memory. */
#define FKMI_SPLIT_SET_FLOATS(dims) (FKMI_SPLIT_SET * ((dims) + 1) + 4)

/* Rows in shared memory, with a number beside each. */
#define FKMI_SPLIT_ROW_FLOATS(dims) ((dims) % 8 == 0 ? (dims) + 4 : (dims))
#define FKMI_SPLIT_ROWS_BYTES(dims) (FKMI_SPLIT_THREADS / 32 * FKMI_SPLIT_ROWS * 4 * (FKMI_SPLIT_ROW_FLOATS(dims) + 1))

/* Rows that a warp lists before it changes the sums: three numbers each. */
#define FKMI_SPLIT_MOVES_BYTES (FKMI_SPLIT_THREADS / 32 * (8 + FKMI_SPLIT_ROWS) * 12)

/* Of one problem, made by prepare. */
struct fkmi_split_problem {
	float mu[FKMI_SPLIT_MOST_DIMS];
	float scale;
	float norm_max;
	float slope, intercept; /* the margin of split_certificate.cuh */
	int32_t usable;         /* 0: out of the filter's range */
};

struct fkmi_split_prepare {
	const int32_t *active;   /* [b] */
	const double *centroids; /* [b, k, d] */
	const int64_t *state;    /* [b, FKMI_STATE_MEMBERS] */
	struct fkmi_split_problem *problems;
	void *fragments;  /* [b, blocks, FKMI_SPLIT_FRAGMENTS] */
	float *sets;      /* [b, 4 blocks, FKMI_SPLIT_SET_FLOATS] */
	float *norms;     /* [b, k]; -1: a centroid that equals one before it */
	int32_t *table;   /* [b, slots] */
	int32_t *slot_of; /* [b, k] */
	int64_t slots;    /* a power of two, at least 2 k */
	int32_t b, k, d, blocks;
};

struct fkmi_split_assign {
	const int32_t *active;
	const void *points; /* the caller's */
	const double *row_scale;
	int64_t row_stride, batch_stride; /* elements */
	const void *weights;              /* null or the caller's */
	int64_t weights_stride;
	const double *column_scale; /* f64 [b, d] */
	const double *centroids;
	const struct fkmi_split_problem *problems;
	const void *fragments;
	const float *sets, *norms;
	int64_t *state;
	int32_t *labels, *previous; /* [b, n]; previous may be null */
	int64_t *sums, *weight_sums;
	int64_t n;
	int32_t b, k, d, blocks;
	int32_t chunk_blocks; /* whose fragments shared memory holds at a time */
	int32_t local_sets;   /* whether it holds all sets */
	int32_t dtype, weights_dtype;
	int32_t exact;              /* 0: the filter's label is taken */
	int32_t accumulates, delta; /* whether sums are made, and only of rows whose label changed */
	int32_t span_row, span_rows;
	int32_t tiles; /* of a problem's span, each of FKMI_SPLIT_ROWS */
	float one;     /* 1, which the compiler must not know */
};

#endif
