/* SPDX-License-Identifier: Apache-2.0 */
/* What ranks may not do, and what they then all return; contexts of several devices. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rank_calls.h"

enum { RANKS = 2, N = 6, D = 2, K = 2 };

/* A rank and its call; tests change what they like of it. */
struct rank {
	struct fkm_context *context;
	float points[N][D], weights[N];
	double centroids[K][D];
	int32_t labels[N];
	double inertia;
	struct fkm_fit_result result;
	struct call_arguments arguments;
	enum fkm_status status;
	char message[1100];
};

static struct fkm_local_ranks *group;
static struct rank team[RANKS];

static void expect_ok(enum fkm_status status)
{
	if (status != FKM_OK)
		fail_msg("%s: %s", fkm_status_name(status), fkm_error_message());
}

static int open_team(void **state)
{
	(void)state;
	expect_ok(fkm_local_ranks_create(RANKS, 20, &group));
	for (int r = 0; r < RANKS; r++) {
		struct fkm_communicator communicator;
		struct fkm_context_params params;
		expect_ok(fkm_local_ranks_get(group, r, &communicator));
		fkm_context_params_init(&params);
		params.backend = "cpu";
		params.threads = 1;
		params.communicator = &communicator;
		expect_ok(fkm_context_create(&params, &team[r].context));
	}
	return 0;
}

static int close_team(void **state)
{
	(void)state;
	for (int r = 0; r < RANKS; r++)
		fkm_context_destroy(team[r].context);
	fkm_local_ranks_destroy(group);
	return 0;
}

/* The same fit on all ranks, which works. */
static void reset(void)
{
	for (int r = 0; r < RANKS; r++) {
		struct rank *rank = &team[r];
		for (int i = 0; i < N; i++)
			for (int j = 0; j < D; j++)
				rank->points[i][j] = (float)((r * N + i) * (j + 1) % 7);
		for (int i = 0; i < N; i++)
			rank->weights[i] = 1;
		for (int k = 0; k < K; k++)
			rank->centroids[k][0] = rank->centroids[k][1] = k * 5;
		memset(rank->labels, 0, sizeof(rank->labels));
		fkm_fit_result_init(&rank->result);
		rank->result.labels = rank->labels;
		rank->arguments = (struct call_arguments){
			.call = CALL_FIT,
			.points = fkm_array_2d(rank->points, FKM_F32, N, D),
			.centroids = fkm_array_2d(rank->centroids, FKM_F64, K, D),
			.labels = rank->labels,
			.result = &rank->result,
			.inertia = &rank->inertia,
		};
		fkm_fit_params_init(&rank->arguments.params);
		rank->arguments.params.clusters = K;
	}
}

static void *run(void *argument)
{
	struct rank *rank = argument;
	rank->status = call_alone(rank->context, &rank->arguments);
	snprintf(rank->message, sizeof(rank->message), "%s", fkm_error_message());
	return NULL;
}

/* All ranks return that; then all work again. */
static void expect_all(enum fkm_status status, const char *part)
{
	pthread_t thread;
	for (int again = 0; again < 2; again++) {
		assert_int_equal(pthread_create(&thread, NULL, run, &team[1]), 0);
		run(&team[0]);
		pthread_join(thread, NULL);
		for (int r = 0; r < RANKS; r++) {
			if (team[r].status != (again ? FKM_OK : status))
				fail_msg("rank %d, %s: %s: %s", r, part, fkm_status_name(team[r].status), team[r].message);
			if (!again && status != FKM_CANCELLED && !strstr(team[r].message, part))
				fail_msg("rank %d: the message lacks \"%s\": %s", r, part, team[r].message);
		}
		reset();
	}
}

static void test_agreement(void **state)
{
	struct fkm_fit_params *params = &team[1].arguments.params;
	double centroids[K][D];
	(void)state;
	reset();
	params->clusters = 3;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "the number of clusters differs between the ranks: 2 and 3");
	params->seed = (uint64_t)1 << 40;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "seed differs");
	params->tol = 0.5;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "tol differs between the ranks: 0.0001 and 0.5");
	params->metric = FKM_METRIC_COSINE;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "metric differs");
	params->max_iter = 7;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "max_iter differs between the ranks: 7 and 300");
	params->n_init = 2;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "n_init differs");
	team[1].arguments.points.dims = 1;
	team[1].arguments.points.row_stride = D;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "points.dims differs between the ranks: 1 and 2");
	team[1].arguments.call = CALL_PREDICT;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "the function called differs");
	params->weights = fkm_array_2d(team[1].weights, FKM_F32, N, 1);
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "weights are given on some ranks only");
	for (int r = 0; r < RANKS; r++) {
		team[r].result.centroids = centroids;
		team[r].result.centroids_dtype = r == 0 ? FKM_F32 : FKM_F64;
	}
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "result.centroids_dtype differs");
}

static void test_one_ranks_error(void **state)
{
	(void)state;
	reset();
	team[1].arguments.params.clusters = 0;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "rank 1 of 2: clusters is 0");
	team[1].points[2][1] = NAN;
	expect_all(FKM_ERROR_NONFINITE, "points[8][1] (row 8, column 1) is NaN"); /* counted from the first rank's first */
	for (int r = 0; r < RANKS; r++)
		team[r].arguments.params.weights = fkm_array_2d(team[r].weights, FKM_F32, N, 1);
	team[1].weights[3] = -1;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "weights[9] is negative");
	for (int r = 0; r < RANKS; r++)
		team[r].arguments.call = CALL_INERTIA;
	team[1].labels[4] = K;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "labels[10] is outside 0 to 1");
	for (int r = 0; r < RANKS; r++)
		team[r].arguments.call = CALL_INERTIA;
	team[0].arguments.inertia = NULL;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "rank 0 of 2: inertia is NULL");
}

/* Limits that speak of the number of points mean all of them. */
static void test_rows(void **state)
{
	(void)state;
	reset();
	for (int r = 0; r < RANKS; r++)
		team[r].arguments.params.clusters = 2 * N + 1;
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "clusters is 13, more than the 12 points");
	for (int r = 0; r < RANKS; r++)
		team[r].arguments.params.clusters = 2 * N - 1;
	expect_all(FKM_OK, "");
	for (int r = 0; r < RANKS; r++) {
		team[r].arguments.points.rows = 0;
		team[r].arguments.points.data = NULL;
	}
	expect_all(FKM_ERROR_INVALID_ARGUMENT, "no rank has points");
	team[0].arguments.points.rows = 0;
	team[0].arguments.points.data = NULL;
	expect_all(FKM_OK, "");
}

static int cancel(void *user, const struct fkm_progress *progress)
{
	*(int64_t *)user = progress->changed;
	return 1;
}

static void test_cancelling(void **state)
{
	int64_t changed = 0;
	(void)state;
	reset();
	team[1].arguments.params.progress = cancel;
	team[1].arguments.params.progress_user = &changed;
	expect_all(FKM_CANCELLED, "cancelling");
	assert_int_equal(changed, 2 * N); /* of all ranks */
}

static void test_devices(void **state)
{
	static const int32_t two[] = {0, 0}, negative[] = {0, -1}, missing[] = {0, 1};
	struct fkm_context_params params;
	struct fkm_context *context;
	int64_t bytes;
	(void)state;

	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.devices = two;
	assert_int_equal(fkm_context_create(&params, &context), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "device_count is 0"));
	params.device_count = 2;
	params.devices = negative;
	assert_int_equal(fkm_context_create(&params, &context), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "devices[1] is -1"));
	params.devices = missing;
	assert_int_equal(fkm_context_create(&params, &context), FKM_ERROR_NO_DEVICE);
	assert_null(context);
	params.devices = two;
	params.device = 0;
	assert_int_equal(fkm_context_create(&params, &context), FKM_ERROR_INVALID_ARGUMENT);
	params.device = -1;
	expect_ok(fkm_context_create(&params, &context));
	assert_string_equal(fkm_context_backend(context), "cpu");

	reset();
	struct rank *rank = &team[0];
	const struct call_arguments usual = rank->arguments;
	expect_ok(call_alone(context, &rank->arguments));
	rank->arguments.points.memory = FKM_MEMORY_DEVICE;
	assert_int_equal(call_alone(context, &rank->arguments), FKM_ERROR_INVALID_ARGUMENT);
	assert_non_null(strstr(fkm_error_message(), "points.memory is FKM_MEMORY_DEVICE"));
	rank->arguments = usual;
	rank->points[5][0] = INFINITY;
	assert_int_equal(call_alone(context, &rank->arguments), FKM_ERROR_NONFINITE);
	assert_non_null(strstr(fkm_error_message(), "points[5][0]"));
	assert_int_equal(
		fkm_fit_workspace(context, &rank->arguments.points, &rank->arguments.params, &rank->result, &bytes),
		FKM_ERROR_UNSUPPORTED);
	fkm_context_destroy(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agreement),  cmocka_unit_test(test_one_ranks_error), cmocka_unit_test(test_rows),
		cmocka_unit_test(test_cancelling), cmocka_unit_test(test_devices),
	};
	return cmocka_run_group_tests_name("ranks", tests, open_team, close_team);
}
