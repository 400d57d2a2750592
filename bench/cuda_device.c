/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda_device.h"

#include <stdio.h>

/* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  <date>", with "Open" and "for x86_64" in some. */
static void read_driver_release(char *text, size_t bytes)
{
	FILE *file = fopen("/proc/driver/nvidia/version", "r");
	char line[256], word[64];
	*text = '\0';
	if (!file)
		return;
	if (fgets(line, sizeof(line), file)) {
		int used;
		for (const char *at = line; !*text && sscanf(at, "%63s%n", word, &used) == 1; at += used) {
			int major, minor;
			if (sscanf(word, "%d.%d", &major, &minor) == 2)
				snprintf(text, bytes, "%s", word);
		}
	}
	fclose(file);
}

/* ---- memory and time ---- */

static const struct cuda_driver *driver_of(const struct device *device)
{
	return ((const struct cuda_device *)device)->driver;
}

static void *cuda_alloc(struct device *device, int64_t bytes)
{
	const struct cuda_driver *driver = driver_of(device);
	cuda_pointer memory = 0;
	char what[64];
	snprintf(what, sizeof(what), "cuMemAlloc of %lld bytes", (long long)bytes);
	if (!cuda_ok(driver, driver->memory_alloc(&memory, (size_t)bytes), what))
		return NULL;
	return (void *)(uintptr_t)memory;
}

static void cuda_free(struct device *device, void *memory)
{
	if (memory)
		driver_of(device)->memory_free((cuda_pointer)(uintptr_t)memory);
}

static bool wait(struct device *device)
{
	const struct cuda_driver *driver = driver_of(device);
	return cuda_ok(driver, driver->stream_wait(device->queue), "cuStreamSynchronize");
}

static bool cuda_upload(struct device *device, void *to, const void *from, int64_t bytes)
{
	const struct cuda_driver *driver = driver_of(device);
	int result = driver->copy_up((cuda_pointer)(uintptr_t)to, from, (size_t)bytes, device->queue);
	return cuda_ok(driver, result, "cuMemcpyHtoDAsync") && wait(device);
}

static bool cuda_download(struct device *device, void *to, const void *from, int64_t bytes)
{
	const struct cuda_driver *driver = driver_of(device);
	int result = driver->copy_down(to, (cuda_pointer)(uintptr_t)from, (size_t)bytes, device->queue);
	return cuda_ok(driver, result, "cuMemcpyDtoHAsync") && wait(device);
}

static bool cuda_start(struct device *device)
{
	const struct cuda_driver *driver = driver_of(device);
	return cuda_ok(driver, driver->event_record(((struct cuda_device *)device)->start, device->queue), "cuEventRecord");
}

static bool cuda_stop(struct device *device, double *milliseconds)
{
	const struct cuda_device *cuda = (const struct cuda_device *)device;
	const struct cuda_driver *driver = cuda->driver;
	float elapsed = 0;
	if (!cuda_ok(driver, driver->event_record(cuda->end, device->queue), "cuEventRecord") ||
		!cuda_ok(driver, driver->event_wait(cuda->end), "cuEventSynchronize") ||
		!cuda_ok(driver, driver->event_elapsed(&elapsed, cuda->start, cuda->end), "cuEventElapsedTime"))
		return false;
	*milliseconds = elapsed;
	return true;
}

static const struct device_calls calls = {
	.backend = "cuda",
	.alloc = cuda_alloc,
	.free = cuda_free,
	.upload = cuda_upload,
	.download = cuda_download,
	.start = cuda_start,
	.stop = cuda_stop,
};

/* ---- opening ---- */

bool cuda_device_open(int index, struct cuda_device *device)
{
	*device = (struct cuda_device){.device.calls = &calls, .driver = cuda_driver_open()};
	const struct cuda_driver *driver = device->driver;
	char *name = device->device.name;
	void *handle;
	int version;
	if (!driver || !cuda_ok(driver, driver->version(&version), "cuDriverGetVersion") ||
		!cuda_ok(driver, driver->device_get(&device->ordinal, index), "cuDeviceGet") ||
		!cuda_ok(driver, driver->device_name(name, sizeof(device->device.name), device->ordinal), "cuDeviceGetName") ||
		!cuda_ok(driver, driver->device_attribute(&device->units, CUDA_MULTIPROCESSOR_COUNT, device->ordinal),
				 "cuDeviceGetAttribute") ||
		!cuda_ok(driver, driver->primary_retain(&handle, device->ordinal), "cuDevicePrimaryCtxRetain"))
		return false;
	read_driver_release(device->device.driver, sizeof(device->device.driver));
	snprintf(device->device.interface, sizeof(device->device.interface), "CUDA %d.%d", version / 1000,
			 version % 1000 / 10);
	if (!cuda_ok(driver, driver->context_push(handle), "cuCtxPushCurrent")) {
		driver->primary_release(device->ordinal);
		return false;
	}
	device->context = handle;
	if (!cuda_ok(driver, driver->stream_create(&handle, 0), "cuStreamCreate"))
		return false;
	device->device.queue = handle;
	if (!cuda_ok(driver, driver->event_create(&handle, 0), "cuEventCreate"))
		return false;
	device->start = handle;
	if (!cuda_ok(driver, driver->event_create(&handle, 0), "cuEventCreate"))
		return false;
	device->end = handle;
	return true;
}

void cuda_device_close(struct cuda_device *device)
{
	const struct cuda_driver *driver = device->driver;
	void *popped;
	if (device->start)
		driver->event_destroy(device->start);
	if (device->end)
		driver->event_destroy(device->end);
	if (device->device.queue)
		driver->stream_destroy(device->device.queue);
	if (device->context) {
		driver->context_pop(&popped);
		driver->primary_release(device->ordinal);
	}
	*device = (struct cuda_device){0};
}
