/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark uses of the CUDA driver API, opened at run time: the library's own table is not public. */
#ifndef BENCH_CUDA_DRIVER_H
#define BENCH_CUDA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t cuda_pointer;

enum { CUDA_MULTIPROCESSOR_COUNT = 16 }; /* CUdevice_attribute */

/* member, exact symbol, parameters: CUdevice and enums are int, CUdeviceptr is cuda_pointer, handles are void * */
#define CUDA_FUNCTIONS(X)                                                                                              \
	X(init, cuInit, (unsigned flags))                                                                                  \
	X(version, cuDriverGetVersion, (int *version))                                                                     \
	X(error_name, cuGetErrorName, (int result, const char **name))                                                     \
	X(device_get, cuDeviceGet, (int *device, int ordinal))                                                             \
	X(device_name, cuDeviceGetName, (char *name, int bytes, int device))                                               \
	X(device_attribute, cuDeviceGetAttribute, (int *value, int attribute, int device))                                 \
	X(primary_retain, cuDevicePrimaryCtxRetain, (void **context, int device))                                          \
	X(primary_release, cuDevicePrimaryCtxRelease_v2, (int device))                                                     \
	X(context_push, cuCtxPushCurrent_v2, (void *context))                                                              \
	X(context_pop, cuCtxPopCurrent_v2, (void **context))                                                               \
	X(stream_create, cuStreamCreate, (void **stream, unsigned flags))                                                  \
	X(stream_destroy, cuStreamDestroy_v2, (void *stream))                                                              \
	X(stream_wait, cuStreamSynchronize, (void *stream))                                                                \
	X(memory_alloc, cuMemAlloc_v2, (cuda_pointer * memory, size_t bytes))                                              \
	X(memory_info, cuMemGetInfo_v2, (size_t *free, size_t *total))                                                     \
	X(memory_free, cuMemFree_v2, (cuda_pointer memory))                                                                \
	X(host_alloc, cuMemHostAlloc, (void **memory, size_t bytes, unsigned flags))                                       \
	X(host_free, cuMemFreeHost, (void *memory))                                                                        \
	X(copy_up, cuMemcpyHtoDAsync_v2, (cuda_pointer to, const void *from, size_t bytes, void *stream))                  \
	X(copy_down, cuMemcpyDtoHAsync_v2, (void *to, cuda_pointer from, size_t bytes, void *stream))                      \
	X(copy_within, cuMemcpyDtoDAsync_v2, (cuda_pointer to, cuda_pointer from, size_t bytes, void *stream))             \
	X(event_create, cuEventCreate, (void **event, unsigned flags))                                                     \
	X(event_destroy, cuEventDestroy_v2, (void *event))                                                                 \
	X(event_record, cuEventRecord, (void *event, void *stream))                                                        \
	X(event_wait, cuEventSynchronize, (void *event))                                                                   \
	X(event_elapsed, cuEventElapsedTime, (float *milliseconds, void *start, void *end))                                \
	X(module_load, cuModuleLoadData, (void **module, const void *image))                                               \
	X(module_unload, cuModuleUnload, (void *module))                                                                   \
	X(module_function, cuModuleGetFunction, (void **function, void *module, const char *name))                         \
	X(launch, cuLaunchKernel,                                                                                          \
	  (void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,          \
	   unsigned block_z, unsigned shared_bytes, void *stream, void **arguments, void **extra))

struct cuda_driver {
#define CUDA_MEMBER(member, symbol, parameters) int(*member) parameters;
	CUDA_FUNCTIONS(CUDA_MEMBER)
#undef CUDA_MEMBER
};

/* The driver (environment FKM_CUDA_LIBRARY: a path in place of libcuda.so.1, as for the library), initialised; NULL, with
 * the reason on standard error, if it cannot be used. */
const struct cuda_driver *cuda_driver_open(void);

/* Whether a result is success; else says on standard error what failed. */
bool cuda_ok(const struct cuda_driver *driver, int result, const char *what);

#endif
