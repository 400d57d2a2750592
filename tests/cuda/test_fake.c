/* SPDX-License-Identifier: Apache-2.0 */
/* The host side of the CUDA backend against the fake driver. */
#include <string.h>

#include "backends/cuda/cuda.h"
#include "plan.h"
#include "tests/gpu/host_side.h"

/* A context that was current stays so, which the shared tests look at themselves. */
static void release_nothing(void)
{
}

static void choose_device(int device)
{
	(void)device;
}

static int chosen_device(void)
{
	return 1;
}

const struct host_side host_side = {.backend = &fkmi_backend_cuda,
									.release_contexts = release_nothing,
									.choose_device = choose_device,
									.chosen_device = chosen_device};

/* ---- what a device is ---- */

static void test_limits(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkmi_runtime_gpu *gpu;
	expect(open_device(&(struct fkmi_open_params){.device = 1}, &gpu), FKM_OK);
	const struct fkmi_limits *limits = &gpu->gpu.device.limits;
	assert_string_equal(gpu->gpu.device.name, "Fake GPU 1");
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
	fkmi_backend_cuda.close(&gpu->gpu.device);
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
		struct fkmi_runtime_gpu *gpu;
		expect(open_device(&(struct fkmi_open_params){.device = 0}, &gpu), FKM_OK);
		assert_int_equal(gpu->gpu.device.limits.architecture, cases[i].architecture);
		assert_int_equal(gpu->gpu.device.limits.features, cases[i].features);
		assert_int_equal(gpu->modules[FKMI_CUDA_IMAGE_SM90] != NULL, cases[i].major == 9);
		fkmi_backend_cuda.close(&gpu->gpu.device);
		expect_nothing_alive();
	}
}

/* Which kernel the planner takes. */
static void test_choice(void **state)
{
	(void)state;
	const uint64_t sm80 = FKMI_CUDA_SM80, both = FKMI_CUDA_SM80 | FKMI_CUDA_SM90;
	static const struct fkmi_problem colour = {.b = 1, .n = 8388608, .k = 256, .d = 3, .dtype = FKM_F32, .fits = true};
	static const struct fkmi_problem codes = {.b = 16, .n = 262144, .k = 256, .d = 8, .dtype = FKM_F32, .fits = true};
	struct fkmi_problem predicted = colour, many = codes, more = codes, wide = codes, halves = codes;
	predicted.fits = false;
	many.k = 1024; /* the sums have no room */
	more.k = 8192;
	more.dtype = FKM_F16;
	wide.d = 9;
	halves.d = 16;
	halves.dtype = FKM_F16;
	const struct {
		const struct fkmi_problem *problem;
		uint64_t features;
		const char *kernel;
		bool fused;
	} cases[] = {
		{&colour, both, "split-d4", true},         {&colour, sm80, "split-d4", true},
		{&codes, both, "split-d8", true},          {&predicted, both, "split-d4", false},
		{&many, both, "split-d8", false},          {&more, both, "sm90-d16", false},
		{&wide, both, "sm90-copy-d16_few", false}, {&halves, both, "sm90-d16_few", false},
	};
	fake_cuda_reset(&hopper);
	struct fkmi_runtime_gpu *gpu;
	expect(open_device(&(struct fkmi_open_params){.device = 0}, &gpu), FKM_OK);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fkmi_limits limits = gpu->gpu.device.limits;
		limits.features = cases[i].features;
		limits.memory_bytes = (int64_t)1 << 36;
		const struct fkmi_plan_request request = {
			.backend = &fkmi_backend_cuda, .limits = &limits, .problem = cases[i].problem};
		struct fkmi_plan plan;
		expect(fkmi_plan_make(&request, &plan, NULL), FKM_OK);
		assert_string_equal(plan.tile->name, cases[i].kernel);
		assert_int_equal(plan.fused, cases[i].fused);
		assert_int_equal(plan.chunk_rows, cases[i].problem->n);
	}
	fkmi_backend_cuda.close(&gpu->gpu.device);
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
	struct fkmi_runtime_gpu *gpu;
	expect(open_device(&(struct fkmi_open_params){.device = 0, .native_queue = stream}, &gpu), FKM_OK);
	assert_string_equal(gpu->gpu.device.name, "Fake GPU 1");
	assert_null(fake_cuda_current());
	struct fkmi_ref memory;
	expect(fkmi_backend_cuda.alloc(&gpu->gpu.device, 1000, &memory), FKM_OK);
	expect(fkmi_backend_cuda.fill(&gpu->gpu.device, memory, 7, 1000), FKM_OK);
	fkmi_backend_cuda.free(&gpu->gpu.device, memory);
	fkmi_backend_cuda.close(&gpu->gpu.device);
	expect_no_misuse();
	assert_int_equal(fake_cuda_report().contexts, 1);
	assert_int_equal(fake_cuda_report().streams, 1);
	assert_int_equal(fake_cuda_report().modules, 0);
	assert_int_equal(fake_cuda_report().blocks, 0);
	assert_null(fake_cuda_current());
	fake_cuda_reset(&hopper);
}

/* ---- launches ---- */

static void test_launch(void **state)
{
	(void)state;
	fake_cuda_reset(&hopper);
	struct fkmi_runtime_gpu *gpu;
	expect(open_device(&(struct fkmi_open_params){.device = 0}, &gpu), FKM_OK);
	const struct fkmi_gpu_arg arguments[] = {fkmi_gpu_i32(1), fkmi_gpu_place((struct fkmi_ref){0})};
	struct fkmi_gpu_launch launch = {
		.kernel = "fkmi_some", .groups = 3, .group = 128, .argument_count = 2, .arguments = arguments};
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_OK);
	launch.local_bytes = 200000; /* more than a kernel has without asking */
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_OK);
	int calls = fake_cuda_report().calls;
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_OK);
	assert_int_equal(fake_cuda_report().calls - calls, 3); /* push, launch, pop: found and allowed before */
	launch.groups = 0;
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_OK);
	assert_int_equal(fake_cuda_report().launches, 3);
	launch.groups = 1;
	launch.local_bytes = 300000;
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_ERROR_BACKEND);
	expect_message("giving kernel fkmi_some 300000 bytes of shared memory");
	launch.kernel = "unknown";
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_ERROR_BACKEND);
	expect_message("finding kernel unknown");
	assert_null(fake_cuda_current());
	fkmi_backend_cuda.close(&gpu->gpu.device);
	expect_no_misuse();
	expect_nothing_alive();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_architectures),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_caller_stream),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_launch),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_failures_of_everything),
		cmocka_unit_test(test_failures_of_streaming),
		cmocka_unit_test(test_hanging_reductions),
	};
	return cmocka_run_group_tests_name("cuda host side", tests, NULL, NULL);
}
