/* SPDX-License-Identifier: Apache-2.0 */
/* What assign_split.cuh multiplies, from the current centroids: one kernel, a block for each problem. */
#ifndef FKMI_CUDA_SPLIT_PREPARE_CUH
#define FKMI_CUDA_SPLIT_PREPARE_CUH

#include "split_certificate.cuh"

static __device__ __forceinline__ float split_infinity(void)
{
	return __int_as_float(0x7f800000);
}

/* The power of two by which a norm of numbers scaled by `scale` comes to [FKMI_SPLIT_NORM, 2 FKMI_SPLIT_NORM). */
static __device__ __forceinline__ float split_scale(float scale, float norm)
{
	if (!(norm > 0 && norm <= FKMI_FILTER_NORM_LIMIT))
		return scale;
	const int p = fkmi_exponent((double)scale) - 1 + fkmi_exponent(2 * FKMI_SPLIT_NORM) - 1 - fkmi_exponent((double)norm);
	return (float)fkmi_power2(min(max(p, -126), 126));
}

/* The mean of some of the centroids, spread evenly; by the whole block. */
static __device__ __forceinline__ void split_mean(const struct fkmi_split_prepare &a, int b,
												  double (&mean)[FKMI_SPLIT_MOST_DIMS])
{
	enum { COLUMNS = FKMI_SPLIT_MOST_DIMS, SETS = FKMI_SPLIT_PREPARE_THREADS / COLUMNS, WARPS = SETS * COLUMNS / 32 };
	enum { MOST_SAMPLES = 4 * SETS };
	__shared__ double of_warp[WARPS][COLUMNS];
	const int thread = (int)threadIdx.x, j = thread % COLUMNS, set = thread / COLUMNS;
	const int64_t samples = min(a.k, (int)MOST_SAMPLES);
	double sum = 0;
	for (int64_t s = j < a.d ? set : samples; s < samples; s += SETS)
		sum += a.centroids[(b * (int64_t)a.k + s * a.k / samples) * a.d + j];
#pragma unroll
	for (int step = COLUMNS; step < 32; step *= 2)
		sum += __shfl_xor_sync(0xffffffffu, sum, step);
	of_warp[thread / 32][j] = sum;
	__syncthreads();
	if (set == 0) {
		for (int w = 1; w < WARPS; w++)
			sum += of_warp[w][j];
		mean[j] = sum / (double)samples;
	}
	__syncthreads();
}

/* mu; by the whole block. */
static __device__ __forceinline__ void split_set_scale(struct fkmi_split_problem &problem, float scale,
													   const double (&mean)[FKMI_SPLIT_MOST_DIMS])
{
	const int j = (int)threadIdx.x;
	if (j < FKMI_SPLIT_MOST_DIMS)
		problem.mu[j] = (float)(mean[j] * (double)scale);
	if (j == 0)
		problem.scale = scale;
	__syncthreads();
}

/* Two numbers as f16; high is that of the higher bits. */
static __device__ __forceinline__ uint32_t split_pack(float low, float high)
{
	uint32_t bits;
	asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
	return bits;
}

static __device__ __forceinline__ float split_round(float v)
{
	return fkmi_half_to_float((uint16_t)split_pack(v, 0));
}

/* Four neighbouring threads prepare a centroid, each the coordinates of one lane of a multiplication. */
struct split_centroid {
	int k, quarter;
	double z[FKMI_SPLIT_MOST_DIMS / 4];
	double squares; /* |z|^2 */
};

static __device__ __forceinline__ struct split_centroid split_take(const struct fkmi_split_prepare &a, int b,
																   const struct fkmi_split_problem &problem, int thread)
{
	struct split_centroid c;
	c.k = thread / 4;
	c.quarter = thread % 4;
	c.squares = 0;
#pragma unroll
	for (int chunk = 0; chunk < FKMI_SPLIT_MOST_DIMS / 4; chunk++) {
		const int j = 4 * chunk + c.quarter;
		c.z[chunk] = 0;
		if (c.k < a.k && j < a.d)
			c.z[chunk] = a.centroids[((int64_t)b * a.k + c.k) * a.d + j] * (double)problem.scale - (double)problem.mu[j];
		c.squares += c.z[chunk] * c.z[chunk];
	}
	c.squares += __shfl_xor_sync(0xffffffffu, c.squares, 1);
	c.squares += __shfl_xor_sync(0xffffffffu, c.squares, 2);
	return c;
}

/* An upper bound of Z_k, infinity if it is out of range. */
static __device__ __forceinline__ float split_norm(const struct split_centroid &c)
{
	const float norm = (float)(sqrt(c.squares) * 1.000001);
	return norm <= FKMI_FILTER_NORM_LIMIT ? norm : split_infinity();
}

/* Where the operands of centroid k are. */
static __device__ __forceinline__ float *split_score_operands(const struct fkmi_split_prepare &a, int b, int k)
{
	return a.sets +
		   ((int64_t)b * 4 * a.blocks + k / FKMI_SPLIT_SET) * FKMI_SPLIT_SET_FLOATS(4 * FKMI_SPLIT_CHUNKS(a.d)) +
		   k % FKMI_SPLIT_SET;
}

/* Column 2 q + e of a block's t-th multiplication is place 2 t + e of its set q; the lane is 4 column + quarter. */
static __device__ __forceinline__ uint2 *split_fragment(const struct fkmi_split_prepare &a, int b, int k, int quarter,
														int chunk)
{
	const int chunks = FKMI_SPLIT_CHUNKS(a.d), place = k % FKMI_SPLIT_SET;
	const int column = k / FKMI_SPLIT_SET % 4 * 2 + place % 2, at = place / 2 * chunks + chunk;
	return (uint2 *)a.fragments + ((int64_t)b * a.blocks + k / FKMI_SPLIT_BLOCK) * FKMI_SPLIT_FRAGMENTS(chunks) +
		   (at / 2 * 32 + 4 * column + quarter) * 2 + at % 2;
}

static __device__ __forceinline__ void split_convert(const struct fkmi_split_prepare &a, int b,
													 const struct split_centroid &c)
{
	const int chunks = FKMI_SPLIT_CHUNKS(a.d);
	float *scores = split_score_operands(a, b, c.k), part = 0;
	double rest = c.squares * 0.5;
	for (int i = 0; i < 3; i++) {
		const float next = split_round((float)rest);
		part = i == c.quarter ? next : part;
		rest -= (double)next;
	}
	if (c.k >= a.k && c.quarter == 0)
		part = split_infinity();
#pragma unroll
	for (int chunk = 0; chunk < FKMI_SPLIT_MOST_DIMS / 4; chunk++) {
		if (chunk >= chunks)
			break;
		const float z = (float)c.z[chunk], high = split_round(z), low = z - high;
		scores[(4 * chunk + c.quarter) * FKMI_SPLIT_SET] = z;
		*split_fragment(a, b, c.k, c.quarter, chunk) =
			make_uint2(split_pack(-high, -low), split_pack(-high, chunk == 0 ? part : 0.0f));
	}
	if (c.quarter == 0)
		scores[4 * chunks * FKMI_SPLIT_SET] = c.k < a.k ? -(float)(c.squares * 0.5) : -split_infinity();
}

/* Puts centroid k into the table of different centroids: equal ones meet in one slot, which keeps the lowest. */
static __device__ __forceinline__ void split_enter(const struct fkmi_split_prepare &a, int b, int k)
{
	const double *all = a.centroids + (int64_t)b * a.k * a.d, *row = all + (int64_t)k * a.d;
	uint32_t hash = 0;
	for (int j = 0; j < a.d; j++)
		hash += fkmi_hash(row[j], j);
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
}

/* Takes a centroid that equals one before it out of the filter. */
static __device__ __forceinline__ void split_leave_out(const struct fkmi_split_prepare &a, int b, int k)
{
	a.norms[(int64_t)b * a.k + k] = -1;
	split_score_operands(a, b, k)[4 * FKMI_SPLIT_CHUNKS(a.d) * FKMI_SPLIT_SET] = -split_infinity();
	uint2 *fragment = split_fragment(a, b, k, 0, 0);
	*fragment = make_uint2(0, split_pack(0, split_infinity()));
}

extern "C" __global__ void __launch_bounds__(FKMI_SPLIT_PREPARE_THREADS)
	fkmi_split_prepare(const __grid_constant__ struct fkmi_split_prepare a)
{
	__shared__ struct fkmi_split_problem problem;
	__shared__ double mean[FKMI_SPLIT_MOST_DIMS];
	__shared__ int32_t largest[2]; /* norms, as bits: in the points' scale, in the final one */
	const int thread = (int)threadIdx.x, threads = 4 * FKMI_SPLIT_BLOCK * a.blocks;
	for (int b = (int)blockIdx.x; b < a.b; b += (int)gridDim.x) {
		if (!a.active[b])
			continue;
		for (int64_t slot = thread; slot < a.slots; slot += FKMI_SPLIT_PREPARE_THREADS)
			a.table[b * a.slots + slot] = -1;
		if (thread < 2)
			largest[thread] = 0;
		const float scale = fkmi_filter_scale(a.state, b);
		split_mean(a, b, mean);
		split_set_scale(problem, scale, mean);
		for (int i = thread; i < threads; i += FKMI_SPLIT_PREPARE_THREADS)
			atomicMax(&largest[0], __float_as_int(split_norm(split_take(a, b, problem, i))));
		__syncthreads();
		split_set_scale(problem, split_scale(scale, __int_as_float(largest[0])), mean);
		for (int i = thread; i < threads; i += FKMI_SPLIT_PREPARE_THREADS) {
			const struct split_centroid c = split_take(a, b, problem, i);
			split_convert(a, b, c);
			if (c.k < a.k && c.quarter == 0) {
				const float norm = split_norm(c);
				a.norms[(int64_t)b * a.k + c.k] = norm;
				atomicMax(&largest[1], __float_as_int(norm));
				split_enter(a, b, c.k);
			}
		}
		__syncthreads();
		for (int k = thread; k < a.k; k += FKMI_SPLIT_PREPARE_THREADS)
			if (a.table[b * a.slots + a.slot_of[(int64_t)b * a.k + k]] != k)
				split_leave_out(a, b, k);
		if (thread == 0) {
			problem.norm_max = __int_as_float(largest[1]);
			split_set_margin(problem, a.d);
			a.problems[b] = problem;
		}
		__syncthreads();
	}
}

#endif
