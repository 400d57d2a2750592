/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA driver that is none: it keeps count of what is given out, checks what it is handed, and fails when told to.
 * Device memory is host memory; of the kernels only the one that writes its own arguments runs, the others do nothing.
 */
#ifndef FKM_FAKE_CUDA_H
#define FKM_FAKE_CUDA_H

#include <stdbool.h>

#include "backends/cuda/driver.h"

#define FAKE_EXPORT __attribute__((visibility("default")))

/* The driver's functions, declared from the table that the library uses. */
#define FAKE_DECLARE(member, symbol, parameters) FAKE_EXPORT fkmi_cu_result symbol parameters;
FKMI_CUDA_FUNCTIONS(FAKE_DECLARE)
#define FAKE_DECLARE_SHARED(member, symbol, hip, parameters) FAKE_DECLARE(member, symbol, parameters)
FKMI_RUNTIME_FUNCTIONS(FAKE_DECLARE_SHARED)
#undef FAKE_DECLARE_SHARED
#undef FAKE_DECLARE

/* Events that are timed, for who measures. */
FAKE_EXPORT fkmi_cu_result cuEventElapsedTime(float *milliseconds, void *start, void *end);

struct fake_cuda_setup {
	int devices;
	int version;      /* 13000 for 13.0 */
	int major, minor; /* compute capability */
	size_t memory_bytes;
	int fail_call; /* from 1; 0: none. Only calls that return a result of the driver's work are counted. */
	fkmi_cu_result fail_result;
	bool fail_on;     /* every later call fails too */
	const int *stuck; /* NULL, or: while it is not 0, the streams stand still */
	bool zeroed;      /* new memory, which otherwise holds bytes that mean nothing */
};

struct fake_cuda_report {
	int calls;
	const char *failed; /* the function that was made to fail first; NULL: none was */
	int contexts, streams, modules, blocks, events, host_blocks; /* alive */
	int abandoned, abandoned_blocks; /* things, and of these blocks, still alive when their context went */
	int launches, waits;
	int misuses;
	char misuse[200]; /* the first of them */
};

/* Begins anew: counters at 0. Whatever is alive is forgotten. */
FAKE_EXPORT void fake_cuda_reset(const struct fake_cuda_setup *setup);
/* Takes another setup and counts calls from 0; what is alive stays. */
FAKE_EXPORT void fake_cuda_arm(const struct fake_cuda_setup *setup);
FAKE_EXPORT struct fake_cuda_report fake_cuda_report(void);
/* What the calling thread's current context is; NULL: none. */
FAKE_EXPORT fkmi_cu_context fake_cuda_current(void);

#endif
