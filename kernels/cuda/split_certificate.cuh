/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the label that assign_split.cuh finds is the exact one.
 *
 * Notation, f32 scores and operands are those of certificate.h, but for the power of two, by which M = max_k Z_k lies in
 * [128, 256). What the multiplications find, t, is near r - s_k:
 *
 * Operands. |y^ - yh - yl| <= 2^-22 |y^| + 2^-25, likewise z: 2^-25 where f16 is subnormal. |yl| <= 1.001 2^-11 |y^| +
 * 2^-24, likewise z, so that leaving out yl zl, with the above, is worth at most 3.03 2^-22 Y Z + 2^-21 (1 + Y + Z);
 * y^ itself is within u |y| of y, z within u |z|. Three parts leave 2^-33 h + 2^-25 of h.
 * Accumulation. Products of f16 are exact in the tensor cores. Whatever the order and grouping in which one instruction
 * adds its 16 products and the sum so far, at most 24 times an addend or a partial sum is cut off, by no more than 2^-23
 * of the greatest of them, all of which are at most r + h + 1.01 Y Z. With c instructions that is 24 c 2^-23 1.01 of it.
 * Together, with u = 2^-24: |t - (r - s_k)| <= F(Y, Z) = split (Y + Z)^2 / 2 + low (1 + Y + Z),
 *     split = 1.03 (48.5 c + 10) u,   low = 2^-20,
 * of which two u pay for f32 differences, r from t and the margin from a score. F is greater than the E of
 * certificate.h.
 *
 * Reference. With b the f32 winner of the kept set and w as in certificate.h, s_w >= s~_b - E(Y, Z_b) - distance T. If
 * w is in another set, its t is at most r - s~_b + E(Y, Z_b) + F(Y, Z_w) + distance T; if it is in the kept set, s~_w
 * is at least s~_b less as much. So b is certain if the least of the other sets' t - r and the set's second-best -s~
 * are above -s~_b by more than the margin
 *     F(Y, Z_b) + F(Y, Z_w) + distance T.
 * (Should other sets have negative t, whose bits are not in order, then the one found is negative too; but r - s~_b plus
 * the margin is not.) With Z_b, Z_w <= M, T <= (Y + M)^2 <= 2 Y^2 + 2 M^2 and Y <= (1 + Y^2) / 2, the margin is at most
 *     (2 split + 2 distance + low) Y^2 + 2 (split + distance) M^2 + low (3 + 2 M)
 * which is slope |y^|^2 + intercept with Y^2 = 1.02 |y^|^2 + tiny. 1.00001 pays for evaluating it and the comparison in
 * f32. Rows for which that is too much try the better bound of Z_w that certificate.h has, which far centroids do not
 * spoil.
 */
#ifndef FKMI_CUDA_SPLIT_CERTIFICATE_CUH
#define FKMI_CUDA_SPLIT_CERTIFICATE_CUH

#include "split.h"

static __device__ __forceinline__ float split_error(int d)
{
	return (float)(1.03 * (48.5 * FKMI_SPLIT_CHUNKS(d) + 10) * 5.9604644775390625e-8);
}

static __device__ __forceinline__ void split_set_margin(struct fkmi_split_problem &problem, int d)
{
	const double split = (double)split_error(d), distance = (double)fkmi_filter_distance(d);
	const double low = (double)FKMI_SPLIT_LOW, most = (double)problem.norm_max;
	const double slope = 2 * split + 2 * distance + low;
	problem.usable = problem.norm_max <= FKMI_SPLIT_NORM_LIMIT;
	problem.slope = (float)(1.02 * 1.00001 * slope);
	problem.intercept = (float)(1.00001 * (2 * (split + distance) * most * most + low * (3 + 2 * most) +
										   slope * (double)FKMI_FILTER_TINY));
}

/* How far apart two values must be, by the better bound of Z_w. */
static __device__ __forceinline__ float split_margin(const struct fkmi_split_problem &problem, int d, float best,
													float squares, float norm)
{
	const float split = split_error(d), distance = fkmi_filter_distance(d);
	const float y2 = squares * 1.02f + FKMI_FILTER_TINY, y = sqrtf(y2);
	const float error = 0.5f * split * (y + norm) * (y + norm) + FKMI_SPLIT_LOW * (1.0f + y + norm);
	const float r2 = fmaxf(y2 - 2.0f * best + 2.0f * error + 9.5367431640625e-7f * (y2 + fabsf(best)), 0.0f);
	const float z = fminf(problem.norm_max, (y + sqrtf(r2)) * 1.001f);
	return (error + 0.5f * split * (y + z) * (y + z) + FKMI_SPLIT_LOW * (1.0f + y + z) + distance * r2) * 1.00001f;
}

#endif
