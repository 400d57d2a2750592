/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the label that small.cuh's filter finds is the exact one. It is the certificate of certificate.cuh but for one
 * bound for all centroids in place of an allowance for each, which operands made anew in every iteration would have to
 * wait for.
 *
 * Real numbers. With powers of two 2^a, 2^t, a vector nu (0 where points are taken as they are, else that of their
 * copy) and a vector m of floats, mu = nu + 2^-a m near the mean of the centroids: X = 2^a (x - mu),  C_k = 2^a (c_k -
 * mu),  r_k = |X - C_k|: the nearest centroid has the least r. The tensor cores multiply f16 numbers x^ ~ 2^a (x - nu)
 * and c^_k ~ 2^t C_k. Write c~ = 2^-t c^, X^ = x^ - m, and |X^ - X| <= eta,  |c~_k - C_k| <= delta_k,  Z_k = |c~_k|,  P
 * = |X^|,  rho_k = |X^ - c~_k|,
 *     G_k = |c~_k|^2 / 2 - X^.c~_k = (rho_k^2 - P^2) / 2,   S_k = 2^t G_k = hn_k - x^.c^_k,
 *     hn_k = 2^t (|c~_k|^2 / 2 + m.c~_k).
 *
 * Scores. The kernel starts a sum at f32(hn_k) and adds n = ceil(d / 16) groups of 16 negated products, which the
 * tensor cores may take in portions of four or more. Products of f16 are exact there; a portion's addends (its
 * products and the sum so far) are aligned to the greatest, cut off and added, and the result is cut to f32: no addend
 * loses more than 2^-23 of the greatest one, of at most 24 in a group. Every partial sum is at most |hn_k| + |x^||c^_k|, so with
 * the rounding of hn (2^-24 of it, f64 before) and |x^| <= P + |m|,
 *     |S~_k - S_k| <= 2^t E(Z_k),  E(Z) = gamma ((P + 2 |m|) Z + Z^2 / 2) + tiny,  gamma = (24 n + 8) 2^-23 1.01.
 * tiny = 2^-59 covers underflow, which is below 2^-120 in S (t >= -60).
 *
 * Reference. D of docs/semantics.md is the squared distance with a relative error of at most e = (d / 8 + 8) 2^-53. If
 * w has the smallest D and b the smallest S~, then r_w^2 <= r_b^2 (1 + 2.01 e). With r' = |X^ - C|: |r' - r| <= eta,
 * |r' - rho| <= delta, and since (r'_k^2 - r_k^2) / 2 is eta-Lipschitz in C_k but for a term without k,
 *     r'_w^2 <= r'_b^2 + 2 kappa,   kappa = eta (|C_w| + |C_b|) + 1.01 e r_b^2
 *     rho_w <= sqrt((rho_b + delta_b)^2 + 2 kappa) + delta_w
 *     G_w <= G_b + rho_b delta + delta^2 + kappa + delta sqrt((rho_b + delta)^2 + 2 kappa),  delta >= delta_b, delta_w
 *     S~_w <= S~_b + 2^t (G_w - G_b + E(Z_w) + E(Z_b)) =: threshold.
 * If the second smallest S~ is above that, b is the label. If not, all k with S~_k at most the threshold are candidates
 * (w is among them whenever its score is computed within E, so also when it is computed again).
 *
 * The distance to b, and norms that far centroids do not spoil. rho_b^2 = 2 G_b + P^2 <= R^2 + 2 E(Z_b) with
 * R^2 = 2 (2^-t S~_b) + P^2, and Z_b <= P + rho_b. With L = P + R + |m| that gives, for gamma <= 0.019, first
 * Z_b <= 1.5 L and then Z_b <= (1 + 3.6 sqrt(gamma)) L (tiny's share is in the excess over 2.6 sqrt(gamma)). So
 *     Q = min(M, (1 + 3.6 sqrt(gamma)) L) >= Z_b with M = max_k Z_k;  rho = sqrt(R^2 + 2 E(Q)) >= rho_b
 *     delta_b <= d0 = min(max_k delta_k, 2^-10 Q + least)
 *     |C_w| <= |X| + r_w <= V = min(M + max_k delta_k, (P + rho + d0 + 2 eta) 1.00001) >= |C_b|
 *     delta = min(max_k delta_k, 2^-11 V 1.001 + least),  Z = V + delta >= Z_b, Z_w
 * (f16 rounds by 2^-11, relatively, and by `least` in all where numbers are subnormal).
 *
 * P comes from an f32 sum of squares, which square_factor raises above its error. Everything else is evaluated in f32
 * from terms that are not negative, so 1.0001 covers the roundings; only R^2 is a difference, by one fma, which rounds
 * the result. Whatever is not a number leaves the row undecided.
 */
#ifndef FKMI_CUDA_SMALL_CERTIFICATE_CUH
#define FKMI_CUDA_SMALL_CERTIFICATE_CUH

#include "kernels/cuda/certificate.cuh"

/* What the threshold needs to know of a problem. */
struct small_bounds {
	float shift_norm;   /* |m| at most */
	float inverse;      /* 2^-t */
	float norm_max;     /* M at least */
	float residual_max; /* max_k delta_k at least */
};

/* The threshold for a row with best score `best` and |X^|^2 about `squares`; norm_factor: 1 + 3.6 sqrt(gamma). */
static __device__ __forceinline__ float small_threshold(const struct small_bounds &problem, float gamma,
														float norm_factor, float distance_error, float square_factor,
														float best, float squares, float eta)
{
	const float tiny = 0x1p-59f;
	const float m = problem.shift_norm, inverse = problem.inverse;
	const float norm_max = problem.norm_max, residual_max = problem.residual_max;
	const float p2 = squares * square_factor, p = sqrt_approximate(p2) * 1.00001f;
	const float r2 = fmaxf(fmaf(2.0f * inverse, best, p2), 0.0f);
	const float l = p + sqrt_approximate(r2) * 1.00001f + m;
	const float q = fminf(norm_max, norm_factor * l);
	const float e_q = gamma * ((p + 2.0f * m) * q + 0.5f * q * q) + tiny;
	const float rho = sqrt_approximate(r2 * 1.00001f + 2.001f * e_q) * 1.00001f;
	/* sqrt(d) 2^-25 2^-t is at most `least`: d below 2^30 */
	const float least = 0x1p-10f * inverse;
	const float d0 = fminf(residual_max, 0x1p-10f * q + least);
	const float v = fminf(norm_max + residual_max, (p + rho + d0 + 2.0f * eta) * 1.0001f);
	const float delta = fminf(residual_max, 0x1.01p-11f * v + least), z = v + delta;
	const float e = gamma * ((p + 2.0f * m) * z + 0.5f * z * z) + tiny;
	const float near = rho + delta, far = near + eta;
	const float kappa = 2.0f * eta * v + distance_error * far * far;
	const float excess =
		2.0f * e + rho * delta + delta * delta + kappa + delta * sqrt_approximate(near * near + 2.0f * kappa);
	return fminf(__fadd_ru(best, excess * 1.0001f * inverse_power2(inverse)), 3.4e38f);
}

#endif
