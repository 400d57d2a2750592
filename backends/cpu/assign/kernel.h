/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assignment's inner loops. kernel.c, with rows.h and simd.h, is compiled once for each instruction set and gives
 * one struct fkmi_cpu_isa each; certificate.h says what the filter computes.
 *
 * Layouts. A tile is `points` rows side by side: coordinate j of row i is x[j * points + i]. Centroids come in groups
 * of `centroids`: coordinate j of centroid c of group g is panels[(g * d + j) * centroids + c].
 */
#ifndef FKMI_CPU_KERNEL_H
#define FKMI_CPU_KERNEL_H

#include "../cpu.h"

enum {
	FKMI_CPU_MAX_POINTS = 64, /* of a tile, so that lanes fit a 64-bit mask */
	FKMI_CPU_CANDIDATES = 64, /* of a row, that a sweep lists; more of them mean a scan of all centroids */
};

/* y = x * 2^p - mu, rounded to f32, for the rows of a tile. */
struct fkmi_cpu_pack {
	const char *points;      /* row 0 */
	int64_t row_bytes;       /* from row to row */
	const int64_t *rows;     /* [points]: the row of each lane; NULL: 0, 1, ... */
	const double *row_scale; /* r of row 0, 1, ...; NULL: all 1 */
	enum fkm_dtype dtype;
	int64_t d, block; /* dimensions, and how many of them a sweep takes at a time */
	float scale;      /* 2^p */
	const float *mu;  /* [d] */
	float *x;         /* [d][points] */
	float *squares;   /* [points]: |y|^2 in f32, summed block by block */
};

enum fkmi_cpu_sweep_kind {
	FKMI_CPU_SWEEP_BEST,   /* best and at */
	FKMI_CPU_SWEEP_TWO,    /* second, too */
	FKMI_CPU_SWEEP_GATHER, /* candidates: all centroids with a score of at least the threshold */
};

/* The scores of one tile against some groups of centroids over one block of dimensions. */
struct fkmi_cpu_sweep {
	const float *x;       /* the tile, from the block's first dimension on */
	const float *panels;  /* the groups, from there on */
	int64_t group_stride; /* floats from group to group */
	int64_t dims;         /* of the block */
	int32_t groups;
	int32_t first_centroid;                     /* position of the first group's first centroid */
	const float *halves;                        /* half the squared norms of the centroids of the groups */
	float *partial;                             /* [groups][centroids][points]: scores of the blocks so far */
	bool first, last;                           /* block: the first does not read partial, the last does not write it */
	float *best, *second;                       /* [points]: read if first_centroid is not 0 */
	int32_t *at;                                /* [points]: position of the best */
	const float *threshold;                     /* [points] */
	int32_t (*candidates)[FKMI_CPU_CANDIDATES]; /* [points]: positions, ascending */
	int32_t *found;                             /* [points]: how many there are, which may be more than fit */
	const char *ahead;                          /* points of the next tiles, to be brought into the cache */
	int64_t ahead_bytes;                        /* of them for each group */
};

/* Coefficients of the error bound, see certificate.h. */
struct fkmi_cpu_bound {
	float relative, distance;
};

struct fkmi_cpu_certify {
	const float *best, *second, *squares; /* [points] */
	const int32_t *at;
	const float *norms; /* of the centroids, rounded up */
	float norm_max;
	struct fkmi_cpu_bound bound;
	float *threshold; /* [points]: set for the lanes that are not certain; NaN, which nothing reaches: out of range */
};

struct fkmi_cpu_isa {
	int32_t points, centroids; /* of a tile */
	int32_t block;             /* most dimensions that a sweep takes at a time */
	void (*pack)(const struct fkmi_cpu_pack *);
	void (*sweep)(const struct fkmi_cpu_sweep *, enum fkmi_cpu_sweep_kind);
	/* The lanes whose label is not certain. */
	uint64_t (*certify)(const struct fkmi_cpu_certify *);
	/* labels = index[at] (index NULL: at), the former ones to old: all of a tile. Returns the lanes that changed. */
	uint64_t (*relabel)(const int32_t *at, const int32_t *index, int32_t *labels, int32_t *old);
	/* z = c * 2^p - mu in f32 to z[j * stride]; returns |z|^2 in f64, of the values before rounding to f32. */
	double (*centre)(const double *c, double scale, const float *mu, int64_t d, float *z, int64_t stride);
	/* q of section 3.2 of docs/semantics.md: r is 1 if the metric is not cosine, weight is 1 without weights. */
	void (*quantise)(const void *row, enum fkm_dtype dtype, double r, double weight, const double *scale, int64_t d,
					 int64_t *q);
	void (*add)(int64_t *sums, const int64_t *q, int64_t d);
	void (*subtract)(int64_t *sums, const int64_t *q, int64_t d);
	/* The nearest to x of the centroids with these numbers, the first of them on a tie. */
	int32_t (*nearest)(const double *x, const double *centroids, int64_t d, const int32_t *index, int32_t count,
					   bool *tie);
	/* See cpu.h. */
	double (*distance)(const double *x, const double *c, int64_t d);
	void (*accumulate_row)(const double *x, double weight, const double *scale, int64_t d, int sign, int64_t *sums);
};

/* VECTORS * CENTROIDS accumulators, VECTORS of the tile and one centroid's coordinate fill the registers. */
enum {
	FKMI_CPU_AVX512_POINTS = 64,
	FKMI_CPU_AVX512_CENTROIDS = 6,
	FKMI_CPU_AVX2_POINTS = 16,
	FKMI_CPU_AVX2_CENTROIDS = 6,
	FKMI_CPU_SSE2_POINTS = 8,
	FKMI_CPU_SSE2_CENTROIDS = 6,
	FKMI_CPU_PORTABLE_POINTS = 16,
	FKMI_CPU_PORTABLE_CENTROIDS = 6,
};

#if defined(__x86_64__)
extern const struct fkmi_cpu_isa fkmi_cpu_isa_avx512, fkmi_cpu_isa_avx2, fkmi_cpu_isa_sse2;
#endif
extern const struct fkmi_cpu_isa fkmi_cpu_isa_portable;

/* ---- isa.c ---- */
/* The instruction set of one of fkmi_cpu_tiles(). */
const struct fkmi_cpu_isa *fkmi_cpu_isa_of(const struct fkmi_tile *tile);

#endif
