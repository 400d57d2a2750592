/* SPDX-License-Identifier: Apache-2.0 */
/* The warpgroup of an assignment kernel that moves data: one warp fills the ring and others make labels of
 * results, or, in a recheck, all of them fetch rows. */
#ifndef FKMI_CUDA_MOVERS_CUH
#define FKMI_CUDA_MOVERS_CUH

#include "kernels/common/state.h"
#include "kernels/cuda/certificate.cuh"
#include "kernels/cuda/shape.cuh"

/* ---- the warps that fill the ring ---- */

/* Eight elements, of which the first `count` are there and the others zero, in two-byte loads. */
static __device__ __forceinline__ void fetch_elements(uint32_t to, const uint16_t *from, int count)
{
#pragma unroll 1
	for (int i = 0; i < 8; i += 2) {
		const uint32_t low = i < count ? __ldg(from + i) : 0, high = i + 1 < count ? __ldg(from + i + 1) : 0;
		shared_store1(to + 2 * i, low | high << 16);
	}
}

/* The place among the listed rows `i` of the problem of this lane's row of the 32 that its warp fetches; -1: none. */
static __device__ __forceinline__ int listed_row(const struct fkmi_sm90_assign &a, int b, int i)
{
	i += (int)threadIdx.x % 128;
	return i < __ldg(&a.row_counts[b]) ? a.rows[(int64_t)b * a.span_rows + i].row : -1;
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
				row = a.span_row + i + local;
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
								 a.span_row + row + first + j / SHAPE::SLICES * BLOCK_ROWS, item.b);
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
				const uint32_t bytes = SHAPE::STAGE_BYTES - (copies_points ? 0 : SHAPE::POINT_BYTES) +
									   (c == 0 ? SHAPE::COLUMNS * 4 : 0);
				if (leads) {
					if constexpr (FETCHES)
						mbarrier_expect(full, bytes);
					else
						mbarrier_arrive_expect(full, bytes);
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
				}
				if constexpr (SHAPE::STREAMS && FETCHES)
					fetch_rows<1, RECHECKS>(a, to, full, item.b, row, number, column);
				else if constexpr (FETCHES)
					mbarrier_arrive(full);
				at.advance();
			}
	}
}

/* ---- the warps that make labels of results ---- */

/* Adds logarithms of the measures of these lanes' rows to the problem's sums. */
static __device__ __forceinline__ void add_measures(struct fkmi_sm90_problem *problem, uint32_t lanes,
													const struct row_measure &row)
{
	const int length = __reduce_add_sync(lanes, measure_logarithm(row.length));
	const int distance = __reduce_add_sync(lanes, measure_logarithm(row.distance));
	const int residual = __reduce_add_sync(lanes, measure_logarithm(row.residual));
	if ((int)(thread_index() & 31) != __ffs((int)lanes) - 1)
		return;
	atomicAdd((unsigned long long *)&problem->lengths, (unsigned long long)(int64_t)length);
	atomicAdd((unsigned long long *)&problem->distances, (unsigned long long)(int64_t)distance);
	atomicAdd((unsigned long long *)&problem->residuals, (unsigned long long)(int64_t)residual);
	atomicAdd(&problem->measured, __popc(lanes));
}

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
		const float residual =
			there && a.residuals != nullptr ? __ldg(&a.residuals[(int64_t)b * a.n + a.span_row + row]) : 0.0f;
		const float4 result = shared_load4(results + 16 * r);
		const bool lost = __ldg(&problem->off) != 0 || !(result.x < 3.0e38f);
		float threshold = 0;
		bool listed = there && lost;
		const bool certified = there && a.exact && !lost;
		const uint32_t lanes = __ballot_sync(0xffffffffu, certified);
		if (certified) {
			const struct fkmi_sm90_length length = a.lengths[(int64_t)b * a.k + __float_as_int(result.y)];
			struct row_measure measure = {0, 0, residual + __ldg(&problem->point_residual)};
			threshold = certificate_threshold(problem, a.gamma, a.distance_error, a.square_factor, result.x, result.w,
											  length, measure);
			listed = !(result.z > threshold);
			if (item.tile % FKMI_SM90_MEASURED == 0)
				add_measures(&a.problems[b], lanes, measure);
		}
		if (there) {
			asm volatile("" : "+r"(b));
			const int64_t at = (int64_t)b * a.n + a.span_row + row;
			const int label = __float_as_int(result.y), before = a.labels[at];
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

/* Brings near what finish_rows reads of each row. */
template <class SHAPE>
static __device__ __forceinline__ void prefetch_rows(const struct fkmi_sm90_assign &a, const struct work_item &item)
{
	enum { ROWS = 32 }; /* in a line */
	const int row = item.tile * SHAPE::POINTS + (int)(thread_index() & 31) * ROWS;
	if ((int)(thread_index() & 31) * ROWS >= SHAPE::POINTS || row >= a.span_rows)
		return;
	const int64_t at = (int64_t)item.b * a.n + a.span_row + row;
	prefetch(&a.labels[at]);
	if (a.residuals != nullptr)
		prefetch(&a.residuals[at]);
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
		if (filled)
			prefetch_rows<SHAPE>(a, item);
		const uint32_t slot = done % RESULT_SLOTS;
		mbarrier_wait(base + layout::RESULT_FULL + 8 * slot, done / RESULT_SLOTS & 1);
		if (filled)
			finish_rows<SHAPE>(a, item, base + layout::RESULTS + slot * layout::RESULT_BYTES);
		mbarrier_arrive(base + layout::RESULT_EMPTY + 8 * (done % RESULT_SLOTS));
	}
}

/* Tiles of listed rows before each problem's, from their counts, by the last warp that has listed rows. */
static __device__ __forceinline__ void count_tiles(const struct fkmi_sm90_assign &a)
{
	const int lane = (int)(thread_index() & 31), warps = (int)block_count() * FINISHERS;
	int last = 0;
	__threadfence();
	__syncwarp();
	if (lane == 0)
		last = atomicAdd(&a.totals->assigned, 1) == warps - 1;
	if (!__shfl_sync(0xffffffffu, last, 0))
		return;
	__threadfence();
	enum { EACH = 4 }; /* problems of a lane, whose counts it reads together */
	int before = 0;
#pragma unroll 1
	for (int first = EACH * lane; first - EACH * lane < a.b; first += EACH * 32) {
		int tiles[EACH], sum = 0;
#pragma unroll
		for (int i = 0; i < EACH; i++)
			tiles[i] = first + i < a.b ? __ldcg(&a.row_counts[first + i]) : 0;
#pragma unroll
		for (int i = 0; i < EACH; i++)
			sum += tiles[i] = (tiles[i] + a.listed_tile - 1) / a.listed_tile;
		int end = sum; /* of the lanes up to this one */
#pragma unroll
		for (int step = 1; step < 32; step *= 2) {
			const int other = __shfl_up_sync(0xffffffffu, end, step);
			end += lane >= step ? other : 0;
		}
		int start = before + end - sum;
#pragma unroll
		for (int i = 0; i < EACH; i++) {
			if (first + i < a.b)
				a.row_starts[first + i] = start;
			start += tiles[i];
		}
		before += __shfl_sync(0xffffffffu, end, 31);
	}
	if (lane == 0) {
		a.row_starts[a.b] = before;
		a.totals->assigned = 0;
	}
}

#endif
