/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/common/store.h"

enum { MAX_THINGS = 256, MAX_DEPTH = 16, DEFAULT_SHARED = 48 * 1024 };
enum { INVALID_VALUE = 1, INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_HANDLE = 400 };

enum kind { CONTEXT = 1, STREAM, MODULE, BLOCK, FUNCTION, EVENT, HOST_BLOCK };

/* Everything that the driver gives out. A function lives as long as its module. */
struct thing {
	enum kind kind;
	struct thing *owner; /* context, or module of a function */
	int device, references;
	char *memory;
	size_t bytes;
	char name[64];
	int shared_bytes;
	struct timespec recorded;
	bool behind; /* an event: recorded while the streams stood still */
};

static struct fake_cuda_setup setup = {.devices = 2, .version = 13000, .major = 9, .memory_bytes = (size_t)1 << 30};
static struct fake_cuda_report report;
static struct thing *things[MAX_THINGS];
static _Thread_local struct thing *stack[MAX_DEPTH];
static _Thread_local int depth;

static fkmi_cu_result misuse(fkmi_cu_result result, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (report.misuses++ == 0)
		vsnprintf(report.misuse, sizeof report.misuse, format, arguments);
	va_end(arguments);
	return result;
}

/* Counts a call: 0, or the result with which it is to fail. */
static fkmi_cu_result count_call(const char *name)
{
	report.calls++;
	bool fails = report.calls == setup.fail_call || (setup.fail_on && report.failed != NULL);
	if (!fails)
		return 0;
	if (report.failed == NULL)
		report.failed = name;
	return setup.fail_result;
}

/* A call that fails writes rubbish to where its answer would go. */
#define CALL(answer)                                                                                                   \
	do {                                                                                                               \
		fkmi_cu_result result_ = count_call(__func__);                                                                 \
		if (result_ != 0) {                                                                                            \
			memset(answer, 0x5A, sizeof *(answer));                                                                    \
			return result_;                                                                                            \
		}                                                                                                              \
	} while (0)

#define CALL_WITHOUT_ANSWER()                                                                                          \
	do {                                                                                                               \
		fkmi_cu_result result_ = count_call(__func__);                                                                 \
		if (result_ != 0)                                                                                              \
			return result_;                                                                                            \
	} while (0)

static bool is_stuck(void)
{
	return setup.stuck != NULL && *setup.stuck != 0;
}

/* For calls that wait for the streams. */
static bool returns(const char *call)
{
	if (is_stuck())
		misuse(0, "%s would never return", call);
	return !is_stuck();
}

/* ---- things ---- */

static int *counter_of(enum kind kind)
{
	switch (kind) {
	case CONTEXT:
		return &report.contexts;
	case STREAM:
		return &report.streams;
	case MODULE:
		return &report.modules;
	case BLOCK:
		return &report.blocks;
	case EVENT:
		return &report.events;
	case HOST_BLOCK:
		return &report.host_blocks;
	case FUNCTION:
		break;
	}
	return NULL;
}

static struct thing *make(enum kind kind, struct thing *owner)
{
	for (int i = 0; i < MAX_THINGS; i++) {
		if (things[i] != NULL)
			continue;
		things[i] = calloc(1, sizeof *things[i]);
		if (things[i] == NULL)
			abort();
		things[i]->kind = kind;
		things[i]->owner = owner;
		if (counter_of(kind) != NULL)
			++*counter_of(kind);
		return things[i];
	}
	fprintf(stderr, "fake CUDA driver: more than %d things\n", MAX_THINGS);
	abort();
}

static bool is_alive(const void *handle, enum kind kind)
{
	for (int i = 0; i < MAX_THINGS; i++)
		if (things[i] == handle && handle != NULL)
			return things[i]->kind == kind;
	return false;
}

static void destroy(struct thing *thing)
{
	for (int i = 0; i < MAX_THINGS; i++)
		if (things[i] != NULL && things[i]->owner == thing && things[i]->kind == FUNCTION)
			destroy(things[i]);
	if (counter_of(thing->kind) != NULL)
		--*counter_of(thing->kind);
	for (int i = 0; i < MAX_THINGS; i++)
		if (things[i] == thing)
			things[i] = NULL;
	free(thing->memory);
	free(thing);
}

static struct thing *current(void)
{
	return depth > 0 ? stack[depth - 1] : NULL;
}

fkmi_cu_context fake_cuda_current(void)
{
	return current();
}

/* For calls that take the current context: it is there, and it is the owner of the thing. */
static bool owns(const struct thing *thing, const char *call)
{
	if (current() == NULL)
		misuse(INVALID_CONTEXT, "%s without a current context", call);
	else if (thing != NULL && thing->owner != current())
		misuse(INVALID_CONTEXT, "%s of a thing of another context", call);
	else
		return true;
	return false;
}

static bool is_stream(const void *stream, const char *call)
{
	if (is_alive(stream, STREAM))
		return owns(stream, call);
	misuse(INVALID_HANDLE, "%s on a stream that is none", call);
	return false;
}

static bool is_event(const void *event, const char *call)
{
	if (is_alive(event, EVENT))
		return owns(event, call);
	misuse(INVALID_HANDLE, "%s on an event that is none", call);
	return false;
}

/* Whether a live block of the current context has all these bytes. */
static bool is_memory(fkmi_cu_pointer pointer, size_t bytes, const char *call)
{
	const char *start = (const char *)(uintptr_t)pointer;
	for (int i = 0; i < MAX_THINGS; i++) {
		const struct thing *block = things[i];
		if (block == NULL || block->kind != BLOCK || start < block->memory || start > block->memory + block->bytes)
			continue;
		if (bytes <= (size_t)(block->memory + block->bytes - start))
			return owns(block, call);
	}
	misuse(INVALID_VALUE, "%s of %zu bytes outside every block", call, bytes);
	return false;
}

void fake_cuda_reset(const struct fake_cuda_setup *new_setup)
{
	for (int i = 0; i < MAX_THINGS; i++) {
		if (things[i] == NULL)
			continue;
		free(things[i]->memory);
		free(things[i]);
		things[i] = NULL;
	}
	memset(&report, 0, sizeof report);
	depth = 0;
	setup = *new_setup;
}

void fake_cuda_arm(const struct fake_cuda_setup *new_setup)
{
	setup = *new_setup;
	report.calls = 0;
	report.failed = NULL;
}

struct fake_cuda_report fake_cuda_report(void)
{
	return report;
}

/* ---- driver and devices ---- */

fkmi_cu_result cuGetErrorName(fkmi_cu_result result, const char **name)
{
	switch (result) {
	case FKMI_CU_OUT_OF_MEMORY:
		*name = "CUDA_ERROR_OUT_OF_MEMORY";
		return 0;
	case FKMI_CU_NO_DEVICE:
		*name = "CUDA_ERROR_NO_DEVICE";
		return 0;
	default: /* as a driver does with results newer than itself */
		*name = NULL;
		return INVALID_VALUE;
	}
}

fkmi_cu_result cuGetErrorString(fkmi_cu_result result, const char **text)
{
	*text = result == 0 ? NULL : "a failure of the fake driver";
	return *text != NULL ? 0 : INVALID_VALUE;
}

fkmi_cu_result cuInit(unsigned flags)
{
	CALL_WITHOUT_ANSWER();
	if (flags != 0)
		return misuse(INVALID_VALUE, "cuInit with flags");
	return setup.devices > 0 ? 0 : FKMI_CU_NO_DEVICE;
}

fkmi_cu_result cuDriverGetVersion(int *version)
{
	CALL(version);
	*version = setup.version;
	return 0;
}

fkmi_cu_result cuDeviceGetCount(int *count)
{
	CALL(count);
	*count = setup.devices;
	return 0;
}

fkmi_cu_result cuDeviceGet(fkmi_cu_device *device, int ordinal)
{
	CALL(device);
	if (ordinal < 0 || ordinal >= setup.devices)
		return misuse(101, "cuDeviceGet of device %d", ordinal);
	*device = ordinal;
	return 0;
}

fkmi_cu_result cuDeviceGetName(char *name, int bytes, fkmi_cu_device device)
{
	CALL(name);
	snprintf(name, (size_t)bytes, "Fake GPU %d", device);
	return 0;
}

fkmi_cu_result cuDeviceGetAttribute(int *value, int attribute, fkmi_cu_device device)
{
	CALL(value);
	if (device < 0 || device >= setup.devices)
		return misuse(101, "cuDeviceGetAttribute of device %d", device);
	switch (attribute) {
	case FKMI_CU_MAX_THREADS_PER_BLOCK:
		*value = 1024;
		return 0;
	case FKMI_CU_WARP_SIZE:
		*value = 32;
		return 0;
	case FKMI_CU_MULTIPROCESSOR_COUNT:
		*value = 132;
		return 0;
	case FKMI_CU_MEMORY_CLOCK_RATE:
		*value = 3201000;
		return 0;
	case FKMI_CU_MEMORY_BUS_WIDTH:
		*value = 6144;
		return 0;
	case FKMI_CU_CAPABILITY_MAJOR:
		*value = setup.major;
		return 0;
	case FKMI_CU_CAPABILITY_MINOR:
		*value = setup.minor;
		return 0;
	case FKMI_CU_SHARED_MEMORY_OPTIN:
		*value = 232448;
		return 0;
	default:
		return misuse(INVALID_VALUE, "cuDeviceGetAttribute of attribute %d", attribute);
	}
}

fkmi_cu_result cuDeviceTotalMem_v2(size_t *bytes, fkmi_cu_device device)
{
	CALL(bytes);
	(void)device;
	*bytes = setup.memory_bytes;
	return 0;
}

/* ---- contexts ---- */

fkmi_cu_result cuDevicePrimaryCtxRetain(fkmi_cu_context *context, fkmi_cu_device device)
{
	CALL(context);
	struct thing *found = NULL;
	for (int i = 0; i < MAX_THINGS && found == NULL; i++)
		if (things[i] != NULL && things[i]->kind == CONTEXT && things[i]->device == device)
			found = things[i];
	if (found == NULL) {
		found = make(CONTEXT, NULL);
		found->device = device;
	}
	found->references++;
	*context = found;
	return 0;
}

fkmi_cu_result cuDevicePrimaryCtxRelease_v2(fkmi_cu_device device)
{
	fkmi_cu_result result = count_call(__func__);
	for (int i = 0; i < MAX_THINGS; i++) {
		struct thing *context = things[i];
		if (context == NULL || context->kind != CONTEXT || context->device != device)
			continue;
		if (--context->references > 0)
			return result;
		for (int j = 0; j < MAX_THINGS; j++) {
			if (things[j] == NULL || things[j]->owner != context)
				continue;
			report.abandoned++;
			report.abandoned_blocks += things[j]->kind == BLOCK || things[j]->kind == HOST_BLOCK;
			destroy(things[j]);
		}
		destroy(context);
		return result;
	}
	return misuse(INVALID_CONTEXT, "a primary context released once too often");
}

fkmi_cu_result cuCtxPushCurrent_v2(fkmi_cu_context context)
{
	CALL_WITHOUT_ANSWER();
	if (!is_alive(context, CONTEXT))
		return misuse(INVALID_CONTEXT, "a context pushed that is none");
	if (depth == MAX_DEPTH)
		return misuse(INVALID_CONTEXT, "contexts pushed and not popped");
	stack[depth++] = context;
	return 0;
}

fkmi_cu_result cuCtxPopCurrent_v2(fkmi_cu_context *context)
{
	fkmi_cu_result result = count_call(__func__);
	if (depth == 0)
		return misuse(INVALID_CONTEXT, "a context popped where there is none");
	*context = stack[--depth];
	return result;
}

fkmi_cu_result cuCtxGetDevice(fkmi_cu_device *device)
{
	CALL(device);
	if (!owns(NULL, __func__))
		return INVALID_CONTEXT;
	*device = current()->device;
	return 0;
}

/* ---- streams ---- */

fkmi_cu_result cuStreamCreate(fkmi_cu_stream *stream, unsigned flags)
{
	CALL(stream);
	if (!owns(NULL, __func__))
		return INVALID_CONTEXT;
	if (flags > 1)
		return misuse(INVALID_VALUE, "cuStreamCreate with flags %u", flags);
	*stream = make(STREAM, current());
	return 0;
}

fkmi_cu_result cuStreamDestroy_v2(fkmi_cu_stream stream)
{
	fkmi_cu_result result = count_call(__func__);
	if (!is_stream(stream, __func__))
		return INVALID_HANDLE;
	destroy(stream);
	return result;
}

fkmi_cu_result cuStreamGetCtx(fkmi_cu_stream stream, fkmi_cu_context *context)
{
	CALL(context);
	if (!is_alive(stream, STREAM))
		return INVALID_HANDLE;
	*context = ((struct thing *)stream)->owner;
	return 0;
}

fkmi_cu_result cuStreamSynchronize(fkmi_cu_stream stream)
{
	report.waits++;
	CALL_WITHOUT_ANSWER();
	return is_stream(stream, __func__) && returns(__func__) ? 0 : INVALID_HANDLE;
}

/* ---- memory ---- */

fkmi_cu_result cuMemAlloc_v2(fkmi_cu_pointer *memory, size_t bytes)
{
	CALL(memory);
	if (bytes == 0)
		return misuse(INVALID_VALUE, "cuMemAlloc of nothing");
	if (!owns(NULL, __func__))
		return INVALID_CONTEXT;
	size_t used = 0;
	for (int i = 0; i < MAX_THINGS; i++)
		used += things[i] != NULL && things[i]->kind == BLOCK ? things[i]->bytes : 0;
	if (bytes > setup.memory_bytes || used > setup.memory_bytes - bytes)
		return FKMI_CU_OUT_OF_MEMORY;
	struct thing *block = make(BLOCK, current());
	block->bytes = bytes;
	block->memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
	if (block->memory == NULL)
		abort();
	memset(block->memory, setup.zeroed ? 0 : 0xA5, bytes);
	*memory = (fkmi_cu_pointer)(uintptr_t)block->memory;
	return 0;
}

fkmi_cu_result cuMemFree_v2(fkmi_cu_pointer memory)
{
	fkmi_cu_result result = count_call(__func__);
	returns(__func__);
	for (int i = 0; i < MAX_THINGS; i++) {
		if (things[i] == NULL || things[i]->kind != BLOCK || things[i]->memory != (char *)(uintptr_t)memory)
			continue;
		if (!owns(things[i], __func__))
			return INVALID_CONTEXT;
		destroy(things[i]);
		return result;
	}
	return misuse(INVALID_VALUE, "cuMemFree of what is no block");
}

fkmi_cu_result cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
	CALL(free_bytes);
	*free_bytes = *total_bytes = setup.memory_bytes;
	return owns(NULL, __func__) ? 0 : INVALID_CONTEXT;
}

fkmi_cu_result cuMemcpyHtoDAsync_v2(fkmi_cu_pointer to, const void *from, size_t bytes, fkmi_cu_stream stream)
{
	CALL_WITHOUT_ANSWER();
	if (!is_stream(stream, __func__) || !is_memory(to, bytes, __func__))
		return INVALID_VALUE;
	memcpy((void *)(uintptr_t)to, from, bytes);
	return 0;
}

fkmi_cu_result cuMemcpyDtoHAsync_v2(void *to, fkmi_cu_pointer from, size_t bytes, fkmi_cu_stream stream)
{
	CALL_WITHOUT_ANSWER();
	if (!is_stream(stream, __func__) || !is_memory(from, bytes, __func__) || !returns(__func__))
		return INVALID_VALUE;
	memcpy(to, (const void *)(uintptr_t)from, bytes);
	return 0;
}

fkmi_cu_result cuMemcpyDtoDAsync_v2(fkmi_cu_pointer to, fkmi_cu_pointer from, size_t bytes, fkmi_cu_stream stream)
{
	CALL_WITHOUT_ANSWER();
	if (!is_stream(stream, __func__) || !is_memory(to, bytes, __func__) || !is_memory(from, bytes, __func__))
		return INVALID_VALUE;
	memmove((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
	return 0;
}

fkmi_cu_result cuMemsetD8Async(fkmi_cu_pointer to, unsigned char byte, size_t bytes, fkmi_cu_stream stream)
{
	CALL_WITHOUT_ANSWER();
	if (!is_stream(stream, __func__) || !is_memory(to, bytes, __func__))
		return INVALID_VALUE;
	memset((void *)(uintptr_t)to, byte, bytes);
	return 0;
}

/* ---- memory of the host, and events ---- */

fkmi_cu_result cuMemHostAlloc(void **memory, size_t bytes, unsigned flags)
{
	CALL(memory);
	if (bytes == 0 || flags != 0)
		return misuse(INVALID_VALUE, "cuMemHostAlloc of %zu bytes with flags %u", bytes, flags);
	if (!owns(NULL, __func__))
		return INVALID_CONTEXT;
	struct thing *block = make(HOST_BLOCK, current());
	block->bytes = bytes;
	block->memory = malloc(bytes);
	if (block->memory == NULL)
		abort();
	*memory = block->memory;
	return 0;
}

fkmi_cu_result cuMemFreeHost(void *memory)
{
	fkmi_cu_result result = count_call(__func__);
	returns(__func__);
	for (int i = 0; i < MAX_THINGS; i++) {
		if (things[i] == NULL || things[i]->kind != HOST_BLOCK || things[i]->memory != memory)
			continue;
		if (!owns(things[i], __func__))
			return INVALID_CONTEXT;
		destroy(things[i]);
		return result;
	}
	return misuse(INVALID_VALUE, "cuMemFreeHost of what is no block");
}

fkmi_cu_result cuPointerGetAttribute(void *value, int attribute, fkmi_cu_pointer pointer)
{
	const char *at = (const char *)(uintptr_t)pointer;
	CALL((void **)value);
	if (attribute != FKMI_RUNTIME_HOST_POINTER || !owns(NULL, __func__))
		return misuse(INVALID_VALUE, "cuPointerGetAttribute of attribute %d", attribute);
	for (int i = 0; i < MAX_THINGS; i++) {
		const struct thing *block = things[i];
		if (block == NULL || block->kind != HOST_BLOCK || at < block->memory || at >= block->memory + block->bytes)
			continue;
		*(const char **)value = at;
		return 0;
	}
	return INVALID_VALUE;
}

fkmi_cu_result cuEventCreate(void **event, unsigned flags)
{
	CALL(event);
	if ((flags & ~FKMI_RUNTIME_EVENT_UNTIMED) != 0 || !owns(NULL, __func__))
		return misuse(INVALID_VALUE, "cuEventCreate with flags %u", flags);
	*event = make(EVENT, current());
	return 0;
}

fkmi_cu_result cuEventDestroy_v2(void *event)
{
	fkmi_cu_result result = count_call(__func__);
	if (!is_event(event, __func__))
		return INVALID_HANDLE;
	destroy(event);
	return result;
}

fkmi_cu_result cuEventRecord(void *event, void *stream)
{
	CALL_WITHOUT_ANSWER();
	if (!is_event(event, __func__) || !is_stream(stream, __func__))
		return INVALID_HANDLE;
	clock_gettime(CLOCK_MONOTONIC, &((struct thing *)event)->recorded);
	((struct thing *)event)->behind = is_stuck();
	return 0;
}

fkmi_cu_result cuEventElapsedTime(float *milliseconds, void *start, void *end)
{
	if (!is_event(start, __func__) || !is_event(end, __func__))
		return INVALID_HANDLE;
	const struct timespec *a = &((struct thing *)start)->recorded, *b = &((struct thing *)end)->recorded;
	*milliseconds = (float)(1e3 * (double)(b->tv_sec - a->tv_sec) + 1e-6 * (double)(b->tv_nsec - a->tv_nsec));
	return 0;
}

fkmi_cu_result cuEventSynchronize(void *event)
{
	CALL_WITHOUT_ANSWER();
	if (!is_event(event, __func__))
		return INVALID_HANDLE;
	return ((struct thing *)event)->behind && !returns(__func__) ? INVALID_HANDLE : 0;
}

fkmi_cu_result cuEventQuery(void *event)
{
	CALL_WITHOUT_ANSWER();
	if (!is_event(event, __func__))
		return INVALID_HANDLE;
	return ((struct thing *)event)->behind && is_stuck() ? FKMI_RUNTIME_NOT_READY : 0;
}

fkmi_cu_result cuStreamWaitEvent(void *stream, void *event, unsigned flags)
{
	CALL_WITHOUT_ANSWER();
	if (flags != 0)
		return misuse(INVALID_VALUE, "cuStreamWaitEvent with flags %u", flags);
	return is_event(event, __func__) && is_stream(stream, __func__) ? 0 : INVALID_HANDLE;
}

/* ---- code ---- */

fkmi_cu_result cuModuleLoadData(fkmi_cu_module *module, const void *image)
{
	static const unsigned char fatbin[4] = {0x50, 0xED, 0x55, 0xBA};
	CALL(module);
	if (!owns(NULL, __func__))
		return INVALID_CONTEXT;
	if (memcmp(image, fatbin, sizeof fatbin) != 0)
		return misuse(INVALID_IMAGE, "cuModuleLoadData of what is no fat binary");
	*module = make(MODULE, current());
	return 0;
}

fkmi_cu_result cuModuleUnload(fkmi_cu_module module)
{
	fkmi_cu_result result = count_call(__func__);
	if (!is_alive(module, MODULE) || !owns(module, __func__))
		return misuse(INVALID_HANDLE, "cuModuleUnload of what is no module of the current context");
	destroy(module);
	return result;
}

fkmi_cu_result cuModuleGetFunction(fkmi_cu_function *function, fkmi_cu_module module, const char *name)
{
	CALL(function);
	if (!is_alive(module, MODULE) || !owns(module, __func__))
		return misuse(INVALID_HANDLE, "cuModuleGetFunction of what is no module of the current context");
	if (strncmp(name, "fkmi_", 5) != 0)
		return FKMI_CU_NOT_FOUND;
	struct thing *made = make(FUNCTION, module);
	snprintf(made->name, sizeof made->name, "%s", name);
	made->shared_bytes = DEFAULT_SHARED;
	*function = made;
	return 0;
}

fkmi_cu_result cuFuncGetAttribute(int *value, int attribute, fkmi_cu_function function)
{
	CALL(value);
	if (!is_alive(function, FUNCTION))
		return misuse(INVALID_HANDLE, "cuFuncGetAttribute of what is no function");
	*value = attribute == FKMI_CU_FUNCTION_REGISTERS ? 32 : attribute == FKMI_CU_FUNCTION_BINARY_VERSION ? 90 : 0;
	return 0;
}

fkmi_cu_result cuFuncSetAttribute(fkmi_cu_function function, int attribute, int value)
{
	CALL_WITHOUT_ANSWER();
	if (!is_alive(function, FUNCTION) || attribute != FKMI_CU_FUNCTION_MAX_DYNAMIC_SHARED)
		return misuse(INVALID_HANDLE, "cuFuncSetAttribute of attribute %d", attribute);
	if (value > 232448)
		return INVALID_VALUE;
	((struct thing *)function)->shared_bytes = value;
	return 0;
}

static fkmi_cu_result run_store(void **arguments)
{
	const struct fkmi_store_bytes *block = arguments[0];
	const fkmi_cu_pointer to = *(const fkmi_cu_pointer *)arguments[1];
	const int count = *(const int *)arguments[2];
	if (count < 0 || count > (int)sizeof block->bytes || !is_memory(to, (size_t)count, "fkmi_store"))
		return misuse(700, "fkmi_store of %d bytes", count);
	memcpy((void *)(uintptr_t)to, block->bytes, (size_t)count);
	return 0;
}

fkmi_cu_result cuLaunchKernelEx(const struct fkmi_cu_launch_config *config, fkmi_cu_function function, void **arguments,
								void **extra)
{
	CALL_WITHOUT_ANSWER();
	if (!is_alive(function, FUNCTION) || extra != NULL)
		return misuse(INVALID_HANDLE, "cuLaunchKernelEx of what is no function");
	const struct thing *kernel = function;
	if (!is_stream(config->stream, kernel->name))
		return INVALID_HANDLE;
	const uint32_t threads = config->block[0] * config->block[1] * config->block[2];
	if (config->grid[0] == 0 || config->grid[0] > INT32_MAX || config->grid[1] != 1 || config->grid[2] != 1 ||
		threads == 0 || threads > 1024)
		return misuse(INVALID_VALUE, "%s launched with %u x %u threads", kernel->name, config->grid[0], threads);
	if (config->shared_bytes > (uint32_t)kernel->shared_bytes)
		return misuse(INVALID_VALUE, "%s launched with %u bytes of shared memory, allowed %d", kernel->name,
					  config->shared_bytes, kernel->shared_bytes);
	report.launches++;
	return strcmp(kernel->name, "fkmi_store") == 0 ? run_store(arguments) : 0;
}

fkmi_cu_result cuTensorMapEncodeTiled(struct fkmi_cu_tensor_map *map, int type, uint32_t rank, void *address,
									  const uint64_t *sizes, const uint64_t *strides, const uint32_t *box,
									  const uint32_t *steps, int interleave, int swizzle, int l2_promotion,
									  int out_of_bounds)
{
	CALL(map);
	(void)type, (void)steps, (void)interleave, (void)swizzle, (void)l2_promotion, (void)out_of_bounds;
	if ((uintptr_t)address % 16 != 0)
		return misuse(INVALID_VALUE, "a tensor map of a misaligned address");
	for (uint32_t i = 0; i < rank; i++)
		if (sizes[i] == 0 || box[i] == 0 || box[i] > 256 || (i > 0 && strides[i - 1] % 16 != 0))
			return misuse(INVALID_VALUE, "a tensor map with dimension %u of size %llu, box %u", i,
						  (unsigned long long)sizes[i], box[i]);
	memset(map, 0, sizeof *map);
	return 0;
}
