/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole fits on a real CUDA device, by the public interface.
 *
 *     cuda_device_fits labels      every label of fits of awkward data against a search of all centroids in f64
 *     cuda_device_fits same        the same bytes twice, on two streams at once, and at another place of a batch
 *     cuda_device_fits rounds [R]  R (1000) times create, fit, destroy: device memory is where it was
 *
 * 0: all is right; 1: something is not, or a call failed; 77: no device.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/check.h"
#include "bench/cuda_device.h"
#include "bench/data.h"
#include "bench/threads.h"
#include "tests/gpu/check.h"

/* ---- data ---- */

enum kind {
	NORMAL,
	OFFSET,     /* 3 + 0.03 N(0,1): next to all of a coordinate is common */
	FAR,        /* 4096 + N(0,1) */
	LARGE,      /* 300 N(0,1): squared norms that f16 does not hold */
	CLUSTERS,   /* as many tight blobs as clusters are asked for */
	DUPLICATES, /* every row seven times or more, so that centroids of the start are equal, too */
	GRID,       /* small integers: exact ties */
	TAIL,       /* the last quarter of the rows is far out */
};

struct test_case {
	struct shape shape;
	enum kind kind;
	enum fkm_metric metric;
	int iterations;
	int64_t chunk_rows; /* 0: the planner's */
	int calls;          /* of the progress callback within iterations, the last of which ends the fit; 0: none */
};

/* None is a shape of the benchmark. */
static const struct test_case cases[] = {
	{{"normal", 1, 100003, 517, 128, FKM_F16}, NORMAL, 0, 10, 0, 0},
	{{"offset", 3, 30011, 301, 128, FKM_F16}, OFFSET, 0, 10, 0, 0},
	{{"offset-bf16", 1, 50021, 257, 72, FKM_BF16}, OFFSET, 0, 10, 0, 0},
	{{"far", 2, 40013, 199, 96, FKM_F32}, FAR, 0, 10, 0, 0},
	{{"far-d3", 1, 300007, 255, 3, FKM_F32}, FAR, 0, 10, 0, 0},
	{{"large", 1, 60013, 400, 130, FKM_F16}, LARGE, 0, 10, 0, 0},
	{{"clusters", 1, 90001, 1000, 64, FKM_F16}, CLUSTERS, 0, 10, 0, 0},
	{{"clusters-f32", 1, 30011, 777, 200, FKM_F32}, CLUSTERS, 0, 10, 0, 0},
	{{"duplicates", 2, 40009, 600, 33, FKM_F16}, DUPLICATES, 0, 10, 0, 0},
	{{"duplicates-f32", 1, 70001, 130, 7, FKM_F32}, DUPLICATES, 0, 10, 0, 0},
	{{"grid", 1, 80021, 300, 16, FKM_F16}, GRID, 0, 10, 0, 0},
	{{"grid-f32", 5, 20011, 100, 2, FKM_F32}, GRID, 0, 10, 0, 0},
	{{"deep", 1, 9001, 320, 1023, FKM_BF16}, NORMAL, 0, 5, 0, 0},
	{{"deep-f32", 1, 12007, 300, 769, FKM_F32}, NORMAL, 0, 5, 0, 0},
	{{"wide", 1, 20011, 5003, 40, FKM_F16}, NORMAL, 0, 5, 0, 0},
	{{"batch", 300, 211, 9, 20, FKM_F16}, NORMAL, 0, 10, 0, 0},
	{{"line", 1, 500009, 64, 1, FKM_F32}, NORMAL, 0, 10, 0, 0},
	{{"tail", 1, 90001, 500, 64, FKM_F16}, TAIL, 0, 10, 0, 0},
	{{"tail-chunks", 1, 90001, 100, 128, FKM_F16}, TAIL, 0, 10, 8192, 0},
	{{"broken-off", 1, 20011, 500, 64, FKM_F16}, TAIL, 0, 10, 4096, 1},
	{{"broken-off-later", 2, 20011, 200, 128, FKM_BF16}, TAIL, 0, 10, 4096, 8},
};

/* The value at row i, column j of a problem of that shape, from a standard normal one. */
static float shaped(enum kind kind, const struct shape *shape, int64_t i, int64_t j, float normal)
{
	switch (kind) {
	case NORMAL:
	case DUPLICATES:
		return normal;
	case OFFSET:
		return 3 + 0.03f * normal;
	case FAR:
		return 4096 + normal;
	case LARGE:
		return 300 * normal;
	case CLUSTERS:
		return (float)(random_word((uint64_t)(i % shape->k * shape->d + j)) % 2001) * 0.01f - 10 + 0.05f * normal;
	case GRID:
		return floorf(1.5f * normal);
	case TAIL:
		return i < shape->n / 4 * 3 ? normal : 20 * normal;
	}
	return 0;
}

/* [b, n, d] */
static void *make_points(const struct test_case *test)
{
	const struct shape *s = &test->shape;
	const int64_t count = s->b * s->n * s->d, distinct = test->kind == DUPLICATES ? s->n / 7 : s->n;
	float *normal = malloc((size_t)count * sizeof(float));
	void *points = malloc((size_t)(count * dtype_bytes(s->dtype)));
	CHECK(normal && points);
	data_fill(normal, FKM_F32, count, available_threads());
	for (int64_t b = 0; b < s->b; b++)
		for (int64_t i = 0; i < s->n; i++)
			for (int64_t j = 0; j < s->d; j++)
				data_store(points, s->dtype, (b * s->n + i) * s->d + j,
						   shaped(test->kind, s, i, j, normal[(b * s->n + i % distinct) * s->d + j]));
	free(normal);
	return points;
}

static struct fkm_array view(const struct shape *s, const void *data, int64_t rows, enum fkm_dtype dtype)
{
	return (struct fkm_array){.data = data, .dtype = dtype, .batch = s->b, .rows = rows, .dims = s->d};
}

/* ---- fits ---- */

struct fitted {
	int32_t *labels; /* [b, n] */
	float *centroids;
	char kernel[64];
};

static void fitted_free(struct fitted *f)
{
	free(f->labels);
	free(f->centroids);
}

static int64_t label_bytes(const struct shape *s)
{
	return s->b * s->n * (int64_t)sizeof(int32_t);
}

static int64_t centroid_bytes(const struct shape *s)
{
	return s->b * s->k * s->d * (int64_t)sizeof(float);
}

static int count_down(void *user, const struct fkm_progress *progress)
{
	(void)progress;
	int *calls = user;
	return --*calls == 0;
}

/* All problems start from rows of the points of `first`, which are those of one problem. */
static struct fitted fit(struct fkm_context *context, const struct test_case *test, const void *points,
						 const void *first)
{
	const struct shape *s = &test->shape;
	struct shape one = *s;
	struct fitted f = {malloc((size_t)label_bytes(s)), malloc((size_t)centroid_bytes(s)), ""};
	void *start = malloc((size_t)(s->k * s->d * dtype_bytes(s->dtype)));
	CHECK(f.labels && f.centroids && start);
	one.b = 1;
	data_start(&one, first, start);
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	fkm_fit_params_init(&params);
	fkm_fit_result_init(&result);
	params.clusters = s->k;
	params.metric = test->metric;
	params.init = FKM_INIT_CENTROIDS;
	params.init_centroids = view(&one, start, s->k, s->dtype);
	params.stop = FKM_STOP_FIXED;
	params.max_iter = test->iterations;
	result.labels = f.labels;
	result.centroids = f.centroids;
	result.centroids_dtype = FKM_F32;
	params.chunk_rows = test->chunk_rows;
	int calls = test->calls;
	if (calls > 0) {
		params.progress = count_down;
		params.progress_user = &calls;
		params.progress_within = 1;
	}
	const struct fkm_array x = view(s, points, s->n, s->dtype);
	CHECK(fkm_fit(context, &x, &params, &result) == (test->calls > 0 ? FKM_CANCELLED : FKM_OK));
	snprintf(f.kernel, sizeof f.kernel, "%s", result.diagnosis.kernel);
	free(start);
	return f;
}

static bool equal(const struct shape *s, const struct fitted *a, const struct fitted *b)
{
	return memcmp(a->labels, b->labels, (size_t)label_bytes(s)) == 0 &&
		   memcmp(a->centroids, b->centroids, (size_t)centroid_bytes(s)) == 0;
}

/* NULL, after a sentence, if there is no device. */
static struct fkm_context *open_context(void *stream)
{
	struct fkm_context_params params;
	struct fkm_context *context;
	fkm_context_params_init(&params);
	params.backend = "cuda";
	params.native_queue = stream;
	const enum fkm_status status = fkm_context_create(&params, &context);
	CHECK(status == FKM_OK || status == FKM_ERROR_NO_DEVICE);
	if (status != FKM_OK)
		fprintf(stderr, "%s\n", fkm_error_message());
	return context;
}

/* ---- labels ---- */

static int check_all_labels(struct fkm_context *context)
{
	int failures = 0;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct shape *s = &cases[i].shape;
		void *points = make_points(&cases[i]);
		struct fitted f = fit(context, &cases[i], points, points);
		struct check check;
		CHECK(check_labels(s, points, f.centroids, f.labels, s->b * s->n, available_threads(), &check));
		printf("%-15s %-20s %lld of %lld labels differ\n", s->name, f.kernel, (long long)check.differing,
			   (long long)check.rows);
		failures += check.differing != 0;
		fitted_free(&f);
		free(points);
	}
	return failures;
}

/* ---- the same bytes ---- */

struct concurrent {
	const struct test_case *test;
	const void *points;
	struct fitted f;
};

static void *fit_on_own_stream(void *argument)
{
	struct concurrent *c = argument;
	struct fkm_context *context = open_context(NULL);
	CHECK(context != NULL);
	c->f = fit(context, c->test, c->points, c->points);
	fkm_context_destroy(context);
	return NULL;
}

/* On two streams at once. */
static bool same_on_streams(const struct test_case *test, const void *points, const struct fitted *expected)
{
	struct concurrent each[2];
	pthread_t threads[2];
	bool same = true;
	for (int i = 0; i < 2; i++) {
		each[i] = (struct concurrent){.test = test, .points = points};
		CHECK(pthread_create(&threads[i], NULL, fit_on_own_stream, &each[i]) == 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		same = same && equal(&test->shape, &each[i].f, expected);
		fitted_free(&each[i].f);
	}
	return same;
}

/* The problem alone, and as the second of a batch of three of which the others are made from it by a change of sign. */
static bool same_in_batch(struct fkm_context *context, const struct test_case *test, const void *points,
						  const struct fitted *expected)
{
	const struct shape *s = &test->shape;
	struct test_case three = *test;
	const int64_t elements = s->n * s->d, each = dtype_bytes(s->dtype), bytes = elements * each;
	three.shape.b = 3;
	unsigned char *batch = malloc((size_t)(3 * bytes));
	CHECK(batch != NULL);
	for (int b = 0; b < 3; b++)
		memcpy(batch + b * bytes, points, (size_t)bytes);
	for (int64_t i = 0; i < elements; i++) {
		batch[(i + 1) * each - 1] ^= 0x80;
		if (i % 2 == 0)
			batch[2 * bytes + (i + 1) * each - 1] ^= 0x80;
	}
	struct fitted f = fit(context, &three, batch, points);
	const bool same = memcmp(f.labels + s->n, expected->labels, (size_t)label_bytes(s)) == 0 &&
					  memcmp(f.centroids + s->k * s->d, expected->centroids, (size_t)centroid_bytes(s)) == 0;
	fitted_free(&f);
	free(batch);
	return same;
}

static int check_same(struct fkm_context *context)
{
	int failures = 0;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct test_case test = cases[i];
		test.shape.b = 1;
		void *points = make_points(&test);
		struct fitted once = fit(context, &test, points, points), twice = fit(context, &test, points, points);
		const bool again = equal(&test.shape, &once, &twice), streams = same_on_streams(&test, points, &once),
				   batch = same_in_batch(context, &test, points, &once);
		printf("%-15s %-20s again: %s, two streams: %s, in a batch: %s\n", test.shape.name, once.kernel,
			   again ? "same" : "DIFFERS", streams ? "same" : "DIFFERS", batch ? "same" : "DIFFERS");
		failures += !again || !streams || !batch;
		fitted_free(&once);
		fitted_free(&twice);
		free(points);
	}
	return failures;
}

/* ---- memory ---- */

static size_t free_bytes(struct cuda_device *device)
{
	size_t bytes, total;
	if (!cuda_ok(device->driver, device->driver->memory_info(&bytes, &total), "cuMemGetInfo"))
		exit(1);
	return bytes;
}

static int check_rounds(int rounds)
{
	enum { FIRST = 10 }; /* the driver keeps what these take */
	static const struct test_case few[] = {
		{{"", 1, 3001, 50, 64, FKM_F16}, NORMAL, 0, 3, 0, 0},
		{{"", 1, 5003, 40, 3, FKM_F32}, NORMAL, 0, 3, 0, 0},
		{{"", 3, 1009, 30, 100, FKM_F32}, NORMAL, 0, 3, 0, 0},
		{{"", 1, 2003, 300, 520, FKM_BF16}, NORMAL, 0, 3, 0, 0},
	};
	enum { FEW = sizeof few / sizeof few[0] };
	struct cuda_device device;
	void *points[FEW];
	size_t before = 0;
	if (!cuda_device_open(0, &device))
		return 1;
	for (int i = 0; i < FEW; i++)
		points[i] = make_points(&few[i]);
	for (int round = 0; round < rounds + FIRST; round++) {
		if (round == FIRST)
			before = free_bytes(&device);
		struct fkm_context *context = open_context(NULL);
		CHECK(context != NULL);
		struct fitted f = fit(context, &few[round % FEW], points[round % FEW], points[round % FEW]);
		fitted_free(&f);
		fkm_context_destroy(context);
	}
	const size_t after = free_bytes(&device);
	printf("%d rounds: %zu bytes of device memory free before, %zu after\n", rounds, before, after);
	for (int i = 0; i < FEW; i++)
		free(points[i]);
	cuda_device_close(&device);
	return after != before;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "labels";
	struct fkm_context *context = open_context(NULL);
	int failures;
	if (context == NULL)
		return SKIP;
	if (!strcmp(what, "labels")) {
		failures = check_all_labels(context);
	} else if (!strcmp(what, "same")) {
		failures = check_same(context);
	} else if (!strcmp(what, "rounds")) {
		failures = check_rounds(argc > 2 ? atoi(argv[2]) : 1000);
	} else {
		fprintf(stderr, "usage: cuda_device_fits labels|same|rounds [R]\n");
		failures = 1;
	}
	fkm_context_destroy(context);
	return failures != 0;
}
