/* SPDX-License-Identifier: Apache-2.0 */
/* The fake loader of the backend's tests with a device; at the end of the process it complains, by its exit status, of what
 * was used wrongly or left over. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/opencl/fake/fake.h"

__attribute__((constructor)) static void offer_device(void)
{
	static const struct fake_opencl_setup setup = {
		.platforms = 1, .devices = 1, .device = {{.name = "fake GPU", .type = CL_DEVICE_TYPE_GPU}}};
	fake_opencl_reset(&setup);
}

__attribute__((destructor)) static void complain(void)
{
	const struct fake_opencl_report report = fake_opencl_report();
	const int alive = report.contexts + report.queues + report.buffers + report.programs + report.kernels;
	if (report.misuses == 0 && alive == 0 && report.launches > 0)
		return;
	fprintf(stderr, "fake loader: %d misuses (%s), %d things left over, %d launches\n", report.misuses, report.misuse,
			alive, report.launches);
	_exit(EXIT_FAILURE);
}
