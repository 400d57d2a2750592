/* SPDX-License-Identifier: Apache-2.0 */
/* The warpgroup of an assignment kernel that moves data: one warp fills the ring, the others make labels of results. */
#ifndef FKMI_CUDA_MOVERS_CUH
#define FKMI_CUDA_MOVERS_CUH

#include "kernels/common/state.h"
#include "kernels/cuda/certificate.cuh"
#include "kernels/cuda/shape.cuh"

/* ---- the warp that fills the ring ---- */

/* Eight elements, of which the first `count` are there and the others zero, in two-byte loads. */
static __device__ __forceinline__ void fetch_elements(uint32_t to, const uint16_t *from, int count)
{
#pragma unroll 1
	for (int i = 0; i < 8; i += 2) {
		const uint32_t low = i < count ? __ldg(from + i) : 0, high = i + 1 < count ? __ldg(from + i + 1) : 0;
		shared_store1(to + 2 * i, low | high << 16);
	}
}

/*
 * Fetches SLICES slices of 128 rows, rows i, i + 1, ... of the item, from dimension `column` on, to where the copy
 * engine would have put them: blocks of 64 rows, in a block slice by slice, 16-byte pieces swizzled. The whole warp
 * calls it.
 */
template <int SLICES, bool RECHECKS>
static __device__ __forceinline__ void fetch_rows(const struct fkmi_sm90_assign &a, uint32_t to, int b, int i,
												  int column)
{
	constexpr int PIECES = 8 * SLICES, GROUPS = 4;
	const int lane = (int)(threadIdx.x & 31), piece = lane % PIECES, rows = 32 / PIECES;
	const int dimension = column + 8 * piece, count = max(0, min(8, a.d - dimension));
	const int there = RECHECKS ? __ldg(&a.row_counts[b]) : a.span_rows;
#pragma unroll 1
	for (int group = 0; group < GROUPS; group++) {
		/* Of a recheck each lane looks up the number of one row. */
		int number = -1;
		if (RECHECKS && i + 32 * group + lane < there)
			number = a.rows[(int64_t)b * a.span_rows + i + 32 * group + lane].row;
#pragma unroll(RECHECKS ? 4 : 1)
		for (int turn = 0; turn < PIECES; turn++) {
			const int local = 32 * group + turn * rows + lane / PIECES;
			int row = RECHECKS ? __shfl_sync(0xffffffffu, number, local % 32) : -1;
			if (!RECHECKS && i + local < there)
				row = a.span_row + i + local;
			const uint32_t at = to + (uint32_t)(local / BLOCK_ROWS * SLICES + piece / 8) * BLOCK_BYTES +
								(uint32_t)(local % BLOCK_ROWS) * 128 + (uint32_t)((piece ^ local) & 7) * 16;
			if (!RECHECKS)
				asm volatile("" : "+r"(b)); /* addresses are made anew, registers are few */
			const uint16_t *from = (const uint16_t *)a.operands;
			int elements = 0;
			if (row >= 0 && count > 0) {
				from += b * a.operand_batch_stride + row * a.operand_row_stride + dimension;
				elements = count;
			}
			if (RECHECKS && a.aligned)
				copy16(at, from, 2 * elements);
			else
				fetch_elements(at, from, elements);
		}
	}
	copy16_wait();
	async_proxy_fence();
}

template <class SHAPE, bool RECHECKS, bool FETCHES>
static __device__ __forceinline__ void fill_ring(const struct tensor_map *points, const struct tensor_map *centroids,
												 const struct fkmi_sm90_assign &a, uint32_t base)
{
	typedef shared_layout<SHAPE, RECHECKS> layout;
	const int lane = (int)(threadIdx.x & 31);
	/* Threads that went apart could miss a phase of a barrier: one thread alone, or all in step. */
	if (!FETCHES && lane != 0)
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
					fetch_rows<SHAPE::SLICES, RECHECKS>(a, to, item.b, row + first, column);
					mbarrier_arrive(full);
				} else if (lane == 0) {
					mbarrier_arrive_expect(full, SHAPE::STAGE_BYTES);
#pragma unroll
					for (int j = 0; j < 2 * SHAPE::SLICES; j++)
						copy_box(to + j * BLOCK_BYTES, points, full, column + j % SHAPE::SLICES * SLICE,
								 a.span_row + row + first + j / SHAPE::SLICES * BLOCK_ROWS, item.b);
				}
				at.advance();
			}
		}
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
				if constexpr (SHAPE::STREAMS && FETCHES)
					fetch_rows<1, RECHECKS>(a, to, item.b, row, column);
				if (lane == 0) {
					constexpr bool copies_points = SHAPE::STREAMS && !FETCHES;
					mbarrier_arrive_expect(full, SHAPE::STAGE_BYTES - (copies_points ? 0 : SHAPE::POINT_BYTES) +
													 (c == 0 ? SHAPE::COLUMNS * 4 : 0));
					if constexpr (copies_points) {
#pragma unroll
						for (int j = 0; j < 2; j++)
							copy_box(to + j * BLOCK_BYTES, points, full, column, a.span_row + row + j * BLOCK_ROWS,
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
				} else {
					mbarrier_arrive(full);
				}
				at.advance();
			}
	}
}

/* ---- the warps that make labels of results ---- */

/* Labels, previous labels and counters of the rows of one tile, a row for each thread of warps 1 to 3 at a time;
 * undecided rows go to the list. */
template <class SHAPE>
static __device__ __forceinline__ void finish_rows(const struct fkmi_sm90_assign &a, const struct work_item &item,
												   uint32_t results)
{
	int changed = 0, b = item.b;
#pragma unroll 1
	for (int r = (int)thread_index() - 32; r < SHAPE::POINTS; r += 32 * FINISHERS) {
		asm volatile("" : "+r"(b)); /* what hangs on it does not stay in registers */
		const struct fkmi_sm90_problem *problem = &a.problems[b];
		const int row = item.tile * SHAPE::POINTS + r;
		const bool there = row < a.span_rows;
		/* Both are on their way while the rest is worked out. */
		const int64_t early = (int64_t)b * a.n + a.span_row + row;
		const int before = there ? a.labels[early] : 0;
		const float residual = there && a.residuals != nullptr ? __ldg(&a.residuals[early]) : 0.0f;
		const float4 result = shared_load4(results + 16 * r);
		const bool lost = __ldg(&problem->off) != 0 || !(result.x < 3.0e38f);
		float threshold = 0;
		bool listed = there && lost;
		if (there && a.exact && !lost) {
			threshold = certificate_threshold(problem, a.gamma, a.norm_factor, a.distance_error, a.square_factor,
											  result.x, result.w, residual);
			listed = !(result.z > threshold);
		}
		if (there) {
			const int label = __float_as_int(result.y);
			asm volatile("" : "+r"(b));
			const int64_t at = (int64_t)b * a.n + a.span_row + row;
			if (a.previous != nullptr)
				a.previous[at] = before;
			changed += !listed && before != label;
			/* Until the recheck, the label of a listed row is the head of its list of candidates. */
			a.labels[at] = !listed ? label : lost ? FKMI_SM90_SCAN_ALL : FKMI_SM90_NO_CANDIDATE;
		}
		const uint32_t mask = __ballot_sync(0xffffffffu, listed);
		if (mask == 0)
			continue;
		int place = 0;
		if ((thread_index() & 31) == 0)
			place = atomicAdd(&a.row_counts[b], __popc(mask));
		place = __shfl_sync(0xffffffffu, place, 0) + __popc(mask & ((1u << (thread_index() & 31)) - 1));
		if (listed) {
			struct fkmi_sm90_row *entry = &a.rows[(int64_t)b * a.span_rows + place];
			entry->row = a.span_row + row;
			entry->threshold = lost ? -3.4e38f : threshold;
		}
	}
	changed = __reduce_add_sync(0xffffffffu, changed);
	if ((thread_index() & 31) == 0 && changed != 0)
		atomicAdd((unsigned long long *)&a.state[(int64_t)item.b * FKMI_STATE_MEMBERS + FKMI_STATE_CHANGED],
				  (unsigned long long)changed);
}

template <class SHAPE>
static __device__ __forceinline__ void finish_tiles(const struct fkmi_sm90_assign &a, uint32_t base)
{
	typedef shared_layout<SHAPE, false> layout;
	const work_list<SHAPE, false> list(a);
#pragma unroll 1
	for (uint32_t done = 0;; done++) {
		const int i = (int)(blockIdx.x + done * block_count());
		if (i >= list.count(a))
			break;
		struct work_item item;
		const bool filled = list.get(a, i, item);
		const uint32_t slot = done % RESULT_SLOTS;
		mbarrier_wait(base + layout::RESULT_FULL + 8 * slot, done / RESULT_SLOTS & 1);
		if (filled)
			finish_rows<SHAPE>(a, item, base + layout::RESULTS + slot * layout::RESULT_BYTES);
		mbarrier_arrive(base + layout::RESULT_EMPTY + 8 * (done % RESULT_SLOTS));
	}
}

#endif
