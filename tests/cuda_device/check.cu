/* SPDX-License-Identifier: Apache-2.0 */
/* Data on the device, and labels by brute force: docs/semantics.md section 1, one thread per distance. Without contraction. */
#include <stdint.h>

enum { F16 = 1, BF16 = 2 };

static __device__ uint32_t hash(uint64_t v)
{
	v = (v ^ v >> 33) * 0xff51afd7ed558ccdu;
	v = (v ^ v >> 33) * 0xc4ceb9fe1a85ec53u;
	return (uint32_t)(v ^ v >> 33);
}

static __device__ float gaussian(uint64_t v)
{
	const float u = (hash(2 * v) + 1.0f) * 0x1p-32f, w = hash(2 * v + 1) * 0x1p-32f;
	return sqrtf(-2 * logf(fminf(fmaxf(u, 1e-10f), 1.0f))) * cosf(6.2831853f * w);
}

static __device__ double load(const void *data, int dtype, int64_t at)
{
	if (dtype == F16) {
		float v;
		asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(((const uint16_t *)data)[at]));
		return v;
	}
	return dtype == BF16 ? __uint_as_float((uint32_t)((const uint16_t *)data)[at] << 16) : ((const float *)data)[at];
}

static __device__ void store(void *data, int dtype, int64_t at, float v)
{
	if (dtype == F16)
		asm("{\n.reg .b16 h;\ncvt.rn.f16.f32 h, %1;\nst.global.b16 [%0], h;\n}" ::"l"((uint16_t *)data + at), "f"(v)
			: "memory");
	else if (dtype == BF16)
		asm("{\n.reg .b16 h;\ncvt.rn.bf16.f32 h, %1;\nst.global.b16 [%0], h;\n}" ::"l"((uint16_t *)data + at), "f"(v)
			: "memory");
	else
		((float *)data)[at] = v;
}

/* kind 0: N(0, 1); 1: the same + 3; 2: blobs of 0.1 around 100 centres; 3: integers 0 .. 3; 4: N(0, 1) 1e-3 and one row in
 * 4096 a thousand times as far; 5: as 1, + 40 */
extern "C" __global__ void make_points(void *data, int dtype, int64_t rows, int64_t n, int64_t row_stride,
									   int64_t batch_stride, int d, int kind, uint64_t seed)
{
	for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < rows * d;
		 i += (int64_t)gridDim.x * blockDim.x) {
		const int64_t row = i / d, j = i - row * d;
		float v = gaussian(seed * 1000003 + i);
		if (kind == 1)
			v += 3;
		else if (kind == 2)
			v = 0.1f * v + gaussian(seed * 77 + (hash(row * 31 + seed) % 100) * d + j + ((uint64_t)1 << 40));
		else if (kind == 3)
			v = (float)(hash(seed + i) % 4);
		else if (kind == 4)
			v *= row % 4096 == 17 ? 1.0f : 1e-3f;
		else if (kind == 5)
			v += 40;
		store(data, dtype, row / n * batch_stride + row % n * row_stride + j, v);
	}
}

/* kind 0: a row + 1e-3 noise; 1: the mean of 64 rows; 2: as 0, one in 8 a copy of the one before; 3: a row; 4: one of
 * four rows + 1e-6 noise, nearer to each other than the filter sees */
extern "C" __global__ void make_centroids(double *centroids, const void *data, const double *row_scale, int dtype,
										  int64_t b, int64_t n, int64_t row_stride, int64_t batch_stride, int64_t k,
										  int d, int kind, uint64_t seed)
{
	for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < b * k * d;
		 i += (int64_t)gridDim.x * blockDim.x) {
		int64_t c = i / d, j = i - c * d;
		const int64_t problem = c / k;
		if (kind == 2 && c % k % 8 == 7)
			c--;
		const int count = kind == 1 ? 64 : 1;
		double sum = 0;
		for (int r = 0; r < count; r++) {
			const int64_t row = hash((kind == 4 ? c % 4 : c * count + r) * 13 + seed) % n;
			const double x = load(data, dtype, problem * batch_stride + row * row_stride + j);
			sum += row_scale != nullptr ? x * row_scale[problem * n + row] : x;
		}
		const double noise = kind == 0 || kind == 2 ? 1e-3 : kind == 4 ? 1e-6 : 0.0;
		centroids[i] = sum / count + noise * (double)gaussian(c * d + j + seed * 3);
	}
}

static __device__ double distance(const void *data, int dtype, int64_t at, double r, const double *c, int d)
{
	double p[8] = {};
	for (int j = 0; j < d; j++) {
		const double t = load(data, dtype, at + j) * r - c[j];
		p[j % 8] = fma(t, t, p[j % 8]);
	}
	return ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]));
}

/* Every step-th row: adds to counts[0] where the label is wrong, to counts[1] where previous is not what it should be (-2: not
 * looked at). The first wrong row's number goes to counts[2], its label to [3] and what it should be to [4]. A block per row. */
extern "C" __global__ void check_labels(const void *data, const double *row_scale, int dtype, int64_t b, int64_t n,
										int64_t row_stride, int64_t batch_stride, int64_t k, int d,
										const double *centroids, const int32_t *labels, const int32_t *previous,
										int32_t expect, int64_t step, unsigned long long *counts)
{
	__shared__ double nearest[256];
	__shared__ int which[256];
	for (int64_t i = blockIdx.x * step; i < b * n; i += gridDim.x * step) {
		const int64_t problem = i / n, row = i - problem * n, at = problem * batch_stride + row * row_stride;
		const double r = row_scale != nullptr ? row_scale[i] : 1.0;
		double least = __longlong_as_double(0x7ff0000000000000);
		int label = 0;
		for (int64_t c = threadIdx.x; c < k; c += 256) {
			const double v = distance(data, dtype, at, r, centroids + (problem * k + c) * d, d);
			if (v < least) {
				least = v;
				label = (int)c;
			}
		}
		nearest[threadIdx.x] = least;
		which[threadIdx.x] = label;
		__syncthreads();
		if (threadIdx.x == 0) {
			for (int t = 1; t < 256; t++)
				if (nearest[t] < least || (nearest[t] == least && which[t] < label)) {
					least = nearest[t];
					label = which[t];
				}
			if (labels[i] != label && atomicAdd(&counts[0], 1ull) == 0) {
				counts[2] = (unsigned long long)i;
				counts[3] = (unsigned long long)(long long)labels[i];
				counts[4] = (unsigned long long)label;
			}
			if (expect != -2 && previous[i] != (expect == -1 ? -1 : labels[i]))
				atomicAdd(&counts[1], 1ull);
		}
		__syncthreads();
	}
}
