/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that the filter could not decide, by the reference distance of docs/semantics.md section 1: their candidates,
 * or, where a list did not fit, all centroids. Two quads of neighbouring lanes take a row, each every other one of its
 * candidates. Operations that must not be contracted are written as intrinsics.
 */
#ifndef FKMI_CUDA_RECHECK_CUH
#define FKMI_CUDA_RECHECK_CUH

#include "kernels/cuda/operands.cuh"
#include "kernels/cuda/ptx.cuh"

enum { OCTETS = FKMI_SM90_GROUP / 8 }; /* rows in hand */

static __device__ __forceinline__ uint32_t quad_lanes(void)
{
	return 0xfu << (threadIdx.x & 28);
}

static __device__ __forceinline__ uint32_t octet_lanes(void)
{
	return 0xffu << (threadIdx.x & 24);
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

/* D between a row and a centroid, by a quad: lane m has the parts 2 m and 2 m + 1 of R8. */
template <class READER>
static __device__ __forceinline__ double distance(const READER &reader, const struct fkmi_sm90_points &points,
												  const struct point_row &row, const double *centroid)
{
	double even = 0, odd = 0;
#pragma unroll 8
	for (int j = 2 * (int)(threadIdx.x & 3); j < points.d; j += 8) {
		const bool second = j + 1 < points.d;
		const double2 x = reader.pair(points.data, row.at + j, second), c = reader.pair(centroid + j, second);
		const double t = __dsub_rn(__dmul_rn(x.x, row.factor), c.x), u = __dsub_rn(__dmul_rn(x.y, row.factor), c.y);
		even = __fma_rn(t, t, even);
		odd = __fma_rn(u, u, odd);
	}
	double sum = __dadd_rn(even, odd);
	sum = __dadd_rn(sum, __shfl_xor_sync(quad_lanes(), sum, 1));
	return __dadd_rn(sum, __shfl_xor_sync(quad_lanes(), sum, 2));
}

/* Brings a row near, as it will be read piece by piece. The octet calls it together. */
static __device__ __forceinline__ void prefetch_row(const struct fkmi_sm90_points &points, const struct point_row &row)
{
	const int64_t element = points.dtype == FKMI_TYPE_F32 ? 4 : 2;
	const char *from = (const char *)points.data + row.at * element;
	for (int64_t at = 64 * (int64_t)(threadIdx.x & 7); at < points.d * element; at += 8 * 64)
		prefetch(from + at);
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

/* The nearer of what the two quads found, in all lanes of the octet. */
static __device__ __forceinline__ void nearest_of_quads(struct fkmi_sm90_nearest &nearest)
{
	const double distance = __shfl_xor_sync(octet_lanes(), nearest.distance, 4);
	const int k = __shfl_xor_sync(octet_lanes(), nearest.k, 4), tie = __shfl_xor_sync(octet_lanes(), nearest.tie, 4);
	nearest_take(nearest, distance, k, tie);
}

/* Among the centroids first, first + step, ... that repeat no other; the octet calls it together. */
template <class READER>
static __device__ __forceinline__ struct fkmi_sm90_nearest
scan_centroids(const READER &reader, const struct fkmi_sm90_recheck &a, int b, const struct point_row &row, int first,
			   int step)
{
	const double *centroids = a.centroids + (int64_t)b * a.k * a.points.d;
	const float *norms = a.norms + (int64_t)b * a.k_padded;
	const int quad = (int)(threadIdx.x / 4 & 1);
	struct fkmi_sm90_nearest nearest;
	nearest_clear(nearest);
	for (int k = first + quad * step; k < a.k; k += 2 * step)
		if (norms[k] != __int_as_float(0x7f800000))
			nearest_take(nearest, distance(reader, a.points, row, centroids + (int64_t)k * a.points.d), k, 0);
	__syncwarp(octet_lanes());
	nearest_of_quads(nearest);
	return nearest;
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

/* Decides listed rows by their candidates, and lists for the scan those whose candidates are not known. */
template <class READER>
static __device__ __forceinline__ void decide_rows(const READER &reader, const struct fkmi_sm90_recheck &a)
{
	const int octet = (int)threadIdx.x / 8, lane = (int)(threadIdx.x & 7), quad = lane / 4;
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
		prefetch_row(a.points, point);
		const double *centroids = a.centroids + (int64_t)b * a.k * a.points.d;
		struct fkmi_sm90_nearest nearest;
		nearest_clear(nearest);
		int at = a.labels[b * a.points.n + row];
		bool known = at != FKMI_SM90_NO_CANDIDATE;
		while (at >= 0) {
			const struct fkmi_sm90_candidate one = a.candidates[at], two = one.next >= 0 ? a.candidates[one.next] : one;
			const int k = quad == 0 ? one.k : two.k;
			if (quad == 0 || one.next >= 0)
				nearest_take(nearest, distance(reader, a.points, point, centroids + (int64_t)k * a.points.d), k, 0);
			at = two.next;
		}
		__syncwarp(octet_lanes());
		nearest_of_quads(nearest);
		known = known && at == FKMI_SM90_NO_CANDIDATE;
		if (!known) {
			int place = 0;
			if (lane == 0)
				place = atomicAdd(&a.totals->scans, 1);
			place = __shfl_sync(octet_lanes(), place, (int)(threadIdx.x & 24));
			if (place < a.scan_capacity) {
				if (lane == 0) {
					a.scans[place] = fkmi_sm90_scan{b, row, 0};
				}
				continue;
			}
			nearest = scan_centroids(reader, a, b, point, 0, 1);
		}
		if (lane == 0)
			decide_row(a, b, row, nearest);
	}
}

/* Into how many shares the centroids of so many rows are cut. */
static __device__ __forceinline__ int scan_shares(const struct fkmi_sm90_recheck &a, int rows)
{
	int shares = FKMI_SM90_SCAN_SHARES;
	while (shares > 1 && shares * rows > a.scan_capacity)
		shares /= 2;
	return shares;
}

static __device__ __forceinline__ int scan_rows(const struct fkmi_sm90_recheck &a)
{
	return min(a.totals->scans, a.scan_capacity);
}

/* Of each row listed for the scan the nearest of each share of the centroids; the last share decides. */
template <class READER>
static __device__ __forceinline__ void scan_listed(const READER &reader, const struct fkmi_sm90_recheck &a)
{
	__shared__ struct fkmi_sm90_nearest found[OCTETS];
	const int rows = scan_rows(a), shares = scan_shares(a, rows), octet = (int)threadIdx.x / 8;
	for (int work = blockIdx.x; work < rows * shares; work += gridDim.x) {
		struct fkmi_sm90_scan *scan = &a.scans[work / shares];
		const int b = scan->b, row = scan->row;
		struct fkmi_sm90_nearest nearest = scan_centroids(reader, a, b, point_row_of(a.points, b, row),
														  work % shares * OCTETS + octet, shares * OCTETS);
		if (threadIdx.x % 8 == 0)
			found[octet] = nearest;
		__syncthreads();
		if (threadIdx.x == 0) {
			for (int i = 1; i < OCTETS; i++)
				if (found[i].k != 0x7fffffff)
					nearest_take(nearest, found[i].distance, found[i].k, found[i].tie);
			a.nearest[work] = nearest;
			__threadfence();
			if (atomicAdd(&scan->done, 1) == shares - 1) {
				__threadfence();
				nearest_clear(nearest);
				for (int share = 0; share < shares; share++) {
					const struct fkmi_sm90_nearest *one = &a.nearest[work / shares * shares + share];
					if (__ldcg(&one->k) != 0x7fffffff)
						nearest_take(nearest, __ldcg(&one->distance), __ldcg(&one->k), __ldcg(&one->tie));
				}
				decide_row(a, b, row, nearest);
			}
		}
		__syncthreads();
	}
}

/* For the next assignment: the usual lengths, and counters are zero again. By one group, once all are done. */
static __device__ __forceinline__ void conclude(const struct fkmi_sm90_recheck &a)
{
	for (int b = (int)threadIdx.x; b < a.b; b += FKMI_SM90_GROUP) {
		const struct fkmi_sm90_problem *problem = &a.problems[b];
		a.row_counts[b] = 0;
		struct fkmi_sm90_usual *usual = &a.usual[b];
		usual->rows += a.span_rows;
		const bool whole = usual->rows == a.points.n;
		usual->length = whole ? mean_measure(problem->lengths, problem->measured) : 0;
		usual->distance = mean_measure(problem->distances, problem->measured);
		usual->residual = mean_measure(problem->residuals, problem->measured);
		usual->fresh = whole && !(problem->moved < __int_as_float(0x7f800000));
	}
	if (threadIdx.x == 0)
		a.totals->candidates = a.totals->scans = a.totals->finished = 0;
}

static __device__ __forceinline__ void decide(const struct fkmi_sm90_recheck &a)
{
	grid_release();
	grid_wait();
	with_reader(a.points, [&](const auto &reader) { decide_rows(reader, a); });
}

static __device__ __forceinline__ void scan(const struct fkmi_sm90_recheck &a)
{
	__shared__ bool last;
	grid_wait();
	with_reader(a.points, [&](const auto &reader) { scan_listed(reader, a); });
	if (threadIdx.x == 0)
		last = atomicAdd(&a.totals->finished, 1) == (int)gridDim.x - 1;
	__syncthreads();
	if (last)
		conclude(a);
}

#endif
