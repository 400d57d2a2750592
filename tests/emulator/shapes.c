/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assignment on the emulator for sizes around those of the tiles, against a search of all centroids; and that the filter
 * itself decides most rows of easy data, which the conformance suite, where a recheck mends everything, cannot see.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "flashkmeans/flashkmeans.h"

static uint64_t state = 1;

static double normal(void)
{
	double sum = -6;
	for (int i = 0; i < 12; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		sum += (double)(state >> 40) * 0x1p-24;
	}
	return sum;
}

/* Writes v to an array of points, rounded so that it is exact there, and returns what it became. */
static double store(void *points, enum fkm_dtype dtype, int64_t at, double v)
{
	v = rint(v * 64) / 64;
	const float value = (float)v;
	uint32_t bits;
	_Static_assert(sizeof bits == sizeof value, "float has 32 bits");
	for (size_t i = 0; i < sizeof bits; i++)
		((unsigned char *)&bits)[i] = ((const unsigned char *)&value)[i];
	if (dtype == FKM_F32) {
		((float *)points)[at] = value;
	} else if (dtype == FKM_F16) { /* a multiple of 2^-6, below 16: never subnormal */
		((uint16_t *)points)[at] =
			(uint16_t)((bits >> 16 & 0x8000) | (v == 0 ? 0 : ((bits & 0x7fffffff) - (112u << 23)) >> 13));
	} else {
		((uint16_t *)points)[at] = (uint16_t)(bits >> 16);
		bits &= 0xffff0000u;
		float cut;
		for (size_t i = 0; i < sizeof bits; i++)
			((unsigned char *)&cut)[i] = ((const unsigned char *)&bits)[i];
		return (double)cut;
	}
	return v;
}

static int32_t nearest(const double *x, const double *centroids, int64_t k, int64_t d)
{
	double least = INFINITY;
	int32_t label = -1;
	for (int64_t c = 0; c < k; c++) {
		double distance = 0;
		for (int64_t j = 0; j < d; j++)
			distance += (x[j] - centroids[c * d + j]) * (x[j] - centroids[c * d + j]);
		if (distance < least) {
			least = distance;
			label = (int32_t)c;
		}
	}
	return label;
}

static void *take(int64_t count, size_t size)
{
	void *memory = calloc((size_t)count, size);
	if (memory == NULL)
		abort();
	return memory;
}

/* Most points are near a centroid; some near the mean of all centroids, where none is near. */
static int check(struct fkm_context *context, int64_t n, int64_t k, int64_t d, enum fkm_dtype dtype)
{
	double *x = take(n * d, sizeof *x), *centroids = take(k * d, sizeof *centroids);
	void *points = take(n * d, sizeof(float));
	int32_t *labels = take(n, sizeof *labels);
	for (int64_t i = 0; i < k * d; i++)
		centroids[i] = normal();
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < d; j++)
			x[i * d + j] = store(points, dtype, i * d + j,
								 centroids[i * 7 % k * d + j] * (i % 5 != 0 ? 1 : 0.05) + 0.05 * normal());

	const struct fkm_array px = fkm_array_2d(points, dtype, n, d), pc = fkm_array_2d(centroids, FKM_F64, k, d);
	struct fkm_fit_result result;
	int failed = 0;
	fkm_fit_result_init(&result);
	result.labels = labels;
	if (fkm_predict(context, &px, &pc, NULL, &result) != FKM_OK) {
		printf("FAIL: %s\n", fkm_error_message());
		failed = 1;
	}
	for (int64_t i = 0; i < n && !failed; i++) {
		const int32_t expected = nearest(x + i * d, centroids, k, d);
		if (labels[i] != expected) {
			printf("FAIL: row %" PRId64 " has label %" PRId32 ", not %" PRId32 "\n", i, labels[i], expected);
			failed = 1;
		}
	}
	if (!failed && result.diagnosis.rechecked > n / 5) {
		printf("FAIL: %" PRId64 " of %" PRId64 " rows needed a recheck\n", result.diagnosis.rechecked, n);
		failed = 1;
	}
	printf("%s %" PRId64 " x %" PRId64 " x %" PRId64 ", type %d, %s, %" PRId64 " rechecked\n", failed ? "of" : "ok", n,
		   k, d, (int)dtype, result.diagnosis.kernel, result.diagnosis.rechecked);
	free(x);
	free(centroids);
	free(points);
	free(labels);
	return failed;
}

int main(void)
{
	static const int64_t sizes[][3] = {
		{1, 2, 1},     {255, 31, 8},   {256, 65, 16},   {257, 129, 31}, {300, 127, 32},  {513, 33, 33},
		{256, 64, 64}, {270, 130, 65}, {256, 128, 128}, {300, 70, 129}, {257, 129, 161}, {40, 300, 200},
	};
	struct fkm_context_params params;
	struct fkm_context *context;
	int failures = 0;
	fkm_context_params_init(&params);
	params.backend = "hip";
	if (fkm_context_create(&params, &context) != FKM_OK) {
		printf("FAIL: %s\n", fkm_error_message());
		return 1;
	}
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (enum fkm_dtype dtype = FKM_F16; dtype <= FKM_F32; dtype++)
			failures += check(context, sizes[i][0], sizes[i][1], sizes[i][2], dtype);
	fkm_context_destroy(context);
	return failures != 0;
}
