/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter's operands: f16 centroids and their half norms, with what the certificate needs to know of them, before
 * every assignment; and the f16 copy of points that the tensor cores cannot take as they are, once per call. In f64
 * until rounded.
 */
#ifndef FKMI_CUDA_OPERANDS_CUH
#define FKMI_CUDA_OPERANDS_CUH

#include "kernels/common/state.h"
#include "kernels/cuda/certificate.cuh"

#define FKMI_INLINE static __device__ __forceinline__
#include "kernels/common/exact.h"

enum {
	WARPS_OF_GROUP = FKMI_SM90_GROUP / 32,
	MEAN_CENTROIDS = 64, /* of which mu is the mean: it need only be near */
	MEAN_POINTS = 256,   /* of which nu is, likewise */
	HALF_RANGE = 14,     /* scaled numbers are below 2^14 */
};

static __device__ __forceinline__ double warp_sum(double v)
{
#pragma unroll
	for (int step = 16; step > 0; step /= 2)
		v += __shfl_xor_sync(0xffffffffu, v, step);
	return v;
}

static __device__ __forceinline__ double warp_max(double v)
{
#pragma unroll
	for (int step = 16; step > 0; step /= 2)
		v = fmax(v, __shfl_xor_sync(0xffffffffu, v, step));
	return v;
}

/* Raises bits of a float that is not negative to those of v. Most of many callers find them high enough. */
static __device__ __forceinline__ void raise(int32_t *bits, float v)
{
	if (__float_as_int(v) > __ldcg(bits))
		atomicMax(bits, __float_as_int(v));
}

static __device__ __forceinline__ uint16_t double_to_half(double v)
{
	uint16_t half;
	asm("cvt.rn.f16.f64 %0, %1;" : "=h"(half) : "d"(v));
	return half;
}

static __device__ __forceinline__ double half_to_double(uint16_t half)
{
	float v;
	asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(half));
	return (double)v;
}

/* 2^e with e within -limit .. limit. */
static __device__ __forceinline__ float bounded_power2(int e, int limit)
{
	return (float)fkmi_power2(max(-limit, min(limit, e)));
}

/* An element of the points, exactly, without the row's factor. */
static __device__ __forceinline__ double point_element(const struct fkmi_sm90_points &points, int64_t at)
{
	if (points.dtype == FKMI_TYPE_F32)
		return (double)((const float *)points.data)[at];
	const uint16_t bits = ((const uint16_t *)points.data)[at];
	return points.dtype == FKMI_TYPE_F16 ? half_to_double(bits) : (double)__uint_as_float((uint32_t)bits << 16);
}

/* How elements of the points are read. WIDE: those at even places with the one behind. */
template <int DTYPE, bool WIDE> struct point_reader {
	static __device__ __forceinline__ double from_bits(uint16_t bits)
	{
		return DTYPE == FKMI_TYPE_F16 ? half_to_double(bits) : (double)__uint_as_float((uint32_t)bits << 16);
	}
	static __device__ __forceinline__ double one(const void *data, int64_t at)
	{
		if constexpr (DTYPE == FKMI_TYPE_F32)
			return (double)__ldg((const float *)data + at);
		else
			return from_bits(__ldg((const uint16_t *)data + at));
	}
	/* Elements at and at + 1, or 0 for the second where there is none. */
	static __device__ __forceinline__ double2 pair(const void *data, int64_t at, bool second)
	{
		if constexpr (WIDE && DTYPE == FKMI_TYPE_F32) {
			const float2 v = __ldg((const float2 *)((const float *)data + at));
			return make_double2((double)v.x, (double)v.y);
		} else if constexpr (WIDE) {
			const uint32_t v = __ldg((const uint32_t *)((const uint16_t *)data + at));
			return make_double2(from_bits((uint16_t)v), from_bits((uint16_t)(v >> 16)));
		} else {
			return make_double2(one(data, at), second ? one(data, at + 1) : 0);
		}
	}
	static __device__ __forceinline__ double2 pair(const double *data, bool second)
	{
		if constexpr (WIDE)
			return __ldg((const double2 *)data);
		else
			return make_double2(__ldg(data), second ? __ldg(data + 1) : 0);
	}
};

/* Calls call(reader) with the reader for the points. */
template <class CALL>
static __device__ __forceinline__ void with_reader(const struct fkmi_sm90_points &points, const CALL &call)
{
	switch (points.dtype * 2 + (points.paired != 0)) {
	case FKMI_TYPE_F16 * 2:
		return call(point_reader<FKMI_TYPE_F16, false>());
	case FKMI_TYPE_F16 * 2 + 1:
		return call(point_reader<FKMI_TYPE_F16, true>());
	case FKMI_TYPE_BF16 * 2:
		return call(point_reader<FKMI_TYPE_BF16, false>());
	case FKMI_TYPE_BF16 * 2 + 1:
		return call(point_reader<FKMI_TYPE_BF16, true>());
	case FKMI_TYPE_F32 * 2:
		return call(point_reader<FKMI_TYPE_F32, false>());
	default:
		return call(point_reader<FKMI_TYPE_F32, true>());
	}
}

static __device__ __forceinline__ double point_factor(const struct fkmi_sm90_points &points, int b, int64_t row)
{
	return points.row_scale != nullptr ? points.row_scale[b * points.n + row] : 1.0;
}

/*
 * Sums of columns: calls element(i, j) for the count values of each column j and take(j, sum) once per column, by one
 * group of FKMI_SM90_CENTER_GROUP threads. The order of additions is fixed.
 */
template <class ELEMENT, class TAKE>
static __device__ __forceinline__ void sum_columns(int count, int d, const ELEMENT &element, const TAKE &take)
{
	__shared__ double sums[FKMI_SM90_CENTER_GROUP];
	int width = 1;
	while (width < d && width < FKMI_SM90_CENTER_GROUP)
		width *= 2;
	const int parts = FKMI_SM90_CENTER_GROUP / width, part = (int)threadIdx.x / width;
	for (int first = 0; first < d; first += width) {
		const int j = first + (int)threadIdx.x % width;
		double sum = 0;
		if (j < d)
#pragma unroll 8
			for (int i = part; i < count; i += parts)
				sum += element(i, j);
		sums[threadIdx.x] = sum;
		__syncthreads();
		if (part == 0 && j < d) {
			for (int p = 1; p < parts; p++)
				sum += sums[p * width + (int)threadIdx.x];
			take(j, sum);
		}
		__syncthreads();
	}
}

/* ---- centroids ---- */

/* The active problems, in order, by one group. */
static __device__ __forceinline__ void list_active(const struct fkmi_sm90_prepare &a)
{
	__shared__ int counts[FKMI_SM90_CENTER_GROUP / 32];
	const int lane = (int)(threadIdx.x & 31), warp = (int)threadIdx.x / 32;
	int before = 0;
	for (int first = 0; first < a.b; first += FKMI_SM90_CENTER_GROUP) {
		const int b = first + (int)threadIdx.x;
		const bool active = b < a.b && a.active[b] != 0;
		const uint32_t mask = __ballot_sync(0xffffffffu, active);
		if (lane == 0)
			counts[warp] = __popc(mask);
		__syncthreads();
		int place = before + __popc(mask & ((1u << lane) - 1));
		for (int i = 0; i < FKMI_SM90_CENTER_GROUP / 32; i++) {
			place += i < warp ? counts[i] : 0;
			before += counts[i];
		}
		if (active)
			a.active_list[place] = b;
		__syncthreads();
	}
	if (threadIdx.x == 0)
		a.totals->active = before;
}

/* The sum of v over a group, in thread 0. */
static __device__ __forceinline__ double center_sum(double v)
{
	__shared__ double parts[FKMI_SM90_CENTER_GROUP / 32];
	v = warp_sum(v);
	if (threadIdx.x % 32 == 0)
		parts[threadIdx.x / 32] = v;
	__syncthreads();
	v = threadIdx.x < FKMI_SM90_CENTER_GROUP / 32 ? parts[threadIdx.x] : 0;
	if (threadIdx.x < 32)
		v = warp_sum(v);
	__syncthreads();
	return v;
}

/* mean, shift, and of problems what does not depend on the centroids' sizes. One group per problem. */
static __device__ __forceinline__ void center(const struct fkmi_sm90_prepare &a)
{
	if (blockIdx.x == 0)
		list_active(a);
	for (int b = blockIdx.x; b < a.b; b += gridDim.x) {
		if (!a.active[b])
			continue;
		struct fkmi_sm90_problem *problem = &a.problems[b];
		double *mean = a.mean + (int64_t)b * a.d;
		float *shift = a.shift + (int64_t)b * a.d_padded, *measured = a.measured_shift + (int64_t)b * a.d_padded;
		const bool assigned = a.exact && a.state[(int64_t)b * FKMI_STATE_MEMBERS + FKMI_STATE_CHANGED] != 0;
		const struct fkmi_sm90_usual usual = assigned ? a.usual[b] : fkmi_sm90_usual{};
		if (usual.fresh)
			for (int j = (int)threadIdx.x; j < a.d; j += FKMI_SM90_CENTER_GROUP)
				measured[j] = shift[j];
		__syncthreads();
		float scale = 1.0f;
		if (a.dtype == FKMI_TYPE_BF16)
			scale = bounded_power2(HALF_RANGE - fkmi_exponent(__longlong_as_double(
													a.state[(int64_t)b * FKMI_STATE_MEMBERS + FKMI_STATE_POINT_MAX])),
								   126);
		double square = 0, moved = 0;
		if (a.copy_mean == nullptr) {
			const int count = min(a.k, MEAN_CENTROIDS), step = a.k / count;
			const double *centroids = a.centroids + (int64_t)b * a.k * a.d;
			sum_columns(
				count, a.d, [&](int i, int j) { return centroids[(int64_t)i * step * a.d + j]; },
				[&](int j, double sum) {
					const float m = (float)(sum / count * (double)scale);
					const double by = assigned ? (double)m - (double)measured[j] : 0;
					shift[j] = m;
					mean[j] = (double)m / (double)scale;
					square += (double)m * (double)m;
					moved += by * by;
				});
		}
		for (int j = (int)threadIdx.x; j < a.d_padded; j += FKMI_SM90_CENTER_GROUP) {
			if (j >= a.d || a.copy_mean != nullptr)
				shift[j] = 0;
			if (j < a.d && a.copy_mean != nullptr)
				mean[j] = (double)a.copy_mean[(int64_t)b * a.d + j];
		}
		square = center_sum(square);
		moved = center_sum(moved);
		if (threadIdx.x == 0) {
			problem->point_scale = a.copy_mean != nullptr ? a.copy_scale[b] : scale;
			problem->shift_norm = __double2float_ru(sqrt(square) * 1.000001);
			/* bf16 that falls below f16's normal numbers is off by half of 2^-24 */
			problem->point_residual = a.dtype == FKMI_TYPE_BF16 && a.copy_mean == nullptr
										  ? __double2float_ru(sqrt((double)a.d) * 0x1.01p-25)
										  : 0;
			problem->usual = usual;
			a.usual[b].fresh = 0;
			a.usual[b].rows = 0;
			/* Lengths about an m that is far from theirs say little. */
			const float by = __double2float_ru(sqrt(moved) * 1.000001);
			problem->moved = !a.measures_all && by < 0.25f * usual.length ? by : __int_as_float(0x7f800000);
		}
		__syncthreads();
	}
}

static __device__ __forceinline__ uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 32) * 0x9E3779B97F4A7C15u;
	v = (v ^ v >> 29) * 0xBF58476D1CE4E5B9u;
	return v ^ v >> 32;
}

/* The largest |C_kj|, and every centroid's slot in the table of different ones. One warp per centroid. */
static __device__ __forceinline__ void measure_centroids(const struct fkmi_sm90_prepare &a)
{
	const int lane = (int)(threadIdx.x & 31);
	for (int64_t i = (int64_t)blockIdx.x * WARPS_OF_GROUP + threadIdx.x / 32; i < (int64_t)a.b * a.k;
		 i += (int64_t)gridDim.x * WARPS_OF_GROUP) {
		const int b = (int)(i / a.k), k = (int)(i - (int64_t)b * a.k);
		if (!a.active[b])
			continue;
		struct fkmi_sm90_problem *problem = &a.problems[b];
		const double *centroid = a.centroids + i * a.d, *mean = a.mean + (int64_t)b * a.d;
		double largest = 0;
		uint64_t key = 0;
#pragma unroll 4
		for (int j = lane; j < a.d; j += 32) {
			const double c = centroid[j] + 0.0; /* zeros of both signs are alike */
			largest = fmax(largest, fabs(c - mean[j]));
			key += mix((uint64_t)__double_as_longlong(c) ^ mix((uint64_t)j));
		}
		largest = warp_max(largest) * (double)problem->point_scale;
#pragma unroll
		for (int step = 16; step > 0; step /= 2)
			key += __shfl_xor_sync(0xffffffffu, key, step);
		if (lane != 0)
			continue;
		raise(&problem->largest, __double2float_ru(largest));
		const uint64_t empty = ~(uint64_t)0;
		key = key == empty ? 0 : key;
		const uint32_t mask = (uint32_t)a.slots - 1;
		uint64_t *keys = a.keys + (int64_t)b * a.slots;
		uint32_t slot = (uint32_t)mix(key) & mask;
		for (;; slot = (slot + 1) & mask) {
			const uint64_t found = atomicCAS((unsigned long long *)&keys[slot], empty, key);
			if (found == empty || found == key)
				break;
		}
		atomicMin(&a.first[(int64_t)b * a.slots + slot], (uint32_t)k);
		a.slot_of[i] = slot;
	}
}

/* Whether centroid k of the problem repeats an earlier one. The warp calls it together. */
static __device__ __forceinline__ bool is_repeated(const struct fkmi_sm90_prepare &a, int b, int k)
{
	const uint32_t slot = a.slot_of[(int64_t)b * a.k + k], first = a.first[(int64_t)b * a.slots + slot];
	if (first == (uint32_t)k)
		return false;
	const double *these = a.centroids + ((int64_t)b * a.k + k) * a.d;
	const double *those = a.centroids + ((int64_t)b * a.k + first) * a.d;
	bool differs = false;
	for (int j = (int)(threadIdx.x & 31); j < a.d; j += 32)
		differs = differs || these[j] != those[j];
	return !__any_sync(0xffffffffu, differs);
}

/* operands, norms, lengths, and of problems centroid_scale, norm_max, residual_max, off. One warp per place in norms. */
static __device__ __forceinline__ void convert_centroids(const struct fkmi_sm90_prepare &a)
{
	const float infinity = __int_as_float(0x7f800000);
	const int lane = (int)(threadIdx.x & 31);
	for (int64_t i = (int64_t)blockIdx.x * WARPS_OF_GROUP + threadIdx.x / 32; i < (int64_t)a.b * a.k_padded;
		 i += (int64_t)gridDim.x * WARPS_OF_GROUP) {
		const int b = (int)(i / a.k_padded), k = (int)(i - (int64_t)b * a.k_padded);
		if (!a.active[b])
			continue;
		if (k >= a.k) {
			if (lane == 0)
				a.norms[i] = infinity;
			continue;
		}
		struct fkmi_sm90_problem *problem = &a.problems[b];
		const float largest = __int_as_float(problem->largest);
		const bool usable = largest < 0x1p60f;
		const double point_scale = (double)problem->point_scale;
		const double scale =
			usable && largest > 0 ? (double)bounded_power2(HALF_RANGE - fkmi_exponent((double)largest), 60) : 1.0;
		const double *centroid = a.centroids + ((int64_t)b * a.k + k) * a.d, *mean = a.mean + (int64_t)b * a.d;
		const float *shift = a.shift + (int64_t)b * a.d_padded;
		uint16_t *operands = a.operands + ((int64_t)b * a.k + k) * a.d_pitch;
		const double inverse = 1 / scale; /* a power of two */
		double square = 0, product = 0, residual = 0, exact = 0;
#pragma unroll 4
		for (int j = lane; j < a.d_pitch; j += 32) {
			uint16_t half = 0;
			if (j < a.d && usable) {
				const double c = (centroid[j] - mean[j]) * point_scale;
				half = double_to_half(c * scale);
				const double rounded = half_to_double(half) * inverse;
				square += rounded * rounded;
				product += rounded * (double)shift[j];
				residual += (c - rounded) * (c - rounded);
				exact += c * c;
			}
			operands[j] = half;
		}
		square = warp_sum(square);
		product = warp_sum(product);
		residual = warp_sum(residual);
		exact = warp_sum(exact);
		const bool repeated = is_repeated(a, b, k);
		if (lane != 0)
			continue;
		if (k == 0) {
			problem->centroid_scale = (float)scale;
			problem->off = !usable;
		}
		if (repeated || !usable) {
			a.norms[i] = repeated ? infinity : __int_as_float(0x7fc00000);
			continue;
		}
		/* and the subtraction of the mean is rounded */
		struct fkmi_sm90_length length = {__double2float_ru(sqrt(square) * 1.000001),
										  __double2float_ru(sqrt(residual) * 1.000001 + sqrt(exact) * 0x1p-50), 0};
		if (a.exact)
			set_allowance(length, problem->usual, (double)a.gamma, (double)problem->shift_norm);
		a.norms[i] = (float)(scale * (0.5 * square + product - (double)length.allowance));
		a.lengths[(int64_t)b * a.k + k] = length;
		raise(&problem->norm_max, length.length);
		raise(&problem->residual_max, length.residual);
	}
}

/* ---- points ---- */

/* Whether problem b is active and no assignment of this call has counted a label yet. */
static __device__ __forceinline__ bool is_new(const struct fkmi_sm90_copy &a, int b)
{
	return a.active[b] != 0 && a.state[(int64_t)b * FKMI_STATE_MEMBERS + FKMI_STATE_CHANGED] == 0;
}

/* nu and 2^a. One group per problem. */
static __device__ __forceinline__ void center_points(const struct fkmi_sm90_copy &a)
{
	__shared__ double most[FKMI_SM90_CENTER_GROUP / 32];
	const int d = a.points.d;
	for (int b = blockIdx.x; b < a.b; b += gridDim.x) {
		if (!is_new(a, b))
			continue;
		const int count = (int)min(a.rows, (int64_t)MEAN_POINTS);
		const int64_t step = a.rows / count;
		float *mean = a.mean + (int64_t)b * d;
		double largest = 0;
		sum_columns(
			count, d,
			[&](int i, int j) {
				const int64_t row = a.row + i * step;
				return point_factor(a.points, b, row) *
					   point_element(a.points, b * a.points.batch_stride + row * a.points.row_stride + j);
			},
			[&](int j, double sum) {
				mean[j] = (float)(sum / count);
				if (a.column_max != nullptr)
					largest = fmax(largest, fmax(a.column_max[(int64_t)b * d + j] - (double)mean[j],
												 (double)mean[j] - a.column_min[(int64_t)b * d + j]));
				else
					largest = 2;
			});
		largest = warp_max(largest);
		if (threadIdx.x % 32 == 0)
			most[threadIdx.x / 32] = largest;
		__syncthreads();
		if (threadIdx.x == 0) {
			for (int i = 1; i < FKMI_SM90_CENTER_GROUP / 32; i++)
				largest = fmax(largest, most[i]);
			a.scale[b] = largest > 0 ? bounded_power2(HALF_RANGE - fkmi_exponent(largest), 126) : 1.0f;
		}
		__syncthreads();
	}
}

/* FKMI_SM90_COPY_ROWS rows of a problem for each group, a warp per row. */
template <class READER>
static __device__ __forceinline__ void copy_rows(const READER &reader, const struct fkmi_sm90_copy &a)
{
	const int lane = (int)(threadIdx.x & 31), d = a.points.d;
	const int64_t blocks = (a.rows + FKMI_SM90_COPY_ROWS - 1) / FKMI_SM90_COPY_ROWS;
	for (int64_t unit = blockIdx.x; unit < a.b * blocks; unit += gridDim.x) {
		const int b = (int)(unit / blocks);
		if (!(a.anew ? a.active[b] != 0 : is_new(a, b))) { /* nor are the problem's other blocks of rows */
			unit += ((b + 1) * blocks - 1 - unit) / gridDim.x * gridDim.x;
			continue;
		}
		const int64_t first = (unit - b * blocks) * FKMI_SM90_COPY_ROWS;
		const int64_t end = min(a.rows, first + FKMI_SM90_COPY_ROWS);
		const float *mean = a.mean + (int64_t)b * d;
		const double scale = (double)a.scale[b];
		for (int64_t i = first + threadIdx.x / 32; i < end; i += WARPS_OF_GROUP) {
			const int64_t row = a.row + i, to = b * a.copied_rows + i;
			const int64_t from = b * a.points.batch_stride + row * a.points.row_stride;
			const double factor = point_factor(a.points, b, row);
			double residual = 0, exact = 0;
			auto convert = [&](double element, float center) -> uint32_t {
				const double x = (__dmul_rn(element, factor) - (double)center) * scale;
				const uint16_t half = double_to_half(x);
				const double off = x - half_to_double(half);
				residual += off * off;
				exact += x * x;
				return half;
			};
#pragma unroll 4
			for (int j = 2 * lane; j < a.d_pitch; j += 64) {
				uint32_t halves = 0;
				if (j < d) {
					const bool second = j + 1 < d;
					const double2 x = reader.pair(a.points.data, from + j, second);
					halves = convert(x.x, mean[j]);
					if (second)
						halves |= convert(x.y, mean[j + 1]) << 16;
				}
				*(uint32_t *)&a.operands[to * a.d_pitch + j] = halves;
			}
			residual = warp_sum(residual);
			exact = warp_sum(exact);
			if (lane == 0)
				a.residuals[to] = __double2float_ru(sqrt(residual) * 1.000001 + sqrt(exact) * 0x1p-50);
		}
	}
}

static __device__ __forceinline__ void copy_points(const struct fkmi_sm90_copy &a)
{
	with_reader(a.points, [&](const auto &reader) { copy_rows(reader, a); });
}

#endif
