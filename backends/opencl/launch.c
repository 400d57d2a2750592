/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels: finding them in the programs, and launching them. */
#include <stdio.h>
#include <string.h>

#include "opencl.h"

/* The program of a tile, built when a kernel of it is first launched; without a tile, that of the steps. */
static enum fkm_status find_program(struct fkmi_opencl *opencl, const struct fkmi_tile *tile, cl_program *program)
{
	if (tile == NULL) {
		*program = opencl->steps;
		return FKM_OK;
	}
	cl_program *place = &opencl->tiles[fkmi_opencl_tile_index(tile)];
	if (*place == NULL)
		FKMI_TRY(fkmi_opencl_build_tile(opencl, tile));
	*program = *place;
	return FKM_OK;
}

static enum fkm_status find_kernel(struct fkmi_opencl *opencl, const char *name, const struct fkmi_tile *tile,
								   cl_kernel *kernel)
{
	for (int32_t i = 0; i < opencl->kernel_count; i++) {
		if (opencl->kernels[i].tile == tile && strcmp(opencl->kernels[i].name, name) == 0) {
			*kernel = opencl->kernels[i].kernel;
			return FKM_OK;
		}
	}
	if (opencl->kernel_count == FKMI_OPENCL_MOST_KERNELS)
		return fkmi_fail(FKM_ERROR_INTERNAL, "no room for kernel %s", name);
	cl_program program = NULL;
	FKMI_TRY(find_program(opencl, tile, &program));
	cl_int result;
	char what[128];
	*kernel = opencl->driver->clCreateKernel(program, name, &result);
	snprintf(what, sizeof what, "finding kernel %s (clCreateKernel)", name);
	FKMI_TRY(fkmi_opencl_check(result, what, FKM_ERROR_BACKEND));
	opencl->kernels[opencl->kernel_count++] = (struct fkmi_opencl_kernel){name, tile, *kernel};
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
	FKMI_TRY(find_kernel(opencl, launch->kernel, launch->tile, &kernel));
	cl_int result = set_arguments(opencl, kernel, launch);
	const int32_t own_group = launch->tile != NULL ? fkmi_opencl_shape_of(launch->tile)->group : launch->group;
	const size_t group = (size_t)own_group, items = (size_t)launch->groups * group;
	if (result == CL_SUCCESS)
		result = opencl->driver->clEnqueueNDRangeKernel(opencl->queue, kernel, 1, NULL, &items, &group, 0, NULL, NULL);
	if (result == CL_SUCCESS)
		return FKM_OK;
	char what[160];
	snprintf(what, sizeof what, "launching kernel %s, %lld x %d items,", launch->kernel, (long long)launch->groups,
			 (int)own_group);
	return fkmi_opencl_check(result, what, FKM_ERROR_BACKEND);
}

const struct fkmi_gpu_driver fkmi_opencl_gpu_driver = {.launch = launch_kernel, .is_aligned = fkmi_opencl_is_aligned};
