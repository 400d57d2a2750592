/* SPDX-License-Identifier: Apache-2.0 */
/* What of devices is CUDA's own: compute capabilities and contexts. */
#include <stdio.h>

#include "cuda.h"

enum { LEAST_CAPABILITY = 80 };

static enum fkm_status ask(fkmi_cu_device device, int attribute, int *value)
{
	return FKMI_RUNTIME_DO(&fkmi_cuda_runtime, FKM_ERROR_NO_DEVICE, device_attribute, value, attribute, device);
}

enum fkm_status fkmi_cuda_identify(fkmi_cu_device device, struct fkmi_runtime_facts *facts)
{
	int version = 0, major = 0, minor = 0;
	FKMI_TRY(FKMI_RUNTIME_DO(&fkmi_cuda_runtime, FKM_ERROR_NO_DEVICE, version, &version));
	FKMI_TRY(ask(device, FKMI_CU_CAPABILITY_MAJOR, &major));
	FKMI_TRY(ask(device, FKMI_CU_CAPABILITY_MINOR, &minor));
	snprintf(facts->detail, sizeof facts->detail, "sm_%d%d, driver for CUDA %d.%d", major, minor, version / 1000,
			 version % 1000 / 10);
	const int capability = major * 10 + minor;
	facts->architecture = capability * 10;
	facts->features = FKMI_CUDA_SM80 | (capability == 90 ? FKMI_CUDA_SM90 : 0);
	if (capability >= LEAST_CAPABILITY)
		return FKM_OK;
	return fkmi_fail(FKM_ERROR_NO_DEVICE, "%s has compute capability %d.%d, %d.%d or later is needed", facts->name,
					 major, minor, LEAST_CAPABILITY / 10, LEAST_CAPABILITY % 10);
}

fkmi_cu_result fkmi_cuda_enter(struct fkmi_runtime_gpu *gpu)
{
	return fkmi_cuda_driver.context_push(((struct fkmi_cuda *)gpu)->context);
}

void fkmi_cuda_leave(struct fkmi_runtime_gpu *gpu)
{
	fkmi_cu_context mine;
	(void)gpu;
	fkmi_cuda_driver.context_pop(&mine);
}

/* Handles are kept only once the driver has said that it gave them: what it writes on failure is not to be trusted. */

static void keep_context(struct fkmi_cuda *cuda, fkmi_cu_context context, bool owned)
{
	cuda->driver = &fkmi_cuda_driver;
	cuda->context = context;
	cuda->owns_context = owned;
	cuda->base.acquired = true;
}

/* The caller's stream, its context and its device. */
enum fkm_status fkmi_cuda_adopt(struct fkmi_runtime_gpu *gpu, const struct fkmi_open_params *params)
{
	fkmi_cu_context context = NULL;
	FKMI_TRY(fkmi_cuda_check(fkmi_cuda_driver.stream_context(params->native_queue, &context),
							 "cuStreamGetCtx of native_queue", FKM_ERROR_INVALID_ARGUMENT));
	keep_context((struct fkmi_cuda *)gpu, context, false);
	gpu->stream = params->native_queue;
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status =
		fkmi_cuda_check(fkmi_cuda_driver.context_device(&gpu->ordinal), "cuCtxGetDevice", FKM_ERROR_NO_DEVICE);
	fkmi_runtime_leave(gpu);
	return status;
}

enum fkm_status fkmi_cuda_acquire(struct fkmi_runtime_gpu *gpu)
{
	fkmi_cu_context context = NULL;
	FKMI_TRY(fkmi_cuda_check(fkmi_cuda_driver.primary_retain(&context, gpu->ordinal), "cuDevicePrimaryCtxRetain",
							 FKM_ERROR_NO_DEVICE));
	keep_context((struct fkmi_cuda *)gpu, context, true);
	return FKM_OK;
}

void fkmi_cuda_release(struct fkmi_runtime_gpu *gpu)
{
	if (((struct fkmi_cuda *)gpu)->owns_context)
		fkmi_cuda_driver.primary_release(gpu->ordinal);
}
