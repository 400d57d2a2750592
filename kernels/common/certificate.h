/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the portable tile's label is the exact one.
 *
 * Scaled problem. With a power of two 2^p and a vector mu of floats, real numbers
 *     y = 2^p x - mu,   z_k = 2^p c_k - mu,   |y - z_k|^2 = |y|^2 - 2 s_k,   s_k = y.z_k - |z_k|^2 / 2
 * so the nearest centroid has the greatest s, whatever mu is; near the mean of the centroids it keeps the numbers
 * small. The filter computes s~ in f32 from y^ = f32(y), z^ = f32(z), h = f32(|z|^2 / 2): one chain of d multiply-adds
 * that starts at -h. u = 2^-24; a = 2^-126 bounds what underflow, flushed to zero or not, does to one operation. Y and
 * Z_k are upper bounds of |y| and |z_k|.
 *
 * Operands. The scaling is exact, z and |z|^2 are computed in f64 and rounded, y is one f32 multiply-add (for cosine:
 * f64, rounded), so |y^_j - y_j| <= u'|y_j| + a and |z^_j - z_j| <= u'|z_j| + a with u' = u (1 + 2^-20). By
 * Cauchy-Schwarz |y^.z^ - y.z| <= 2.001 u Y Z + a sqrt(d) (Y + 1.01 Z) + a^2 d,   |h - |z|^2 / 2| <= 1.05 u Z^2 / 2 +
 * a. Where the device cannot fuse, y is rounded twice, which is one more u Y Z. Accumulation. A product passes at most
 * d + 1 roundings (one of them its own, if multiply-adds are not fused), h at most d: the error is at most g (sum |y^_j
 * z^_j| + h) + 4 d a, g = (d + 1) u / (1 - (d + 1) u). Together, for (d + 1) u <= 0.008: |s~ - s| <= E(Y, Z) = relative
 * (Y Z + Z^2 / 2) + tiny (1 + Y + Z),   relative = 1.03 (d + 6) u,   tiny = 2^-96 of which about one u and the 1.03 pay
 * for evaluating E, and subtracting it from s~, in f32.
 *
 * Reference. D of docs/semantics.md is |y - z_k|^2, scaled, with a relative error of at most e = (d / 8 + 8) 2^-53. The
 * w of the smallest computed D has |y - z_w|^2 <= T (1 + 2.01 e), T = |y - z_b|^2, for any b. With b the filter's best,
 *     s~_w >= s~_b - E(Y, Z_b) - E(Y, Z_w) - distance T,   distance = 2 e;
 * a k with s~_k below the right side is not w: that is the threshold. Z_b is known, and
 *     |z_w| <= |y| + sqrt(T) <= Y + R,   R^2 = Y^2 - 2 s~_b + 2 E(Y, Z_b) + (roundings of this sum) >= T
 * so Z_w = min(max_k Z_k, 1.001 (Y + R)). Y^2 is 1.02 times the f32 sum of squares plus tiny, which covers the
 * roundings of that sum and of the square roots here (a few units in the last place are allowed).
 *
 * Range. A row whose sum of squares is not below 2^100 (or is NaN), and every row of a problem with a centroid norm
 * above 2^50 or with d too large, is decided in f64 alone: then no operation of the filter that is relied on can
 * overflow.
 */
#ifndef FKMI_COMMON_CERTIFICATE_H
#define FKMI_COMMON_CERTIFICATE_H

#define FKMI_FILTER_TINY 1.262177448e-29f          /* 2^-96 */
#define FKMI_FILTER_SQUARES_LIMIT 1.2676506e30f    /* 2^100 */
#define FKMI_FILTER_NORM_LIMIT 1.1258999068426e15f /* 2^50 */
#define FKMI_FILTER_DIMS_LIMIT 134000

FKMI_INLINE float fkmi_filter_relative(int64_t d)
{
	return (float)(1.03 * (double)(d + 6) * 5.9604644775390625e-8);
}

FKMI_INLINE float fkmi_filter_distance(int64_t d)
{
	return (float)((double)(d / 8 + 9) * 2.220446049250313e-16);
}

/* E(Y, Z) */
FKMI_INLINE float fkmi_score_error(float relative, float y, float z)
{
	return relative * (z * (y + 0.5f * z)) + FKMI_FILTER_TINY * (1.0f + y + z);
}

/* The least score that the exact winner may have, for a row of that sum of squares (below FKMI_FILTER_SQUARES_LIMIT)
 * with that best score, of a centroid of that norm. */
FKMI_INLINE float fkmi_filter_threshold(float best, float squares, float norm, float norm_max, int64_t d)
{
	const float relative = fkmi_filter_relative(d), distance = fkmi_filter_distance(d);
	float y2 = squares * 1.02f + FKMI_FILTER_TINY, y = FKMI_SQRTF(y2);
	float magnitude = best < 0 ? -best : best, error = fkmi_score_error(relative, y, norm);
	float r2 = y2 - 2.0f * best + 2.0f * error + 9.5367431640625e-7f * (y2 + magnitude);
	r2 = FKMI_MAX(r2, 0.0f);
	float z = FKMI_MIN(norm_max, (y + FKMI_SQRTF(r2)) * 1.001f);
	return best - (error + fkmi_score_error(relative, y, z) + distance * r2);
}

#endif
