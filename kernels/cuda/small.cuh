/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole iterations of small problems in one launch. A set of groups shares a problem: each keeps its rows in shared
 * memory, as f16 numbers, and the labels; the groups meet twice in an iteration, before and after the new centroids are
 * made, of which each makes some. All groups of the grid are resident at once (a cooperative launch), so that they can
 * wait for each other.
 *
 * Assignment is FlashAssign's: f16 scores by the tensor cores, a certificate (small_certificate.cuh), and for rows that
 * it does not decide the reference distance to the centroids whose score is within the threshold. A mask has a bit for
 * each of these, so that no list of them can be too long. Here the numbers of the certificate are
 *
 *     f16 and bf16: nu = 0, m the mean of some points; else: nu the mean of some points, m = 0
 *     2^a, 2^t: from the range of the points, which holds their means, for all iterations of the launch. A centroid far
 *     outside, as a caller's start may have, is beyond f16: then all rows are decided by all distances.
 */
#ifndef FKMI_CUDA_SMALL_CUH
#define FKMI_CUDA_SMALL_CUH

#include "kernels/cuda/small_assign.cuh"

/* ---- sums ---- */

/* Moves up to ROWS of the listed rows, `step` apart from place i on, as far as dimension j. QUANTISE(row): its element
 * there on the grid of sums. Everything is read before anything is added. */
template <int ROWS, class QUANTISE>
static __device__ __forceinline__ void small_move_rows(const struct small &s, int i, int step, int changed, int j,
													   const QUANTISE &quantise)
{
	const struct fkmi_small &a = s.a;
	const uint16_t *listed = SMALL_PLACE(uint16_t, s, listed);
	int64_t *sums = a.sums + s.centroid * a.d + j, q[ROWS];
	int from[ROWS], to[ROWS];
#pragma unroll
	for (int r = 0; r < ROWS; r++) {
		const int row = listed[min(i + r * step, changed - 1)];
		from[r] = SMALL_PLACE(int32_t, s, labels)[row];
		to[r] = SMALL_PLACE(int32_t, s, fresh)[row];
		q[r] = quantise(row);
	}
#pragma unroll
	for (int r = 0; r < ROWS; r++) {
		if (i + r * step >= changed)
			break;
		fkmi_add64(&sums[(int64_t)to[r] * a.d], q[r]);
		if (from[r] >= 0)
			fkmi_add64(&sums[(int64_t)from[r] * a.d], -q[r]);
	}
}

/* Moves the listed rows from their label's sums to those of their fresh one, which becomes their label. */
static __device__ __forceinline__ void small_move(const struct small &s)
{
	const struct fkmi_small &a = s.a;
	const double *scale = SMALL_PLACE(double, s, scale);
	const uint16_t *listed = SMALL_PLACE(uint16_t, s, listed);
	const int j = (int)threadIdx.x & (s.width - 1), step = FKMI_SMALL_GROUP / s.width, changed = s.shared.changed;
	const int start = (int)threadIdx.x / s.width;
	if (j < a.d && s.direct && a.dtype == FKMI_TYPE_F16 && a.weights == nullptr) {
		const double own = scale[j];
		const uint16_t *points = (const uint16_t *)(s.memory + a.at.points) + j;
		const int pitch = a.at.pitch / 2;
#pragma unroll 1
		for (int i = start; i < changed; i += 4 * step)
			small_move_rows<4>(s, i, step, changed, j,
							   [&](int row) { return fkmi_quantise(half_to_double(points[row * pitch]), own); });
	} else if (j < a.d) {
#pragma unroll 1
		for (int i = start; i < changed; i += step)
			small_move_rows<1>(s, i, step, changed, j,
							   [&](int row) { return fkmi_quantised(&s.quantiser, s.first + row, j); });
	}
	__syncthreads();
#pragma unroll 1
	for (int i = (int)threadIdx.x; i < changed; i += FKMI_SMALL_GROUP) {
		const int row = listed[i], to = SMALL_PLACE(int32_t, s, fresh)[row];
		int32_t *label = &SMALL_PLACE(int32_t, s, labels)[row];
		const int64_t q = fkmi_quantised_weight(&s.quantiser, s.first + row);
		fkmi_add64(&a.weight_sums[s.centroid + to], q);
		if (*label >= 0)
			fkmi_add64(&a.weight_sums[s.centroid + *label], -q);
		*label = to;
	}
}

static __device__ __forceinline__ void small_store_labels(const struct small &s)
{
#pragma unroll 1
	for (int row = (int)threadIdx.x; row < s.rows; row += FKMI_SMALL_GROUP)
		s.a.labels[s.b * s.a.n + s.first + row] = SMALL_PLACE(int32_t, s, labels)[row];
}

/* ---- empty clusters ---- */

/* These are rare, and kept out of the way. */

/* The state's empty and first_empty. One group calls it. */
static __device__ __noinline__ void small_tell_empty(struct small_shared *shared, const int64_t *weight_sums,
													 int k_count, int64_t *state)
{
	int64_t empty = 0, first = FKMI_NONE_YET;
#pragma unroll 1
	for (int k = (int)threadIdx.x; k < k_count; k += FKMI_SMALL_GROUP) {
		if (weight_sums[k] == 0) {
			empty++;
			first = fkmi_smaller(first, k);
		}
	}
	empty = fkmi_group_sum(shared->buffer, empty);
	first = fkmi_group_min(shared->buffer, first);
	if (threadIdx.x == 0) {
		state[FKMI_STATE_EMPTY] = empty;
		state[FKMI_STATE_FIRST_EMPTY] = empty > 0 ? first : -1;
	}
	__syncthreads();
}

/* D of the group's rows to their own centroids. */
static __device__ __noinline__ void small_measure(const struct small *s)
{
	const struct fkmi_small &a = s->a;
	const int32_t *labels = SMALL_PLACE(int32_t, *s, labels);
#pragma unroll 1
	for (int row = (int)threadIdx.x / 8; row < a.group_rows; row += FKMI_SMALL_GROUP / 8) {
		const int mine = min(row, s->rows - 1);
		const double distance = small_distance(*s, mine, a.centroids + (s->centroid + labels[mine]) * a.d);
		if (row < s->rows && (s->lane & 7) == 0)
			a.distances[s->b * a.n + s->first + row] = distance;
	}
	small_store_labels(*s);
}

static __device__ __noinline__ void small_find_moves(const struct fkmi_small *a, struct small_shared *shared, int b)
{
	const int64_t cluster = (int64_t)b * a->k;
	fkmi_find_moves(shared->histogram, shared->buffer, (const int64_t *)a->distances + b * a->n, a->labels + b * a->n,
					a->weight_sums + cluster, a->state + (int64_t)b * FKMI_STATE_MEMBERS,
					a->sort_keys + b * a->sort_size, a->sort_rows + b * a->sort_size, &a->move_count[b],
					a->move_rows + cluster, a->move_targets + cluster, a->move_heads + cluster,
					a->move_next + cluster, a->n, a->k, a->sort_size);
}

/* A sum of cluster k after the moves, as fkmi_moved_sum. */
static __device__ __noinline__ int64_t small_moved(const struct fkmi_small *a, int b, int k, int j, int64_t sum)
{
	const int64_t cluster = (int64_t)b * a->k;
	const struct fkmi_points points = {(const char *)a->points, a->row_scale, a->row_stride, a->batch_stride,
									   a->n, a->d, a->dtype};
	const struct fkmi_weights weights = {(const char *)a->weights, a->weights_stride, a->weights_dtype};
	const struct fkmi_quantiser quantiser = {
		&points, &weights, a->column_scale + (int64_t)b * a->d,
		fkmi_bits_double(a->state[(int64_t)b * FKMI_STATE_MEMBERS + FKMI_STATE_WEIGHT_SCALE]), b};
	const struct fkmi_moves moves = {a->move_count[b], a->move_rows + cluster, a->move_targets + cluster,
									 a->move_heads + cluster, a->move_next + cluster};
	return fkmi_moved_sum(&moves, &quantiser, sum, fkmi_filling_pair(&moves, k), k, j);
}

/* Finds out which points go to the empty clusters. */
static __device__ __forceinline__ void small_relocate(const struct small &s, struct small_meeting &meeting)
{
	const struct small copy = s; /* whose address is taken */
	small_measure(&copy);
	small_meet(meeting);
	if (s.member == 0)
		small_find_moves(&s.a, &s.shared, s.b);
	small_meet(meeting);
}

/* ---- centroids ---- */

/* Part of a centroid; element v is that of dimension first + 32 v + lane. */
struct small_part {
	int64_t sum[SMALL_BLOCKS], weight;
	double centroid[SMALL_BLOCKS];
};

static __device__ __forceinline__ void small_load_part(const struct small &s, int k, int first, bool sums,
													   struct small_part &part)
{
	const struct fkmi_small &a = s.a;
	const int64_t at = (s.centroid + k) * a.d;
	part.weight = sums ? a.weight_sums[s.centroid + k] : 0;
#pragma unroll
	for (int v = 0; v < SMALL_BLOCKS; v++) {
		const int j = first + v * 32 + s.lane;
		part.sum[v] = sums && j < a.d ? a.sums[at + j] : 0;
		part.centroid[v] = j < a.d ? a.centroids[at + j] : 0.0;
	}
}

/* Adds the squares of t to the eight partial sums of section 1 of docs/semantics.md, of which this lane has that of its
 * number modulo 8. */
static __device__ __forceinline__ double small_add_squares(double sum, double t)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		const double u = __shfl_sync(0xffffffffu, t, (int)(threadIdx.x & 7) + 8 * i);
		sum = fma(u, u, sum);
	}
	return sum;
}

/* The norm of a cluster's sums, for cosine. */
static __device__ __noinline__ double small_norm(const struct fkmi_small *a, int b, int k, bool moved)
{
	const int lane = (int)threadIdx.x & 31;
	double sum = 0;
	for (int j0 = 0; j0 < a->d; j0 += 32) {
		int64_t one = j0 + lane < a->d ? a->sums[((int64_t)b * a->k + k) * a->d + j0 + lane] : 0;
		if (moved && j0 + lane < a->d)
			one = small_moved(a, b, k, j0 + lane, one);
		__syncwarp();
		sum = small_add_squares(sum, (double)one);
	}
	return sqrt(fkmi_sum8(nullptr, sum));
}

/* What is summed over the dimensions of a centroid. */
struct small_sums {
	double shift, square, product, residual;
};

/* Section 3.4 (where sums is set) and the operands (where filters is set) for a part of centroid k. */
static __device__ __forceinline__ void small_finish_part(const struct small &s, int k, int first, bool sums,
														 bool filters, bool keeps, double divisor,
														 const struct small_part &part, struct small_sums &t)
{
	const struct fkmi_small &a = s.a;
	const double *mean = SMALL_PLACE(double, s, mean), *scale = SMALL_PLACE(double, s, scale);
	const float *shift = SMALL_PLACE(float, s, shift);
	const double inverse = fkmi_inverse_power2(s.centroid_scale);
#pragma unroll
	for (int v = 0; v < SMALL_BLOCKS; v++) {
		const int j = first + v * 32 + s.lane;
		if (first + v * 32 >= a.d_padded)
			break;
		double c = part.centroid[v];
		if (sums) {
			double step = 0;
			if (j < a.d && !keeps) {
				c = (double)part.sum[v] / divisor;
				if (!a.cosine)
					c = c * s.quantiser.weight_scale * fkmi_inverse_power2(scale[j]);
				step = c - part.centroid[v];
				a.centroids[(s.centroid + k) * a.d + j] = c;
			}
			t.shift = small_add_squares(t.shift, step);
		}
		if (filters && j < a.d_padded) {
			uint16_t half = 0;
			if (j < a.d) {
				const double exact = (c - mean[j]) * s.point_scale;
				half = double_to_half(exact * s.centroid_scale);
				const double rounded = half_to_double(half) * inverse;
				t.square += rounded * rounded;
				t.product += rounded * (double)shift[j];
				t.residual += (exact - rounded) * (exact - rounded);
			}
			a.operands[(s.centroid + k) * a.d_padded + j] = half ^ 0x8000;
		}
	}
}

/* What the filter knows of centroid k. */
static __device__ __forceinline__ void small_describe(const struct small &s, int k, struct small_sums t)
{
#pragma unroll
	for (int step = 16; step > 0; step /= 2) {
		t.square += __shfl_xor_sync(0xffffffffu, t.square, step);
		t.product += __shfl_xor_sync(0xffffffffu, t.product, step);
		t.residual += __shfl_xor_sync(0xffffffffu, t.residual, step);
	}
	if (s.lane == 0) {
		/* An infinite operand makes the squares infinite or no number. */
		struct fkmi_small_centroid one = {__int_as_float(0x7fc00000), 0, 0, 0};
		if (t.square < 1e300) {
			const double norm = sqrt(t.square), residual = sqrt(t.residual);
			one.half_norm = (float)(s.centroid_scale * (0.5 * t.square + t.product));
			one.norm = __double2float_ru(norm * 1.000001);
			/* and the subtraction of the mean is rounded */
			one.residual = __double2float_ru(residual * 1.000001 + (norm + residual) * 0x1p-50);
		}
		s.a.described[s.centroid + k] = one;
	}
}

/*
 * Sections 3.3 to 3.5, but for the sum of the shifts, once all groups have added to the sums (updates); and what the
 * filter needs of the centroids (filters). Each group takes some of them, a warp one at a time.
 */
static __device__ __forceinline__ void small_make_centroids(const struct small &s, bool updates, bool filters,
															struct small_meeting &meeting)
{
	const struct fkmi_small &a = s.a;
	const int step = a.groups * SMALL_WARPS;
	struct small_part part;
	int k = s.warp * a.groups + s.member, first = 0;
	if (k < a.k)
		small_load_part(s, k, 0, updates, part);
	bool moved = false;
	if (updates) {
		bool empty = false;
#pragma unroll 1
		for (int i = (int)threadIdx.x; i < a.k; i += FKMI_SMALL_GROUP)
			empty = empty || a.weight_sums[s.centroid + i] == 0;
		moved = __syncthreads_or(empty) && a.relocates;
		if (s.member == 0 && (moved || !filters))
			small_tell_empty(&s.shared, a.weight_sums + s.centroid, a.k, s.state);
		if (moved)
			small_relocate(s, meeting);
	}
	struct small_sums sums = {0, 0, 0, 0};
	bool keeps = false;
	double divisor = 1;
#pragma unroll 1
	while (k < a.k) {
		if (moved) {
#pragma unroll
			for (int v = 0; v < SMALL_BLOCKS; v++)
				if (first + v * 32 + s.lane < a.d)
					part.sum[v] = small_moved(&a, s.b, k, first + v * 32 + s.lane, part.sum[v]);
			part.weight = small_moved(&a, s.b, k, -1, part.weight);
			__syncwarp();
		}
		if (updates && first == 0) {
			divisor = a.cosine ? small_norm(&a, s.b, k, moved) : (double)part.weight;
			keeps = part.weight == 0 || divisor == 0;
		}
		small_finish_part(s, k, first, updates, filters, keeps, divisor, part, sums);
		first += SMALL_BLOCKS * 32;
		if (first >= a.d_padded) {
			if (filters)
				small_describe(s, k, sums);
			sums.shift = fkmi_sum8(nullptr, sums.shift);
			if (updates && s.lane == 0)
				a.shifts[s.centroid + k] = sums.shift;
			sums = {0, 0, 0, 0};
			k += step;
			first = 0;
		}
		if (k < a.k)
			small_load_part(s, k, first, updates, part);
	}
}

/* The state's shift. One warp calls it. */
static __device__ __forceinline__ void small_tell_shift(const struct small &s)
{
	double part = 0;
	if (s.lane < 8)
		for (int k = s.lane; k < s.a.k; k += 8)
			part += s.a.shifts[s.centroid + k];
	part = fkmi_sum8(nullptr, part);
	if (s.lane == 0)
		s.state[FKMI_STATE_SHIFT] = fkmi_double_bits(part);
}

/* ---- a problem ---- */

static __device__ __forceinline__ void small_begin(struct small &s)
{
	const struct fkmi_small &a = s.a;
	small_scale(s);
	small_load_points(s);
#pragma unroll 1
	for (int row = (int)threadIdx.x; row < s.rows; row += FKMI_SMALL_GROUP)
		SMALL_PLACE(int32_t, s, labels)[row] = a.anew ? -1 : a.labels[s.b * a.n + s.first + row];
	if (!a.anew)
		return;
	const int stride = a.groups * FKMI_SMALL_GROUP, own = s.member * FKMI_SMALL_GROUP + (int)threadIdx.x;
#pragma unroll 1
	for (int i = own; i < a.k * a.d; i += stride)
		a.sums[s.centroid * a.d + i] = 0;
#pragma unroll 1
	for (int i = own; i < a.k; i += stride)
		a.weight_sums[s.centroid + i] = 0;
}

static __device__ __forceinline__ void small_count(const struct small &s, int member, int64_t amount)
{
	if (amount != 0)
		fkmi_add64(&s.state[member], amount);
}

static __device__ __forceinline__ void small_run(struct small &s, struct small_meeting &meeting)
{
	const struct fkmi_small &a = s.a;
	int64_t changed = 0, rechecked = 0;
	small_begin(s);
#pragma unroll 1
	for (int done = 0;; done++) {
		small_make_centroids(s, done > 0, done == 0 || done < a.iterations, meeting);
		small_meet(meeting);
		if (done > 0 && done == a.iterations)
			break;
		small_assign(s, changed, rechecked);
		if (a.iterations == 0)
			break;
		small_move(s);
		small_meet(meeting);
	}
	if (a.iterations == 0) {
#pragma unroll 1
		for (int row = (int)threadIdx.x; row < s.rows; row += FKMI_SMALL_GROUP) {
			int32_t *label = &SMALL_PLACE(int32_t, s, labels)[row];
			if (a.previous != nullptr)
				a.previous[s.b * a.n + s.first + row] = *label;
			*label = SMALL_PLACE(int32_t, s, fresh)[row];
		}
	} else if (s.member == 0 && s.warp == 0) {
		small_tell_shift(s);
	}
	small_store_labels(s);
	if (threadIdx.x == 0) {
		small_count(s, FKMI_STATE_CHANGED, changed);
		small_count(s, FKMI_STATE_RECHECKED, rechecked);
		small_count(s, FKMI_STATE_TIES, s.shared.ties);
	}
	__syncthreads(); /* shared memory is the next problem's */
}

extern "C" __global__ void __launch_bounds__(FKMI_SMALL_GROUP, 1)
	fkmi_cuda_small(const __grid_constant__ struct fkmi_small a)
{
	extern __shared__ __align__(16) char small_memory[];
	__shared__ struct small_shared shared;
	const int set = (int)blockIdx.x / a.groups, member = (int)blockIdx.x % a.groups;
	const int offset = member * a.group_rows;
	const struct fkmi_points points = {(const char *)a.points, a.row_scale, a.row_stride, a.batch_stride,
									   a.n, a.d, a.dtype};
	const struct fkmi_weights weights = {(const char *)a.weights, a.weights_stride, a.weights_dtype};
	struct small_meeting meeting = {
		(unsigned long long *)&a.state[(int64_t)set * FKMI_STATE_MEMBERS + FKMI_STATE_MEETINGS], (uint32_t)a.groups, 0};
	for (int b = set; b < a.b; b += a.sets) {
		if (!a.active[b])
			continue;
		int64_t *state = a.state + (int64_t)b * FKMI_STATE_MEMBERS;
		struct small s = {a, shared, small_memory};
		s.quantiser.points = &points;
		s.quantiser.weights = &weights;
		s.quantiser.weight_scale = fkmi_bits_double(state[FKMI_STATE_WEIGHT_SCALE]);
		s.quantiser.b = b;
		s.state = state;
		s.centroid = (int64_t)b * a.k;
		s.b = b;
		s.member = member;
		s.first = a.row + offset;
		s.rows = max(0, min(a.group_rows, a.rows - offset));
		s.width = 16;
		while (s.width < a.d)
			s.width *= 2;
		s.quantiser.scale = SMALL_PLACE(double, s, scale);
		s.warp = (int)threadIdx.x / 32;
		s.lane = (int)threadIdx.x % 32;
		small_run(s, meeting);
	}
	small_leave(meeting);
}

#endif
