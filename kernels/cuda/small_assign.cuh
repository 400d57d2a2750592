/* SPDX-License-Identifier: Apache-2.0 */
/* The assignment of a group's rows: small.cuh says how. */
#ifndef FKMI_CUDA_SMALL_ASSIGN_CUH
#define FKMI_CUDA_SMALL_ASSIGN_CUH

#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/small_certificate.cuh"
#include "kernels/cuda/small_points.cuh"

static __device__ __forceinline__ void small_multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
														  uint32_t b1)
{
	asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
		"{%0, %1, %2, %3};"
		: "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/*
 * Scores of TILES x 16 rows and COLUMNS centroids from `column` of the block on: element [m][n][2 h + e] is that of row
 * lane / 4 + 8 h of tile m and column 8 n + 2 (lane % 4) + e. rows: shared address of row lane % 16 of each tile.
 */
template <int TILES, int COLUMNS>
static __device__ __forceinline__ void small_scores(const struct small &s, float (&scores)[TILES][COLUMNS / 8][4],
													const uint32_t (&rows)[TILES], int column)
{
	const struct fkmi_small &a = s.a;
	const float *norms = SMALL_PLACE(float, s, norms) + column + 2 * (s.lane & 3);
	const int own = column + (s.lane & 7) + (s.lane >> 4) * 8;
	const uint32_t columns =
		shared_address(s.memory + a.at.centroids) + (uint32_t)(own * a.at.pitch + (s.lane >> 3 & 1) * 16);
#pragma unroll
	for (int n = 0; n < COLUMNS / 8; n++) {
		const float2 half_norm = *(const float2 *)(norms + 8 * n);
#pragma unroll
		for (int m = 0; m < TILES; m++) {
			scores[m][n][0] = scores[m][n][2] = half_norm.x;
			scores[m][n][1] = scores[m][n][3] = half_norm.y;
		}
	}
#pragma unroll 2
	for (int j = 0; j < a.d_padded; j += FKMI_SMALL_STEP) {
		uint32_t x[TILES][4];
#pragma unroll
		for (int m = 0; m < TILES; m++)
			load_matrices(x[m], rows[m] + (uint32_t)(2 * j + (s.lane >> 4) * 16));
#pragma unroll
		for (int n = 0; n < COLUMNS / 8; n += 2) {
			uint32_t c[4];
			load_matrices(c, columns + (uint32_t)(n * 8 * a.at.pitch + 2 * j));
#pragma unroll
			for (int m = 0; m < TILES; m++) {
				small_multiply_add(scores[m][n], x[m], c[0], c[1]);
				small_multiply_add(scores[m][n + 1], x[m], c[2], c[3]);
			}
		}
	}
}

static __device__ __forceinline__ uint32_t small_row_address(const struct small &s, int row)
{
	return shared_address(s.memory + s.a.at.points) + (uint32_t)(row * s.a.at.pitch);
}

/* Brings a block of centroids to shared memory, and its share to norm_max, residual_max and off. */
static __device__ __forceinline__ void small_load_columns(const struct small &s, int block)
{
	const struct fkmi_small &a = s.a;
	const int first = block * FKMI_SMALL_COLUMNS, count = min(a.k - first, (int)FKMI_SMALL_COLUMNS);
	const int padded = (count + SMALL_WARP_COLUMNS - 1) / SMALL_WARP_COLUMNS * SMALL_WARP_COLUMNS;
	/* Neighbouring threads take the 16 bytes of neighbouring dimensions, as many as the next power of two. */
	const int spread = max(s.width / 8, 1), j = ((int)threadIdx.x & (spread - 1)) * 8;
	const uint32_t to = shared_address(s.memory + a.at.centroids) + (uint32_t)(2 * j);
	const uint16_t *from = a.operands + (s.centroid + first) * a.d_padded + j;
	if (j < a.d_padded) {
#pragma unroll 8
		for (int row = (int)threadIdx.x / spread; row < padded; row += FKMI_SMALL_GROUP / spread)
			copy16(to + (uint32_t)(row * a.at.pitch), from + (row < count ? row * a.d_padded : 0),
				   row < count ? 16 : 0);
	}
	const int k = (int)threadIdx.x;
	float norm = 0, residual = 0, half_norm = __int_as_float(0x7f800000);
	if (k < count) {
		const float4 one = *(const float4 *)&a.described[s.centroid + first + k];
		half_norm = one.x;
		norm = one.y;
		residual = one.z;
	}
	SMALL_PLACE(float, s, norms)[k] = half_norm;
	const int norm_bits = __reduce_max_sync(0xffffffffu, __float_as_int(norm));
	const int residual_bits = __reduce_max_sync(0xffffffffu, __float_as_int(residual));
	const bool off = __any_sync(0xffffffffu, isnan(half_norm));
	if (s.lane == 0) {
		atomicMax(&s.shared.norm_max, norm_bits);
		atomicMax(&s.shared.residual_max, residual_bits);
		if (off)
			s.shared.off = 1;
	}
	copy16_wait();
	__syncthreads();
}

/* best, second and column of all rows for this block of centroids and those before. */
static __device__ __forceinline__ void small_search(const struct small &s, int block)
{
	const struct fkmi_small &a = s.a;
	static_assert((int)SMALL_WARP_TILES == 2, "four lanes have a row each of the four that they share");
	const int share = s.warp % FKMI_SMALL_SHARES, column = share * SMALL_WARP_COLUMNS;
	const int base = block * FKMI_SMALL_COLUMNS + column, quarter = s.lane & 3;
	float *best = SMALL_PLACE(float, s, best) + share * a.group_rows;
	float *second = SMALL_PLACE(float, s, second) + share * a.group_rows;
	int32_t *place = SMALL_PLACE(int32_t, s, column) + share * a.group_rows;
	float one = 1.0f;
	asm volatile("" : "+f"(one)); /* is not known to the compiler */
#pragma unroll 1
	for (int row = s.warp / FKMI_SMALL_SHARES * SMALL_WARP_TILES * 16; row < s.rows; row += FKMI_SMALL_ROWS) {
		struct row_result r = {__int_as_float(0x7f800000), base, __int_as_float(0x7f800000)};
		if (base < a.k) {
			float scores[SMALL_WARP_TILES][SMALL_WARP_COLUMNS / 8][4];
			uint32_t rows[SMALL_WARP_TILES];
#pragma unroll
			for (int m = 0; m < SMALL_WARP_TILES; m++)
				rows[m] = small_row_address(s, row + m * 16 + (s.lane & 15));
			small_scores<SMALL_WARP_TILES, SMALL_WARP_COLUMNS>(s, scores, rows, column);
			struct row_result results[2 * SMALL_WARP_TILES];
#pragma unroll
			for (int m = 0; m < SMALL_WARP_TILES; m++) {
				struct best_two two;
				best_two_clear(two);
#pragma unroll
				for (int n = 0; n < SMALL_WARP_COLUMNS / 8; n += 2)
#pragma unroll
					for (int h = 0; h < 2; h++)
						best_two_take(two, h, scores[m][n][2 * h], scores[m][n][2 * h + 1], scores[m][n + 1][2 * h],
									  scores[m][n + 1][2 * h + 1], one, (float)(8 * n), (float)base);
#pragma unroll
				for (int h = 0; h < 2; h++)
					results[2 * m + h] = best_two_finish(two, h);
			}
			r = merge_rows(results);
		}
		const int i = row + quarter / 2 * 16 + s.lane / 4 + 8 * (quarter & 1);
		if (block > 0) {
			r.second = fminf(fminf(r.second, second[i]), fmaxf(r.best, best[i]));
			if (best[i] <= r.best) {
				r.best = best[i];
				r.column = place[i];
			}
		}
		best[i] = r.best;
		second[i] = r.second;
		place[i] = r.column;
	}
}

/* fresh of all rows, as far as the filter decides; the others are listed with their thresholds. */
static __device__ __forceinline__ void small_decide(const struct small &s)
{
	const struct fkmi_small &a = s.a;
	const float *best = SMALL_PLACE(float, s, best), *second = SMALL_PLACE(float, s, second);
	const int32_t *column = SMALL_PLACE(int32_t, s, column);
	const struct small_bounds problem = {s.shift_norm, (float)fkmi_inverse_power2(s.centroid_scale),
										 __int_as_float(s.shared.norm_max), __int_as_float(s.shared.residual_max)};
#pragma unroll 1
	for (int row = (int)threadIdx.x; row < s.rows; row += FKMI_SMALL_GROUP) {
		struct row_result r = {best[row], column[row], second[row]};
#pragma unroll
		for (int share = 1; share < FKMI_SMALL_SHARES; share++) {
			const int i = share * a.group_rows + row;
			r.second = fminf(fminf(r.second, second[i]), fmaxf(r.best, best[i]));
			if (best[i] < r.best || (best[i] == r.best && column[i] < r.column)) {
				r.best = best[i];
				r.column = column[i];
			}
		}
		const float limit =
			small_threshold(problem, a.gamma, a.norm_factor, a.distance_error, 1.0f, r.best,
							SMALL_PLACE(float, s, squares)[row], SMALL_PLACE(float, s, residuals)[row]);
		/* Of points that are not numbers, too, labels must be some. */
		SMALL_PLACE(int32_t, s, fresh)[row] = min(r.column, a.k - 1);
		if (s.shared.off || (a.exact && !(r.second > limit))) {
			const int place = atomicAdd(&s.shared.listed, 1);
			SMALL_PLACE(uint16_t, s, listed)[place] = (uint16_t)row;
			SMALL_PLACE(float, s, limits)[place] = limit;
		}
	}
}

/* Marks the centroids within the thresholds of listed rows first .. first + count - 1. */
static __device__ __forceinline__ void small_mark(const struct small &s, int first, int count, int block)
{
	const struct fkmi_small &a = s.a;
	const int words = (a.k + 31) / 32, base = block * FKMI_SMALL_COLUMNS + s.warp * SMALL_LISTED_COLUMNS;
	if (base >= a.k)
		return;
	const uint16_t *listed = SMALL_PLACE(uint16_t, s, listed) + first;
	float scores[1][SMALL_LISTED_COLUMNS / 8][4];
	const uint32_t rows[1] = {small_row_address(s, listed[min(s.lane & 15, count - 1)])};
	small_scores<1, SMALL_LISTED_COLUMNS>(s, scores, rows, s.warp * SMALL_LISTED_COLUMNS);
#pragma unroll
	for (int h = 0; h < 2; h++) {
		const int slot = s.lane / 4 + 8 * h;
		const float limit = slot < count ? SMALL_PLACE(float, s, limits)[first + slot] : 0.0f;
		uint32_t marks = 0;
#pragma unroll
		for (int n = 0; n < SMALL_LISTED_COLUMNS / 8; n++)
#pragma unroll
			for (int e = 0; e < 2; e++)
				marks |= scores[0][n][2 * h + e] > limit ? 0 : 1u << (8 * n + e);
		marks <<= 2 * (s.lane & 3);
		marks |= __shfl_xor_sync(0xffffffffu, marks, 1);
		marks |= __shfl_xor_sync(0xffffffffu, marks, 2);
		if (base + 32 > a.k)
			marks &= (1u << (a.k - base)) - 1;
		if ((s.lane & 3) == 0 && slot < count)
			SMALL_PLACE(uint32_t, s, masks)[slot * words + base / 32] = marks;
	}
}

/*
 * The nearest of the marked centroids becomes the label of listed rows first .. first + count - 1. Half a warp takes a row:
 * each eight lanes one of two neighbouring candidates.
 */
static __device__ __forceinline__ void small_settle(const struct small &s, int first, int count)
{
	const struct fkmi_small &a = s.a;
	enum { LANES = 16 };
	static_assert((int)FKMI_SMALL_LISTED == SMALL_WARPS * 32 / LANES, "each row has its half warp");
	const int words = (a.k + 31) / 32, slot = (int)threadIdx.x / LANES, lane = s.lane % LANES, shift = s.lane - lane;
	if (slot - shift / LANES >= count)
		return;
	const bool there = slot < count;
	const int row = SMALL_PLACE(uint16_t, s, listed)[first + min(slot, count - 1)];
	const uint32_t *masks = SMALL_PLACE(uint32_t, s, masks) + slot * words;
	const double *centroids = a.centroids + s.centroid * a.d;
	double nearest = __longlong_as_double(0x7ff0000000000000);
	int label = 0;
	bool tie = false;
#pragma unroll 1
	for (int base = 0; base < words; base += LANES) {
		/* A lane has a word; candidates begin .. end - 1 of these words are in it. */
		const uint32_t word = there && base + lane < words ? masks[base + lane] : 0;
		int end = __popc(word);
#pragma unroll
		for (int step = 1; step < LANES; step *= 2) {
			const int before = __shfl_up_sync(0xffffffffu, end, step, LANES);
			end += lane >= step ? before : 0;
		}
		const int begin = end - __popc(word), own = __shfl_sync(0xffffffffu, end, LANES - 1, LANES);
		const int most = max(own, __shfl_xor_sync(0xffffffffu, own, LANES));
#pragma unroll 1
		for (int i = 0; i < most; i += 2) {
			const uint32_t even = __ballot_sync(0xffffffffu, begin <= i && i < end);
			const uint32_t odd = __ballot_sync(0xffffffffu, begin <= i + 1 && i + 1 < end);
			const uint32_t holder = ((lane < 8 ? even : odd) >> shift) & 0xffffu;
			const int from = max(__ffs((int)holder) - 1, 0);
			uint32_t bits = __shfl_sync(0xffffffffu, word, from, LANES);
			int before = i + lane / 8 - __shfl_sync(0xffffffffu, begin, from, LANES);
			for (; before > 0; before--)
				bits &= bits - 1;
			const int mine = holder != 0 ? (base + from) * 32 + __ffs((int)bits) - 1 : -1;
			const double distance = small_distance(s, row, centroids + (int64_t)max(mine, 0) * a.d);
#pragma unroll
			for (int o = 0; o < 2; o++) {
				const double one = __shfl_sync(0xffffffffu, distance, 8 * o, LANES);
				const int k = __shfl_sync(0xffffffffu, mine, 8 * o, LANES);
				if (k >= 0 && one < nearest) {
					nearest = one;
					label = k;
					tie = false;
				} else if (k >= 0 && one == nearest) {
					/* Equal centroids are no tie. */
					bool differs = false;
#pragma unroll 1
					for (int j = lane; j < a.d; j += LANES)
						differs = differs || centroids[(int64_t)k * a.d + j] != centroids[(int64_t)label * a.d + j];
					tie = tie || __any_sync(0xffffu << shift, differs);
				}
			}
			__syncwarp();
		}
	}
	if (there && lane == 0) {
		SMALL_PLACE(int32_t, s, fresh)[row] = label;
		if (tie)
			atomicAdd(&s.shared.ties, 1);
	}
}

/* All centroids are candidates of `count` rows. */
static __device__ __forceinline__ void small_mark_all(const struct small &s, int count)
{
	const int words = (s.a.k + 31) / 32;
#pragma unroll 1
	for (int i = (int)threadIdx.x; i < count * words; i += FKMI_SMALL_GROUP) {
		const int left = s.a.k - i % words * 32;
		SMALL_PLACE(uint32_t, s, masks)[i] = left < 32 ? (1u << left) - 1 : 0xffffffffu;
	}
}

/* fresh of all rows, and those that changed are listed. Adds to the counts. */
static __device__ __forceinline__ void small_assign(const struct small &s, int64_t &changed, int64_t &rechecked)
{
	const struct fkmi_small &a = s.a;
	const int32_t *labels = SMALL_PLACE(int32_t, s, labels), *fresh = SMALL_PLACE(int32_t, s, fresh);
	const int blocks = (a.k + FKMI_SMALL_COLUMNS - 1) / FKMI_SMALL_COLUMNS;
	if (threadIdx.x == 0)
		s.shared.norm_max = s.shared.residual_max = s.shared.off = s.shared.listed = s.shared.changed = 0;
	__syncthreads();
	/* First all rows, then those that are listed, a few at a time. */
	int listed = 0;
#pragma unroll 1
	for (int first = -FKMI_SMALL_LISTED; first < listed; first += FKMI_SMALL_LISTED) {
		const bool searches = first < 0;
		const int count = min(listed - first, (int)FKMI_SMALL_LISTED);
		const bool off = !searches && s.shared.off;
#pragma unroll 1
		for (int block = 0; block < blocks && !off; block++) {
			if (searches || blocks > 1)
				small_load_columns(s, block);
			if (searches)
				small_search(s, block);
			else
				small_mark(s, first, count, block);
			__syncthreads();
		}
		if (searches) {
			small_decide(s);
			__syncthreads();
			listed = s.shared.listed;
			rechecked += listed;
			continue;
		}
		if (off) {
			small_mark_all(s, count);
			__syncthreads();
		}
		small_settle(s, first, count);
		__syncthreads();
	}
#pragma unroll 1
	for (int row = (int)threadIdx.x; row < s.rows; row += FKMI_SMALL_GROUP)
		if (fresh[row] != labels[row])
			SMALL_PLACE(uint16_t, s, listed)[atomicAdd(&s.shared.changed, 1)] = (uint16_t)row;
	__syncthreads();
	changed += s.shared.changed;
}

#endif
