/* SPDX-License-Identifier: Apache-2.0 */
/* The warps of an assignment kernel that fill its ring: one, or, in a recheck, four that fetch rows. */
#ifndef FKMI_CUDA_MOVERS_CUH
#define FKMI_CUDA_MOVERS_CUH

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/shape.cuh"

/* Eight elements, of which the first `count` are there and the others zero, in two-byte loads. */
static __device__ __forceinline__ void fetch_elements(uint32_t to, const uint16_t *from, int count)
{
#pragma unroll 1
	for (int i = 0; i < 8; i += 2) {
		const uint32_t low = i < count ? __ldg(from + i) : 0, high = i + 1 < count ? __ldg(from + i + 1) : 0;
		shared_store1(to + 2 * i, low | high << 16);
	}
}

/* Where among the operands this lane's row is, of the 32 listed rows from `i` on that its warp fetches; -1: nowhere. */
static __device__ __forceinline__ int listed_row(const struct fkmi_sm90_assign &a, int b, int i)
{
	i += (int)threadIdx.x % 128;
	if (i >= __ldg(&a.row_counts[b]))
		return -1;
	return a.rows[(int64_t)b * a.span_rows + i].row - a.span_row + a.operand_row;
}

/*
 * Fetches SLICES slices of 128 rows of problem b, from dimension `column` on, to where the copy engine would have put
 * them: blocks of 64 rows, in a block slice by slice, 16-byte pieces swizzled. Called by the warps that fetch, of a
 * recheck all four, each for 32 rows of which a lane knows one: `number`. Otherwise it is one warp, and rows i, i + 1,
 * ... of the span. Every thread arrives at `full` once its part is there.
 */
template <int SLICES, bool RECHECKS>
static __device__ __forceinline__ void fetch_rows(const struct fkmi_sm90_assign &a, uint32_t to, uint32_t full, int b,
												  int i, int number, int column)
{
	constexpr int PIECES = 8 * SLICES, ROWS = 32 / PIECES, GROUPS = RECHECKS ? 1 : 4;
	const int lane = (int)(threadIdx.x & 31), piece = lane % PIECES;
	const int dimension = column + 8 * piece, count = max(0, min(8, a.d - dimension));
	const uint16_t *operands = (const uint16_t *)a.operands + b * a.operand_batch_stride + dimension;
#pragma unroll 1
	for (int group = 0; group < GROUPS; group++) {
		const int first = RECHECKS ? (int)threadIdx.x & 96 : 32 * group;
#pragma unroll(RECHECKS ? 4 : 1)
		for (int turn = 0; turn < PIECES; turn++) {
			const int local = first + turn * ROWS + lane / PIECES;
			int row = RECHECKS ? __shfl_sync(0xffffffffu, number, local % 32) : -1;
			if (!RECHECKS && i + local < a.span_rows)
				row = a.operand_row + i + local;
			const uint32_t at = to + (uint32_t)(local / BLOCK_ROWS * SLICES + piece / 8) * BLOCK_BYTES +
								(uint32_t)(local % BLOCK_ROWS) * 128 + (uint32_t)((piece ^ local) & 7) * 16;
			const bool there = row >= 0 && count > 0;
			const uint16_t *from = there ? operands + row * a.operand_row_stride : (const uint16_t *)a.operands;
			if (RECHECKS && a.aligned)
				copy16(at, from, there ? 2 * (uint32_t)count : 0);
			else
				fetch_elements(at, from, there ? count : 0);
		}
	}
	if (RECHECKS && a.aligned)
		copy16_arrive(full);
	else
		mbarrier_arrive(full);
}

template <class SHAPE, bool RECHECKS, bool FETCHES>
static __device__ __forceinline__ void fill_ring(const struct tensor_map *points, const struct tensor_map *centroids,
												 const struct fkmi_sm90_assign &a, uint32_t base)
{
	typedef shared_layout<SHAPE, RECHECKS> layout;
	const bool leads = threadIdx.x == 0;
	/* Threads that went apart could miss a phase of a barrier: one thread alone, or warps in step. */
	if (!FETCHES && !leads)
		return;
	const work_list<SHAPE, RECHECKS> list(a);
	ring_place<SHAPE::STAGES> at = {0, 0};
	auto wait = [&](void) {
		mbarrier_wait(base + layout::EMPTY + 8 * at.stage, at.parity ^ 1);
		if (FETCHES)
			__syncwarp();
	};
#pragma unroll 1
	for (int i = blockIdx.x; i < list.count(a); i += gridDim.x) {
		struct work_item item;
		if (!list.get(a, i, item))
			continue;
		const int row = item.tile * SHAPE::POINTS;
		if constexpr (!SHAPE::STREAMS) {
#pragma unroll 1
			for (int part = 0; part < SHAPE::CHUNKS * SHAPE::BLOCKS; part++) {
				const int column = part / SHAPE::BLOCKS * SHAPE::SLICES * SLICE, first = part % SHAPE::BLOCKS * 128;
				const uint32_t to = base + at.stage * SHAPE::STAGE_BYTES, full = base + layout::FULL + 8 * at.stage;
				wait();
				if constexpr (FETCHES) {
					const int number = RECHECKS ? listed_row(a, item.b, row + first) : -1;
					fetch_rows<SHAPE::SLICES, RECHECKS>(a, to, full, item.b, row + first, number, column);
				} else {
					mbarrier_arrive_expect(full, SHAPE::STAGE_BYTES);
#pragma unroll
					for (int j = 0; j < 2 * SHAPE::SLICES; j++)
						copy_box(to + j * BLOCK_BYTES, points, full, column + j % SHAPE::SLICES * SLICE,
								 a.operand_row + row + first + j / SHAPE::SLICES * BLOCK_ROWS, item.b);
				}
				at.advance();
			}
		}
		const int number = SHAPE::STREAMS && RECHECKS ? listed_row(a, item.b, row) : -1;
		int chunks;
		if constexpr (SHAPE::STREAMS)
			chunks = (a.d + SLICE - 1) / SLICE;
		else
			chunks = SHAPE::CHUNKS;
#pragma unroll 1
		for (int t = item.first; t < item.last; t++)
#pragma unroll 1
			for (int c = 0; c < chunks; c++) {
				const uint32_t to = base + at.stage * SHAPE::STAGE_BYTES, full = base + layout::FULL + 8 * at.stage;
				wait();
				const int column = c * SHAPE::SLICES * SLICE;
				constexpr bool copies_points = SHAPE::STREAMS && !FETCHES;
				const uint32_t bytes =
					SHAPE::STAGE_BYTES - (copies_points ? 0 : SHAPE::POINT_BYTES) + (c == 0 ? SHAPE::COLUMNS * 4 : 0);
				if (leads) {
					if constexpr (FETCHES)
						mbarrier_expect(full, bytes);
					else
						mbarrier_arrive_expect(full, bytes);
					if constexpr (copies_points) {
#pragma unroll
						for (int j = 0; j < 2; j++)
							copy_box(to + j * BLOCK_BYTES, points, full, column, a.operand_row + row + j * BLOCK_ROWS,
									 item.b);
					}
#pragma unroll
					for (int j = 0; j < SHAPE::SLICES; j++)
						copy_box(to + SHAPE::POINT_BYTES + j * SHAPE::COLUMNS * 128, centroids, full,
								 column + j * SLICE, t * SHAPE::COLUMNS, item.b);
					if (c == 0)
						copy_bytes(base + layout::NORMS + at.stage * SHAPE::COLUMNS * 4,
								   a.norms + (int64_t)item.b * a.k_padded + t * SHAPE::COLUMNS, SHAPE::COLUMNS * 4,
								   full);
				}
				if constexpr (SHAPE::STREAMS && FETCHES)
					fetch_rows<1, RECHECKS>(a, to, full, item.b, row, number, column);
				else if constexpr (FETCHES)
					mbarrier_arrive(full);
				at.advance();
			}
	}
}

#endif
