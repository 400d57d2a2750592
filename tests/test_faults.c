/* SPDX-License-Identifier: Apache-2.0 */
/* Every vtable call of every public call fails once: the status comes back, nothing leaks, the context still works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conformance_cases.h"
#include "context.h"
#include "fake_backend.h"
#include "outputs.h"
#include "rank_calls.h"

struct scenario {
	const char *name;
	enum call call;
	struct spec spec;
};

static const struct scenario scenarios[] = {
	{"fit, given start, relocation", CALL_FIT, {.start = START_FAR, .init = FKM_INIT_CENTROIDS}},
	{"fit, k-means++, weights, several runs",
	 CALL_FIT,
	 {.weights = WEIGHTS_UNIFORM, .init = FKM_INIT_KMEANS_PLUS_PLUS, .n_init = 2}},
	{"fit, random rows, cosine, batch, strides",
	 CALL_FIT,
	 {.b = 3, .row_pad = 2, .metric = FKM_METRIC_COSINE, .init = FKM_INIT_RANDOM, .weights = WEIGHTS_ZEROS}},
	{"fit, fixed, f32 centroids",
	 CALL_FIT,
	 {.stop = FKM_STOP_FIXED, .init = FKM_INIT_CENTROIDS, .centroids_dtype = FKM_F32, .empty = FKM_EMPTY_KEEP}},
	{"predict", CALL_PREDICT, {.b = 2, .start_shared = true, .init = FKM_INIT_CENTROIDS, .weights = WEIGHTS_UNIFORM}},
	{"update", CALL_UPDATE, {.init = FKM_INIT_CENTROIDS}},
	{"inertia", CALL_INERTIA, {.init = FKM_INIT_CENTROIDS}},
};

/* The arguments and results of a scenario. */
struct stage {
	struct spec spec;
	struct data data;
	struct outputs outputs;
	struct fkm_fit_params params;
	int32_t *labels;
	double inertia[3];
};

static void stage_make(struct stage *stage, const struct scenario *scenario)
{
	struct spec *s = &stage->spec;

	memset(stage, 0, sizeof(*stage));
	*s = scenario->spec;
	s->b = s->b ? s->b : 1;
	s->n = 50;
	s->k = 6;
	s->d = 3;
	s->dtype = FKM_F32;
	s->weights_dtype = FKM_F32;
	s->start_dtype = FKM_F32;
	s->max_iter = 4;
	s->n_init = s->n_init ? s->n_init : 1;
	s->centroids_dtype = s->centroids_dtype ? s->centroids_dtype : FKM_F64;
	s->seed = 5;
	data_make(s, &stage->data);
	outputs_make(&stage->outputs, s->b, s->n, s->k, s->d, s->centroids_dtype);
	fkm_fit_params_init(&stage->params);
	stage->params.clusters = s->k;
	stage->params.metric = s->metric;
	stage->params.init = s->init;
	stage->params.weights = stage->data.weights;
	stage->params.max_iter = s->max_iter;
	stage->params.tol = 1e-4;
	stage->params.stop = s->stop;
	stage->params.empty = s->empty;
	stage->params.n_init = s->n_init;
	stage->params.chunk_rows = 20;
	if (scenario->call == CALL_FIT)
		stage->params.init_centroids = stage->data.start;
	stage->labels = malloc((size_t)(s->b * s->n) * sizeof(int32_t));
	assert_non_null(stage->labels);
	for (int64_t i = 0; i < s->b * s->n; i++)
		stage->labels[i] = (int32_t)(i % (s->k - 1)); /* the last cluster is empty */
}

static void stage_free(struct stage *stage)
{
	free(stage->labels);
	outputs_free(&stage->outputs);
	data_free(&stage->data);
}

/* Where the fake device is one of several ranks, in the middle of the others, which are the CPU. */
enum { TEAM = 3, FAKE_RANK = 1 };

static struct {
	struct fkm_local_ranks *ranks; /* NULL: the fake is alone */
	struct fkm_context *contexts[TEAM];
} team;

static enum fkm_status run(const struct scenario *scenario, struct fkm_context *context, struct stage *stage)
{
	const struct call_arguments arguments = {.call = scenario->call,
											 .points = stage->data.points,
											 .centroids = stage->data.start,
											 .labels = scenario->call >= CALL_UPDATE ? stage->labels : NULL,
											 .params = stage->params,
											 .result = scenario->call != CALL_INERTIA ? &stage->outputs.result : NULL,
											 .inertia = scenario->call == CALL_INERTIA ? stage->inertia : NULL};
	const char *complaint = NULL;

	outputs_poison(&stage->outputs);
	memset(stage->inertia, 0, sizeof(stage->inertia));
	if (!team.ranks || context != team.contexts[FAKE_RANK])
		return call_alone(context, &arguments);
	enum fkm_status status = call_ranks(team.contexts, TEAM, &arguments, 3, &complaint);
	if (complaint)
		fail_msg("%s: %s", scenario->name, complaint);
	return status;
}

/* Everything that a run wrote, copied out. */
struct snapshot {
	void *bytes[OUTPUTS];
	double inertia[3];
};

static struct snapshot snapshot_take(const struct stage *stage)
{
	struct snapshot snapshot;

	for (int i = 0; i < OUTPUTS; i++) {
		snapshot.bytes[i] = malloc(stage->outputs.blocks[i].bytes);
		assert_non_null(snapshot.bytes[i]);
		memcpy(snapshot.bytes[i], stage->outputs.blocks[i].data, stage->outputs.blocks[i].bytes);
	}
	memcpy(snapshot.inertia, stage->inertia, sizeof(snapshot.inertia));
	return snapshot;
}

static void snapshot_compare(const struct snapshot *snapshot, const struct stage *stage)
{
	for (int i = 0; i < OUTPUTS; i++)
		assert_memory_equal(snapshot->bytes[i], stage->outputs.blocks[i].data, stage->outputs.blocks[i].bytes);
	assert_memory_equal(snapshot->inertia, stage->inertia, sizeof(snapshot->inertia));
	assert_null(outputs_overrun(&stage->outputs));
}

static void snapshot_free(struct snapshot *snapshot)
{
	for (int i = 0; i < OUTPUTS; i++)
		free(snapshot->bytes[i]);
}

static void expect_ok(enum fkm_status status)
{
	if (status != FKM_OK)
		fail_msg("%s: %s", fkm_status_name(status), fkm_error_message());
}

static void expect_no_violation(void)
{
	if (fake.violations)
		fail_msg("rule of backend.h broken: %s", fake.violation);
	assert_int_equal(fake.live, 0);
}

static bool in_team; /* contexts opened now are */

static void join_team(struct fkm_context *context)
{
	struct fkm_communicator communicator;
	struct fkm_context_params params;

	fkm_context_params_init(&params);
	params.backend = "cpu";
	params.threads = 2;
	params.communicator = &communicator;
	expect_ok(fkm_local_ranks_create(TEAM, 20, &team.ranks));
	for (int rank = 0; rank < TEAM; rank++) {
		expect_ok(fkm_local_ranks_get(team.ranks, rank, &communicator));
		if (rank == FAKE_RANK) {
			expect_ok(fkmi_context_join(context, &communicator));
			team.contexts[rank] = context;
		} else {
			expect_ok(fkm_context_create(&params, &team.contexts[rank]));
		}
	}
}

static struct fkm_context *open_context(const struct fkmi_limits *limits)
{
	struct fkm_context *context;

	expect_ok(fake_context(limits, 2, &context));
	if (in_team)
		join_team(context);
	return context;
}

static void close_context(struct fkm_context *context)
{
	fkm_context_destroy(context);
	for (int rank = 0; rank < TEAM && team.ranks; rank++)
		if (rank != FAKE_RANK)
			fkm_context_destroy(team.contexts[rank]);
	fkm_local_ranks_destroy(team.ranks);
	memset(&team, 0, sizeof(team));
}

/* ---- tests ---- */

static const struct fkmi_limits own_memory = {.host_memory = 0}, host_memory = {.host_memory = 1};

/* A device with memory of its own gives the bits of the CPU, and the core gives it nothing but device memory. */
static void test_staging(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		struct stage stage;
		struct fkm_context *cpu, *device;
		struct fkm_context_params params;

		stage_make(&stage, &scenarios[i]);
		fkm_context_params_init(&params);
		params.backend = "cpu";
		expect_ok(fkm_context_create(&params, &cpu));
		expect_ok(run(&scenarios[i], cpu, &stage));
		struct snapshot snapshot = snapshot_take(&stage);
		device = open_context(&own_memory);
		expect_ok(run(&scenarios[i], device, &stage));
		snapshot_compare(&snapshot, &stage);
		expect_no_violation();
		close_context(device);
		fkm_context_destroy(cpu);
		snapshot_free(&snapshot);
		stage_free(&stage);
	}
}

/* Whole iterations by the backend give the bits of steps, and as many are asked for at a time as can be. */
static void test_whole_iterations(void **state)
{
	enum { LONG = 600, LONG_CALLS = 3 }; /* of at most 256 */
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(scenarios) / sizeof(*scenarios); i++) {
		const struct scenario *scenario = &scenarios[i / 2];
		const bool fixed = i % 2;
		struct stage stage;

		stage_make(&stage, scenario);
		stage.params.chunk_rows = 0;
		if (fixed) {
			stage.params.stop = FKM_STOP_FIXED;
			stage.params.empty = FKM_EMPTY_KEEP;
			stage.params.max_iter = LONG;
		}
		struct fkm_context *context = open_context(&own_memory);
		expect_ok(run(scenario, context, &stage));
		struct snapshot snapshot = snapshot_take(&stage);
		assert_int_equal(fake.iterate_calls, 0);
		fake.whole = true;
		expect_ok(run(scenario, context, &stage));
		snapshot_compare(&snapshot, &stage);
		if (scenario->call != CALL_FIT)
			assert_int_equal(fake.iterate_calls, 0);
		else if (fixed)
			assert_int_equal(fake.iterate_calls, LONG_CALLS * stage.params.n_init);
		else
			assert_true(fake.iterate_calls > 0);
		expect_no_violation();
		close_context(context);
		snapshot_free(&snapshot);
		stage_free(&stage);
	}
}

static void fail_every_call(const struct scenario *scenario, const struct fkmi_limits *limits, enum fkm_status fail_as)
{
	struct fkm_context *context = open_context(limits);
	struct stage stage;
	int64_t n, calls;

	stage_make(&stage, scenario);
	expect_ok(run(scenario, context, &stage));
	struct snapshot snapshot = snapshot_take(&stage);
	expect_no_violation();
	calls = fake.calls;
	assert_true(calls > 5);
	for (n = 1; n <= calls; n++) {
		fake.calls = 0;
		fake.fail_at = n;
		fake.fail_as = fail_as;
		enum fkm_status status = run(scenario, context, &stage);
		if (status != fail_as)
			fail_msg("%s: call %d failed as %s, but %s came back", scenario->name, (int)n, fkm_status_name(fail_as),
					 fkm_status_name(status));
		assert_non_null(strstr(fkm_error_message(), "fake: "));
		assert_null(data_changed(&stage.data));
		assert_null(outputs_overrun(&stage.outputs));
		if (fail_as == FKM_ERROR_DEVICE_LOST) {
			assert_int_equal(run(scenario, context, &stage), FKM_ERROR_DEVICE_LOST);
			assert_true(strlen(fkm_error_message()) > 0);
			close_context(context);
			if (fake.violations)
				fail_msg("%s, call %d: %s", scenario->name, (int)n, fake.violation);
			context = open_context(limits);
		} else {
			assert_int_equal(fake.calls, n); /* nothing runs after a failure */
			expect_no_violation();
			fake.fail_at = 0;
			expect_ok(run(scenario, context, &stage));
			snapshot_compare(&snapshot, &stage);
		}
	}
	fake.calls = 0;
	fake.fail_at = calls + 1;
	expect_ok(run(scenario, context, &stage));
	snapshot_compare(&snapshot, &stage);
	close_context(context);
	snapshot_free(&snapshot);
	stage_free(&stage);
}

static void fail_all(const struct fkmi_limits *limits, enum fkm_status fail_as)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
		fail_every_call(&scenarios[i], limits, fail_as);
}

static void test_backend_error(void **state)
{
	(void)state;
	fail_all(&own_memory, FKM_ERROR_BACKEND);
}

static void test_backend_error_in_host_memory(void **state)
{
	(void)state;
	fail_all(&host_memory, FKM_ERROR_BACKEND);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	fail_all(&own_memory, FKM_ERROR_OUT_OF_MEMORY);
}

static void test_device_lost(void **state)
{
	(void)state;
	fail_all(&own_memory, FKM_ERROR_DEVICE_LOST);
}

/* The fake as a rank: the others return what it does, wherever it fails, and all work on afterwards. */
static void test_ranks(void **state)
{
	(void)state;
	in_team = true;
	test_staging(state);
	fail_all(&own_memory, FKM_ERROR_BACKEND);
	fail_all(&host_memory, FKM_ERROR_OUT_OF_MEMORY);
	fail_all(&own_memory, FKM_ERROR_DEVICE_LOST);
	in_team = false;
}

/* With less and less memory a call first plans smaller and then says so, and never takes more than there is. */
static void test_budget(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		struct stage stage;
		struct fkm_context *context = open_context(&own_memory);
		int failed = 0;

		stage_make(&stage, &scenarios[i]);
		expect_ok(run(&scenarios[i], context, &stage));
		struct snapshot snapshot = snapshot_take(&stage);
		int64_t enough = fake.most_bytes;
		close_context(context);
		for (int64_t bytes = enough; bytes > 256; bytes = bytes * 7 / 8) {
			struct fkmi_limits limits = {.memory_bytes = bytes};
			context = open_context(&limits);
			enum fkm_status status = run(&scenarios[i], context, &stage);
			assert_true(fake.most_bytes <= bytes);
			expect_no_violation();
			if (status == FKM_OK) {
				assert_int_equal(failed, 0);
				snapshot_compare(&snapshot, &stage);
			} else {
				assert_int_equal(status, FKM_ERROR_OUT_OF_MEMORY);
				assert_true(strlen(fkm_error_message()) > 0);
				failed++;
			}
			close_context(context);
		}
		assert_true(failed > 0);
		snapshot_free(&snapshot);
		stage_free(&stage);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_staging),       cmocka_unit_test(test_whole_iterations),
		cmocka_unit_test(test_backend_error), cmocka_unit_test(test_backend_error_in_host_memory),
		cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_device_lost),
		cmocka_unit_test(test_budget),        cmocka_unit_test(test_ranks),
	};

	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
