/* SPDX-License-Identifier: Apache-2.0 */
/* The code embedded for CUDA and HIP: loading it, finding kernels in it, launching them for the common steps. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "runtime.h"

enum fkm_status fkmi_runtime_load(struct fkmi_runtime_gpu *gpu)
{
	const struct fkmi_runtime *runtime = gpu->runtime;
	assert(runtime->image_count <= FKMI_RUNTIME_IMAGES);
	for (int32_t i = 0; i < runtime->image_count; i++) {
		const struct fkmi_runtime_image *image = &runtime->images[i];
		if ((image->needs & ~gpu->gpu.device.limits.features) != 0)
			continue;
		void *module = NULL;
		char what[96];
		snprintf(what, sizeof what, "loading the %s kernels (%s)", image->name, runtime->names.module_load);
		const void *code = gpu->compiled != NULL ? gpu->compiled : image->code;
		FKMI_TRY(fkmi_runtime_check(runtime, runtime->calls->module_load(&module, code), what, FKM_ERROR_NO_DEVICE));
		gpu->modules[i] = module;
	}
	return FKM_OK;
}

void fkmi_runtime_unload(struct fkmi_runtime_gpu *gpu)
{
	for (int32_t i = 0; i < gpu->runtime->image_count; i++) {
		if (gpu->modules[i] != NULL)
			gpu->runtime->calls->module_unload(gpu->modules[i]);
		gpu->modules[i] = NULL;
	}
}

/* The slot of a name, or the free one where it belongs. */
static struct fkmi_runtime_kernel *slot_of(struct fkmi_runtime_gpu *gpu, const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (const char *c = name; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (uint32_t i = hash % FKMI_RUNTIME_KERNEL_SLOTS;; i = (i + 1) % FKMI_RUNTIME_KERNEL_SLOTS) {
		struct fkmi_runtime_kernel *kernel = &gpu->kernels[i];
		if (kernel->function == NULL || strcmp(kernel->name, name) == 0)
			return kernel;
	}
}

/* NULL: the image that has the kernel is not for this device. */
static void *module_of(const struct fkmi_runtime_gpu *gpu, const char *name)
{
	const struct fkmi_runtime_image *images = gpu->runtime->images;
	int32_t found = -1;
	for (int32_t i = 0; i < gpu->runtime->image_count; i++)
		if (strncmp(name, images[i].prefix, strlen(images[i].prefix)) == 0 &&
			(found < 0 || strlen(images[i].prefix) > strlen(images[found].prefix)))
			found = i;
	return found < 0 ? NULL : gpu->modules[found];
}

enum fkm_status fkmi_runtime_find(struct fkmi_runtime_gpu *gpu, const char *name, struct fkmi_runtime_kernel **found)
{
	const struct fkmi_runtime *runtime = gpu->runtime;
	struct fkmi_runtime_kernel *kernel = slot_of(gpu, name);
	*found = kernel;
	if (kernel->function != NULL)
		return FKM_OK;
	assert(strlen(name) < sizeof kernel->name);
	assert(gpu->kernel_count < FKMI_RUNTIME_KERNEL_SLOTS / 2);
	void *function = NULL, *module = module_of(gpu, name);
	int result = module != NULL ? runtime->calls->module_function(&function, module, name) : FKMI_RUNTIME_NOT_FOUND;
	char what[128];
	snprintf(what, sizeof what, "finding kernel %s (%s)", name, runtime->names.module_function);
	FKMI_TRY(fkmi_runtime_check(runtime, result, what, FKM_ERROR_BACKEND));
	snprintf(kernel->name, sizeof kernel->name, "%s", name);
	kernel->function = function;
	gpu->kernel_count++;
	return FKM_OK;
}

enum fkm_status fkmi_runtime_launch_gpu(struct fkmi_gpu *device, const struct fkmi_gpu_launch *launch)
{
	enum { MOST_ARGUMENTS = 64 };
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	fkmi_runtime_pointer places[MOST_ARGUMENTS];
	void *arguments[MOST_ARGUMENTS];
	assert(launch->argument_count <= MOST_ARGUMENTS);
	for (int32_t i = 0; i < launch->argument_count; i++) {
		const struct fkmi_gpu_arg *argument = &launch->arguments[i];
		places[i] = argument->kind == FKMI_GPU_REF && argument->value.ref.base != NULL
						? (fkmi_runtime_pointer)(uintptr_t)fkmi_ref_ptr(argument->value.ref)
						: 0;
		/* As many bytes are read as the parameter has. */
		arguments[i] = argument->kind == FKMI_GPU_REF ? (void *)&places[i] : (void *)(uintptr_t)&argument->value;
	}
	return gpu->runtime->launch(gpu, &(struct fkmi_runtime_launch){
										 .kernel = launch->kernel,
										 .blocks = launch->groups,
										 .threads = launch->group,
										 .local_bytes = launch->local_bytes,
										 .arguments = arguments,
									 });
}
