/* SPDX-License-Identifier: Apache-2.0 */
/* An OpenCL device: an in-order queue, whose stop-watch is the host's clock between moments when the queue is empty. */
#ifndef BENCH_OPENCL_DEVICE_H
#define BENCH_OPENCL_DEVICE_H

#include "device.h"

struct opencl_functions;

struct opencl_device {
	struct device device; /* first; its queue is a cl_command_queue */
	const struct opencl_functions *functions;
	void *context;
	double started; /* seconds */
};

/* index: as fkm_device_list numbers the devices of OpenCL. False after a sentence on standard error. */
bool opencl_device_open(int index, struct opencl_device *device);
/* Also after a failed open. */
void opencl_device_close(struct opencl_device *device);

#endif
