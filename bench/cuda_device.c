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

bool cuda_device_open(int index, struct cuda_device *device)
{
	*device = (struct cuda_device){.driver = cuda_driver_open()};
	const struct cuda_driver *driver = device->driver;
	void *handle;
	if (!driver || !cuda_ok(driver, driver->version(&device->cuda_version), "cuDriverGetVersion") ||
		!cuda_ok(driver, driver->device_get(&device->ordinal, index), "cuDeviceGet") ||
		!cuda_ok(driver, driver->device_name(device->name, sizeof(device->name), device->ordinal), "cuDeviceGetName") ||
		!cuda_ok(driver, driver->device_attribute(&device->units, CUDA_MULTIPROCESSOR_COUNT, device->ordinal),
				 "cuDeviceGetAttribute") ||
		!cuda_ok(driver, driver->primary_retain(&handle, device->ordinal), "cuDevicePrimaryCtxRetain"))
		return false;
	read_driver_release(device->driver_release, sizeof(device->driver_release));
	if (!cuda_ok(driver, driver->context_push(handle), "cuCtxPushCurrent")) {
		driver->primary_release(device->ordinal);
		return false;
	}
	device->context = handle;
	if (!cuda_ok(driver, driver->stream_create(&handle, 0), "cuStreamCreate"))
		return false;
	device->stream = handle;
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
	if (device->stream)
		driver->stream_destroy(device->stream);
	if (device->context) {
		driver->context_pop(&popped);
		driver->primary_release(device->ordinal);
	}
	*device = (struct cuda_device){0};
}

void *cuda_device_alloc(struct cuda_device *device, int64_t bytes)
{
	cuda_pointer memory = 0;
	char what[64];
	snprintf(what, sizeof(what), "cuMemAlloc of %lld bytes", (long long)bytes);
	if (!cuda_ok(device->driver, device->driver->memory_alloc(&memory, (size_t)bytes), what))
		return NULL;
	return (void *)(uintptr_t)memory;
}

void cuda_device_free(struct cuda_device *device, void *memory)
{
	if (memory)
		device->driver->memory_free((cuda_pointer)(uintptr_t)memory);
}

static bool wait(struct cuda_device *device)
{
	return cuda_ok(device->driver, device->driver->stream_wait(device->stream), "cuStreamSynchronize");
}

bool cuda_device_upload(struct cuda_device *device, void *to, const void *from, int64_t bytes)
{
	const struct cuda_driver *driver = device->driver;
	int result = driver->copy_up((cuda_pointer)(uintptr_t)to, from, (size_t)bytes, device->stream);
	return cuda_ok(driver, result, "cuMemcpyHtoDAsync") && wait(device);
}

bool cuda_device_download(struct cuda_device *device, void *to, const void *from, int64_t bytes)
{
	const struct cuda_driver *driver = device->driver;
	int result = driver->copy_down(to, (cuda_pointer)(uintptr_t)from, (size_t)bytes, device->stream);
	return cuda_ok(driver, result, "cuMemcpyDtoHAsync") && wait(device);
}

bool cuda_device_start(struct cuda_device *device)
{
	return cuda_ok(device->driver, device->driver->event_record(device->start, device->stream), "cuEventRecord");
}

bool cuda_device_stop(struct cuda_device *device, double *milliseconds)
{
	const struct cuda_driver *driver = device->driver;
	float elapsed = 0;
	if (!cuda_ok(driver, driver->event_record(device->end, device->stream), "cuEventRecord") ||
		!cuda_ok(driver, driver->event_wait(device->end), "cuEventSynchronize") ||
		!cuda_ok(driver, driver->event_elapsed(&elapsed, device->start, device->end), "cuEventElapsedTime"))
		return false;
	*milliseconds = elapsed;
	return true;
}
