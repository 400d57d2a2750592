/* SPDX-License-Identifier: Apache-2.0 */
/* The host side of the OpenCL backend against a fake driver: devices, limits, what a caller brings. */
#include "common.h"

#include <stdlib.h>
#include <string.h>

static void release(struct fkmi_opencl *opencl)
{
	fkmi_backend_opencl.close(&opencl->gpu.device);
}

/* ---- devices ---- */

/* GPUs before CPUs, whatever the order of their platforms. */
static void test_list(void **state)
{
	(void)state;
	struct fkm_device_info infos[3];
	int32_t count = 0;
	fake_opencl_reset(&two_devices);
	memset(infos, 0x5A, sizeof infos);
	expect(fkmi_backend_opencl.list(infos, 3, &count), FKM_OK);
	assert_int_equal(count, 2);
	assert_string_equal(infos[0].name, "Fake GPU");
	assert_string_equal(infos[0].detail, "Fake Platform B, OpenCL 1.2 fake device");
	assert_string_equal(infos[0].problem, "");
	assert_int_equal(infos[0].device, 0);
	assert_int_equal(infos[0].memory_bytes, (int64_t)4 << 30);
	assert_int_equal(infos[0].units, 12);
	assert_string_equal(infos[1].name, "Fake CPU");
	assert_int_equal(infos[1].device, 1);
	assert_int_equal(infos[2].device, 0x5A5A5A5A); /* beyond what there is */
	expect(fkmi_backend_opencl.list(infos, 0, &count), FKM_OK);
	assert_int_equal(count, 2);
	expect_clean();
}

static void expect_device(struct fkm_context_params *params, const char *name)
{
	struct fkm_context *context;
	params->backend = "opencl";
	expect(fkm_context_create(params, &context), FKM_OK);
	assert_string_equal(fkm_context_device(context), name);
	fkm_context_destroy(context);
	expect_clean();
}

static void test_choice(void **state)
{
	(void)state;
	struct fkm_context_params params;
	struct fkm_context *context;
	fake_opencl_reset(&two_devices);
	fkm_context_params_init(&params);
	expect_device(&params, "Fake GPU");
	params.device = 1;
	expect_device(&params, "Fake CPU");
	params.device = 2;
	expect(fkm_context_create(&params, &context), FKM_ERROR_NO_DEVICE);
	expect_message("opencl device 2 does not exist; there are 2, numbered from 0");

	params.device_name = "cpu";
	expect(fkm_context_create(&params, &context), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("device is 2 and device_name is \"cpu\"");
	params.device = -1;
	expect_device(&params, "Fake CPU");
	params.device_name = "platform b";
	expect_device(&params, "Fake GPU");
	params.device_name = "Radeon";
	expect(fkm_context_create(&params, &context), FKM_ERROR_NO_DEVICE);
	expect_message("\"Radeon\"; there are Fake GPU (Fake Platform B");

	params.device_name = NULL;
	setenv("FKM_DEVICE", "1", 1);
	expect_device(&params, "Fake CPU");
	setenv("FKM_DEVICE", "fake cpu", 1);
	expect_device(&params, "Fake CPU");
	params.device_name = "GPU"; /* the program's own wish comes first */
	expect_device(&params, "Fake GPU");
	unsetenv("FKM_DEVICE");
	expect_clean();
}

/* Of the lacks, what an error says. */
static void test_unusable(void **state)
{
	(void)state;
	static const struct {
		struct fake_device device;
		const char *message;
	} cases[] = {
		{{.no_doubles = true}, "lacks IEEE double precision, which exact results need"},
		{{.flushes = true}, "flushes subnormal floats"},
		{{.no_atomics = true}, "lacks atomics on 64-bit integers"},
		{{.no_compiler = true}, "has no compiler"},
		{{.big_endian = true}, "is big-endian"},
		{{.unavailable = true}, "is not available"},
		{{.group = 255}, "allows fewer than 256 items in a group"},
		{{.local_bytes = (32 << 10) - 1}, "has less than 32 KiB of local memory"},
		{{.context_result = CL_DEVICE_NOT_AVAILABLE}, "clCreateContext failed: CL_DEVICE_NOT_AVAILABLE"},
		{{.context_result = CL_OUT_OF_RESOURCES}, "clCreateContext failed: CL_OUT_OF_RESOURCES"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fake_opencl_setup setup = two_devices;
		setup.device[1] = cases[i].device;
		setup.device[1].platform = 1;
		setup.device[1].name = "Poor GPU";
		setup.device[1].type = CL_DEVICE_TYPE_GPU;
		fake_opencl_reset(&setup);
		struct fkm_context *context;
		enum fkm_status status = create(0, &context);
		assert_true(status == FKM_ERROR_NO_DEVICE || status == FKM_ERROR_DEVICE_LOST);
		assert_null(context);
		expect_message(cases[i].message);
		expect_clean();
		/* The other one is none the worse for it, and the list says which is which. */
		expect(create(1, &context), FKM_OK);
		fkm_context_destroy(context);
		struct fkm_device_info infos[2];
		int32_t count;
		expect(fkmi_backend_opencl.list(infos, 2, &count), FKM_OK);
		if (cases[i].device.context_result == CL_SUCCESS)
			assert_non_null(strstr(infos[0].problem, cases[i].message));
		assert_string_equal(infos[1].problem, "");
		expect_clean();
	}
}

static void test_none(void **state)
{
	(void)state;
	static const struct {
		int platforms;
		const char *message;
	} cases[] = {
		{0, "no OpenCL platform is installed"},
		{2, "none of the 2 OpenCL platforms has a device"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		fake_opencl_reset(&(struct fake_opencl_setup){.platforms = cases[i].platforms});
		struct fkm_context *context;
		struct fkm_device_info info;
		int32_t count;
		expect(create(0, &context), FKM_ERROR_NO_DEVICE);
		expect_message(cases[i].message);
		expect(fkmi_backend_opencl.list(&info, 1, &count), FKM_OK);
		assert_int_equal(count, 1);
		assert_int_equal(info.device, -1);
		assert_non_null(strstr(info.problem, cases[i].message));
		expect_clean();
	}
}

/* Warps meet by PTX: of NVIDIA's devices that say that they have them, and of no others. */
static void test_lockstep(void **state)
{
	(void)state;
	static const struct {
		struct fake_device device;
		bool meet;
	} cases[] = {
		{{.vendor = "NVIDIA Corporation", .warp = 32, .capability = 9}, true},
		{{.vendor = "NVIDIA Corporation", .warp = 32, .capability = 7}, true},
		{{.vendor = "NVIDIA Corporation", .warp = 32, .capability = 6}, false},
		{{.vendor = "NVIDIA Corporation", .warp = 64, .capability = 9}, false},
		{{.vendor = "NVIDIA Corporation"}, false},
		{{.vendor = "Another", .warp = 32, .capability = 9}, false},
		{{.vendor = NULL}, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fake_opencl_setup setup = two_devices;
		struct fkmi_opencl *opencl;
		setup.device[1] = cases[i].device;
		setup.device[1].platform = 1;
		setup.device[1].name = "Fake GPU";
		setup.device[1].type = CL_DEVICE_TYPE_GPU;
		fake_opencl_reset(&setup);
		expect(open_device(&(struct fkmi_open_params){.device = 0}, &opencl), FKM_OK);
		assert_string_equal(fake_opencl_report().options, cases[i].meet
															  ? "-cl-std=CL1.2 -DFKMI_TILE_APART -DFKMI_LOCKSTEP=32"
															  : "-cl-std=CL1.2 -DFKMI_TILE_APART");
		release(opencl);
		expect_clean();
	}
}

/* ---- limits and plans ---- */

static void test_limits(void **state)
{
	(void)state;
	struct fkmi_opencl *opencl;
	fake_opencl_reset(&two_devices);
	expect(open_device(&(struct fkmi_open_params){.device = 0}, &opencl), FKM_OK);
	const struct fkmi_limits *limits = &opencl->gpu.device.limits;
	assert_int_equal(limits->memory_bytes, (int64_t)4 << 30);
	assert_int_equal(limits->max_buffer_bytes, 1 << 30);
	assert_int_equal(limits->units, 12);
	assert_int_equal(limits->local_bytes, 48 << 10);
	assert_int_equal(limits->max_group, 1024);
	assert_int_equal(limits->features, FKMI_OPENCL_GPU);
	release(opencl);
	expect(open_device(&(struct fkmi_open_params){.device = 1, .memory_budget_bytes = 5000}, &opencl), FKM_OK);
	assert_int_equal(opencl->gpu.device.limits.memory_bytes, 5000);
	assert_int_equal(opencl->gpu.device.limits.max_buffer_bytes, 5000);
	assert_int_equal(opencl->gpu.device.limits.features, FKMI_OPENCL_CPU);
	struct fkmi_ref memory;
	expect(fkmi_backend_opencl.alloc(&opencl->gpu.device, 5001, &memory), FKM_ERROR_OUT_OF_MEMORY);
	expect_message("5001 bytes of device memory are needed, 5000 are the most allowed");
	assert_null(memory.base);
	release(opencl);
	expect_clean();

	/* Nobody who named no backend wants a CPU through OpenCL. */
	expect(open_device(&(struct fkmi_open_params){.device = 1, .automatic = true}, &opencl), FKM_ERROR_NO_DEVICE);
	expect_message("Fake CPU is a CPU, which the cpu backend serves better");
	expect_clean();
}

static void describe(struct fkm_context *context, int64_t n, int64_t k, int64_t d, char *text, size_t bytes)
{
	const struct fkm_array points = fkm_array_2d(text, FKM_F32, n, d);
	struct fkm_fit_params params;
	fkm_fit_params_init(&params);
	params.clusters = k;
	(void)fkm_plan_describe(context, &points, &params, text, bytes, NULL);
}

static void test_plans(void **state)
{
	(void)state;
	static char text[8192];
	struct fkm_context *context;
	fake_opencl_reset(&two_devices);
	expect(create(0, &context), FKM_OK);
	describe(context, 1000000, 1000, 128, text, sizeof text);
	assert_non_null(strstr(text, "the device lacks fast groups of one item"));
	assert_non_null(strstr(text, "* 64x128 "));
	describe(context, 380, 64, 128, text, sizeof text); /* 12 units */
	assert_non_null(strstr(text, "* 32x128"));
	fkm_context_destroy(context);
	expect(create(1, &context), FKM_OK);
	describe(context, 1000000, 1000, 128, text, sizeof text);
	assert_non_null(strstr(text, "* cpu-48x64"));
	fkm_context_destroy(context);

	/* Points that fit, with a workspace that does not: in chunks. Points that do not fit: streamed. No room: why. */
	struct fake_opencl_setup setup = two_devices;
	setup.device[1].largest_buffer = 40 << 20;
	fake_opencl_reset(&setup);
	expect(create(0, &context), FKM_OK);
	describe(context, 1000000, 16, 8, text, sizeof text);
	assert_null(strstr(text, "chunks     1 of"));
	assert_non_null(strstr(text, "chunks "));
	describe(context, 1000000, 16, 64, text, sizeof text);
	assert_non_null(strstr(text, " are streamed from the host in every pass"));
	describe(context, 1000000, 300000, 64, text, sizeof text);
	assert_non_null(strstr(text, "passes the largest buffer of 40.0 MiB"));
	assert_non_null(strstr(text, "choice     none"));
	fkm_context_destroy(context);

	/* The least local memory that there may be. */
	setup.device[1].local_bytes = 32 << 10;
	setup.device[1].largest_buffer = 0;
	fake_opencl_reset(&setup);
	expect(create(0, &context), FKM_OK);
	describe(context, 1000000, 1000, 128, text, sizeof text);
	assert_non_null(strstr(text, "needs local memory of 38.0 KiB, the device has 32.0 KiB"));
	assert_non_null(strstr(text, "* 64x128-shallow"));
	expect(fit(context, EVERYTHING), FKM_OK);
	fkm_context_destroy(context);
	expect_clean();
}

/* ---- several at once, and what is the caller's ---- */

static void test_two_devices(void **state)
{
	(void)state;
	struct fkm_context *one, *two;
	fake_opencl_reset(&two_devices);
	expect(create(0, &one), FKM_OK);
	expect(create(1, &two), FKM_OK);
	for (int i = 0; i < 2; i++) {
		expect(fit(one, i == 1 ? EVERYTHING : PLAIN), FKM_OK);
		expect(fit(two, i == 1 ? EVERYTHING : PLAIN), FKM_OK);
	}
	fkm_context_destroy(one);
	expect(fit(two, PLAIN), FKM_OK);
	fkm_context_destroy(two);
	expect_clean();
}

static cl_device_id device_of(int index)
{
	cl_platform_id platforms[2];
	cl_device_id id;
	cl_uint count;
	assert_int_equal(clGetPlatformIDs(2, platforms, &count), CL_SUCCESS);
	assert_int_equal(clGetDeviceIDs(platforms[index], CL_DEVICE_TYPE_ALL, 1, &id, &count), CL_SUCCESS);
	return id;
}

static void test_callers_queue(void **state)
{
	(void)state;
	fake_opencl_reset(&two_devices);
	const cl_device_id ids[] = {device_of(0), device_of(1)};
	cl_int result;
	cl_context context = clCreateContext(NULL, 2, ids, NULL, NULL, &result);
	cl_command_queue queue = clCreateCommandQueue(context, ids[0], 0, &result);
	struct fkm_context_params params;
	struct fkm_context *mine;
	fkm_context_params_init(&params);
	params.backend = "opencl";
	params.native_queue = queue;
	expect(fkm_context_create(&params, &mine), FKM_OK);
	assert_string_equal(fkm_context_device(mine), "Fake CPU");
	expect(fit(mine, PLAIN), FKM_OK);
	fkm_context_destroy(mine);
	assert_int_equal(fake_opencl_report().queues, 1);

	/* Of a context, the device counts among its own. */
	params.native_queue = NULL;
	params.native_context = context;
	params.device = 1;
	expect(fkm_context_create(&params, &mine), FKM_OK);
	assert_string_equal(fkm_context_device(mine), "Fake GPU");
	fkm_context_destroy(mine);
	params.device = 2;
	expect(fkm_context_create(&params, &mine), FKM_ERROR_NO_DEVICE);
	params.device = -1;
	params.device_name = "Fake";
	expect(fkm_context_create(&params, &mine), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("native_context has its devices");
	assert_int_equal(fake_opencl_report().contexts, 1);
	assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);

	queue = clCreateCommandQueue(context, ids[0], CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &result);
	params.device_name = NULL;
	params.native_context = NULL;
	params.native_queue = queue;
	expect(fkm_context_create(&params, &mine), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("native_queue executes out of order");
	assert_int_equal(clReleaseCommandQueue(queue), CL_SUCCESS);
	assert_int_equal(clReleaseContext(context), CL_SUCCESS);
	expect_clean();
}

/* A handle is no address: neither its alignment nor how near it lies to another one means anything. */
static void test_callers_buffers(void **state)
{
	(void)state;
	enum { POINTS = 100, DIMS = 2, BUFFERS = 4, BYTES = 1 << 20 };
	fake_opencl_reset(&two_devices);
	const cl_device_id id = device_of(1);
	cl_int result;
	cl_context context = clCreateContext(NULL, 1, &id, NULL, NULL, &result);
	cl_mem buffers[BUFFERS];
	for (int i = 0; i < BUFFERS; i++)
		buffers[i] = clCreateBuffer(context, CL_MEM_READ_WRITE, BYTES, NULL, &result);
	struct fkm_context_params context_params;
	struct fkm_context *mine;
	fkm_context_params_init(&context_params);
	context_params.backend = "opencl";
	context_params.native_context = context;
	expect(fkm_context_create(&context_params, &mine), FKM_OK);

	struct fkm_array points = fkm_array_2d(buffers[0], FKM_F32, POINTS, DIMS);
	struct fkm_fit_params params;
	struct fkm_fit_result outputs;
	fkm_fit_params_init(&params);
	fkm_fit_result_init(&outputs);
	points.memory = outputs.memory = FKM_MEMORY_DEVICE;
	params.clusters = 3;
	params.workspace = buffers[1];
	params.workspace_bytes = BYTES;
	outputs.labels = (int32_t *)buffers[2];
	outputs.centroids = buffers[3];
	expect(fkm_fit(mine, &points, &params, &outputs), FKM_OK);
	outputs.centroids = buffers[2];
	expect(fkm_fit(mine, &points, &params, &outputs), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("labels and centroids overlap in memory");
	outputs.centroids = buffers[0]; /* in front of the points */
	points.offset_bytes = BYTES / 2;
	expect(fkm_fit(mine, &points, &params, &outputs), FKM_OK);
	points.offset_bytes = 3 * DIMS * 8 - 4;
	expect(fkm_fit(mine, &points, &params, &outputs), FKM_ERROR_INVALID_ARGUMENT);
	expect_message("points and centroids overlap in memory");
	fkm_context_destroy(mine);
	for (int i = 0; i < BUFFERS; i++)
		assert_int_equal(clReleaseMemObject(buffers[i]), CL_SUCCESS);
	assert_int_equal(clReleaseContext(context), CL_SUCCESS);
	expect_clean();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),          cmocka_unit_test(test_choice),
		cmocka_unit_test(test_unusable),      cmocka_unit_test(test_none),
		cmocka_unit_test(test_lockstep),      cmocka_unit_test(test_limits),
		cmocka_unit_test(test_plans),         cmocka_unit_test(test_two_devices),
		cmocka_unit_test(test_callers_queue), cmocka_unit_test(test_callers_buffers),
	};
	setenv("FKM_OPENCL_CACHE", "0", 1);
	return cmocka_run_group_tests_name("opencl host side", tests, NULL, NULL);
}
