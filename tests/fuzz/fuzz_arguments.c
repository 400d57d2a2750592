/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer: bytes become the arguments of fkm_fit, fkm_predict, fkm_update and fkm_inertia on tiny arrays. Whatever
 * they are, a call gives a status with its message and stays within its arrays; where it succeeds, its labels are the
 * reference's.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../outputs.h"
#include "../reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
	const uint8_t *at, *end;
};

static uint8_t next(struct reader *reader)
{
	return reader->at < reader->end ? *reader->at++ : 0;
}

/* Mostly a value from low to high, at times any number at all. */
static int64_t number(struct reader *reader, int64_t low, int64_t high)
{
	static const int64_t odd[] = {0, -1, 1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, INT64_MAX / 8};
	uint8_t byte = next(reader);

	if (byte >= 250)
		return odd[next(reader) % 8];
	return low + byte % (high - low + 1);
}

static double real(struct reader *reader)
{
	static const double odd[] = {0, -0.0, 1, -1, INFINITY, NAN, 1e-4, 1e300, 0x1p-1074, 3e38, 1e-45};
	uint8_t byte = next(reader);

	return byte >= 220 ? odd[byte % 11] : (double)(int8_t)byte / 4;
}

enum { MOST = 8 * 8 * 4 }; /* elements that an array holds */

static void fill(struct reader *reader, void *memory, enum fkm_dtype dtype)
{
	for (int i = 0; i < MOST; i++) {
		double v = real(reader);
		if (dtype == FKM_F64)
			((double *)memory)[i] = v;
		else if (dtype == FKM_F32)
			((float *)memory)[i] = (float)v;
		else
			((uint16_t *)memory)[i] = (uint16_t)(next(reader) << 8 | next(reader));
	}
}

static struct fkm_array make_array(struct reader *reader, const void *memory, enum fkm_dtype dtype, int64_t batch,
								   int64_t rows, int64_t dims)
{
	struct fkm_array array = {memory, dtype, FKM_MEMORY_HOST, 0, batch, rows, dims, 0, 0};

	switch (next(reader) % 16) {
	case 0:
		array.data = NULL;
		break;
	case 1:
		array.dtype = (enum fkm_dtype)(int8_t)next(reader);
		break;
	case 2:
		array.rows = number(reader, 0, 9);
		break;
	case 3:
		array.dims = number(reader, 0, 5);
		break;
	case 4:
		array.row_stride = number(reader, 0, 5);
		break;
	case 5:
		array.batch_stride = number(reader, 0, 40);
		break;
	case 6:
		array.offset_bytes = number(reader, 0, 9);
		break;
	case 7:
		array.data = (const char *)memory + 1;
		break;
	case 8:
		array.batch = number(reader, 1, 3);
		break;
	default:
		break;
	}
	return array;
}

/* Whether what the array describes lies in its memory: what no library can check. */
static bool within(const struct fkm_array *array, size_t element)
{
	const int64_t limit = 1000;

	if (!array->data || array->batch <= 0 || array->rows <= 0 || array->dims <= 0 || array->row_stride < 0 ||
		array->batch_stride < 0 || array->offset_bytes < 0)
		return true; /* to be refused */
	if (array->batch > limit || array->rows > limit || array->dims > limit || array->row_stride > limit ||
		array->batch_stride > limit || array->offset_bytes > limit)
		return false;
	int64_t row_stride = array->row_stride ? array->row_stride : array->dims;
	int64_t batch_stride = array->batch_stride ? array->batch_stride : array->rows * row_stride;
	int64_t end = (array->batch - 1) * batch_stride + (array->rows - 1) * row_stride + array->dims;
	return (size_t)end * element + (size_t)array->offset_bytes + 1 <= MOST * element;
}

/* A size that outputs can be made for; others are to be refused. */
static int64_t size_of(int64_t size)
{
	return size < 1 || size > MOST ? 1 : size;
}

static size_t bytes_of(enum fkm_dtype dtype)
{
	return dtype == FKM_F64 ? 8 : dtype == FKM_F32 ? 4 : 2;
}

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "%s: %s\n", what, fkm_error_message());
	abort();
}

static void check_labels(const struct fkm_array *points, const struct fkm_fit_params *params,
						 const struct fkm_fit_result *result, int64_t clusters)
{
	struct fkm_array rows = *points;
	rows.row_stride = rows.row_stride ? rows.row_stride : rows.dims;
	rows.batch_stride = rows.batch_stride ? rows.batch_stride : rows.rows * rows.row_stride;
	for (int64_t p = 0; p < rows.batch; p++) {
		const struct ref_problem problem = {.n = rows.rows,
											.k = clusters,
											.d = rows.dims,
											.points = (const char *)rows.data + rows.offset_bytes +
													  (size_t)(p * rows.batch_stride) * bytes_of(rows.dtype),
											.dtype = rows.dtype,
											.row_stride = rows.row_stride,
											.metric = params->metric};
		struct ref_result expected;
		ref_predict(&problem, (const double *)result->centroids + p * clusters * rows.dims, &expected);
		require(memcmp(expected.labels, result->labels + p * rows.rows, (size_t)rows.rows * 4) == 0, "labels");
		ref_result_free(&expected);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fkm_context *context;
	struct reader reader = {data, data + size};
	struct fkm_fit_params params;

	if (!context) {
		struct fkm_context_params context_params;
		fkm_context_params_init(&context_params);
		context_params.backend = "cpu";
		context_params.threads = 1;
		require(fkm_context_create(&context_params, &context) == FKM_OK, "context");
	}
	enum fkm_dtype dtype = (enum fkm_dtype)(1 + next(&reader) % 3),
				   start_dtype = (enum fkm_dtype)(1 + next(&reader) % 4);
	enum fkm_dtype weights_dtype = next(&reader) % 2 ? FKM_F32 : FKM_F64;
	int64_t b = 1 + next(&reader) % 2, n = 1 + next(&reader) % 8, d = 1 + next(&reader) % 4;
	int64_t k = number(&reader, 1, n);
	int call = next(&reader) % 4;
	void *x = malloc(MOST * bytes_of(dtype)), *c = malloc(MOST * bytes_of(start_dtype));
	void *w = malloc(MOST * bytes_of(weights_dtype));
	int32_t *labels = malloc(MOST * sizeof(*labels));
	require(x && c && w && labels, "memory");
	struct fkm_array points = make_array(&reader, x, dtype, b, n, d);
	struct fkm_array centroids =
		make_array(&reader, c, start_dtype, next(&reader) % 2 ? 1 : b, k > 0 && k <= n ? k : 1, d);
	fkm_fit_params_init(&params);
	params.clusters = k;
	params.metric = (enum fkm_metric)number(&reader, 0, 1);
	params.init = (enum fkm_init)number(&reader, 0, 2);
	params.stop = (enum fkm_stop)number(&reader, 0, 2);
	params.empty = (enum fkm_empty)number(&reader, 0, 2);
	params.max_iter = (int32_t)number(&reader, 0, 5);
	params.max_iter = params.max_iter > 100 ? 100 : params.max_iter;
	params.tol = next(&reader) % 4 ? 1e-4 : real(&reader);
	params.n_init = (int32_t)number(&reader, 1, 3);
	params.n_init = params.n_init > 100 ? 100 : params.n_init;
	params.seed = next(&reader);
	params.chunk_rows = number(&reader, 0, 9);
	if (next(&reader) % 8 == 0)
		params.struct_size = (size_t)number(&reader, 0, 200) % sizeof(params);
	if (next(&reader) % 3 == 0)
		params.weights = make_array(&reader, w, weights_dtype, b, n, 1);
	if (params.init == FKM_INIT_CENTROIDS || next(&reader) % 16 == 0)
		params.init_centroids = centroids;
	fill(&reader, x, dtype);
	fill(&reader, c, start_dtype);
	fill(&reader, w, weights_dtype);
	for (int i = 0; i < MOST; i++)
		labels[i] = (int32_t)number(&reader, 0, k > 0 && k < 9 ? k - 1 : 0);

	if (within(&points, bytes_of(dtype)) && within(&centroids, bytes_of(start_dtype)) &&
		within(&params.weights, bytes_of(weights_dtype))) {
		struct outputs outputs;
		struct fkm_fit_result *result = &outputs.result;
		double inertia[1000];
		enum fkm_status status = FKM_OK;
		outputs_make(&outputs, size_of(points.batch), size_of(points.rows),
					 size_of(call == 0 ? params.clusters : centroids.rows), size_of(points.dims), FKM_F64);
		switch (call) {
		case 0:
			status = fkm_fit(context, &points, &params, result);
			break;
		case 1:
			status = fkm_predict(context, &points, &centroids, &params, result);
			break;
		case 2:
			status = fkm_update(context, &points, labels, &centroids, &params, result);
			break;
		default:
			status = fkm_inertia(context, &points, &centroids, labels, &params, inertia);
			break;
		}
		require(strncmp(fkm_status_name(status), "FKM_", 4) == 0, "name of the status");
		require(status == FKM_OK || fkm_error_message()[0] != 0, "message");
		require(status != FKM_ERROR_INTERNAL && status != FKM_ERROR_BACKEND, "status");
		require(outputs_overrun(&outputs) == NULL, "guards");
		if (status == FKM_OK && call == 0)
			check_labels(&points, &params, result, params.clusters);
		outputs_free(&outputs);
	}
	free(x);
	free(c);
	free(w);
	free(labels);
	return 0;
}
