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

#define CERTIFICATE_TINY 0x1p-59f

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

/* Of a problem in memory, but for the usual lengths. */
static __device__ __forceinline__ struct certificate_problem
certificate_problem_of(const struct fkmi_sm90_problem *problem)
{
	float inverse = inverse_power2(__ldg(&problem->centroid_scale));
	asm volatile("" : "+f"(inverse)); /* 2^t is made of it again: registers are few */
	return {__ldg(&problem->shift_norm),
			inverse,
			__int_as_float(__ldg(&problem->norm_max)),
			__int_as_float(__ldg(&problem->residual_max)),
			{}};
}

static __device__ __forceinline__ struct fkmi_sm90_usual usual_of(const struct fkmi_sm90_problem *problem)
{
	return {__ldg(&problem->usual.length), __ldg(&problem->usual.distance), __ldg(&problem->usual.residual), 0, 0};
}

/* N_k(P, R, eta) of a row. */
template <class REAL>
static __device__ __forceinline__ REAL centroid_error(REAL gamma, REAL shift_norm, REAL length, REAL distance,
													  REAL residual, const struct fkmi_sm90_length &k)
{
	const REAL z = k.length, delta = k.residual;
	return gamma * ((length + 2 * shift_norm) * z + z * z / 2) + (distance + delta / 2) * delta +
		   residual * (z + delta);
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

/* What a threshold lies above the best score, in the points' scale, that of centroid b. errors: of b's score but for its
 * allowance, `allowed`: that with its own error. rho: of the row at most. row: P and eta are given, R is found. */
static __device__ __forceinline__ float certificate_excess(const struct certificate_problem &problem, float gamma,
														   float distance_error, float errors, float allowed, float rho,
														   const struct fkmi_sm90_length &b, struct row_measure &row)
{
	const float p = row.length, eta = row.residual;
	const struct fkmi_sm90_usual &usual = problem.usual;
	const float v = fminf(problem.norm_max + problem.residual_max, p + rho + b.residual + 2.0f * eta) * 1.0001f;
	/* sqrt(d) 2^-25 2^-t is at most `least`: d below 2^30 */
	const float least = 0x1p-10f * problem.inverse;
	const float delta = fminf(problem.residual_max, 0x1.01p-11f * v + least), z = fminf(problem.norm_max, v + delta);
	const float near = rho + b.residual, far = near + eta, reference = distance_error * far * far;
	row.distance = sqrt_approximate(near * near + 2.0f * (eta * (v + b.length + b.residual) + reference)) * 1.00001f;
	const float unusual = gamma * fmaxf(p - usual.length, 0.0f) * z +
						  fmaxf(row.distance - usual.distance, 0.0f) * delta +
						  fmaxf(eta - usual.residual, 0.0f) * (z + delta);
	return (allowed + errors + rho * b.residual + reference + CERTIFICATE_TINY + unusual) * 1.0001f;
}

static __device__ __forceinline__ float certificate_errors(const struct certificate_problem &problem, float gamma,
														   const struct fkmi_sm90_length &b,
														   const struct row_measure &row)
{
	return centroid_error<float>(gamma, problem.shift_norm, row.length, 0, row.residual, b) + CERTIFICATE_TINY;
}

/* The threshold for a row of problem b with best score `best`, that of centroid c, and P^2 at most `squares`. row: eta is
 * given, the others are found. */
static __device__ __forceinline__ float certificate_threshold(const struct fkmi_sm90_problem *problems, int b,
															  float gamma, float distance_error, float best,
															  float squares, const struct fkmi_sm90_length &c,
															  struct row_measure &row)
{
	struct certificate_problem problem = certificate_problem_of(&problems[b]);
	row.length = sqrt_approximate(squares) * 1.00001f;
	const float errors = certificate_errors(problem, gamma, c, row);
	const float allowed = 1.0191f * c.allowance; /* (1 + gamma) F_b */
	const float rho2 =
		fmaxf(fmaf(2.0f * problem.inverse, best, squares), 0.0f) * 1.00001f + 2.001f * (allowed + errors);
	const float rho = sqrt_approximate(rho2) * 1.00001f;
	asm volatile("" : "+r"(b)); /* registers are few: the usual lengths are read only now */
	problem.usual = usual_of(&problems[b]);
	const float excess = certificate_excess(problem, gamma, distance_error, errors, allowed, rho, c, row);
	return fminf(__fadd_ru(best, excess * inverse_power2(problem.inverse)), 3.39e38f);
}

/*
 * Most rows are far from undecided, which takes less to show. Up to caps of P, eta and rho_b^2 the excess is at most
 *     fixed + slope (rho_b + max(rho_b - knee, 0)),
 * where slope is the greatest delta_k, knee = R0 - slope - c, as R <= rho_b + delta_b + c, and `fixed` and c have the caps
 * and the worst centroid in place of the row's own.
 */
struct quick_certificate {
	float fixed, slope, knee;
	float errors;            /* what rho_b^2 may be above 2 2^-t L~_b + P^2 */
	float squares, residual; /* P^2 and eta at most */
	float far;               /* 2 2^-t L~_b + P^2 at most */
};

static __device__ __forceinline__ struct quick_certificate
quick_certificate_of(const struct certificate_problem &problem, float gamma, float distance_error)
{
	const struct fkmi_sm90_usual &usual = problem.usual;
	const float p = 1.5f * usual.length, eta = 1.5f * usual.residual, norm = problem.norm_max,
				delta = problem.residual_max;
	struct fkmi_sm90_length worst = {norm, delta, 0};
	worst.allowance =
		1.021f * centroid_error<float>(gamma, problem.shift_norm, usual.length, usual.distance, usual.residual, worst);
	const float errors = certificate_errors(problem, gamma, worst, {p, 0, eta}), allowed = 1.0191f * worst.allowance;
	struct quick_certificate quick;
	quick.squares = p * p;
	quick.residual = eta;
	quick.errors = 2.002f * (allowed + errors);
	quick.far = usual.length > 0 ? 4.0f * usual.distance * usual.distance + quick.squares : -__int_as_float(0x7f800000);
	const float rho = sqrt_approximate(quick.far * 1.0001f + quick.errors) * 1.0001f, far = rho + delta + eta;
	const float reference = distance_error * far * far;
	const float c = sqrt_approximate(2.0f * (eta * (norm + delta + norm + delta) * 1.0001f + reference)) * 1.0001f;
	quick.fixed = (allowed + errors + reference + CERTIFICATE_TINY + gamma * fmaxf(p - usual.length, 0.0f) * norm +
				   fmaxf(eta - usual.residual, 0.0f) * (norm + delta)) *
				  1.0003f;
	quick.slope = delta * 1.0003f;
	quick.knee = (usual.distance - delta - c) - 0.0001f * (usual.distance + delta + c + rho);
	return quick;
}

/* Whether a row with that best score is within the caps. */
static __device__ __forceinline__ bool quick_caps(const struct quick_certificate &quick, float twice_inverse,
												  float best, float squares, float residual)
{
	return fmaf(twice_inverse, best, squares) <= quick.far && squares <= quick.squares && residual <= quick.residual;
}

/* Whether it is decided, if it is. near: 2 2^-t L~_b + P^2; slope and `fixed` are those of scores here. */
static __device__ __forceinline__ bool quick_decides(const struct quick_certificate &quick, float near, float best,
													 float second)
{
	const float rho = sqrt_approximate(fmaf(fmaxf(near, 0.0f), 1.0001f, quick.errors)) * 1.0001f;
	return second > __fadd_ru(best, fmaf(quick.slope, rho + fmaxf(rho - quick.knee, 0.0f), quick.fixed));
}

#endif
