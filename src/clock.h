/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FKMI_CLOCK_H
#define FKMI_CLOCK_H

#include <time.h>

/* Seconds of a clock that does not jump where the platform has one. */
static inline double fkmi_now(void)
{
	struct timespec t;
#if defined(CLOCK_MONOTONIC)
	clock_gettime(CLOCK_MONOTONIC, &t);
#else
	timespec_get(&t, TIME_UTC);
#endif
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
