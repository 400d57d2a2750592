/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the filter's label is the exact one.
 *
 * Scaled problem. With a power of two 2^p and a vector mu of floats in the middle of the points, real numbers
 *     y = 2^p x - mu,   z_k = 2^p c_k - mu,   T_k = |y - z_k|^2 = |y|^2 - 2 s_k,   s_k = y.z_k - |z_k|^2 / 2
 * so the nearest centroid has the greatest s. The filter computes s~ in f32 from y^ = f32(y), z^ = f32(z),
 * h = f32(|z|^2 / 2), in n blocks of at most m dimensions: a chain of multiply-adds from 0 (from -h in the first
 * block), and the blocks' results added in a chain. u = 2^-24; a = 2^-126 stands for what underflow can do to one
 * operation. Y and Z_k are upper bounds of |y| and |z_k|.
 *
 * Rounding of the operands.  |y^_j - y_j| <= u'|y_j| + a and |z^_j - z_j| <= u'|z_j| + a, where u' = u (1 + 2^-20): the
 * scaling is exact, and where the subtraction is made in f64 first that adds 2^-53. By Cauchy-Schwarz
 *     |y^.z^ - y.z| <= 2.001 u Y Z + a sqrt(d) (Y + 1.01 Z) + a^2 d,   |h - |z|^2/2| <= 1.05 u Z^2 / 2 + a
 * (the f64 sum in h is off by at most d 2^-53 <= 2^-29, relatively).
 * Accumulation.  Each product passes at most m + n roundings (one of them its own, without fused multiply-add), so the
 * error is at most g (sum |y^_j z^_j| + h) + (2 d + n) 2a with g = (m + n) u / (1 - (m + n) u).
 * Together, for d <= 2^24 and (m + n) u <= 0.008:
 *     |s~ - s| <= E(Y, Z) = relative (Y Z + Z^2 / 2) + tiny (1 + Y + Z)
 *     relative = (m + n + 4) u 1.03,   tiny = 2^-96
 * One of the 4 and the 1.03 pay for evaluating this bound, and subtracting it from s~, in f32.
 *
 * Reference.  D of docs/semantics.md is T with a relative error of at most e = (d/8 + 8) 2^-53 (scaled; underflow is
 * far below tiny). So whichever w has the smallest computed D satisfies T_w <= T_b (1 + 2.01 e) for any b, and
 *     s~_w >= s~_b - E(Y, Z_b) - E(Y, Z_w) - distance T_b,   distance = 2 e
 * For the filter's best b, all k with s~_k below the right side are out: that is the threshold. Z_b is known, and
 *     |z_w| <= |y| + sqrt(T_w) <= Y + R,   R^2 = Y^2 - 2 s~_b + 2 E(Y, Z_b) + (roundings of this sum) >= T_b
 * so Z_w = min(max_k Z_k, 1.001 (Y + R)): far centroids do not spoil the bound of the points that are far from them.
 * Y^2 is 1.02 times the f32 sum of squares plus tiny, which covers its roundings and underflows.
 * A row whose sum of squares is not below 2^100 (or is NaN) is never certain, and centroids with a norm above 2^50
 * switch the filter off for the problem: then no operation can overflow.
 */
#ifndef FKMI_CPU_CERTIFICATE_H
#define FKMI_CPU_CERTIFICATE_H

#define FKMI_CPU_TINY 0x1p-96f
#define FKMI_CPU_SQUARES_LIMIT 0x1p100f
#define FKMI_CPU_NORM_LIMIT 0x1p50
#define FKMI_CPU_DIMS_LIMIT ((int64_t)1 << 24)

#endif
