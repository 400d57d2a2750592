/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of the scores in a warpgroup's accumulators. A lane holds rows lane / 4 and lane / 4 + 8 of its warp's
 * 16; element 4 j + 2 h + e is that of row h and column 8 j + 2 (lane % 4) + e.
 */
#ifndef FKMI_CUDA_EPILOGUE_CUH
#define FKMI_CUDA_EPILOGUE_CUH

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/shape.cuh"

/* ---- the best column and the second-best score ---- */

/* Of a lane's columns, for its two rows. The four scores of the group that has the best are kept, so that its place in
 * the group need only be found once. */
struct best_two {
	float best[2], second[2]; /* second: without the kept group's other three */
	float column[2];          /* of the kept group */
	float kept[2][4];
};

static __device__ __forceinline__ void best_two_clear(struct best_two &s)
{
#pragma unroll
	for (int h = 0; h < 2; h++) {
		s.best[h] = s.second[h] = __int_as_float(0x7f800000);
		s.column[h] = s.kept[h][0] = s.kept[h][1] = s.kept[h][2] = s.kept[h][3] = 0.0f;
	}
}

/* The moves are multiplications by one: that pipe is idle, that of minimum and selection is not. */
static __device__ __forceinline__ void best_two_take(struct best_two &s, int h, float v0, float v1, float v2, float v3,
													 float one, float offset, float column)
{
	const float least = fminf(fminf(v0, v1), fminf(v2, v3));
	s.second[h] = fminf(s.second[h], fmaxf(least, s.best[h]));
	asm("{\n"
		".reg .pred better;\n"
		"setp.lt.f32 better, %6, %0;\n"
		"@better fma.rn.f32 %1, %12, %11, %13;\n"
		"@better fma.rn.f32 %2, %7, %11, 0f80000000;\n"
		"@better fma.rn.f32 %3, %8, %11, 0f80000000;\n"
		"@better fma.rn.f32 %4, %9, %11, 0f80000000;\n"
		"@better fma.rn.f32 %5, %10, %11, 0f80000000;\n"
		"min.f32 %0, %0, %6;\n}"
		: "+f"(s.best[h]), "+f"(s.column[h]), "+f"(s.kept[h][0]), "+f"(s.kept[h][1]), "+f"(s.kept[h][2]),
		  "+f"(s.kept[h][3])
		: "f"(least), "f"(v0), "f"(v1), "f"(v2), "f"(v3), "f"(one), "f"(offset), "f"(column));
}

/* The scores of a tile whose first column is `column`. */
template <int COUNT>
static __device__ __forceinline__ void best_two_tile(struct best_two &s, const float (&d)[COUNT], float column,
													 float one)
{
#pragma unroll
	for (int i = 0; i < COUNT; i += 8)
#pragma unroll
		for (int h = 0; h < 2; h++)
			best_two_take(s, h, d[i + 2 * h], d[i + 2 * h + 1], d[i + 4 + 2 * h], d[i + 4 + 2 * h + 1], one,
						  (float)(2 * i), column);
}

struct row_result {
	float best;
	int column;
	float second;
};

/* By value: results have no addresses. */
static __device__ __forceinline__ struct row_result choose(bool first, const struct row_result &a,
														   const struct row_result &b)
{
	return {first ? a.best : b.best, first ? a.column : b.column, first ? a.second : b.second};
}

/* Combines the lane's result with that of the lane `step` away, to which it sends `sent`. */
static __device__ __forceinline__ struct row_result merge_lanes(struct row_result r, const struct row_result &sent,
																int step)
{
	const float best = __shfl_xor_sync(0xffffffffu, sent.best, step);
	const int column = __shfl_xor_sync(0xffffffffu, sent.column, step);
	const float second = __shfl_xor_sync(0xffffffffu, sent.second, step);
	r.second = fminf(fminf(r.second, second), fmaxf(r.best, best));
	if (best < r.best || (best == r.best && column < r.column)) {
		r.best = best;
		r.column = column;
	}
	return r;
}

/* Combines the results of four lanes for the two or four rows that they share: of each two lanes, one goes on with half
 * of the rows and the other with the rest. Lane q of the four ends with row q of four, or q / 2 of two. */
template <int ROWS>
static __device__ __forceinline__ struct row_result merge_rows(const struct row_result (&rows)[ROWS])
{
	const bool upper = (threadIdx.x & 2) != 0, odd = (threadIdx.x & 1) != 0;
	struct row_result half[ROWS / 2];
#pragma unroll
	for (int i = 0; i < ROWS / 2; i++)
		half[i] =
			merge_lanes(choose(upper, rows[ROWS / 2 + i], rows[i]), choose(upper, rows[i], rows[ROWS / 2 + i]), 2);
	if constexpr (ROWS == 4)
		return merge_lanes(choose(odd, half[1], half[0]), choose(odd, half[0], half[1]), 1);
	else
		return merge_lanes(half[0], half[0], 1);
}

/* Of the lane's columns of row h. */
static __device__ __forceinline__ struct row_result best_two_finish(const struct best_two &s, int h)
{
	const float(&v)[4] = s.kept[h];
	/* The first of them, without branches. */
	int place = v[2] == s.best[h] ? 8 : 9;
	place = v[1] == s.best[h] ? 1 : place;
	place = v[0] == s.best[h] ? 0 : place;
	const float low = fminf(v[0], v[1]), high = fmaxf(v[0], v[1]);
	const float other_low = fminf(v[2], v[3]), other_high = fmaxf(v[2], v[3]);
	const float kept_second = fminf(fmaxf(low, other_low), fminf(high, other_high));
	return {s.best[h], (int)s.column[h] + place + 2 * (int)(threadIdx.x & 3), fminf(s.second[h], kept_second)};
}

/* ---- the same where K is large: improvements are rare, so that a branch for them pays ---- */

struct best_rare {
	float best[2], second[2];
	float least[2]; /* best of the four lanes that share the row, as far as they have told */
	int column[2];
};

static __device__ __forceinline__ void best_rare_clear(struct best_rare &s)
{
#pragma unroll
	for (int h = 0; h < 2; h++) {
		s.best[h] = s.second[h] = s.least[h] = __int_as_float(0x7f800000);
		s.column[h] = 0;
	}
}

/* Elements i .. i + 15 hold eight columns of each row. What is no improvement for the row is but second. */
template <int COUNT>
static __device__ __forceinline__ void best_rare_tile(struct best_rare &s, const float (&d)[COUNT], float column)
{
#pragma unroll
	for (int i = 0; i < COUNT; i += 16) {
		float least[2];
#pragma unroll
		for (int h = 0; h < 2; h++) {
			const int o = i + 2 * h;
			least[h] = fminf(fminf(fminf(d[o], d[o + 1]), fminf(d[o + 4], d[o + 5])),
							 fminf(fminf(d[o + 8], d[o + 9]), fminf(d[o + 12], d[o + 13])));
		}
		if (!__any_sync(0xffffffffu, least[0] < s.least[0] || least[1] < s.least[1])) {
			s.second[0] = fminf(s.second[0], least[0]);
			s.second[1] = fminf(s.second[1], least[1]);
			continue;
		}
#pragma unroll
		for (int h = 0; h < 2; h++) {
			float low = __int_as_float(0x7f800000), second = low;
			int place = 0;
#pragma unroll
			for (int j = 7; j >= 0; j--) {
				const float v = d[i + j / 2 * 4 + 2 * h + j % 2];
				second = fminf(second, fmaxf(low, v));
				low = fminf(low, v);
				place = v == least[h] ? j / 2 * 8 + j % 2 : place;
			}
			const bool improves = least[h] < s.least[h];
			s.second[h] = fminf(s.second[h], improves ? fminf(second, s.best[h]) : least[h]);
			if (improves) {
				s.best[h] = least[h];
				s.column[h] = (int)column + 2 * i + place;
			}
			const float pair = fminf(s.best[h], __shfl_xor_sync(0xffffffffu, s.best[h], 1));
			s.least[h] = fminf(pair, __shfl_xor_sync(0xffffffffu, pair, 2));
		}
	}
}

static __device__ __forceinline__ struct row_result best_rare_finish(const struct best_rare &s, int h)
{
	return {s.best[h], s.column[h] + 2 * (int)(threadIdx.x & 3), s.second[h]};
}

/* One of the two. */
template <bool RARE> struct best_of;

template <> struct best_of<false> {
	struct best_two state;
	__device__ __forceinline__ void clear(void)
	{
		best_two_clear(state);
	}
	template <int COUNT> __device__ __forceinline__ void take(const float (&d)[COUNT], float column, float one)
	{
		best_two_tile(state, d, column, one);
	}
	__device__ __forceinline__ struct row_result finish(int h) const
	{
		return best_two_finish(state, h);
	}
};

template <> struct best_of<true> {
	struct best_rare state;
	__device__ __forceinline__ void clear(void)
	{
		best_rare_clear(state);
	}
	template <int COUNT> __device__ __forceinline__ void take(const float (&d)[COUNT], float column, float)
	{
		best_rare_tile(state, d, column);
	}
	__device__ __forceinline__ struct row_result finish(int h) const
	{
		return best_rare_finish(state, h);
	}
};

/* ---- all columns up to a threshold ---- */

/* Of a lane, for its two rows: 16-bit columns in shared memory. */
struct candidate_lists {
	float threshold[2];
	int count[2]; /* may pass FKMI_SM90_LANE_CANDIDATES */
	uint32_t at[2];
};

static __device__ __forceinline__ void candidate_lists_add(struct candidate_lists &lists, int h, int column)
{
	if (lists.count[h] < FKMI_SM90_LANE_CANDIDATES)
		shared_store_u16(lists.at[h] + 2 * lists.count[h], (uint32_t)column);
	lists.count[h]++;
}

/* The scores of a tile whose first column, counted from the share's first, is `column`. */
template <int COUNT>
static __device__ __forceinline__ void candidate_lists_tile(struct candidate_lists &lists, const float (&d)[COUNT],
															int column)
{
	column += 2 * (int)(threadIdx.x & 3);
#pragma unroll
	for (int i = 0; i < COUNT; i += 16) {
		float least[2];
#pragma unroll
		for (int h = 0; h < 2; h++) {
			const int o = i + 2 * h;
			least[h] = fminf(fminf(fminf(d[o], d[o + 1]), fminf(d[o + 4], d[o + 5])),
							 fminf(fminf(d[o + 8], d[o + 9]), fminf(d[o + 12], d[o + 13])));
		}
		if (!__any_sync(0xffffffffu, least[0] <= lists.threshold[0] || least[1] <= lists.threshold[1]))
			continue;
		uint32_t found = 0;
#pragma unroll
		for (int j = 0; j < 16; j++)
			if (d[i + j] <= lists.threshold[j / 2 % 2])
				found |= 1u << j;
		for (; found != 0; found &= found - 1) {
			const int j = __ffs((int)found) - 1;
			if (j / 2 % 2 == 0)
				candidate_lists_add(lists, 0, column + 2 * i + j / 4 * 8 + j % 2);
			else
				candidate_lists_add(lists, 1, column + 2 * i + j / 4 * 8 + j % 2);
		}
	}
}

/*
 * Puts a warp's candidates into the pool, those of each row in front of the list whose head is at[..], or puts
 * FKMI_SM90_SCAN_ALL there if they do not fit. heads: of the lane's rows, null where there is none; first: the share's
 * first centroid. The whole warp calls it; what its rows wait for, they wait for together.
 */
template <int BLOCKS>
static __device__ __forceinline__ void
candidate_lists_flush(const struct candidate_lists (&lists)[BLOCKS], int32_t *const (&heads)[2 * BLOCKS], int first,
					  struct fkmi_sm90_candidate *pool, int32_t capacity, int32_t *taken)
{
	constexpr int ROWS = 2 * BLOCKS, MANY = 1 << 20; /* MANY: a lane's list did not suffice */
	const int lane = (int)(threadIdx.x & 31), quad = lane & ~3, q = lane & 3;
	int before[ROWS], total[ROWS], sum = 0;
#pragma unroll
	for (int r = 0; r < ROWS; r++) {
		const int count = lists[r / 2].count[r % 2], mine = count > FKMI_SM90_LANE_CANDIDATES ? MANY : count;
		const int neighbour = __shfl_xor_sync(0xffffffffu, mine, 1), pair = mine + neighbour;
		const int others = __shfl_xor_sync(0xffffffffu, pair, 2);
		before[r] = (q & 1 ? neighbour : 0) + (q & 2 ? others : 0);
		total[r] = pair + others;
		if (total[r] < MANY) {
			before[r] += sum;
			sum += total[r];
		}
	}
	int end = sum; /* of the quads up to this one */
#pragma unroll
	for (int step = 4; step < 32; step *= 2) {
		const int other = __shfl_up_sync(0xffffffffu, end, step);
		end += lane >= step ? other : 0;
	}
	const int all = __shfl_sync(0xffffffffu, end, 31);
	int base = 0;
	/* Once the pool is empty its counter stands still, so that it does not overflow. */
	if (lane == 0 && all > 0)
		base = __ldcg(taken) < capacity ? atomicAdd(taken, all) : capacity;
	base = __shfl_sync(0xffffffffu, base, 0);
	const bool fits = base <= capacity - all;
	base += end - sum;
	/* Lane q of a quad changes the head of its row q. */
	int32_t *head = nullptr;
	int value = 0, next = 0, start = base;
#pragma unroll
	for (int r = 0; r < ROWS; r++) {
		if (q == r && total[r] > 0) {
			head = heads[r];
			value = fits && total[r] < MANY ? start : FKMI_SM90_SCAN_ALL;
		}
		start += total[r] < MANY ? total[r] : 0;
	}
	if (head != nullptr)
		next = atomicExch(head, value);
	start = base;
#pragma unroll
	for (int r = 0; r < ROWS; r++) {
		const int behind = __shfl_sync(0xffffffffu, next, quad + r), count = lists[r / 2].count[r % 2];
		if (!fits || total[r] >= MANY)
			continue;
		start += total[r];
		for (int i = 0; i < count; i++) {
			const int at = base + before[r] + i;
			pool[at].k = first + (int)shared_load_u16(lists[r / 2].at[r % 2] + 2 * i);
			pool[at].next = at + 1 == start ? behind : at + 1;
		}
	}
}

#endif
