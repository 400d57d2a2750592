/* SPDX-License-Identifier: Apache-2.0 */
/* A device as the benchmark uses it: memory, one queue, and a stop-watch. What fails says so on standard error. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct device;

struct device_calls {
	const char *backend; /* of the library */
	/* 256-byte aligned device memory, a device pointer or a cl_mem; NULL if there is none. Freeing NULL is allowed. */
	void *(*alloc)(struct device *device, int64_t bytes);
	void (*free)(struct device *device, void *memory);
	/* The first bytes of that memory; both wait. */
	bool (*upload)(struct device *device, void *to, const void *from, int64_t bytes);
	bool (*download)(struct device *device, void *to, const void *from, int64_t bytes);
	/* The time that the queue takes for what is put on it in between; stop waits. */
	bool (*start)(struct device *device);
	bool (*stop)(struct device *device, double *milliseconds);
};

/* Backends of the benchmark embed it as the first member of their own struct. */
struct device {
	const struct device_calls *calls;
	char name[128];
	char driver[128];   /* its version, for example 580.65.06; "" where it cannot be told */
	char interface[64]; /* what it implements, for example "CUDA 13.0" */
	void *queue;        /* native_queue of the library's context */
};

static inline void *device_alloc(struct device *device, int64_t bytes)
{
	return device->calls->alloc(device, bytes);
}
static inline void device_free(struct device *device, void *memory)
{
	device->calls->free(device, memory);
}
static inline bool device_upload(struct device *device, void *to, const void *from, int64_t bytes)
{
	return device->calls->upload(device, to, from, bytes);
}
static inline bool device_download(struct device *device, void *to, const void *from, int64_t bytes)
{
	return device->calls->download(device, to, from, bytes);
}
static inline bool device_start(struct device *device)
{
	return device->calls->start(device);
}
static inline bool device_stop(struct device *device, double *milliseconds)
{
	return device->calls->stop(device, milliseconds);
}

#endif
