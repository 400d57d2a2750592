/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fkm-bench-stream: an iteration on points that stream from host memory, beside one on points in device memory and the
 * bandwidth of the bus.
 *
 *   fkm-bench-stream [--device D] [--shape SHAPE] [--budget BYTES] [--memory pinned|pageable] [--distinct ROWS]
 *                    [--chunk ROWS] [--iterations I] [--repeat R] [--json FILE]
 *
 * SHAPE as for fkm-bench, of one problem. BYTES of device memory (K, M, G: powers of 1024) for the streamed fit. Rows
 * beyond the distinct ones repeat them. The time of an iteration is the difference between fits of 2 I and of I iterations,
 * divided by I. The bound is the larger of the rows that stream over the measured bandwidth and the iteration with all points
 * in device memory; labels and centroids of both are compared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_device.h"
#include "data.h"
#include "json.h"
#include "spread.h"
#include "threads.h"

enum { MOST_REPEATS = 100 };

struct options {
	struct shape shape;
	int device, iterations, repeats;
	int64_t budget, distinct, chunk;
	bool pageable;
	const char *json;
};

/* Where points are, and what a fit of them gives. */
struct fitted {
	struct fkm_context *context;
	struct fkm_array points;
	int32_t *labels; /* in host memory, as the next */
	double *centroids;
	struct fkm_diagnosis diagnosis;
	struct spread milliseconds; /* of an iteration */
	double whole;               /* seconds of the last fit of I iterations */
};

struct bench {
	const struct options *options;
	struct cuda_device cuda;
	void *points, *start; /* in host memory */
	void *there;          /* the points in device memory */
	int64_t bytes;        /* of them */
	double bandwidth;     /* bytes per second from that host memory */
	struct fitted resident, streamed;
};

static bool ok(enum fkm_status status, const char *what)
{
	if (status != FKM_OK)
		fprintf(stderr, "fkm-bench-stream: %s: %s\n", what, fkm_error_message());
	return status == FKM_OK;
}

/* ---- data ---- */

struct repeat {
	char *points;
	int64_t first, all; /* bytes */
};

static void repeat_share(void *argument, int thread, int threads)
{
	const struct repeat *r = argument;
	int64_t at = r->first + (r->all - r->first) / threads * thread;
	const int64_t end = thread == threads - 1 ? r->all : r->first + (r->all - r->first) / threads * (thread + 1);
	while (at < end) {
		const int64_t from = at % r->first, left = r->first - from, bytes = left < end - at ? left : end - at;
		memcpy(r->points + at, r->points + from, (size_t)bytes);
		at += bytes;
	}
}

static bool make_data(struct bench *bench)
{
	const struct options *options = bench->options;
	const struct shape *shape = &options->shape;
	const int threads = available_threads();
	const int64_t row = shape->d * dtype_bytes(shape->dtype);
	const int64_t distinct = options->distinct < shape->n ? options->distinct : shape->n;
	bench->bytes = shape->n * row;
	if (options->pageable)
		bench->points = malloc((size_t)bench->bytes);
	else if (!cuda_ok(bench->cuda.driver, bench->cuda.driver->host_alloc(&bench->points, (size_t)bench->bytes, 0),
					  "cuMemHostAlloc"))
		return false;
	bench->start = malloc((size_t)(shape->k * row));
	if (!bench->points || !bench->start) {
		fprintf(stderr, "fkm-bench-stream: no memory for %s\n", shape->name);
		return false;
	}
	data_fill(bench->points, shape->dtype, distinct * shape->d, threads);
	struct repeat repeat = {bench->points, distinct * row, bench->bytes};
	run_threads(threads, repeat_share, &repeat);
	data_start(shape, bench->points, bench->start);
	return true;
}

/* All points to the device, where they stay, and how fast. */
static bool bring_points(struct bench *bench)
{
	enum { TIMES = 3 };
	bench->there = device_alloc(&bench->cuda.device, bench->bytes);
	if (!bench->there)
		return false;
	for (int i = 0; i < TIMES; i++) {
		double milliseconds;
		if (!device_start(&bench->cuda.device) ||
			!device_upload(&bench->cuda.device, bench->there, bench->points, bench->bytes) ||
			!device_stop(&bench->cuda.device, &milliseconds))
			return false;
		const double rate = (double)bench->bytes / (milliseconds * 1e-3);
		bench->bandwidth = rate > bench->bandwidth ? rate : bench->bandwidth;
	}
	return true;
}

/* ---- fits ---- */

static bool open_fit(const struct bench *bench, bool streams, struct fitted *fitted)
{
	const struct shape *shape = &bench->options->shape;
	struct fkm_context_params params;
	fkm_context_params_init(&params);
	params.backend = "cuda";
	params.device = bench->options->device;
	params.memory_budget_bytes = streams ? bench->options->budget : 0;
	fitted->points = fkm_array_2d(streams ? bench->points : bench->there, shape->dtype, shape->n, shape->d);
	fitted->points.memory = streams ? FKM_MEMORY_HOST : FKM_MEMORY_DEVICE;
	fitted->labels = malloc((size_t)shape->n * sizeof(int32_t));
	fitted->centroids = malloc((size_t)(shape->k * shape->d) * sizeof(double));
	return fitted->labels && fitted->centroids && ok(fkm_context_create(&params, &fitted->context), "context");
}

static void close_fit(struct fitted *fitted)
{
	fkm_context_destroy(fitted->context);
	free(fitted->labels);
	free(fitted->centroids);
}

static bool fit(const struct bench *bench, struct fitted *fitted, int iterations, double *seconds)
{
	const struct shape *shape = &bench->options->shape;
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	fkm_fit_params_init(&params);
	params.clusters = shape->k;
	params.init = FKM_INIT_CENTROIDS;
	params.init_centroids = fkm_array_2d(bench->start, shape->dtype, shape->k, shape->d);
	params.stop = FKM_STOP_FIXED;
	params.empty = FKM_EMPTY_KEEP;
	params.max_iter = iterations;
	params.trust_finite = 1;
	params.chunk_rows = fitted == &bench->streamed ? bench->options->chunk : 0;
	fkm_fit_result_init(&result);
	result.labels = fitted->labels;
	result.centroids = fitted->centroids;
	const double before = now();
	if (!ok(fkm_fit(fitted->context, &fitted->points, &params, &result), "fit"))
		return false;
	*seconds = now() - before;
	fitted->diagnosis = result.diagnosis;
	return true;
}

static bool measure(const struct bench *bench, struct fitted *fitted)
{
	const struct options *options = bench->options;
	double few, many;
	if (!fit(bench, fitted, 1, &few)) /* loads and warms up */
		return false;
	for (int i = 0; i < options->repeats; i++) {
		if (!fit(bench, fitted, 2 * options->iterations, &many) || !fit(bench, fitted, options->iterations, &few))
			return false;
		spread_add(&fitted->milliseconds, (many - few) * 1e3 / options->iterations);
	}
	fitted->whole = few;
	return true;
}

/* ---- the report ---- */

static bool same_results(const struct bench *bench)
{
	const struct shape *shape = &bench->options->shape;
	return memcmp(bench->resident.labels, bench->streamed.labels, (size_t)shape->n * sizeof(int32_t)) == 0 &&
		   memcmp(bench->resident.centroids, bench->streamed.centroids,
				  (size_t)(shape->k * shape->d) * sizeof(double)) == 0;
}

static bool report(const struct bench *bench)
{
	const struct options *options = bench->options;
	const struct shape *shape = &options->shape;
	const struct fkm_diagnosis *diagnosis = &bench->streamed.diagnosis;
	const double row = (double)bench->bytes / (double)shape->n;
	const double resident = spread_median(&bench->resident.milliseconds);
	const double streamed = spread_median(&bench->streamed.milliseconds);
	const double copying = (double)diagnosis->streamed_rows * row / bench->bandwidth * 1e3;
	const double bound = copying > resident ? copying : resident;
	const bool same = same_results(bench);
	printf("%s, %s memory, %.2f GB, %.2f GB streamed each iteration, budget %.2f GB\n", shape->name,
		   options->pageable ? "pageable" : "pinned", (double)bench->bytes * 1e-9,
		   (double)diagnosis->streamed_rows * row * 1e-9, (double)options->budget * 1e-9);
	printf("  to the device   %8.2f GB/s\n", bench->bandwidth * 1e-9);
	printf("  resident        %8.2f ms per iteration  %s\n", resident, bench->resident.diagnosis.kernel);
	printf("  copies          %8.2f ms\n", copying);
	printf("  streamed        %8.2f ms per iteration  %s, a fit of %d iterations %.2f s\n", streamed, diagnosis->kernel,
		   options->iterations, bench->streamed.whole);
	printf("  of the bound    %8.1f %%  %s\n", 100 * bound / streamed,
		   same ? "same labels and centroids" : "OTHER RESULTS");
	if (!options->json)
		return same;
	FILE *json = fopen(options->json, "w");
	if (!json) {
		perror(options->json);
		return false;
	}
	fprintf(json, "{");
	json_origin(json);
	fprintf(json, ", \"device\": ");
	json_string(json, bench->cuda.device.name);
	fprintf(json, ", ");
	json_shape(json, shape);
	fprintf(json,
			", \"memory\": \"%s\", \"budget_bytes\": %lld, \"streamed_rows\": %lld, \"bytes_per_second\": %.6g, "
			"\"copies_ms\": %.4f, \"share_of_bound\": %.4f, \"same_results\": %s, \"resident_ms\": ",
			options->pageable ? "pageable" : "pinned", (long long)options->budget, (long long)diagnosis->streamed_rows,
			bench->bandwidth, copying, bound / streamed, same ? "true" : "false");
	json_spread(json, &bench->resident.milliseconds, 1);
	fprintf(json, ", \"streamed_ms\": ");
	json_spread(json, &bench->streamed.milliseconds, 1);
	fprintf(json, ", \"resident_kernel\": ");
	json_string(json, bench->resident.diagnosis.kernel);
	fprintf(json, ", \"streamed_kernel\": ");
	json_string(json, diagnosis->kernel);
	fprintf(json, "}\n");
	return fclose(json) == 0 && same;
}

static bool run(struct bench *bench)
{
	const double begun = now();
	if (!cuda_device_open(bench->options->device, &bench->cuda) || !make_data(bench))
		return false;
	const double made = now();
	if (!bring_points(bench) || !open_fit(bench, false, &bench->resident) || !measure(bench, &bench->resident))
		return false;
	device_free(&bench->cuda.device, bench->there);
	bench->there = NULL;
	const double resident = now();
	if (!open_fit(bench, true, &bench->streamed) || !measure(bench, &bench->streamed))
		return false;
	printf("data %.1f s, resident %.1f s, streamed %.1f s\n", made - begun, resident - made, now() - resident);
	return report(bench);
}

/* ---- options ---- */

static bool take_number(const char *text, int64_t least, int64_t *number)
{
	static const char units[] = "KMG";
	char *end;
	const double value = strtod(text, &end);
	const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
	double scale = 1;
	for (const char *at = units; unit && at <= unit; at++)
		scale *= 1024;
	*number = (int64_t)(value * scale);
	return end != text && (*end == '\0' || (unit && end[1] == '\0')) && *number >= least && value < 1e15;
}

static bool take_shape(const char *text, struct shape *shape)
{
	const struct shape *named = find_shape(text);
	if (named)
		*shape = *named;
	return (named || parse_shape(text, shape)) && shape->b == 1;
}

static bool take_option(struct options *options, const char *name, const char *value)
{
	int64_t number = 0;
	bool good = true;
	if (strcmp(name, "--shape") == 0) {
		good = take_shape(value, &options->shape);
	} else if (strcmp(name, "--memory") == 0) {
		options->pageable = strcmp(value, "pageable") == 0;
		good = options->pageable || strcmp(value, "pinned") == 0;
	} else if (strcmp(name, "--json") == 0) {
		options->json = value;
	} else if (strcmp(name, "--budget") == 0) {
		good = take_number(value, 1, &options->budget);
	} else if (strcmp(name, "--distinct") == 0) {
		good = take_number(value, 1, &options->distinct);
	} else if (strcmp(name, "--chunk") == 0) {
		good = take_number(value, 0, &options->chunk);
	} else if (strcmp(name, "--device") == 0) {
		good = take_number(value, 0, &number) && number < 1024;
		options->device = (int)number;
	} else if (strcmp(name, "--iterations") == 0) {
		good = take_number(value, 1, &number) && number <= 10000;
		options->iterations = (int)number;
	} else if (strcmp(name, "--repeat") == 0) {
		good = take_number(value, 1, &number) && number <= MOST_REPEATS;
		options->repeats = (int)number;
	} else {
		good = false;
	}
	if (!good)
		fprintf(stderr, "fkm-bench-stream: %s %s\n", name, value);
	return good;
}

int main(int argc, char **argv)
{
	struct options options = {.iterations = 5, .repeats = 2, .budget = (int64_t)4 << 30, .distinct = 8 << 20};
	struct bench bench = {.options = &options};
	take_shape("1,67108864,1024,128,f16", &options.shape);
	bool good = argc % 2 == 1;
	for (int i = 1; i + 1 < argc && good; i += 2)
		good = take_option(&options, argv[i], argv[i + 1]);
	if (!good) {
		fprintf(stderr, "usage: fkm-bench-stream [--device D] [--shape 1,N,K,d,dtype] [--budget BYTES]\n"
						"                        [--memory pinned|pageable] [--distinct ROWS] [--chunk ROWS]\n"
						"                        [--iterations I] [--repeat R] [--json FILE]\n");
		return 2;
	}
	good = run(&bench);
	close_fit(&bench.resident);
	close_fit(&bench.streamed);
	if (bench.cuda.context)
		device_free(&bench.cuda.device, bench.there);
	if (bench.points && options.pageable)
		free(bench.points);
	else if (bench.points)
		bench.cuda.driver->host_free(bench.points);
	free(bench.start);
	cuda_device_close(&bench.cuda);
	return good ? 0 : 1;
}
