/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The warps of an assignment kernel that make labels of results. A row's result is 16 bytes of shared memory: best score,
 * its column, second-best score and, where the tile is measured, |X^|^2.
 */
#ifndef FKMI_CUDA_FINISH_CUH
#define FKMI_CUDA_FINISH_CUH

#include "kernels/common/state.h"
#include "kernels/cuda/certificate.cuh"
#include "kernels/cuda/shape.cuh"

/* Whether a tile's rows go into the sums for the next certificate. */
template <int ROWS> static __device__ __forceinline__ bool is_counted(const struct fkmi_sm90_assign &a, int tile)
{
	return a.exact && tile % (FKMI_SM90_COUNTED_ROWS / ROWS) == 0;
}

/* What the lengths of a problem's rows are compared with. */
struct length_measure {
	float moved, usual_length, usual_distance;
};

static __device__ __forceinline__ struct length_measure length_measure_of(const struct fkmi_sm90_assign &a, int b)
{
	const struct fkmi_sm90_problem *problem = &a.problems[b];
	return {__ldg(&problem->moved), __ldg(&problem->usual.length), __ldg(&problem->usual.distance)};
}

/* The longest of a tile's rows when they were last measured. */
template <int ROWS>
static __device__ __forceinline__ float longest_of(const struct fkmi_sm90_assign &a, int b, int tile)
{
	const int group = a.span_row / FKMI_SM90_LENGTH_ROWS + tile * (ROWS / FKMI_SM90_LENGTH_ROWS);
	const float *lengths = a.longest + (int64_t)b * a.length_groups;
	float longest = 0;
#pragma unroll
	for (int g = 0; g < ROWS / FKMI_SM90_LENGTH_ROWS; g++)
		longest = fmaxf(longest, lengths[min(group + g, a.length_groups - 1)]);
	return longest;
}

/* P at most of the rows of a tile; infinity: they are to be measured, since that is unknown, or so far from the usual that
 * too many would be undecided for it. */
template <int ROWS>
static __device__ __forceinline__ float tile_length(const struct fkmi_sm90_assign &a,
													const struct length_measure &measure, int tile, float longest)
{
	const float infinity = __int_as_float(0x7f800000), p = (longest + measure.moved) * 1.000001f;
	const float p0 = measure.usual_length, r0 = measure.usual_distance;
	if (is_counted<ROWS>(a, tile) || !(measure.moved < infinity))
		return infinity;
	return p * p - p0 * p0 <= 1.5f * r0 * r0 ? p : infinity;
}

/* Adds logarithms of the measures of these lanes' rows to the problem's sums. */
static __device__ __forceinline__ void add_measures(struct fkmi_sm90_problem *problem, const struct row_measure &row)
{
	const uint32_t lanes = __activemask();
	auto add = [&](int64_t *sum, float measure) {
		const int logarithms = __reduce_add_sync(lanes, measure_logarithm(measure));
		if ((int)(thread_index() & 31) == __ffs((int)lanes) - 1)
			atomicAdd((unsigned long long *)sum, (unsigned long long)(int64_t)logarithms);
	};
	add(&problem->lengths, row.length);
	add(&problem->distances, row.distance);
	add(&problem->residuals, row.residual);
	if ((int)(thread_index() & 31) == __ffs((int)lanes) - 1)
		atomicAdd(&problem->measured, __popc(lanes));
}

/* What decides most rows of a problem: quick_certificate with scores' slope and fixed; 2 2^-t. */
struct quick_test {
	struct quick_certificate certificate;
	float twice_inverse;
};

/* What a warp that makes labels keeps of its problem: in registers, or, where those are few, in shared memory. */
template <bool ROOMY> struct finisher_state;

template <> struct finisher_state<true> {
	struct quick_test test;
	int changed_rows; /* of all lanes */
	bool counts;      /* the rows in the queue go into the problem's sums */
	bool measures;    /* every row */

	__device__ __forceinline__ void set_test(uint32_t, const struct quick_test &value, bool all)
	{
		test = value;
		measures = all;
	}
	__device__ __forceinline__ bool decides(uint32_t, float best, float second, float squares, float residual) const
	{
		return quick_caps(test.certificate, test.twice_inverse, best, squares, residual) &&
			   quick_decides(test.certificate, fmaf(test.twice_inverse, best, squares), best, second);
	}
	__device__ __forceinline__ bool measures_all(uint32_t) const
	{
		return measures;
	}
	__device__ __forceinline__ void set_counted(uint32_t, bool counted)
	{
		counts = counted;
	}
	__device__ __forceinline__ bool counted(uint32_t) const
	{
		return counts;
	}
	/* The rows of lanes with `changed` have changed their labels. */
	__device__ __forceinline__ void add_changed(uint32_t, bool changed)
	{
		changed_rows += __popc(__ballot_sync(0xffffffffu, changed));
	}
	/* How many did, and none has. */
	__device__ __forceinline__ int take_changed(uint32_t)
	{
		const int rows = changed_rows;
		changed_rows = 0;
		return rows;
	}
};

template <> struct finisher_state<false> {
	enum { TEST = 0, MEASURES = 32, COUNTED = 36, CHANGED = 40 }; /* in FINISH_STATE_BYTES */

	__device__ __forceinline__ void set_test(uint32_t at, const struct quick_test &value, bool all)
	{
		const struct quick_certificate &quick = value.certificate;
		if ((thread_index() & 31) == 0) {
			shared_store4(at + TEST, {quick.fixed, quick.slope, quick.knee, quick.errors});
			shared_store4(at + TEST + 16, {quick.squares, quick.residual, quick.far, value.twice_inverse});
			shared_store1(at + MEASURES, all);
		}
		__syncwarp();
	}
	__device__ __forceinline__ bool decides(uint32_t at, float best, float second, float squares, float residual) const
	{
		const float4 caps = shared_load4(at + TEST + 16);
		const float near = fmaf(caps.w, best, squares);
		if (!quick_caps({0, 0, 0, 0, caps.x, caps.y, caps.z}, caps.w, best, squares, residual))
			return false;
		const float4 v = shared_load4(at + TEST);
		return quick_decides({v.x, v.y, v.z, v.w, 0, 0, 0}, near, best, second);
	}
	__device__ __forceinline__ bool measures_all(uint32_t at) const
	{
		return shared_load1(at + MEASURES) != 0;
	}
	__device__ __forceinline__ void set_counted(uint32_t at, bool counted)
	{
		if ((thread_index() & 31) == 0)
			shared_store1(at + COUNTED, counted);
		__syncwarp();
	}
	__device__ __forceinline__ bool counted(uint32_t at) const
	{
		return shared_load1(at + COUNTED) != 0;
	}
	__device__ __forceinline__ void add_changed(uint32_t at, bool changed)
	{
		const uint32_t rows = (uint32_t)__popc(__ballot_sync(0xffffffffu, changed));
		if ((thread_index() & 31) == 0)
			shared_store1(at + CHANGED, shared_load1(at + CHANGED) + rows);
	}
	__device__ __forceinline__ int take_changed(uint32_t at)
	{
		const int rows = (int)shared_load1(at + CHANGED);
		__syncwarp();
		if ((thread_index() & 31) == 0)
			shared_store1(at + CHANGED, 0);
		return rows;
	}
};

/*
 * A warp that makes labels, of problem b. Rows that are not obviously decided wait in a queue in shared memory until there
 * are enough for all lanes, since what they take is latency. Their labels stand already, as if they were decided.
 */
template <bool ROOMY> struct finisher {
	const struct fkmi_sm90_assign &a;
	uint32_t shared; /* what all finishing warps have of it */
	int b;           /* -1: none */
	int count;       /* of the queue: below 32 before rows are taken */
	struct finisher_state<ROOMY> state;

	enum {
		QUEUE = FINISH_STATE_BYTES,            /* results */
		QUEUE_ROWS = QUEUE + 16 * FINISH_QUEUE /* and of each its row and the label that stood there */
	};

	static constexpr float LOST =
		-3.4e38f; /* in place of the threshold of a row whose scores say nothing; none is so low */

	__device__ __forceinline__ finisher(const struct fkmi_sm90_assign &assign, uint32_t shared_bytes)
		: a(assign), shared(shared_bytes), b(-1), count(0), state()
	{
		if (!ROOMY)
			shared_store1(base() + finisher_state<false>::CHANGED, 0);
	}

	/* The warp's shared memory; finishing warps begin with warp 1. */
	__device__ __forceinline__ uint32_t base(void) const
	{
		return shared + (thread_index() / 32 - 1) * FINISH_BYTES;
	}
	static __device__ __forceinline__ int lane(void)
	{
		return (int)(thread_index() & 31);
	}
	/* The row at place i of the queue, in the problem. */
	__device__ __forceinline__ int row_of(int i) const
	{
		return a.span_row + (int)shared_load1(base() + QUEUE_ROWS + 8 * i);
	}

	/* Decides rows of the queue before rows of problem `next` are taken; -1: nothing more comes. Written in one place of a
	 * kernel, so that registers are few. */
	__device__ __forceinline__ void settle(int next, bool counted)
	{
		const int least = next != b || (count > 0 && counted != state.counted(base())) ? 1 : 32;
#pragma unroll 1
		while (count >= least)
			decide();
	}

	/* Makes the labels of 64 rows of problem `next` from each of `first` on, whose results lie at `results`, after settle().
	 * More than one: so that the lanes have more to do while they wait. */
	template <int TILES>
	__device__ __forceinline__ void take(int next, bool counted, const int *first, const uint32_t *results)
	{
		static_assert(31 + 64 * TILES <= FINISH_QUEUE, "they have room in the queue");
		state.set_counted(base(), counted);
		if (next != b)
			turn_to(next);
		if (next >= 0)
			take_rows<TILES>(counted, first, results);
	}

	__device__ __forceinline__ void turn_to(int next)
	{
		const int changed = state.take_changed(base());
		if (lane() == 0 && changed != 0)
			atomicAdd((unsigned long long *)&a.state[(int64_t)b * FKMI_STATE_MEMBERS + FKMI_STATE_CHANGED],
					  (unsigned long long)changed);
		b = next;
		if (!a.exact || next < 0)
			return;
		const struct fkmi_sm90_problem *problem = &a.problems[b];
		struct certificate_problem p = certificate_problem_of(problem);
		p.usual = usual_of(problem);
		struct quick_certificate quick = quick_certificate_of(p, a.gamma, a.distance_error);
		quick.fixed *= inverse_power2(p.inverse);
		quick.slope *= inverse_power2(p.inverse);
		quick.residual -= __ldg(&problem->point_residual);
		state.set_test(base(), {quick, 2.0f * p.inverse}, !(__ldg(&problem->moved) < __int_as_float(0x7f800000)));
	}

	/* Of a row of the span. */
	__device__ __forceinline__ const float *residual_of(int row) const
	{
		return &a.residuals[(int64_t)b * a.copied_rows + a.operand_row + row];
	}

	/* This lane's rows of each 64, every 32nd. */
	template <int TILES>
	__device__ __forceinline__ void take_rows(bool counted, const int *first, const uint32_t *results)
	{
		const int64_t start = (int64_t)b * a.n + a.span_row + lane();
		int before[2 * TILES];
#pragma unroll
		for (int j = 0; j < 2 * TILES; j++) {
			const int row = first[j / 2] + j % 2 * 32;
			before[j] = row + lane() < a.span_rows ? a.labels[start + row] : 0;
		}
#pragma unroll
		for (int j = 0; j < 2 * TILES; j++) {
			const int row = first[j / 2] + j % 2 * 32;
			const bool there = row + lane() < a.span_rows;
			float4 result = shared_load4(results[j / 2] + 16 * lane() + j % 2 * 512);
			const int label = __float_as_int(result.y);
			bool decided = result.x < 3.0e38f;
			if (a.exact) {
				const float residual = there && a.residuals != nullptr ? __ldg(residual_of(row + lane())) : 0.0f;
				/* A row's own P^2, or P of all the tile's rows with another sign. */
				result.w = result.w < 0 ? __fmul_ru(result.w, result.w) : result.w * a.square_factor;
				decided = decided && !counted && state.decides(base(), result.x, result.z, result.w, residual);
			}
			if (there) {
				if (a.previous != nullptr)
					a.previous[start + row] = before[j];
				a.labels[start + row] = label;
			}
			state.add_changed(base(), there && decided && before[j] != label);
			const bool waits = there && !decided;
			const uint32_t mask = __ballot_sync(0xffffffffu, waits);
			if (mask == 0)
				continue;
			if (waits) {
				const int place = count + __popc(mask & ((1u << lane()) - 1));
				shared_store4(base() + QUEUE + 16 * place, result);
				shared_store2(base() + QUEUE_ROWS + 8 * place, row + lane(), before[j]);
			}
			count += __popc(mask);
		}
		if (a.exact && state.measures_all(base()))
			for (int t = 0; t < TILES; t++)
				keep_longest(first[t], results[t]);
	}

	/* Of the 64 rows, whose results have P^2 each. */
	__device__ __forceinline__ void keep_longest(int first, uint32_t results) const
	{
		float longest = 0;
		for (int j = 0; j < 2; j++)
			if (first + lane() + 32 * j < a.span_rows)
				longest = fmaxf(longest,
								__uint_as_float(shared_load1(results + 16 * lane() + 512 * j + 12)) * a.square_factor);
		/* The order of floats that are not negative is that of integers. */
		longest = __int_as_float(__reduce_max_sync(0xffffffffu, __float_as_int(longest)));
		if (lane() == 0 && first < a.span_rows)
			a.longest[(int64_t)b * a.length_groups + (a.span_row + first) / FKMI_SM90_LENGTH_ROWS] =
				sqrt_approximate(longest) * 1.00001f;
	}

	/* The first rows of the queue. */
	__device__ __forceinline__ void decide(void)
	{
		__syncwarp();
		bool listed = false, changed = false;
		if (lane() < count) {
			asm volatile("" : "+r"(b)); /* what hangs on it does not stay in registers */
			const struct fkmi_sm90_problem *problem = &a.problems[b];
			const float4 result = shared_load4(base() + QUEUE + 16 * lane());
			float threshold = LOST;
			listed = !(result.x < 3.0e38f); /* as all are where the problem is off */
			if (!listed && a.exact) {
				const struct fkmi_sm90_length length = a.lengths[(int64_t)b * a.k + __float_as_int(result.y)];
				struct row_measure measure = {0, 0, __ldg(&problem->point_residual)};
				if (a.residuals != nullptr)
					measure.residual += __ldg(residual_of(row_of(lane()) - a.span_row));
				threshold = certificate_threshold(a.problems, b, a.gamma, a.distance_error, result.x, result.w, length,
												  measure);
				listed = !(__uint_as_float(shared_load1(base() + QUEUE + 16 * lane() + 8)) > threshold);
				if (state.counted(base()))
					add_measures(&a.problems[b], measure);
			}
			shared_store1(base() + QUEUE + 16 * lane() + 8, __float_as_uint(threshold));
		}
		const uint32_t mask = __ballot_sync(0xffffffffu, listed);
		int place = 0;
		if (mask != 0 && lane() == 0)
			place = atomicAdd(&a.row_counts[b], __popc(mask));
		place = __shfl_sync(0xffffffffu, place, 0) + __popc(mask & ((1u << lane()) - 1));
		if (listed) {
			const float threshold = __uint_as_float(shared_load1(base() + QUEUE + 16 * lane() + 8));
			const int row = row_of(lane());
			a.rows[(int64_t)b * a.span_rows + place] = fkmi_sm90_row{row, threshold};
			/* Until the recheck, the label of a listed row is the head of its list of candidates. */
			a.labels[(int64_t)b * a.n + row] = threshold == LOST ? FKMI_SM90_SCAN_ALL : FKMI_SM90_NO_CANDIDATE;
		} else if (lane() < count) {
			changed =
				shared_load1(base() + QUEUE + 16 * lane() + 4) != shared_load1(base() + QUEUE_ROWS + 8 * lane() + 4);
		}
		state.add_changed(base(), changed);
		__syncwarp();
		/* What is behind them moves up. */
		count = max(count - 32, 0);
#pragma unroll 1
		for (int i = lane(); i < count; i += 32) {
			shared_store4(base() + QUEUE + 16 * i, shared_load4(base() + QUEUE + 16 * (32 + i)));
			shared_store2(base() + QUEUE_ROWS + 8 * i, (int)shared_load1(base() + QUEUE_ROWS + 8 * (32 + i)),
						  (int)shared_load1(base() + QUEUE_ROWS + 8 * (32 + i) + 4));
		}
		__syncwarp();
	}
};

/* Brings near what a finisher reads of so many rows from `first` on. */
static __device__ __forceinline__ void prefetch_rows(const struct fkmi_sm90_assign &a, int b, int first, int rows)
{
	enum { ROWS = 32 }; /* in a line */
	const int local = (int)(thread_index() & 31) * ROWS;
	if (local >= rows || first + local >= a.span_rows)
		return;
	const int64_t at = (int64_t)b * a.n + a.span_row + first + local;
	prefetch(&a.labels[at]);
	if (a.residuals != nullptr)
		prefetch(&a.residuals[(int64_t)b * a.copied_rows + a.operand_row + first + local]);
}

/* Tiles of listed rows before each problem's, from their counts, by the last warp that has listed rows, of so
 * many in each block. */
static __device__ __forceinline__ void count_tiles(const struct fkmi_sm90_assign &a, int finishers)
{
	const int lane = (int)(thread_index() & 31), warps = (int)block_count() * finishers;
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
