/* SPDX-License-Identifier: Apache-2.0 */
/* The groups of small.cuh: what they share, how they wait for each other, and their points. */
#ifndef FKMI_CUDA_SMALL_POINTS_CUH
#define FKMI_CUDA_SMALL_POINTS_CUH

#include "kernels/cuda/operands.cuh"
#include "kernels/cuda/small.h"

static_assert((int)FKMI_SMALL_GROUP == (int)FKMI_GROUP, "functions of the common kernels are called");

enum {
	SMALL_WARPS = FKMI_SMALL_GROUP / 32,
	SMALL_BLOCKS = 4,    /* of 32 dimensions, that a warp takes of a centroid at a time */
	SMALL_SAMPLE = 32,   /* rows of which the mean is taken: it need only be near */
	SMALL_ROW_WARPS = SMALL_WARPS / FKMI_SMALL_SHARES,
	SMALL_WARP_TILES = FKMI_SMALL_ROWS / SMALL_ROW_WARPS / 16,   /* of 16 rows, of a warp */
	SMALL_WARP_COLUMNS = FKMI_SMALL_COLUMNS / FKMI_SMALL_SHARES, /* of a warp */
	SMALL_LISTED_COLUMNS = FKMI_SMALL_COLUMNS / SMALL_WARPS,     /* of a warp, for listed rows */
};

/* What the threads of a group tell each other. */
struct small_shared {
	int64_t buffer[FKMI_GROUP];
	int32_t histogram[FKMI_GROUP];
	int32_t largest, norm_max, residual_max; /* bits of floats that are not negative */
	int32_t off, listed, changed, ties;
};

/* A group's part of a problem. */
struct small {
	const struct fkmi_small &a;
	struct small_shared &shared;
	char *memory;
	struct fkmi_quantiser quantiser; /* and the points and weights */
	int64_t *state;
	int64_t centroid; /* index of the problem's first */
	int b, member, first, rows; /* rows first .. first + rows - 1 are the group's */
	int warp, lane;
	int width; /* the power of two from d up */
	double point_scale, centroid_scale; /* 2^a, 2^t */
	float shift_norm;
	bool direct; /* nu is 0 */
};

#define SMALL_PLACE(type, s, member) ((type *)((s).memory + (s).a.at.member))

/* ---- groups that wait for each other ---- */

/* How often a set's groups have arrived, in the low half of the state's meetings of the first problem that it may take;
 * in the high half how many have left the launch. 0 between launches. */
struct small_meeting {
	unsigned long long *count;
	uint32_t groups, met;
};

/* Until all groups of the set have called it as often. What they wrote before can be read after. */
static __device__ __forceinline__ void small_meet(struct small_meeting &m)
{
	m.met += m.groups;
	__syncthreads();
	if (threadIdx.x == 0) {
		uint32_t seen;
		asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(m.count) : "memory");
		do {
			asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(m.count) : "memory");
		} while ((int32_t)(seen - m.met) < 0);
	}
	__syncthreads();
}

/* No group waits any more once the last one has left. */
static __device__ __forceinline__ void small_leave(const struct small_meeting &m)
{
	if (threadIdx.x == 0 && (uint32_t)(atomicAdd(m.count, 1ull << 32) >> 32) == m.groups - 1)
		*m.count = 0;
}

/* ---- points ---- */

/* The mean of some points, the scales, and what follows from them. */
static __device__ __forceinline__ void small_scale(struct small &s)
{
	const struct fkmi_small &a = s.a;
	const int d = a.d, count = min((int)a.n, (int)SMALL_SAMPLE), step = (int)a.n / count, width = s.width;
	const int parts = FKMI_SMALL_GROUP / width, part = (int)threadIdx.x / width, j = (int)threadIdx.x & (width - 1);
	const double point_max = fkmi_bits_double(s.state[FKMI_STATE_POINT_MAX]);
	double *sums = (double *)s.shared.buffer, *mean = SMALL_PLACE(double, s, mean);
	float *shift = SMALL_PLACE(float, s, shift);
	s.direct = a.dtype != FKMI_TYPE_F32 && a.row_scale == nullptr;
	s.point_scale = s.direct && a.dtype == FKMI_TYPE_BF16
						? (double)bounded_power2(HALF_RANGE - fkmi_exponent(point_max), 126)
						: 1.0;
	double low = -2, high = 2, sum = 0;
	if (part == 0 && j < d) {
		SMALL_PLACE(double, s, scale)[j] = a.column_scale[(int64_t)s.b * d + j];
		if (a.column_max != nullptr) {
			low = a.column_min[(int64_t)s.b * d + j];
			high = a.column_max[(int64_t)s.b * d + j];
		}
	}
	/* Neighbouring threads take neighbouring columns, and several a column. */
#pragma unroll 4
	for (int i = part; i < count && j < d; i += parts) {
		const int64_t row = (int64_t)i * step;
		sum += fkmi_coordinate(s.quantiser.points, fkmi_row(s.quantiser.points, s.b, row),
							   fkmi_row_factor(s.quantiser.points, s.b, row), j);
	}
	sums[threadIdx.x] = sum;
	if (threadIdx.x == 0)
		s.shared.largest = s.shared.ties = 0;
	__syncthreads();
	float largest = 0, square = 0;
	if (part == 0 && j < d) {
#pragma unroll 1
		for (int p = 1; p < parts; p++)
			sum += sums[p * width + j];
		const float m = (float)(sum / count * s.point_scale);
		shift[j] = s.direct ? m : 0.0f;
		mean[j] = (double)m / s.point_scale;
		square = s.direct ? m * m : 0.0f;
		largest = __double2float_ru(fmax(high - (double)m, (double)m - low));
	}
	largest = __int_as_float(__reduce_max_sync(0xffffffffu, __float_as_int(largest)));
	square = (float)warp_sum((double)square);
	__syncthreads();
	if (s.lane == 0) {
		atomicMax(&s.shared.largest, __float_as_int(largest));
		sums[s.warp] = (double)square;
	}
	__syncthreads();
	double squares = 0;
	for (int w = 0; w < SMALL_WARPS; w++)
		squares += sums[w];
	s.shift_norm = __double2float_ru(sqrt(squares) * 1.00001);
	s.centroid_scale = 1;
	if (s.direct) {
		s.centroid_scale = (double)bounded_power2(HALF_RANGE - fkmi_exponent(2 * s.point_scale * point_max), 60);
	} else {
		largest = __int_as_float(s.shared.largest);
		s.point_scale = largest > 0 ? (double)bounded_power2(HALF_RANGE - fkmi_exponent((double)largest), 126) : 1.0;
	}
	__syncthreads();
}

/* Eight coordinates of a row from `at` on, zeros past the last one. */
static __device__ __forceinline__ void small_load8(const struct fkmi_small &a, int64_t at, int left, float (&x)[8])
{
	if (a.wide && left >= 8 && a.dtype == FKMI_TYPE_F32) {
		const float4 *from = (const float4 *)((const float *)a.points + at);
		const float4 u = from[0], v = from[1];
		x[0] = u.x, x[1] = u.y, x[2] = u.z, x[3] = u.w, x[4] = v.x, x[5] = v.y, x[6] = v.z, x[7] = v.w;
	} else if (a.wide && left >= 8) {
		const uint4 u = *(const uint4 *)((const uint16_t *)a.points + at);
		const uint32_t pairs[4] = {u.x, u.y, u.z, u.w};
#pragma unroll
		for (int i = 0; i < 4; i++) {
			const float2 two = a.dtype == FKMI_TYPE_F16 ? halves_to_floats(pairs[i])
														: make_float2(__uint_as_float(pairs[i] << 16),
																	  __uint_as_float(pairs[i] & 0xffff0000u));
			x[2 * i] = two.x;
			x[2 * i + 1] = two.y;
		}
	} else {
#pragma unroll
		for (int i = 0; i < 8; i++)
			x[i] = i < left ? fkmi_load_float((const char *)a.points, a.dtype, at + i) : 0.0f;
	}
}

/*
 * The group's rows, eight lanes to a row: operands, |X^|^2 and what rounding leaves. In f32: a sum of d squares is off
 * by d / 8 + 8 roundings at most, relatively; x - nu is rounded where nu is not 0, which is 2^-24 |x - nu|.
 */
static __device__ __forceinline__ void small_load_points(const struct small &s)
{
	const struct fkmi_small &a = s.a;
	const double *mean = SMALL_PLACE(double, s, mean);
	const float *shift = SMALL_PLACE(float, s, shift);
	const float point_scale = (float)s.point_scale, above = 1.0f + (float)(a.d / 8 + 16) * 0x1p-23f;
	float *squares = SMALL_PLACE(float, s, squares), *residuals = SMALL_PLACE(float, s, residuals);
#pragma unroll 1
	for (int row = (int)threadIdx.x / 8; row < a.group_rows; row += FKMI_SMALL_GROUP / 8) {
		char *operands = s.memory + a.at.points + row * a.at.pitch;
		const int64_t i = s.first + min(row, s.rows - 1), start = fkmi_row(s.quantiser.points, s.b, i);
		const double factor = fkmi_row_factor(s.quantiser.points, s.b, i);
		float square = 0, residual = 0, exact = 0;
#pragma unroll 1
		for (int j = (s.lane & 7) * 8; j < a.d_padded; j += 64) {
			float x[8];
			uint32_t halves[4];
			small_load8(a, start + j, a.d - j, x);
#pragma unroll
			for (int e = 0; e < 8; e++) {
				float v = x[e];
				if (!s.direct && j + e < a.d)
					v = a.row_scale != nullptr ? (float)((double)v * factor - mean[j + e]) : v - (float)mean[j + e];
				v *= point_scale;
				const float m = j + e < a.d ? shift[j + e] : 0.0f;
				const float rounded = halves_to_floats(floats_to_halves(v, 0.0f)).x, t = rounded - m;
				square = fmaf(t, t, square);
				residual = fmaf(v - rounded, v - rounded, residual);
				exact = fmaf(v, v, exact);
				x[e] = rounded;
			}
#pragma unroll
			for (int e = 0; e < 4; e++)
				halves[e] = floats_to_halves(x[2 * e], x[2 * e + 1]);
			*(uint4 *)(operands + 2 * j) = make_uint4(halves[0], halves[1], halves[2], halves[3]);
		}
#pragma unroll
		for (int step = 1; step < 8; step *= 2) {
			square += __shfl_xor_sync(0xffffffffu, square, step);
			residual += __shfl_xor_sync(0xffffffffu, residual, step);
			exact += __shfl_xor_sync(0xffffffffu, exact, step);
		}
		if ((s.lane & 7) == 0) {
			squares[row] = square * above;
			residuals[row] = (sqrtf(residual * above) + (s.direct ? 0.0f : sqrtf(exact * above) * 0x1p-23f)) * above;
		}
	}
}

/* Coordinate j of the group's row, exactly. f16 points are their own operands. */
static __device__ __forceinline__ double small_coordinate(const struct small &s, int row, int j)
{
	if (s.direct && s.a.dtype == FKMI_TYPE_F16)
		return half_to_double(((const uint16_t *)(s.memory + s.a.at.points + row * s.a.at.pitch))[j]);
	const int64_t i = s.first + row;
	return fkmi_coordinate(s.quantiser.points, fkmi_row(s.quantiser.points, s.b, i),
						   fkmi_row_factor(s.quantiser.points, s.b, i), j);
}

/* A bf16 number; uint16_t is an f16 one. */
struct small_bfloat {
	uint16_t bits;
};

static __device__ __forceinline__ double small_element(const uint16_t *halves, int j)
{
	return half_to_double(halves[j]);
}
static __device__ __forceinline__ double small_element(const struct small_bfloat *numbers, int j)
{
	return (double)__uint_as_float((uint32_t)numbers[j].bits << 16);
}
static __device__ __forceinline__ double small_element(const float *floats, int j)
{
	return (double)floats[j];
}

/* This lane's part of D, of eight lanes, between a row and a centroid. Everything is asked for before anything is used:
 * the centroids come from far. Zeros past the last dimension add nothing. */
template <class ELEMENT>
static __device__ __forceinline__ double small_partial_distance(const ELEMENT *point, double factor,
																const double *centroid, int d)
{
	enum { AT_ONCE = 16 };
	const int lane = (int)threadIdx.x & 7;
	double sum = 0;
#pragma unroll 1
	for (int first = lane; first < d; first += 8 * AT_ONCE) {
		double c[AT_ONCE], x[AT_ONCE];
#pragma unroll
		for (int i = 0; i < AT_ONCE; i++) {
			const bool there = first + 8 * i < d;
			c[i] = there ? centroid[first + 8 * i] : 0.0;
			x[i] = there ? small_element(point, first + 8 * i) : 0.0;
		}
#pragma unroll
		for (int i = 0; i < AT_ONCE; i++) {
			const double t = x[i] * factor - c[i];
			sum = fma(t, t, sum);
		}
	}
	return sum;
}

/* D of the group's row to a centroid; eight lanes share it, and the whole warp calls it. */
static __device__ __forceinline__ double small_distance(const struct small &s, int row, const double *centroid)
{
	const struct fkmi_small &a = s.a;
	const int64_t i = s.first + row, at = fkmi_row(s.quantiser.points, s.b, i);
	const double factor = fkmi_row_factor(s.quantiser.points, s.b, i);
	double sum;
	if (s.direct && a.dtype == FKMI_TYPE_F16)
		sum = small_partial_distance((const uint16_t *)(s.memory + a.at.points + row * a.at.pitch), 1.0, centroid, a.d);
	else if (a.dtype == FKMI_TYPE_F16)
		sum = small_partial_distance((const uint16_t *)a.points + at, factor, centroid, a.d);
	else if (a.dtype == FKMI_TYPE_BF16)
		sum = small_partial_distance((const struct small_bfloat *)a.points + at, factor, centroid, a.d);
	else
		sum = small_partial_distance((const float *)a.points + at, factor, centroid, a.d);
	return fkmi_sum8(nullptr, sum);
}

#endif
