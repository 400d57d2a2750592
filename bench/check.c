/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "threads.h"

enum { PARTS = 8 }; /* partial sums of a distance */

/* The lowest of the nearest of K centroids; x has d coordinates. Written once, instantiated with and without the machine's
 * fused multiply-add: fma() is the same function either way. */
#define DEFINE_NEAREST(suffix, target)                                                                                 \
	target static int64_t nearest_##suffix(const double *x, const float *centroids, int64_t k_count, int64_t d)        \
	{                                                                                                                  \
		int64_t best = -1;                                                                                             \
		double least = INFINITY;                                                                                       \
		for (int64_t k = 0; k < k_count; k++) {                                                                        \
			const float *c = centroids + k * d;                                                                        \
			double p[PARTS] = {0};                                                                                     \
			int64_t j = 0;                                                                                             \
			for (; j + PARTS <= d; j += PARTS) {                                                                       \
				for (int r = 0; r < PARTS; r++) {                                                                      \
					double t = x[j + r] - (double)c[j + r];                                                            \
					p[r] = fma(t, t, p[r]);                                                                            \
				}                                                                                                      \
			}                                                                                                          \
			for (int r = 0; j + r < d; r++) {                                                                          \
				double t = x[j + r] - (double)c[j + r];                                                                \
				p[r] = fma(t, t, p[r]);                                                                                \
			}                                                                                                          \
			double distance = ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]));                       \
			if (distance < least) {                                                                                    \
				least = distance;                                                                                      \
				best = k;                                                                                              \
			}                                                                                                          \
		}                                                                                                              \
		return best;                                                                                                   \
	}

DEFINE_NEAREST(plain, )
#if defined(__x86_64__)
DEFINE_NEAREST(fused, __attribute__((target("avx2,fma"))))
#endif

static int64_t nearest(const double *x, const float *centroids, int64_t k_count, int64_t d)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return nearest_fused(x, centroids, k_count, d);
#endif
	return nearest_plain(x, centroids, k_count, d);
}

static double from_f16(uint16_t bits)
{
	int exponent = bits >> 10 & 31, fraction = bits & 1023;
	double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
	return bits & 0x8000 ? -magnitude : magnitude;
}

static double from_bf16(uint16_t bits)
{
	uint32_t wide = (uint32_t)bits << 16;
	float value;
	memcpy(&value, &wide, sizeof(value));
	return value;
}

static double value_at(const void *array, enum fkm_dtype dtype, int64_t i)
{
	if (dtype == FKM_F32)
		return ((const float *)array)[i];
	uint16_t bits = ((const uint16_t *)array)[i];
	return dtype == FKM_F16 ? from_f16(bits) : from_bf16(bits);
}

struct comparison {
	const struct shape *shape;
	const void *points;
	const float *centroids;
	const int32_t *labels;
	int64_t rows;
	bool every; /* row after row, not random ones */
	atomic_llong differing;
	atomic_bool failed;
};

static void compare_share(void *argument, int thread, int threads)
{
	struct comparison *comparison = argument;
	const struct shape *s = comparison->shape;
	double *x = malloc((size_t)s->d * sizeof(double));
	if (!x) {
		atomic_store(&comparison->failed, true);
		return;
	}
	int64_t end = comparison->rows * (thread + 1) / threads;
	for (int64_t i = comparison->rows * thread / threads; i < end; i++) {
		int64_t row = comparison->every ? i : (int64_t)(random_word((uint64_t)i) % (uint64_t)(s->b * s->n));
		for (int64_t j = 0; j < s->d; j++)
			x[j] = value_at(comparison->points, s->dtype, row * s->d + j);
		const float *centroids = comparison->centroids + row / s->n * s->k * s->d;
		if (nearest(x, centroids, s->k, s->d) != comparison->labels[row])
			atomic_fetch_add(&comparison->differing, 1);
	}
	free(x);
}

bool check_labels(const struct shape *shape, const void *points, const float *centroids, const int32_t *labels,
				  int64_t rows, int threads, struct check *check)
{
	const int64_t all = shape->b * shape->n;
	struct comparison comparison = {.shape = shape,
									.points = points,
									.centroids = centroids,
									.labels = labels,
									.rows = rows < all ? rows : all,
									.every = rows >= all};
	run_threads(threads, compare_share, &comparison);
	*check = (struct check){comparison.rows, atomic_load(&comparison.differing)};
	return !atomic_load(&comparison.failed);
}
