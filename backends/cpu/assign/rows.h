/* SPDX-License-Identifier: Apache-2.0 */
/* Single rows of doubles, in plain C that the compiler vectorises for kernel.c's instruction set. */
#ifndef FKMI_CPU_ROWS_H
#define FKMI_CPU_ROWS_H

#include "../cpu.h"

#include <math.h>

static double distance(const double *restrict x, const double *restrict c, int64_t d)
{
	double p[8] = {0};
	int64_t j = 0;
	for (; j + 8 <= d; j += 8) {
		for (int r = 0; r < 8; r++) {
			double t = x[j + r] - c[j + r];
			p[r] = fma(t, t, p[r]);
		}
	}
	for (int r = 0; j + r < d; r++) {
		double t = x[j + r] - c[j + r];
		p[r] = fma(t, t, p[r]);
	}
	return fkmi_combine8(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
}

static double centre(const double *restrict c, double scale, const float *restrict mu, int64_t d, float *restrict z,
					 int64_t stride)
{
	double p[8] = {0};
	for (int64_t j = 0; j < d; j += 8) {
		double t[8] = {0};
		int count = d - j < 8 ? (int)(d - j) : 8;
		for (int r = 0; r < count; r++)
			t[r] = c[j + r] * scale - (double)mu[j + r];
		for (int r = 0; r < 8; r++)
			p[r] += t[r] * t[r];
		for (int r = 0; r < count; r++)
			z[(j + r) * stride] = (float)t[r];
	}
	return fkmi_combine8(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
}

/* |q| <= 2^50, so adding 1.5 * 2^52 leaves the rounded integer in the last bits; the product with a power of two is
 * exact, so it makes no difference whether the sum rounds it, too. */
static void accumulate_row(const double *restrict x, double weight, const double *restrict scale, int64_t d, int sign,
						   int64_t *restrict sums)
{
	union {
		double value;
		int64_t bits;
	} u, magic = {.value = 0x1.8p52};
	int64_t flip = sign < 0 ? -1 : 0;
	for (int64_t j = 0; j < d; j++) {
		u.value = weight * x[j] * scale[j] + magic.value;
		int64_t q = u.bits - magic.bits;
		sums[j] += (q ^ flip) - flip;
	}
}

#endif
