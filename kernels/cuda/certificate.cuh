/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the filter's label is the exact one.
 *
 * Real numbers. With powers of two 2^a, 2^t, a vector nu (0 where points are taken as they are, else that of their
 * copy) and a vector m of floats, mu = nu + 2^-a m near the mean of the centroids: X = 2^a (x - mu),  C_k = 2^a (c_k -
 * mu),  r_k = |X - C_k|: the nearest centroid has the least r. The tensor cores multiply f16 numbers x^ ~ 2^a (x - nu)
 * and c^_k ~ 2^t C_k. Write c~ = 2^-t c^, X^ = x^ - m, and |X^ - X| <= eta,  |c~_k - C_k| <= delta_k,  Z_k = |c~_k|,  P
 * = |X^|,  rho_k = |X^ - c~_k| G_k = |c~_k|^2 / 2 - X^.c~_k = (rho_k^2 - P^2) / 2,   S_k = 2^t G_k = hn_k - x^.c^_k,
 *     hn_k = 2^t (|c~_k|^2 / 2 + m.c~_k).
 *
 * Scores. The kernel starts a sum at f32(hn_k - 2^t F_k), where F_k >= 0 makes up for the errors of centroid k (below),
 * and subtracts n = ceil(d / 16) groups of 16 products. Products of f16 are exact in the tensor cores; a group's addends
 * (16 products and the sum so far) are aligned to the greatest, cut off and added, and the result is cut to f32: no
 * addend loses more than 2^-23 of the greatest one. Every partial sum is at most |hn_k| + 2^t F_k + |x^||c^_k|, so with
 * the rounding of the start (2^-24 of it, f64 before) and |x^| <= P + |m|, the computed L~_k has
 *     |L~_k - (S_k - 2^t F_k)| <= 2^t (gamma F_k + E_k),  E_k = gamma ((P + 2 |m|) Z_k + Z_k^2 / 2) + tiny,
 *     gamma = (17 n + 8) 2^-23 1.01.
 * tiny = 2^-59 covers underflow, which is below 2^-120 in S (t >= -60).
 *
 * Reference. D of docs/semantics.md is the squared distance with a relative error of at most e = (d / 8 + 8) 2^-53. If
 * w has the smallest D and b the smallest L~, then r_w^2 <= r_b^2 (1 + 2.01 e). With r' = |X^ - C|: |r' - r| <= eta,
 * |r' - rho| <= delta, and since (r'_k^2 - r_k^2) / 2 is eta-Lipschitz in C_k but for a term without k,
 *     r'_w^2 <= r'_b^2 + 2 kappa,   kappa = eta (|C_w| + |C_b|) + 1.01 e r_b^2
 *     rho_w <= R + delta_w,  R = sqrt((rho_b + delta_b)^2 + 2 kappa)
 *     G_w <= G_b + rho_b delta_b + delta_b^2 / 2 + kappa + R delta_w + delta_w^2 / 2
 *     L~_w <= L~_b + 2^t (U_b + tiny + N_w(P, R, eta) - (1 - gamma) F_w),  where
 *     U_b = (1 + gamma) F_b + E_b + rho_b delta_b + delta_b^2 / 2 + eta (Z_b + delta_b) + 1.01 e r_b^2,
 *     N_k(P, R, eta) = gamma ((P + 2 |m|) Z_k + Z_k^2 / 2) + R delta_k + delta_k^2 / 2 + eta (Z_k + delta_k).
 *
 * Every centroid's own errors. Norms of centroids may differ much: the means of many points lie close together, those of
 * one point far out, and errors grow with the norm. So F_k = 1.02 N_k(P0, R0, eta0), with the geometric means P0, R0,
 * eta0 of some rows of the assignment before (or 0); then, as gamma <= 0.019, with bounds Z >= Z_w and delta >= delta_w,
 *     L~_w <= L~_b + 2^t (U_b + tiny + gamma max(P - P0, 0) Z + max(R - R0, 0) delta + max(eta - eta0, 0) (Z + delta)).
 * That is the threshold. If the second smallest L~ is above it, b is the label. If not, all k with L~_k at most the
 * threshold are candidates (w is among them whenever L~_w is computed within its error, so also when it is computed
 * again). By what a row differs from the mean it pays as much as the centroid farthest out could be off:
 *     rho_b^2 = 2 G_b + P^2 <= 2 (2^-t L~_b) + P^2 + 2 ((1 + gamma) F_b + E_b)
 *     |C_w| <= |X| + r_w <= V = min(max_k Z_k + max_k delta_k, (P + rho_b + delta_b + 2 eta) 1.00001)
 *     delta = min(max_k delta_k, 2^-11 V 1.001 + least),  Z = min(max_k Z_k, V + delta)
 * (f16 rounds by 2^-11, relatively, and by `least` in all where numbers are subnormal).
 *
 * P comes from an f32 sum of squares, which square_factor raises above its error. Everything else is evaluated in f32
 * from terms that are not negative, so 1.0001 covers the roundings; only rho_b^2 begins with a difference, by one fma,
 * which rounds the result. Whatever is not a number leaves the row undecided.
 */
#ifndef FKMI_CUDA_CERTIFICATE_CUH
#define FKMI_CUDA_CERTIFICATE_CUH

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/sm90.h"

static __device__ __forceinline__ float inverse_power2(float v)
{
	return __int_as_float(0x7f000000 - __float_as_int(v));
}

/* What of a problem the certificate needs. */
struct certificate_problem {
	float shift_norm;   /* |m| at most */
	float inverse;      /* 2^-t */
	float norm_max;     /* Z_k at most */
	float residual_max; /* delta_k at most */
	struct fkmi_sm90_usual usual;
};

/* N_k(P, R, eta) of a row. */
template <class REAL>
static __device__ __forceinline__ REAL centroid_error(REAL gamma, REAL shift_norm, REAL length, REAL distance,
													  REAL residual, const struct fkmi_sm90_length &k)
{
	const REAL z = k.length, delta = k.residual;
	return gamma * ((length + 2 * shift_norm) * z + z * z / 2) + (distance + delta / 2) * delta + residual * (z + delta);
}

/* Sets F_k from the others. */
static __device__ __forceinline__ void set_allowance(struct fkmi_sm90_length &k, const struct fkmi_sm90_usual &usual,
													 double gamma, double shift_norm)
{
	k.allowance = __double2float_ru(
		1.02 * centroid_error<double>(gamma, shift_norm, usual.length, usual.distance, usual.residual, k));
}

/* What is known of a row, in the points' scale: P, R, eta. */
struct row_measure {
	float length, distance, residual;
};

/* A measure's logarithm, in units that keep the sum of 32 within an int; 0 is taken for something small. */
enum { MEASURE_UNITS = 1 << 18 };

static __device__ __forceinline__ int measure_logarithm(float v)
{
	return __float2int_rn(__log2f(fminf(fmaxf(v, 0x1p-120f), 0x1p120f)) * (float)MEASURE_UNITS);
}

/* The geometric mean of so many measures. */
static __device__ __forceinline__ float mean_measure(int64_t logarithms, int count)
{
	return count > 0 ? exp2f((float)((double)logarithms / ((double)count * MEASURE_UNITS))) : 0;
}

/* The threshold for a row with best score `best`, that of centroid b, and |X^|^2 about `squares`. row: eta is given, the
 * others are found. */
static __device__ __forceinline__ float certificate_threshold(const struct certificate_problem &problem, float gamma,
															  float distance_error, float square_factor, float best,
															  float squares, const struct fkmi_sm90_length &b,
															  struct row_measure &row)
{
	const float tiny = 0x1p-59f, eta = row.residual, inverse = problem.inverse;
	const struct fkmi_sm90_usual &usual = problem.usual;
	const float p2 = squares * square_factor, p = sqrt_approximate(p2) * 1.00001f;
	const float errors = centroid_error<float>(gamma, problem.shift_norm, p, 0, eta, b) + tiny;
	const float allowed = 1.0191f * b.allowance; /* (1 + gamma) F_b */
	const float rho2 = fmaxf(fmaf(2.0f * inverse, best, p2), 0.0f) * 1.00001f + 2.001f * (allowed + errors);
	const float rho = sqrt_approximate(rho2) * 1.00001f;
	const float v = fminf(problem.norm_max + problem.residual_max, p + rho + b.residual + 2.0f * eta) * 1.0001f;
	/* sqrt(d) 2^-25 2^-t is at most `least`: d below 2^30 */
	const float least = 0x1p-10f * inverse;
	const float delta = fminf(problem.residual_max, 0x1.01p-11f * v + least), z = fminf(problem.norm_max, v + delta);
	const float near = rho + b.residual, far = near + eta, reference = distance_error * far * far;
	row.length = p;
	row.distance = sqrt_approximate(near * near + 2.0f * (eta * (v + b.length + b.residual) + reference)) * 1.00001f;
	const float unusual = gamma * fmaxf(p - usual.length, 0.0f) * z +
						  fmaxf(row.distance - usual.distance, 0.0f) * delta +
						  fmaxf(eta - usual.residual, 0.0f) * (z + delta);
	const float excess = allowed + errors + rho * b.residual + reference + tiny + unusual;
	return fminf(__fadd_ru(best, excess * 1.0001f * inverse_power2(inverse)), 3.4e38f);
}

/* The same, of a problem in memory. */
static __device__ __forceinline__ float certificate_threshold(const struct fkmi_sm90_problem *problem, float gamma,
															  float distance_error, float square_factor, float best,
															  float squares, const struct fkmi_sm90_length &b,
															  struct row_measure &row)
{
	float inverse = inverse_power2(__ldg(&problem->centroid_scale));
	asm volatile("" : "+f"(inverse)); /* 2^t is made of it again: registers are few */
	const struct certificate_problem p = {__ldg(&problem->shift_norm),
										  inverse,
										  __int_as_float(__ldg(&problem->norm_max)),
										  __int_as_float(__ldg(&problem->residual_max)),
										  {__ldg(&problem->usual.length), __ldg(&problem->usual.distance),
										   __ldg(&problem->usual.residual)}};
	return certificate_threshold(p, gamma, distance_error, square_factor, best, squares, b, row);
}

#endif
