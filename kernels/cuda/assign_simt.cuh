/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assignment for few dimensions by ordinary f32 arithmetic. A thread keeps several rows in registers and sweeps all
 * centroids, eight (a group) at a time, from shared memory; of each row it keeps the best score, the group that has it,
 * and the best score of all other groups. The group is evaluated once more to find the column and the second-best
 * score. Rows that this does not decide are decided at once by D in f64 of all centroids, by the whole warp.
 *
 * Scores and operands are those of certificate.h, whose names are used here. What it takes to be certain is, in most
 * rows, far less than there is; so a bound that is quick to evaluate comes first. With M = max_k Z_k >= Z_b, Z_w and
 *     YM <= (Y^2 + M^2) / 2,   Y <= (1 + Y^2) / 2,   T <= (Y + M)^2 <= 2 Y^2 + 2 M^2,
 *     E(Y, Z_b) + E(Y, Z_w) + distance T
 *         <= (relative + tiny + 2 distance) Y^2 + 2 (relative + distance) M^2 + tiny (3 + 2 M),
 * which is slope |y^|^2 + intercept with Y^2 = 1.02 |y^|^2 + tiny: if the best score is more than that above the second
 * one, the label is certain. 1.00001 pays for evaluating it and the difference in f32. Other rows try the threshold of
 * certificate.h itself.
 */
#ifndef FKMI_CUDA_ASSIGN_SIMT_CUH
#define FKMI_CUDA_ASSIGN_SIMT_CUH

#include "simt.h"

static __device__ __forceinline__ float simt_infinity(void)
{
	return __int_as_float(0x7f800000);
}

/* ---- prepare ---- */

/* Scale and mu; by the whole block. */
static __device__ __forceinline__ void simt_center(const struct fkmi_simt_prepare &a, int b,
												   struct fkmi_simt_problem &problem)
{
	enum { COLUMNS = FKMI_SIMT_MOST_DIMS, SETS = FKMI_SIMT_PREPARE_THREADS / COLUMNS, MOST_SAMPLES = 4 * SETS };
	__shared__ double partial[FKMI_SIMT_PREPARE_THREADS];
	const int thread = (int)threadIdx.x, j = thread % COLUMNS, set = thread / COLUMNS;
	const int64_t samples = min(a.k, (int)MOST_SAMPLES);
	double sum = 0;
	for (int64_t s = j < a.d ? set : samples; s < samples; s += SETS)
		sum += a.centroids[(b * (int64_t)a.k + s * a.k / samples) * a.d + j];
	partial[thread] = sum;
	for (int step = SETS / 2; step > 0; step /= 2) {
		__syncthreads();
		if (set < step)
			partial[thread] += partial[thread + step * COLUMNS];
	}
	if (set == 0) {
		const float scale = fkmi_filter_scale(a.state, b);
		problem.mu[j] = (float)(partial[j] / (double)samples * (double)scale);
		if (j == 0)
			problem.scale = scale;
	}
	__syncthreads();
}

/* The operands of centroid k, its norm, and its slot in the table of different centroids. */
static __device__ __forceinline__ float simt_convert(const struct fkmi_simt_prepare &a, int b,
													 const struct fkmi_simt_problem &problem, int k)
{
	const double *all = a.centroids + (int64_t)b * a.k * a.d, *row = all + (int64_t)k * a.d;
	float *group = a.operands + ((int64_t)b * a.groups + k / FKMI_SIMT_CENTROIDS) * FKMI_SIMT_GROUP_FLOATS(a.dims) +
				   k % FKMI_SIMT_CENTROIDS;
	const bool real = k < a.k;
	double sum = 0;
	uint32_t hash = 0;
	for (int j = 0; j < a.dims; j++) {
		double z = 0;
		if (real && j < a.d) {
			z = row[j] * (double)problem.scale - (double)problem.mu[j];
			hash += fkmi_hash(row[j], j);
		}
		sum += z * z;
		group[j * FKMI_SIMT_CENTROIDS] = (float)z;
	}
	group[a.dims * FKMI_SIMT_CENTROIDS] = real ? -(float)(sum * 0.5) : -simt_infinity();
	if (!real)
		return 0;
	const float norm = (float)(sqrt(sum) * 1.000001);
	a.norms[(int64_t)b * a.k + k] = norm;
	int32_t *entries = a.table + b * a.slots;
	int64_t slot = hash & (a.slots - 1);
	for (;; slot = (slot + 1) & (a.slots - 1)) {
		const int32_t other = fkmi_compare_exchange32(&entries[slot], -1, k);
		if (other == -1)
			break;
		if (fkmi_same_row(all + (int64_t)other * a.d, row, a.d)) {
			fkmi_min32(&entries[slot], k);
			break;
		}
	}
	a.slot_of[(int64_t)b * a.k + k] = (int32_t)slot;
	return norm;
}

static __device__ __forceinline__ void simt_set_margin(struct fkmi_simt_problem &problem, int d)
{
	const double relative = (double)fkmi_filter_relative(d), distance = (double)fkmi_filter_distance(d);
	const double tiny = (double)FKMI_FILTER_TINY, most = (double)problem.norm_max;
	const double slope = relative + tiny + 2 * distance;
	problem.usable = problem.norm_max <= FKMI_FILTER_NORM_LIMIT;
	problem.slope = (float)(1.02 * 1.00001 * slope);
	problem.intercept = simt_infinity();
	if (problem.usable)
		problem.intercept = (float)(1.00001 * (2 * (relative + distance) * most * most + tiny * (3 + 2 * most + slope)));
}

extern "C" __global__ void __launch_bounds__(FKMI_SIMT_PREPARE_THREADS)
	fkmi_simt_prepare(const __grid_constant__ struct fkmi_simt_prepare a)
{
	__shared__ struct fkmi_simt_problem problem;
	__shared__ int32_t norm_max;
	const int thread = (int)threadIdx.x;
	for (int b = (int)blockIdx.x; b < a.b; b += (int)gridDim.x) {
		if (!a.active[b])
			continue;
		for (int64_t slot = thread; slot < a.slots; slot += FKMI_SIMT_PREPARE_THREADS)
			a.table[b * a.slots + slot] = -1;
		if (thread == 0)
			norm_max = 0;
		simt_center(a, b, problem);
		float largest = 0;
		for (int k = thread; k < a.groups * FKMI_SIMT_CENTROIDS; k += FKMI_SIMT_PREPARE_THREADS) {
			const float norm = simt_convert(a, b, problem, k);
			largest = norm <= FKMI_FILTER_NORM_LIMIT ? fmaxf(largest, norm) : simt_infinity();
		}
		atomicMax(&norm_max, __float_as_int(largest));
		__syncthreads();
		for (int k = thread; k < a.k; k += FKMI_SIMT_PREPARE_THREADS)
			if (a.table[b * a.slots + a.slot_of[(int64_t)b * a.k + k]] != k) {
				a.norms[(int64_t)b * a.k + k] = -1;
				a.operands[((int64_t)b * a.groups + k / FKMI_SIMT_CENTROIDS) * FKMI_SIMT_GROUP_FLOATS(a.dims) +
						   a.dims * FKMI_SIMT_CENTROIDS + k % FKMI_SIMT_CENTROIDS] = -simt_infinity();
			}
		if (thread == 0) {
			problem.norm_max = __int_as_float(norm_max);
			simt_set_margin(problem, a.d);
			a.problems[b] = problem;
		}
		__syncthreads();
	}
}

/* ---- reading rows ---- */

static __device__ __forceinline__ float simt_from_bits(uint32_t bits, int dtype)
{
	return dtype == FKMI_TYPE_F16 ? fkmi_half_to_float((uint16_t)bits) : __uint_as_float(bits << 16);
}

/* The coordinates of ROWS rows as floats, zeros past d; at: each row's first element. All reads come before any use. */
template <int D, int ROWS>
static __device__ __forceinline__ void simt_read(const struct fkmi_simt_assign &a, const int64_t (&at)[ROWS],
												 float (&x)[ROWS][D])
{
	if (D % 4 == 0 && a.wide) {
		if (a.dtype == FKMI_TYPE_F32) {
#pragma unroll
			for (int r = 0; r < ROWS; r++)
#pragma unroll
				for (int j = 0; j + 3 < D; j += 4) {
					const float4 v = *(const float4 *)((const float *)a.points + at[r] + j);
					x[r][j] = v.x;
					x[r][j + 1] = v.y;
					x[r][j + 2] = v.z;
					x[r][j + 3] = v.w;
				}
			return;
		}
#pragma unroll
		for (int r = 0; r < ROWS; r++)
#pragma unroll
			for (int j = 0; j + 3 < D; j += 4) {
				const uint2 v = *(const uint2 *)((const uint16_t *)a.points + at[r] + j);
				x[r][j] = __uint_as_float(v.x & 0xffff);
				x[r][j + 1] = __uint_as_float(v.x >> 16);
				x[r][j + 2] = __uint_as_float(v.y & 0xffff);
				x[r][j + 3] = __uint_as_float(v.y >> 16);
			}
	} else if (a.dtype == FKMI_TYPE_F32) {
#pragma unroll
		for (int r = 0; r < ROWS; r++)
#pragma unroll
			for (int j = 0; j < D; j++)
				x[r][j] = j < a.d ? ((const float *)a.points)[at[r] + j] : 0.0f;
		return;
	} else {
#pragma unroll
		for (int r = 0; r < ROWS; r++)
#pragma unroll
			for (int j = 0; j < D; j++)
				x[r][j] = __uint_as_float(j < a.d ? ((const uint16_t *)a.points)[at[r] + j] : 0);
	}
#pragma unroll
	for (int r = 0; r < ROWS; r++)
#pragma unroll
		for (int j = 0; j < D; j++)
			x[r][j] = simt_from_bits(__float_as_uint(x[r][j]), a.dtype);
}

/* ---- rows that the filter does not decide ---- */

/* The label of row i by D of all different centroids; a whole warp calls it together, and all lanes get it. */
template <int D>
static __device__ __forceinline__ struct fkmi_verdict simt_decide(const struct fkmi_simt_assign &a,
																  const struct fkmi_points &p, int b, int64_t i)
{
	const int lane = (int)(threadIdx.x & 31);
	const int64_t row = fkmi_row(&p, b, i);
	const double factor = fkmi_row_factor(&p, b, i);
	double x[D];
#pragma unroll
	for (int j = 0; j < D; j++)
		x[j] = j < a.d ? fkmi_coordinate(&p, row, factor, j) : 0.0;
	struct fkmi_verdict v = {0, -1, 0};
	for (int k = lane; k < a.k; k += 32) {
		if (a.norms[(int64_t)b * a.k + k] < 0)
			continue;
		const double *c = a.centroids + ((int64_t)b * a.k + k) * a.d;
		double part[8] = {0, 0, 0, 0, 0, 0, 0, 0};
#pragma unroll
		for (int j = 0; j < D; j++) {
			const double t = j < a.d ? x[j] - c[j] : 0.0;
			part[j % 8] = fma(t, t, part[j % 8]);
		}
		fkmi_consider(&v, fkmi_combine8(part[0], part[1], part[2], part[3], part[4], part[5], part[6], part[7]), k);
	}
#pragma unroll
	for (int step = 16; step > 0; step /= 2) {
		const double distance = __shfl_xor_sync(0xffffffffu, v.distance, step);
		const int32_t label = __shfl_xor_sync(0xffffffffu, v.label, step);
		const int32_t tie = __shfl_xor_sync(0xffffffffu, v.tie, step);
		if (label < 0)
			continue;
		if (v.label < 0 || distance < v.distance) {
			v.distance = distance;
			v.label = label;
			v.tie = tie;
		} else if (distance == v.distance) {
			v.label = min(v.label, label);
			v.tie = 1;
		}
	}
	return v;
}

/* ---- the sweep ---- */

/* What a thread knows of its rows. */
template <int D, int ROWS> struct simt_rows {
	float y[ROWS][D];
	float best[ROWS], second[ROWS]; /* second: of the other groups */
	int32_t group[ROWS];            /* that has the best */
};

/* Scores of one row against four centroids, of which the first is at c. */
template <int D>
static __device__ __forceinline__ float4 simt_scores(const float (&y)[D], const float4 (&c)[D], float4 s)
{
#pragma unroll
	for (int j = 0; j < D; j++) {
		s.x = fmaf(y[j], c[j].x, s.x);
		s.y = fmaf(y[j], c[j].y, s.y);
		s.z = fmaf(y[j], c[j].z, s.z);
		s.w = fmaf(y[j], c[j].w, s.w);
	}
	return s;
}

/* Half a group's operands. */
template <int D>
static __device__ __forceinline__ float4 simt_load_half(const float *group, int half, float4 (&c)[D])
{
	const float4 *from = (const float4 *)group + half;
#pragma unroll
	for (int j = 0; j < D; j++)
		c[j] = from[2 * j];
	return from[2 * D];
}

/* The groups first .. first+count-1, which are at `groups`. */
template <int D, int ROWS>
static __device__ __forceinline__ void simt_sweep(struct simt_rows<D, ROWS> &rows, const float *groups, int first,
												  int count)
{
#pragma unroll 1
	for (int g = 0; g < count; g++) {
		const float *group = groups + g * FKMI_SIMT_GROUP_FLOATS(D);
		float top[ROWS];
#pragma unroll
		for (int half = 0; half < 2; half++) {
			float4 c[D];
			const float4 start = simt_load_half<D>(group, half, c);
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				const float4 s = simt_scores<D>(rows.y[r], c, start);
				const float most = fmaxf(fmaxf(s.x, s.y), fmaxf(s.z, s.w));
				top[r] = half == 0 ? most : fmaxf(top[r], most);
			}
		}
#pragma unroll
		for (int r = 0; r < ROWS; r++) {
			rows.second[r] = fmaxf(rows.second[r], fminf(top[r], rows.best[r]));
			rows.group[r] = top[r] > rows.best[r] ? first + g : rows.group[r];
			rows.best[r] = fmaxf(rows.best[r], top[r]);
		}
	}
}

/* The place in its group of the score that is the best, and the second-best of the group. */
template <int D>
static __device__ __forceinline__ int simt_place(const float (&y)[D], const float *group, float *second)
{
	float best = -simt_infinity(), next = best;
	int place = 0;
#pragma unroll
	for (int half = 0; half < 2; half++) {
		float4 c[D];
		const float4 start = simt_load_half<D>(group, half, c);
		const float4 scores = simt_scores<D>(y, c, start);
		const float s[4] = {scores.x, scores.y, scores.z, scores.w};
#pragma unroll
		for (int i = 0; i < 4; i++) {
			next = fmaxf(next, fminf(s[i], best));
			place = s[i] > best ? 4 * half + i : place;
			best = fmaxf(best, s[i]);
		}
	}
	*second = next;
	return place;
}

/* ---- labels ---- */

/* A block's sums of the rows that it has assigned, in shared memory: halves of 64-bit numbers; a cluster has one for
 * each column and, last, that of its weights. */
struct simt_sums {
	int32_t *low, *high;
};

struct simt_counts {
	int32_t changed, rechecked, ties;
};

/* Gives the row at `at` its label; returns whether the sums change by it. */
static __device__ __forceinline__ bool simt_label(const struct fkmi_simt_assign &a, struct simt_counts &counts,
												  int64_t at, int32_t before, int32_t label)
{
	if (a.previous != nullptr)
		a.previous[at] = before;
	if (before != label) {
		a.labels[at] = label;
		counts.changed++;
	}
	return a.accumulates && (before != label || !a.delta);
}

/* Adds row i of problem b to the sums of its cluster, and takes it out of those of cluster `from` unless that is -1. */
static __device__ __forceinline__ void simt_move(const struct fkmi_simt_assign &a, const struct fkmi_points &p,
												 const struct simt_sums &sums, int b, int64_t i, int32_t from,
												 int32_t to)
{
	const struct fkmi_weights weights = {(const char *)a.weights, a.weights_stride, a.weights_dtype};
	const double w = fkmi_weight(&weights, b, i), factor = fkmi_row_factor(&p, b, i);
	const double weight_scale = fkmi_bits_double(a.state[(int64_t)b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]);
	const int64_t row = fkmi_row(&p, b, i);
	const int width = a.d + 1;
#pragma unroll 1
	for (int j = 0; j < width; j++) {
		const int64_t q = j < a.d ? fkmi_rint(w * fkmi_coordinate(&p, row, factor, j) * a.column_scale[b * a.d + j])
								  : fkmi_rint(w * weight_scale);
		fkmi_local_add64(sums.low, sums.high, to * width + j, q);
		if (from >= 0)
			fkmi_local_add64(sums.low, sums.high, from * width + j, -q);
	}
}

static __device__ __forceinline__ void simt_add(const struct fkmi_simt_assign &a, int b, int member, int value)
{
	const int sum = __reduce_add_sync(0xffffffffu, value);
	if (sum != 0 && (threadIdx.x & 31) == 0)
		fkmi_add64(&a.state[(int64_t)b * FKMI_STATE_MEMBERS + member], sum);
}

/* Adds the block's sums to those of problem b, and zeroes them. */
static __device__ __forceinline__ void simt_flush(const struct fkmi_simt_assign &a, const struct simt_sums &sums, int b)
{
	const int width = a.d + 1;
	for (int s = (int)threadIdx.x; s < a.k * width; s += FKMI_SIMT_THREADS) {
		const int64_t sum = (int64_t)((uint64_t)(uint32_t)sums.high[s] << 32 | (uint32_t)sums.low[s]);
		const int k = s / width, j = s - k * width;
		sums.high[s] = sums.low[s] = 0;
		if (sum == 0)
			continue;
		if (j < a.d)
			fkmi_add64(&a.sums[((int64_t)b * a.k + k) * a.d + j], sum);
		else
			fkmi_add64(&a.weight_sums[(int64_t)b * a.k + k], sum);
	}
}

/* A warp's tile of rows after the sweep. operands: all of the problem's. */
template <int D, int ROWS>
static __device__ __forceinline__ void simt_finish(const struct fkmi_simt_assign &a, const struct fkmi_points &p,
												   const struct fkmi_simt_problem &problem, const float *operands,
												   const struct simt_rows<D, ROWS> &rows, const struct simt_sums &sums,
												   struct simt_counts &counts, int b, int first)
{
	const int lane = (int)(threadIdx.x & 31);
	int32_t before[ROWS];
	uint32_t open = 0, moved = 0; /* rows not decided; rows by which the sums change */
#pragma unroll
	for (int r = 0; r < ROWS; r++) {
		const int i = first + 32 * r + lane;
		before[r] = i < a.span_rows ? a.labels[b * a.n + a.span_row + i] : 0;
	}
#pragma unroll
	for (int r = 0; r < ROWS; r++) {
		const int i = first + 32 * r + lane;
		float second;
		const int place = simt_place<D>(rows.y[r], operands + rows.group[r] * FKMI_SIMT_GROUP_FLOATS(D), &second);
		const int32_t label = rows.group[r] * FKMI_SIMT_CENTROIDS + place;
		second = fmaxf(second, rows.second[r]);
		float squares = 0;
#pragma unroll
		for (int j = 0; j < D; j++)
			squares = fmaf(rows.y[r][j], rows.y[r][j], squares);
		bool certain = !a.exact || rows.best[r] - second > fmaf(problem.slope, squares, problem.intercept);
		if (!certain && problem.usable && squares < FKMI_FILTER_SQUARES_LIMIT)
			certain = second < fkmi_filter_threshold(rows.best[r], squares, a.norms[(int64_t)b * a.k + label],
													 problem.norm_max, a.d);
		if (i >= a.span_rows)
			continue;
		if (!certain)
			open |= 1u << r;
		else if (simt_label(a, counts, b * a.n + a.span_row + i, before[r], label))
			moved |= 1u << r;
	}
#pragma unroll 1
	for (uint32_t left = __reduce_or_sync(0xffffffffu, open | moved); left != 0; left &= left - 1) {
		const int r = __ffs((int)left) - 1;
		const int64_t i = a.span_row + first + 32 * r + lane;
		int32_t from = before[0];
#pragma unroll
		for (int other = 1; other < ROWS; other++)
			from = r == other ? before[other] : from;
		for (uint32_t lanes = __ballot_sync(0xffffffffu, open >> r & 1); lanes != 0; lanes &= lanes - 1) {
			const int of = __ffs((int)lanes) - 1;
			const struct fkmi_verdict verdict = simt_decide<D>(a, p, b, i - lane + of);
			if (lane == of) {
				counts.rechecked++;
				counts.ties += verdict.tie;
				if (simt_label(a, counts, b * a.n + i, from, verdict.label))
					moved |= 1u << r;
			}
		}
		if (moved >> r & 1)
			simt_move(a, p, sums, b, i, a.delta ? from : -1, a.labels[b * a.n + i]);
	}
}

/* ---- the kernel ---- */

/* The number of active problems; by the whole block. */
static __device__ __forceinline__ int simt_count_active(const struct fkmi_simt_assign &a)
{
	int count = 0;
	for (int first = 0; first < a.b; first += FKMI_SIMT_THREADS) {
		const int b = first + (int)threadIdx.x;
		count += __syncthreads_count(b < a.b && a.active[b] != 0);
	}
	return count;
}

/* The active problem that `index` others come before; by whole warps. */
static __device__ __forceinline__ int simt_nth_active(const struct fkmi_simt_assign &a, int index)
{
	const int lane = (int)(threadIdx.x & 31);
	for (int first = 0;; first += 32) {
		const int b = first + lane;
		uint32_t found = __ballot_sync(0xffffffffu, b < a.b && a.active[b] != 0);
		const int count = __popc(found);
		if (index < count) {
			for (; index > 0; index--)
				found &= found - 1;
			return first + __ffs((int)found) - 1;
		}
		index -= count;
	}
}

/* Tiles first .. last-1 of problem b; by the whole block. */
template <int D, int ROWS>
static __device__ __forceinline__ void simt_problem(const struct fkmi_simt_assign &a, float *chunk,
													const struct simt_sums &sums, int b, int first, int last)
{
	enum { WARPS = FKMI_SIMT_THREADS / 32, FLOATS = FKMI_SIMT_GROUP_FLOATS(D) };
	const struct fkmi_points p = {(const char *)a.points, a.row_scale, a.row_stride, a.batch_stride, a.n, a.d, a.dtype};
	const struct fkmi_simt_problem &problem = a.problems[b];
	const float *operands = a.operands + (int64_t)b * a.groups * FLOATS;
	const int lane = (int)(threadIdx.x & 31), warp = (int)threadIdx.x / 32;
	const bool whole = a.chunk_groups >= a.groups;
	struct simt_counts counts = {0, 0, 0};
	for (int done = first; done < last; done += WARPS) {
		const int tile = done + warp;
		const bool mine = tile < last;
		struct simt_rows<D, ROWS> rows;
		if (mine) {
			int64_t at[ROWS];
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				/* Past the last row, that one again. */
				const int i = min(tile * (32 * ROWS) + 32 * r + lane, a.span_rows - 1);
				at[r] = fkmi_row(&p, b, a.span_row + i);
				rows.best[r] = rows.second[r] = -simt_infinity();
				rows.group[r] = 0;
			}
			simt_read<D, ROWS>(a, at, rows.y);
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				const int i = min(tile * (32 * ROWS) + 32 * r + lane, a.span_rows - 1);
				const double factor = fkmi_row_factor(&p, b, a.span_row + i);
#pragma unroll
				for (int j = 0; j < D; j++)
					rows.y[r][j] = a.row_scale != nullptr ? (float)((double)rows.y[r][j] * factor * (double)problem.scale -
																	(double)problem.mu[j])
														  : fmaf(rows.y[r][j], problem.scale, -problem.mu[j]);
			}
		}
		for (int group = 0; group < a.groups; group += a.chunk_groups) {
			const int count = min(a.chunk_groups, a.groups - group);
			if (!whole || done == first) {
				__syncthreads();
				for (int i = (int)threadIdx.x; i < count * (FLOATS / 4); i += FKMI_SIMT_THREADS)
					((float4 *)chunk)[i] = ((const float4 *)(operands + (int64_t)group * FLOATS))[i];
				__syncthreads();
			}
			if (mine)
				simt_sweep<D, ROWS>(rows, chunk, group, count);
		}
		if (mine)
			simt_finish<D, ROWS>(a, p, problem, whole ? chunk : operands, rows, sums, counts, b, tile * (32 * ROWS));
	}
	simt_add(a, b, FKMI_STATE_CHANGED, counts.changed);
	simt_add(a, b, FKMI_STATE_RECHECKED, counts.rechecked);
	simt_add(a, b, FKMI_STATE_TIES, counts.ties);
	__syncthreads();
	if (a.accumulates)
		simt_flush(a, sums, b);
}

template <int D, int ROWS> static __device__ __forceinline__ void simt_assign(const struct fkmi_simt_assign &a)
{
	extern __shared__ float4 memory[];
	float *chunk = (float *)memory;
	const int sum_count = a.accumulates ? a.k * (a.d + 1) : 0;
	const struct simt_sums sums = {(int32_t *)(chunk + a.chunk_groups * FKMI_SIMT_GROUP_FLOATS(D)),
								   (int32_t *)(chunk + a.chunk_groups * FKMI_SIMT_GROUP_FLOATS(D)) + sum_count};
	for (int s = (int)threadIdx.x; s < 2 * sum_count; s += FKMI_SIMT_THREADS)
		sums.low[s] = 0;
	/* Each block takes as many tiles of the active problems as any other, one after the other. */
	const int64_t all = (int64_t)simt_count_active(a) * a.tiles;
	const int64_t end = all * (blockIdx.x + 1) / gridDim.x;
	for (int64_t done = all * blockIdx.x / gridDim.x; done < end;) {
		const int64_t index = done / a.tiles;
		const int first = (int)(done - index * a.tiles), last = (int)min((int64_t)a.tiles, first + (end - done));
		simt_problem<D, ROWS>(a, chunk, sums, simt_nth_active(a, (int)index), first, last);
		done += last - first;
	}
}

#define SIMT_KERNEL(dims, d_least, rows)                                                                               \
	extern "C" __global__ void __launch_bounds__(FKMI_SIMT_THREADS, FKMI_SIMT_BLOCKS)                                  \
		fkmi_simt_d##dims(const __grid_constant__ struct fkmi_simt_assign a)                                           \
	{                                                                                                                  \
		simt_assign<dims, rows>(a);                                                                                    \
	}
FKMI_SIMT_SHAPES(SIMT_KERNEL)

#endif
