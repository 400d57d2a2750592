/* SPDX-License-Identifier: Apache-2.0 */
/* Several rows by several candidates at a time: enough independent sums to keep the multipliers busy. */
#include "seed_distances.h"
#include "steps.h"

#include <string.h>

enum {
	NARROW = 8, /* dimensions up to which each of the eight sums has one term */
	GROUP = 4,  /* rows in a group of wider points */
};

/*
 * For wide points, rows and candidates padded with zeros to d, a multiple of 8:
 * out[c * GROUP + r] = D from rows[r] to candidate c.
 */

static void distances_portable(const double *const *rows, const double *candidates, int64_t d, int count, double *out)
{
	for (int c = 0; c < count; c++)
		for (int r = 0; r < GROUP; r++)
			out[c * GROUP + r] = fkmi_cpu_distance(rows[r], candidates + c * d, d);
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma"))) static
#define AVX512 __attribute__((target("avx512f"))) static
#define INLINE inline __attribute__((always_inline))

/* ---- AVX2: the eight sums of one pair are two vectors ---- */

AVX2 INLINE double combine_avx2(__m256d low, __m256d high)
{
	__m256d pairs = _mm256_hadd_pd(low, high); /* p0+p1, p4+p5, p2+p3, p6+p7 */
	__m128d fours = _mm_add_pd(_mm256_castpd256_pd128(pairs), _mm256_extractf128_pd(pairs, 1));
	return _mm_cvtsd_f64(_mm_add_sd(fours, _mm_unpackhi_pd(fours, fours)));
}

/* 2 rows by `count` candidates, 1 or 2. */
AVX2 INLINE void tile_avx2(const double *const *rows, const double *candidates, int64_t d, int count, double *out)
{
	__m256d low[2][2], high[2][2];
#pragma GCC unroll 2
	for (int c = 0; c < count; c++)
#pragma GCC unroll 2
		for (int r = 0; r < 2; r++)
			low[c][r] = high[c][r] = _mm256_setzero_pd();
	for (int64_t j = 0; j < d; j += 8) {
#pragma GCC unroll 2
		for (int r = 0; r < 2; r++) {
			__m256d x_low = _mm256_loadu_pd(rows[r] + j), x_high = _mm256_loadu_pd(rows[r] + j + 4);
#pragma GCC unroll 2
			for (int c = 0; c < count; c++) {
				__m256d t = _mm256_sub_pd(x_low, _mm256_loadu_pd(candidates + c * d + j));
				low[c][r] = _mm256_fmadd_pd(t, t, low[c][r]);
				t = _mm256_sub_pd(x_high, _mm256_loadu_pd(candidates + c * d + j + 4));
				high[c][r] = _mm256_fmadd_pd(t, t, high[c][r]);
			}
		}
	}
#pragma GCC unroll 2
	for (int c = 0; c < count; c++)
#pragma GCC unroll 2
		for (int r = 0; r < 2; r++)
			out[c * GROUP + r] = combine_avx2(low[c][r], high[c][r]);
}

AVX2 void distances_avx2(const double *const *rows, const double *candidates, int64_t d, int count, double *out)
{
	for (int c = 0; c < count; c += 2) {
		for (int r = 0; r < GROUP; r += 2) {
			if (c + 1 < count)
				tile_avx2(rows + r, candidates + c * d, d, 2, out + c * GROUP + r);
			else
				tile_avx2(rows + r, candidates + c * d, d, 1, out + c * GROUP + r);
		}
	}
}

/* ---- AVX-512: the eight sums of one pair are one vector ---- */

/* Combines the sums of four pairs. */
AVX512 INLINE __m256d combine_avx512(__m512d a, __m512d b, __m512d c, __m512d d)
{
	/* 128-bit lane l holds p(2l) + p(2l+1) of a and b, then of c and d. */
	__m512d ab = _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
	__m512d cd = _mm512_add_pd(_mm512_unpacklo_pd(c, d), _mm512_unpackhi_pd(c, d));
	/* Lanes: ab's p0..p3, ab's p4..p7, cd's p0..p3, cd's p4..p7. */
	__m512d fours = _mm512_add_pd(_mm512_shuffle_f64x2(ab, cd, 0x88), _mm512_shuffle_f64x2(ab, cd, 0xdd));
	return _mm512_castpd512_pd256(
		_mm512_add_pd(_mm512_shuffle_f64x2(fours, fours, 0x88), _mm512_shuffle_f64x2(fours, fours, 0xdd)));
}

/* 4 rows by `count` candidates, 1 to 4. */
AVX512 INLINE void tile_avx512(const double *const *rows, const double *candidates, int64_t d, int count, double *out)
{
	__m512d sum[4][4];
#pragma GCC unroll 4
	for (int c = 0; c < count; c++)
#pragma GCC unroll 4
		for (int r = 0; r < 4; r++)
			sum[c][r] = _mm512_setzero_pd();
	for (int64_t j = 0; j < d; j += 8) {
		__m512d x[4];
#pragma GCC unroll 4
		for (int r = 0; r < 4; r++)
			x[r] = _mm512_loadu_pd(rows[r] + j);
#pragma GCC unroll 4
		for (int c = 0; c < count; c++) {
			__m512d centroid = _mm512_loadu_pd(candidates + c * d + j);
#pragma GCC unroll 4
			for (int r = 0; r < 4; r++) {
				__m512d t = _mm512_sub_pd(x[r], centroid);
				sum[c][r] = _mm512_fmadd_pd(t, t, sum[c][r]);
			}
		}
	}
#pragma GCC unroll 4
	for (int c = 0; c < count; c++)
		_mm256_storeu_pd(out + c * GROUP, combine_avx512(sum[c][0], sum[c][1], sum[c][2], sum[c][3]));
}

AVX512 void distances_avx512(const double *const *rows, const double *candidates, int64_t d, int count, double *out)
{
	for (; count >= 4; count -= 4, candidates += 4 * d, out += 4 * GROUP)
		tile_avx512(rows, candidates, d, 4, out);
	if (count == 3)
		tile_avx512(rows, candidates, d, 3, out);
	else if (count == 2)
		tile_avx512(rows, candidates, d, 2, out);
	else if (count == 1)
		tile_avx512(rows, candidates, d, 1, out);
}
#endif

static void group_distances(const double *const *rows, const double *candidates, int64_t d, int count, double *out)
{
#if defined(__x86_64__)
	uint64_t features = fkmi_cpu_features();
	if (features & FKMI_CPU_AVX512) {
		distances_avx512(rows, candidates, d, count, out);
		return;
	}
	if (features & FKMI_CPU_AVX2) {
		distances_avx2(rows, candidates, d, count, out);
		return;
	}
#endif
	distances_portable(rows, candidates, d, count, out);
}

static void wide_distances(const struct fkmi_job *job, int64_t b, const int64_t *rows, int row_count,
						   const double *candidates, int candidate_count, double *room, double (*out)[FKMI_SEED_BLOCK])
{
	int64_t padded = fkmi_cpu_pad8(job->problem.d);
	const double *const group[GROUP] = {room, room + padded, room + 2 * padded, room + 3 * padded};
	double distances[GROUP * FKMI_SEED_CANDIDATES];
	for (int i = 0; i < row_count; i += GROUP) {
		for (int r = 0; r < GROUP && i + r < row_count; r++)
			fkmi_cpu_load_row(job, b, rows[i + r], room + r * padded);
		group_distances(group, candidates, padded, candidate_count, distances);
		for (int c = 0; c < candidate_count; c++)
			memcpy(&out[c][i], distances + c * GROUP, GROUP * sizeof(double));
	}
}

/* ---- narrow points: many rows side by side ---- */

/* columns[j][i] = coordinate j of row i */
FKMI_CPU_INLINE void narrow_body(const double (*restrict columns)[FKMI_SEED_BLOCK], const double *restrict candidate,
								 int64_t d, double *restrict out)
{
	double sums[NARROW][FKMI_SEED_BLOCK];
	for (int64_t j = 0; j < NARROW; j++) {
		for (int i = 0; i < FKMI_SEED_BLOCK; i++) {
			double t = j < d ? columns[j][i] - candidate[j] : 0;
			sums[j][i] = t * t; /* = fma(t, t, 0) */
		}
	}
	for (int i = 0; i < FKMI_SEED_BLOCK; i++)
		out[i] = fkmi_combine8(sums[0][i], sums[1][i], sums[2][i], sums[3][i], sums[4][i], sums[5][i], sums[6][i],
							   sums[7][i]);
}
FKMI_CPU_DISPATCH(narrow, (const double (*columns)[FKMI_SEED_BLOCK], const double *candidate, int64_t d, double *out),
				  (columns, candidate, d, out))

/* The coordinates of the rows, not yet scaled, one row after the other. */
static void load_narrow(const struct fkmi_job *job, int64_t b, const int64_t *rows, int row_count, double *out)
{
	const struct fkmi_problem *p = &job->problem;
	bool adjacent = job->point_row_stride == p->d && rows[row_count - 1] - rows[0] == row_count - 1;
	if (adjacent) {
		fkmi_cpu_convert(fkmi_cpu_row(job, b, rows[0]), p->dtype, row_count * p->d, 1, out);
		return;
	}
	float copies[NARROW * FKMI_SEED_BLOCK]; /* of any type */
	size_t bytes = (size_t)p->d * (p->dtype == FKM_F32 ? 4 : 2);
	for (int i = 0; i < row_count; i++)
		memcpy((char *)copies + (size_t)i * bytes, fkmi_cpu_row(job, b, rows[i]), bytes);
	fkmi_cpu_convert(copies, p->dtype, row_count * p->d, 1, out);
}

static void narrow_distances(const struct fkmi_job *job, int64_t b, const int64_t *rows, int row_count,
							 const double *candidates, int candidate_count, double *room,
							 double (*out)[FKMI_SEED_BLOCK])
{
	int64_t d = job->problem.d;
	double(*columns)[FKMI_SEED_BLOCK] = (double(*)[FKMI_SEED_BLOCK])room;
	double *points = room + NARROW * FKMI_SEED_BLOCK;
	load_narrow(job, b, rows, row_count, points);
	for (int i = 0; i < row_count; i++) {
		double scale = fkmi_cpu_row_scale(job, b, rows[i]);
		for (int64_t j = 0; j < d; j++)
			columns[j][i] = points[i * d + j] * scale;
	}
	for (int c = 0; c < candidate_count; c++)
		narrow((const double(*)[FKMI_SEED_BLOCK])columns, candidates + c * NARROW, d, out[c]);
}

int64_t fkmi_cpu_seed_room(int64_t d)
{
	return d <= NARROW ? 2 * NARROW * FKMI_SEED_BLOCK : GROUP * fkmi_cpu_pad8(d);
}

void fkmi_cpu_seed_distances(const struct fkmi_job *job, int64_t b, const int64_t *rows, int row_count,
							 const double *candidates, int candidate_count, double *room,
							 double (*out)[FKMI_SEED_BLOCK])
{
	if (job->problem.d <= NARROW)
		narrow_distances(job, b, rows, row_count, candidates, candidate_count, room, out);
	else
		wide_distances(job, b, rows, row_count, candidates, candidate_count, room, out);
}
