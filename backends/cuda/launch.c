/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded code: loading it, finding kernels in it, launching them. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cuda.h"

/* Written by scripts/embed.sh: fat binaries, of which the driver takes what fits the device. */
extern const unsigned char fkmi_cuda_image_common[];
extern const unsigned char fkmi_cuda_image_sm90[];

static const struct {
	const char *name;
	const unsigned char *code;
	uint64_t needs;
} images[FKMI_CUDA_IMAGES] = {
	[FKMI_CUDA_IMAGE_COMMON] = {"common", fkmi_cuda_image_common, 0},
	[FKMI_CUDA_IMAGE_SM90] = {"sm_90a", fkmi_cuda_image_sm90, FKMI_CUDA_SM90},
};

enum fkm_status fkmi_cuda_load(struct fkmi_cuda *cuda)
{
	const uint64_t features = cuda->gpu.device.limits.features;
	for (int i = 0; i < FKMI_CUDA_IMAGES; i++) {
		if ((images[i].needs & ~features) != 0)
			continue;
		fkmi_cu_module module = NULL;
		char what[64];
		snprintf(what, sizeof what, "loading the %s kernels (cuModuleLoadData)", images[i].name);
		FKMI_TRY(fkmi_cuda_check(cuda->driver, cuda->driver->module_load(&module, images[i].code), what,
								 FKM_ERROR_NO_DEVICE));
		cuda->modules[i] = module;
	}
	return FKM_OK;
}

void fkmi_cuda_unload(struct fkmi_cuda *cuda)
{
	for (int i = 0; i < FKMI_CUDA_IMAGES; i++) {
		if (cuda->modules[i] != NULL)
			cuda->driver->module_unload(cuda->modules[i]);
		cuda->modules[i] = NULL;
	}
}

/* The slot of a name, or the free one where it belongs. */
static struct fkmi_cuda_kernel *slot_of(struct fkmi_cuda *cuda, const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (const char *c = name; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (uint32_t i = hash % FKMI_CUDA_KERNEL_SLOTS;; i = (i + 1) % FKMI_CUDA_KERNEL_SLOTS) {
		struct fkmi_cuda_kernel *kernel = &cuda->kernels[i];
		if (kernel->function == NULL || strcmp(kernel->name, name) == 0)
			return kernel;
	}
}

static enum fkm_status find_kernel(struct fkmi_cuda *cuda, const char *name, struct fkmi_cuda_kernel **found)
{
	struct fkmi_cuda_kernel *kernel = slot_of(cuda, name);
	*found = kernel;
	if (kernel->function != NULL)
		return FKM_OK;
	assert(strlen(name) < sizeof kernel->name);
	assert(cuda->kernel_count < FKMI_CUDA_KERNEL_SLOTS / 2);
	fkmi_cu_result result = FKMI_CU_NOT_FOUND;
	fkmi_cu_function function = NULL;
	for (int i = 0; i < FKMI_CUDA_IMAGES && result == FKMI_CU_NOT_FOUND; i++)
		if (cuda->modules[i] != NULL)
			result = cuda->driver->module_function(&function, cuda->modules[i], name);
	char what[128];
	snprintf(what, sizeof what, "finding kernel %s (cuModuleGetFunction)", name);
	FKMI_TRY(fkmi_cuda_check(cuda->driver, result, what, FKM_ERROR_BACKEND));
	snprintf(kernel->name, sizeof kernel->name, "%s", name);
	kernel->function = function;
	kernel->local_bytes = 48 * 1024; /* what every kernel may use without asking */
	cuda->kernel_count++;
	return FKM_OK;
}

static enum fkm_status allow_local(struct fkmi_cuda *cuda, struct fkmi_cuda_kernel *kernel, int32_t bytes)
{
	if (bytes <= kernel->local_bytes)
		return FKM_OK;
	char what[160];
	snprintf(what, sizeof what, "giving kernel %s %d bytes of shared memory (cuFuncSetAttribute)", kernel->name, bytes);
	FKMI_TRY(fkmi_cuda_check(cuda->driver,
							 cuda->driver->function_set(kernel->function, FKMI_CU_FUNCTION_MAX_DYNAMIC_SHARED, bytes),
							 what, FKM_ERROR_BACKEND));
	kernel->local_bytes = bytes;
	return FKM_OK;
}

static enum fkm_status launch_entered(struct fkmi_cuda *cuda, const struct fkmi_cuda_launch *launch)
{
	struct fkmi_cuda_kernel *kernel;
	FKMI_TRY(find_kernel(cuda, launch->kernel, &kernel));
	FKMI_TRY(allow_local(cuda, kernel, launch->local_bytes));
	struct fkmi_cu_launch_attribute attributes[2];
	struct fkmi_cu_launch_config config = {
		.grid = {(uint32_t)launch->blocks, 1, 1},
		.block = {(uint32_t)launch->threads, 1, 1},
		.shared_bytes = (uint32_t)launch->local_bytes,
		.stream = cuda->stream,
		.attributes = attributes,
	};
	if (launch->cluster > 0)
		attributes[config.attribute_count++] = (struct fkmi_cu_launch_attribute){
			.id = FKMI_CU_LAUNCH_CLUSTER, .value.cluster = {(uint32_t)launch->cluster, 1, 1}};
	if (launch->overlap)
		attributes[config.attribute_count++] =
			(struct fkmi_cu_launch_attribute){.id = FKMI_CU_LAUNCH_PROGRAMMATIC, .value.programmatic = 1};
	fkmi_cu_result result = cuda->driver->launch(&config, kernel->function, launch->arguments, NULL);
	if (result == FKMI_CU_SUCCESS)
		return FKM_OK;
	char what[160];
	snprintf(what, sizeof what, "launching kernel %s, %lld x %d threads, (cuLaunchKernelEx)", kernel->name,
			 (long long)launch->blocks, launch->threads);
	return fkmi_cuda_check(cuda->driver, result, what, FKM_ERROR_BACKEND);
}

enum fkm_status fkmi_cuda_launch(struct fkmi_cuda *cuda, const struct fkmi_cuda_launch *launch)
{
	assert(launch->blocks <= INT32_MAX);
	if (launch->blocks <= 0)
		return FKM_OK;
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status = launch_entered(cuda, launch);
	fkmi_cuda_leave(cuda);
	return status;
}

enum fkm_status fkmi_cuda_launch_gpu(struct fkmi_gpu *gpu, const struct fkmi_gpu_launch *launch)
{
	enum { MOST_ARGUMENTS = 64 };
	fkmi_cu_pointer places[MOST_ARGUMENTS];
	void *arguments[MOST_ARGUMENTS];
	assert(launch->argument_count <= MOST_ARGUMENTS);
	for (int32_t i = 0; i < launch->argument_count; i++) {
		const struct fkmi_gpu_arg *argument = &launch->arguments[i];
		places[i] = argument->kind == FKMI_GPU_REF && argument->value.ref.base != NULL
						? (fkmi_cu_pointer)(uintptr_t)fkmi_ref_ptr(argument->value.ref)
						: 0;
		/* The driver reads as many bytes as the parameter has. */
		arguments[i] = argument->kind == FKMI_GPU_REF ? (void *)&places[i] : (void *)(uintptr_t)&argument->value;
	}
	return fkmi_cuda_launch((struct fkmi_cuda *)gpu, &(struct fkmi_cuda_launch){
														 .kernel = launch->kernel,
														 .blocks = launch->groups,
														 .threads = launch->group,
														 .local_bytes = launch->local_bytes,
														 .arguments = arguments,
													 });
}

enum fkm_status fkmi_cuda_kernel_facts(struct fkmi_cuda *cuda, const char *kernel, struct fkmi_cuda_kernel_facts *facts)
{
	const struct {
		int attribute, *value;
	} asked[] = {
		{FKMI_CU_FUNCTION_REGISTERS, &facts->registers},
		{FKMI_CU_FUNCTION_LOCAL_BYTES, &facts->local_bytes},
		{FKMI_CU_FUNCTION_BINARY_VERSION, &facts->binary_version},
	};
	struct fkmi_cuda_kernel *found;
	*facts = (struct fkmi_cuda_kernel_facts){0};
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status = find_kernel(cuda, kernel, &found);
	for (size_t i = 0; i < sizeof asked / sizeof asked[0] && status == FKM_OK; i++)
		status = fkmi_cuda_check(cuda->driver,
								 cuda->driver->function_get(asked[i].value, asked[i].attribute, found->function),
								 "cuFuncGetAttribute", FKM_ERROR_BACKEND);
	fkmi_cuda_leave(cuda);
	return status;
}

enum fkm_status fkmi_cuda_tensor_map(struct fkmi_cuda *cuda, const struct fkmi_cuda_matrices *m,
									 struct fkmi_cu_tensor_map *map)
{
	enum { RANK = 3 };
	const uint64_t sizes[RANK] = {m->columns, m->rows, m->count};
	const uint64_t strides[RANK - 1] = {m->row_stride_bytes, m->stride_bytes};
	const uint32_t box[RANK] = {m->box_columns, m->box_rows, 1}, steps[RANK] = {1, 1, 1};
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status =
		fkmi_cuda_check(cuda->driver,
						cuda->driver->tensor_map(map, m->type, RANK, (void *)(uintptr_t)m->address, sizes, strides, box,
												 steps, 0, m->swizzle, m->l2_promotion, 0),
						"cuTensorMapEncodeTiled", FKM_ERROR_BACKEND);
	fkmi_cuda_leave(cuda);
	return status;
}
