/* SPDX-License-Identifier: Apache-2.0 */
/* The host side of the HIP backend on the shim, over the fake CUDA driver. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "backends/hip/hip.h"
#include "tests/gpu/host_side.h"

/* ---- the caller's side ---- */

static struct {
	void (*release_contexts)(void);
	int (*get_device)(int *device);
	int (*set_device)(int device);
	int (*stream_create)(void **stream, unsigned flags);
	int (*stream_destroy)(void *stream);
} shim;

static bool load_shim(void)
{
	const char *path = getenv("FKM_HIP_LIBRARY");
	void *library = path != NULL && getenv("FKM_CUDA_LIBRARY") != NULL ? dlopen(path, RTLD_NOW) : NULL;
	if (library == NULL)
		return false;
	static const char *const names[] = {"shim_release_contexts", "hipGetDevice", "hipSetDevice",
										"hipStreamCreateWithFlags", "hipStreamDestroy"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		void *address = dlsym(library, names[i]);
		memcpy((char *)&shim + i * sizeof address, &address, sizeof address);
	}
	return true;
}

static void release_contexts(void)
{
	shim.release_contexts();
}

static void choose_device(int device)
{
	assert_int_equal(shim.set_device(device), 0);
}

static int chosen_device(void)
{
	int device = -1;
	assert_int_equal(shim.get_device(&device), 0);
	return device;
}

const struct host_side host_side = {.backend = &fkmi_backend_hip,
									.release_contexts = release_contexts,
									.choose_device = choose_device,
									.chosen_device = chosen_device};

/* Begins anew, on devices that claim to have a target. */
static void begin(const struct fake_cuda_setup *setup, const char *target)
{
	shim.release_contexts();
	fake_cuda_reset(setup);
	assert_int_equal(setenv("SHIM_TARGET", target, 1), 0);
	assert_int_equal(unsetenv("FKM_HIP_RTC"), 0);
}

/* ---- what a device is ---- */

static void test_limits(void **state)
{
	(void)state;
	begin(&hopper, "gfx90a:sramecc+:xnack-");
	struct fkmi_runtime_gpu *gpu;
	expect(open_device(&(struct fkmi_open_params){.device = 1}, &gpu), FKM_OK);
	const struct fkmi_limits *limits = &gpu->gpu.device.limits;
	assert_string_equal(gpu->gpu.device.name, "Fake GPU 1");
	assert_int_equal(limits->memory_bytes, (int64_t)1 << 30);
	assert_int_equal(limits->units, 132);
	assert_int_equal(limits->local_bytes, 65536);
	assert_int_equal(limits->max_group, 1024);
	assert_int_equal(limits->subgroup, 32);
	assert_int_equal(limits->architecture, 910);
	assert_int_equal(limits->fp64, 1);
	assert_int_equal(limits->host_memory, 0);
	assert_true(limits->bytes_per_second > 4.3e12 && limits->bytes_per_second < 4.5e12);
	host_side.backend->close(&gpu->gpu.device);
	expect_no_misuse();
	expect_nothing_alive();
}

/* A target is told by its processor alone, and by the whole of it. */
static void test_targets(void **state)
{
	(void)state;
	static const struct {
		const char *target;
		int architecture; /* 0: there is no code */
	} cases[] = {
		{"gfx90a", 910},   {"gfx942:sramecc+:xnack-", 942},
		{"gfx1100", 1100}, {"gfx110", 0},
		{"gfx90a0", 0},    {"gfx942x", 0},
		{"gfx1030", 0},    {"gfx", 0},
		{"amdgcn", 0},     {"", 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		begin(&hopper, cases[i].target);
		struct fkmi_runtime_gpu *gpu;
		expect(open_device(&(struct fkmi_open_params){.device = 0}, &gpu),
			   cases[i].architecture != 0 ? FKM_OK : FKM_ERROR_NO_DEVICE);
		if (gpu == NULL) {
			expect_message(strncmp(cases[i].target, "gfx", 3) == 0 ? "FKM_HIP_RTC=1" : "does not name");
		} else {
			assert_int_equal(gpu->gpu.device.limits.architecture, cases[i].architecture);
			host_side.backend->close(&gpu->gpu.device);
		}
		expect_no_misuse();
		expect_nothing_alive();
	}
}

/* The compiler of the shim knows gfx10 and later. */
static void test_compiling(void **state)
{
	(void)state;
	static const struct {
		const char *target, *wanted, *message;
	} cases[] = {
		{"gfx1030", "1", NULL},
		{"gfx1030", "0", "Fake GPU 0 has the target gfx1030, and this build has code for gfx90a gfx942 gfx1100"},
		{"gfx803", "1", "hipRTC cannot compile the kernels for gfx803: error 6, unknown target CPU"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		begin(&hopper, cases[i].target);
		assert_int_equal(setenv("FKM_HIP_RTC", cases[i].wanted, 1), 0);
		struct fkmi_runtime_gpu *gpu;
		expect(open_device(&(struct fkmi_open_params){.device = 0}, &gpu),
			   cases[i].message == NULL ? FKM_OK : FKM_ERROR_NO_DEVICE);
		if (cases[i].message != NULL) {
			expect_message(cases[i].message);
		} else {
			assert_int_equal(fake_cuda_report().modules, 1);
			host_side.backend->close(&gpu->gpu.device);
		}
		expect_no_misuse();
		expect_nothing_alive();
	}
}

static void test_unusable(void **state)
{
	(void)state;
	static const struct {
		int devices;
		const char *version, *target, *message;
	} cases[] = {
		{0, "60342134", "gfx942", "HIP 6.3.42134 (libshim_hip"},
		{2, "40221153", "gfx942", "the runtime is HIP 4.2.21153 (libshim_hip"},
		{2, "70051831", "gfx1030", "Fake GPU 0 has the target gfx1030"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fake_cuda_setup setup = hopper;
		setup.devices = cases[i].devices;
		begin(&setup, cases[i].target);
		assert_int_equal(setenv("SHIM_VERSION", cases[i].version, 1), 0);
		struct fkm_context *context;
		expect(create(&context), FKM_ERROR_NO_DEVICE);
		assert_null(context);
		expect_message(cases[i].message);

		struct fkm_device_info infos[2];
		int32_t count = 0;
		const bool asked_devices = i == 2;
		expect(host_side.backend->list(infos, 2, &count), FKM_OK);
		assert_int_equal(count, asked_devices ? 2 : 1);
		assert_int_equal(infos[0].device, asked_devices ? 0 : -1);
		assert_non_null(strstr(infos[0].problem, cases[i].message));
		expect_message(cases[i].message); /* that of create: listing is no failure */
		expect_no_misuse();
		expect_nothing_alive();
	}
	assert_int_equal(unsetenv("SHIM_VERSION"), 0);
}

static void test_list(void **state)
{
	(void)state;
	begin(&hopper, "gfx942:sramecc+:xnack-");
	assert_int_equal(setenv("SHIM_VERSION", "70051831", 1), 0);
	struct fkm_device_info infos[2];
	memset(infos, 0x5A, sizeof infos);
	int32_t count = 0;
	expect(host_side.backend->list(NULL, 0, &count), FKM_OK);
	assert_int_equal(count, 2);
	expect(host_side.backend->list(infos, 1, &count), FKM_OK);
	assert_int_equal(count, 2);
	assert_string_equal(infos[0].backend, "hip");
	assert_int_equal(infos[0].device, 0);
	assert_string_equal(infos[0].name, "Fake GPU 0");
	assert_non_null(strstr(infos[0].detail, "gfx942:sramecc+:xnack-, HIP 7.0.51831 (libshim_hip"));
	assert_string_equal(infos[0].problem, "");
	assert_int_equal(infos[0].memory_bytes, (int64_t)1 << 30);
	assert_int_equal(infos[0].units, 132);
	assert_int_equal(infos[1].device, 0x5A5A5A5A); /* beyond capacity */
	assert_int_equal(unsetenv("SHIM_VERSION"), 0);
	expect_no_misuse();
	expect_nothing_alive();
}

/* ---- streams and launches ---- */

/* Of a stream comes the device, and both stay the caller's. */
static void test_caller_stream(void **state)
{
	(void)state;
	begin(&hopper, "gfx1100");
	void *stream;
	choose_device(1);
	assert_int_equal(shim.stream_create(&stream, 1), 0);
	choose_device(0);
	struct fkmi_runtime_gpu *gpu;
	expect(open_device(&(struct fkmi_open_params){.device = 0, .native_queue = stream}, &gpu), FKM_OK);
	assert_string_equal(gpu->gpu.device.name, "Fake GPU 1");
	assert_int_equal(chosen_device(), 0);
	struct fkmi_ref memory;
	expect(host_side.backend->alloc(&gpu->gpu.device, 1000, &memory), FKM_OK);
	expect(host_side.backend->fill(&gpu->gpu.device, memory, 7, 1000), FKM_OK);
	assert_int_equal(chosen_device(), 0);
	host_side.backend->free(&gpu->gpu.device, memory);
	host_side.backend->close(&gpu->gpu.device);
	expect_no_misuse();
	assert_int_equal(chosen_device(), 0);
	assert_int_equal(fake_cuda_report().streams, 1);
	assert_int_equal(fake_cuda_report().modules, 0);
	assert_int_equal(fake_cuda_report().blocks, 0);
	choose_device(1);
	assert_int_equal(shim.stream_destroy(stream), 0);
	expect_nothing_alive();
}

static void test_launch(void **state)
{
	(void)state;
	begin(&hopper, "gfx1100");
	struct fkmi_runtime_gpu *gpu;
	expect(open_device(&(struct fkmi_open_params){.device = 1}, &gpu), FKM_OK);
	const struct fkmi_gpu_arg arguments[] = {fkmi_gpu_i32(1), fkmi_gpu_place((struct fkmi_ref){0})};
	struct fkmi_gpu_launch launch = {
		.kernel = "fkmi_some", .groups = 3, .group = 256, .argument_count = 2, .arguments = arguments};
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_OK);
	launch.groups = 0;
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_OK);
	assert_int_equal(fake_cuda_report().launches, 1);
	launch.groups = 1;
	launch.local_bytes = 65537; /* more than a group can have */
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_ERROR_BACKEND);
	expect_message("launching kernel fkmi_some, 1 x 256 threads");
	launch.kernel = "unknown";
	expect(gpu->gpu.driver->launch(&gpu->gpu, &launch), FKM_ERROR_BACKEND);
	expect_message("finding kernel unknown (hipModuleGetFunction)");
	assert_int_equal(chosen_device(), 0);
	host_side.backend->close(&gpu->gpu.device);
	expect_no_misuse();
	expect_nothing_alive();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_compiling),
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
	return load_shim() ? cmocka_run_group_tests_name("hip host side", tests, NULL, NULL) : 1;
}
