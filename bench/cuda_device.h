/* SPDX-License-Identifier: Apache-2.0 */
/* A CUDA device as the benchmark uses it: memory, one stream, and a stop-watch of events on it. */
#ifndef BENCH_CUDA_DEVICE_H
#define BENCH_CUDA_DEVICE_H

#include "cuda_driver.h"

struct cuda_device {
	const struct cuda_driver *driver;
	int ordinal, cuda_version; /* 13000: the driver is for CUDA 13.0 */
	char name[128];
	char driver_release[64]; /* of the kernel module, for example 580.65.06; "" where it cannot be told */
	int units;
	void *context; /* the device's primary context; current from open to close */
	void *stream;
	void *start, *end; /* events */
};

/* Each of these returns false (or NULL) after a sentence on standard error. */
bool cuda_device_open(int index, struct cuda_device *device);
/* Also after a failed open. */
void cuda_device_close(struct cuda_device *device);

/* 256-byte aligned device memory. Freeing NULL is allowed. */
void *cuda_device_alloc(struct cuda_device *device, int64_t bytes);
void cuda_device_free(struct cuda_device *device, void *memory);

/* These wait. */
bool cuda_device_upload(struct cuda_device *device, void *to, const void *from, int64_t bytes);
bool cuda_device_download(struct cuda_device *device, void *to, const void *from, int64_t bytes);

/* The time that the stream takes for what is put on it in between; stop waits. */
bool cuda_device_start(struct cuda_device *device);
bool cuda_device_stop(struct cuda_device *device, double *milliseconds);

#endif
