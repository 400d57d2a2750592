/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark needs beyond the fake driver of the backend's tests. At the end of the process it complains, by its
 * exit status, of what was used wrongly or left over. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/cuda/fake/fake.h"

FAKE_EXPORT fkmi_cu_result cuLaunchKernel(void);

/* Only for measuring ceilings, which there are none of. */
fkmi_cu_result cuLaunchKernel(void)
{
	return FKMI_CU_NOT_FOUND;
}

__attribute__((destructor)) static void complain(void)
{
	const struct fake_cuda_report report = fake_cuda_report();
	if (report.misuses == 0 && report.abandoned == 0 && report.contexts == 0 && report.events == 0 &&
		report.launches > 0)
		return;
	fprintf(stderr, "fake driver: %d misuses (%s), %d things and %d events left over, %d contexts, %d launches\n",
			report.misuses, report.misuse, report.abandoned, report.events, report.contexts, report.launches);
	_exit(EXIT_FAILURE);
}
