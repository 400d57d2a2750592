/* SPDX-License-Identifier: Apache-2.0 */
/* What host and device say of the kernels for sm_90a. C11 and CUDA. certificate.cuh explains the numbers. */
#ifndef FKMI_CUDA_SM90_H
#define FKMI_CUDA_SM90_H

#include <stdint.h>

enum {
	FKMI_SM90_THREADS = 384,         /* of an assignment kernel: a warpgroup that moves data, two that multiply */
	FKMI_SM90_LANE_CANDIDATES = 8,   /* of a row that one lane lists before it gives the row up */
	FKMI_SM90_SMALL_INDEX = 1 << 16, /* centroids in one share of a recheck: candidates are 16-bit there */
	FKMI_SM90_MOST_CENTROIDS = 256,  /* of any tile */
	FKMI_SM90_SCAN_ROWS = 32768,     /* at most, listed for the scan of all centroids; the others are scanned at once */
	FKMI_SM90_SCAN_SHARES = 32,      /* at most, of one row's centroids */
	FKMI_SM90_GROUP = 256,           /* threads of the other kernels */
	FKMI_SM90_CENTER_GROUP = 1024,   /* threads of those that sum columns */
	FKMI_SM90_COPY_ROWS = 64,        /* of a group that copies points */
	FKMI_SM90_COUNTED_ROWS = 4096,   /* a tile of so many rows is measured for the next certificate */
	FKMI_SM90_LENGTH_ROWS = 64,      /* rows with one bound of their lengths */
	FKMI_SM90_FINISH_BYTES = 48 + 24 * 160, /* of shared memory, for a warp that makes labels */
	FKMI_SM90_NO_CANDIDATE = -1,            /* ends a list of candidates */
	FKMI_SM90_SCAN_ALL = -2,                /* in place of a list: it did not fit */
};

/*
 * The shapes of the assignment kernels: X(name,
 *     least dimensions, most dimensions, least centroids,
 *     points of a tile, centroids of a tile, stages, bytes of a stage,
 *     the template of flash_assign.cuh).
 * Kernels are fkmi_sm90_<name> and fkmi_sm90_<name>_recheck. The last, any, comes also as fkmi_sm90_any_fetch, for points of
 * whatever d that the copy engine does not take.
 */
#define FKMI_SM90_SHAPES(X)                                                                                            \
	X(d16, 1, 16, 1, 256, 128, 8, 16384, (resident_shape<1, 1, 2, 8, 2>))                                              \
	X(d32, 17, 32, 1, 256, 128, 8, 16384, (resident_shape<2, 1, 2, 8, 2>))                                             \
	X(d64, 33, 64, 1, 256, 128, 8, 16384, (resident_shape<4, 1, 2, 8, 2>))                                             \
	X(d128, 65, 128, 1, 256, 128, 6, 32768, (resident_shape<8, 1, 2, 6, 0>))                                           \
	X(d128_many, 65, 128, 12288, 256, 128, 6, 32768, (resident_shape<8, 1, 2, 6, 0, true>))                            \
	X(d256, 129, 256, 1, 128, 128, 6, 32768, (resident_shape<8, 2, 1, 6, 1>))                                          \
	X(d384, 257, 384, 1, 128, 128, 6, 32768, (resident_shape<8, 3, 1, 6, 1>))                                          \
	X(d512, 385, 512, 1, 128, 128, 6, 32768, (resident_shape<8, 4, 1, 6, 1>))                                          \
	X(any, 513, 131072, 1, 128, 256, 4, 49152, (streamed_shape<4>))

/* Their shared memory: the ring, its norms, a row's candidates from four lanes (or its results), barriers, what warps that
 * make labels need. */
#define FKMI_SM90_SHARED_BYTES(points, centroids, stages, stage_bytes)                                                 \
	((stages) * ((stage_bytes) + 4 * (centroids)) + 8 * FKMI_SM90_LANE_CANDIDATES * (points) + 16 * (stages) + 48 +    \
	 2 * FKMI_SM90_FINISH_BYTES)

/*
 * The shapes for few centroids, all of which stay in shared memory: X(name,
 *     the shape above whose recheck it has,
 *     least dimensions, most dimensions, most centroids,
 *     centroids of a tile, slices of 64 dimensions, tiles of points that may lie ready for each warpgroup,
 *     the template of kept_assign.cuh).
 */
#define FKMI_SM90_KEPT_SHAPES(X)                                                                                       \
	X(d16_few, d16, 1, 16, 1024, 128, 1, 2, (kept_shape<1, 2, 128>))                                                   \
	X(d32_few, d32, 17, 32, 1024, 128, 1, 2, (kept_shape<2, 2, 128>))                                                  \
	X(d64_few, d64, 33, 64, 1024, 128, 1, 2, (kept_shape<4, 2, 128>))                                                  \
	X(d128_few, d128, 65, 128, 384, 128, 2, 2, (kept_shape<8, 2, 128>))                                                \
	X(d128_fewer, d128, 65, 128, 336, 112, 2, 2, (kept_shape<8, 2, 112>))

enum {
	FKMI_SM90_KEPT_GROUPS = 3, /* warpgroups that multiply, and finishing warps */
	FKMI_SM90_KEPT_THREADS = 128 * (FKMI_SM90_KEPT_GROUPS + 1),
	FKMI_SM90_KEPT_POINTS = 64,     /* of a tile */
	FKMI_SM90_KEPT_RESULTS = 6,     /* tiles of a warpgroup whose labels may be still to make: those come in bursts */
	FKMI_SM90_KEPT_BARRIERS = 13312 /* bytes, with what finishing warps need and what aligns the centroids */
};

/* Their shared memory: the points' buffers of so many slices, results, barriers, centroids, norms. */
#define FKMI_SM90_KEPT_BYTES(slices, buffers, centroids)                                                               \
	(FKMI_SM90_KEPT_GROUPS * FKMI_SM90_KEPT_POINTS * ((buffers) * (slices) * 128 + FKMI_SM90_KEPT_RESULTS * 16) +      \
	 FKMI_SM90_KEPT_BARRIERS + (centroids) * ((slices) * 128 + 4))

/* What is known of rows that are already assigned. */
struct fkmi_sm90_usual {
	float length, distance, residual; /* P0, R0, eta0: what F_k of certificate.cuh is made for; 0: unknown */
	int32_t fresh; /* 1: every row was measured in the last assignment, about the m that stood then */
	int64_t rows;  /* assigned since prepare: a pass may be broken off, and then says nothing */
};

/* Of one problem, made by prepare. Lengths are in the points' scale: 2^a times the caller's. */
struct fkmi_sm90_problem {
	/* zero before prepare; bits of floats that are not negative, whose order is that of integers */
	int32_t largest;      /* |C_kj| at most */
	int32_t norm_max;     /* |c~_k| at most */
	int32_t residual_max; /* |c~_k - C_k| at most */
	int32_t off;          /* 1: out of the filter's range */
	float point_scale;    /* 2^a where the kernel itself converts points (bf16), else 1 */
	float centroid_scale; /* 2^t */
	float shift_norm;     /* |m| at most */
	float point_residual; /* |x^ - 2^a (x - nu)| at most, but for what the rows' own residuals say */
	float moved;          /* |m - m0| at most, m0 that of the rows' lengths; infinity: each row is measured */
	struct fkmi_sm90_usual usual;
	/* Sums of the logarithms of some rows' P, R, eta, and how many rows: they give the next prepare's usual ones. */
	int32_t measured;
	int64_t lengths, distances, residuals;
};

/* Of a centroid, as in certificate.cuh. */
struct fkmi_sm90_length {
	float length, residual; /* Z_k and delta_k at most */
	float allowance;        /* F_k at most */
};

/* A row that the filter could not decide: its place in the problem, and the score up to which centroids are candidates.
 */
struct fkmi_sm90_row {
	int32_t row;
	float threshold;
};

struct fkmi_sm90_candidate {
	int32_t k, next; /* next: index of another of the row, FKMI_SM90_NO_CANDIDATE or FKMI_SM90_SCAN_ALL */
};

/* What recheck.cuh hands on to the scan of all centroids. */
struct fkmi_sm90_scan {
	int32_t b, row;
	int32_t done; /* shares of the centroids */
};

struct fkmi_sm90_nearest { /* of one share of the centroids */
	double distance;
	int32_t k, tie;
};

/* Counters over all problems, zero before a span. */
struct fkmi_sm90_totals {
	int32_t candidates; /* taken from the pool */
	int32_t scans;      /* rows given to the scan; may pass its capacity */
	int32_t assigned;   /* warps of the assignment that have listed all their rows */
	int32_t active;     /* problems; not a counter: set by prepare */
	int32_t finished;   /* groups of the last kernel */
};

/* Of the caller's points, for kernels that read them directly. */
struct fkmi_sm90_points {
	const void *data;
	const double *row_scale;          /* r of docs/semantics.md section 1, [b, n]; null: 1 */
	int64_t row_stride, batch_stride; /* elements */
	int64_t n;                        /* rows of a problem */
	int32_t d, dtype;
	int32_t paired; /* an element at an even place can be read with the one behind, of centroids too */
};

/* The assignment kernels. */
struct fkmi_sm90_assign {
	struct fkmi_sm90_problem *problems;     /* [b] */
	const float *norms;                     /* [b, k_padded]: hn - 2^t F, infinity where there is no centroid */
	const struct fkmi_sm90_length *lengths; /* [b, k] */
	const float *shift;                     /* m, [b, shift_stride]; null: 0 */
	const float *residuals;                 /* |x^ - 2^a (x - nu)| of each row, [b, copied_rows]; null: 0 */
	const void *operands;                   /* what the filter multiplies: points or their copy, 16-bit elements */
	int64_t operand_row_stride, operand_batch_stride; /* elements */
	const int32_t *active;                            /* [b] */
	const int32_t *active_list;                       /* the active problems, of which totals knows the number */
	float *longest;             /* [b, length_groups]: P at most about m0, of FKMI_SM90_LENGTH_ROWS rows each */
	int64_t *state;             /* [b, FKMI_STATE_MEMBERS] */
	int32_t *labels, *previous; /* [b, n]; previous may be null */
	struct fkmi_sm90_row *rows; /* [b, span_rows] */
	int32_t *row_counts;        /* [b] */
	int32_t *row_starts;        /* [b + 1]: tiles of listed rows before each problem's */
	struct fkmi_sm90_candidate *candidates; /* the pool */
	struct fkmi_sm90_totals *totals;
	int64_t n;           /* rows of a problem */
	int64_t copied_rows; /* of them in residuals: all, or those of the span */
	int32_t b, d, k, k_padded, shift_stride;
	int32_t span_row, span_rows;
	int32_t operand_row; /* where the span begins in operands and residuals */
	int32_t tiles;       /* of rows, per problem; not for the recheck */
	int32_t centroid_tiles;
	int32_t length_groups;
	int32_t candidate_capacity;
	int32_t listed_tile;  /* rows in a tile of listed rows */
	int32_t aligned;      /* operands are fit for the copy engine: 16-byte aligned rows */
	int32_t bf16;         /* operands are bf16 */
	int32_t exact;        /* 0: the filter's label is taken */
	float gamma;          /* relative error of a score, times 2^-t: certificate.cuh */
	float distance_error; /* e of certificate.cuh, times 2 */
	float square_factor;  /* 1 + what the sum of squares of a row may be off */
	float one;            /* 1, which the compiler must not know */
};

/* The kernels that make the filter's operands. */
struct fkmi_sm90_prepare {
	const double *centroids; /* [b, k, d] */
	const int32_t *active;   /* [b] */
	const int64_t *state;    /* [b, FKMI_STATE_MEMBERS] */
	struct fkmi_sm90_problem *problems;
	double *mean;          /* mu, [b, d] */
	float *shift;          /* m, [b, d_padded] */
	float *measured_shift; /* [b, d_padded]: m0 */
	int32_t *active_list;  /* [b] */
	struct fkmi_sm90_totals *totals;
	const float *copy_mean;           /* nu, [b, d]; null: points are taken as they are */
	const float *copy_scale;          /* 2^a of the copy, [b] */
	uint16_t *operands;               /* c^, f16 [b, k, d_pitch] */
	float *norms;                     /* [b, k_padded] */
	struct fkmi_sm90_length *lengths; /* [b, k] */
	struct fkmi_sm90_usual *usual;    /* [b], where state says that something is assigned */
	uint64_t *keys;                   /* hash table, [b, slots]; all bits set before */
	uint32_t *first;                  /* [b, slots]: lowest k with the key; all bits set before */
	uint32_t *slot_of;                /* [b, k] */
	int32_t b, k, d, d_padded, d_pitch, k_padded;
	int32_t slots; /* a power of two, at least 2 k */
	int32_t dtype;
	int32_t exact;        /* 0: F = 0 */
	int32_t measures_all; /* each row, in every assignment */
	float gamma;          /* as in fkmi_sm90_assign */
};

/* The copy of rows row .. row+rows-1 of the points, f16 [b, copied_rows, d_pitch]: 2^a (x r - nu). Made where state says that
 * nothing is assigned yet, or, where it is `anew`, each time; nu and 2^a only then, from those rows. */
struct fkmi_sm90_copy {
	struct fkmi_sm90_points points;
	const int64_t *state;
	const int32_t *active;
	const double *column_min, *column_max; /* [b, d]; null for cosine */
	float *mean;                           /* nu, [b, d] */
	float *scale;                          /* [b] */
	uint16_t *operands;
	float *residuals;    /* [b, copied_rows] */
	int64_t copied_rows; /* at least rows */
	int64_t row, rows;
	int32_t b, d_pitch, anew;
};

/* The f64 evaluation of rows that the filter could not decide. */
struct fkmi_sm90_recheck {
	struct fkmi_sm90_points points;
	const double *centroids; /* [b, k, d] */
	const float *norms;      /* infinity: a copy of an earlier centroid */
	int64_t *state;
	int32_t *labels, *previous;
	const struct fkmi_sm90_row *rows;
	int32_t *row_counts;
	const int32_t *row_starts;
	const struct fkmi_sm90_candidate *candidates;
	struct fkmi_sm90_scan *scans;      /* [scan_capacity] */
	struct fkmi_sm90_nearest *nearest; /* [scan_capacity] */
	struct fkmi_sm90_totals *totals;
	const struct fkmi_sm90_problem *problems;
	struct fkmi_sm90_usual *usual; /* [b]: of all rows measured so far */
	int32_t b, k, k_padded, span_rows, tile, scan_capacity;
};

#endif
