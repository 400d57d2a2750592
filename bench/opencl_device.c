/* SPDX-License-Identifier: Apache-2.0 */
#include "opencl_device.h"

#include <stdio.h>

#include "symbols.h"
#include "threads.h"

/* Of cl.h, which need not be there. */
enum {
	PLATFORM_NAME = 0x0902,
	DEVICE_TYPE = 0x1000,
	DEVICE_NAME = 0x102B,
	DRIVER_VERSION = 0x102D,
	DEVICE_VERSION = 0x102F,
	DEVICE_PLATFORM = 0x1031,
	MEM_READ_WRITE = 1,
	BLOCKING = 1,
	MOST_PLATFORMS = 16,
	MOST_DEVICES = 64
};
static const uint64_t type_cpu = 2, type_all = 0xFFFFFFFF;

/* member, exact symbol, parameters: bit fields are uint64_t, handles are void * */
#define OPENCL_FUNCTIONS(X)                                                                                            \
	X(platforms, clGetPlatformIDs, int, (unsigned most, void **platforms, unsigned *count))                            \
	X(platform_info, clGetPlatformInfo, int, (void *platform, unsigned what, size_t bytes, void *value, size_t *size)) \
	X(devices, clGetDeviceIDs, int, (void *platform, uint64_t type, unsigned most, void **devices, unsigned *count))   \
	X(device_info, clGetDeviceInfo, int, (void *device, unsigned what, size_t bytes, void *value, size_t *size))       \
	X(context_create, clCreateContext, void *,                                                                         \
	  (const intptr_t *properties, unsigned count, void *const *devices, void *notify, void *user, int *result))       \
	X(context_release, clReleaseContext, int, (void *context))                                                         \
	X(queue_create, clCreateCommandQueue, void *, (void *context, void *device, uint64_t properties, int *result))     \
	X(queue_release, clReleaseCommandQueue, int, (void *queue))                                                        \
	X(buffer_create, clCreateBuffer, void *, (void *context, uint64_t flags, size_t bytes, void *host, int *result))   \
	X(buffer_release, clReleaseMemObject, int, (void *buffer))                                                         \
	X(write, clEnqueueWriteBuffer, int,                                                                                \
	  (void *queue, void *to, unsigned blocking, size_t offset, size_t bytes, const void *from, unsigned waits,        \
	   const void *wait_list, void *event))                                                                            \
	X(read, clEnqueueReadBuffer, int,                                                                                  \
	  (void *queue, void *from, unsigned blocking, size_t offset, size_t bytes, void *to, unsigned waits,              \
	   const void *wait_list, void *event))                                                                            \
	X(finish, clFinish, int, (void *queue))

struct opencl_functions {
#define OPENCL_MEMBER(member, symbol, type, parameters) type(*member) parameters;
	OPENCL_FUNCTIONS(OPENCL_MEMBER)
#undef OPENCL_MEMBER
};

static const struct opencl_functions *load(void)
{
	static const struct symbol symbols[] = {
#define OPENCL_SYMBOL(member, symbol, type, parameters) {#symbol, offsetof(struct opencl_functions, member)},
		OPENCL_FUNCTIONS(OPENCL_SYMBOL)
#undef OPENCL_SYMBOL
	};
	static struct opencl_functions functions;
	const size_t count = sizeof(symbols) / sizeof(symbols[0]);
	return symbols_load("FKM_OPENCL_LIBRARY", "libOpenCL.so.1", symbols, count, &functions) ? &functions : NULL;
}

static bool succeeded(int result, const char *what)
{
	if (result)
		fprintf(stderr, "fkm-bench: %s failed: %d\n", what, result);
	return result == 0;
}

/* ---- finding ---- */

/* Device `index` of all, as the library numbers them: what is no CPU first. */
static bool find_device(const struct opencl_functions *functions, int index, void **device)
{
	void *platforms[MOST_PLATFORMS];
	unsigned platform_count = 0;
	int passed = 0;
	if (!succeeded(functions->platforms(MOST_PLATFORMS, platforms, &platform_count), "clGetPlatformIDs"))
		return false;
	for (int cpus = 0; cpus < 2; cpus++) {
		for (unsigned p = 0; p < platform_count && p < MOST_PLATFORMS; p++) {
			void *devices[MOST_DEVICES];
			unsigned count = 0;
			if (functions->devices(platforms[p], type_all, MOST_DEVICES, devices, &count))
				continue;
			for (unsigned i = 0; i < count && i < MOST_DEVICES; i++) {
				uint64_t type = 0;
				if (functions->device_info(devices[i], DEVICE_TYPE, sizeof(type), &type, NULL) ||
					((type & type_cpu) != 0) != (cpus != 0) || passed++ != index)
					continue;
				*device = devices[i];
				return true;
			}
		}
	}
	fprintf(stderr, "fkm-bench: there is no OpenCL device %d\n", index);
	return false;
}

static bool describe(const struct opencl_functions *functions, void *id, struct device *device)
{
	char version[128], platform_name[128];
	void *platform;
	if (!succeeded(functions->device_info(id, DEVICE_NAME, sizeof(device->name), device->name, NULL),
				   "clGetDeviceInfo") ||
		!succeeded(functions->device_info(id, DRIVER_VERSION, sizeof(device->driver), device->driver, NULL),
				   "clGetDeviceInfo") ||
		!succeeded(functions->device_info(id, DEVICE_VERSION, sizeof(version), version, NULL), "clGetDeviceInfo") ||
		!succeeded(functions->device_info(id, DEVICE_PLATFORM, sizeof(platform), &platform, NULL), "clGetDeviceInfo") ||
		!succeeded(functions->platform_info(platform, PLATFORM_NAME, sizeof(platform_name), platform_name, NULL),
				   "clGetPlatformInfo"))
		return false;
	snprintf(device->interface, sizeof(device->interface), "%.30s, %.30s", platform_name, version);
	return true;
}

/* ---- memory and time ---- */

static void *opencl_alloc(struct device *device, int64_t bytes)
{
	struct opencl_device *opencl = (struct opencl_device *)device;
	int result;
	void *memory =
		opencl->functions->buffer_create(opencl->context, MEM_READ_WRITE, bytes > 0 ? (size_t)bytes : 1, NULL, &result);
	char what[64];
	snprintf(what, sizeof(what), "clCreateBuffer of %lld bytes", (long long)bytes);
	return succeeded(result, what) ? memory : NULL;
}

static void opencl_free(struct device *device, void *memory)
{
	if (memory)
		((struct opencl_device *)device)->functions->buffer_release(memory);
}

static bool opencl_upload(struct device *device, void *to, const void *from, int64_t bytes)
{
	const struct opencl_functions *functions = ((struct opencl_device *)device)->functions;
	return succeeded(functions->write(device->queue, to, BLOCKING, 0, (size_t)bytes, from, 0, NULL, NULL),
					 "clEnqueueWriteBuffer");
}

static bool opencl_download(struct device *device, void *to, const void *from, int64_t bytes)
{
	const struct opencl_functions *functions = ((struct opencl_device *)device)->functions;
	/* Not changed by reading; the interface has no const for it. */
	return succeeded(
		functions->read(device->queue, (void *)(uintptr_t)from, BLOCKING, 0, (size_t)bytes, to, 0, NULL, NULL),
		"clEnqueueReadBuffer");
}

static bool opencl_start(struct device *device)
{
	struct opencl_device *opencl = (struct opencl_device *)device;
	const bool ok = succeeded(opencl->functions->finish(device->queue), "clFinish");
	opencl->started = now();
	return ok;
}

static bool opencl_stop(struct device *device, double *milliseconds)
{
	struct opencl_device *opencl = (struct opencl_device *)device;
	const bool ok = succeeded(opencl->functions->finish(device->queue), "clFinish");
	*milliseconds = (now() - opencl->started) * 1e3;
	return ok;
}

static const struct device_calls calls = {
	.backend = "opencl",
	.alloc = opencl_alloc,
	.free = opencl_free,
	.upload = opencl_upload,
	.download = opencl_download,
	.start = opencl_start,
	.stop = opencl_stop,
};

/* ---- opening ---- */

bool opencl_device_open(int index, struct opencl_device *device)
{
	*device = (struct opencl_device){.device.calls = &calls, .functions = load()};
	const struct opencl_functions *functions = device->functions;
	void *id;
	int result;
	if (!functions || !find_device(functions, index, &id) || !describe(functions, id, &device->device))
		return false;
	device->context = functions->context_create(NULL, 1, &id, NULL, NULL, &result);
	if (!succeeded(result, "clCreateContext"))
		return false;
	device->device.queue = functions->queue_create(device->context, id, 0, &result);
	return succeeded(result, "clCreateCommandQueue");
}

void opencl_device_close(struct opencl_device *device)
{
	if (device->device.queue)
		device->functions->queue_release(device->device.queue);
	if (device->context)
		device->functions->context_release(device->context);
	*device = (struct opencl_device){0};
}
