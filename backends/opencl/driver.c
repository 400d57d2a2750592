/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "dynload.h"
#include "opencl.h"

static struct fkmi_opencl_driver table;
static bool loaded;
static char load_problem[768];

static void load_once(void)
{
	static const char *const sonames[] = {"libOpenCL.so.1", NULL};
#define FKMI_OPENCL_SYMBOL(name) {#name, offsetof(struct fkmi_opencl_driver, name), false},
	static const struct fkmi_symbol symbols[] = {FKMI_OPENCL_FUNCTIONS(FKMI_OPENCL_SYMBOL)};
#undef FKMI_OPENCL_SYMBOL
	static const struct fkmi_library library = {
		.override_variable = "FKM_OPENCL_LIBRARY",
		.sonames = sonames,
		.prefer_loaded = true,
		.symbols = symbols,
		.symbol_count = sizeof symbols / sizeof symbols[0],
	};
	loaded = fkmi_dynload(&library, &table, NULL, load_problem, sizeof load_problem);
}

enum fkm_status fkmi_opencl_driver_open(const struct fkmi_opencl_driver **driver)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	*driver = NULL;
	if (pthread_once(&once, load_once) != 0)
		return fkmi_fail(FKM_ERROR_INTERNAL, "the OpenCL loader cannot be opened: pthread_once failed");
	if (!loaded)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the OpenCL loader cannot be used: %s", load_problem);
	*driver = &table;
	return FKM_OK;
}

/* The numbers of questions about platforms are below those about devices. */
static cl_int ask(const struct fkmi_opencl_driver *driver, cl_device_id id, cl_uint what, size_t bytes, void *value,
				  size_t *needed)
{
	if (what >= CL_DEVICE_TYPE)
		return driver->clGetDeviceInfo(id, what, bytes, value, needed);
	cl_platform_id platform = NULL;
	cl_int result = driver->clGetDeviceInfo(id, CL_DEVICE_PLATFORM, sizeof(cl_platform_id), &platform, NULL);
	return result == CL_SUCCESS ? driver->clGetPlatformInfo(platform, what, bytes, value, needed) : result;
}

cl_int fkmi_opencl_ask_text(const struct fkmi_opencl_driver *driver, cl_device_id id, cl_uint what, char *text,
							size_t capacity)
{
	size_t bytes = 0;
	text[0] = '\0';
	cl_int result = ask(driver, id, what, 0, NULL, &bytes);
	if (result != CL_SUCCESS)
		return result;
	char *all = calloc(bytes + 1, 1);
	if (all == NULL)
		return CL_OUT_OF_HOST_MEMORY;
	result = ask(driver, id, what, bytes, all, NULL);
	if (result == CL_SUCCESS)
		snprintf(text, capacity, "%s", all);
	free(all);
	return result;
}

static const char *name_of(cl_int result)
{
	static const struct {
		cl_int result;
		const char *name;
	} names[] = {
		{-1, "CL_DEVICE_NOT_FOUND"},
		{-2, "CL_DEVICE_NOT_AVAILABLE"},
		{-3, "CL_COMPILER_NOT_AVAILABLE"},
		{-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
		{-5, "CL_OUT_OF_RESOURCES"},
		{-6, "CL_OUT_OF_HOST_MEMORY"},
		{-11, "CL_BUILD_PROGRAM_FAILURE"},
		{-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
		{-30, "CL_INVALID_VALUE"},
		{-33, "CL_INVALID_DEVICE"},
		{-34, "CL_INVALID_CONTEXT"},
		{-36, "CL_INVALID_COMMAND_QUEUE"},
		{-38, "CL_INVALID_MEM_OBJECT"},
		{-43, "CL_INVALID_BUILD_OPTIONS"},
		{-45, "CL_INVALID_PROGRAM_EXECUTABLE"},
		{-46, "CL_INVALID_KERNEL_NAME"},
		{-48, "CL_INVALID_KERNEL"},
		{-49, "CL_INVALID_ARG_INDEX"},
		{-50, "CL_INVALID_ARG_VALUE"},
		{-51, "CL_INVALID_ARG_SIZE"},
		{-52, "CL_INVALID_KERNEL_ARGS"},
		{-54, "CL_INVALID_WORK_GROUP_SIZE"},
		{-61, "CL_INVALID_BUFFER_SIZE"},
		{-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
	};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].result == result)
			return names[i].name;
	return "an OpenCL error";
}

enum fkm_status fkmi_opencl_check(cl_int result, const char *what, enum fkm_status other)
{
	enum { DRIVER_FAULT = -9999 }; /* an illegal access, by NVIDIA's driver */
	if (result == CL_SUCCESS)
		return FKM_OK;
	enum fkm_status status = other;
	if (result == CL_MEM_OBJECT_ALLOCATION_FAILURE || result == CL_OUT_OF_HOST_MEMORY)
		status = FKM_ERROR_OUT_OF_MEMORY;
	else if (result == CL_DEVICE_NOT_AVAILABLE || result == CL_INVALID_COMMAND_QUEUE || result == DRIVER_FAULT)
		status = FKM_ERROR_DEVICE_LOST;
	return fkmi_fail(status, "%s failed: %s (%d)", what, name_of(result), (int)result);
}
