/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"

#include <string.h>

#include "context.h"

const struct fake_opencl_setup two_devices = {
	.platforms = 2,
	.devices = 2,
	.device = {{.platform = 0, .name = "Fake CPU", .type = CL_DEVICE_TYPE_CPU},
			   {.platform = 1, .name = "Fake GPU", .type = CL_DEVICE_TYPE_GPU}},
};

void expect(enum fkm_status status, enum fkm_status expected)
{
	if (status != expected)
		fail_msg("%s (%s) instead of %s", fkm_status_name(status), fkm_error_message(), fkm_status_name(expected));
}

void expect_message(const char *part)
{
	if (strstr(fkm_error_message(), part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, fkm_error_message());
}

void expect_clean(void)
{
	const struct fake_opencl_report report = fake_opencl_report();
	if (report.misuses > 0)
		fail_msg("misuse of the driver: %s", report.misuse);
	assert_int_equal(report.contexts, 0);
	assert_int_equal(report.queues, 0);
	assert_int_equal(report.buffers, 0);
	assert_int_equal(report.programs, 0);
	assert_int_equal(report.kernels, 0);
	assert_int_equal(report.events, 0);
	assert_int_equal(report.mapped, 0);
}

enum fkm_status create(int32_t device, struct fkm_context **context)
{
	struct fkm_context_params params;
	fkm_context_params_init(&params);
	params.backend = "opencl";
	params.device = device;
	return fkm_context_create(&params, context);
}

enum fkm_status open_device(const struct fkmi_open_params *params, struct fkmi_opencl **opencl)
{
	struct fkmi_device *device;
	enum fkm_status status = fkmi_backend_opencl.open(params, &device);
	*opencl = (struct fkmi_opencl *)device;
	return status;
}

enum { BATCH = 2, POINTS = 60, DIMS = 3, CLUSTERS = 4 };

static struct {
	int32_t labels[BATCH * POINTS];
	double centroids[BATCH * CLUSTERS * DIMS];
	double distances[BATCH * POINTS], inertia[BATCH];
	int64_t counts[BATCH * CLUSTERS], order[BATCH * POINTS], offsets[BATCH * (CLUSTERS + 1)];
} outputs;

enum fkm_status fit(struct fkm_context *context, enum scenario scenario)
{
	static float points[BATCH * POINTS * DIMS];
	static double weights[BATCH * POINTS];
	for (int i = 0; i < BATCH * POINTS * DIMS; i++)
		points[i] = (float)(i % 17);
	for (int i = 0; i < BATCH * POINTS; i++)
		weights[i] = 1 + i % 3;
	struct fkm_array array = fkm_array_2d(points, FKM_F32, POINTS, DIMS);
	struct fkm_fit_params params;
	struct fkm_fit_result result;
	fkm_fit_params_init(&params);
	fkm_fit_result_init(&result);
	params.clusters = CLUSTERS;
	params.max_iter = 3;
	result.labels = outputs.labels;
	result.centroids = outputs.centroids;
	if (scenario != PLAIN) {
		array.batch = BATCH;
		params.metric = FKM_METRIC_COSINE;
		params.trust_finite = 1; /* no kernel runs that would find the range of the weights */
		params.n_init = 2;
		params.weights = fkm_array_2d(weights, FKM_F64, POINTS, 1);
		params.weights.batch = BATCH;
		params.chunk_rows = 40;
		result.distances = outputs.distances;
		result.inertia = outputs.inertia;
		result.counts = outputs.counts;
		result.order = outputs.order;
		result.offsets = outputs.offsets;
	} else {
		params.init = FKM_INIT_RANDOM;
		params.stop = FKM_STOP_FIXED;
		params.empty = FKM_EMPTY_KEEP;
	}
	if (scenario == STREAMING) {
		int64_t bytes = 0;
		params.chunk_rows = 10;
		params.max_iter = 1;
		params.n_init = 1;
		enum fkm_status planned = fkm_fit_workspace(context, &array, &params, &result, &bytes);
		if (planned != FKM_OK) /* a lost context */
			return planned;
		context->memory_budget_bytes = bytes - (int64_t)sizeof points / 2;
	}
	enum fkm_status status = fkm_fit(context, &array, &params, &result);
	context->memory_budget_bytes = 0;
	if (status == FKM_OK)
		assert_int_equal(result.diagnosis.streamed_rows > 0, scenario == STREAMING);
	return status;
}
