/* SPDX-License-Identifier: Apache-2.0 */
#include "measure_device.h"

#include <stdio.h>
#include <stdlib.h>

#include "data.h"
#include "threads.h"

enum {
	LEAST_ROUNDS = 5,
	MOST_OVERRUN = 4, /* times the seconds allowed, for LEAST_ROUNDS of a slow shape */
	ASSIGNS_PER_ROUND = 4,
};

/* One shape's arrays and the calls on them. */
struct bench {
	struct fkm_context *context;
	struct device *device;
	const struct shape *shape;
	struct copies copies;
	const struct pool *pool;
	void *starts; /* [copies, b, K, d] */
	int32_t *labels;
	float *centroids;
	void *workspace;
	int64_t workspace_bytes, update_bytes; /* that fits and updates need of it */
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	int64_t turn; /* counts calls */
};

static bool fkm_ok(const struct bench *bench, enum fkm_status status)
{
	if (status == FKM_OK)
		return true;
	fprintf(stderr, "fkm-bench: %s: %s\n", bench->shape->name, fkm_error_message());
	return false;
}

static struct fkm_array view(const struct shape *shape, const void *data, int64_t offset_bytes, enum fkm_dtype dtype,
							 int64_t rows)
{
	struct fkm_array array = fkm_array_2d(data, dtype, rows, shape->d);
	array.offset_bytes = offset_bytes;
	array.batch = shape->b;
	array.memory = FKM_MEMORY_DEVICE;
	return array;
}

static struct fkm_array points_of(const struct bench *bench, int64_t copy)
{
	const struct shape *shape = bench->shape;
	int64_t bytes = bench->copies.stride * dtype_bytes(shape->dtype);
	return view(shape, bench->pool->device, copy * bytes, shape->dtype, shape->n);
}

static struct fkm_array start_of(const struct bench *bench, int64_t copy)
{
	const struct shape *shape = bench->shape;
	int64_t bytes = shape->b * shape->k * shape->d * dtype_bytes(shape->dtype);
	return view(shape, bench->starts, copy * bytes, shape->dtype, shape->k);
}

/* ---- setting up ---- */

static bool upload_starts(struct bench *bench)
{
	const struct shape *shape = bench->shape;
	int64_t element = dtype_bytes(shape->dtype), bytes = shape->b * shape->k * shape->d * element;
	char *starts = malloc((size_t)(bench->copies.count * bytes));
	bool ok = starts != NULL;
	for (int64_t copy = 0; ok && copy < bench->copies.count; copy++)
		data_start(shape, (const char *)bench->pool->host + copy * bench->copies.stride * element,
				   starts + copy * bytes);
	bench->starts = ok ? device_alloc(bench->device, bench->copies.count * bytes) : NULL;
	ok = bench->starts && device_upload(bench->device, bench->starts, starts, bench->copies.count * bytes);
	free(starts);
	return ok;
}

/* Bytes of workspace of a fit of the first n rows, for whichever precision needs more; -1: it cannot be. */
static int64_t workspace_for(struct bench *bench, int64_t n)
{
	struct fkm_array points = points_of(bench, 0);
	int64_t most = -1;
	points.rows = n;
	for (int p = 0; p < PRECISIONS; p++) {
		int64_t bytes;
		bench->params.precision = p;
		if (!fkm_ok(bench, fkm_fit_workspace(bench->context, &points, &bench->params, &bench->result, &bytes)))
			return -1;
		most = bytes > most ? bytes : most;
	}
	return most;
}

static bool allocate_workspace(struct bench *bench)
{
	struct fkm_array points = points_of(bench, 0), start = start_of(bench, 0);
	bench->workspace_bytes = workspace_for(bench, bench->shape->n);
	if (bench->workspace_bytes < 0 ||
		!fkm_ok(bench, fkm_update_workspace(bench->context, &points, &start, &bench->params, &bench->result,
											&bench->update_bytes)))
		return false;
	bench->workspace = device_alloc(
		bench->device, bench->update_bytes > bench->workspace_bytes ? bench->update_bytes : bench->workspace_bytes);
	return bench->workspace != NULL;
}

/* From two sizes, so that what depends on K and d alone drops out. */
static double workspace_per_point(struct bench *bench)
{
	const struct shape *shape = bench->shape;
	int64_t fewer = shape->n / 2 > shape->k ? shape->n / 2 : shape->k;
	int64_t bytes = fewer < shape->n ? workspace_for(bench, fewer) : 0;
	if (bytes < 0)
		return 0;
	return (double)(bench->workspace_bytes - bytes) / ((double)shape->b * (double)(shape->n - (bytes ? fewer : 0)));
}

static bool set_up(struct bench *bench, const struct options *options)
{
	const struct shape *shape = bench->shape;
	fkm_fit_params_init(&bench->params);
	fkm_fit_result_init(&bench->result);
	bench->labels = device_alloc(bench->device, shape->b * shape->n * (int64_t)sizeof(int32_t));
	bench->centroids = device_alloc(bench->device, shape->b * shape->k * shape->d * (int64_t)sizeof(float));
	if (!bench->labels || !bench->centroids || !upload_starts(bench))
		return false;
	bench->params.clusters = shape->k;
	bench->params.init = FKM_INIT_CENTROIDS;
	bench->params.init_centroids = start_of(bench, 0);
	bench->params.stop = FKM_STOP_FIXED;
	bench->params.max_iter = options->iterations;
	bench->params.empty = options->empty;
	bench->result.memory = FKM_MEMORY_DEVICE;
	bench->result.labels = bench->labels;
	bench->result.centroids = bench->centroids;
	bench->result.centroids_dtype = FKM_F32;
	return allocate_workspace(bench);
}

static void tear_down(struct bench *bench)
{
	device_free(bench->device, bench->starts);
	device_free(bench->device, bench->labels);
	device_free(bench->device, bench->centroids);
	device_free(bench->device, bench->workspace);
}

/* ---- calls ---- */

/* The default call: checks the points, takes memory, waits, and fills every counter. */
static bool plain_fit(struct bench *bench, enum fkm_precision precision, double *milliseconds)
{
	int64_t copy = bench->turn++ % bench->copies.count;
	struct fkm_array points = points_of(bench, copy);
	bench->params.init_centroids = start_of(bench, copy);
	bench->params.precision = precision;
	bench->params.trust_finite = 0;
	bench->params.workspace = NULL;
	bench->params.workspace_bytes = 0;
	double start = now();
	enum fkm_status status = fkm_fit(bench->context, &points, &bench->params, &bench->result);
	*milliseconds = (now() - start) * 1e3;
	return fkm_ok(bench, status);
}

static void trust(struct bench *bench, enum fkm_precision precision)
{
	bench->params.precision = precision;
	bench->params.trust_finite = 1;
	bench->params.workspace = bench->workspace;
	bench->params.workspace_bytes = bench->workspace_bytes;
}

/* A fit that only enqueues. host may be NULL. */
static bool lean_fit(struct bench *bench, enum fkm_precision precision, int iterations, struct spread *device,
					 struct spread *host)
{
	int64_t copy = bench->turn++ % bench->copies.count;
	struct fkm_array points = points_of(bench, copy);
	int all = bench->params.max_iter;
	double milliseconds, begin = now();
	trust(bench, precision);
	bench->params.init_centroids = start_of(bench, copy);
	bench->params.max_iter = iterations;
	bool ok = device_start(bench->device) &&
			  fkm_ok(bench, fkm_fit(bench->context, &points, &bench->params, &bench->result)) &&
			  device_stop(bench->device, &milliseconds);
	bench->params.max_iter = all;
	if (!ok)
		return false;
	spread_add(device, milliseconds);
	if (host)
		spread_add(host, (now() - begin) * 1e3);
	return true;
}

static bool predict(struct bench *bench, enum fkm_precision precision, struct spread *device)
{
	int64_t copy = bench->turn++ % bench->copies.count;
	struct fkm_array points = points_of(bench, copy), start = start_of(bench, copy);
	double milliseconds;
	trust(bench, precision);
	if (!device_start(bench->device) ||
		!fkm_ok(bench, fkm_predict(bench->context, &points, &start, &bench->params, &bench->result)) ||
		!device_stop(bench->device, &milliseconds))
		return false;
	spread_add(device, milliseconds);
	return true;
}

/* New centroids from the labels that stand there, or FKM_ERROR_INVALID_ARGUMENT where one of them is impossible. */
static bool update(struct bench *bench, enum fkm_status expected, struct spread *device)
{
	int64_t copy = bench->turn++ % bench->copies.count;
	struct fkm_array points = points_of(bench, copy), start = start_of(bench, copy);
	double milliseconds;
	trust(bench, FKM_PRECISION_EXACT);
	bench->params.workspace_bytes = bench->update_bytes;
	if (!device_start(bench->device))
		return false;
	enum fkm_status status = fkm_update(bench->context, &points, bench->labels, &start, &bench->params, &bench->result);
	if (!device_stop(bench->device, &milliseconds) || (status != expected && !fkm_ok(bench, status)))
		return false;
	spread_add(device, milliseconds);
	return status == expected;
}

/* Of the same points, since both calls read them before the labels are looked at. The next call writes labels anew. */
static bool measure_update(struct bench *bench, struct device_measurement *m)
{
	const int32_t impossible = -1;
	const int64_t turn = bench->turn;
	if (!update(bench, FKM_OK, &m->update))
		return false;
	bench->turn = turn;
	return device_upload(bench->device, bench->labels, &impossible, sizeof impossible) &&
		   update(bench, FKM_ERROR_INVALID_ARGUMENT, &m->refused_update);
}

/* ---- measuring ---- */

/* The precisions take turns, so that a change of the device's clock meets both. */
static bool measure_round(struct bench *bench, bool stages, struct device_measurement *m)
{
	double milliseconds;
	for (int p = 0; p < PRECISIONS; p++)
		if (!lean_fit(bench, p, m->iterations, &m->fit[p], &m->host[p]))
			return false;
	for (int i = 0; i < ASSIGNS_PER_ROUND; i++)
		for (int p = 0; p < PRECISIONS; p++)
			if (!predict(bench, p, &m->assign[p]))
				return false;
	if (!plain_fit(bench, FKM_PRECISION_EXACT, &milliseconds))
		return false;
	spread_add(&m->plain, milliseconds);
	m->diagnosis = bench->result.diagnosis;
	return !stages || (lean_fit(bench, FKM_PRECISION_EXACT, 0, &m->no_iteration, NULL) &&
					   lean_fit(bench, FKM_PRECISION_EXACT, 1, &m->one_iteration, NULL) && measure_update(bench, m));
}

static bool warm_up(struct bench *bench, double *first_ms)
{
	struct spread unused = {0};
	double milliseconds;
	return plain_fit(bench, FKM_PRECISION_EXACT, first_ms) && plain_fit(bench, FKM_PRECISION_FAST, &milliseconds) &&
		   predict(bench, FKM_PRECISION_EXACT, &unused) && predict(bench, FKM_PRECISION_FAST, &unused);
}

static bool measure_rounds(struct bench *bench, const struct options *options, struct device_measurement *m)
{
	double begin = now(), spent = 0;
	for (int round = 0; round < MAX_SAMPLES / ASSIGNS_PER_ROUND; round++) {
		if (spent >= options->seconds && (round >= LEAST_ROUNDS || spent >= MOST_OVERRUN * options->seconds) &&
			round > 0)
			break;
		if (!measure_round(bench, options->stages, m))
			return false;
		spent = now() - begin;
	}
	return true;
}

/* ---- checking ---- */

/* The labels of one more fit, against the definition and against a prediction. */
static bool check(struct bench *bench, const struct options *options, struct device_measurement *m)
{
	const struct shape *shape = bench->shape;
	int64_t label_bytes = shape->b * shape->n * (int64_t)sizeof(int32_t);
	int64_t centroid_bytes = shape->b * shape->k * shape->d * (int64_t)sizeof(float);
	int32_t *labels = malloc((size_t)label_bytes), *predicted = malloc((size_t)label_bytes);
	float *centroids = malloc((size_t)centroid_bytes);
	struct fkm_array points = points_of(bench, 0), returned = view(shape, bench->centroids, 0, FKM_F32, shape->k);
	double milliseconds;
	bench->turn = 0;
	bool ok = labels && predicted && centroids && plain_fit(bench, FKM_PRECISION_EXACT, &milliseconds) &&
			  device_download(bench->device, labels, bench->labels, label_bytes) &&
			  device_download(bench->device, centroids, bench->centroids, centroid_bytes);
	if (ok) {
		trust(bench, FKM_PRECISION_EXACT);
		bench->result.centroids = NULL;
		ok = fkm_ok(bench, fkm_predict(bench->context, &points, &returned, &bench->params, &bench->result)) &&
			 device_download(bench->device, predicted, bench->labels, label_bytes);
		bench->result.centroids = bench->centroids;
	}
	for (int64_t i = 0; ok && i < shape->b * shape->n; i++)
		m->predicted_otherwise += labels[i] != predicted[i];
	ok = ok && check_labels(shape, bench->pool->host, centroids, labels, options->check_rows,
							options->threads ? options->threads : available_threads(), &m->check);
	free(labels);
	free(predicted);
	free(centroids);
	return ok;
}

bool measure_on_device(struct fkm_context *context, struct device *device, const struct pools *pools,
					   const struct shape *shape, const struct options *options, struct device_measurement *m)
{
	struct bench bench = {.context = context,
						  .device = device,
						  .shape = shape,
						  .copies = copies_of(shape),
						  .pool = pool_for(pools, shape->dtype)};
	*m = (struct device_measurement){.shape = *shape, .iterations = options->iterations, .copies = bench.copies.count};
	bool ok = set_up(&bench, options) && warm_up(&bench, &m->first_ms) && measure_rounds(&bench, options, m);
	if (ok)
		m->workspace_bytes_per_point = workspace_per_point(&bench);
	if (ok && options->check_rows > 0)
		ok = check(&bench, options, m);
	tear_down(&bench);
	if (ok)
		fprintf(stderr, "%s: fit %.4f, fast %.4f; assign %.4f, fast %.4f ms\n", shape->name,
				spread_median(&m->fit[FKM_PRECISION_EXACT]) / m->iterations,
				spread_median(&m->fit[FKM_PRECISION_FAST]) / m->iterations,
				spread_median(&m->assign[FKM_PRECISION_EXACT]), spread_median(&m->assign[FKM_PRECISION_FAST]));
	return ok;
}
