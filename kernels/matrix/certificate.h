/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the label of a matrix-core tile is the exact one.
 *
 * Real numbers. With a power of two 2^p, the vector mu of floats and nu, which is 0 or mu,
 *     X = 2^p x - mu,   C_k = 2^p c_k - mu,   r_k = |X - C_k|:
 * the nearest centroid has the least r. Matrix cores multiply f16 numbers x^ ~ 2^12 (2^p x - nu) and c^_k ~ 2^t C_k.
 * Write c~_k = 2^-t c^_k, m = mu - nu, X^ = 2^-12 x^ - m, and
 *     |X^ - X| <= eta,  |c~_k - C_k| <= delta_k,  Z_k = |c~_k|,  P = |X^|,  rho_k = |X^ - c~_k|,
 *     G_k = X^.c~_k - |c~_k|^2 / 2 = (P^2 - rho_k^2) / 2,
 *     S_k = 2^(12 + t) G_k = x^.c^_k - h_k,   h_k = 2^(12 + t) (|c~_k|^2 / 2 + m.c~_k).
 *
 * Scores. A sum starts at -f32(h_k) and takes D products, D = d rounded up to 32. How a matrix core adds differs: NVIDIA
 * aligns 4 to 16 products and the sum so far to the greatest of them and cuts off; AMD does not say how MFMA and WMMA
 * add, but that gfx90a takes subnormal operands and results as zeros (MIOpen, "MI200 MFMA Behavior Specifics"). What is
 * relied on: a product is exact or rounded once, no addend loses more than 2^-23 of the greatest number in its addition,
 * and each addend and each sum is cut or rounded at most once. Every partial sum, in any order, is at most |h_k| +
 * |x^||c^_k|, so that, with the rounding of h_k and |x^| <= 2^12 (P + |m|),
 *     |S~_k - S_k| <= 2^(12 + t) E(Z_k),   E(Z) = gamma ((P + 2 |m|) Z + Z^2 / 2) + tiny,   gamma = (2 D + 8) 2^-23 1.01.
 * Centroids' operands below 2^-14 are made 0, which counts in delta; points' count as if they were, in eta: sqrt(d) 2^-14
 * 2^-12. tiny = 2^-40 covers the underflow of sums, which is below 2^-126 (2 D + 8) in S (t >= -60, D <= 2^16).
 *
 * Reference. D(x, c) of docs/semantics.md is the squared distance with a relative error of at most e = (d / 8 + 8)
 * 2^-53. If w has the least D and b the greatest S~, then r_w^2 <= r_b^2 (1 + 2.01 e). With r' = |X^ - C|: |r' - r| <=
 * eta, |r' - rho| <= delta, and since (r'_k^2 - r_k^2) / 2 is eta-Lipschitz in C_k but for a term without k,
 *     r'_w^2 <= r'_b^2 + 2 kappa,   kappa = eta (|C_w| + |C_b|) + 1.01 e r_b^2
 *     rho_w <= sqrt((rho_b + delta_b)^2 + 2 kappa) + delta_w
 *     G_w >= G_b - (rho_b delta + delta^2 + kappa + delta sqrt((rho_b + delta)^2 + 2 kappa)),  delta >= delta_b, delta_w
 *     S~_w >= S~_b - 2^(12 + t) (G_b - G_w + E(Z_w) + E(Z_b)) =: threshold.
 * If the second greatest S~ is below that, b is the label. If not, all k with S~_k at least the threshold are candidates
 * (w is among them whenever its score is computed within E, so also when it is computed again).
 *
 * The distance to b, and norms that far centroids do not spoil. rho_b^2 = P^2 - 2 G_b <= R^2 + 2 E(Z_b) with R^2 = P^2 -
 * 2 2^-(12 + t) S~_b, and Z_b <= P + rho_b. With L = P + R + |m| that gives, for gamma <= 0.019, first Z_b <= 1.5 L and
 * then Z_b <= (1 + 3.6 sqrt(gamma)) L (tiny's share is in the excess over 2.6 sqrt(gamma), or below 2^-19). So
 *     Q = min(M, (1 + 3.6 sqrt(gamma)) L + 2^-19) >= Z_b with M = max_k Z_k;  rho = sqrt(R^2 + 2 E(Q)) >= rho_b
 *     delta_b <= d0 = min(max_k delta_k, 2^-10 Q + least)   (f16 rounds by 2^-11, relatively, and by `least` in all
 *     where a number becomes 0)
 *     |C_w| <= |X| + r_w <= V = min(M + max_k delta_k, (P + rho + d0 + 2 eta) 1.0001) >= |C_b|
 *     delta = min(max_k delta_k, 2^-11 V 1.01 + least),  Z = V + delta >= Z_b, Z_w.
 *
 * P and the measured part of eta come from f32 sums of d squares, whose relative error is below (d + 8) 2^-23. Everything
 * else is evaluated in f32 from terms that are not negative, so 1.0001 covers the roundings; only R^2 is a difference, by
 * one fma, which rounds the result. Whatever is not a number leaves the row undecided.
 */
#ifndef FKMI_MATRIX_CERTIFICATE_H
#define FKMI_MATRIX_CERTIFICATE_H

#define FKMI_MATRIX_LARGEST_LIMIT 1.1258999068426e15f /* 2^50, of |C_kj| */
#define FKMI_MATRIX_TINY 9.094947017729282e-13f       /* 2^-40 */

/* What the rows of a problem share. */
struct fkmi_matrix_bounds {
	float unit, inverse; /* 2^(12 + t), and its inverse */
	float shift;         /* |m| at most */
	float norm, residual;
	float gamma, norm_factor, square_factor, distance_error;
	float least, point_least; /* what operands that become 0 take from c~, from X^ */
};

/* t, from the bits of the largest |C_kj| */
FKMI_INLINE int fkmi_matrix_exponent(int32_t largest)
{
	const float value = fkmi_bits_float((uint32_t)largest);
	const int t = value > 0 ? 14 - fkmi_exponent((double)value) : 0;
	return t < -60 ? -60 : t > 60 ? 60 : t;
}

FKMI_INLINE struct fkmi_matrix_bounds fkmi_matrix_bounds_make(FKMI_GLOBAL const int32_t *measures, int64_t d)
{
	const int t = fkmi_matrix_exponent(measures[FKMI_MEASURE_LARGEST]);
	struct fkmi_matrix_bounds q;
	q.unit = (float)fkmi_power2(12 + t);
	q.inverse = (float)fkmi_power2(-12 - t);
	q.shift = fkmi_bits_float((uint32_t)measures[FKMI_MEASURE_SHIFT]);
	q.norm = fkmi_bits_float((uint32_t)measures[FKMI_MEASURE_NORM]);
	q.residual = fkmi_bits_float((uint32_t)measures[FKMI_MEASURE_RESIDUAL]);
	q.gamma = (float)(2 * ((d + 31) / 32 * 32) + 8) * 1.204e-7f; /* 2^-23 1.01 */
	q.norm_factor = 1.0f + 3.60001f * FKMI_SQRTF(q.gamma);
	q.square_factor = 1.0f + (float)(d + 16) * 1.1920929e-7f;
	q.distance_error = (float)((double)(d / 8 + 9) * 2.220446049250313e-16);
	q.least = FKMI_SQRTF((float)d) * 6.11e-5f * (q.inverse * 4096.0f); /* sqrt(d) 2^-14 2^-t */
	q.point_least = FKMI_SQRTF((float)d) * 1.4908e-8f;                 /* sqrt(d) 2^-14 2^-12 */
	return q;
}

/* The threshold of a row with the best score `best`, |X^|^2 about `squares` and |2^12 (X^ - X)|^2, measured, about
 * `residual`. */
FKMI_INLINE float fkmi_matrix_threshold(const struct fkmi_matrix_bounds *q, float best, float squares, float residual)
{
	const float p2 = squares * q->square_factor, p = FKMI_SQRTF(p2) * 1.00001f;
	const float eta =
		FKMI_SQRTF(residual * q->square_factor) * (1.0001f / 4096.0f) + 1.2e-7f * (p + q->shift) + q->point_least;
	const float r2 = FKMI_MAX(FKMI_MULTIPLY_ADD(-2.0f * q->inverse, best, p2), 0.0f);
	const float l = p + FKMI_SQRTF(r2) * 1.00001f + q->shift;
	const float z_b = FKMI_MIN(q->norm, q->norm_factor * l + 1.9073486e-6f);
	const float e_b = q->gamma * ((p + 2.0f * q->shift) * z_b + 0.5f * z_b * z_b) + FKMI_MATRIX_TINY;
	const float rho = FKMI_SQRTF(r2 * 1.00001f + 2.001f * e_b) * 1.00001f;
	const float d0 = FKMI_MIN(q->residual, 9.765625e-4f * z_b + q->least);
	const float v = FKMI_MIN(q->norm + q->residual, (p + rho + d0 + 2.0f * eta) * 1.0001f);
	const float delta = FKMI_MIN(q->residual, 4.9316e-4f * v + q->least), z = v + delta;
	const float e = q->gamma * ((p + 2.0f * q->shift) * z + 0.5f * z * z) + FKMI_MATRIX_TINY;
	const float near = rho + delta, far = near + eta;
	const float kappa = 2.0f * eta * v + q->distance_error * far * far;
	const float excess =
		2.0f * e + rho * delta + delta * delta + kappa + delta * FKMI_SQRTF(near * near + 2.0f * kappa);
	return best - (excess * 1.0001f * q->unit + 1.2e-7f * (best < 0 ? -best : best));
}

#endif
