/* SPDX-License-Identifier: Apache-2.0 */
/* Launches of kernels with what only CUDA has, and what the driver says of kernels. */
#include <assert.h>
#include <stdio.h>

#include "cuda.h"

static enum fkm_status allow_local(struct fkmi_cuda *cuda, struct fkmi_runtime_kernel *kernel, int32_t bytes)
{
	enum { FREE_BYTES = 48 * 1024 }; /* what every kernel may use without asking */
	if (bytes <= FREE_BYTES || bytes <= kernel->local_bytes)
		return FKM_OK;
	char what[160];
	snprintf(what, sizeof what, "giving kernel %s %d bytes of shared memory (cuFuncSetAttribute)", kernel->name, bytes);
	FKMI_TRY(fkmi_cuda_check(cuda->driver->function_set(kernel->function, FKMI_CU_FUNCTION_MAX_DYNAMIC_SHARED, bytes),
							 what, FKM_ERROR_BACKEND));
	kernel->local_bytes = bytes;
	return FKM_OK;
}

static enum fkm_status launch_entered(struct fkmi_cuda *cuda, const struct fkmi_cuda_launch *launch)
{
	struct fkmi_runtime_kernel *kernel;
	FKMI_TRY(fkmi_runtime_find(&cuda->base, launch->kernel, &kernel));
	FKMI_TRY(allow_local(cuda, kernel, launch->local_bytes));
	struct fkmi_cu_launch_attribute attributes[3];
	struct fkmi_cu_launch_config config = {
		.grid = {(uint32_t)launch->blocks, 1, 1},
		.block = {(uint32_t)launch->threads, 1, 1},
		.shared_bytes = (uint32_t)launch->local_bytes,
		.stream = cuda->base.stream,
		.attributes = attributes,
	};
	if (launch->cluster > 0)
		attributes[config.attribute_count++] = (struct fkmi_cu_launch_attribute){
			.id = FKMI_CU_LAUNCH_CLUSTER, .value.cluster = {(uint32_t)launch->cluster, 1, 1}};
	if (launch->together)
		attributes[config.attribute_count++] =
			(struct fkmi_cu_launch_attribute){.id = FKMI_CU_LAUNCH_COOPERATIVE, .value.cooperative = 1};
	if (launch->overlap)
		attributes[config.attribute_count++] =
			(struct fkmi_cu_launch_attribute){.id = FKMI_CU_LAUNCH_PROGRAMMATIC, .value.programmatic = 1};
	fkmi_cu_result result = cuda->driver->launch(&config, kernel->function, launch->arguments, NULL);
	if (result == FKMI_CU_SUCCESS)
		return FKM_OK;
	char what[160];
	snprintf(what, sizeof what, "launching kernel %s, %lld x %d threads, (cuLaunchKernelEx)", kernel->name,
			 (long long)launch->blocks, launch->threads);
	return fkmi_cuda_check(result, what, FKM_ERROR_BACKEND);
}

enum fkm_status fkmi_cuda_launch(struct fkmi_cuda *cuda, const struct fkmi_cuda_launch *launch)
{
	assert(launch->blocks <= INT32_MAX);
	if (launch->blocks <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_runtime_enter(&cuda->base));
	enum fkm_status status = launch_entered(cuda, launch);
	fkmi_runtime_leave(&cuda->base);
	return status;
}

enum fkm_status fkmi_cuda_launch_plain(struct fkmi_runtime_gpu *gpu, const struct fkmi_runtime_launch *launch)
{
	return fkmi_cuda_launch((struct fkmi_cuda *)gpu, &(struct fkmi_cuda_launch){
														 .kernel = launch->kernel,
														 .blocks = launch->blocks,
														 .threads = launch->threads,
														 .local_bytes = launch->local_bytes,
														 .arguments = launch->arguments,
													 });
}

enum fkm_status fkmi_cuda_kernel_facts(struct fkmi_device *device, const char *kernel, struct fkmi_kernel_facts *facts)
{
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	const struct {
		int attribute;
		int32_t *value;
	} asked[] = {
		{FKMI_CU_FUNCTION_REGISTERS, &facts->registers},
		{FKMI_CU_FUNCTION_LOCAL_BYTES, &facts->spilled_bytes},
	};
	struct fkmi_runtime_kernel *found;
	*facts = (struct fkmi_kernel_facts){0};
	FKMI_TRY(fkmi_runtime_enter(&cuda->base));
	enum fkm_status status = fkmi_runtime_find(&cuda->base, kernel, &found);
	for (size_t i = 0; i < sizeof asked / sizeof asked[0] && status == FKM_OK; i++)
		status = fkmi_cuda_check(cuda->driver->function_get(asked[i].value, asked[i].attribute, found->function),
								 "cuFuncGetAttribute", FKM_ERROR_BACKEND);
	fkmi_runtime_leave(&cuda->base);
	return status;
}

enum fkm_status fkmi_cuda_tensor_map(struct fkmi_cuda *cuda, const struct fkmi_cuda_matrices *m,
									 struct fkmi_cu_tensor_map *map)
{
	enum { RANK = 3 };
	const uint64_t sizes[RANK] = {m->columns, m->rows, m->count};
	const uint64_t strides[RANK - 1] = {m->row_stride_bytes, m->stride_bytes};
	const uint32_t box[RANK] = {m->box_columns, m->box_rows, 1}, steps[RANK] = {1, 1, 1};
	FKMI_TRY(fkmi_runtime_enter(&cuda->base));
	enum fkm_status status =
		fkmi_cuda_check(cuda->driver->tensor_map(map, m->type, RANK, (void *)(uintptr_t)m->address, sizes, strides, box,
												 steps, 0, m->swizzle, m->l2_promotion, 0),
						"cuTensorMapEncodeTiled", FKM_ERROR_BACKEND);
	fkmi_runtime_leave(&cuda->base);
	return status;
}
