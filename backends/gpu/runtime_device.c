/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of CUDA and HIP: listing, opening, closing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime.h"

/* After these the device, or its context, gives nothing but errors. */
static bool loses_device(int result)
{
	static const int lost[] = {
		4,   /* DEINITIALIZED */
		46,  /* DEVICE_UNAVAILABLE */
		201, /* INVALID_CONTEXT: somebody reset the device */
		214, /* ECC_UNCORRECTABLE */
		220, /* NVLINK_UNCORRECTABLE */
		226, /* CONTAINED */
		700, /* ILLEGAL_ADDRESS */
		702, /* LAUNCH_TIMEOUT */
		709, /* CONTEXT_IS_DESTROYED */
		710, /* ASSERT */
		714, /* HARDWARE_STACK_ERROR */
		715, /* ILLEGAL_INSTRUCTION */
		716, /* MISALIGNED_ADDRESS */
		717, /* INVALID_ADDRESS_SPACE */
		718, /* INVALID_PC */
		719, /* LAUNCH_FAILED */
		721, /* TENSOR_MEMORY_LEAK */
		806, /* MPS_RPC_FAILURE */
		810, /* MPS_CLIENT_TERMINATED */
	};
	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++)
		if (lost[i] == result)
			return true;
	return false;
}

enum fkm_status fkmi_runtime_check(const struct fkmi_runtime *runtime, int result, const char *what,
								   enum fkm_status other)
{
	if (result == FKMI_RUNTIME_SUCCESS)
		return FKM_OK;
	const char *name = NULL, *text = NULL;
	runtime->describe(result, &name, &text);
	enum fkm_status status = other;
	if (result == FKMI_RUNTIME_OUT_OF_MEMORY)
		status = FKM_ERROR_OUT_OF_MEMORY;
	else if (loses_device(result))
		status = FKM_ERROR_DEVICE_LOST;
	return fkmi_fail(status, "%s failed: %s (%d), %s", what, name != NULL ? name : "an unknown error", result,
					 text != NULL ? text : "no description");
}

/* ---- facts ---- */

static enum fkm_status ask(const struct fkmi_runtime *runtime, int device, struct fkmi_runtime_facts *facts)
{
	const struct fkmi_runtime_attributes *attributes = &runtime->attributes;
	const struct {
		int attribute, *value;
	} asked[] = {
		{attributes->units, &facts->units},
		{attributes->max_group, &facts->max_group},
		{attributes->subgroup, &facts->subgroup},
		{attributes->local_bytes, &facts->local_bytes},
		{attributes->memory_clock_khz, &facts->memory_clock_khz},
		{attributes->memory_bus_bits, &facts->memory_bus_bits},
	};
	size_t bytes = 0;
	*facts = (struct fkmi_runtime_facts){.name = ""};
	FKMI_TRY(FKMI_RUNTIME_DO(runtime, FKM_ERROR_NO_DEVICE, device_name, facts->name, (int)sizeof facts->name, device));
	FKMI_TRY(FKMI_RUNTIME_DO(runtime, FKM_ERROR_NO_DEVICE, device_memory, &bytes, device));
	facts->memory_bytes = (int64_t)bytes;
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
		FKMI_TRY(FKMI_RUNTIME_DO(runtime, FKM_ERROR_NO_DEVICE, device_attribute, asked[i].value, asked[i].attribute,
								 device));
	return FKM_OK;
}

static enum fkm_status count_devices(const struct fkmi_runtime *runtime, int *count)
{
	FKMI_TRY(runtime->start());
	FKMI_TRY(FKMI_RUNTIME_DO(runtime, FKM_ERROR_NO_DEVICE, device_count, count));
	if (*count == 0)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "%s finds no device", runtime->names.device_count);
	return FKM_OK;
}

/* ---- listing ---- */

static enum fkm_status describe(const struct fkmi_runtime *runtime, int index, struct fkm_device_info *info)
{
	int device = 0;
	struct fkmi_runtime_facts facts;
	FKMI_TRY(FKMI_RUNTIME_DO(runtime, FKM_ERROR_NO_DEVICE, device_get, &device, index));
	FKMI_TRY(ask(runtime, device, &facts));
	enum fkm_status status = runtime->identify(device, &facts);
	snprintf(info->name, sizeof info->name, "%s", facts.name);
	snprintf(info->detail, sizeof info->detail, "%s", facts.detail);
	info->memory_bytes = facts.memory_bytes;
	info->units = facts.units;
	return status;
}

enum fkm_status fkmi_runtime_list(const struct fkmi_runtime *runtime, struct fkm_device_info *infos, int32_t capacity,
								  int32_t *count)
{
	/* What is wrong with a device is an answer here, not the caller's error. */
	char sentence_before[1024];
	snprintf(sentence_before, sizeof sentence_before, "%s", fkm_error_message());
	int devices = 0;
	bool usable = count_devices(runtime, &devices) == FKM_OK;
	*count = usable ? devices : 1;
	for (int32_t i = 0; i < *count && i < capacity; i++) {
		infos[i] = (struct fkm_device_info){.device = usable ? i : -1};
		snprintf(infos[i].backend, sizeof infos[i].backend, "%s", runtime->backend->name);
		if (!usable || describe(runtime, i, &infos[i]) != FKM_OK)
			snprintf(infos[i].problem, sizeof infos[i].problem, "%s", fkm_error_message());
	}
	return fkmi_fail(FKM_OK, "%s", sentence_before);
}

/* ---- opening ---- */

enum fkm_status fkmi_runtime_enter(struct fkmi_runtime_gpu *gpu)
{
	return fkmi_runtime_check(gpu->runtime, gpu->runtime->enter(gpu), "making the device the current one",
							  FKM_ERROR_BACKEND);
}

void fkmi_runtime_leave(struct fkmi_runtime_gpu *gpu)
{
	gpu->runtime->leave(gpu);
}

static enum fkm_status choose_device(struct fkmi_runtime_gpu *gpu, int32_t index, int count)
{
	if (index < 0 || index >= count)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "%s device %" PRId32 " does not exist; there %s %d, numbered from 0",
						 gpu->runtime->backend->name, index, count == 1 ? "is" : "are", count);
	return FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_NO_DEVICE, device_get, &gpu->ordinal, index);
}

/* Not of the non-blocking kind: programs that use the legacy default stream, whose handle is NULL and cannot be told
 * from "none", have their work ordered before and after ours. A handle is kept only once the library has said that it
 * gave it: what it writes on failure is not to be trusted. */
static enum fkm_status create_stream(struct fkmi_runtime_gpu *gpu)
{
	void *stream = NULL;
	FKMI_TRY(FKMI_RUNTIME_DO(gpu->runtime, FKM_ERROR_NO_DEVICE, stream_create, &stream, 0));
	gpu->stream = stream;
	gpu->owns_stream = true;
	return FKM_OK;
}

static enum fkm_status fill_device(struct fkmi_runtime_gpu *gpu)
{
	if (gpu->stream == NULL)
		FKMI_TRY(create_stream(gpu));
	return fkmi_runtime_load(gpu);
}

static struct fkmi_limits limits_of(const struct fkmi_runtime_facts *facts, int64_t budget_bytes)
{
	int64_t memory = facts->memory_bytes;
	if (budget_bytes > 0 && budget_bytes < memory)
		memory = budget_bytes;
	return (struct fkmi_limits){
		.memory_bytes = memory,
		.max_buffer_bytes = memory,
		.units = facts->units,
		.local_bytes = facts->local_bytes,
		.max_group = facts->max_group,
		.subgroup = facts->subgroup,
		.architecture = facts->architecture,
		.features = facts->features,
		.fp64 = 1,
		.restores_sums = 1,
		/* Two transfers per clock; about nine tenths of that can be reached. */
		.copies_per_second = 5e10,
		.bytes_per_second = 0.9 * 2 * facts->memory_clock_khz * 1e3 * facts->memory_bus_bits / 8,
	};
}

static enum fkm_status open_parts(struct fkmi_runtime_gpu *gpu, const struct fkmi_open_params *params)
{
	const struct fkmi_runtime *runtime = gpu->runtime;
	int count = 0;
	FKMI_TRY(count_devices(runtime, &count));
	/* A stream belongs to a device, whichever params names. */
	if (params->native_queue != NULL)
		FKMI_TRY(runtime->adopt(gpu, params));
	else
		FKMI_TRY(choose_device(gpu, params->device, count));
	struct fkmi_runtime_facts facts;
	FKMI_TRY(ask(runtime, gpu->ordinal, &facts));
	FKMI_TRY(runtime->identify(gpu->ordinal, &facts));
	if (!gpu->acquired)
		FKMI_TRY(runtime->acquire(gpu));
	snprintf(gpu->gpu.device.name, sizeof gpu->gpu.device.name, "%s", facts.name);
	gpu->gpu.device.limits = limits_of(&facts, params->memory_budget_bytes);
	FKMI_TRY(fkmi_runtime_enter(gpu));
	enum fkm_status status = fill_device(gpu);
	fkmi_runtime_leave(gpu);
	return status;
}

enum fkm_status fkmi_runtime_open(const struct fkmi_runtime *runtime, const struct fkmi_open_params *params,
								  struct fkmi_device **device)
{
	*device = NULL;
	if (params->native_context != NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
						 "native_context must be NULL: the %s backend takes the context of native_queue",
						 runtime->backend->name);
	struct fkmi_runtime_gpu *gpu = calloc(1, runtime->gpu_bytes);
	if (gpu == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a device of %zu bytes", runtime->gpu_bytes);
	gpu->gpu.device.backend = runtime->backend;
	gpu->gpu.driver = runtime->driver;
	gpu->runtime = runtime;
	enum fkm_status status = open_parts(gpu, params);
	if (status != FKM_OK) {
		fkmi_runtime_close(&gpu->gpu.device);
		return status;
	}
	*device = &gpu->gpu.device;
	return FKM_OK;
}

/* Also of a device that was opened in part, or lost: then calls fail, and there is nothing else to do. */
void fkmi_runtime_close(struct fkmi_device *device)
{
	struct fkmi_runtime_gpu *gpu = (struct fkmi_runtime_gpu *)device;
	const struct fkmi_runtime *runtime = gpu->runtime;
	if (gpu->acquired && runtime->enter(gpu) == FKMI_RUNTIME_SUCCESS) {
		if (gpu->stream != NULL)
			runtime->calls->stream_wait(gpu->stream);
		fkmi_runtime_close_copies(gpu);
		fkmi_runtime_unload(gpu);
		if (gpu->owns_stream)
			runtime->calls->stream_destroy(gpu->stream);
		runtime->leave(gpu);
	}
	if (gpu->acquired)
		runtime->release(gpu);
	free(gpu);
}
