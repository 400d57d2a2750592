/* SPDX-License-Identifier: Apache-2.0 */
/* What the public API promises beyond the bits of the results. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conformance_cases.h"
#include "outputs.h"

static struct fkm_context *context;

static struct fkm_context *open_cpu(int32_t threads)
{
	struct fkm_context_params params;
	struct fkm_context *opened;

	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.threads = threads;
	assert_int_equal(fkm_context_create(&params, &opened), FKM_OK);
	return opened;
}

static void expect_ok(enum fkm_status status)
{
	if (status != FKM_OK)
		fail_msg("%s: %s", fkm_status_name(status), fkm_error_message());
}

static const struct spec blobs = {
	.b = 1,
	.n = 300,
	.k = 12,
	.d = 5,
	.dtype = FKM_F32,
	.data = DATA_GAUSSIAN,
	.init = FKM_INIT_CENTROIDS,
	.start_dtype = FKM_F64,
	.max_iter = 300,
	.n_init = 1,
	.centroids_dtype = FKM_F64,
	.seed = 77,
};

/* A fit in progress. */
struct run {
	struct data data;
	struct outputs outputs;
	struct fkm_fit_params params;
};

static void run_make(struct run *run, const struct spec *spec)
{
	memset(run, 0, sizeof(*run));
	data_make(spec, &run->data);
	outputs_make(&run->outputs, spec->b, spec->n, spec->k, spec->d, spec->centroids_dtype);
	fkm_fit_params_init(&run->params);
	run->params.clusters = spec->k;
	run->params.init = spec->init;
	run->params.init_centroids = run->data.start;
	run->params.weights = run->data.weights;
	run->params.tol = 0;
}

static void run_free(struct run *run)
{
	assert_null(outputs_overrun(&run->outputs));
	assert_null(data_changed(&run->data));
	outputs_free(&run->outputs);
	data_free(&run->data);
}

static enum fkm_status run_fit(struct run *run)
{
	return fkm_fit(context, &run->data.points, &run->params, &run->outputs.result);
}

/* ---- defaults and names ---- */

static void test_names(void **state)
{
	char version[32];

	(void)state;
	snprintf(version, sizeof(version), "%d.%d.%d", FKM_VERSION_MAJOR, FKM_VERSION_MINOR, FKM_VERSION_PATCH);
	assert_string_equal(fkm_version(), version);
	assert_string_equal(fkm_status_name(FKM_OK), "FKM_OK");
	assert_string_equal(fkm_status_name(FKM_ERROR_EMPTY_CLUSTER), "FKM_ERROR_EMPTY_CLUSTER");
	assert_string_equal(fkm_status_name(FKM_CANCELLED), "FKM_CANCELLED");
	assert_string_equal(fkm_status_name(FKM_ERROR_INTERNAL), "FKM_ERROR_INTERNAL");
	assert_non_null(fkm_status_name((enum fkm_status)1234));
	assert_string_equal(fkm_context_backend(context), "cpu");
	assert_true(strlen(fkm_context_device(context)) > 0);
}

static void test_defaults(void **state)
{
	struct fkm_fit_params params;
	struct fkm_fit_result result;

	(void)state;
	memset(&params, 0xFF, sizeof(params));
	memset(&result, 0xFF, sizeof(result));
	fkm_fit_params_init(&params);
	fkm_fit_result_init(&result);
	assert_int_equal(params.struct_size, sizeof(params));
	assert_int_equal(params.max_iter, 300);
	assert_true(params.tol == 1e-4);
	assert_int_equal(params.n_init, 1);
	assert_int_equal(params.init, FKM_INIT_KMEANS_PLUS_PLUS);
	assert_int_equal(params.stop, FKM_STOP_RELATIVE);
	assert_int_equal(params.empty, FKM_EMPTY_RELOCATE);
	assert_null(params.kernel);
	assert_int_equal(result.struct_size, sizeof(result));
	assert_int_equal(result.centroids_dtype, FKM_F64);
	assert_null(result.labels);
}

static void test_device_list(void **state)
{
	struct fkm_device_info infos[64];
	int32_t count, again;
	bool cpu = false;

	(void)state;
	expect_ok(fkm_device_list(NULL, 0, &count));
	assert_in_range(count, 1, 64);
	memset(infos, 0xCB, sizeof(infos));
	expect_ok(fkm_device_list(infos, count, &again));
	assert_int_equal(again, count);
	assert_int_equal((unsigned char)infos[count].backend[0], 0xCB);
	for (int32_t i = 0; i < count; i++) {
		bool usable = infos[i].problem[0] == 0;
		assert_true(usable == (infos[i].device >= 0) || !usable);
		if (strcmp(infos[i].backend, "cpu") == 0 && usable) {
			cpu = true;
			assert_true(infos[i].units >= 1);
			assert_true(infos[i].memory_bytes > 0);
			assert_true(strlen(infos[i].name) > 0);
		}
	}
	assert_true(cpu);
	memset(infos, 0xCB, sizeof(infos));
	expect_ok(fkm_device_list(infos, count - 1, &again)); /* short of room: as many as fit, and how many there are */
	assert_int_equal(again, count);
	assert_int_equal((unsigned char)infos[count - 1].backend[0], 0xCB);
}

/* ---- outputs ---- */

static void test_outputs_are_optional(void **state)
{
	struct run run;
	struct fkm_fit_result all;

	(void)state;
	run_make(&run, &blobs);
	expect_ok(run_fit(&run));
	all = run.outputs.result;
	for (int wanted = -1; wanted < 5; wanted++) {
		struct run other;
		struct fkm_fit_result *result = &other.outputs.result;
		run_make(&other, &blobs);
		void *before = result->labels;
		fkm_fit_result_init(result);
		result->labels = wanted == 0 ? before : NULL;
		result->centroids = wanted == 1 ? other.outputs.blocks[1].data : NULL;
		result->counts = wanted == 2 ? other.outputs.blocks[2].data : NULL;
		result->distances = wanted == 3 ? other.outputs.blocks[5].data : NULL;
		result->inertia = wanted == 4 ? other.outputs.blocks[6].data : NULL;
		expect_ok(run_fit(&other));
		if (wanted == 0)
			assert_memory_equal(result->labels, all.labels, 4 * 300);
		if (wanted == 1)
			assert_memory_equal(result->centroids, all.centroids, 8 * 12 * 5);
		if (wanted == 2)
			assert_memory_equal(result->counts, all.counts, 8 * 12);
		if (wanted == 3)
			assert_memory_equal(result->distances, all.distances, 8 * 300);
		if (wanted == 4)
			assert_memory_equal(result->inertia, all.inertia, 8);
		run_free(&other);
	}
	run_free(&run);
}

static void test_diagnosis(void **state)
{
	struct run run;
	struct fkm_diagnosis *diagnosis = &run.outputs.result.diagnosis;

	(void)state;
	run_make(&run, &blobs);
	memset(diagnosis, 0xCB, sizeof(*diagnosis));
	expect_ok(run_fit(&run));
	assert_true(strlen(diagnosis->kernel) > 0 && strlen(diagnosis->kernel) < sizeof(diagnosis->kernel));
	assert_true(strlen(diagnosis->tile) > 0);
	assert_int_equal(diagnosis->relocations, 0);
	assert_int_equal(diagnosis->empty_clusters, 0);
	assert_true(diagnosis->workspace_bytes > 0);
	assert_int_equal(diagnosis->threads, 2);
	assert_true(diagnosis->seconds.total > 0);
	assert_true(diagnosis->rechecked >= 0);
	assert_int_equal(diagnosis->streamed_rows, 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(diagnosis->reserved[i], 0);
	run_free(&run);
}

/* Three points on a line with centroids on both sides of the middle one, then two equal centroids. */
static void test_ties(void **state)
{
	const float x[3] = {-1, 0, 1}, between[2] = {-1, 1}, equal[3] = {5, 0.5f, 0.5f};
	const struct fkm_array points = fkm_array_2d(x, FKM_F32, 3, 1);
	struct fkm_array centroids = fkm_array_2d(between, FKM_F32, 2, 1);
	int32_t labels[3];
	struct fkm_fit_result result;

	(void)state;
	fkm_fit_result_init(&result);
	result.labels = labels;
	expect_ok(fkm_predict(context, &points, &centroids, NULL, &result));
	assert_int_equal(labels[0], 0);
	assert_int_equal(labels[1], 0);
	assert_int_equal(labels[2], 1);
	assert_int_equal(result.diagnosis.exact_ties, 1);
	centroids = fkm_array_2d(equal, FKM_F32, 3, 1);
	expect_ok(fkm_predict(context, &points, &centroids, NULL, &result));
	assert_int_equal(labels[1], 1);
	assert_int_equal(result.diagnosis.exact_ties, 0); /* equal centroids are no tie of different ones */
}

static void test_more_clusters_than_points(void **state)
{
	const float x[2] = {3, 8}, c[4] = {0, 9, 3, 7};
	const struct fkm_array points = fkm_array_2d(x, FKM_F32, 2, 1), centroids = fkm_array_2d(c, FKM_F32, 4, 1);
	int32_t labels[2];
	int64_t counts[4];
	struct fkm_fit_result result;

	(void)state;
	fkm_fit_result_init(&result);
	result.labels = labels;
	result.counts = counts;
	expect_ok(fkm_predict(context, &points, &centroids, NULL, &result));
	assert_int_equal(labels[0], 2);
	assert_int_equal(labels[1], 1); /* 7 is as near, and later */
	assert_int_equal(counts[0] + counts[3], 0);
	assert_int_equal(result.diagnosis.empty_clusters, 2);
}

static void test_fast(void **state)
{
	struct run run;
	int32_t labels[300];

	(void)state;
	run_make(&run, &blobs);
	expect_ok(run_fit(&run));
	memcpy(labels, run.outputs.result.labels, sizeof(labels));
	run.params.precision = FKM_PRECISION_FAST;
	expect_ok(run_fit(&run));
	int same = 0;
	for (int i = 0; i < 300; i++)
		same += labels[i] == run.outputs.result.labels[i];
	assert_true(same >= 295);
	assert_int_equal(run.outputs.result.diagnosis.rechecked, 0);
	run_free(&run);
}

/* ---- stopping ---- */

struct watch {
	int32_t calls, runs, cancel_at;
	int64_t active; /* at the last call of this run */
};

static int watch_progress(void *user, const struct fkm_progress *progress)
{
	struct watch *watch = user;

	watch->calls++;
	if (progress->run + 1 > watch->runs)
		watch->runs = progress->run + 1;
	else
		assert_true(watch->active >= 1); /* a run whose problems have all stopped is over */
	watch->active = progress->active;
	assert_true(progress->seconds >= 0);
	assert_true(progress->shift >= 0);
	assert_int_equal(progress->reserved[0], 0);
	return watch->calls == watch->cancel_at;
}

/* Ends after two iterations with exactly what two iterations give, but for the reason. */
static void test_cancel(void **state)
{
	(void)state;
	for (int fixed = 0; fixed < 2; fixed++) {
		struct run whole, cancelled;
		struct watch watch = {.cancel_at = 2};
		run_make(&whole, &blobs);
		run_make(&cancelled, &blobs);
		whole.params.max_iter = 2;
		whole.params.stop = cancelled.params.stop = fixed ? FKM_STOP_FIXED : FKM_STOP_ABSOLUTE;
		expect_ok(run_fit(&whole));
		cancelled.params.progress = watch_progress;
		cancelled.params.progress_user = &watch;
		assert_int_equal(run_fit(&cancelled), FKM_CANCELLED);
		assert_int_equal(watch.calls, 2);
		assert_int_equal(*cancelled.outputs.result.reason, FKM_REASON_CANCELLED);
		for (int i = 0; i < OUTPUTS - 1; i++)
			assert_memory_equal(whole.outputs.blocks[i].data, cancelled.outputs.blocks[i].data,
								whole.outputs.blocks[i].bytes);
		struct fkm_array centroids = fkm_array_2d(cancelled.outputs.result.centroids, FKM_F64, blobs.k, blobs.d);
		outputs_poison(&whole.outputs);
		expect_ok(fkm_predict(context, &whole.data.points, &centroids, NULL, &whole.outputs.result));
		assert_memory_equal(whole.outputs.result.labels, cancelled.outputs.result.labels, 4 * 300);
		run_free(&whole);
		run_free(&cancelled);
	}
}

/* Calls in the middle of iterations: 100 and 200 of 300 rows, then all of them. Cancels at a row of an iteration. */
struct part_watch {
	int calls;
	int32_t cancel_iteration;
	int64_t cancel_rows;
};

static int watch_parts(void *user, const struct fkm_progress *progress)
{
	struct part_watch *watch = user;
	const int call = watch->calls++;
	assert_int_equal(progress->iteration, call / 3 + 1);
	assert_int_equal(progress->rows, 300);
	assert_int_equal(progress->rows_done, (call % 3 + 1) * 100);
	assert_int_equal(progress->active, progress->rows_done < 300 ? 1 : progress->active);
	return progress->iteration == watch->cancel_iteration && progress->rows_done == watch->cancel_rows;
}

static void test_cancel_within(void **state)
{
	(void)state;
	for (int at = 0; at < 3; at++) { /* in the first, in the third iteration; of a fixed number */
		struct run whole, cancelled;
		struct part_watch watch = {.cancel_iteration = at == 0 ? 1 : 3, .cancel_rows = at == 0 ? 100 : 200};
		run_make(&whole, &blobs);
		run_make(&cancelled, &blobs);
		whole.params.max_iter = watch.cancel_iteration - 1;
		whole.params.stop = cancelled.params.stop = at == 2 ? FKM_STOP_FIXED : FKM_STOP_ABSOLUTE;
		expect_ok(run_fit(&whole));
		cancelled.params.chunk_rows = 100;
		cancelled.params.progress = watch_parts;
		cancelled.params.progress_user = &watch;
		cancelled.params.progress_within = 1;
		assert_int_equal(run_fit(&cancelled), FKM_CANCELLED);
		assert_int_equal(watch.calls, at == 0 ? 1 : 8);
		assert_int_equal(*cancelled.outputs.result.reason, FKM_REASON_CANCELLED);
		for (int i = 0; i < OUTPUTS - 1; i++)
			assert_memory_equal(whole.outputs.blocks[i].data, cancelled.outputs.blocks[i].data,
								whole.outputs.blocks[i].bytes);
		run_free(&whole);
		run_free(&cancelled);
	}
}

static void test_cancel_batch_and_runs(void **state)
{
	struct spec spec = blobs;
	struct watch watch = {.cancel_at = 1};
	struct run run;

	(void)state;
	spec.b = 3;
	spec.init = FKM_INIT_RANDOM;
	run_make(&run, &spec);
	run.params.n_init = 4;
	run.params.progress = watch_progress;
	run.params.progress_user = &watch;
	assert_int_equal(run_fit(&run), FKM_CANCELLED);
	assert_int_equal(watch.calls, 1);
	for (int p = 0; p < 3; p++) {
		const struct fkm_fit_result *result = &run.outputs.result;
		assert_int_equal(result->n_iter[p], 1);
		assert_int_equal(result->reason[p], FKM_REASON_CANCELLED);
		struct fkm_array points = run.data.points, centroids;
		int32_t labels[300];
		struct fkm_fit_result predicted;
		points.data = (const float *)points.data + p * points.batch_stride;
		points.batch = 1;
		centroids = fkm_array_2d((double *)result->centroids + p * spec.k * spec.d, FKM_F64, spec.k, spec.d);
		fkm_fit_result_init(&predicted);
		predicted.labels = labels;
		expect_ok(fkm_predict(context, &points, &centroids, NULL, &predicted));
		assert_memory_equal(labels, result->labels + p * spec.n, sizeof(labels));
	}
	run_free(&run);
}

static void test_given_start_is_one_run(void **state)
{
	struct watch watch = {0};
	struct run run;

	(void)state;
	run_make(&run, &blobs);
	run.params.n_init = 5;
	run.params.progress = watch_progress;
	run.params.progress_user = &watch;
	expect_ok(run_fit(&run));
	assert_int_equal(watch.runs, 1);
	assert_int_equal(watch.calls, *run.outputs.result.n_iter);
	watch = (struct watch){0};
	run.params.init = FKM_INIT_RANDOM;
	run.params.init_centroids = (struct fkm_array){0};
	expect_ok(run_fit(&run));
	assert_int_equal(watch.runs, 5);
	run_free(&run);
}

static void test_empty_cluster_error(void **state)
{
	const float x[4] = {0, 1, 2, 3}, start[3] = {1, 50, 60};
	const struct fkm_array points = fkm_array_2d(x, FKM_F32, 4, 1);
	struct fkm_fit_params params;
	struct fkm_fit_result result;

	(void)state;
	fkm_fit_params_init(&params);
	fkm_fit_result_init(&result);
	params.clusters = 3;
	params.init = FKM_INIT_CENTROIDS;
	params.init_centroids = fkm_array_2d(start, FKM_F32, 3, 1);
	params.empty = FKM_EMPTY_ERROR;
	assert_int_equal(fkm_fit(context, &points, &params, &result), FKM_ERROR_EMPTY_CLUSTER);
	assert_non_null(strstr(fkm_error_message(), "cluster 1 "));
	params.empty = FKM_EMPTY_KEEP;
	expect_ok(fkm_fit(context, &points, &params, &result));
	assert_int_equal(result.diagnosis.empty_clusters, 2);
}

/* ---- plans and choices ---- */

static void test_plan_describe(void **state)
{
	struct run run;
	size_t needed, again;
	char small[10];

	(void)state;
	run_make(&run, &blobs);
	expect_ok(run_fit(&run));
	struct fkm_array points = run.data.points;
	points.data = NULL;
	expect_ok(fkm_plan_describe(context, &points, &run.params, NULL, 0, &needed));
	assert_true(needed > 50);
	struct guarded text = guarded_make(needed);
	expect_ok(fkm_plan_describe(context, &points, &run.params, text.data, needed, &again));
	assert_int_equal(again, needed);
	assert_int_equal(strlen(text.data), needed - 1);
	assert_true(guarded_intact(&text));
	assert_non_null(strstr(text.data, run.outputs.result.diagnosis.kernel));
	memset(small, 0xCB, sizeof(small));
	expect_ok(fkm_plan_describe(context, &points, &run.params, small, sizeof(small), NULL));
	assert_int_equal(strlen(small), sizeof(small) - 1);
	assert_memory_equal(small, text.data, sizeof(small) - 1);
	guarded_free(&text);
	run_free(&run);
}

static void test_environment(void **state)
{
	struct fkm_context_params params;
	struct fkm_context *opened;
	struct run run;

	(void)state;
	setenv("FKM_BACKEND", "no-such-backend", 1);
	assert_int_equal(fkm_context_create(NULL, &opened), FKM_ERROR_NO_DEVICE);
	assert_null(opened);
	assert_non_null(strstr(fkm_error_message(), "no-such-backend"));
	setenv("FKM_BACKEND", "cpu", 1);
	setenv("FKM_NUM_THREADS", "many", 1);
	assert_int_equal(fkm_context_create(NULL, &opened), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "FKM_NUM_THREADS"));
	setenv("FKM_NUM_THREADS", "3", 1);
	expect_ok(fkm_context_create(NULL, &opened));
	run_make(&run, &blobs);
	expect_ok(fkm_fit(opened, &run.data.points, &run.params, &run.outputs.result));
	assert_int_equal(run.outputs.result.diagnosis.threads, 3);
	fkm_context_destroy(opened);
	fkm_context_params_init(&params);
	params.threads = 1; /* the program's word stands above the environment's */
	expect_ok(fkm_context_create(&params, &opened));
	expect_ok(fkm_fit(opened, &run.data.points, &run.params, &run.outputs.result));
	assert_int_equal(run.outputs.result.diagnosis.threads, 1);
	fkm_context_destroy(opened);
	unsetenv("FKM_NUM_THREADS");
	unsetenv("FKM_BACKEND");
	setenv("FKM_KERNEL", "no-such-kernel", 1);
	assert_int_equal(run_fit(&run), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "no-such-kernel"));
	unsetenv("FKM_KERNEL");
	expect_ok(run_fit(&run));
	run_free(&run);
}

static void count_line(void *user, enum fkm_log_level level, const char *line)
{
	(void)level;
	assert_null(strchr(line, '\n'));
	++*(int *)user;
}

static void test_log(void **state)
{
	struct fkm_context_params params;
	struct fkm_context *opened;
	int lines = 0;

	(void)state;
	fkm_context_params_init(&params);
	params.log = count_line;
	params.log_user = &lines;
	params.log_level = FKM_LOG_ERROR;
	params.backend = "cpu";
	expect_ok(fkm_context_create(&params, &opened));
	assert_int_equal(lines, 0);
	fkm_context_destroy(opened);
}

static void test_memory_budget(void **state)
{
	struct fkm_context_params params;
	struct fkm_context *opened;
	struct run run;

	(void)state;
	run_make(&run, &blobs);
	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.memory_budget_bytes = 2000;
	expect_ok(fkm_context_create(&params, &opened));
	assert_int_equal(fkm_fit(opened, &run.data.points, &run.params, &run.outputs.result), FKM_ERROR_OUT_OF_MEMORY);
	assert_non_null(strstr(fkm_error_message(), "2000"));
	fkm_context_destroy(opened);
	run_free(&run);
}

/* ---- threads ---- */

static void *another_thread(void *argument)
{
	struct fkm_context *own;
	struct run run;
	char **message = argument;

	*message = strdup(fkm_error_message());
	own = open_cpu(2);
	run_make(&run, &blobs);
	for (int i = 0; i < 20; i++)
		expect_ok(fkm_fit(own, &run.data.points, &run.params, &run.outputs.result));
	fkm_context_destroy(own);
	int32_t *labels = malloc(4 * 300);
	memcpy(labels, run.outputs.result.labels, 4 * 300);
	run_free(&run);
	return labels;
}

/* Two contexts at once; the error message is each thread's own. */
static void test_two_threads(void **state)
{
	struct run run;
	pthread_t thread;
	char *message;
	void *labels;

	(void)state;
	run_make(&run, &blobs);
	run.params.clusters = 0;
	assert_int_equal(run_fit(&run), FKM_ERROR_INVALID_ARGUMENT);
	run.params.clusters = blobs.k;
	assert_int_equal(pthread_create(&thread, NULL, another_thread, &message), 0);
	for (int i = 0; i < 20; i++)
		expect_ok(run_fit(&run));
	assert_int_equal(pthread_join(thread, &labels), 0);
	assert_string_equal(message, "");
	assert_true(strlen(fkm_error_message()) > 0); /* of the last failed call, though others have passed since */
	assert_memory_equal(labels, run.outputs.result.labels, 4 * 300);
	free(labels);
	free(message);
	run_free(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_device_list),
		cmocka_unit_test(test_outputs_are_optional),
		cmocka_unit_test(test_diagnosis),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_more_clusters_than_points),
		cmocka_unit_test(test_fast),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_within),
		cmocka_unit_test(test_cancel_batch_and_runs),
		cmocka_unit_test(test_given_start_is_one_run),
		cmocka_unit_test(test_empty_cluster_error),
		cmocka_unit_test(test_plan_describe),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_memory_budget),
		cmocka_unit_test(test_two_threads),
	};

	context = open_cpu(2);
	int failed = cmocka_run_group_tests_name("api", tests, NULL, NULL);
	fkm_context_destroy(context);
	return failed;
}
