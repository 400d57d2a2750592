/* SPDX-License-Identifier: Apache-2.0 */
/* Single rows, for kernel.c's instruction set; mostly plain C that the compiler vectorises. */
#ifndef FKMI_CPU_ROWS_H
#define FKMI_CPU_ROWS_H

#include "../cpu.h"
#include "simd.h"

/* D of section 1 of docs/semantics.md. */
static double distance(const double *restrict x, const double *restrict c, int64_t d)
{
	enum { DOUBLES = LANES / 2, VECTORS_OF_8 = 8 / DOUBLES };
	vdouble sums[VECTORS_OF_8] = {{0}};
	int64_t whole = d / 8 * 8;
	for (int64_t j = 0; j < whole; j += 8) {
		UNROLL for (int v = 0; v < VECTORS_OF_8; v++)
		{
			vdouble a, b;
			memcpy(&a, x + j + v * DOUBLES, sizeof a);
			memcpy(&b, c + j + v * DOUBLES, sizeof b);
			sums[v] = v_fma_double(a - b, a - b, sums[v]);
		}
	}
	double p[8];
	memcpy(p, sums, sizeof p);
	for (int64_t j = whole; j < d; j++)
		p[j - whole] = fma(x[j] - c[j], x[j] - c[j], p[j - whole]);
	return fkmi_combine8(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
}

static int32_t nearest(const double *x, const double *centroids, int64_t d, const int32_t *index, int32_t count,
					   bool *tie)
{
	double least = INFINITY;
	int32_t label = index[0];
	*tie = false;
	for (int32_t i = 0; i < count; i++) {
		double found = distance(x, centroids + index[i] * d, d);
		if (found < least) {
			least = found;
			label = index[i];
			*tie = false;
		} else if (found == least) {
			*tie = true;
		}
	}
	return label;
}

/* Up to eight dimensions of centre(). */
INLINE void centre_some(const double *restrict c, double scale, const float *restrict mu, int count, float *restrict z,
						int64_t stride, double sums[8])
{
	for (int r = 0; r < count; r++) {
		double t = c[r] * scale - (double)mu[r];
		sums[r] += t * t;
		z[r * stride] = (float)t;
	}
}

static double centre(const double *restrict c, double scale, const float *restrict mu, int64_t d, float *restrict z,
					 int64_t stride)
{
	double p[8] = {0};
	int64_t j = 0;
	for (; j + 8 <= d; j += 8)
		centre_some(c + j, scale, mu + j, 8, z + j * stride, stride, p);
	centre_some(c + j, scale, mu + j, (int)(d - j), z + j * stride, stride, p);
	return fkmi_combine8(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
}

/* q of section 3.2 for a product with a power of two, which is exact: |q| <= 2^50, so adding 1.5 * 2^52 leaves the
 * rounded integer in the last bits. */
INLINE int64_t quantum(double weighted, double scale)
{
	union {
		double value;
		int64_t bits;
	} u, magic = {.value = 0x1.8p52};
	u.value = weighted * scale + magic.value;
	return u.bits - magic.bits;
}

static void accumulate_row(const double *restrict x, double weight, const double *restrict scale, int64_t d, int sign,
						   int64_t *restrict sums)
{
	int64_t flip = sign < 0 ? -1 : 0;
	for (int64_t j = 0; j < d; j++)
		sums[j] += (quantum(weight * x[j], scale[j]) ^ flip) - flip;
}

static void quantise(const void *row, enum fkm_dtype dtype, double r, double weight, const double *restrict scale,
					 int64_t d, int64_t *restrict q)
{
	const float *restrict single = row;
	const uint16_t *restrict half = row;
	if (dtype == FKM_F32)
		for (int64_t j = 0; j < d; j++)
			q[j] = quantum(weight * ((double)single[j] * r), scale[j]);
	else if (dtype == FKM_F16)
		for (int64_t j = 0; j < d; j++)
			q[j] = quantum(weight * ((double)from_f16(half[j]) * r), scale[j]);
	else
		for (int64_t j = 0; j < d; j++)
			q[j] = quantum(weight * ((double)from_bf16(half[j]) * r), scale[j]);
}

static void add(int64_t *restrict sums, const int64_t *restrict q, int64_t d)
{
	for (int64_t j = 0; j < d; j++)
		sums[j] += q[j];
}

static void subtract(int64_t *restrict sums, const int64_t *restrict q, int64_t d)
{
	for (int64_t j = 0; j < d; j++)
		sums[j] -= q[j];
}

#endif
