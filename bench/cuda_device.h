/* SPDX-License-Identifier: Apache-2.0 */
/* A CUDA device: a stream, and events on it as the stop-watch. */
#ifndef BENCH_CUDA_DEVICE_H
#define BENCH_CUDA_DEVICE_H

#include "cuda_driver.h"
#include "device.h"

struct cuda_device {
	struct device device; /* first; its queue is the stream */
	const struct cuda_driver *driver;
	int ordinal;
	int units;
	void *context;     /* the device's primary context; current from open to close */
	void *start, *end; /* events */
};

/* False after a sentence on standard error. */
bool cuda_device_open(int index, struct cuda_device *device);
/* Also after a failed open. */
void cuda_device_close(struct cuda_device *device);

#endif
