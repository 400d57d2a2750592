/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a multiplying warpgroup does with operands in shared memory and with the rows of its accumulators. Points come as
 * blocks of 64 rows, in a block slice by slice of 64 dimensions, 16-byte pieces swizzled.
 */
#ifndef FKMI_CUDA_FRAGMENTS_CUH
#define FKMI_CUDA_FRAGMENTS_CUH

#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/shape.cuh"

/* Where a lane reads its share of a 64 x 64 block for ldmatrix, and of which row. */
static __device__ __forceinline__ uint32_t fragment_row(void)
{
	const uint32_t lane = threadIdx.x & 31, warp = threadIdx.x / 32 & 3;
	return (lane & 15) + 16 * warp;
}

/* Group `step` of 16 dimensions of a slice of 64 rows at `block`. */
static __device__ __forceinline__ void load_fragment(uint32_t (&a)[4], uint32_t block, int step)
{
	const uint32_t row = fragment_row(), half_row = threadIdx.x >> 4 & 1;
	load_matrices(a, block + row * 128 + ((2 * (uint32_t)step + half_row) ^ (row & 7)) * 16);
}

/* Pairs of bf16 to pairs of f16, times a power of two. */
static __device__ __forceinline__ void convert_fragment(uint32_t (&a)[4], float scale)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		a[i] = scale_pair(a[i], scale);
}

/* Adds a fragment's part of |x^ - m|^2 to that of the lane's two rows; shift: m of the fragment's first dimension, or
 * null. */
static __device__ __forceinline__ void add_squares(float (&squares)[2], const uint32_t (&a)[4], const float *shift)
{
	float2 low = {0, 0}, high = {0, 0};
	if (shift != nullptr) {
		const float2 *m = (const float2 *)shift + (threadIdx.x & 3);
		low = __ldg(m);
		high = __ldg(m + 4);
	}
#pragma unroll
	for (int h = 0; h < 2; h++) {
		const float2 x = halves_to_floats(a[h]), y = halves_to_floats(a[2 + h]);
		const float x0 = x.x - low.x, x1 = x.y - low.y, y0 = y.x - high.x, y1 = y.y - high.y;
		squares[h] = fmaf(x0, x0, fmaf(x1, x1, fmaf(y0, y0, fmaf(y1, y1, squares[h]))));
	}
}

/* The accumulators of COUNT / 4 columns of 8: hn. */
template <int COUNT> static __device__ __forceinline__ void start_scores(float (&d)[COUNT], uint32_t norms)
{
	norms += 8 * (thread_index() & 3);
#pragma unroll
	for (int i = 0; i < COUNT; i += 4) {
		const float2 norm = shared_load2(norms + 8 * i);
		d[i] = d[i + 2] = norm.x;
		d[i + 1] = d[i + 3] = norm.y;
	}
}

/* Subtracts a chunk's products: points `a`, centroids at `centroids`. */
template <int STEPS, int COLUMNS>
static __device__ __forceinline__ void multiply(float (&d)[COLUMNS / 2], const uint32_t (*a)[4], uint32_t centroids)
{
	const uint32_t descriptor = matrix_descriptor(centroids);
#pragma unroll
	for (int step = 0; step < STEPS; step++)
		wgmma_subtract(d, a[step],
					   descriptor + (uint32_t)(step / SLICE_STEPS * (COLUMNS * 128 / 16) + step % SLICE_STEPS * 2));
}

/* The whole |X^|^2 of the lane's rows, of which each of four lanes has a part, to the results, of which `results` is that
 * of the first row. */
static __device__ __forceinline__ void store_squares(float (&squares)[2], uint32_t results)
{
#pragma unroll
	for (int h = 0; h < 2; h++) {
		squares[h] += __shfl_xor_sync(0xffffffffu, squares[h], 1);
		squares[h] += __shfl_xor_sync(0xffffffffu, squares[h], 2);
		if ((threadIdx.x & 3) == 0)
			shared_store1(results + 16 * 8 * h + 12, __float_as_uint(squares[h]));
	}
}

/* The same where rows were not measured: P at most of them all, with the other sign. */
static __device__ __forceinline__ void store_length(float length, uint32_t results)
{
	if ((threadIdx.x & 3) == 0) {
		shared_store1(results + 12, __float_as_uint(-length));
		shared_store1(results + 16 * 8 + 12, __float_as_uint(-length));
	}
}

/* The results of the lane's rows, two of each block of 64, which four lanes share. */
template <int ROWS>
static __device__ __forceinline__ void store_results(const struct row_result (&rows)[ROWS], uint32_t results)
{
	const struct row_result r = merge_rows(rows);
	const int row = (int)(threadIdx.x & 3) * ROWS / 4;
	if (ROWS == 4 || (threadIdx.x & 1) == 0)
		shared_store3(results + 16 * (row / 2 * BLOCK_ROWS + row % 2 * 8), r.best, __int_as_float(r.column), r.second);
}

#endif
