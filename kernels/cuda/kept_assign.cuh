/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FlashAssign for sm_90a where a problem's centroids fit in shared memory: they are brought once for each problem, and
 * the warpgroups that multiply go each at its own pace through tiles of 64 points, so that the scores of one are looked
 * through while the tensor cores work for another. A block takes a run of the active problems' tiles, which go round
 * its warpgroups. In the warpgroup that moves data, warp 0 brings points and centroids, and each of the others makes
 * labels of the results of one multiplying warpgroup.
 */
#ifndef FKMI_CUDA_KEPT_ASSIGN_CUH
#define FKMI_CUDA_KEPT_ASSIGN_CUH

#include "kernels/cuda/finish.cuh"
#include "kernels/cuda/fragments.cuh"

template <int STEPS_, int BUFFERS_, int COLUMNS_> struct kept_shape {
	static constexpr int STEPS = STEPS_, BUFFERS = BUFFERS_;
	static constexpr int GROUPS = FKMI_SM90_KEPT_GROUPS, ROWS = FKMI_SM90_KEPT_POINTS, COLUMNS = COLUMNS_;
	static constexpr int SLICES = (STEPS + SLICE_STEPS - 1) / SLICE_STEPS;
	/* Registers of a thread that multiplies, and of one that does not; with more of those, warps that make labels take two
	 * tiles together. */
	static constexpr bool CROWDED = STEPS > 4 && COLUMNS > 112;
	static constexpr int REGISTERS = CROWDED ? 152 : 144, MOVER_REGISTERS = CROWDED ? 56 : 80;
	static constexpr int TOGETHER = CROWDED ? 1 : 2;
	static constexpr int RESULT_SLOTS = FKMI_SM90_KEPT_RESULTS;
	static constexpr int POINT_BYTES = ROWS * SLICES * 128, CENTROID_BYTES = COLUMNS * SLICES * 128; /* of a tile */
};

/* Offsets in shared memory. Barriers: of each warpgroup, then those of the centroids. */
template <class SHAPE> struct kept_layout {
	static constexpr int RESULTS = SHAPE::GROUPS * SHAPE::BUFFERS * SHAPE::POINT_BYTES;
	static constexpr int RESULT_BYTES = SHAPE::ROWS * 16;
	static constexpr int BARRIERS = RESULTS + SHAPE::GROUPS * SHAPE::RESULT_SLOTS * RESULT_BYTES;
	static constexpr int FULL = 0, EMPTY = FULL + 8 * SHAPE::BUFFERS;
	static constexpr int RESULT_FULL = EMPTY + 8 * SHAPE::BUFFERS, RESULT_EMPTY = RESULT_FULL + 8 * SHAPE::RESULT_SLOTS;
	static constexpr int GROUP_BARRIERS = RESULT_EMPTY + 8 * SHAPE::RESULT_SLOTS;
	static constexpr int KEPT_FULL = BARRIERS + SHAPE::GROUPS * GROUP_BARRIERS, KEPT_EMPTY = KEPT_FULL + 8;
	static constexpr int RUN = KEPT_EMPTY + 8, NEWS = (RUN + 8 + 15) / 16 * 16, FINISH = BARRIERS + 640;
	static constexpr int CENTROIDS = BARRIERS + FKMI_SM90_KEPT_BARRIERS;
	static_assert(NEWS % 16 == 0 && FINISH % 16 == 0 && NEWS + 16 * SHAPE::GROUPS * SHAPE::BUFFERS <= FINISH,
				  "barriers lie over others");
	static_assert(FINISH + SHAPE::GROUPS * FINISH_BYTES <= CENTROIDS, "centroids lie over others");
	static_assert(CENTROIDS % 1024 == 0, "the swizzle needs that");

	static __device__ __forceinline__ uint32_t barriers(uint32_t base, int group)
	{
		return base + BARRIERS + group * GROUP_BARRIERS;
	}
	static __device__ __forceinline__ uint32_t points(uint32_t base, int group, uint32_t buffer)
	{
		return base + (group * SHAPE::BUFFERS + buffer) * SHAPE::POINT_BYTES;
	}
	static __device__ __forceinline__ uint32_t news(uint32_t base, int group, uint32_t buffer)
	{
		return base + NEWS + (group * SHAPE::BUFFERS + buffer) * 16;
	}
	static __device__ __forceinline__ uint32_t results(uint32_t base, int group, uint32_t slot)
	{
		return base + RESULTS + (group * SHAPE::RESULT_SLOTS + slot) * RESULT_BYTES;
	}
	static __device__ __forceinline__ uint32_t norms(uint32_t base, int centroid_tiles)
	{
		return base + CENTROIDS + centroid_tiles * SHAPE::CENTROID_BYTES;
	}
};

/*
 * The block's run of tiles, counted over the active problems, of which every GROUPS-th is a warpgroup's. The ends lie in
 * shared memory: registers are few.
 */
template <class SHAPE> struct kept_run {
	typedef kept_layout<SHAPE> layout;
	const struct fkmi_sm90_assign &a;
	uint32_t base;

	static __device__ __forceinline__ void make(const struct fkmi_sm90_assign &a, uint32_t base)
	{
		const uint32_t tiles = (uint32_t)(__ldg(&a.totals->active) * a.tiles), blocks = block_count();
		const uint32_t each = tiles / blocks, more = tiles % blocks;
		const uint32_t first = each * blockIdx.x + min((uint32_t)blockIdx.x, more);
		shared_store1(base + layout::RUN, first);
		shared_store1(base + layout::RUN + 4, first + each + (blockIdx.x < more ? 1 : 0));
	}
	__device__ __forceinline__ int first(void) const
	{
		return (int)shared_load1(base + layout::RUN);
	}
	__device__ __forceinline__ int end(void) const
	{
		return (int)shared_load1(base + layout::RUN + 4);
	}
	__device__ __forceinline__ bool empty(void) const
	{
		return first() == end();
	}
	/* The place of tile i's problem among the active ones. */
	__device__ __forceinline__ int place(int i) const
	{
		return (int)((uint32_t)i / (uint32_t)a.tiles);
	}
	__device__ __forceinline__ int problem(int place) const
	{
		return __ldg(&a.active_list[place]);
	}
};

/*
 * What the thread that brings a tile tells those that multiply, since to find that out takes them longer than to multiply:
 * how many times the centroids change before the warpgroup's next tile, or the end; whether this is its last one; the
 * problem; and what tile_length says.
 */
enum { NEWS_TURNS = 0xffff, NEWS_LAST = 1 << 16 };

/* ---- the thread that brings points and centroids ---- */

template <class SHAPE>
static __device__ __forceinline__ void keep_centroids(const struct tensor_map *centroids,
													  const struct fkmi_sm90_assign &a, uint32_t base, int b)
{
	typedef kept_layout<SHAPE> layout;
	const uint32_t full = base + layout::KEPT_FULL;
	mbarrier_arrive_expect(full, a.centroid_tiles * (SHAPE::CENTROID_BYTES + 4 * SHAPE::COLUMNS));
#pragma unroll 1
	for (int t = 0; t < a.centroid_tiles; t++)
#pragma unroll
		for (int j = 0; j < SHAPE::SLICES; j++)
			copy_box(base + layout::CENTROIDS + t * SHAPE::CENTROID_BYTES + j * SHAPE::COLUMNS * 128, centroids, full,
					 j * SLICE, t * SHAPE::COLUMNS, b);
	copy_bytes(layout::norms(base, a.centroid_tiles), a.norms + (int64_t)b * a.k_padded,
			   a.centroid_tiles * SHAPE::COLUMNS * 4, full);
}

template <class SHAPE>
static __device__ __forceinline__ void bring_tiles(const struct tensor_map *points, const struct tensor_map *centroids,
												   const struct fkmi_sm90_assign &a, uint32_t base)
{
	typedef kept_layout<SHAPE> layout;
	const struct kept_run<SHAPE> run = {
		a, base
	};
	if (run.empty())
		return;
	int place = run.place(run.first()), tile = run.first() - place * a.tiles, b = run.problem(place);
	const int first = place, last = run.place(run.end() - 1);
	struct length_measure measure = length_measure_of(a, b);
	auto find_longest = [&](int at) {
		return measure.moved < __int_as_float(0x7f800000) ? longest_of<SHAPE::ROWS>(a, b, at) : 0.0f;
	};
	float longest = find_longest(tile);
	keep_centroids<SHAPE>(centroids, a, base, b);
	int group = 0;
	uint32_t done = 0;
	bool keeps = false; /* the centroids of the tile's problem are still to come */
#pragma unroll 1
	for (int left = run.end() - run.first(); left > 0; left--) {
		const uint32_t buffer = done % SHAPE::BUFFERS, barriers = layout::barriers(base, group);
		const uint32_t full = barriers + layout::FULL + 8 * buffer;
		const int news = left <= SHAPE::GROUPS            ? last - place + NEWS_LAST
						 : tile + SHAPE::GROUPS < a.tiles ? 0
														  : (tile + SHAPE::GROUPS) / a.tiles;
		const float length = tile_length<SHAPE::ROWS>(a, measure, tile, longest);
		longest = find_longest(tile + 1); /* it will have come when it is wanted */
		mbarrier_wait(barriers + layout::EMPTY + 8 * buffer, (done / SHAPE::BUFFERS & 1) ^ 1);
		shared_store4(layout::news(base, group, buffer), {__int_as_float(news), __int_as_float(b), length, 0});
		mbarrier_arrive_expect(full, SHAPE::POINT_BYTES);
#pragma unroll
		for (int j = 0; j < SHAPE::SLICES; j++)
			copy_box(layout::points(base, group, buffer) + j * BLOCK_BYTES, points, full, j * SLICE,
					 a.operand_row + tile * SHAPE::ROWS, b);
		if (keeps) {
			/* Only now, so that the points are on their way. */
			mbarrier_wait(base + layout::KEPT_EMPTY, (uint32_t)(place - 1 - first) & 1);
			keep_centroids<SHAPE>(centroids, a, base, b);
			keeps = false;
		}
		if (++tile == a.tiles && left > 1) {
			tile = 0;
			b = run.problem(++place);
			measure = length_measure_of(a, b);
			longest = find_longest(tile);
			keeps = true;
		}
		if (++group == SHAPE::GROUPS) {
			group = 0;
			done++;
		}
	}
}

/* ---- the warpgroups that multiply ---- */

template <class SHAPE>
static __device__ __forceinline__ void multiply_kept(const struct fkmi_sm90_assign &a, uint32_t base)
{
	typedef kept_layout<SHAPE> layout;
	constexpr int STEPS = SHAPE::STEPS, COLUMNS = SHAPE::COLUMNS;
	auto group = [](void) { return (int)(thread_index() / WARPGROUP) - 1; };
	auto barriers = [&](void) { return layout::barriers(base, group()); };
	/* The next centroids, of version `version`. All warpgroups take part in every change. */
	uint32_t version = 0, done = 0;
	auto turn = [&](int times) {
		for (; times > 0; times--) {
			async_proxy_fence(); /* the copy engine writes over the norms */
			mbarrier_arrive(base + layout::KEPT_EMPTY);
			mbarrier_wait(base + layout::KEPT_FULL, ++version & 1);
		}
	};
	{
		const struct kept_run<SHAPE> run = {
			a, base
		};
		if (run.empty())
			return;
		mbarrier_wait(base + layout::KEPT_FULL, 0);
		turn(run.place(min(run.first() + group(), run.end() - 1)) - run.place(run.first()));
		if (run.first() + group() >= run.end())
			return;
	}
	uint32_t x[STEPS][4], news;
#pragma unroll 1
	do {
		const uint32_t buffer = done % SHAPE::BUFFERS;
		mbarrier_wait(barriers() + layout::FULL + 8 * buffer, done / SHAPE::BUFFERS & 1);
		const float4 told = shared_load4(layout::news(base, group(), buffer));
		news = __float_as_uint(told.x);
		const int b = __float_as_int(told.y);
#pragma unroll
		for (int step = 0; step < STEPS; step++)
			load_fragment(x[step], layout::points(base, group(), buffer) + (uint32_t)(step / SLICE_STEPS) * BLOCK_BYTES,
						  step % SLICE_STEPS);
		async_proxy_fence(); /* the copy engine writes there next */
		mbarrier_arrive(barriers() + layout::EMPTY + 8 * buffer);
		if (a.bf16) {
			const float scale = __ldg(&a.problems[b].point_scale);
#pragma unroll
			for (int step = 0; step < STEPS; step++)
				convert_fragment(x[step], scale);
		}
		struct best_of<false> best;
		best.clear();
		/* That of the lane's first row. */
		auto results = [&](void) {
			const uint32_t row = thread_index() / 4 % 8 + thread_index() / 32 % 4 * 16;
			return layout::results(base, group(), done % SHAPE::RESULT_SLOTS) + 16 * row;
		};
		/* In the shadow of the first multiplications. */
		auto measure = [&](void) {
			mbarrier_wait(barriers() + layout::RESULT_EMPTY + 8 * (done % SHAPE::RESULT_SLOTS),
						  (done / SHAPE::RESULT_SLOTS & 1) ^ 1);
			if (!a.exact)
				return;
			if (told.z < __int_as_float(0x7f800000)) {
				store_length(told.z, results());
				return;
			}
			const float *shift = a.shift != nullptr ? a.shift + (int64_t)b * a.shift_stride : nullptr;
			float squares[2] = {};
#pragma unroll
			for (int step = 0; step < STEPS; step++)
				add_squares(squares, x[step], shift != nullptr ? shift + 16 * step : nullptr);
			store_squares(squares, results());
		};
		float d[COLUMNS / 2];
#pragma unroll 1
		for (float column = 0; (int)column < a.centroid_tiles * COLUMNS; column += COLUMNS) {
			start_scores(d, layout::norms(base, a.centroid_tiles) + 4 * (uint32_t)column);
			hold(d);
			wgmma_fence();
			multiply<STEPS, COLUMNS>(d, x,
									 base + layout::CENTROIDS + (uint32_t)column * (SHAPE::CENTROID_BYTES / COLUMNS));
			wgmma_commit();
			if (column == 0)
				measure();
			wgmma_wait<0>();
			hold(d);
			best.take(d, column, a.one);
		}
		const struct row_result rows[2] = {best.finish(0), best.finish(1)};
		store_results(rows, results());
		mbarrier_arrive(barriers() + layout::RESULT_FULL + 8 * (done % SHAPE::RESULT_SLOTS));
		turn((int)(news & NEWS_TURNS));
		done++;
	} while ((news & NEWS_LAST) == 0);
}

/* ---- the warps that make labels ---- */

template <class SHAPE>
static __device__ __forceinline__ void finish_kept(const struct fkmi_sm90_assign &a, uint32_t base, int group)
{
	typedef kept_layout<SHAPE> layout;
	const struct kept_run<SHAPE> run = {
		a, base
	};
	const uint32_t barriers = layout::barriers(base, group);
	struct finisher<!SHAPE::CROWDED> finisher(a, base + layout::FINISH);
	int left = run.end() - run.first() - group; /* tiles of the block from the warp's next one on */
	int place = 0, tile = 0, b = -1;
	if (left > 0) {
		place = run.place(run.first() + group);
		tile = run.first() + group - place * a.tiles;
		b = run.problem(place);
	}
#pragma unroll 1
	for (uint32_t done = 0;;) {
		const bool counted = is_counted<SHAPE::ROWS>(a, tile);
		/* Two tiles together, where the next one is like this. */
		const int next = tile + SHAPE::GROUPS;
		const bool two = SHAPE::TOGETHER == 2 && left > SHAPE::GROUPS && next < a.tiles &&
						 is_counted<SHAPE::ROWS>(a, next) == counted;
		auto slot = [&](uint32_t i) { return (done + i) % SHAPE::RESULT_SLOTS; };
		auto wait = [&](uint32_t i) {
			mbarrier_wait(barriers + layout::RESULT_FULL + 8 * slot(i), (done + i) / SHAPE::RESULT_SLOTS & 1);
		};
		if (left > 0) {
			/* Those behind will have come when they are wanted. */
			prefetch_rows(a, b, (next + SHAPE::GROUPS) * SHAPE::ROWS, SHAPE::ROWS);
			prefetch_rows(a, b, (next + 2 * SHAPE::GROUPS) * SHAPE::ROWS, SHAPE::ROWS);
			wait(0);
			if (two)
				wait(1);
		}
		finisher.settle(b, counted);
		const int first[] = {tile * SHAPE::ROWS, two ? next * SHAPE::ROWS : a.span_rows};
		const uint32_t results[] = {layout::results(base, group, slot(0)), layout::results(base, group, slot(1))};
		finisher.template take<SHAPE::TOGETHER>(b, counted, first, results);
		if (left <= 0)
			break;
		mbarrier_arrive(barriers + layout::RESULT_EMPTY + 8 * slot(0));
		if (two)
			mbarrier_arrive(barriers + layout::RESULT_EMPTY + 8 * slot(1));
		const int taken = two ? 2 : 1;
		done += taken;
		left -= taken * SHAPE::GROUPS;
		tile += taken * SHAPE::GROUPS;
		if (left <= 0)
			b = -1;
		else if (tile >= a.tiles) {
			place += tile / a.tiles;
			tile %= a.tiles;
			b = run.problem(place);
		}
	}
}

/* ---- the kernel ---- */

template <class SHAPE>
static __device__ __forceinline__ void kept_assign(const struct tensor_map *points, const struct tensor_map *centroids,
												   const struct fkmi_sm90_assign &a)
{
	typedef kept_layout<SHAPE> layout;
	extern __shared__ __align__(1024) unsigned char shared_bytes[]; /* the swizzle needs that */
	const uint32_t base = shared_address(shared_bytes);
	const int warp = (int)threadIdx.x / 32;
	if (threadIdx.x == 0) {
		prefetch_map(points);
		prefetch_map(centroids);
		for (int group = 0; group < SHAPE::GROUPS; group++) {
			const uint32_t barriers = layout::barriers(base, group);
			for (int i = 0; i < SHAPE::BUFFERS; i++) {
				mbarrier_init(barriers + layout::FULL + 8 * i, 1);
				mbarrier_init(barriers + layout::EMPTY + 8 * i, WARPGROUP);
			}
			for (int i = 0; i < SHAPE::RESULT_SLOTS; i++) {
				mbarrier_init(barriers + layout::RESULT_FULL + 8 * i, WARPGROUP);
				mbarrier_init(barriers + layout::RESULT_EMPTY + 8 * i, 32);
			}
		}
		mbarrier_init(base + layout::KEPT_FULL, 1);
		mbarrier_init(base + layout::KEPT_EMPTY, SHAPE::GROUPS * WARPGROUP);
		kept_run<SHAPE>::make(a, base);
		mbarrier_init_fence();
	}
	__syncthreads();
	grid_release();
	if (warp < 4) {
		registers_decrease<SHAPE::MOVER_REGISTERS>();
		if (warp == 0) {
			if (threadIdx.x == 0)
				bring_tiles<SHAPE>(points, centroids, a, base);
		} else {
			finish_kept<SHAPE>(a, base, warp - 1);
			count_tiles(a, SHAPE::GROUPS);
		}
	} else {
		registers_increase<SHAPE::REGISTERS>();
		multiply_kept<SHAPE>(a, base);
	}
}

#endif
