/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HIP runtime, opened at run time: of its interface only what is binary compatible from ROCm 5 to 7, with types and
 * constants of our own. Structs and most enums have changed between major versions; functions, the attributes below and
 * the numbers of results have not. tests/hip/test_header.c compares them with AMD's header where there is one.
 */
#ifndef FKMI_HIP_DRIVER_H
#define FKMI_HIP_DRIVER_H

#include "backends/gpu/runtime.h"

enum {
	FKMI_HIP_MAX_THREADS_PER_BLOCK = 56, /* hipDeviceAttribute_t */
	FKMI_HIP_MEMORY_BUS_WIDTH = 59,      /* bits */
	FKMI_HIP_MEMORY_CLOCK_RATE = 60,     /* kHz */
	FKMI_HIP_MULTIPROCESSOR_COUNT = 63,
	FKMI_HIP_SHARED_MEMORY = 74, /* per block */
	FKMI_HIP_WARP_SIZE = 87,
};

/* Where gcnArchName stands in hipDeviceProp_t, the one thing that no function tells; more than either struct takes. */
enum {
	FKMI_HIP_TARGET_R0000 = 396,  /* hipGetDeviceProperties of any version of the library */
	FKMI_HIP_TARGET_R0600 = 1160, /* hipGetDevicePropertiesR0600, from ROCm 6 on */
	FKMI_HIP_PROPERTIES_BYTES = 8192,
};

/* What HIP has in another way than CUDA: member, symbol, type, parameters, whether the library may lack it. */
#define FKMI_HIP_FUNCTIONS(X)                                                                                          \
	X(error_name, hipGetErrorName, const char *, (int result), false)                                                  \
	X(error_string, hipGetErrorString, const char *, (int result), false)                                              \
	X(get_device, hipGetDevice, int, (int *device), false)                                                             \
	X(set_device, hipSetDevice, int, (int device), false)                                                              \
	X(launch, hipModuleLaunchKernel, int,                                                                              \
	  (void *function, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads, unsigned threads_y,    \
	   unsigned threads_z, unsigned shared_bytes, void *stream, void **arguments, void **extra),                       \
	  false)                                                                                                           \
	X(stream_device, hipStreamGetDevice, int, (void *stream, int *device), true)                                       \
	X(stream_device_id, hipGetStreamDeviceId, int, (void *stream), true)                                               \
	X(properties_r0600, hipGetDevicePropertiesR0600, int, (void *properties, int device), true)                        \
	X(properties_r0000, hipGetDeviceProperties, int, (void *properties, int device), true)

struct fkmi_hip_driver {
	struct fkmi_runtime_calls calls;
#define FKMI_HIP_MEMBER(member, symbol, type, parameters, optional) type(*member) parameters;
	FKMI_HIP_FUNCTIONS(FKMI_HIP_MEMBER)
#undef FKMI_HIP_MEMBER
};

extern struct fkmi_hip_driver fkmi_hip_driver;

/*
 * Opens the runtime on the first call of the process (environment FKM_HIP_LIBRARY: a path in place of the sonames), and
 * looks for devices: fkmi_runtime.start. FKM_ERROR_NO_DEVICE with the reason: no library, a symbol missing, too old, no
 * device.
 */
enum fkm_status fkmi_hip_driver_start(void);
/* fkmi_runtime.describe */
void fkmi_hip_describe(int result, const char **name, const char **text);
/* "HIP 6.3.42134 (libamdhip64.so.6)" */
enum { FKMI_HIP_VERSION_BYTES = 60 };
void fkmi_hip_version_text(char text[FKMI_HIP_VERSION_BYTES]);

#endif
