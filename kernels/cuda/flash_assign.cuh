/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FlashAssign for sm_90a: scores of all points with all centroids on the tensor cores, none of which reaches memory.
 *
 * A block is one warpgroup that moves data and two that multiply; it is persistent and walks tiles of points.
 * Everything comes through one ring of shared memory: first the tile's points, which the multiplying warpgroups take
 * into registers (or, if d is large, a slice of the points with every slice of centroids), then tile after tile of
 * centroids. The accumulators start at hn and the products are subtracted, so that they end as scores
 * (certificate.cuh), of which
 *   - the assignment keeps the best column and the second-best score of each row. The warps beside the one that fills
 * the ring make labels of them, and list the rows whose second-best score is too near;
 *   - the recheck, over listed rows only and with the centroids shared out over blocks, lists all columns up to the
 * row's threshold.
 */
#ifndef FKMI_CUDA_FLASH_ASSIGN_CUH
#define FKMI_CUDA_FLASH_ASSIGN_CUH

#include "kernels/cuda/finish.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/movers.cuh"

/* ---- the warpgroups that multiply ---- */

/* What a multiplying warpgroup has at hand. */
template <class SHAPE, bool RECHECKS> struct multiplier {
	typedef shared_layout<SHAPE, RECHECKS> layout;
	const struct fkmi_sm90_assign &a;
	uint32_t base;
	uint32_t place; /* registers are few: stage of the ring, its parity at bit 8, items done from bit 9 on */

	__device__ __forceinline__ int group(void) const /* 0 or 1 */
	{
		return (int)(thread_index() / WARPGROUP) - 1;
	}
	/* The block's next item; count or more: none is left. */
	__device__ __forceinline__ int item(void) const
	{
		return (int)(blockIdx.x + (place >> 9) * gridDim.x);
	}

	__device__ __forceinline__ uint32_t stage(void) const
	{
		return place & 0xff;
	}
	__device__ __forceinline__ void advance(void)
	{
		place++;
		if (stage() == SHAPE::STAGES)
			place = (place ^ 1 << 8) - SHAPE::STAGES;
	}
	__device__ __forceinline__ uint32_t result_slot(void) const
	{
		return place >> 9 & 1;
	}
	__device__ __forceinline__ uint32_t result_parity(void) const
	{
		return place >> 10 & 1;
	}
	__device__ __forceinline__ uint32_t results_address(void) const
	{
		return base + layout::RESULTS + result_slot() * layout::RESULT_BYTES;
	}
	__device__ __forceinline__ void wait(void) const
	{
		mbarrier_wait(base + layout::FULL + 8 * stage(), place >> 8 & 1);
	}
	/* Every thread, for what it has read. */
	__device__ __forceinline__ void release(uint32_t stage) const
	{
		mbarrier_arrive(base + layout::EMPTY + 8 * stage);
	}
	/* Until the results of the item before the last are read. */
	__device__ __forceinline__ void wait_for_results(void) const
	{
		mbarrier_wait(base + layout::RESULT_EMPTY + 8 * result_slot(), result_parity() ^ 1);
	}
	/* Passes the results of an item on: every thread for its own. */
	__device__ __forceinline__ void give_results(void)
	{
		if (!RECHECKS)
			mbarrier_arrive(base + layout::RESULT_FULL + 8 * result_slot());
		place += 1 << 9;
	}
	/* An item with nothing to do: without results. */
	__device__ __forceinline__ void pass_item(void)
	{
		if (!RECHECKS)
			wait_for_results();
		give_results();
	}
	/* After reads by ldmatrix: the copy engine writes there next. */
	__device__ __forceinline__ void release_read(void)
	{
		async_proxy_fence();
		release(stage());
		advance();
	}
	__device__ __forceinline__ uint32_t stage_address(void) const
	{
		return base + stage() * SHAPE::STAGE_BYTES;
	}
	__device__ __forceinline__ uint32_t norms_address(void) const
	{
		return base + layout::NORMS + stage() * SHAPE::COLUMNS * 4;
	}
	/* The lane's first row in block `block` of the warpgroup's, within the tile; its second is 8 further. */
	__device__ __forceinline__ int first_row(int block) const
	{
		return (group() * SHAPE::BLOCKS + block) * BLOCK_ROWS +
			   (int)(thread_index() / 4 % 8 + thread_index() / 32 % 4 * 16);
	}
};

/* Rows of a tile as the epilogue sees them: best two, or lists of candidates. */
template <class SHAPE, bool RECHECKS> struct row_block;

template <class SHAPE> struct row_block<SHAPE, false> {
	struct best_of<SHAPE::RARE> best;

	__device__ __forceinline__ void begin(const multiplier<SHAPE, false> &, const struct work_item &, int)
	{
		best.clear();
	}
	template <int COUNT>
	__device__ __forceinline__ void take(const multiplier<SHAPE, false> &m, const float (&d)[COUNT],
										 const struct work_item &, float column)
	{
		best.take(d, column, m.a.one);
	}
};

template <class SHAPE> struct row_block<SHAPE, true> {
	struct candidate_lists lists;
	int row[2]; /* in the problem; -1: none */

	__device__ __forceinline__ void begin(const multiplier<SHAPE, true> &m, const struct work_item &item, int block)
	{
		const int there = __ldg(&m.a.row_counts[item.b]);
#pragma unroll
		for (int h = 0; h < 2; h++) {
			const int local = m.first_row(block) + 8 * h, i = item.tile * SHAPE::POINTS + local;
			row[h] = -1;
			lists.threshold[h] = -__int_as_float(0x7f800000);
			lists.count[h] = 0;
			lists.at[h] = m.base + shared_layout<SHAPE, true>::RESULTS +
						  (uint32_t)(4 * local + (int)(threadIdx.x & 3)) * CANDIDATE_LIST_BYTES;
			if (i < there) {
				const struct fkmi_sm90_row *entry = &m.a.rows[(int64_t)item.b * m.a.span_rows + i];
				row[h] = entry->row;
				lists.threshold[h] = entry->threshold;
			}
		}
	}
	template <int COUNT>
	__device__ __forceinline__ void take(const multiplier<SHAPE, true> &, const float (&d)[COUNT],
										 const struct work_item &item, float column)
	{
		candidate_lists_tile(lists, d, (int)column - item.first * SHAPE::COLUMNS);
	}
};

/* What the rows of a tile give. */
template <class SHAPE>
static __device__ __forceinline__ void end_rows(const multiplier<SHAPE, false> &m,
												const row_block<SHAPE, false> (&rows)[SHAPE::BLOCKS],
												const struct work_item &)
{
	struct row_result results[2 * SHAPE::BLOCKS];
#pragma unroll
	for (int i = 0; i < 2 * SHAPE::BLOCKS; i++)
		results[i] = rows[i / 2].best.finish(i % 2);
	store_results(results, m.results_address() + 16 * m.first_row(0));
}

template <class SHAPE>
static __device__ __forceinline__ void end_rows(const multiplier<SHAPE, true> &m,
												const row_block<SHAPE, true> (&rows)[SHAPE::BLOCKS],
												const struct work_item &item)
{
	struct candidate_lists lists[SHAPE::BLOCKS];
	int32_t *heads[2 * SHAPE::BLOCKS];
#pragma unroll
	for (int block = 0; block < SHAPE::BLOCKS; block++) {
		lists[block] = rows[block].lists;
#pragma unroll
		for (int h = 0; h < 2; h++)
			heads[2 * block + h] =
				rows[block].row[h] >= 0 ? &m.a.labels[(int64_t)item.b * m.a.n + rows[block].row[h]] : nullptr;
	}
	candidate_lists_flush(lists, heads, item.first * SHAPE::COLUMNS, m.a.candidates, m.a.candidate_capacity,
						  &m.a.totals->candidates);
}

/* Turns of the two warpgroups at issuing multiplications. */
template <int ORDER> struct turns {
	__device__ __forceinline__ int group(void) const
	{
		return (int)(thread_index() / WARPGROUP) - 1;
	}
	__device__ __forceinline__ void begin(void) const
	{
		if (ORDER != 0 && group() == 1)
			named_barrier_arrive(1, MULTIPLIERS * WARPGROUP);
	}
	__device__ __forceinline__ void take(void) const
	{
		if (ORDER != 0)
			named_barrier_sync(1 + group(), MULTIPLIERS * WARPGROUP);
	}
	template <int WHEN> __device__ __forceinline__ void give(void) const
	{
		if (ORDER == WHEN)
			named_barrier_arrive(2 - group(), MULTIPLIERS * WARPGROUP);
	}
	__device__ __forceinline__ void end(void) const
	{
		if (ORDER != 0 && group() == 0)
			named_barrier_sync(1, MULTIPLIERS * WARPGROUP);
	}
};

template <class SHAPE, bool RECHECKS>
static __device__ __forceinline__ void multiply_resident(multiplier<SHAPE, RECHECKS> &m)
{
	constexpr int STEPS = SHAPE::STEPS, CHUNKS = SHAPE::CHUNKS, BLOCKS = SHAPE::BLOCKS, COLUMNS = SHAPE::COLUMNS;
	static_assert(BLOCKS == 1 || CHUNKS == 1, "two blocks of rows have no registers for more");
	static_assert(BLOCKS == 2 || SHAPE::STAGES > CHUNKS, "a turn must end before the ring is full");
	const work_list<SHAPE, RECHECKS> list(m.a);
	const turns<SHAPE::ORDER> turn = {};
	uint32_t x[BLOCKS][CHUNKS * STEPS][4];
	turn.begin();
#pragma unroll 1
	while (m.item() < list.count(m.a)) {
		struct work_item item;
		if (!list.get(m.a, m.item(), item)) {
			m.pass_item();
			continue;
		}
		row_block<SHAPE, RECHECKS> rows[BLOCKS];
#pragma unroll
		for (int block = 0; block < BLOCKS; block++)
			rows[block].begin(m, item, block);
		/* The points: 128 of them in each stage. */
#pragma unroll
		for (int c = 0; c < CHUNKS; c++)
#pragma unroll
			for (int part = 0; part < BLOCKS; part++) {
				m.wait();
				if (BLOCKS == 1 || part == m.group()) {
#pragma unroll
					for (int block = 0; block < BLOCKS; block++)
#pragma unroll
						for (int step = 0; step < STEPS; step++)
							load_fragment(
								x[block][c * STEPS + step],
								m.stage_address() +
									(uint32_t)((BLOCKS == 1 ? m.group() : block) * SHAPE::SLICES + step / SLICE_STEPS) *
										BLOCK_BYTES,
								step % SLICE_STEPS);
				}
				m.release_read();
			}
		if (m.a.bf16) {
			const float scale = __ldg(&m.a.problems[item.b].point_scale);
#pragma unroll
			for (int block = 0; block < BLOCKS; block++)
#pragma unroll
				for (int step = 0; step < CHUNKS * STEPS; step++)
					convert_fragment(x[block][step], scale);
		}
		/* In the shadow of the first multiplications, where registers are free. */
		auto measure = [&](void) {
			if constexpr (!RECHECKS) {
				m.wait_for_results();
				if (!m.a.exact)
					return;
				float length = __int_as_float(0x7f800000);
				if (!SHAPE::MEASURES)
					length = tile_length<SHAPE::POINTS>(
						m.a, length_measure_of(m.a, list.problem(m.a, m.item())), item.tile,
						longest_of<SHAPE::POINTS>(m.a, list.problem(m.a, m.item()), item.tile));
				if (length < __int_as_float(0x7f800000)) {
#pragma unroll
					for (int block = 0; block < BLOCKS; block++)
						store_length(length, m.results_address() + 16 * m.first_row(block));
					return;
				}
				const float *shift = m.a.shift;
				if (shift != nullptr)
					shift += (int64_t)list.problem(m.a, m.item()) * m.a.shift_stride;
				float squares[BLOCKS][2] = {};
#pragma unroll
				for (int step = 0; step < CHUNKS * STEPS; step++)
#pragma unroll
					for (int block = 0; block < BLOCKS; block++)
						add_squares(squares[block], x[block][step], shift != nullptr ? shift + 16 * step : nullptr);
#pragma unroll
				for (int block = 0; block < BLOCKS; block++)
					store_squares(squares[block], m.results_address() + 16 * m.first_row(block));
			}
		};
		float d[BLOCKS][COLUMNS / 2];
#pragma unroll 1
		for (float column = (float)item.first * COLUMNS; (int)column < item.end<COLUMNS, RECHECKS>(m.a);
			 column += COLUMNS) {
			if constexpr (BLOCKS == 1) {
				uint32_t former = 0;
				turn.take();
#pragma unroll
				for (int c = 0; c < CHUNKS; c++) {
					m.wait();
					if (c == 0)
						start_scores(d[0], m.norms_address());
					hold(d[0]);
					wgmma_fence();
					multiply<STEPS, COLUMNS>(d[0], &x[0][c * STEPS], m.stage_address());
					wgmma_commit();
					if (c > 0) {
						wgmma_wait<1>();
						m.release(former);
					}
					former = m.stage();
					m.advance();
				}
				turn.template give<1>();
				if (column == (float)item.first * COLUMNS)
					measure();
				wgmma_wait<0>();
				hold(d[0]);
				turn.template give<2>();
				m.release(former);
				rows[0].take(m, d[0], item, column);
			} else {
				m.wait();
				start_scores(d[0], m.norms_address());
				start_scores(d[1], m.norms_address());
				hold(d[0]);
				hold(d[1]);
				turn.take();
				wgmma_fence();
				multiply<STEPS, COLUMNS>(d[0], &x[0][0], m.stage_address());
				wgmma_commit();
				multiply<STEPS, COLUMNS>(d[1], &x[1][0], m.stage_address());
				wgmma_commit();
				turn.template give<1>();
				wgmma_wait<1>();
				hold(d[0]);
				rows[0].take(m, d[0], item, column);
				if (column == (float)item.first * COLUMNS)
					measure();
				wgmma_wait<0>();
				hold(d[1]);
				m.release(m.stage());
				turn.template give<2>();
				rows[1].take(m, d[1], item, column);
				m.advance();
			}
		}
		end_rows(m, rows, item);
		m.give_results();
	}
	turn.end();
}

template <class SHAPE, bool RECHECKS>
static __device__ __forceinline__ void multiply_streamed(multiplier<SHAPE, RECHECKS> &m)
{
	constexpr int COLUMNS = SHAPE::COLUMNS;
	const work_list<SHAPE, RECHECKS> list(m.a);
	const int slices = (m.a.d + SLICE - 1) / SLICE;
#pragma unroll 1
	while (m.item() < list.count(m.a)) {
		struct work_item item;
		if (!list.get(m.a, m.item(), item)) {
			m.pass_item();
			continue;
		}
		row_block<SHAPE, RECHECKS> rows[1];
		rows[0].begin(m, item, 0);
		const float scale = m.a.bf16 ? __ldg(&m.a.problems[item.b].point_scale) : 0.0f;
		const float *shift = m.a.shift;
		if (shift != nullptr)
			shift += (int64_t)item.b * m.a.shift_stride;
		float d[COLUMNS / 2];
		float squares[2] = {0, 0};
		uint32_t x[2][SLICE_STEPS][4];
		/* The warpgroup's rows of the next stage, once it is there. */
		auto load = [&](uint32_t(&to)[SLICE_STEPS][4]) {
			m.wait();
#pragma unroll
			for (int step = 0; step < SLICE_STEPS; step++)
				load_fragment(to[step], m.stage_address() + (uint32_t)m.group() * BLOCK_BYTES, step);
			if (m.a.bf16) {
#pragma unroll
				for (int step = 0; step < SLICE_STEPS; step++)
					convert_fragment(to[step], scale);
			}
		};
		/* Multiplies what was loaded and meanwhile loads slice s + 1 of the tile, if there is one. */
		auto advance = [&](uint32_t(&now)[SLICE_STEPS][4], uint32_t(&next)[SLICE_STEPS][4], int s, bool first_tile) {
			const uint32_t stage = m.stage();
			hold(d);
			wgmma_fence();
			multiply<SLICE_STEPS, COLUMNS>(d, now, m.stage_address() + SHAPE::POINT_BYTES);
			wgmma_commit();
			m.advance();
			if constexpr (!RECHECKS) {
				if (first_tile && m.a.exact) {
#pragma unroll
					for (int step = 0; step < SLICE_STEPS; step++)
						add_squares(squares, now[step], shift != nullptr ? shift + SLICE * s + 16 * step : nullptr);
				}
			}
			if (s + 1 < slices)
				load(next);
			wgmma_wait<0>();
			hold(d);
			async_proxy_fence();
			m.release(stage);
		};
#pragma unroll 1
		for (float column = (float)item.first * COLUMNS; (int)column < item.end<COLUMNS, RECHECKS>(m.a);
			 column += COLUMNS) {
			const bool first = column == (float)item.first * COLUMNS;
			load(x[0]);
			start_scores(d, m.norms_address());
#pragma unroll 1
			for (int s = 0; s < slices; s += 2) {
				advance(x[0], x[1], s, first);
				if (s + 1 < slices)
					advance(x[1], x[0], s + 1, first);
			}
			rows[0].take(m, d, item, column);
			if constexpr (!RECHECKS) {
				if (first) {
					m.wait_for_results();
					store_squares(squares, m.results_address() + 16 * m.first_row(0));
				}
			}
		}
		end_rows(m, rows, item);
		m.give_results();
	}
}

/* ---- the warps that make labels ---- */

template <class SHAPE>
static __device__ __forceinline__ void finish_tiles(const struct fkmi_sm90_assign &a, uint32_t base)
{
	typedef shared_layout<SHAPE, false> layout;
	constexpr bool ROOMY = SHAPE::MOVER_REGISTERS >= 56;
	/* Of a warp in a tile, and how many of them it takes together, in how many parts. */
	constexpr uint32_t ROWS = SHAPE::POINTS / FINISHERS, TOGETHER = ROOMY ? ROWS / 64 : 1, PARTS = ROWS / 64 / TOGETHER;
	const work_list<SHAPE, false> list(a);
	struct finisher<ROOMY> finisher(a, base + layout::FINISH);
#pragma unroll 1
	for (uint32_t part = 0; part == 0 || finisher.b >= 0; part++) {
		{
			struct work_item item = {-1, 0, 0, 0};
			const int i = (int)(blockIdx.x + part / PARTS * block_count());
			if (i < list.count(a))
				list.get(a, i, item);
			finisher.settle(item.b, is_counted<SHAPE::POINTS>(a, item.tile));
		}
		asm volatile("" : "+r"(part)); /* all that is found again: registers are few */
		const int i = (int)(blockIdx.x + part / PARTS * block_count());
		const uint32_t slot = part / PARTS % RESULT_SLOTS;
		const uint32_t mine = (thread_index() / 32 - 1) * ROWS + part % PARTS * 64 * TOGETHER;
		struct work_item item = {-1, 0, 0, 0};
		int first[TOGETHER];
		uint32_t results[TOGETHER];
		first[0] = 0;
		if (i < list.count(a)) {
			first[0] = list.get(a, i, item) ? item.tile * SHAPE::POINTS + (int)mine : a.span_rows;
			prefetch_rows(a, item.b, first[0], 64 * TOGETHER);
			mbarrier_wait(base + layout::RESULT_FULL + 8 * slot, part / PARTS / RESULT_SLOTS & 1);
		}
#pragma unroll
		for (uint32_t t = 0; t < TOGETHER; t++) {
			first[t] = first[0] + 64 * (int)t;
			results[t] = base + layout::RESULTS + slot * layout::RESULT_BYTES + 16 * (mine + 64 * t);
		}
		/* Without a problem that ends it. */
		finisher.template take<TOGETHER>(item.b, is_counted<SHAPE::POINTS>(a, item.tile), first, results);
		if (finisher.b >= 0 && part % PARTS == PARTS - 1)
			mbarrier_arrive(base + layout::RESULT_EMPTY + 8 * slot);
	}
}

/* ---- the kernel ---- */

/* FETCHES: points are not copied in boxes, but row by row; a recheck does so, and the assignment of points that the
 * copy engine does not take. */
template <class SHAPE, bool RECHECKS, bool FETCHES>
static __device__ __forceinline__ void flash_assign(const struct tensor_map *points, const struct tensor_map *centroids,
													const struct fkmi_sm90_assign &a)
{
	typedef shared_layout<SHAPE, RECHECKS> layout;
	extern __shared__ __align__(1024) unsigned char shared_bytes[]; /* the swizzle needs that */
	const uint32_t base = shared_address(shared_bytes);
	constexpr int FETCHING_WARPS = RECHECKS ? 4 : 1;
	const int warp = (int)threadIdx.x / 32;
	if (threadIdx.x == 0) {
		prefetch_map(points);
		prefetch_map(centroids);
		for (int i = 0; i < SHAPE::STAGES; i++) {
			mbarrier_init(base + layout::FULL + 8 * i, FETCHES ? 32 * FETCHING_WARPS : 1);
			mbarrier_init(base + layout::EMPTY + 8 * i, MULTIPLIERS * WARPGROUP);
		}
		for (int i = 0; i < RESULT_SLOTS; i++) {
			mbarrier_init(base + layout::RESULT_FULL + 8 * i, MULTIPLIERS * WARPGROUP);
			mbarrier_init(base + layout::RESULT_EMPTY + 8 * i, 32 * FINISHERS);
		}
		mbarrier_init_fence();
	}
	__syncthreads();
	grid_release();
	if (RECHECKS)
		grid_wait();
	if (warp < 4) {
		registers_decrease<SHAPE::MOVER_REGISTERS>();
		if (warp < FETCHING_WARPS) {
			fill_ring<SHAPE, RECHECKS, FETCHES>(points, centroids, a, base);
		} else if (warp <= FINISHERS) {
			if constexpr (!RECHECKS) {
				finish_tiles<SHAPE>(a, base);
				count_tiles(a, FINISHERS);
			}
		}
	} else {
		registers_increase<SHAPE::REGISTERS>();
		multiplier<SHAPE, RECHECKS> m = {a, base, 0};
		if constexpr (SHAPE::STREAMS)
			multiply_streamed(m);
		else
			multiply_resident(m);
	}
}

#endif
