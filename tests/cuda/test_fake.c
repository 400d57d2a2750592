/* SPDX-License-Identifier: Apache-2.0 */
/* The host side of the CUDA backend against the fake driver, among others with every call of the driver failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/cuda/cuda.h"
#include "fake/fake.h"

static const struct fake_cuda_setup hopper = {
	.devices = 2, .version = 13000, .major = 9, .memory_bytes = (size_t)1 << 30};

static void expect(enum fkm_status status, enum fkm_status expected)
{
	if (status != expected)
		fail_msg("%s (%s) instead of %s", fkm_status_name(status), fkm_error_message(), fkm_status_name(expected));
}

static void expect_message(const char *part)
{
	if (strstr(fkm_error_message(), part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, fkm_error_message());
}

static void expect_no_misuse(void)
{
	if (fake_cuda_report().misuses > 0)
		fail_msg("misuse of the driver: %s", fake_cuda_report().misuse);
}

static void expect_nothing_alive(void)
{
	const struct fake_cuda_report report = fake_cuda_report();
	assert_int_equal(report.contexts, 0);
	assert_int_equal(report.streams, 0);
	assert_int_equal(report.modules, 0);
	assert_int_equal(report.blocks, 0);
	assert_int_equal(report.abandoned, 0);
}

static enum fkm_status create(struct fkm_context **context)
{
	struct fkm_context_params params;
	fkm_context_params_init(&params);
	params.backend = "cuda";
	params.device = 0;
	return fkm_context_create(&params, context);
}

static enum fkm_status open_device(const struct fkmi_open_params *params, struct fkmi_cuda **cuda)
{
	struct fkmi_device *device;
	enum fkm_status status = fkmi_backend_cuda.open(params, &device);
	*cuda = (struct fkmi_cuda *)device;
	return status;
}

/* ---- what a device is ---- */

static void test_limits(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkmi_cuda *cuda;
	expect(open_device(&(struct fkmi_open_params){.device = 1}, &cuda), FKM_OK);
	const struct fkmi_limits *limits = &cuda->base.gpu.device.limits;
	assert_string_equal(cuda->base.gpu.device.name, "Fake GPU 1");
	assert_int_equal(limits->memory_bytes, (int64_t)1 << 30);
	assert_int_equal(limits->units, 132);
	assert_int_equal(limits->local_bytes, 232448);
	assert_int_equal(limits->max_group, 1024);
	assert_int_equal(limits->subgroup, 32);
	assert_int_equal(limits->architecture, 900);
	assert_int_equal(limits->features, FKMI_CUDA_SM80 | FKMI_CUDA_SM90);
	assert_int_equal(limits->fp64, 1);
	assert_int_equal(limits->host_memory, 0);
	assert_true(limits->bytes_per_second > 4.3e12 && limits->bytes_per_second < 4.5e12);
	fkmi_backend_cuda.close(&cuda->base.gpu.device);
	expect_no_misuse();
	expect_nothing_alive();
}

/* sm_90a code runs on 9.0 and nothing else, not even on 10.0. */
static void test_architectures(void **state)
{
	(void)state;
	static const struct {
		int major, minor, architecture;
		uint64_t features;
	} cases[] = {
		{8, 0, 800, FKMI_CUDA_SM80},
		{8, 9, 890, FKMI_CUDA_SM80},
		{9, 0, 900, FKMI_CUDA_SM80 | FKMI_CUDA_SM90},
		{10, 0, 1000, FKMI_CUDA_SM80},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fake_cuda_setup setup = hopper;
		setup.major = cases[i].major;
		setup.minor = cases[i].minor;
		fake_cuda_reset(&setup);
		struct fkmi_cuda *cuda;
		expect(open_device(&(struct fkmi_open_params){.device = 0}, &cuda), FKM_OK);
		assert_int_equal(cuda->base.gpu.device.limits.architecture, cases[i].architecture);
		assert_int_equal(cuda->base.gpu.device.limits.features, cases[i].features);
		assert_int_equal(cuda->base.modules[FKMI_CUDA_IMAGE_SM90] != NULL, cases[i].major == 9);
		fkmi_backend_cuda.close(&cuda->base.gpu.device);
		expect_nothing_alive();
	}
}

static void test_unusable(void **state)
{
	(void)state;
	static const struct {
		int devices, version, major, minor;
		const char *message;
	} cases[] = {
		{0, 13000, 9, 0, "CUDA_ERROR_NO_DEVICE"},
		{2, 11080, 9, 0, "the driver is for CUDA 11.8"},
		{2, 13000, 7, 5, "Fake GPU 0 has compute capability 7.5, 8.0 or later is needed"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		fake_cuda_reset(&(struct fake_cuda_setup){.devices = cases[i].devices,
												  .version = cases[i].version,
												  .major = cases[i].major,
												  .minor = cases[i].minor,
												  .memory_bytes = 1 << 20});
		struct fkm_context *context;
		expect(create(&context), FKM_ERROR_NO_DEVICE);
		assert_null(context);
		expect_message(cases[i].message);
		expect_no_misuse();
		expect_nothing_alive();

		struct fkm_device_info infos[2];
		int32_t count = 0;
		expect(fkmi_backend_cuda.list(infos, 2, &count), FKM_OK);
		const bool asked_devices = cases[i].major < 8;
		assert_int_equal(count, asked_devices ? 2 : 1);
		assert_int_equal(infos[0].device, asked_devices ? 0 : -1);
		assert_non_null(strstr(infos[0].problem, cases[i].message));
		expect_message(cases[i].message); /* that of create: listing is no failure */
		expect_nothing_alive();
	}
}

static void test_list(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkm_device_info infos[2];
	memset(infos, 0x5A, sizeof infos);
	int32_t count = 0;
	expect(fkmi_backend_cuda.list(NULL, 0, &count), FKM_OK);
	assert_int_equal(count, 2);
	expect(fkmi_backend_cuda.list(infos, 1, &count), FKM_OK);
	assert_int_equal(count, 2);
	assert_string_equal(infos[0].backend, "cuda");
	assert_int_equal(infos[0].device, 0);
	assert_string_equal(infos[0].name, "Fake GPU 0");
	assert_string_equal(infos[0].detail, "sm_90, driver for CUDA 13.0");
	assert_string_equal(infos[0].problem, "");
	assert_int_equal(infos[0].memory_bytes, (int64_t)1 << 30);
	assert_int_equal(infos[1].device, 0x5A5A5A5A); /* beyond capacity */
	expect_no_misuse();
	expect_nothing_alive();
}

static void test_arguments(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkmi_cuda *cuda;
	int other = 0;
	expect(open_device(&(struct fkmi_open_params){.device = 2}, &cuda), FKM_ERROR_NO_DEVICE);
	expect_message("cuda device 2 does not exist; there are 2");
	expect(open_device(&(struct fkmi_open_params){.native_context = &other}, &cuda), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("native_context");
	expect(open_device(&(struct fkmi_open_params){.native_queue = &other}, &cuda), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("native_queue");
	expect_nothing_alive();
}

/* ---- streams and contexts ---- */

/* Of a stream come the context and the device, and all three stay the caller's. */
static void test_caller_stream(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	fkmi_cu_context context, popped;
	fkmi_cu_stream stream;
	assert_int_equal(cuDevicePrimaryCtxRetain(&context, 1), 0);
	assert_int_equal(cuCtxPushCurrent_v2(context), 0);
	assert_int_equal(cuStreamCreate(&stream, 1), 0);
	assert_int_equal(cuCtxPopCurrent_v2(&popped), 0);
	struct fkmi_cuda *cuda;
	expect(open_device(&(struct fkmi_open_params){.device = 0, .native_queue = stream}, &cuda), FKM_OK);
	assert_string_equal(cuda->base.gpu.device.name, "Fake GPU 1");
	assert_null(fake_cuda_current());
	struct fkmi_ref memory;
	expect(fkmi_backend_cuda.alloc(&cuda->base.gpu.device, 1000, &memory), FKM_OK);
	expect(fkmi_backend_cuda.fill(&cuda->base.gpu.device, memory, 7, 1000), FKM_OK);
	fkmi_backend_cuda.free(&cuda->base.gpu.device, memory);
	fkmi_backend_cuda.close(&cuda->base.gpu.device);
	expect_no_misuse();
	assert_int_equal(fake_cuda_report().contexts, 1);
	assert_int_equal(fake_cuda_report().streams, 1);
	assert_int_equal(fake_cuda_report().modules, 0);
	assert_int_equal(fake_cuda_report().blocks, 0);
	assert_null(fake_cuda_current());
	fake_cuda_reset(&hopper);
}

/* ---- memory ---- */

static void test_memory(void **state)
{
	(void)state;
	/* Around the sizes at which an upload takes another way or another launch. */
	static const int64_t sizes[] = {1, 3, 3999, 4000, 4001, 8000, 16383, 16384, 16385, 100000};
	fake_cuda_reset(&hopper);
	struct fkmi_cuda *cuda;
	expect(open_device(&(struct fkmi_open_params){.device = 0}, &cuda), FKM_OK);
	struct fkmi_device *device = &cuda->base.gpu.device;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		const int64_t bytes = sizes[i];
		struct fkmi_ref one, two;
		unsigned char *from = malloc((size_t)bytes), *to = malloc((size_t)bytes);
		assert_non_null(from);
		assert_non_null(to);
		for (int64_t j = 0; j < bytes; j++)
			from[j] = (unsigned char)(j * 7 + 1);
		expect(fkmi_backend_cuda.alloc(device, bytes + 5, &one), FKM_OK);
		expect(fkmi_backend_cuda.alloc(device, bytes, &two), FKM_OK);
		int waits = fake_cuda_report().waits;
		expect(fkmi_backend_cuda.fill(device, one, 0xEE, bytes + 5), FKM_OK);
		expect(fkmi_backend_cuda.upload(device, fkmi_ref_add(one, 3), from, bytes), FKM_OK);
		expect(fkmi_backend_cuda.copy(device, two, fkmi_ref_add(one, 3), bytes), FKM_OK);
		assert_int_equal(fake_cuda_report().waits - waits, bytes > 16384);
		expect(fkmi_backend_cuda.download(device, to, two, bytes), FKM_OK);
		assert_memory_equal(from, to, bytes);
		unsigned char guard[2];
		expect(fkmi_backend_cuda.download(device, guard, fkmi_ref_add(one, bytes + 3), 2), FKM_OK);
		assert_int_equal(guard[0], 0xEE);
		expect(fkmi_backend_cuda.download(device, guard, fkmi_ref_add(one, 1), 2), FKM_OK);
		assert_int_equal(guard[1], 0xEE);
		fkmi_backend_cuda.free(device, one);
		fkmi_backend_cuda.free(device, two);
		free(from);
		free(to);
	}
	const struct fkmi_ref none = {0};
	expect(fkmi_backend_cuda.copy(device, none, none, 0), FKM_OK);
	expect(fkmi_backend_cuda.fill(device, none, 0, 0), FKM_OK);
	expect(fkmi_backend_cuda.upload(device, none, "", 0), FKM_OK);
	expect(fkmi_backend_cuda.download(device, NULL, none, 0), FKM_OK);
	fkmi_backend_cuda.free(device, none);
	fkmi_backend_cuda.close(device);
	expect_no_misuse();
	expect_nothing_alive();
}

static void test_budget(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkmi_cuda *cuda;
	struct fkmi_ref memory;
	expect(open_device(&(struct fkmi_open_params){.memory_budget_bytes = 5000}, &cuda), FKM_OK);
	assert_int_equal(cuda->base.gpu.device.limits.memory_bytes, 5000);
	expect(fkmi_backend_cuda.alloc(&cuda->base.gpu.device, 5001, &memory), FKM_ERROR_OUT_OF_MEMORY);
	expect_message("5001 bytes of device memory are needed, 5000 are the most allowed");
	assert_null(memory.base);
	expect(fkmi_backend_cuda.alloc(&cuda->base.gpu.device, 5000, &memory), FKM_OK);
	fkmi_backend_cuda.free(&cuda->base.gpu.device, memory);
	fkmi_backend_cuda.close(&cuda->base.gpu.device);

	/* More than there is, whatever the budget; and what somebody else has taken. */
	expect(open_device(&(struct fkmi_open_params){.memory_budget_bytes = (int64_t)1 << 40}, &cuda), FKM_OK);
	assert_int_equal(cuda->base.gpu.device.limits.memory_bytes, (int64_t)1 << 30);
	expect(fkmi_backend_cuda.alloc(&cuda->base.gpu.device, 900 << 20, &memory), FKM_OK);
	struct fkmi_ref second = memory;
	expect(fkmi_backend_cuda.alloc(&cuda->base.gpu.device, 200 << 20, &second), FKM_ERROR_OUT_OF_MEMORY);
	expect_message("cannot allocate 209715200 bytes of device memory");
	assert_null(second.base);
	fkmi_backend_cuda.free(&cuda->base.gpu.device, memory);
	fkmi_backend_cuda.close(&cuda->base.gpu.device);
	expect_no_misuse();
	expect_nothing_alive();
}

/* ---- launches ---- */

static void test_launch(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkmi_cuda *cuda;
	expect(open_device(&(struct fkmi_open_params){.device = 0}, &cuda), FKM_OK);
	const struct fkmi_gpu_arg arguments[] = {fkmi_gpu_i32(1), fkmi_gpu_place((struct fkmi_ref){0})};
	struct fkmi_gpu_launch launch = {
		.kernel = "fkmi_some", .groups = 3, .group = 128, .argument_count = 2, .arguments = arguments};
	expect(cuda->base.gpu.driver->launch(&cuda->base.gpu, &launch), FKM_OK);
	launch.local_bytes = 200000; /* more than a kernel has without asking */
	expect(cuda->base.gpu.driver->launch(&cuda->base.gpu, &launch), FKM_OK);
	int calls = fake_cuda_report().calls;
	expect(cuda->base.gpu.driver->launch(&cuda->base.gpu, &launch), FKM_OK);
	assert_int_equal(fake_cuda_report().calls - calls, 3); /* push, launch, pop: found and allowed before */
	launch.groups = 0;
	expect(cuda->base.gpu.driver->launch(&cuda->base.gpu, &launch), FKM_OK);
	assert_int_equal(fake_cuda_report().launches, 3);
	launch.groups = 1;
	launch.local_bytes = 300000;
	expect(cuda->base.gpu.driver->launch(&cuda->base.gpu, &launch), FKM_ERROR_BACKEND);
	expect_message("giving kernel fkmi_some 300000 bytes of shared memory");
	launch.kernel = "unknown";
	expect(cuda->base.gpu.driver->launch(&cuda->base.gpu, &launch), FKM_ERROR_BACKEND);
	expect_message("finding kernel unknown");
	assert_null(fake_cuda_current());
	fkmi_backend_cuda.close(&cuda->base.gpu.device);
	expect_no_misuse();
	expect_nothing_alive();
}

/* ---- every call fails ---- */

enum { BATCH = 2, POINTS = 60, DIMS = 3, CLUSTERS = 4 };

/* What a fit may write, enough for every scenario. */
static struct {
	int32_t labels[BATCH * POINTS];
	double centroids[BATCH * CLUSTERS * DIMS];
	double distances[BATCH * POINTS], inertia[BATCH];
	int64_t counts[BATCH * CLUSTERS], order[BATCH * POINTS], offsets[BATCH * (CLUSTERS + 1)];
} outputs;

/* Random rows and a fixed number of iterations; or all that a fit can do besides. */
static enum fkm_status fit(struct fkm_context *context, bool everything)
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
	if (everything) {
		array.batch = BATCH;
		params.metric = FKM_METRIC_COSINE;
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
	return fkm_fit(context, &array, &params, &result);
}

/* Failures that there is nobody to tell of: in giving back, or in asking how much is free. */
static bool is_silent(const char *function)
{
	static const char *const silent[] = {"cuCtxPopCurrent_v2", "cuMemFree_v2",    "cuStreamDestroy_v2",
										 "cuModuleUnload",     "cuMemGetInfo_v2", "cuDevicePrimaryCtxRelease_v2"};
	for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
		if (strcmp(function, silent[i]) == 0)
			return true;
	return false;
}

/* After a failed fit: a lost context says so without asking the driver, any other works again. */
static void use_again(struct fkm_context *context, bool everything, enum fkm_status status)
{
	int calls = fake_cuda_report().calls;
	if (status == FKM_ERROR_DEVICE_LOST) {
		expect(fit(context, everything), FKM_ERROR_DEVICE_LOST);
		expect_message("lost");
		assert_int_equal(fake_cuda_report().calls, calls);
	} else {
		expect(fit(context, everything), FKM_OK);
	}
}

/* Opens, fits and closes with the n-th call failing; false: there were fewer calls. */
static bool fail_at(int n, bool everything, fkmi_cu_result result, bool stays, enum fkm_status expected)
{
	struct fake_cuda_setup setup = hopper;
	fake_cuda_reset(&setup);
	fkmi_cu_context mine;
	assert_int_equal(cuDevicePrimaryCtxRetain(&mine, 1), 0);
	assert_int_equal(cuCtxPushCurrent_v2(mine), 0);
	setup.fail_call = n;
	setup.fail_result = result;
	setup.fail_on = stays;
	fake_cuda_arm(&setup);

	struct fkm_context *context = NULL;
	enum fkm_status status = create(&context);
	assert_ptr_equal(fake_cuda_current(), mine);
	if (status == FKM_OK) {
		status = fit(context, everything);
		assert_ptr_equal(fake_cuda_current(), mine);
	} else {
		assert_null(context);
	}
	const struct fake_cuda_report report = fake_cuda_report();
	if (status != FKM_OK) {
		char code[32];
		snprintf(code, sizeof code, "(%d)", result);
		expect(status, expected);
		if (result != FKMI_CU_OUT_OF_MEMORY || strstr(fkm_error_message(), "bytes of device memory") == NULL)
			expect_message(code);
		assert_non_null(report.failed);
	} else if (report.failed != NULL && !is_silent(report.failed)) {
		/* the way in to give memory back */
		assert_string_equal(report.failed, "cuCtxPushCurrent_v2");
	}
	if (context != NULL && status != FKM_OK)
		use_again(context, everything, status);
	fkm_context_destroy(context);
	assert_ptr_equal(fake_cuda_current(), mine);
	expect_no_misuse();
	const struct fake_cuda_report after = fake_cuda_report();
	assert_int_equal(after.contexts, 1);
	assert_int_equal(after.streams, 0);
	assert_int_equal(after.modules, 0);
	assert_int_equal(after.blocks, 0);
	/* What cannot be reached any more goes with its context; and so does the memory of a lost device, see backend.h. */
	if (after.failed == NULL || (!stays && strcmp(after.failed, "cuCtxPushCurrent_v2") != 0))
		assert_int_equal(after.abandoned, status == FKM_ERROR_DEVICE_LOST ? after.abandoned_blocks : 0);
	return after.failed != NULL;
}

static void fail_everywhere(bool everything)
{
	static const struct {
		fkmi_cu_result result;
		bool stays;
		enum fkm_status status;
	} cases[] = {
		{2, false, FKM_ERROR_OUT_OF_MEMORY}, {700, false, FKM_ERROR_DEVICE_LOST}, {700, true, FKM_ERROR_DEVICE_LOST},
		{719, false, FKM_ERROR_DEVICE_LOST}, {719, true, FKM_ERROR_DEVICE_LOST},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int n = 1;
		while (fail_at(n, everything, cases[i].result, cases[i].stays, cases[i].status))
			n++;
		assert_true(n > 100); /* calls of an open, a fit and a close */
	}
	fake_cuda_reset(&hopper);
}

static void test_failures(void **state)
{
	(void)state;
	fail_everywhere(false);
}

static void test_failures_of_everything(void **state)
{
	(void)state;
	fail_everywhere(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_architectures),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_caller_stream),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_launch),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_failures_of_everything),
	};
	return cmocka_run_group_tests_name("cuda host side", tests, NULL, NULL);
}
