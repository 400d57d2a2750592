/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA devices: listing, opening, closing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda.h"

/* What is asked of a device before it is opened. */
struct facts {
	char name[128];
	int major, minor;
	int units, max_group, subgroup, local_bytes;
	int clock_khz, bus_bits;
	size_t memory_bytes;
};

enum { LEAST_CAPABILITY = 80 };

static enum fkm_status ask(const struct fkmi_cuda_driver *driver, fkmi_cu_device device, struct facts *facts)
{
	const struct {
		int attribute, *value;
	} asked[] = {
		{FKMI_CU_CAPABILITY_MAJOR, &facts->major},      {FKMI_CU_CAPABILITY_MINOR, &facts->minor},
		{FKMI_CU_MULTIPROCESSOR_COUNT, &facts->units},  {FKMI_CU_MAX_THREADS_PER_BLOCK, &facts->max_group},
		{FKMI_CU_WARP_SIZE, &facts->subgroup},          {FKMI_CU_SHARED_MEMORY_OPTIN, &facts->local_bytes},
		{FKMI_CU_MEMORY_CLOCK_RATE, &facts->clock_khz}, {FKMI_CU_MEMORY_BUS_WIDTH, &facts->bus_bits},
	};
	*facts = (struct facts){.name = ""};
	FKMI_TRY(fkmi_cuda_check(driver, driver->device_name(facts->name, (int)sizeof facts->name, device),
							 "cuDeviceGetName", FKM_ERROR_NO_DEVICE));
	FKMI_TRY(fkmi_cuda_check(driver, driver->device_memory(&facts->memory_bytes, device), "cuDeviceTotalMem",
							 FKM_ERROR_NO_DEVICE));
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
		FKMI_TRY(fkmi_cuda_check(driver, driver->device_attribute(asked[i].value, asked[i].attribute, device),
								 "cuDeviceGetAttribute", FKM_ERROR_NO_DEVICE));
	return FKM_OK;
}

static enum fkm_status check_capability(const struct facts *facts)
{
	if (facts->major * 10 + facts->minor >= LEAST_CAPABILITY)
		return FKM_OK;
	return fkmi_fail(FKM_ERROR_NO_DEVICE, "%s has compute capability %d.%d, %d.%d or later is needed", facts->name,
					 facts->major, facts->minor, LEAST_CAPABILITY / 10, LEAST_CAPABILITY % 10);
}

static enum fkm_status count_devices(const struct fkmi_cuda_driver **driver, int *count)
{
	FKMI_TRY(fkmi_cuda_driver_open(driver));
	FKMI_TRY(fkmi_cuda_check(*driver, (*driver)->device_count(count), "cuDeviceGetCount", FKM_ERROR_NO_DEVICE));
	if (*count == 0)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "the CUDA driver finds no device");
	return FKM_OK;
}

/* ---- listing ---- */

static enum fkm_status describe(const struct fkmi_cuda_driver *driver, int index, struct fkm_device_info *info)
{
	fkmi_cu_device device = 0;
	int version = 0;
	struct facts facts;
	FKMI_TRY(fkmi_cuda_check(driver, driver->version(&version), "cuDriverGetVersion", FKM_ERROR_NO_DEVICE));
	FKMI_TRY(fkmi_cuda_check(driver, driver->device_get(&device, index), "cuDeviceGet", FKM_ERROR_NO_DEVICE));
	FKMI_TRY(ask(driver, device, &facts));
	snprintf(info->name, sizeof info->name, "%s", facts.name);
	info->memory_bytes = (int64_t)facts.memory_bytes;
	info->units = facts.units;
	snprintf(info->detail, sizeof info->detail, "sm_%d%d, driver for CUDA %d.%d", facts.major, facts.minor,
			 version / 1000, version % 1000 / 10);
	return check_capability(&facts);
}

enum fkm_status fkmi_cuda_list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	/* What is wrong with a device is an answer here, not the caller's error. */
	char sentence_before[1024];
	snprintf(sentence_before, sizeof sentence_before, "%s", fkm_error_message());
	const struct fkmi_cuda_driver *driver;
	int devices = 0;
	bool usable = count_devices(&driver, &devices) == FKM_OK;
	*count = usable ? devices : 1;
	for (int32_t i = 0; i < *count && i < capacity; i++) {
		infos[i] = (struct fkm_device_info){.backend = "cuda", .device = usable ? i : -1};
		if (!usable || describe(driver, i, &infos[i]) != FKM_OK)
			snprintf(infos[i].problem, sizeof infos[i].problem, "%s", fkm_error_message());
	}
	return fkmi_fail(FKM_OK, "%s", sentence_before);
}

/* ---- opening ---- */

enum fkm_status fkmi_cuda_enter(struct fkmi_cuda *cuda)
{
	return fkmi_cuda_check(cuda->driver, cuda->driver->context_push(cuda->context), "cuCtxPushCurrent",
						   FKM_ERROR_BACKEND);
}

void fkmi_cuda_leave(struct fkmi_cuda *cuda)
{
	fkmi_cu_context mine;
	cuda->driver->context_pop(&mine);
}

/* Handles are kept only once the driver has said that it gave them: what it writes on failure is not to be trusted. */

/* The caller's stream, its context and its device. */
static enum fkm_status adopt_stream(struct fkmi_cuda *cuda, fkmi_cu_stream stream)
{
	const struct fkmi_cuda_driver *driver = cuda->driver;
	fkmi_cu_context context = NULL;
	FKMI_TRY(fkmi_cuda_check(driver, driver->stream_context(stream, &context), "cuStreamGetCtx of native_queue",
							 FKM_ERROR_INVALID_ARGUMENT));
	cuda->context = context;
	cuda->stream = stream;
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status =
		fkmi_cuda_check(driver, driver->context_device(&cuda->ordinal), "cuCtxGetDevice", FKM_ERROR_NO_DEVICE);
	fkmi_cuda_leave(cuda);
	return status;
}

static enum fkm_status choose_device(struct fkmi_cuda *cuda, int32_t index, int count)
{
	if (index < 0 || index >= count)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "cuda device %" PRId32 " does not exist; there %s %d, numbered from 0",
						 index, count == 1 ? "is" : "are", count);
	return fkmi_cuda_check(cuda->driver, cuda->driver->device_get(&cuda->ordinal, index), "cuDeviceGet",
						   FKM_ERROR_NO_DEVICE);
}

static enum fkm_status retain_context(struct fkmi_cuda *cuda)
{
	fkmi_cu_context context = NULL;
	FKMI_TRY(fkmi_cuda_check(cuda->driver, cuda->driver->primary_retain(&context, cuda->ordinal),
							 "cuDevicePrimaryCtxRetain", FKM_ERROR_NO_DEVICE));
	cuda->context = context;
	cuda->owns_context = true;
	return FKM_OK;
}

/* Not CU_STREAM_NON_BLOCKING: programs that use the legacy default stream, whose handle is NULL and cannot be told from
 * "none", have their work ordered before and after ours. */
static enum fkm_status create_stream(struct fkmi_cuda *cuda)
{
	fkmi_cu_stream stream = NULL;
	FKMI_TRY(
		fkmi_cuda_check(cuda->driver, cuda->driver->stream_create(&stream, 0), "cuStreamCreate", FKM_ERROR_NO_DEVICE));
	cuda->stream = stream;
	cuda->owns_stream = true;
	return FKM_OK;
}

static enum fkm_status fill_context(struct fkmi_cuda *cuda)
{
	if (cuda->stream == NULL)
		FKMI_TRY(create_stream(cuda));
	return fkmi_cuda_load(cuda);
}

static struct fkmi_limits limits_of(const struct facts *facts, int64_t budget_bytes)
{
	int64_t memory = (int64_t)facts->memory_bytes;
	if (budget_bytes > 0 && budget_bytes < memory)
		memory = budget_bytes;
	bool hopper = facts->major == 9 && facts->minor == 0;
	return (struct fkmi_limits){
		.memory_bytes = memory,
		.max_buffer_bytes = memory,
		.units = facts->units,
		.local_bytes = facts->local_bytes,
		.max_group = facts->max_group,
		.subgroup = facts->subgroup,
		.architecture = facts->major * 100 + facts->minor * 10,
		.features = FKMI_CUDA_SM80 | (hopper ? FKMI_CUDA_SM90 : 0),
		.fp64 = 1,
		.restores_sums = 1,
		/* Two transfers per clock; about nine tenths of that can be reached. */
		.bytes_per_second = 0.9 * 2 * facts->clock_khz * 1e3 * facts->bus_bits / 8,
	};
}

static enum fkm_status open_parts(struct fkmi_cuda *cuda, const struct fkmi_open_params *params)
{
	int count = 0;
	FKMI_TRY(count_devices(&cuda->driver, &count));
	/* A stream belongs to a device, whichever params names. */
	if (params->native_queue != NULL)
		FKMI_TRY(adopt_stream(cuda, params->native_queue));
	else
		FKMI_TRY(choose_device(cuda, params->device, count));
	struct facts facts;
	FKMI_TRY(ask(cuda->driver, cuda->ordinal, &facts));
	FKMI_TRY(check_capability(&facts));
	if (cuda->context == NULL)
		FKMI_TRY(retain_context(cuda));
	snprintf(cuda->gpu.device.name, sizeof cuda->gpu.device.name, "%s", facts.name);
	cuda->gpu.device.limits = limits_of(&facts, params->memory_budget_bytes);
	FKMI_TRY(fkmi_cuda_enter(cuda));
	enum fkm_status status = fill_context(cuda);
	fkmi_cuda_leave(cuda);
	return status;
}

enum fkm_status fkmi_cuda_open(const struct fkmi_open_params *params, struct fkmi_device **device)
{
	*device = NULL;
	if (params->native_context != NULL)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT,
						 "native_context must be NULL: the cuda backend takes the context of native_queue");
	struct fkmi_cuda *cuda = calloc(1, sizeof *cuda);
	if (cuda == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a device of %zu bytes", sizeof *cuda);
	cuda->gpu.device.backend = &fkmi_backend_cuda;
	cuda->gpu.driver = &fkmi_cuda_gpu_driver;
	enum fkm_status status = open_parts(cuda, params);
	if (status != FKM_OK) {
		fkmi_cuda_close(&cuda->gpu.device);
		return status;
	}
	*device = &cuda->gpu.device;
	return FKM_OK;
}

/* Also of a device that was opened in part, or lost: then calls fail, and there is nothing else to do. */
void fkmi_cuda_close(struct fkmi_device *device)
{
	struct fkmi_cuda *cuda = (struct fkmi_cuda *)device;
	const struct fkmi_cuda_driver *driver = cuda->driver;
	if (cuda->context != NULL && driver->context_push(cuda->context) == FKMI_CU_SUCCESS) {
		if (cuda->stream != NULL)
			driver->stream_wait(cuda->stream);
		fkmi_cuda_unload(cuda);
		if (cuda->owns_stream)
			driver->stream_destroy(cuda->stream);
		fkmi_cuda_leave(cuda);
	}
	if (cuda->owns_context)
		driver->primary_release(cuda->ordinal);
	free(cuda);
}
