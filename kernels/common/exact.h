/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of docs/semantics.md that every backend must do alike, in the C that C11, CUDA, HIP and OpenCL C
 * share. The including file defines FKMI_INLINE and the fixed-width types, and must not let the compiler contract or
 * reorder floating-point operations.
 */
#ifndef FKMI_COMMON_EXACT_H
#define FKMI_COMMON_EXACT_H

/* Combines the eight partial sums of R8. */
FKMI_INLINE double fkmi_combine8(double p0, double p1, double p2, double p3, double p4, double p5, double p6, double p7)
{
	return ((p0 + p1) + (p2 + p3)) + ((p4 + p5) + (p6 + p7));
}

/* B of section 2 for n points. */
FKMI_INLINE int fkmi_grid_bits(int64_t n)
{
	int l = 0;
	while (l < 62 && ((int64_t)1 << l) < n)
		l++;
	return 61 - l < 50 ? 61 - l : 50;
}

/* exponent(m) of section 2, for finite m >= 0. */
FKMI_INLINE int fkmi_exponent(double m)
{
	union {
		double value;
		uint64_t bits;
	} u;
	u.value = m;
	int e = (int)(u.bits >> 52 & 2047);
	if (e == 0) {
		if (m == 0)
			return 0;
		u.value = m * 18014398509481984.0; /* 2^54: subnormal */
		return (int)(u.bits >> 52 & 2047) - 1022 - 54;
	}
	return e - 1022;
}

/* 2^e for -1022 <= e <= 1023. */
FKMI_INLINE double fkmi_power2(int e)
{
	union {
		double value;
		uint64_t bits;
	} u;
	u.bits = (uint64_t)(e + 1023) << 52;
	return u.value;
}

/* 2^grid(m) of section 2. */
FKMI_INLINE double fkmi_grid_scale(double m, int bits)
{
	int e = bits - fkmi_exponent(m);
	return fkmi_power2(e < 1022 ? e : 1022);
}

/* Integers in the order of the doubles with those bits; taking the key of the key gives the bits back. */
FKMI_INLINE int64_t fkmi_order_key(int64_t bits)
{
	return bits ^ (bits >> 63 & 0x7fffffffffffffff);
}

#endif
