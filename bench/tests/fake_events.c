/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark needs beyond the fake driver of the backend's tests: events, whose clock is the host's. At the end of
 * the process it complains, by its exit status, of what was used wrongly or left over. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/cuda/fake/fake.h"

FAKE_EXPORT fkmi_cu_result cuEventCreate(void **event, unsigned flags);
FAKE_EXPORT fkmi_cu_result cuEventDestroy_v2(void *event);
FAKE_EXPORT fkmi_cu_result cuEventRecord(void *event, fkmi_cu_stream stream);
FAKE_EXPORT fkmi_cu_result cuEventSynchronize(void *event);
FAKE_EXPORT fkmi_cu_result cuEventElapsedTime(float *milliseconds, void *start, void *end);
FAKE_EXPORT fkmi_cu_result cuLaunchKernel(void);

static int events;

fkmi_cu_result cuEventCreate(void **event, unsigned flags)
{
	*event = flags == 0 ? calloc(1, sizeof(struct timespec)) : NULL;
	events += *event != NULL;
	return *event != NULL ? FKMI_CU_SUCCESS : FKMI_CU_OUT_OF_MEMORY;
}

fkmi_cu_result cuEventDestroy_v2(void *event)
{
	free(event);
	events--;
	return FKMI_CU_SUCCESS;
}

fkmi_cu_result cuEventRecord(void *event, fkmi_cu_stream stream)
{
	fkmi_cu_context context;
	clock_gettime(CLOCK_MONOTONIC, event);
	return cuStreamGetCtx(stream, &context);
}

fkmi_cu_result cuEventSynchronize(void *event)
{
	(void)event;
	return FKMI_CU_SUCCESS;
}

fkmi_cu_result cuEventElapsedTime(float *milliseconds, void *start, void *end)
{
	const struct timespec *a = start, *b = end;
	*milliseconds = (float)(1e3 * (double)(b->tv_sec - a->tv_sec) + 1e-6 * (double)(b->tv_nsec - a->tv_nsec));
	return FKMI_CU_SUCCESS;
}

/* Only for measuring ceilings, which there are none of. */
fkmi_cu_result cuLaunchKernel(void)
{
	return FKMI_CU_NOT_FOUND;
}

__attribute__((destructor)) static void complain(void)
{
	const struct fake_cuda_report report = fake_cuda_report();
	if (report.misuses == 0 && report.abandoned == 0 && report.contexts == 0 && events == 0 && report.launches > 0)
		return;
	fprintf(stderr, "fake driver: %d misuses (%s), %d things and %d events left over, %d contexts, %d launches\n",
			report.misuses, report.misuse, report.abandoned, events, report.contexts, report.launches);
	_exit(EXIT_FAILURE);
}
