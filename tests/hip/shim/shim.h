/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A HIP runtime for tests, over the CUDA driver (or the fake one): the library's HIP backend runs unchanged on an
 * NVIDIA GPU. Of the code that it is handed it only checks the form; what runs are the same kernel sources, compiled by
 * nvcc and embedded here.
 *
 * With SHIM_ROCM5 it lacks what ROCm 5 lacks, too.
 *
 * Environment: FKM_CUDA_LIBRARY, a path in place of libcuda.so.1; SHIM_TARGET, the target that devices claim to have
 * (gfx90a); SHIM_VERSION, what hipRuntimeGetVersion says.
 */
#ifndef FKM_SHIM_H
#define FKM_SHIM_H

#include "backends/cuda/driver.h"
#include "backends/hip/driver.h"

#define SHIM_EXPORT __attribute__((visibility("default")))

/* The runtime's functions, declared from the tables that the library uses. */
#define SHIM_DECLARE(member, symbol, type, parameters, optional) SHIM_EXPORT type symbol parameters;
#define SHIM_DECLARE_SHARED(member, cuda, symbol, parameters) SHIM_EXPORT int symbol parameters;
FKMI_HIP_FUNCTIONS(SHIM_DECLARE)
FKMI_RUNTIME_FUNCTIONS(SHIM_DECLARE_SHARED)
#undef SHIM_DECLARE_SHARED
#undef SHIM_DECLARE

/* Gives back the contexts of the driver that devices have had since the last time: what still lives in them is lost. */
SHIM_EXPORT void shim_release_contexts(void);

#endif
