/* SPDX-License-Identifier: Apache-2.0 */
/* src/registry.c: choosing among backends, listing their devices, logging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "registry.h"

/* ---- backends that open or fail as told ------------------------------------------------------------------------ */

enum { CUDA, HIP, CPU, FAKES };

static struct {
	enum fkm_status status;
	int opened;
	int32_t devices;
	int32_t last_capacity;
} fakes[FAKES];

static struct fkmi_open_params last_params;
static struct fkmi_device devices[FAKES];

static enum fkm_status fake_open(int which, const struct fkmi_open_params *params, struct fkmi_device **device)
{
	fakes[which].opened++;
	last_params = *params;
	*device = &devices[which]; /* also on failure: the registry must not pass it on */
	if (fakes[which].status != FKM_OK)
		return fkmi_fail(fakes[which].status, "fake %d does not work", which);
	return FKM_OK;
}

static enum fkm_status fake_list(int which, struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	if (fakes[which].status != FKM_OK)
		return fkmi_fail(fakes[which].status, "fake %d cannot list", which);
	fakes[which].last_capacity = capacity;
	*count = fakes[which].devices;
	for (int32_t i = 0; i < *count && i < capacity; i++) {
		infos[i].device = i;
		snprintf(infos[i].name, sizeof infos[i].name, "fake %d.%d", which, (int)i);
		snprintf(infos[i].detail, sizeof infos[i].detail, "Platform %c", 'A' + which + i);
	}
	return FKM_OK;
}

#define FAKE(which, upper)                                                                                             \
	static enum fkm_status which##_open(const struct fkmi_open_params *params, struct fkmi_device **device)            \
	{                                                                                                                  \
		return fake_open(upper, params, device);                                                                       \
	}                                                                                                                  \
	static enum fkm_status which##_list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)               \
	{                                                                                                                  \
		return fake_list(upper, infos, capacity, count);                                                               \
	}                                                                                                                  \
	static const struct fkmi_backend which = {.name = #which, .open = which##_open, .list = which##_list};

FAKE(cuda, CUDA)
FAKE(hip, HIP)
FAKE(cpu, CPU)

static const struct fkmi_backend *const backends[] = {&cuda, &hip, &cpu};

/* ---- a log that is kept ---------------------------------------------------------------------------------------- */

static char logged[4096];
static int lines;

static void keep(void *user, enum fkm_log_level level, const char *line)
{
	assert_ptr_equal(user, &lines);
	lines++;
	size_t used = strlen(logged);
	snprintf(logged + used, sizeof logged - used, "%d %s\n", (int)level, line);
}

static struct fkmi_logger logger_at(enum fkm_log_level level)
{
	return (struct fkmi_logger){.log = keep, .user = &lines, .level = level};
}

static int setup(void **state)
{
	(void)state;
	memset(fakes, 0, sizeof fakes);
	memset(devices, 0, sizeof devices);
	for (int i = 0; i < FAKES; i++) {
		devices[i].backend = backends[i];
		snprintf(devices[i].name, sizeof devices[i].name, "device of fake %d", i);
	}
	logged[0] = '\0';
	lines = 0;
	unsetenv("FKM_BACKEND");
	return 0;
}

static enum fkm_status open_by(const char *name, struct fkmi_device **device)
{
	const struct fkmi_open_params params = {.device = 3, .threads = 5};
	const struct fkmi_logger logger = logger_at(FKM_LOG_DEBUG);
	*device = &devices[0];
	return fkmi_registry_open(backends, FAKES, name, &params, &logger, device);
}

static void says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void test_order_of_the_build(void **state)
{
	(void)state;
	static const char *const order[] = {"cuda", "hip", "opencl", "cpu"};
	int32_t count, at = 0;
	const struct fkmi_backend *const *list = fkmi_registry(&count);
	assert_in_range(count, 1, 4);
	for (int32_t i = 0; i < count; i++) {
		while (at < 4 && strcmp(order[at], list[i]->name) != 0)
			at++;
		assert_in_range(at, 0, 3);
	}
	assert_string_equal(list[count - 1]->name, "cpu");
}

static void test_automatic_takes_the_first_that_opens(void **state)
{
	(void)state;
	struct fkmi_device *device;
	assert_int_equal(open_by(NULL, &device), FKM_OK);
	assert_ptr_equal(device, &devices[CUDA]);
	assert_int_equal(fakes[HIP].opened + fakes[CPU].opened, 0);
	assert_int_equal(last_params.device, 3);
	assert_int_equal(last_params.threads, 5);
	says(logged, "3 backend cuda, the first that works: device of fake 0\n");
}

static void test_automatic_logs_what_it_passes_over(void **state)
{
	(void)state;
	struct fkmi_device *device;
	fakes[CUDA].status = FKM_ERROR_NO_DEVICE;
	fakes[HIP].status = FKM_ERROR_BACKEND;
	fkmi_fail(FKM_ERROR_INTERNAL, "the failure before");
	assert_int_equal(open_by("", &device), FKM_OK);
	assert_ptr_equal(device, &devices[CPU]);
	says(logged, "4 backend opencl: not in this build\n");
	says(logged, "3 backend cuda passed over: fake 0 does not work\n");
	says(logged, "2 backend hip passed over: fake 1 does not work\n");
	says(logged, "3 backend cpu, the first that works: device of fake 2\n");
	assert_int_equal(lines, 4);
	assert_string_equal(fkm_error_message(), "the failure before");
}

static void test_automatic_without_any(void **state)
{
	(void)state;
	struct fkmi_device *device;
	fakes[CUDA].status = fakes[HIP].status = FKM_ERROR_NO_DEVICE;
	fakes[CPU].status = FKM_ERROR_OUT_OF_MEMORY;
	assert_int_equal(open_by(NULL, &device), FKM_ERROR_NO_DEVICE);
	assert_null(device);
	assert_string_equal(fkm_error_message(), "no backend works: cuda: fake 0 does not work; hip: fake 1 does not work; "
											 "cpu: fake 2 does not work");
	fakes[CUDA].status = fakes[HIP].status = FKM_ERROR_OUT_OF_MEMORY;
	assert_int_equal(open_by(NULL, &device), FKM_ERROR_OUT_OF_MEMORY);
	fakes[CPU].status = FKM_ERROR_NO_DEVICE;
	assert_int_equal(open_by(NULL, &device), FKM_ERROR_NO_DEVICE);
	const struct fkmi_open_params params = {0};
	assert_int_equal(fkmi_registry_open(backends, 0, NULL, &params, NULL, &device), FKM_ERROR_NO_DEVICE);
}

static void test_named_never_falls_back(void **state)
{
	(void)state;
	struct fkmi_device *device;
	setenv("FKM_BACKEND", "cuda", 1); /* a name in the call comes first */
	assert_int_equal(open_by("hip", &device), FKM_OK);
	assert_ptr_equal(device, &devices[HIP]);
	assert_int_equal(fakes[CUDA].opened, 0);
	fakes[HIP].status = FKM_ERROR_BACKEND;
	assert_int_equal(open_by("hip", &device), FKM_ERROR_BACKEND);
	assert_null(device);
	assert_string_equal(fkm_error_message(), "fake 1 does not work");
	assert_int_equal(fakes[CUDA].opened + fakes[CPU].opened, 0);
}

static void test_environment(void **state)
{
	(void)state;
	struct fkmi_device *device;
	setenv("FKM_BACKEND", "cpu", 1);
	assert_int_equal(open_by(NULL, &device), FKM_OK);
	assert_ptr_equal(device, &devices[CPU]);
	assert_int_equal(fakes[CUDA].opened, 0);
	says(logged, "backend cpu, chosen by environment variable FKM_BACKEND");
	fakes[CPU].status = FKM_ERROR_NO_DEVICE;
	assert_int_equal(open_by(NULL, &device), FKM_ERROR_NO_DEVICE);
	assert_int_equal(fakes[CUDA].opened, 0);
	setenv("FKM_BACKEND", "tpu", 1);
	assert_int_equal(open_by("", &device), FKM_ERROR_NO_DEVICE);
	says(fkm_error_message(), "environment variable FKM_BACKEND is \"tpu\"");
	setenv("FKM_BACKEND", "", 1);
	assert_int_equal(open_by(NULL, &device), FKM_OK);
	assert_ptr_equal(device, &devices[CUDA]);
}

static void test_unknown_names(void **state)
{
	(void)state;
	struct fkmi_device *device;
	assert_int_equal(open_by("metal", &device), FKM_ERROR_NO_DEVICE);
	assert_null(device);
	assert_string_equal(fkm_error_message(), "backend is \"metal\", which is none of the backends: cuda, hip, cpu; "
											 "opencl: not in this build");
	assert_int_equal(open_by("opencl", &device), FKM_ERROR_NO_DEVICE);
	says(fkm_error_message(), "opencl: not in this build");
	assert_int_equal(open_by("CPU", &device), FKM_ERROR_NO_DEVICE);
	assert_int_equal(open_by("cp", &device), FKM_ERROR_NO_DEVICE);
	assert_int_equal(fakes[CUDA].opened + fakes[HIP].opened + fakes[CPU].opened, 0);
}

static void test_a_queue_needs_a_name(void **state)
{
	(void)state;
	int queue;
	const struct fkmi_open_params with_queue = {.native_queue = &queue}, with_context = {.native_context = &queue};
	struct fkmi_device *device;
	setenv("FKM_BACKEND", "cuda", 1);
	assert_int_equal(fkmi_registry_open(backends, FAKES, NULL, &with_queue, NULL, &device), FKM_ERROR_INVALID_ARGUMENT);
	assert_null(device);
	says(fkm_error_message(), "native_queue");
	assert_int_equal(fkmi_registry_open(backends, FAKES, "", &with_context, NULL, &device), FKM_ERROR_INVALID_ARGUMENT);
	says(fkm_error_message(), "native_context");
	assert_int_equal(fakes[CUDA].opened, 0);
	assert_int_equal(fkmi_registry_open(backends, FAKES, "cuda", &with_queue, NULL, &device), FKM_OK);
	assert_ptr_equal(last_params.native_queue, &queue);
}

static enum fkm_status open_called(const char *backend, const char *device_name)
{
	const struct fkmi_open_params params = {.device_name = device_name};
	struct fkmi_device *device;
	return fkmi_registry_open(backends, FAKES, backend, &params, NULL, &device);
}

static void test_devices_by_name(void **state)
{
	(void)state;
	fakes[CUDA].devices = fakes[HIP].devices = 3;
	assert_int_equal(open_called("cuda", "FAKE 0.2"), FKM_OK);
	assert_int_equal(last_params.device, 2);
	assert_int_equal(open_called("cuda", "ake"), FKM_OK); /* the first of several */
	assert_int_equal(last_params.device, 0);
	assert_int_equal(open_called("cuda", "platform b"), FKM_OK); /* by the detail */
	assert_int_equal(last_params.device, 1);
	assert_int_equal(open_called("cuda", "fake 1"), FKM_ERROR_NO_DEVICE);
	assert_string_equal(fkm_error_message(),
						"no device of backend cuda is called \"fake 1\"; there are fake 0.0 (Platform A), fake 0.1 "
						"(Platform B), fake 0.2 (Platform C)");
	assert_int_equal(open_called("cpu", "fake"), FKM_ERROR_NO_DEVICE);
	says(fkm_error_message(), "there are none");
	assert_int_equal(fakes[CUDA].opened, 3);

	/* Without a backend's name, the first that has such a device. */
	assert_int_equal(open_called(NULL, "fake 1.1"), FKM_OK);
	assert_int_equal(fakes[CUDA].opened, 3);
	assert_int_equal(fakes[HIP].opened, 1);
	assert_int_equal(last_params.device, 1);
	assert_int_equal(open_called(NULL, "nobody's"), FKM_ERROR_NO_DEVICE);
	says(fkm_error_message(), "cuda: no device of backend cuda is called");
}

static void test_log_levels(void **state)
{
	(void)state;
	const struct fkmi_logger logger = logger_at(FKM_LOG_WARNING), silent = {.level = FKM_LOG_DEBUG};
	fkmi_log(&logger, FKM_LOG_INFO, "too talkative");
	assert_int_equal(lines, 0);
	fkmi_log(&logger, FKM_LOG_WARNING, "%s %d", "warned", 7);
	fkmi_log(&logger, FKM_LOG_ERROR, "a driver's\ntwo\r\nlines");
	assert_string_equal(logged, "2 warned 7\n1 a driver's two  lines\n");
	fkmi_log(&silent, FKM_LOG_ERROR, "to nobody");
	fkmi_log(NULL, FKM_LOG_ERROR, "to nobody");
	assert_int_equal(lines, 2);
}

static void test_list(void **state)
{
	(void)state;
	struct fkm_device_info infos[8];
	int32_t count = -1;
	fakes[CUDA].devices = 2;
	fakes[HIP].devices = 1;
	fakes[CPU].devices = 1;
	assert_int_equal(fkmi_registry_list(backends, FAKES, NULL, 0, &count), FKM_OK);
	assert_int_equal(count, 4);

	memset(infos, '#', sizeof infos);
	assert_int_equal(fkmi_registry_list(backends, FAKES, infos, 8, &count), FKM_OK);
	assert_int_equal(count, 4);
	assert_string_equal(infos[0].name, "fake 0.0");
	assert_string_equal(infos[1].name, "fake 0.1");
	assert_string_equal(infos[2].name, "fake 1.0");
	assert_string_equal(infos[3].name, "fake 2.0");
	assert_int_equal(infos[4].name[0], '#');
	assert_int_equal(fakes[CPU].last_capacity, 5);

	memset(infos, '#', sizeof infos);
	assert_int_equal(fkmi_registry_list(backends, FAKES, infos, 1, &count), FKM_OK);
	assert_int_equal(count, 4);
	assert_string_equal(infos[0].name, "fake 0.0");
	assert_int_equal(infos[1].name[0], '#');
	assert_int_equal(fakes[CPU].last_capacity, 0);

	fakes[HIP].status = FKM_ERROR_OUT_OF_MEMORY;
	assert_int_equal(fkmi_registry_list(backends, FAKES, infos, 8, &count), FKM_ERROR_OUT_OF_MEMORY);
}

static void test_device_list(void **state)
{
	(void)state;
	struct fkm_device_info infos[64];
	int32_t count = -1, again = -1;
	assert_int_equal(fkm_device_list(NULL, 0, NULL), FKM_ERROR_INVALID_ARGUMENT);
	assert_string_equal(fkm_error_message(), "count is NULL");
	assert_int_equal(fkm_device_list(infos, -1, &count), FKM_ERROR_INVALID_ARGUMENT);
	says(fkm_error_message(), "-1");
	assert_int_equal(count, 0);
	assert_int_equal(fkm_device_list(NULL, 1, &count), FKM_ERROR_INVALID_ARGUMENT);
	says(fkm_error_message(), "infos is NULL");
	assert_int_equal(fkm_device_list(NULL, 0, &count), FKM_OK);
	assert_in_range(count, 1, 64);
	assert_int_equal(fkm_device_list(infos, 64, &again), FKM_OK);
	assert_int_equal(count, again);
	assert_string_equal(infos[count - 1].backend, "cpu");
	assert_int_equal(infos[count - 1].device, 0);
	assert_string_equal(infos[count - 1].problem, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_order_of_the_build, setup),
		cmocka_unit_test_setup(test_automatic_takes_the_first_that_opens, setup),
		cmocka_unit_test_setup(test_automatic_logs_what_it_passes_over, setup),
		cmocka_unit_test_setup(test_automatic_without_any, setup),
		cmocka_unit_test_setup(test_named_never_falls_back, setup),
		cmocka_unit_test_setup(test_environment, setup),
		cmocka_unit_test_setup(test_unknown_names, setup),
		cmocka_unit_test_setup(test_a_queue_needs_a_name, setup),
		cmocka_unit_test_setup(test_devices_by_name, setup),
		cmocka_unit_test_setup(test_log_levels, setup),
		cmocka_unit_test_setup(test_list, setup),
		cmocka_unit_test_setup(test_device_list, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
