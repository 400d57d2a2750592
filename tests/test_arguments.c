/* SPDX-License-Identifier: Apache-2.0 */
/* Every invalid argument of every public function gives its status and a message that names the argument. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flashkmeans/flashkmeans.h"
#include "outputs.h"

enum { N = 20, K = 4, D = 3 };

/* Valid arguments, for tests to spoil. */
struct fixture {
	struct fkm_context *context;
	float x[N * D], weights[N], start[K * D];
	double start64[K * D];
	int32_t labels[N];
	struct fkm_array points, centroids;
	struct fkm_fit_params params;
	struct outputs outputs;
	struct fkm_fit_result *result;
	double inertia;
};

static struct fkm_context *context;
static struct fixture f;

static void spoil_nothing(void)
{
	f.context = context;
	for (int i = 0; i < N * D; i++)
		f.x[i] = (float)((i * 7) % 11) + (float)(i % N) / 4;
	for (int i = 0; i < N; i++) {
		f.weights[i] = 1 + (float)(i % 3);
		f.labels[i] = i % K;
	}
	for (int i = 0; i < K * D; i++) {
		f.start[i] = f.x[i * 2];
		f.start64[i] = f.x[i * 2];
	}
	f.points = fkm_array_2d(f.x, FKM_F32, N, D);
	f.centroids = fkm_array_2d(f.start, FKM_F32, K, D);
	fkm_fit_params_init(&f.params);
	f.params.clusters = K;
	f.params.init = FKM_INIT_CENTROIDS;
	f.params.init_centroids = f.centroids;
	f.params.weights = fkm_array_2d(f.weights, FKM_F32, N, 1);
	outputs_free(&f.outputs);
	outputs_make(&f.outputs, 1, N, K, D, FKM_F64);
	f.result = &f.outputs.result;
}

static int set_up(void **state)
{
	(void)state;
	spoil_nothing();
	return 0;
}

static enum fkm_status fit(void)
{
	return fkm_fit(f.context, &f.points, &f.params, f.result);
}

static enum fkm_status predict(void)
{
	return fkm_predict(f.context, &f.points, &f.centroids, &f.params, f.result);
}

static enum fkm_status update(void)
{
	return fkm_update(f.context, &f.points, f.labels, &f.centroids, &f.params, f.result);
}

static enum fkm_status inertia(void)
{
	return fkm_inertia(f.context, &f.points, &f.centroids, f.labels, &f.params, &f.inertia);
}

static enum fkm_status workspace(void)
{
	int64_t bytes;

	return fkm_fit_workspace(f.context, &f.points, &f.params, f.result, &bytes);
}

static enum fkm_status describe(void)
{
	char text[8];

	return fkm_plan_describe(f.context, &f.points, &f.params, text, sizeof(text), NULL);
}

/* The call fails as expected, and says each of the words (separated by '|'). */
static void check_refused(enum fkm_status got, enum fkm_status expected, const char *words, const char *where, int line)
{
	char buffer[128];
	char *rest = buffer;

	if (got != expected)
		fail_msg("line %d, %s: %s (%s), not %s", line, where, fkm_status_name(got), fkm_error_message(),
				 fkm_status_name(expected));
	snprintf(buffer, sizeof(buffer), "%s", words);
	for (char *word = strtok_r(buffer, "|", &rest); word; word = strtok_r(NULL, "|", &rest))
		if (!strstr(fkm_error_message(), word))
			fail_msg("line %d, %s: the message lacks \"%s\": %s", line, where, word, fkm_error_message());
	if (f.context && outputs_overrun(&f.outputs))
		fail_msg("line %d, %s: wrote outside of %s", line, where, outputs_overrun(&f.outputs));
}

#define REFUSED(status, words, call) check_refused(call, status, words, #call, __LINE__)
#define INVALID(words, call) REFUSED(FKM_ERROR_INVALID_ARGUMENT, words, call)

/* Spoils, expects the calls to be refused, and mends. */
#define SPOIL(spoiling, words, ...)                                                                                    \
	do {                                                                                                               \
		enum fkm_status (*const calls_[])(void) = {__VA_ARGS__};                                                       \
		for (size_t call_ = 0; call_ < sizeof(calls_) / sizeof(*calls_); call_++) {                                    \
			spoil_nothing();                                                                                           \
			spoiling;                                                                                                  \
			check_refused(calls_[call_](), FKM_ERROR_INVALID_ARGUMENT, words, #spoiling, __LINE__);                    \
		}                                                                                                              \
		spoil_nothing();                                                                                               \
	} while (0)

static void test_valid(void **state)
{
	(void)state;
	assert_int_equal(fit(), FKM_OK);
	assert_int_equal(predict(), FKM_OK);
	assert_int_equal(update(), FKM_OK);
	assert_int_equal(inertia(), FKM_OK);
	assert_int_equal(workspace(), FKM_OK);
	assert_int_equal(describe(), FKM_OK);
}

static void test_nulls(void **state)
{
	int64_t bytes;
	double total;

	(void)state;
	INVALID("context", fkm_fit(NULL, &f.points, &f.params, f.result));
	INVALID("points", fkm_fit(context, NULL, &f.params, f.result));
	INVALID("params", fkm_fit(context, &f.points, NULL, f.result));
	INVALID("result", fkm_fit(context, &f.points, &f.params, NULL));
	INVALID("context", fkm_fit_workspace(NULL, &f.points, &f.params, f.result, &bytes));
	INVALID("points", fkm_fit_workspace(context, NULL, &f.params, f.result, &bytes));
	INVALID("params", fkm_fit_workspace(context, &f.points, NULL, f.result, &bytes));
	INVALID("bytes", fkm_fit_workspace(context, &f.points, &f.params, f.result, NULL));
	INVALID("context", fkm_predict(NULL, &f.points, &f.centroids, NULL, f.result));
	INVALID("points", fkm_predict(context, NULL, &f.centroids, NULL, f.result));
	INVALID("centroids", fkm_predict(context, &f.points, NULL, NULL, f.result));
	INVALID("result", fkm_predict(context, &f.points, &f.centroids, NULL, NULL));
	INVALID("context", fkm_update(NULL, &f.points, f.labels, &f.centroids, NULL, f.result));
	INVALID("points", fkm_update(context, NULL, f.labels, &f.centroids, NULL, f.result));
	INVALID("labels", fkm_update(context, &f.points, NULL, &f.centroids, NULL, f.result));
	INVALID("previous", fkm_update(context, &f.points, f.labels, NULL, NULL, f.result));
	INVALID("result", fkm_update(context, &f.points, f.labels, &f.centroids, NULL, NULL));
	INVALID("context", fkm_inertia(NULL, &f.points, &f.centroids, f.labels, NULL, &total));
	INVALID("points", fkm_inertia(context, NULL, &f.centroids, f.labels, NULL, &total));
	INVALID("centroids", fkm_inertia(context, &f.points, NULL, f.labels, NULL, &total));
	INVALID("labels", fkm_inertia(context, &f.points, &f.centroids, NULL, NULL, &total));
	INVALID("inertia", fkm_inertia(context, &f.points, &f.centroids, f.labels, NULL, NULL));
	INVALID("context", fkm_plan_describe(NULL, &f.points, &f.params, NULL, 0, NULL));
	INVALID("points", fkm_plan_describe(context, NULL, &f.params, NULL, 0, NULL));
	INVALID("params", fkm_plan_describe(context, &f.points, NULL, NULL, 0, NULL));
	INVALID("text", fkm_plan_describe(context, &f.points, &f.params, NULL, 10, NULL));
	INVALID("context", fkm_context_create(NULL, NULL));
	INVALID("count", fkm_device_list(NULL, 0, NULL));
	fkm_context_destroy(NULL);
}

static void test_data_pointers(void **state)
{
	(void)state;
	SPOIL(f.points.data = NULL, "points.data", fit, predict, update, inertia);
	SPOIL(f.params.init_centroids.data = NULL, "init_centroids.data", fit);
	SPOIL(memset(&f.params.init_centroids, 0, sizeof f.params.init_centroids), "init_centroids.data", fit);
	SPOIL(f.centroids.data = NULL, "centroids.data", predict, inertia);
	SPOIL(f.centroids.data = NULL, "previous.data", update);
	SPOIL(f.points.data = (char *)f.x + 2, "points", fit, predict, update, inertia);
	SPOIL(f.params.weights.data = (char *)f.weights + 1, "weights", fit, predict, update, inertia);
	SPOIL(f.params.init_centroids.data = (char *)f.start + 1, "init_centroids", fit);
	SPOIL(f.result->labels = (int32_t *)((char *)f.result->labels + 2), "labels", fit, predict);
	SPOIL(f.result->centroids = (char *)f.result->centroids + 4, "centroids", fit, update);
	SPOIL(f.result->counts = (int64_t *)((char *)f.result->counts + 4), "counts", fit, predict, update);
	SPOIL(f.result->order = (int64_t *)((char *)f.result->order + 4), "order", fit, predict);
	SPOIL(f.result->offsets = (int64_t *)((char *)f.result->offsets + 4), "offsets", fit, predict);
	SPOIL(f.result->distances = (double *)((char *)f.result->distances + 4), "distances", fit, predict);
	SPOIL(f.result->inertia = (double *)((char *)f.result->inertia + 4), "inertia", fit, predict);
	SPOIL(f.result->n_iter = (int32_t *)((char *)f.result->n_iter + 1), "n_iter", fit);
	SPOIL(f.result->reason = (int32_t *)((char *)f.result->reason + 1), "reason", fit);
	SPOIL(f.points.offset_bytes = -4, "offset_bytes|-4", fit, predict, update, inertia);
	SPOIL(f.points.offset_bytes = 2, "offset_bytes|2", fit, predict, update, inertia);
	SPOIL(f.points.memory = (enum fkm_memory)9, "points.memory|9", fit, predict, update, inertia);
	SPOIL(f.result->memory = (enum fkm_memory)9, "memory|9", fit, predict, update);
}

static void test_shapes(void **state)
{
	(void)state;
	SPOIL(f.points.rows = 0, "points.rows|0", fit, predict, update, inertia, workspace, describe);
	SPOIL(f.points.rows = -5, "points.rows|-5", fit, predict, update, inertia, workspace, describe);
	SPOIL(f.points.dims = 0, "points.dims|0", fit, predict, update, inertia, workspace, describe);
	SPOIL(f.points.dims = -1, "points.dims|-1", fit, predict, update, inertia);
	SPOIL(f.points.batch = 0, "points.batch|0", fit, predict, update, inertia);
	SPOIL(f.points.batch = -1, "points.batch|-1", fit, predict, update, inertia);
	SPOIL(f.points.row_stride = D - 1, "points.row_stride|2", fit, predict, update, inertia);
	SPOIL(f.points.row_stride = -D, "points.row_stride|-3", fit, predict, update, inertia);
	SPOIL(f.points.batch = 2; f.points.rows = N / 2;
		  f.points.batch_stride = N / 2 * D - 1, "points.batch_stride", fit, predict, update, inertia);
	SPOIL(f.points.batch = 2; f.points.rows = N / 2; f.points.batch_stride = -1, "points.batch_stride|-1", fit);
	SPOIL(f.params.clusters = 0, "clusters|0", fit, workspace, describe);
	SPOIL(f.params.clusters = -2, "clusters|-2", fit, workspace, describe);
	SPOIL(f.params.clusters = N + 1, "clusters|21|20", fit, workspace, describe);
	SPOIL(f.params.init_centroids.rows = K - 1, "init_centroids.rows|3|4", fit);
	SPOIL(f.params.init_centroids.dims = D - 1, "init_centroids.dims|2|3", fit);
	SPOIL(f.params.init_centroids.batch = 3, "init_centroids.batch|3", fit);
	SPOIL(f.centroids.dims = D + 1, "centroids.dims|4|3", predict, inertia);
	SPOIL(f.centroids.dims = D + 1, "previous.dims|4|3", update);
	SPOIL(f.centroids.rows = 0, "centroids.rows|0", predict, inertia);
	SPOIL(f.centroids.batch = 2, "centroids.batch|2", predict, inertia);
	SPOIL(f.params.weights.rows = N - 1, "weights.rows|19|20", fit, predict, update, inertia);
	SPOIL(f.params.weights.dims = 2, "weights.dims|2", fit, predict, update, inertia);
	SPOIL(f.params.weights.batch = 2, "weights.batch|2", fit, predict, update, inertia);
	SPOIL(f.params.weights.row_stride = 2, "weights.row_stride|2", fit, predict, update, inertia);
}

static void test_overflow(void **state)
{
	static const int64_t big = INT64_MAX / 2;

	(void)state;
	f.points.rows = big;
	f.params.weights = (struct fkm_array){0};
	REFUSED(FKM_ERROR_OVERFLOW, "points", fit());
	REFUSED(FKM_ERROR_OVERFLOW, "points", predict());
	REFUSED(FKM_ERROR_OVERFLOW, "points", workspace());
	REFUSED(FKM_ERROR_OVERFLOW, "points", describe());
	spoil_nothing();
	f.points.dims = f.params.init_centroids.dims = big;
	REFUSED(FKM_ERROR_OVERFLOW, "points", fit());
	spoil_nothing();
	f.points.row_stride = big;
	REFUSED(FKM_ERROR_OVERFLOW, "points", fit());
	spoil_nothing();
	f.points.batch = f.points.batch_stride = big;
	REFUSED(FKM_ERROR_OVERFLOW, "points", fit());
	spoil_nothing();
	f.centroids.row_stride = big;
	REFUSED(FKM_ERROR_OVERFLOW, "centroids", predict());
	REFUSED(FKM_ERROR_OVERFLOW, "previous", update());
	spoil_nothing();
	f.params.init = FKM_INIT_RANDOM;
	f.params.init_centroids = f.params.weights = (struct fkm_array){0};
	f.points.rows = (int64_t)1 << 33;
	f.params.clusters = (int64_t)1 << 31;
	REFUSED(FKM_ERROR_OVERFLOW, "clusters", workspace());
	REFUSED(FKM_ERROR_OVERFLOW, "clusters", describe());
}

static void test_types(void **state)
{
	(void)state;
	SPOIL(f.points.dtype = FKM_F64, "points.dtype", fit, predict, update, inertia, workspace, describe);
	SPOIL(f.points.dtype = (enum fkm_dtype)0, "points.dtype|0", fit, predict, update, inertia);
	SPOIL(f.points.dtype = (enum fkm_dtype)77, "points.dtype|77", fit, predict, update, inertia);
	SPOIL(f.points.dtype = (enum fkm_dtype) - 1, "points.dtype|-1", fit);
	SPOIL(f.params.weights.dtype = FKM_F16, "weights.dtype", fit, predict, update, inertia);
	SPOIL(f.params.init_centroids.dtype = (enum fkm_dtype)5, "init_centroids.dtype|5", fit);
	SPOIL(f.result->centroids_dtype = FKM_F16, "centroids_dtype", fit, update);
	SPOIL(f.result->centroids_dtype = (enum fkm_dtype)0, "centroids_dtype|0", fit, update);
}

static void test_params(void **state)
{
	(void)state;
	SPOIL(f.params.metric = (enum fkm_metric)2, "metric|2", fit, predict, update, inertia, workspace, describe);
	SPOIL(f.params.metric = (enum fkm_metric) - 1, "metric|-1", fit);
	SPOIL(f.params.init = (enum fkm_init)3, "init|3", fit, workspace, describe);
	SPOIL(f.params.stop = (enum fkm_stop)3, "stop|3", fit);
	SPOIL(f.params.empty = (enum fkm_empty)3, "empty|3", fit, update);
	SPOIL(f.params.precision = (enum fkm_precision)2, "precision|2", fit, predict);
	SPOIL(f.params.trust_finite = 2, "trust_finite|2", fit);
	SPOIL(f.params.max_iter = -1, "max_iter|-1", fit);
	SPOIL(f.params.tol = NAN, "tol|nan", fit);
	SPOIL(f.params.tol = -1e-9, "tol|-1e-09", fit);
	SPOIL(f.params.tol = INFINITY, "tol|inf", fit);
	SPOIL(f.params.n_init = 0, "n_init|0", fit);
	SPOIL(f.params.n_init = -3, "n_init|-3", fit);
	SPOIL(f.params.chunk_rows = -1, "chunk_rows|-1", fit, predict, workspace, describe);
	SPOIL(f.params.kernel = "no-such-kernel", "no-such-kernel", fit, predict, workspace, describe);
	SPOIL(f.params.workspace = (void *)(uintptr_t)0x1010; f.params.workspace_bytes = 1 << 20, "workspace", fit);
	SPOIL(f.params.workspace_bytes = -1, "workspace_bytes|-1", fit);
}

static void test_struct_sizes(void **state)
{
	struct {
		struct fkm_fit_params params;
		char later[16];
	} grown;
	struct {
		struct fkm_fit_result result;
		char later[16];
	} grown_result;
	struct fkm_context_params params;
	struct fkm_context *other = context;

	(void)state;
	SPOIL(f.params.struct_size = 0, "struct_size|0", fit, predict, update, inertia, workspace, describe);
	SPOIL(f.params.struct_size = 8, "struct_size|8", fit);
	SPOIL(f.result->struct_size = 0, "struct_size|0", fit, predict, update, workspace);
	SPOIL(f.result->struct_size -= 1, "struct_size", fit);
	SPOIL(f.params.struct_size = SIZE_MAX, "struct_size", fit);

	memset(&grown, 0, sizeof(grown));
	grown.params = f.params;
	grown.params.struct_size = sizeof(grown);
	assert_int_equal(fkm_fit(context, &f.points, &grown.params, f.result), FKM_OK);
	grown.later[3] = 1; /* an option of a later version */
	REFUSED(FKM_ERROR_UNSUPPORTED, "fkm_fit_params", fkm_fit(context, &f.points, &grown.params, f.result));

	memset(&grown_result, 0, sizeof(grown_result));
	grown_result.result = *f.result;
	grown_result.result.struct_size = sizeof(grown_result);
	assert_int_equal(fkm_fit(context, &f.points, &f.params, &grown_result.result), FKM_OK);
	grown_result.later[0] = 1;
	REFUSED(FKM_ERROR_UNSUPPORTED, "fkm_fit_result", fkm_fit(context, &f.points, &f.params, &grown_result.result));

	fkm_context_params_init(&params);
	params.struct_size = 0;
	INVALID("struct_size", fkm_context_create(&params, &other));
	assert_null(other);
}

static void test_context_params(void **state)
{
	struct fkm_context_params params;
	struct fkm_context *other = context;
	int32_t count;

	(void)state;
	fkm_context_params_init(&params);
	params.backend = "no-such-backend";
	REFUSED(FKM_ERROR_NO_DEVICE, "no-such-backend|cpu", fkm_context_create(&params, &other));
	assert_null(other);
	params.backend = "cpu";
	params.device = 1000;
	REFUSED(FKM_ERROR_NO_DEVICE, "1000", fkm_context_create(&params, &other));
	params.device = -2;
	INVALID("device|-2", fkm_context_create(&params, &other));
	params.device = 0;
	params.threads = -1;
	INVALID("threads|-1", fkm_context_create(&params, &other));
	params.threads = 1;
	params.memory_budget_bytes = -1;
	INVALID("memory_budget_bytes|-1", fkm_context_create(&params, &other));
	params.memory_budget_bytes = 0;
	params.log_level = (enum fkm_log_level)7;
	INVALID("log_level|7", fkm_context_create(&params, &other));
	INVALID("capacity", fkm_device_list(NULL, 1, &count));
	INVALID("capacity|-1", fkm_device_list(NULL, -1, &count));
}

static void test_nonfinite(void **state)
{
	const float bad[] = {NAN, INFINITY, -INFINITY};
	enum fkm_status (*const calls[])(void) = {fit, predict, update, inertia};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (size_t call = 0; call < 4; call++) {
			spoil_nothing();
			f.x[17 * D + 2] = bad[i];
			f.x[18 * D + 1] = bad[i];
			REFUSED(FKM_ERROR_NONFINITE, "points|17|2", calls[call]());
			spoil_nothing();
			f.start[2 * D + 1] = bad[i];
			f.centroids = f.params.init_centroids;
			REFUSED(FKM_ERROR_NONFINITE, "2|1", calls[call]());
		}
	for (size_t call = 0; call < 4; call++) { /* |c| <= 2^200 */
		spoil_nothing();
		f.start64[D] = 0x1p201;
		f.centroids = f.params.init_centroids = fkm_array_2d(f.start64, FKM_F64, K, D);
		enum fkm_status status = calls[call]();
		assert_true(status == FKM_ERROR_NONFINITE || status == FKM_ERROR_OVERFLOW);
		assert_non_null(strstr(fkm_error_message(), "1"));
		f.start64[D] = 0x1p200;
		f.result->centroids_dtype = FKM_F64;
		assert_int_equal(calls[call](), FKM_OK);
	}
}

static void test_nonfinite_half(void **state)
{
	const uint16_t bad[][2] = {{0x7c00, FKM_F16}, {0xfe00, FKM_F16}, {0x7f80, FKM_BF16}, {0xffc0, FKM_BF16}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint16_t x[N * D] = {0};
		for (int j = 0; j < N * D; j++)
			x[j] = (uint16_t)(0x3c00 + j);
		x[N * D - 1] = bad[i][0];
		f.points = fkm_array_2d(x, (enum fkm_dtype)bad[i][1], N, D);
		REFUSED(FKM_ERROR_NONFINITE, "points|19|2", fit());
		f.params.trust_finite = 0;
		x[N * D - 1] = 0x3c00;
		assert_int_equal(fit(), FKM_OK);
	}
}

static void test_weights(void **state)
{
	const float bad[] = {-1, NAN, INFINITY};
	enum fkm_status (*const calls[])(void) = {fit, predict, update, inertia};
	double heavy[N];

	(void)state;
	for (size_t call = 0; call < 4; call++) {
		for (size_t i = 0; i < 3; i++) {
			spoil_nothing();
			f.weights[13] = bad[i];
			enum fkm_status status = calls[call]();
			if (bad[i] < 0)
				INVALID("weights|13", status);
			else if (status != FKM_ERROR_NONFINITE)
				INVALID("weights|13", status);
		}
		spoil_nothing();
		memset(f.weights, 0, sizeof(f.weights));
		INVALID("weights|zero", calls[call]());
		spoil_nothing();
		for (int i = 0; i < N; i++)
			heavy[i] = i ? 1 : 0x1p501;
		f.params.weights = fkm_array_2d(heavy, FKM_F64, N, 1);
		REFUSED(FKM_ERROR_OVERFLOW, "weights", calls[call]());
		for (int i = 0; i < N; i++)
			heavy[i] = 0x1p-501;
		REFUSED(FKM_ERROR_OVERFLOW, "weights", calls[call]());
	}
}

static void test_labels(void **state)
{
	(void)state;
	for (int32_t bad = -1; bad <= K; bad += K + 1) {
		spoil_nothing();
		f.labels[11] = bad;
		f.labels[15] = bad;
		INVALID("labels|11", update());
		INVALID("labels|11", inertia());
	}
	f.labels[11] = INT32_MIN;
	INVALID("labels|11", update());
	f.labels[11] = INT32_MAX;
	INVALID("labels|11", inertia());
}

static void test_overlap(void **state)
{
	(void)state;
	SPOIL(f.result->labels = (int32_t *)(void *)f.x, "labels|points", fit, predict);
	SPOIL(f.result->labels = (int32_t *)(void *)(f.x + N * D - 1), "labels|points", fit, predict);
	SPOIL(f.result->centroids_dtype = FKM_F32; f.result->centroids = f.start, "centroids", fit, update);
	SPOIL(f.result->n_iter = (int32_t *)(void *)f.weights, "n_iter|weights", fit);
	SPOIL(f.result->order = f.result->counts, "order|counts", fit, predict);
	SPOIL(f.result->distances = f.result->inertia, "distances|inertia", fit, predict);
}

/* What one call wrote serves the next with the same result struct: outputs that a call does not fill are ignored. */
static void test_reused_result(void **state)
{
	(void)state;
	f.params.weights.data = NULL;
	assert_int_equal(fit(), FKM_OK);
	f.centroids = fkm_array_2d(f.result->centroids, FKM_F64, K, D);
	f.result->reason = (int32_t *)(void *)f.x;
	assert_int_equal(predict(), FKM_OK);
	f.result->labels = f.labels;
	f.result->distances = (double *)(void *)f.start64;
	f.centroids = fkm_array_2d(f.start64, FKM_F64, K, D);
	assert_int_equal(update(), FKM_OK);
	for (int i = 0; i < K * D; i++)
		assert_true(f.start64[i] == f.x[i * 2]);
	spoil_nothing();
}

/* Only which outputs are wanted matters to the query. */
static void test_query_pointers(void **state)
{
	int64_t real = 0, made_up = 0;

	(void)state;
	assert_int_equal(fkm_fit_workspace(context, &f.points, &f.params, f.result, &real), FKM_OK);
	struct fkm_fit_result result;
	fkm_fit_result_init(&result);
	result.labels = result.n_iter = result.reason = (int32_t *)1;
	result.centroids = (void *)1;
	result.counts = result.order = result.offsets = (int64_t *)1;
	result.distances = result.inertia = (double *)1;
	f.points.data = NULL;
	assert_int_equal(fkm_fit_workspace(context, &f.points, &f.params, &result, &made_up), FKM_OK);
	assert_int_equal(made_up, real);
}

static void test_stride_of_one_problem(void **state)
{
	const int64_t strides[] = {1, -5, INT64_MAX, INT64_MIN};

	(void)state;
	for (size_t i = 0; i < sizeof(strides) / sizeof(*strides); i++) {
		f.points.batch_stride = f.params.init_centroids.batch_stride = f.params.weights.batch_stride = strides[i];
		assert_int_equal(fit(), FKM_OK);
	}
}

/* A centroid that an update keeps is rounded as those of a fit are. */
static void test_update_beyond_f32(void **state)
{
	float rounded[K * D];

	(void)state;
	memset(f.labels, 0, sizeof(f.labels));
	f.start64[D] = 1e60;
	f.start64[D + 1] = -1e60;
	f.centroids = fkm_array_2d(f.start64, FKM_F64, K, D);
	f.params.empty = FKM_EMPTY_KEEP;
	f.result->centroids = rounded;
	f.result->centroids_dtype = FKM_F32;
	assert_int_equal(update(), FKM_OK);
	assert_true(rounded[D] == FLT_MAX && rounded[D + 1] == -FLT_MAX);
	spoil_nothing();
}

/* With trust_finite the numbers mean nothing, but no memory is touched that is not the caller's. */
static void test_trusted_nan(void **state)
{
	enum { ROWS = 3000, DIMS = 3 };
	static float x[ROWS * DIMS];
	static int32_t labels[ROWS];
	struct fkm_array points = fkm_array_2d(x, FKM_F32, ROWS, DIMS);
	struct fkm_fit_result result;
	struct fkm_fit_params params;

	(void)state;
	fkm_fit_result_init(&result);
	result.labels = labels;
	fkm_fit_params_init(&params);
	params.trust_finite = 1;
	params.clusters = 20;
	params.max_iter = 0; /* seeding picks rows by their sums */
	params.tol = 0;
	for (int i = 0; i < ROWS * DIMS; i++)
		x[i] = (float)(i * 37 % 101);
	for (params.seed = 0; params.seed < 16; params.seed++) {
		x[DIMS * 100] = params.seed % 2 ? NAN : -NAN; /* one, so that no sum of the seeding overflows */
		assert_int_equal(fkm_fit(context, &points, &params, &result), FKM_OK);
		for (int i = 0; i < ROWS; i++)
			assert_true(labels[i] >= 0 && labels[i] < params.clusters);
	}
}

static void test_workspace(void **state)
{
	int64_t bytes = 0;

	(void)state;
	assert_int_equal(fkm_fit_workspace(context, &f.points, &f.params, f.result, &bytes), FKM_OK);
	assert_true(bytes > 0);
	struct guarded memory = guarded_make((size_t)bytes);
	f.params.workspace = memory.data;
	f.params.workspace_bytes = bytes;
	assert_int_equal(fit(), FKM_OK);
	enum fkm_status status = FKM_OK;
	for (int64_t less = bytes; status == FKM_OK; less = less * 7 / 8) { /* fits in smaller chunks, until it does not */
		struct guarded small = guarded_make((size_t)less);
		f.params.workspace = small.data;
		f.params.workspace_bytes = less;
		status = fit();
		assert_true(guarded_intact(&small));
		guarded_free(&small);
	}
	REFUSED(FKM_ERROR_OUT_OF_MEMORY, "", status);
	f.params.workspace_bytes = 0;
	f.params.workspace = memory.data;
	assert_int_not_equal(fit(), FKM_OK);
	f.params.workspace_bytes = bytes - 8;
	f.params.workspace = (char *)memory.data + 8;
	INVALID("workspace", fit());
	assert_true(guarded_intact(&memory));
	guarded_free(&memory);
	f.params.workspace = f.x;
	while ((uintptr_t)f.params.workspace % 256)
		f.params.workspace = (char *)f.params.workspace - 1;
	f.params.workspace_bytes = 1 << 20;
	INVALID("workspace|overlap", fit());
}

/* What a query says is what the call takes: it runs in exactly that, and in memory of its own reports the same. */
static void test_queries_of_pieces(void **state)
{
	int64_t predicting = 0, updating = 0;

	(void)state;
	assert_int_equal(fkm_predict_workspace(context, &f.points, &f.centroids, &f.params, f.result, &predicting), FKM_OK);
	assert_int_equal(fkm_update_workspace(context, &f.points, &f.centroids, &f.params, f.result, &updating), FKM_OK);
	assert_int_equal(predict(), FKM_OK);
	assert_int_equal(f.result->diagnosis.workspace_bytes, predicting);
	assert_int_equal(update(), FKM_OK);
	assert_int_equal(f.result->diagnosis.workspace_bytes, updating);
	struct guarded memory = guarded_make((size_t)predicting);
	f.params.workspace = memory.data;
	f.params.workspace_bytes = predicting;
	assert_int_equal(predict(), FKM_OK);
	assert_true(guarded_intact(&memory));
	guarded_free(&memory);
	INVALID("bytes", fkm_predict_workspace(context, &f.points, &f.centroids, &f.params, f.result, NULL));
	INVALID("centroids", fkm_predict_workspace(context, &f.points, NULL, &f.params, f.result, &predicting));
}

/* A program compiled when a struct was shorter, or longer, than the library's. */
static void test_sizes_of_defaults(void **state)
{
	union {
		struct fkm_fit_params params;
		unsigned char bytes[2 * sizeof(struct fkm_fit_params)];
	} buffer;
	const size_t shorter = offsetof(struct fkm_fit_params, seed), longer = sizeof(struct fkm_fit_params) + 24;

	(void)state;
	memset(&buffer, 0xA5, sizeof buffer);
	fkm_fit_params_init_size(&buffer.params, shorter);
	assert_int_equal(buffer.params.struct_size, shorter);
	assert_int_equal(buffer.params.max_iter, 300);
	for (size_t i = shorter; i < sizeof buffer; i++)
		assert_int_equal(buffer.bytes[i], 0xA5);
	fkm_fit_params_init_size(&buffer.params, longer);
	assert_int_equal(buffer.params.struct_size, longer);
	for (size_t i = sizeof(struct fkm_fit_params); i < longer; i++)
		assert_int_equal(buffer.bytes[i], 0);
	assert_int_equal(buffer.bytes[longer], 0xA5);
	buffer.params.clusters = f.params.clusters;
	assert_int_equal(fkm_fit(context, &f.points, &buffer.params, f.result), FKM_OK);
}

/* Programs compiled against the first header, and the one before this: what their structs lack is not looked at, and has
 * its default. */
static void test_first_structs(void **state)
{
	const size_t before = offsetof(struct fkm_context_params, devices_seconds);
	const size_t communicator_before = offsetof(struct fkm_communicator, seconds);
	struct fkm_communicator communicator;
	struct fkm_context_params params;
	struct fkm_context *other = NULL;
	struct fkm_local_ranks *ranks;

	(void)state;
	assert_int_equal(fkm_local_ranks_create(2, 3, &ranks), FKM_OK);
	communicator.seconds = -1;
	assert_int_equal(fkm_local_ranks_get_size(ranks, 1, &communicator, communicator_before), FKM_OK);
	assert_int_equal(communicator.struct_size, communicator_before);
	assert_int_equal(communicator.rank, 1);
	assert_true(communicator.seconds == -1); /* behind its end */
	fkm_context_params_init_size(&params, before);
	params.backend = "cpu";
	params.communicator = &communicator;
	params.devices_seconds = -1;
	assert_int_equal(fkm_context_create(&params, &other), FKM_OK);
	fkm_context_destroy(other);
	params.struct_size = sizeof(params);
	INVALID("devices_seconds|-1", fkm_context_create(&params, &other));
	params.struct_size = before;
	communicator.struct_size = sizeof(communicator);
	INVALID("communicator.seconds|-1", fkm_context_create(&params, &other));

	params.struct_size = offsetof(struct fkm_context_params, communicator);
	assert_int_equal(fkm_context_create(&params, &other), FKM_OK);
	f.params.checkpoint_interval = -1;
	f.params.struct_size = offsetof(struct fkm_fit_params, progress_within);
	assert_int_equal(fkm_fit(other, &f.points, &f.params, f.result), FKM_OK);
	fkm_context_destroy(other);

	/* No version had these sizes. */
	params.struct_size = offsetof(struct fkm_context_params, communicator) - sizeof(void *);
	INVALID("struct_size", fkm_context_create(&params, &other));
	params.struct_size = before + 1;
	INVALID("struct_size", fkm_context_create(&params, &other));
	f.params.struct_size = offsetof(struct fkm_fit_params, progress_user);
	INVALID("struct_size", fkm_fit(context, &f.points, &f.params, f.result));
	INVALID("struct_size", fkm_local_ranks_get_size(ranks, 1, &communicator, 4));
	assert_int_equal(fkm_local_ranks_get(ranks, 1, &communicator), FKM_OK);
	assert_true(communicator.seconds == 1.5);
	fkm_local_ranks_destroy(ranks);
}

/* A DLTensor, by its layout in dlpack.h. */
struct tensor {
	void *data;
	struct {
		int32_t type, id;
	} device;
	int32_t ndim;
	struct {
		uint8_t code, bits;
		uint16_t lanes;
	} dtype;
	int64_t *shape, *strides;
	uint64_t byte_offset;
};

static void test_dlpack(void **state)
{
	int64_t shape[] = {2, N / 2, D}, strides[] = {N / 2 * D, D, 1};
	struct tensor tensor = {f.x, {1, 0}, 3, {2, 32, 1}, shape, strides, 0}, good = tensor;
	struct fkm_array array;

	(void)state;
	assert_int_equal(fkm_array_from_dlpack(&tensor, &array), FKM_OK);
	assert_ptr_equal(array.data, f.x);
	assert_int_equal(array.batch, 2);
	assert_int_equal(array.rows, N / 2);
	assert_int_equal(array.dims, D);
	assert_int_equal(array.dtype, FKM_F32);
	INVALID("tensor", fkm_array_from_dlpack(NULL, &array));
	INVALID("array", fkm_array_from_dlpack(&tensor, NULL));
	tensor.ndim = 4;
	INVALID("4", fkm_array_from_dlpack(&tensor, &array));
	tensor = good;
	tensor.dtype.code = 0;
	assert_int_not_equal(fkm_array_from_dlpack(&tensor, &array), FKM_OK);
	tensor = good;
	tensor.dtype.lanes = 2;
	assert_int_not_equal(fkm_array_from_dlpack(&tensor, &array), FKM_OK);
	tensor = good;
	tensor.device.type = 99;
	assert_int_not_equal(fkm_array_from_dlpack(&tensor, &array), FKM_OK);
	tensor = good;
	strides[2] = 2;
	INVALID("stride", fkm_array_from_dlpack(&tensor, &array));
}

/* A refused call leaves the context as it was. */
static void test_context_survives(void **state)
{
	int32_t labels[N];

	(void)state;
	assert_int_equal(fit(), FKM_OK);
	memcpy(labels, f.result->labels, sizeof(labels));
	f.x[5] = NAN;
	REFUSED(FKM_ERROR_NONFINITE, "points", fit());
	spoil_nothing();
	assert_int_equal(fit(), FKM_OK);
	assert_memory_equal(labels, f.result->labels, sizeof(labels));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_valid, set_up),
		cmocka_unit_test_setup(test_nulls, set_up),
		cmocka_unit_test_setup(test_data_pointers, set_up),
		cmocka_unit_test_setup(test_shapes, set_up),
		cmocka_unit_test_setup(test_overflow, set_up),
		cmocka_unit_test_setup(test_types, set_up),
		cmocka_unit_test_setup(test_params, set_up),
		cmocka_unit_test_setup(test_struct_sizes, set_up),
		cmocka_unit_test_setup(test_context_params, set_up),
		cmocka_unit_test_setup(test_nonfinite, set_up),
		cmocka_unit_test_setup(test_nonfinite_half, set_up),
		cmocka_unit_test_setup(test_weights, set_up),
		cmocka_unit_test_setup(test_labels, set_up),
		cmocka_unit_test_setup(test_overlap, set_up),
		cmocka_unit_test_setup(test_reused_result, set_up),
		cmocka_unit_test_setup(test_query_pointers, set_up),
		cmocka_unit_test_setup(test_stride_of_one_problem, set_up),
		cmocka_unit_test_setup(test_update_beyond_f32, set_up),
		cmocka_unit_test_setup(test_trusted_nan, set_up),
		cmocka_unit_test_setup(test_workspace, set_up),
		cmocka_unit_test_setup(test_queries_of_pieces, set_up),
		cmocka_unit_test_setup(test_sizes_of_defaults, set_up),
		cmocka_unit_test_setup(test_first_structs, set_up),
		cmocka_unit_test_setup(test_dlpack, set_up),
		cmocka_unit_test_setup(test_context_survives, set_up),
	};
	struct fkm_context_params params;

	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.threads = 2;
	if (fkm_context_create(&params, &context) != FKM_OK)
		return 1;
	int failed = cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
	outputs_free(&f.outputs);
	fkm_context_destroy(context);
	return failed;
}
