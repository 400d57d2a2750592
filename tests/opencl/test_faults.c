/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL backend with every call of the driver failing. */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Failures that there is nobody to tell of: one platform of several, listing, closing (which also waits for copies), and
 * keeping programs. */
static bool is_silent(const char *function)
{
	static const char *const silent[] = {"clGetDeviceIDs", "clGetDeviceInfo",           "clGetPlatformInfo",
										 "clFinish",       "clCreateProgramWithBinary", "clGetProgramInfo",
										 "clFlush",        "clWaitForEvents",           "clEnqueueMarkerWithWaitList"};
	for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
		if (strcmp(function, silent[i]) == 0)
			return true;
	return false;
}

/* After a failed fit: a lost context says so without asking the driver, any other works again. */
static void use_again(struct fkm_context *context, enum scenario scenario, enum fkm_status status)
{
	int calls = fake_opencl_report().calls;
	if (status == FKM_ERROR_DEVICE_LOST) {
		expect(fit(context, scenario), FKM_ERROR_DEVICE_LOST);
		expect_message("lost");
		assert_int_equal(fake_opencl_report().calls, calls);
	} else {
		expect(fit(context, scenario), FKM_OK);
	}
}

struct failure {
	cl_int result;
	bool stays;
	enum fkm_status status;
};

/* Opens, fits and closes with the n-th call failing; false: there were fewer calls. */
static bool fail_at(int n, enum scenario scenario, const struct failure *failure)
{
	struct fake_opencl_setup setup = two_devices;
	setup.fail_call = n;
	setup.fail_result = failure->result;
	setup.fail_on = failure->stays;
	fake_opencl_reset(&setup);
	struct fkm_context *context = NULL;
	enum fkm_status status = create(0, &context);
	const bool opened = status == FKM_OK;
	if (opened)
		status = fit(context, scenario);
	else
		assert_null(context);
	const struct fake_opencl_report report = fake_opencl_report();
	if (status != FKM_OK) {
		assert_non_null(report.failed);
		/* Without an answer about devices, there are none. */
		if (strcmp(report.failed, "clGetDeviceIDs") == 0 || strcmp(report.failed, "clGetDeviceInfo") == 0) {
			assert_true(status == failure->status || status == FKM_ERROR_NO_DEVICE);
		} else {
			char code[32];
			snprintf(code, sizeof code, "%d", failure->result);
			assert_true(status == failure->status || (status == FKM_ERROR_NO_DEVICE && !opened));
			expect_message(code);
		}
	} else if (report.failed != NULL && !is_silent(report.failed)) {
		fail_msg("%s failed, and nothing said so", report.failed);
	}
	if (opened && status != FKM_OK && !failure->stays)
		use_again(context, scenario, status);
	fkm_context_destroy(context);
	expect_clean();
	return report.failed != NULL || fake_opencl_report().failed != NULL;
}

static void fail_everywhere(enum scenario scenario)
{
	static const struct failure failures[] = {
		{CL_OUT_OF_HOST_MEMORY, false, FKM_ERROR_OUT_OF_MEMORY},
		{CL_MEM_OBJECT_ALLOCATION_FAILURE, true, FKM_ERROR_OUT_OF_MEMORY},
		{CL_INVALID_VALUE, false, FKM_ERROR_BACKEND},
		{CL_INVALID_COMMAND_QUEUE, false, FKM_ERROR_DEVICE_LOST},
		{CL_DEVICE_NOT_AVAILABLE, true, FKM_ERROR_DEVICE_LOST},
	};
	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
		int n = 1;
		while (fail_at(n, scenario, &failures[i]))
			n++;
		assert_true(n > 200); /* calls of an open, a fit and a close */
	}
}

static void test_failures(void **state)
{
	(void)state;
	fail_everywhere(PLAIN);
}

static void test_failures_of_everything(void **state)
{
	(void)state;
	fail_everywhere(EVERYTHING);
}

static void test_failures_of_streaming(void **state)
{
	(void)state;
	fail_everywhere(STREAMING);
}

/* What the compiler says reaches the error, of both kinds of programs. */
static void test_build_failure(void **state)
{
	(void)state;
	struct fake_opencl_setup setup = two_devices;
	struct fkm_context *context;
	setup.build_log = "<source>:42:7: error: use of undeclared identifier 'fkmi_nowhere'";
	fake_opencl_reset(&setup);
	expect(create(0, &context), FKM_ERROR_BACKEND);
	assert_null(context);
	expect_message(
		"the program of the steps does not compile for Fake GPU (clBuildProgram: -11): <source>:42:7: error");
	expect_clean();

	fake_opencl_reset(&two_devices);
	expect(create(0, &context), FKM_OK);
	fake_opencl_arm(&setup);
	expect(fit(context, PLAIN), FKM_ERROR_BACKEND);
	expect_message("the program of tile 32x128 does not compile for Fake GPU");
	expect_message("fkmi_nowhere");
	fake_opencl_arm(&two_devices); /* it was for want of something else */
	expect(fit(context, PLAIN), FKM_OK);
	fkm_context_destroy(context);
	expect_clean();
}

static void test_exhausted_memory(void **state)
{
	(void)state;
	struct fake_opencl_setup setup = two_devices;
	struct fkm_context *context;
	setup.device[1].largest_buffer = 2000;
	fake_opencl_reset(&setup);
	expect(create(0, &context), FKM_OK);
	expect(fit(context, EVERYTHING), FKM_ERROR_OUT_OF_MEMORY);
	expect_message("2000 are allowed");
	fkm_context_destroy(context);
	expect_clean();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_failures_of_everything),
		cmocka_unit_test(test_failures_of_streaming),
		cmocka_unit_test(test_build_failure),
		cmocka_unit_test(test_exhausted_memory),
	};
	setenv("FKM_OPENCL_CACHE", "0", 1);
	return cmocka_run_group_tests_name("opencl faults", tests, NULL, NULL);
}
