/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCL devices: listing, opening, closing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/common/state.h"
#include "opencl.h"

enum {
	PLATFORM_NOT_FOUND = -1001, /* by the loader, cl_khr_icd */
	MOST_PLATFORMS = 16,
	MOST_DEVICES = 64,      /* of all platforms */
	LOCAL_BYTES = 32 << 10, /* what they use, at most */
};

/* ---- facts ---- */

struct facts {
	char name[128], version[60], platform[64];
	cl_device_type type;
	cl_ulong memory_bytes, max_buffer_bytes, local_bytes;
	cl_uint units;
	size_t max_group;
	cl_device_fp_config singles, doubles;
	cl_bool little_endian, compiler, available;
	bool atomics;
	int32_t lockstep; /* FKMI_LOCKSTEP of kernels/common/dialect.h */
};

static cl_int ask_value(const struct fkmi_opencl_driver *driver, cl_device_id id, cl_device_info what, void *value,
						size_t bytes)
{
	return driver->clGetDeviceInfo(id, what, bytes, value, NULL);
}

/* Items that can be made to meet by PTX: a warp, of NVIDIA's devices alone. From Volta on, since what is older was not
 * tried and may have a compiler that does not know the instruction. */
static cl_int ask_lockstep(const struct fkmi_opencl_driver *driver, cl_device_id id, const char *extensions,
						   int32_t *lockstep)
{
	enum { WARP = 32, VOLTA = 7 };
	char vendor[64] = "";
	cl_uint warp = 0, capability = 0;
	*lockstep = 1;
	if (strstr(extensions, "cl_nv_device_attribute_query") == NULL)
		return CL_SUCCESS;
	cl_int result = fkmi_opencl_ask_text(driver, id, CL_DEVICE_VENDOR, vendor, sizeof vendor);
	if (result == CL_SUCCESS)
		result = ask_value(driver, id, CL_DEVICE_WARP_SIZE_NV, &warp, sizeof warp);
	if (result == CL_SUCCESS)
		result = ask_value(driver, id, CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV, &capability, sizeof capability);
	if (result == CL_SUCCESS && strstr(vendor, "NVIDIA") != NULL && warp == WARP && capability >= VOLTA)
		*lockstep = WARP;
	return result;
}

static enum fkm_status ask(const struct fkmi_opencl_driver *driver, cl_device_id id, struct facts *facts)
{
	*facts = (struct facts){.name = ""};
	char extensions[8192];
	const struct {
		cl_device_info what;
		void *value;
		size_t bytes;
	} values[] = {
		{CL_DEVICE_TYPE, &facts->type, sizeof facts->type},
		{CL_DEVICE_GLOBAL_MEM_SIZE, &facts->memory_bytes, sizeof facts->memory_bytes},
		{CL_DEVICE_MAX_MEM_ALLOC_SIZE, &facts->max_buffer_bytes, sizeof facts->max_buffer_bytes},
		{CL_DEVICE_LOCAL_MEM_SIZE, &facts->local_bytes, sizeof facts->local_bytes},
		{CL_DEVICE_MAX_COMPUTE_UNITS, &facts->units, sizeof facts->units},
		{CL_DEVICE_MAX_WORK_GROUP_SIZE, &facts->max_group, sizeof facts->max_group},
		{CL_DEVICE_SINGLE_FP_CONFIG, &facts->singles, sizeof facts->singles},
		{CL_DEVICE_DOUBLE_FP_CONFIG, &facts->doubles, sizeof facts->doubles},
		{CL_DEVICE_ENDIAN_LITTLE, &facts->little_endian, sizeof facts->little_endian},
		{CL_DEVICE_COMPILER_AVAILABLE, &facts->compiler, sizeof facts->compiler},
		{CL_DEVICE_AVAILABLE, &facts->available, sizeof facts->available},
	};
	const struct {
		cl_uint what;
		char *text;
		size_t bytes;
	} texts[] = {
		{CL_DEVICE_NAME, facts->name, sizeof facts->name},
		{CL_DEVICE_VERSION, facts->version, sizeof facts->version},
		{CL_PLATFORM_NAME, facts->platform, sizeof facts->platform},
		{CL_DEVICE_EXTENSIONS, extensions, sizeof extensions},
	};
	cl_int result = CL_SUCCESS;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0] && result == CL_SUCCESS; i++)
		result = fkmi_opencl_ask_text(driver, id, texts[i].what, texts[i].text, texts[i].bytes);
	for (size_t i = 0; i < sizeof values / sizeof values[0] && result == CL_SUCCESS; i++)
		result = ask_value(driver, id, values[i].what, values[i].value, values[i].bytes);
	if (result == CL_SUCCESS)
		result = ask_lockstep(driver, id, extensions, &facts->lockstep);
	FKMI_TRY(fkmi_opencl_check(result, "clGetDeviceInfo", FKM_ERROR_NO_DEVICE));
	facts->atomics = strstr(extensions, "cl_khr_int64_base_atomics") != NULL;
	return FKM_OK;
}

/* Why the kernels cannot run on a device, or NULL. */
static const char *lack_of(const struct facts *facts)
{
	const cl_device_fp_config doubles = CL_FP_FMA | CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN | CL_FP_DENORM;
	if (!facts->available)
		return "is not available";
	if (!facts->compiler)
		return "has no compiler";
	if (!facts->little_endian)
		return "is big-endian";
	if ((facts->doubles & doubles) != doubles)
		return "lacks IEEE double precision, which exact results need";
	if ((facts->singles & CL_FP_DENORM) == 0)
		return "flushes subnormal floats to zero, which exact results forbid";
	if (!facts->atomics)
		return "lacks atomics on 64-bit integers (cl_khr_int64_base_atomics)";
	if (facts->max_group < FKMI_GROUP)
		return "allows fewer than 256 items in a group";
	if (facts->local_bytes < LOCAL_BYTES)
		return "has less than 32 KiB of local memory";
	return NULL;
}

static enum fkm_status check_facts(const struct facts *facts)
{
	const char *lack = lack_of(facts);
	return lack == NULL ? FKM_OK : fkmi_fail(FKM_ERROR_NO_DEVICE, "%s %s", facts->name, lack);
}

/* ---- finding devices ---- */

/* All devices of a kind, appended to ids. A platform without such devices, or one that fails, gives none. */
static void find_kind(const struct fkmi_opencl_driver *driver, const cl_platform_id *platforms, cl_uint platform_count,
					  bool processors, cl_device_id *ids, int32_t *count)
{
	for (cl_uint i = 0; i < platform_count; i++) {
		cl_device_id found[MOST_DEVICES];
		cl_uint found_count = 0;
		if (driver->clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, MOST_DEVICES, found, &found_count) != CL_SUCCESS)
			continue;
		for (cl_uint j = 0; j < found_count && j < MOST_DEVICES && *count < MOST_DEVICES; j++) {
			cl_device_type type = 0;
			if (ask_value(driver, found[j], CL_DEVICE_TYPE, &type, sizeof type) == CL_SUCCESS &&
				((type & CL_DEVICE_TYPE_CPU) != 0) == processors)
				ids[(*count)++] = found[j];
		}
	}
}

/* GPUs and accelerators first, then CPUs. */
static enum fkm_status find_devices(const struct fkmi_opencl_driver **driver, cl_device_id *ids, int32_t *count)
{
	cl_platform_id platforms[MOST_PLATFORMS];
	cl_uint platform_count = 0;
	*count = 0;
	FKMI_TRY(fkmi_opencl_driver_open(driver));
	const cl_int result = (*driver)->clGetPlatformIDs(MOST_PLATFORMS, platforms, &platform_count);
	if (result == PLATFORM_NOT_FOUND || (result == CL_SUCCESS && platform_count == 0))
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "no OpenCL platform is installed");
	FKMI_TRY(fkmi_opencl_check(result, "clGetPlatformIDs", FKM_ERROR_NO_DEVICE));
	if (platform_count > MOST_PLATFORMS)
		platform_count = MOST_PLATFORMS;
	find_kind(*driver, platforms, platform_count, false, ids, count);
	find_kind(*driver, platforms, platform_count, true, ids, count);
	if (*count == 0)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "none of the %u OpenCL platforms has a device", (unsigned)platform_count);
	return FKM_OK;
}

/* ---- listing ---- */

static enum fkm_status describe(const struct fkmi_opencl_driver *driver, cl_device_id id, struct fkm_device_info *info)
{
	struct facts facts;
	FKMI_TRY(ask(driver, id, &facts));
	snprintf(info->name, sizeof info->name, "%s", facts.name);
	snprintf(info->detail, sizeof info->detail, "%s, %s", facts.platform, facts.version);
	info->memory_bytes = (int64_t)facts.memory_bytes;
	info->units = (int32_t)facts.units;
	return check_facts(&facts);
}

enum fkm_status fkmi_opencl_list(struct fkm_device_info *infos, int32_t capacity, int32_t *count)
{
	/* What is wrong with a device is an answer here, not the caller's error. */
	char sentence_before[1024];
	snprintf(sentence_before, sizeof sentence_before, "%s", fkm_error_message());
	const struct fkmi_opencl_driver *driver;
	cl_device_id ids[MOST_DEVICES];
	int32_t devices = 0;
	const bool usable = find_devices(&driver, ids, &devices) == FKM_OK;
	*count = usable ? devices : 1;
	for (int32_t i = 0; i < *count && i < capacity; i++) {
		infos[i] = (struct fkm_device_info){.backend = "opencl", .device = usable ? i : -1};
		if (!usable || describe(driver, ids[i], &infos[i]) != FKM_OK)
			snprintf(infos[i].problem, sizeof infos[i].problem, "%s", fkm_error_message());
	}
	return fkmi_fail(FKM_OK, "%s", sentence_before);
}

/* ---- opening ---- */

static enum fkm_status adopt_queue(struct fkmi_opencl *opencl, cl_command_queue queue)
{
	const struct fkmi_opencl_driver *driver = opencl->driver;
	cl_command_queue_properties properties = 0;
	cl_context context = NULL;
	cl_int result = driver->clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof(cl_device_id), &opencl->id, NULL);
	if (result == CL_SUCCESS)
		result = driver->clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(cl_context), &context, NULL);
	if (result == CL_SUCCESS)
		result = driver->clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
	FKMI_TRY(fkmi_opencl_check(result, "clGetCommandQueueInfo of native_queue", FKM_ERROR_INVALID_ARGUMENT));
	if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
		return fkmi_fail(FKM_ERROR_INVALID_ARGUMENT, "native_queue executes out of order");
	FKMI_TRY(fkmi_opencl_check(driver->clRetainContext(context), "clRetainContext", FKM_ERROR_BACKEND));
	opencl->context = context;
	FKMI_TRY(fkmi_opencl_check(driver->clRetainCommandQueue(queue), "clRetainCommandQueue", FKM_ERROR_BACKEND));
	opencl->queue = queue;
	return FKM_OK;
}

static enum fkm_status choose(cl_device_id *id, const cl_device_id *ids, int32_t index, int32_t count)
{
	if (index < 0 || index >= count)
		return fkmi_fail(FKM_ERROR_NO_DEVICE,
						 "opencl device %" PRId32 " does not exist; there %s %" PRId32 ", numbered from 0", index,
						 count == 1 ? "is" : "are", count);
	*id = ids[index];
	return FKM_OK;
}

/* Of a caller's context, the device counts among the context's own. */
static enum fkm_status adopt_context(struct fkmi_opencl *opencl, cl_context context, int32_t index)
{
	cl_device_id ids[MOST_DEVICES];
	size_t bytes = 0;
	cl_int result = opencl->driver->clGetContextInfo(context, CL_CONTEXT_DEVICES, sizeof ids, ids, &bytes);
	FKMI_TRY(fkmi_opencl_check(result, "clGetContextInfo of native_context", FKM_ERROR_INVALID_ARGUMENT));
	FKMI_TRY(choose(&opencl->id, ids, index, (int32_t)(bytes / sizeof ids[0])));
	FKMI_TRY(fkmi_opencl_check(opencl->driver->clRetainContext(context), "clRetainContext", FKM_ERROR_BACKEND));
	opencl->context = context;
	return FKM_OK;
}

static struct fkmi_limits limits_of(const struct facts *facts, int64_t budget_bytes)
{
	int64_t memory = (int64_t)facts->memory_bytes, buffer = (int64_t)facts->max_buffer_bytes;
	if (budget_bytes > 0 && budget_bytes < memory)
		memory = budget_bytes;
	return (struct fkmi_limits){
		.memory_bytes = memory,
		.max_buffer_bytes = buffer < memory ? buffer : memory,
		.units = (int32_t)facts->units,
		.local_bytes = (int64_t)facts->local_bytes,
		.max_group = (int32_t)facts->max_group,
		.features = facts->type & CL_DEVICE_TYPE_CPU ? FKMI_OPENCL_CPU : FKMI_OPENCL_GPU,
		.fp64 = 1,
		.handles = 1,
		.restores_sums = 1,
		.bytes_per_second = facts->type & CL_DEVICE_TYPE_CPU ? 1e10 : 3e11,
		.copies_per_second = 1e10,
	};
}

static enum fkm_status choose_device(struct fkmi_opencl *opencl, const struct fkmi_open_params *params)
{
	const struct fkmi_opencl_driver *driver;
	cl_device_id ids[MOST_DEVICES];
	int32_t count;
	FKMI_TRY(find_devices(&driver, ids, &count));
	return choose(&opencl->id, ids, params->device, count);
}

static enum fkm_status open_parts(struct fkmi_opencl *opencl, const struct fkmi_open_params *params)
{
	FKMI_TRY(fkmi_opencl_driver_open(&opencl->driver));
	if (params->native_queue != NULL)
		FKMI_TRY(adopt_queue(opencl, params->native_queue));
	else if (params->native_context != NULL)
		FKMI_TRY(adopt_context(opencl, params->native_context, params->device));
	else
		FKMI_TRY(choose_device(opencl, params));
	struct facts facts;
	FKMI_TRY(ask(opencl->driver, opencl->id, &facts));
	FKMI_TRY(check_facts(&facts));
	if (params->automatic && (facts.type & CL_DEVICE_TYPE_CPU) != 0)
		return fkmi_fail(FKM_ERROR_NO_DEVICE, "%s is a CPU, which the cpu backend serves better", facts.name);
	snprintf(opencl->gpu.device.name, sizeof opencl->gpu.device.name, "%s", facts.name);
	opencl->lockstep = facts.lockstep;
	opencl->gpu.device.limits = limits_of(&facts, params->memory_budget_bytes);
	cl_int result = CL_SUCCESS;
	if (opencl->context == NULL)
		opencl->context = opencl->driver->clCreateContext(NULL, 1, &opencl->id, NULL, NULL, &result);
	FKMI_TRY(fkmi_opencl_check(result, "clCreateContext", FKM_ERROR_NO_DEVICE));
	if (opencl->queue == NULL)
		opencl->queue = opencl->driver->clCreateCommandQueue(opencl->context, opencl->id, 0, &result);
	FKMI_TRY(fkmi_opencl_check(result, "clCreateCommandQueue", FKM_ERROR_NO_DEVICE));
	return fkmi_opencl_build_steps(opencl);
}

enum fkm_status fkmi_opencl_open(const struct fkmi_open_params *params, struct fkmi_device **device)
{
	*device = NULL;
	struct fkmi_opencl *opencl = calloc(1, sizeof *opencl);
	if (opencl == NULL)
		return fkmi_fail(FKM_ERROR_OUT_OF_MEMORY, "no memory for a device of %zu bytes", sizeof *opencl);
	opencl->gpu.device.backend = &fkmi_backend_opencl;
	opencl->gpu.driver = &fkmi_opencl_gpu_driver;
	if (params->logger != NULL)
		opencl->logger = *params->logger;
	enum fkm_status status = open_parts(opencl, params);
	if (status != FKM_OK) {
		fkmi_opencl_close(&opencl->gpu.device);
		return status;
	}
	*device = &opencl->gpu.device;
	return FKM_OK;
}

/* Also of a device that was opened in part, or lost. */
void fkmi_opencl_close(struct fkmi_device *device)
{
	struct fkmi_opencl *opencl = (struct fkmi_opencl *)device;
	if (opencl->queue != NULL)
		opencl->driver->clFinish(opencl->queue);
	fkmi_opencl_close_copies(opencl);
	fkmi_opencl_free_all(opencl);
	fkmi_opencl_release_programs(opencl);
	if (opencl->queue != NULL)
		opencl->driver->clReleaseCommandQueue(opencl->queue);
	if (opencl->context != NULL)
		opencl->driver->clReleaseContext(opencl->context);
	free(opencl);
}
