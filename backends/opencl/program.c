/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels: building their embedded source, and launching them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opencl.h"

/* Written by scripts/bundle_kernels.py from kernels/common. */
extern const char fkmi_opencl_source[];
extern const size_t fkmi_opencl_source_bytes;

/* Never -cl-fast-relaxed-math or -cl-mad-enable: results are defined to the bit. */
static const char build_options[] = "-cl-std=CL1.2";

static enum fkm_status fail_build(struct fkmi_opencl *opencl, cl_int result)
{
	const struct fkmi_opencl_driver *driver = opencl->driver;
	size_t bytes = 0;
	char *log = NULL;
	if (driver->clGetProgramBuildInfo(opencl->program, opencl->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) == CL_SUCCESS)
		log = calloc(bytes + 1, 1);
	if (log != NULL && driver->clGetProgramBuildInfo(opencl->program, opencl->id, CL_PROGRAM_BUILD_LOG, bytes, log,
													 NULL) != CL_SUCCESS)
		log[0] = '\0';
	enum fkm_status status = fkmi_fail(FKM_ERROR_BACKEND, "the kernels do not compile for %s (clBuildProgram, %d): %s",
									   opencl->gpu.device.name, (int)result, log != NULL ? log : "no log");
	free(log);
	return status;
}

enum fkm_status fkmi_opencl_build(struct fkmi_opencl *opencl)
{
	const struct fkmi_opencl_driver *driver = opencl->driver;
	const char *source = fkmi_opencl_source;
	const size_t bytes = fkmi_opencl_source_bytes;
	cl_int result;
	opencl->program = driver->clCreateProgramWithSource(opencl->context, 1, &source, &bytes, &result);
	FKMI_TRY(fkmi_opencl_check(result, "clCreateProgramWithSource", FKM_ERROR_BACKEND));
	result = driver->clBuildProgram(opencl->program, 1, &opencl->id, build_options, NULL, NULL);
	if (result == CL_SUCCESS)
		return FKM_OK;
	return fail_build(opencl, result);
}

void fkmi_opencl_release_program(struct fkmi_opencl *opencl)
{
	for (int32_t i = 0; i < opencl->kernel_count; i++)
		opencl->driver->clReleaseKernel(opencl->kernels[i].kernel);
	opencl->kernel_count = 0;
	if (opencl->program != NULL)
		opencl->driver->clReleaseProgram(opencl->program);
	opencl->program = NULL;
}

/* ---- launching ---- */

static enum fkm_status find_kernel(struct fkmi_opencl *opencl, const char *name, cl_kernel *kernel)
{
	for (int32_t i = 0; i < opencl->kernel_count; i++) {
		if (strcmp(opencl->kernels[i].name, name) == 0) {
			*kernel = opencl->kernels[i].kernel;
			return FKM_OK;
		}
	}
	if (opencl->kernel_count == FKMI_OPENCL_MOST_KERNELS)
		return fkmi_fail(FKM_ERROR_INTERNAL, "no room for kernel %s", name);
	cl_int result;
	char what[128];
	*kernel = opencl->driver->clCreateKernel(opencl->program, name, &result);
	snprintf(what, sizeof what, "finding kernel %s (clCreateKernel)", name);
	FKMI_TRY(fkmi_opencl_check(result, what, FKM_ERROR_BACKEND));
	opencl->kernels[opencl->kernel_count++] = (struct fkmi_opencl_kernel){name, *kernel};
	return FKM_OK;
}

/* A place takes two parameters: the buffer, and the offset in it. */
static cl_int set_arguments(const struct fkmi_opencl *opencl, cl_kernel kernel, const struct fkmi_gpu_launch *launch)
{
	const struct fkmi_opencl_driver *driver = opencl->driver;
	cl_uint index = 0;
	cl_int result = CL_SUCCESS;
	for (int32_t i = 0; i < launch->argument_count && result == CL_SUCCESS; i++) {
		const struct fkmi_gpu_arg *argument = &launch->arguments[i];
		if (argument->kind == FKMI_GPU_VALUE) {
			result = driver->clSetKernelArg(kernel, index++, argument->bytes, &argument->value);
			continue;
		}
		cl_mem buffer = argument->value.ref.base;
		cl_long offset = buffer != NULL ? argument->value.ref.offset : 0;
		result = driver->clSetKernelArg(kernel, index++, sizeof(cl_mem), &buffer);
		if (result == CL_SUCCESS)
			result = driver->clSetKernelArg(kernel, index++, sizeof offset, &offset);
	}
	return result;
}

static enum fkm_status launch_kernel(struct fkmi_gpu *gpu, const struct fkmi_gpu_launch *launch)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)gpu;
	cl_kernel kernel = NULL;
	FKMI_TRY(find_kernel(opencl, launch->kernel, &kernel));
	cl_int result = set_arguments(opencl, kernel, launch);
	const size_t group = (size_t)launch->group, items = (size_t)launch->groups * group;
	if (result == CL_SUCCESS)
		result = opencl->driver->clEnqueueNDRangeKernel(opencl->queue, kernel, 1, NULL, &items, &group, 0, NULL, NULL);
	if (result == CL_SUCCESS)
		return FKM_OK;
	char what[160];
	snprintf(what, sizeof what, "launching kernel %s, %lld x %d items,", launch->kernel, (long long)launch->groups,
			 (int)launch->group);
	return fkmi_opencl_check(result, what, FKM_ERROR_BACKEND);
}

const struct fkmi_gpu_driver fkmi_opencl_gpu_driver = {.launch = launch_kernel};
