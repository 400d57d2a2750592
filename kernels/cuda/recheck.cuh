/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that the filter could not decide, by the reference distance of docs/semantics.md section 1: their candidates,
 * or, where a list did not fit, all centroids. Eight neighbouring lanes take a row. Operations that must not be
 * contracted are written as intrinsics.
 */
#ifndef FKMI_CUDA_RECHECK_CUH
#define FKMI_CUDA_RECHECK_CUH

#include "kernels/cuda/operands.cuh"

enum { OCTETS = FKMI_SM90_GROUP / 8 };

static __device__ __forceinline__ uint32_t octet_lanes(void)
{
	return 0xffu << (threadIdx.x & 24);
}

/* R8 over the lanes of an octet. */
static __device__ __forceinline__ double octet_sum(double v)
{
	v = __dadd_rn(v, __shfl_xor_sync(octet_lanes(), v, 1));
	v = __dadd_rn(v, __shfl_xor_sync(octet_lanes(), v, 2));
	return __dadd_rn(v, __shfl_xor_sync(octet_lanes(), v, 4));
}

/* A row of the points. */
struct point_row {
	int64_t at;
	double factor;
};

static __device__ __forceinline__ struct point_row point_row_of(const struct fkmi_sm90_points &points, int b, int row)
{
	struct point_row r = {b * points.batch_stride + row * points.row_stride, point_factor(points, b, row)};
	return r;
}

/* D between a row and two centroids. */
static __device__ __forceinline__ double2 distances(const struct fkmi_sm90_points &points, const struct point_row &row,
													const double *c0, const double *c1)
{
	double2 sum = {0, 0};
#pragma unroll 4
	for (int j = (int)(threadIdx.x & 7); j < points.d; j += 8) {
		const double x = __dmul_rn(point_element(points, row.at + j), row.factor);
		const double t0 = __dsub_rn(x, __ldg(c0 + j)), t1 = __dsub_rn(x, __ldg(c1 + j));
		sum.x = __fma_rn(t0, t0, sum.x);
		sum.y = __fma_rn(t1, t1, sum.y);
	}
	sum.x = octet_sum(sum.x);
	sum.y = octet_sum(sum.y);
	return sum;
}

/* The nearest so far; tie: another k is as near. */
static __device__ __forceinline__ void nearest_clear(struct fkmi_sm90_nearest &nearest)
{
	nearest.distance = __longlong_as_double(0x7ff0000000000000);
	nearest.k = 0x7fffffff;
	nearest.tie = 0;
}

static __device__ __forceinline__ void nearest_take(struct fkmi_sm90_nearest &nearest, double distance, int k, int tie)
{
	if (distance < nearest.distance) {
		nearest.distance = distance;
		nearest.k = k;
		nearest.tie = tie;
	} else if (distance == nearest.distance && k != nearest.k) {
		nearest.k = min(nearest.k, k);
		nearest.tie = 1;
	}
}

/* Among the centroids first, first + step, ... that repeat no other; the octet calls it together. */
static __device__ __forceinline__ void scan_centroids(const struct fkmi_sm90_recheck &a, int b,
													  const struct point_row &row, int first, int step,
													  struct fkmi_sm90_nearest &nearest)
{
	const double *centroids = a.centroids + (int64_t)b * a.k * a.points.d;
	const float *norms = a.norms + (int64_t)b * a.k_padded;
	for (int k = first; k < a.k; k += 2 * step) {
		const int k1 = k + step < a.k ? k + step : k;
		const double2 d =
			distances(a.points, row, centroids + (int64_t)k * a.points.d, centroids + (int64_t)k1 * a.points.d);
		if (norms[k] != __int_as_float(0x7f800000))
			nearest_take(nearest, d.x, k, 0);
		if (norms[k1] != __int_as_float(0x7f800000))
			nearest_take(nearest, d.y, k1, 0);
	}
}

static __device__ __forceinline__ void count(const struct fkmi_sm90_recheck &a, int b, int member, int amount)
{
	if (amount != 0)
		atomicAdd((unsigned long long *)&a.state[(int64_t)b * FKMI_STATE_MEMBERS + member], (unsigned long long)amount);
}

/* Gives a row its label; one lane calls it. */
static __device__ __forceinline__ void decide_row(const struct fkmi_sm90_recheck &a, int b, int row,
												  const struct fkmi_sm90_nearest &nearest)
{
	const int64_t at = b * a.points.n + row;
	a.labels[at] = nearest.k;
	count(a, b, FKMI_STATE_TIES, nearest.tie);
	count(a, b, FKMI_STATE_CHANGED, a.previous == nullptr || a.previous[at] != nearest.k);
}

/* Tiles of listed rows before each problem's, from their counts. One group of FKMI_SM90_CENTER_GROUP threads. */
static __device__ __forceinline__ void make_row_starts(const int32_t *counts, int32_t *starts, int b_count, int tile)
{
	__shared__ int32_t of_warp[32];
	const int lane = (int)(threadIdx.x & 31), warp = (int)threadIdx.x / 32;
	int before = 0;
	for (int first = 0; first < b_count; first += FKMI_SM90_CENTER_GROUP) {
		const int b = first + (int)threadIdx.x, mine = b < b_count ? (counts[b] + tile - 1) / tile : 0;
		int sum = mine;
#pragma unroll
		for (int step = 1; step < 32; step *= 2) {
			const int other = __shfl_up_sync(0xffffffffu, sum, step);
			sum += lane >= step ? other : 0;
		}
		if (lane == 31)
			of_warp[warp] = sum;
		__syncthreads();
		int all = 0;
		for (int w = 0; w < FKMI_SM90_CENTER_GROUP / 32; w++) {
			sum += w < warp ? of_warp[w] : 0;
			all += of_warp[w];
		}
		if (b < b_count)
			starts[b] = before + sum - mine;
		before += all;
		__syncthreads();
	}
	if (threadIdx.x == 0)
		starts[b_count] = before;
}

/* Decides listed rows by their candidates, and lists for the scan those whose candidates are not known. */
static __device__ __forceinline__ void decide_rows(const struct fkmi_sm90_recheck &a)
{
	const int octet = (int)threadIdx.x / 8, lane = (int)(threadIdx.x & 7);
	const uint32_t parts = (uint32_t)a.tile / OCTETS, units = (uint32_t)a.row_starts[a.b] * parts;
	for (uint32_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
		const int tile = (int)(unit / parts);
		int b = 0, above = a.b;
		while (above - b > 1) {
			const int middle = (b + above) / 2;
			if (a.row_starts[middle] <= tile)
				b = middle;
			else
				above = middle;
		}
		const int part = (int)(unit % parts), rows = a.row_counts[b];
		const int i = (tile - a.row_starts[b]) * a.tile + part * OCTETS + octet;
		if (tile == a.row_starts[b] && part == 0 && threadIdx.x == 0)
			count(a, b, FKMI_STATE_RECHECKED, rows);
		if (i >= rows)
			continue;
		const int row = a.rows[(int64_t)b * a.span_rows + i].row;
		const struct point_row point = point_row_of(a.points, b, row);
		const double *centroids = a.centroids + (int64_t)b * a.k * a.points.d;
		struct fkmi_sm90_nearest nearest;
		nearest_clear(nearest);
		int at = a.labels[b * a.points.n + row];
		bool known = at != FKMI_SM90_NO_CANDIDATE;
		while (at >= 0) {
			const struct fkmi_sm90_candidate one = a.candidates[at], two = one.next >= 0 ? a.candidates[one.next] : one;
			const double2 d = distances(a.points, point, centroids + (int64_t)one.k * a.points.d,
										centroids + (int64_t)two.k * a.points.d);
			nearest_take(nearest, d.x, one.k, 0);
			nearest_take(nearest, d.y, two.k, 0);
			at = two.next;
		}
		known = known && at == FKMI_SM90_NO_CANDIDATE;
		if (!known) {
			int place = 0;
			if (lane == 0)
				place = atomicAdd(&a.totals->scans, 1);
			place = __shfl_sync(octet_lanes(), place, (int)(threadIdx.x & 24));
			if (place < FKMI_SM90_SCAN_ROWS) {
				if (lane == 0) {
					a.scans[place].b = b;
					a.scans[place].row = row;
				}
				continue;
			}
			nearest_clear(nearest);
			scan_centroids(a, b, point, 0, 1, nearest);
		}
		if (lane == 0)
			decide_row(a, b, row, nearest);
	}
}

/* Into how many shares the centroids of so many rows are cut. */
static __device__ __forceinline__ int scan_shares(int rows)
{
	int shares = FKMI_SM90_SCAN_SHARES;
	while (shares > 1 && shares * rows > FKMI_SM90_SCAN_ROWS)
		shares /= 2;
	return shares;
}

static __device__ __forceinline__ int scan_rows(const struct fkmi_sm90_recheck &a)
{
	return min(a.totals->scans, (int)FKMI_SM90_SCAN_ROWS);
}

/* The nearest of each share of the centroids, of each row listed for the scan. */
static __device__ __forceinline__ void scan_listed(const struct fkmi_sm90_recheck &a)
{
	__shared__ struct fkmi_sm90_nearest found[OCTETS];
	const int rows = scan_rows(a), shares = scan_shares(rows), octet = (int)threadIdx.x / 8;
	for (int work = blockIdx.x; work < rows * shares; work += gridDim.x) {
		const struct fkmi_sm90_scan scan = a.scans[work / shares];
		struct fkmi_sm90_nearest nearest;
		nearest_clear(nearest);
		scan_centroids(a, scan.b, point_row_of(a.points, scan.b, scan.row), work % shares * OCTETS + octet,
					   shares * OCTETS, nearest);
		if (threadIdx.x % 8 == 0)
			found[octet] = nearest;
		__syncthreads();
		if (threadIdx.x == 0) {
			for (int i = 1; i < OCTETS; i++)
				if (found[i].k != 0x7fffffff)
					nearest_take(nearest, found[i].distance, found[i].k, found[i].tie);
			a.nearest[work] = nearest;
		}
		__syncthreads();
	}
}

/* Labels of the rows listed for the scan; then all counters are zero again. */
static __device__ __forceinline__ void decide_scanned(const struct fkmi_sm90_recheck &a)
{
	__shared__ bool last;
	const int rows = scan_rows(a), shares = scan_shares(rows);
	for (int i = (int)(blockIdx.x * FKMI_SM90_GROUP + threadIdx.x); i < rows; i += (int)gridDim.x * FKMI_SM90_GROUP) {
		struct fkmi_sm90_nearest nearest;
		nearest_clear(nearest);
		for (int share = 0; share < shares; share++) {
			const struct fkmi_sm90_nearest one = a.nearest[i * shares + share];
			if (one.k != 0x7fffffff)
				nearest_take(nearest, one.distance, one.k, one.tie);
		}
		decide_row(a, a.scans[i].b, a.scans[i].row, nearest);
	}
	__threadfence();
	__syncthreads();
	if (threadIdx.x == 0)
		last = atomicAdd(&a.totals->finished, 1) == (int)gridDim.x - 1;
	__syncthreads();
	if (!last)
		return;
	for (int b = (int)threadIdx.x; b < a.b; b += FKMI_SM90_GROUP)
		a.row_counts[b] = 0;
	if (threadIdx.x == 0)
		a.totals->candidates = a.totals->scans = a.totals->finished = 0;
}

#endif
