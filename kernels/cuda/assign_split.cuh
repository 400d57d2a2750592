/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assignment for few dimensions by mma.sync: f32 numbers as sums of two f16 numbers, so that rows need no copy and few
 * are left undecided. split_certificate.cuh says which, and explains the arithmetic.
 *
 * A warp takes FKMI_SPLIT_ROWS rows, and of 64 centroids at a time the scores. Of the 16 places of a multiplication,
 * each of the four lanes of a row fills four, for one coordinate y of the row and z of the centroid (h: high part, l:
 * low part):
 *     (yh, yh, yl, 1) . (-zh, -zl, -zh, n)
 * The n of the lanes are the parts of |z|^2 / 2 and a zero; d coordinates take ceil(d / 4) multiplications. The sum
 * starts at r, which is |y|^2 / 2, and so becomes half the squared distance: hardly ever negative, so that its bits have
 * the order of the numbers, and integer instructions find the least of three. A lane sees a set of 16 of the 64
 * centroids. Of each row the least value is kept, the set that has it, and the least value of all other sets. Then each
 * lane looks once more, in f32, at the sets of its own rows. Rows that this does not decide are decided at once, by D in
 * f64 of the centroids whose score comes near the best, by the whole warp.
 *
 * The kernel also makes the sums where they have room in shared memory: plan.fused.
 */
#ifndef FKMI_CUDA_ASSIGN_SPLIT_CUH
#define FKMI_CUDA_ASSIGN_SPLIT_CUH

#include "split_prepare.cuh"

/* ---- reading rows ---- */

/* The rows of a warp's tile are spread over the lanes: a lane has a part in rows 8 r + lane / 4, and gives some of
 * them, its own, their labels: r = SPLIT_OWN (lane % 4) + o. */
enum {
	SPLIT_TILES = FKMI_SPLIT_ROWS / 16, /* of 16 rows, in a warp's tile */
	SPLIT_LANE_ROWS = 2 * SPLIT_TILES,
	SPLIT_OWN = SPLIT_LANE_ROWS / 4,
};

/* The first of the lane's own rows in a warp's tile; the next is 8 behind it. */
static __device__ __forceinline__ int split_own_row(void)
{
	return (int)(threadIdx.x & 3) * (8 * SPLIT_OWN) + (int)(threadIdx.x & 31) / 4;
}

/* Rows first, first + 8, ... of the span, as bits; 0 past d and past the last row. */
template <class WORD, int D>
static __device__ __forceinline__ void split_fetch(const struct fkmi_split_assign &a, int b, int first,
												   uint32_t (&x)[SPLIT_OWN][D])
{
	const WORD *at = (const WORD *)a.points + b * a.batch_stride + ((int64_t)a.span_row + first) * a.row_stride;
#pragma unroll
	for (int o = 0; o < SPLIT_OWN; o++) {
		const bool real = first + 8 * o < a.span_rows;
#pragma unroll
		for (int j = 0; j < D; j++)
			x[o][j] = real && j < a.d ? at[j] : 0;
		at += 8 * a.row_stride;
	}
}

template <int D>
static __device__ __forceinline__ void split_fetch_rows(const struct fkmi_split_assign &a, int b, int first,
														uint32_t (&x)[SPLIT_OWN][D])
{
	if (a.dtype == FKMI_TYPE_F32)
		split_fetch<uint32_t>(a, b, first, x);
	else
		split_fetch<uint16_t>(a, b, first, x);
}

/* What was fetched, as the y of certificate.h. */
template <int D>
static __device__ __forceinline__ void split_center_rows(const struct fkmi_split_assign &a,
														 const struct fkmi_split_problem &problem, int b, int first,
														 const uint32_t (&x)[SPLIT_OWN][D], float (&y)[SPLIT_OWN][D])
{
#pragma unroll
	for (int i = 0; i < SPLIT_OWN * D; i++) {
		const uint32_t bits = x[i / D][i % D];
		const float half = fkmi_half_to_float((uint16_t)bits), brain = __uint_as_float(bits << 16);
		y[i / D][i % D] = a.dtype == FKMI_TYPE_F32 ? __uint_as_float(bits) : a.dtype == FKMI_TYPE_F16 ? half : brain;
	}
	if (a.row_scale == nullptr) {
#pragma unroll
		for (int i = 0; i < SPLIT_OWN * D; i++)
			y[i / D][i % D] = fmaf(y[i / D][i % D], problem.scale, -problem.mu[i % D]);
		return;
	}
#pragma unroll
	for (int o = 0; o < SPLIT_OWN; o++) {
		const double factor = a.row_scale[b * a.n + a.span_row + min(first + 8 * o, a.span_rows - 1)];
#pragma unroll
		for (int j = 0; j < D; j++)
			y[o][j] = (float)((double)y[o][j] * factor * (double)problem.scale - (double)problem.mu[j]);
	}
}

/* ---- rows that the filter does not decide ---- */

/* The label of row i by D of all different centroids whose score is not below the threshold; a whole warp calls it
 * together, and all lanes get it. */
template <int D>
static __device__ __forceinline__ struct fkmi_verdict split_decide(const struct fkmi_split_assign &a,
																   const struct fkmi_points &p, const float *sets,
																   int b, int64_t i, const float (&y)[D],
																   float threshold)
{
	const int lane = (int)(threadIdx.x & 31);
	const int64_t row = fkmi_row(&p, b, i);
	const double factor = fkmi_row_factor(&p, b, i);
	double x[D];
#pragma unroll
	for (int j = 0; j < D; j++)
		x[j] = j < a.d ? fkmi_coordinate(&p, row, factor, j) : 0.0;
	struct fkmi_verdict v = {0, -1, 0};
#pragma unroll 2
	for (int k = lane; k < a.k; k += 32) {
		const float *operands = sets + k / FKMI_SPLIT_SET * FKMI_SPLIT_SET_FLOATS(D) + k % FKMI_SPLIT_SET;
		float score = operands[D * FKMI_SPLIT_SET];
#pragma unroll
		for (int j = 0; j < D; j++)
			score = fmaf(y[j], operands[j * FKMI_SPLIT_SET], score);
		if (score < threshold)
			continue;
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

/* A warp's rows in shared memory; the stride keeps lanes that read coordinates lane % 4 of rows lane / 4 apart. */
template <int CHUNKS> struct split_rows {
	static constexpr int STRIDE = FKMI_SPLIT_ROW_FLOATS(4 * CHUNKS);
	float y[FKMI_SPLIT_ROWS][STRIDE];
	float start[FKMI_SPLIT_ROWS]; /* r */
};

/* What a lane multiplies. */
template <int CHUNKS> struct split_operands {
	uint32_t high[SPLIT_TILES][CHUNKS][2], low[SPLIT_TILES][CHUNKS][2]; /* (yh, yh) and (yl, 1) of the two rows */
	float start[SPLIT_TILES][4];                                         /* r, r of the one row, r, r of the other */
};

/* What is known of a row: bits of the least value, of the least of the other sets, and the set of the first. */
struct split_found {
	int32_t least, second, set;
};

/* d = c + the products. */
static __device__ __forceinline__ void split_multiply(float (&d)[4], const uint32_t (&high)[2], const uint32_t (&low)[2],
													  uint2 b, const float (&c)[4])
{
	asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
		"{%10, %11, %12, %13};"
		: "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
		: "r"(high[0]), "r"(high[1]), "r"(low[0]), "r"(low[1]), "r"(b.x), "r"(b.y), "f"(c[0]), "f"(c[1]), "f"(c[2]),
		  "f"(c[3]));
}

/* The rows from `first` of the span on: each lane brings its own, x, and takes from the others what it multiplies. */
template <int CHUNKS>
static __device__ __forceinline__ void split_load(const struct fkmi_split_assign &a,
												  const struct fkmi_split_problem &problem, int b, int first,
												  const uint32_t (&x)[SPLIT_OWN][4 * CHUNKS],
												  struct split_rows<CHUNKS> &rows,
												  struct split_operands<CHUNKS> &operands)
{
	enum { D = 4 * CHUNKS };
	const int lane = (int)(threadIdx.x & 31), own = split_own_row();
	float y[SPLIT_OWN][D];
	split_center_rows<D>(a, problem, b, first + own, x, y);
	__syncwarp();
#pragma unroll
	for (int o = 0; o < SPLIT_OWN; o++) {
		float squares = 0;
#pragma unroll
		for (int j = 0; j < D; j++)
			squares = fmaf(y[o][j], y[o][j], squares);
#pragma unroll
		for (int j = 0; j < D; j += 4)
			*(float4 *)&rows.y[own + 8 * o][j] = make_float4(y[o][j], y[o][j + 1], y[o][j + 2], y[o][j + 3]);
		rows.start[own + 8 * o] = 0.5f * squares;
	}
	__syncwarp();
#pragma unroll
	for (int r = 0; r < SPLIT_LANE_ROWS; r++) {
		const int row = 8 * r + lane / 4;
#pragma unroll
		for (int c = 0; c < CHUNKS; c++) {
			const float v = rows.y[row][4 * c + lane % 4];
			const uint32_t high = split_pack(v, v);
			operands.high[r / 2][c][r % 2] = high;
			operands.low[r / 2][c][r % 2] = split_pack(v - fkmi_half_to_float((uint16_t)high), 1.0f);
		}
		/* Instructions want four registers side by side, which the compiler keeps if it does not know that two and two
		 * are the same. */
		operands.start[r / 2][r % 2 * 2] = rows.start[row];
		operands.start[r / 2][r % 2 * 2 + 1] = rows.start[row] * a.one;
	}
}

/* Blocks first .. first+count-1, whose fragments are in shared memory. */
template <int CHUNKS>
static __device__ __forceinline__ void split_sweep(const struct split_operands<CHUNKS> &operands,
												  struct split_found (&found)[SPLIT_LANE_ROWS], const uint4 *fragments,
												  int first, int count)
{
	const int lane = (int)(threadIdx.x & 31);
#pragma unroll 1
	for (int block = 0; block < count; block++) {
		int32_t least[SPLIT_LANE_ROWS];
#pragma unroll
		for (int r = 0; r < SPLIT_LANE_ROWS; r++)
			least[r] = 0x7f800000;
		uint2 pieces[8 * CHUNKS];
#pragma unroll
		for (int t = 0; t < 8; t++) {
#pragma unroll
			for (int c = 0; c < CHUNKS; c++)
				if ((t * CHUNKS + c) % 2 == 0) {
					const uint4 both = fragments[(block * 4 * CHUNKS + (t * CHUNKS + c) / 2) * 32 + lane];
					pieces[t * CHUNKS + c] = make_uint2(both.x, both.y);
					pieces[t * CHUNKS + c + 1] = make_uint2(both.z, both.w);
				}
#pragma unroll
			for (int tile = 0; tile < SPLIT_TILES; tile++) {
				float d[4];
				split_multiply(d, operands.high[tile][0], operands.low[tile][0], pieces[t * CHUNKS], operands.start[tile]);
#pragma unroll
				for (int c = 1; c < CHUNKS; c++)
					split_multiply(d, operands.high[tile][c], operands.low[tile][c], pieces[t * CHUNKS + c], d);
#pragma unroll
				for (int h = 0; h < 2; h++)
					least[2 * tile + h] =
						min(min(least[2 * tile + h], __float_as_int(d[2 * h])), __float_as_int(d[2 * h + 1]));
			}
		}
#pragma unroll
		for (int r = 0; r < SPLIT_LANE_ROWS; r++) {
			found[r].second = min(found[r].second, max(least[r], found[r].least));
			found[r].set = least[r] < found[r].least ? first + block : found[r].set;
			found[r].least = min(found[r].least, least[r]);
		}
	}
}

static __device__ __forceinline__ void split_merge(struct split_found &mine, const struct split_found &give, int lanes)
{
	const int32_t least = __shfl_xor_sync(0xffffffffu, give.least, lanes);
	const int32_t second = __shfl_xor_sync(0xffffffffu, give.second, lanes);
	const int32_t set = __shfl_xor_sync(0xffffffffu, give.set, lanes);
	mine.second = min(min(mine.second, second), max(mine.least, least));
	mine.set = least < mine.least ? set : mine.set;
	mine.least = min(mine.least, least);
}

/* Member by member, so that none is put into memory. */
static __device__ __forceinline__ struct split_found split_choose(bool first, const struct split_found &x,
																 const struct split_found &y)
{
	const struct split_found chosen = {first ? x.least : y.least, first ? x.second : y.second, first ? x.set : y.set};
	return chosen;
}

/* Combines what the four lanes of a row know, for the one that gives it its label. */
static __device__ __forceinline__ void split_share(const struct split_found (&found)[SPLIT_LANE_ROWS],
												   struct split_found (&own)[SPLIT_OWN])
{
	const bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
	struct split_found half[2 * SPLIT_OWN];
#pragma unroll
	for (int r = 0; r < 2 * SPLIT_OWN; r++) {
		half[r] = split_choose(upper, found[2 * SPLIT_OWN + r], found[r]);
		split_merge(half[r], split_choose(upper, found[r], found[2 * SPLIT_OWN + r]), 2);
	}
#pragma unroll
	for (int o = 0; o < SPLIT_OWN; o++) {
		own[o] = split_choose(odd, half[SPLIT_OWN + o], half[o]);
		split_merge(own[o], split_choose(odd, half[o], half[SPLIT_OWN + o]), 1);
	}
}

/* The scores of a set. */
template <int D>
static __device__ __forceinline__ void split_scores(const float (&y)[D], const float *set,
													float (&scores)[FKMI_SPLIT_SET])
{
#pragma unroll
	for (int quarter = 0; quarter < 4; quarter++) {
		const float4 *from = (const float4 *)set + quarter;
		float4 s = from[4 * D];
#pragma unroll
		for (int j = 0; j < D; j++) {
			const float4 c = from[4 * j];
			s.x = fmaf(y[j], c.x, s.x);
			s.y = fmaf(y[j], c.y, s.y);
			s.z = fmaf(y[j], c.z, s.z);
			s.w = fmaf(y[j], c.w, s.w);
		}
		scores[4 * quarter] = s.x;
		scores[4 * quarter + 1] = s.y;
		scores[4 * quarter + 2] = s.z;
		scores[4 * quarter + 3] = s.w;
	}
}

/* A bit for each score of a set that is not more than `margin` below the best. */
static __device__ __forceinline__ uint32_t split_near(const float (&scores)[FKMI_SPLIT_SET], float margin, float *best)
{
	float most = scores[0];
	uint32_t near = 0;
#pragma unroll
	for (int i = 1; i < FKMI_SPLIT_SET; i++)
		most = fmaxf(most, scores[i]);
#pragma unroll
	for (int i = 0; i < FKMI_SPLIT_SET; i++)
		near |= scores[i] >= most - margin ? 1u << i : 0;
	*best = most;
	return near;
}

/* ---- labels ---- */

/* A block's sums of the rows that it has assigned, in shared memory: halves of 64-bit numbers; a cluster has one for
 * each column and, last, that of its weights. */
struct split_sums {
	int32_t *low, *high;
};

struct split_counts {
	int32_t changed, rechecked, ties;
};

/* Gives the row at `at` its label; returns whether the sums change by it. */
static __device__ __forceinline__ bool split_label(const struct fkmi_split_assign &a, struct split_counts &counts,
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

/* Rows by which the sums change, listed by a warp until it is worth while to move them. */
struct split_moves {
	enum { ENOUGH = 8 };
	int32_t row[ENOUGH + FKMI_SPLIT_ROWS]; /* of the problem */
	int32_t from[ENOUGH + FKMI_SPLIT_ROWS], to[ENOUGH + FKMI_SPLIT_ROWS]; /* from -1: none */
};
static_assert(sizeof(struct split_moves) * (FKMI_SPLIT_THREADS / 32) == FKMI_SPLIT_MOVES_BYTES, "split.h");

/* Lists the lanes' rows, where `moved`; returns how many are listed now. */
static __device__ __forceinline__ int split_list(struct split_moves &moves, int count, bool moved, int32_t row,
												 int32_t from, int32_t to)
{
	const uint32_t lanes = __ballot_sync(0xffffffffu, moved);
	if (moved) {
		const int at = count + __popc(lanes & ((1u << (threadIdx.x & 31)) - 1));
		moves.row[at] = row;
		moves.from[at] = from;
		moves.to[at] = to;
	}
	return count + __popc(lanes);
}

/* Adds the listed rows to the sums of their clusters, and takes them out of those that they come from. */
static __device__ __forceinline__ void split_move(const struct fkmi_split_assign &a, const struct fkmi_points &p,
												  const struct split_sums &sums, int b, const struct split_moves &moves,
												  int count)
{
	const struct fkmi_weights weights = {(const char *)a.weights, a.weights_stride, a.weights_dtype};
	const double weight_scale = fkmi_bits_double(a.state[(int64_t)b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]);
	const int width = a.d + 1;
	__syncwarp();
#pragma unroll 1
	for (int i = (int)(threadIdx.x & 31); i < count * width; i += 32) {
		const int at = i / width, j = i - at * width;
		const int32_t row = moves.row[at], from = moves.from[at], to = moves.to[at];
		const double w = fkmi_weight(&weights, b, row);
		int64_t q;
		if (j < a.d)
			q = fkmi_rint(w * fkmi_coordinate(&p, fkmi_row(&p, b, row), fkmi_row_factor(&p, b, row), j) *
						  a.column_scale[b * a.d + j]);
		else
			q = fkmi_rint(w * weight_scale);
		fkmi_local_add64(sums.low, sums.high, to * width + j, q);
		if (from >= 0)
			fkmi_local_add64(sums.low, sums.high, from * width + j, -q);
	}
	__syncwarp();
}

static __device__ __forceinline__ void split_add(const struct fkmi_split_assign &a, int b, int member, int value)
{
	const int sum = __reduce_add_sync(0xffffffffu, value);
	if (sum != 0 && (threadIdx.x & 31) == 0)
		fkmi_add64(&a.state[(int64_t)b * FKMI_STATE_MEMBERS + member], sum);
}

/* Adds the block's sums to those of problem b, and zeroes them. */
static __device__ __forceinline__ void split_flush(const struct fkmi_split_assign &a, const struct split_sums &sums,
												   int b)
{
	const int width = a.d + 1;
	for (int s = (int)threadIdx.x; s < a.k * width; s += FKMI_SPLIT_THREADS) {
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

/* What the filter says of a row. */
struct split_answer {
	int32_t label;
	bool certain;
	float threshold; /* where it is not: the least score that the exact winner may have */
};

template <int D>
static __device__ __forceinline__ struct split_answer
split_answer(const struct fkmi_split_assign &a, const struct fkmi_split_problem &problem, const float *sets,
			 const float *local_sets, const struct split_found &found, int b, const float (&y)[D], float start)
{
	struct split_answer answer = {0, false, -split_infinity()};
	const float squares = 2.0f * start;
	if (!problem.usable || !(squares < FKMI_SPLIT_SQUARES_LIMIT))
		return answer;
	float scores[FKMI_SPLIT_SET], best;
	if (a.local_sets)
		split_scores<D>(y, local_sets + found.set * FKMI_SPLIT_SET_FLOATS(D), scores);
	else
		split_scores<D>(y, sets + found.set * FKMI_SPLIT_SET_FLOATS(D), scores);
	/* Of the other sets: t - r, which is what -s~ is. */
	const float others = __int_as_float(found.second) - start;
	float margin = a.exact ? fmaf(problem.slope, squares, problem.intercept) : 0.0f;
	uint32_t near = split_near(scores, margin, &best);
	answer.label = found.set * FKMI_SPLIT_SET + __ffs((int)near) - 1;
	answer.certain = !a.exact || (__popc(near) == 1 && best + others > margin);
	if (!answer.certain) {
		near = split_near(scores, 0.0f, &best);
		answer.label = found.set * FKMI_SPLIT_SET + __ffs((int)near) - 1;
		margin = split_margin(problem, a.d, best, squares, a.norms[(int64_t)b * a.k + answer.label]);
		answer.certain = __popc(split_near(scores, margin, &best)) == 1 && best + others > margin;
		answer.threshold = best - margin;
	}
	return answer;
}

/* The rows of a warp's tile after the sweep; before: the labels of the lane's own. Rows by which the sums change are added
 * to the list of moves; returns how many there are then. */
template <int CHUNKS>
static __device__ __forceinline__ int split_finish(const struct fkmi_split_assign &a, const struct fkmi_points &p,
													const struct fkmi_split_problem &problem, const float *sets,
													const float *local_sets,
													const struct split_found (&found)[SPLIT_LANE_ROWS],
													const int32_t (&before)[SPLIT_OWN],
													const struct split_rows<CHUNKS> &rows, struct split_moves &moves,
													int listed, struct split_counts &counts, int b, int first)
{
	enum { D = 4 * CHUNKS };
	const int lane = (int)(threadIdx.x & 31), own = split_own_row();
	struct split_found own_found[SPLIT_OWN];
	float y[SPLIT_OWN][D], start[SPLIT_OWN], threshold[SPLIT_OWN];
	bool open[SPLIT_OWN], any_open = false; /* rows not decided */
	split_share(found, own_found);
#pragma unroll
	for (int o = 0; o < SPLIT_OWN; o++) {
		start[o] = rows.start[own + 8 * o];
#pragma unroll
		for (int j = 0; j < D; j++)
			y[o][j] = rows.y[own + 8 * o][j];
	}
#pragma unroll
	for (int o = 0; o < SPLIT_OWN; o++) {
		const int i = first + own + 8 * o;
		const struct split_answer answer =
			split_answer<D>(a, problem, sets, local_sets, own_found[o], b, y[o], start[o]);
		const bool real = i < a.span_rows, certain = real && answer.certain;
		open[o] = real && !certain;
		any_open = any_open || open[o];
		threshold[o] = answer.threshold;
		bool moved = false;
		if (certain)
			moved = split_label(a, counts, b * a.n + a.span_row + i, before[o], answer.label);
		listed = split_list(moves, listed, moved, a.span_row + i, a.delta ? before[o] : -1, answer.label);
	}
	if (__any_sync(0xffffffffu, any_open)) {
#pragma unroll 1
		for (int o = 0; o < SPLIT_OWN; o++)
			for (uint32_t lanes = __ballot_sync(0xffffffffu, o == 0 ? open[0] : open[SPLIT_OWN - 1]); lanes != 0;
				 lanes &= lanes - 1) {
				const int of = __ffs((int)lanes) - 1;
				const int i = __shfl_sync(0xffffffffu, a.span_row + first + own + 8 * o, of);
				const int32_t from = o == 0 ? before[0] : before[SPLIT_OWN - 1];
				float given[D];
#pragma unroll
				for (int j = 0; j < D; j++)
					given[j] = __shfl_sync(0xffffffffu, o == 0 ? y[0][j] : y[SPLIT_OWN - 1][j], of);
				const struct fkmi_verdict verdict = split_decide<D>(
					a, p, sets, b, i, given, __shfl_sync(0xffffffffu, o == 0 ? threshold[0] : threshold[SPLIT_OWN - 1], of));
				bool moved = false;
				if (lane == of) {
					counts.rechecked++;
					counts.ties += verdict.tie;
					moved = split_label(a, counts, b * a.n + i, from, verdict.label);
				}
				listed = split_list(moves, listed, moved, i, a.delta ? from : -1, verdict.label);
			}
	}
	return listed;
}

/* ---- the kernel ---- */

/* The number of active problems; by the whole block. */
static __device__ __forceinline__ int split_count_active(const struct fkmi_split_assign &a)
{
	int count = 0;
	for (int first = 0; first < a.b; first += FKMI_SPLIT_THREADS) {
		const int b = first + (int)threadIdx.x;
		count += __syncthreads_count(b < a.b && a.active[b] != 0);
	}
	return count;
}

/* The active problem that `index` others come before; by whole warps. */
static __device__ __forceinline__ int split_nth_active(const struct fkmi_split_assign &a, int index)
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

static __device__ __forceinline__ void split_copy(float4 *to, const void *from, int count)
{
	for (int i = (int)threadIdx.x; i < count; i += FKMI_SPLIT_THREADS)
		to[i] = ((const float4 *)from)[i];
}

/* A block's shared memory. */
struct split_memory {
	uint4 *fragments;
	float *sets;
	void *rows; /* struct split_rows of each warp */
	struct split_moves *moves; /* of each warp */
	struct split_sums sums;
};

/* Tiles first .. last-1 of problem b; by the whole block. */
template <int CHUNKS>
static __device__ __forceinline__ void split_problem(const struct fkmi_split_assign &a,
													const struct split_memory &memory, int b, int first, int last)
{
	enum { D = 4 * CHUNKS, WARPS = FKMI_SPLIT_THREADS / 32, FRAGMENT_QUADS = FKMI_SPLIT_FRAGMENT_BYTES(CHUNKS) / 16 };
	const struct fkmi_points p = {(const char *)a.points, a.row_scale, a.row_stride, a.batch_stride, a.n, a.d, a.dtype};
	const struct fkmi_split_problem &problem = a.problems[b];
	const uint4 *fragments = (const uint4 *)a.fragments + (int64_t)b * a.blocks * FRAGMENT_QUADS;
	const float *sets = a.sets + (int64_t)b * 4 * a.blocks * FKMI_SPLIT_SET_FLOATS(D);
	const int lane = (int)(threadIdx.x & 31), warp = (int)threadIdx.x / 32;
	const bool whole = a.chunk_blocks >= a.blocks;
	struct split_rows<CHUNKS> &rows = ((struct split_rows<CHUNKS> *)memory.rows)[warp];
	static_assert(sizeof rows == FKMI_SPLIT_ROWS_BYTES(D) / WARPS, "split.h");
	struct split_moves &moves = memory.moves[warp];
	struct split_counts counts = {0, 0, 0};
	int listed = 0;
	if (a.local_sets)
		split_copy((float4 *)memory.sets, sets, a.blocks * FKMI_SPLIT_SET_FLOATS(D)); /* 4 sets, 4 floats at a time */
	uint32_t x[SPLIT_OWN][D];
	split_fetch_rows<D>(a, b, (first + warp) * FKMI_SPLIT_ROWS + split_own_row(), x);
	for (int done = first; done < last; done += WARPS) {
		const int tile = done + warp;
		const bool mine = tile < last;
		struct split_operands<CHUNKS> operands;
		struct split_found found[SPLIT_LANE_ROWS];
		int32_t before[SPLIT_OWN];
		if (mine) {
#pragma unroll
			for (int o = 0; o < SPLIT_OWN; o++) {
				const int i = tile * FKMI_SPLIT_ROWS + split_own_row() + 8 * o;
				before[o] = i < a.span_rows ? a.labels[b * a.n + a.span_row + i] : 0;
			}
			split_load<CHUNKS>(a, problem, b, tile * FKMI_SPLIT_ROWS, x, rows, operands);
			split_fetch_rows<D>(a, b, (tile + WARPS) * FKMI_SPLIT_ROWS + split_own_row(), x); /* while this one is swept */
#pragma unroll
			for (int r = 0; r < SPLIT_LANE_ROWS; r++)
				found[r] = {0x7f800000, 0x7f800000, 0};
		}
		for (int block = 0; block < a.blocks; block += a.chunk_blocks) {
			const int count = min(a.chunk_blocks, a.blocks - block);
			if (!whole || done == first) {
				__syncthreads();
				split_copy((float4 *)memory.fragments, fragments + (int64_t)block * FRAGMENT_QUADS,
						   count * FRAGMENT_QUADS);
				__syncthreads();
			}
			if (mine)
				split_sweep<CHUNKS>(operands, found, memory.fragments, block, count);
		}
		if (mine) {
			/* Of a block, this lane has seen set lane % 4. */
#pragma unroll
			for (int r = 0; r < SPLIT_LANE_ROWS; r++)
				found[r].set = 4 * found[r].set + lane % 4;
			listed = split_finish<CHUNKS>(a, p, problem, sets, memory.sets, found, before, rows, moves, listed, counts,
										  b, tile * FKMI_SPLIT_ROWS);
			if (listed >= split_moves::ENOUGH) {
				split_move(a, p, memory.sums, b, moves, listed);
				listed = 0;
			}
		}
	}
	split_move(a, p, memory.sums, b, moves, listed);
	split_add(a, b, FKMI_STATE_CHANGED, counts.changed);
	split_add(a, b, FKMI_STATE_RECHECKED, counts.rechecked);
	split_add(a, b, FKMI_STATE_TIES, counts.ties);
	__syncthreads();
	if (a.accumulates)
		split_flush(a, memory.sums, b);
}

template <int CHUNKS> static __device__ __forceinline__ void split_assign(const struct fkmi_split_assign &a)
{
	extern __shared__ float4 shared[];
	const int sum_count = a.accumulates ? a.k * (a.d + 1) : 0;
	struct split_memory memory;
	memory.fragments = (uint4 *)shared;
	memory.sets = (float *)(memory.fragments + a.chunk_blocks * (FKMI_SPLIT_FRAGMENT_BYTES(CHUNKS) / 16));
	memory.rows = memory.sets + (a.local_sets ? 4 * a.blocks * FKMI_SPLIT_SET_FLOATS(4 * CHUNKS) : 0);
	memory.moves = (struct split_moves *)((char *)memory.rows + FKMI_SPLIT_ROWS_BYTES(4 * CHUNKS));
	memory.sums.low = (int32_t *)(memory.moves + FKMI_SPLIT_THREADS / 32);
	memory.sums.high = memory.sums.low + sum_count;
	for (int s = (int)threadIdx.x; s < 2 * sum_count; s += FKMI_SPLIT_THREADS)
		memory.sums.low[s] = 0;
	/* Each block takes as many tiles of the active problems as any other, one after the other. */
	const int64_t all = (int64_t)split_count_active(a) * a.tiles;
	const int64_t end = all * (blockIdx.x + 1) / gridDim.x;
	for (int64_t done = all * blockIdx.x / gridDim.x; done < end;) {
		const int64_t index = done / a.tiles;
		const int first = (int)(done - index * a.tiles), last = (int)min((int64_t)a.tiles, first + (end - done));
		split_problem<CHUNKS>(a, memory, split_nth_active(a, (int)index), first, last);
		done += last - first;
	}
}

#define SPLIT_KERNEL(dims)                                                                                             \
	extern "C" __global__ void __launch_bounds__(FKMI_SPLIT_THREADS, FKMI_SPLIT_BLOCKS)                                \
		fkmi_split_d##dims(const __grid_constant__ struct fkmi_split_assign a)                                         \
	{                                                                                                                  \
		split_assign<(dims) / 4>(a);                                                                                   \
	}
FKMI_SPLIT_SHAPES(SPLIT_KERNEL)

#endif
