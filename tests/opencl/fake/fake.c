/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256, HASH_TEXT = 17 };

struct _cl_platform_id {
	int index;
};

struct _cl_device_id {
	int index;
};

struct _cl_context {
	int alive; /* references, as of the others */
	cl_device_id devices[FAKE_MOST_DEVICES];
	cl_uint device_count;
};

struct _cl_command_queue {
	int alive;
	cl_context context;
	cl_device_id device;
	cl_command_queue_properties properties;
};

struct _cl_mem {
	int alive;
	cl_context context;
	unsigned char *bytes;
	size_t size;
};

struct _cl_event {
	int alive;
	cl_context context;
};

struct _cl_program {
	int alive;
	cl_context context;
	char hash[HASH_TEXT];
	bool from_source, built;
};

struct _cl_kernel {
	int alive;
	cl_context context;
};

static struct _cl_platform_id platforms[FAKE_MOST_DEVICES];
static struct _cl_device_id devices[FAKE_MOST_DEVICES];
static struct fake_opencl_setup current;
static struct fake_opencl_report counts;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- steering ---- */

void fake_opencl_arm(const struct fake_opencl_setup *setup)
{
	current = *setup;
	counts.calls = 0;
	counts.failed = NULL;
	for (int i = 0; i < FAKE_MOST_DEVICES; i++)
		platforms[i].index = devices[i].index = i;
}

void fake_opencl_reset(const struct fake_opencl_setup *setup)
{
	memset(&counts, 0, sizeof counts);
	fake_opencl_arm(setup);
}

struct fake_opencl_report fake_opencl_report(void)
{
	return counts;
}

static cl_int misuse(const char *function, const char *what)
{
	if (counts.misuses++ == 0)
		snprintf(counts.misuse, sizeof counts.misuse, "%s: %s", function, what);
	return CL_INVALID_VALUE;
}

/* Counts a call; whether it is to fail. */
static bool fails(const char *function)
{
	pthread_mutex_lock(&lock);
	counts.calls++;
	const bool now = current.fail_call > 0 &&
					 (counts.calls == current.fail_call || (current.fail_on && counts.calls > current.fail_call));
	if (now && counts.failed == NULL)
		counts.failed = function;
	pthread_mutex_unlock(&lock);
	return now;
}

#define CALL()                                                                                                         \
	do {                                                                                                               \
		if (fails(__func__))                                                                                           \
			return current.fail_result;                                                                                \
	} while (0)
#define MAKE()                                                                                                         \
	do {                                                                                                               \
		if (fails(__func__)) {                                                                                         \
			*result = current.fail_result;                                                                             \
			return NULL;                                                                                               \
		}                                                                                                              \
	} while (0)
#define ALIVE(thing)                                                                                                   \
	do {                                                                                                               \
		if ((thing) == NULL || (thing)->alive <= 0)                                                                    \
			return misuse(__func__, #thing " is not alive");                                                           \
	} while (0)

static cl_int answer(const void *from, size_t bytes, size_t capacity, void *to, size_t *needed)
{
	if (needed != NULL)
		*needed = bytes;
	if (to == NULL)
		return CL_SUCCESS;
	if (capacity < bytes)
		return CL_INVALID_VALUE;
	memcpy(to, from, bytes);
	return CL_SUCCESS;
}

static cl_int answer_text(const char *text, size_t capacity, void *to, size_t *needed)
{
	return answer(text, strlen(text) + 1, capacity, to, needed);
}

static void *make(size_t bytes, int *count)
{
	int *thing = calloc(1, bytes);
	if (thing == NULL)
		abort();
	*thing = 1;
	++*count;
	return thing;
}

/* ---- platforms and devices ---- */

FAKE_EXPORT cl_int clGetPlatformIDs(cl_uint capacity, cl_platform_id *ids, cl_uint *count)
{
	CALL();
	*count = (cl_uint)current.platforms;
	if (current.platforms == 0)
		return -1001; /* CL_PLATFORM_NOT_FOUND_KHR */
	for (cl_uint i = 0; i < *count && i < capacity; i++)
		ids[i] = &platforms[i];
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t bytes, void *value,
									 size_t *needed)
{
	char text[64];
	CALL();
	if (what == CL_PLATFORM_NAME)
		snprintf(text, sizeof text, "Fake Platform %c", 'A' + platform->index);
	else if (what == CL_PLATFORM_VERSION)
		snprintf(text, sizeof text, "OpenCL 1.2 fake");
	else
		return misuse(__func__, "unknown question");
	return answer_text(text, bytes, value, needed);
}

FAKE_EXPORT cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint capacity, cl_device_id *ids,
								  cl_uint *count)
{
	CALL();
	*count = 0;
	for (int i = 0; i < current.devices; i++) {
		if (current.device[i].platform != platform->index || (current.device[i].type & type) == 0)
			continue;
		if (*count < capacity)
			ids[*count] = &devices[i];
		++*count;
	}
	return *count > 0 ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

FAKE_EXPORT cl_int clGetDeviceInfo(cl_device_id id, cl_device_info what, size_t bytes, void *value, size_t *needed)
{
	CALL();
	const struct fake_device *device = &current.device[id->index];
	const cl_device_fp_config all = CL_FP_FMA | CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN | CL_FP_DENORM;
	const cl_platform_id platform = &platforms[device->platform];
	const cl_ulong memory = device->memory_bytes != 0 ? device->memory_bytes : (cl_ulong)4 << 30;
	const cl_ulong largest = device->largest_buffer != 0 ? device->largest_buffer : (cl_ulong)1 << 30;
	const cl_ulong local = device->local_bytes != 0 ? device->local_bytes : 48 << 10;
	const cl_uint units = 12;
	char extensions[128];
	const size_t group = device->group != 0 ? device->group : 1024;
	const cl_device_fp_config singles = all & ~(device->flushes ? (cl_device_fp_config)CL_FP_DENORM : 0);
	const cl_device_fp_config doubles = device->no_doubles ? 0 : all;
	const cl_bool little = !device->big_endian, compiler = !device->no_compiler, available = !device->unavailable;
	switch (what) {
	case CL_DEVICE_NAME:
		return answer_text(device->name, bytes, value, needed);
	case CL_DEVICE_VERSION:
		return answer_text("OpenCL 1.2 fake device", bytes, value, needed);
	case CL_DRIVER_VERSION:
		return answer_text(device->driver != NULL ? device->driver : "1.0", bytes, value, needed);
	case CL_DEVICE_VENDOR:
		return answer_text(device->vendor != NULL ? device->vendor : "Fake", bytes, value, needed);
	case CL_DEVICE_EXTENSIONS:
		snprintf(extensions, sizeof extensions, "cl_khr_fp64%s%s",
				 device->no_atomics ? "" : " cl_khr_int64_base_atomics",
				 device->warp == 0 ? "" : " cl_nv_device_attribute_query");
		return answer_text(extensions, bytes, value, needed);
	case CL_DEVICE_WARP_SIZE_NV:
	case CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV:
		if (device->warp == 0)
			return misuse(__func__, "a question of an extension that is not there");
		return answer(what == CL_DEVICE_WARP_SIZE_NV ? &device->warp : &device->capability, sizeof(cl_uint), bytes,
					  value, needed);
	case CL_DEVICE_PLATFORM:
		return answer(&platform, sizeof(cl_platform_id), bytes, value, needed);
	case CL_DEVICE_TYPE:
		return answer(&device->type, sizeof device->type, bytes, value, needed);
	case CL_DEVICE_GLOBAL_MEM_SIZE:
		return answer(&memory, sizeof memory, bytes, value, needed);
	case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
		return answer(&largest, sizeof largest, bytes, value, needed);
	case CL_DEVICE_LOCAL_MEM_SIZE:
		return answer(&local, sizeof local, bytes, value, needed);
	case CL_DEVICE_MAX_COMPUTE_UNITS:
		return answer(&units, sizeof units, bytes, value, needed);
	case CL_DEVICE_MAX_WORK_GROUP_SIZE:
		return answer(&group, sizeof group, bytes, value, needed);
	case CL_DEVICE_SINGLE_FP_CONFIG:
		return answer(&singles, sizeof singles, bytes, value, needed);
	case CL_DEVICE_DOUBLE_FP_CONFIG:
		return answer(&doubles, sizeof doubles, bytes, value, needed);
	case CL_DEVICE_ENDIAN_LITTLE:
		return answer(&little, sizeof little, bytes, value, needed);
	case CL_DEVICE_COMPILER_AVAILABLE:
		return answer(&compiler, sizeof compiler, bytes, value, needed);
	case CL_DEVICE_AVAILABLE:
		return answer(&available, sizeof available, bytes, value, needed);
	default:
		return misuse(__func__, "unknown question");
	}
}

/* ---- contexts and queues ---- */

FAKE_EXPORT cl_context clCreateContext(const cl_context_properties *properties, cl_uint count, const cl_device_id *ids,
									   void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
									   void *user, cl_int *result)
{
	(void)notify;
	(void)user;
	MAKE();
	*result = current.device[ids[0]->index].context_result;
	if (*result != CL_SUCCESS)
		return NULL;
	if (properties != NULL || count > FAKE_MOST_DEVICES)
		misuse(__func__, "arguments");
	cl_context context = make(sizeof *context, &counts.contexts);
	context->device_count = count;
	memcpy(context->devices, ids, count * sizeof *ids);
	return context;
}

FAKE_EXPORT cl_int clRetainContext(cl_context context)
{
	CALL();
	ALIVE(context);
	context->alive++;
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clReleaseContext(cl_context context)
{
	ALIVE(context);
	if (--context->alive == 0) {
		counts.contexts--;
		free(context);
	}
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clGetContextInfo(cl_context context, cl_context_info what, size_t bytes, void *value, size_t *needed)
{
	CALL();
	ALIVE(context);
	if (what != CL_CONTEXT_DEVICES)
		return misuse(__func__, "unknown question");
	return answer(context->devices, context->device_count * sizeof(cl_device_id), bytes, value, needed);
}

FAKE_EXPORT cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id id,
												  cl_command_queue_properties properties, cl_int *result)
{
	MAKE();
	bool known = false;
	for (cl_uint i = 0; i < context->device_count; i++)
		known = known || context->devices[i] == id;
	if (!known)
		misuse(__func__, "the context does not have the device");
	*result = CL_SUCCESS;
	cl_command_queue queue = make(sizeof *queue, &counts.queues);
	queue->context = context;
	queue->device = id;
	queue->properties = properties;
	return queue;
}

FAKE_EXPORT cl_int clRetainCommandQueue(cl_command_queue queue)
{
	CALL();
	ALIVE(queue);
	queue->alive++;
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clReleaseCommandQueue(cl_command_queue queue)
{
	ALIVE(queue);
	if (--queue->alive == 0) {
		counts.queues--;
		free(queue);
	}
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info what, size_t bytes, void *value,
										 size_t *needed)
{
	CALL();
	ALIVE(queue);
	switch (what) {
	case CL_QUEUE_CONTEXT:
		return answer(&queue->context, sizeof(cl_context), bytes, value, needed);
	case CL_QUEUE_DEVICE:
		return answer(&queue->device, sizeof(cl_device_id), bytes, value, needed);
	case CL_QUEUE_PROPERTIES:
		return answer(&queue->properties, sizeof queue->properties, bytes, value, needed);
	default:
		return misuse(__func__, "unknown question");
	}
}

FAKE_EXPORT cl_int clFinish(cl_command_queue queue)
{
	CALL();
	ALIVE(queue);
	return CL_SUCCESS;
}

/* ---- memory ---- */

FAKE_EXPORT cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *result)
{
	MAKE();
	*result = CL_SUCCESS;
	const struct fake_device *device = &current.device[context->devices[0]->index];
	if ((flags != CL_MEM_READ_WRITE && flags != (CL_MEM_ALLOC_HOST_PTR | CL_MEM_READ_ONLY)) || host != NULL ||
		size == 0 || size > (device->largest_buffer != 0 ? device->largest_buffer : (cl_ulong)1 << 30))
		misuse(__func__, "arguments");
	unsigned char *bytes = aligned_alloc(ALIGNMENT, (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
	if (bytes == NULL) {
		*result = CL_MEM_OBJECT_ALLOCATION_FAILURE;
		return NULL;
	}
	cl_mem memory = make(sizeof *memory, &counts.buffers);
	memory->context = context;
	memory->bytes = bytes;
	memory->size = size;
	return memory;
}

FAKE_EXPORT cl_int clReleaseMemObject(cl_mem memory)
{
	ALIVE(memory);
	if (--memory->alive == 0) {
		counts.buffers--;
		free(memory->bytes);
		free(memory);
	}
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clGetMemObjectInfo(cl_mem memory, cl_mem_info what, size_t bytes, void *value, size_t *needed)
{
	ALIVE(memory);
	if (what != CL_MEM_HOST_PTR)
		return misuse(__func__, "unknown question");
	void *const none = NULL;
	return answer(&none, sizeof none, bytes, value, needed);
}

static bool within(cl_command_queue queue, cl_mem memory, size_t offset, size_t size)
{
	return memory->context == queue->context && offset <= memory->size && size > 0 && size <= memory->size - offset;
}

FAKE_EXPORT cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem from, cl_bool blocks, size_t offset, size_t size,
									   void *to, cl_uint waits, const cl_event *list, cl_event *event)
{
	CALL();
	ALIVE(queue);
	ALIVE(from);
	if (!within(queue, from, offset, size) || !blocks || waits != 0 || list != NULL || event != NULL)
		return misuse(__func__, "arguments");
	memcpy(to, from->bytes + offset, size);
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem to, cl_bool blocks, size_t offset, size_t size,
										const void *from, cl_uint waits, const cl_event *list, cl_event *event)
{
	CALL();
	ALIVE(queue);
	ALIVE(to);
	if (!within(queue, to, offset, size) || waits != 0 || list != NULL || event != NULL)
		return misuse(__func__, "arguments");
	counts.unblocked += !blocks;
	memcpy(to->bytes + offset, from, size);
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset,
									   size_t to_offset, size_t size, cl_uint waits, const cl_event *list,
									   cl_event *event)
{
	CALL();
	ALIVE(queue);
	ALIVE(from);
	ALIVE(to);
	if (!within(queue, from, from_offset, size) || !within(queue, to, to_offset, size) || waits != 0 || list != NULL ||
		event != NULL ||
		(from == to && from_offset < to_offset + size && to_offset < from_offset + size)) /* CL_MEM_COPY_OVERLAP */
		return misuse(__func__, "arguments");
	memcpy(to->bytes + to_offset, from->bytes + from_offset, size);
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem to, const void *pattern, size_t pattern_size,
									   size_t offset, size_t size, cl_uint waits, const cl_event *list, cl_event *event)
{
	CALL();
	ALIVE(queue);
	ALIVE(to);
	if (!within(queue, to, offset, size) || pattern_size != 1 || waits != 0 || list != NULL || event != NULL)
		return misuse(__func__, "arguments");
	memset(to->bytes + offset, *(const unsigned char *)pattern, size);
	return CL_SUCCESS;
}

FAKE_EXPORT void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocks, cl_map_flags flags,
									 size_t offset, size_t size, cl_uint waits, const cl_event *list, cl_event *event,
									 cl_int *result)
{
	MAKE();
	*result = CL_SUCCESS;
	if (queue == NULL || queue->alive <= 0 || !within(queue, memory, offset, size) || !blocks ||
		flags != CL_MAP_WRITE || waits != 0 || list != NULL || event != NULL)
		misuse(__func__, "arguments");
	counts.mapped++;
	return memory->bytes + offset;
}

FAKE_EXPORT cl_int clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem memory, void *mapped, cl_uint waits,
										   const cl_event *list, cl_event *event)
{
	ALIVE(queue);
	ALIVE(memory);
	if (mapped != memory->bytes || waits != 0 || list != NULL || event != NULL)
		return misuse(__func__, "arguments");
	counts.mapped--;
	return CL_SUCCESS;
}

/* ---- events ---- */

FAKE_EXPORT cl_int clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint waits, const cl_event *list,
											   cl_event *event)
{
	CALL();
	ALIVE(queue);
	if (waits != 0 || list != NULL)
		return misuse(__func__, "arguments");
	*event = make(sizeof **event, &counts.events);
	(*event)->context = queue->context;
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint waits, const cl_event *list,
												cl_event *event)
{
	CALL();
	ALIVE(queue);
	if (waits != 1 || event != NULL)
		return misuse(__func__, "arguments");
	ALIVE(list[0]);
	return list[0]->context == queue->context ? CL_SUCCESS : misuse(__func__, "an event of another context");
}

FAKE_EXPORT cl_int clWaitForEvents(cl_uint waits, const cl_event *list)
{
	CALL();
	if (waits != 1)
		return misuse(__func__, "arguments");
	ALIVE(list[0]);
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clReleaseEvent(cl_event event)
{
	ALIVE(event);
	if (--event->alive == 0) {
		counts.events--;
		free(event);
	}
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clFlush(cl_command_queue queue)
{
	CALL();
	ALIVE(queue);
	return CL_SUCCESS;
}

/* ---- programs ---- */

static void hash(char *text, const char *bytes, size_t size)
{
	uint64_t value = 5381;
	for (size_t i = 0; i < size; i++)
		value = value * 33 + (unsigned char)bytes[i];
	snprintf(text, HASH_TEXT, "%016llx", (unsigned long long)value);
}

FAKE_EXPORT cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **sources,
												 const size_t *sizes, cl_int *result)
{
	MAKE();
	*result = CL_SUCCESS;
	if (count != 1 || sizes == NULL || strlen(sources[0]) != sizes[0])
		misuse(__func__, "arguments");
	cl_program program = make(sizeof *program, &counts.programs);
	program->context = context;
	program->from_source = true;
	hash(program->hash, sources[0], sizes[0]);
	return program;
}

FAKE_EXPORT cl_program clCreateProgramWithBinary(cl_context context, cl_uint count, const cl_device_id *ids,
												 const size_t *sizes, const unsigned char **binaries, cl_int *of_binary,
												 cl_int *result)
{
	MAKE();
	if (count != 1 || ids == NULL || of_binary == NULL)
		misuse(__func__, "arguments");
	if (sizes[0] != HASH_TEXT || current.refuses_binaries) {
		*result = of_binary[0] = CL_INVALID_BINARY;
		return NULL;
	}
	*result = CL_SUCCESS;
	cl_program program = make(sizeof *program, &counts.programs);
	program->context = context;
	memcpy(program->hash, binaries[0], HASH_TEXT);
	return program;
}

FAKE_EXPORT cl_int clBuildProgram(cl_program program, cl_uint count, const cl_device_id *ids, const char *options,
								  void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
	CALL();
	ALIVE(program);
	if (count != 1 || ids == NULL || options == NULL || notify != NULL || user != NULL)
		return misuse(__func__, "arguments");
	if (current.build_log != NULL && program->from_source)
		return CL_BUILD_PROGRAM_FAILURE;
	program->built = true;
	snprintf(counts.options, sizeof counts.options, "%s", options);
	if (program->from_source)
		counts.compiled++;
	else
		counts.loaded++;
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clGetProgramBuildInfo(cl_program program, cl_device_id id, cl_program_build_info what, size_t bytes,
										 void *value, size_t *needed)
{
	(void)id;
	CALL();
	ALIVE(program);
	if (what != CL_PROGRAM_BUILD_LOG)
		return misuse(__func__, "unknown question");
	return answer_text(current.build_log != NULL ? current.build_log : "", bytes, value, needed);
}

FAKE_EXPORT cl_int clGetProgramInfo(cl_program program, cl_program_info what, size_t bytes, void *value, size_t *needed)
{
	const size_t size = HASH_TEXT;
	CALL();
	ALIVE(program);
	if (!program->built)
		return misuse(__func__, "the program is not built");
	switch (what) {
	case CL_PROGRAM_NUM_DEVICES:
		return answer(&program->context->device_count, sizeof(cl_uint), bytes, value, needed);
	case CL_PROGRAM_BINARY_SIZES:
		return answer(&size, sizeof size, bytes, value, needed);
	case CL_PROGRAM_BINARIES:
		memcpy(*(unsigned char **)value, program->hash, HASH_TEXT);
		return CL_SUCCESS;
	default:
		return misuse(__func__, "unknown question");
	}
}

FAKE_EXPORT cl_int clReleaseProgram(cl_program program)
{
	ALIVE(program);
	if (--program->alive == 0) {
		counts.programs--;
		free(program);
	}
	return CL_SUCCESS;
}

/* ---- kernels ---- */

FAKE_EXPORT cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *result)
{
	MAKE();
	if (!program->built)
		misuse(__func__, "the program is not built");
	*result = strncmp(name, "fkmi_k_", 7) == 0 ? CL_SUCCESS : CL_INVALID_KERNEL_NAME;
	if (*result != CL_SUCCESS)
		return NULL;
	cl_kernel kernel = make(sizeof *kernel, &counts.kernels);
	kernel->context = program->context;
	return kernel;
}

FAKE_EXPORT cl_int clReleaseKernel(cl_kernel kernel)
{
	ALIVE(kernel);
	if (--kernel->alive == 0) {
		counts.kernels--;
		free(kernel);
	}
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
	(void)index;
	CALL();
	ALIVE(kernel);
	if ((size != 4 && size != 8) || value == NULL)
		return misuse(__func__, "arguments");
	return CL_SUCCESS;
}

FAKE_EXPORT cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
										  const size_t *offset, const size_t *items, const size_t *group, cl_uint waits,
										  const cl_event *list, cl_event *event)
{
	CALL();
	ALIVE(queue);
	ALIVE(kernel);
	if (dimensions != 1 || offset != NULL || items[0] == 0 || group[0] == 0 || items[0] % group[0] != 0 ||
		kernel->context != queue->context || waits != 0 || list != NULL || event != NULL)
		return misuse(__func__, "arguments");
	counts.launches++;
	counts.last_group = group[0];
	return CL_SUCCESS;
}
