/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CUDA driver API, opened at run time: only what is used of it, with types and constants of our own, so that
 * neither a CUDA header nor a CUDA library is needed to build the host side. tests/cuda/header.c compares them with
 * NVIDIA's header where there is one.
 */
#ifndef FKMI_CUDA_DRIVER_H
#define FKMI_CUDA_DRIVER_H

#include "backends/gpu/runtime.h"

typedef int fkmi_cu_result; /* CUresult */
typedef int fkmi_cu_device; /* CUdevice: the ordinal's handle */
typedef void *fkmi_cu_context;
typedef void *fkmi_cu_stream;
typedef void *fkmi_cu_module;
typedef void *fkmi_cu_function;
typedef fkmi_runtime_pointer fkmi_cu_pointer; /* CUdeviceptr */

/* Results that are told apart. */
enum {
	FKMI_CU_SUCCESS = FKMI_RUNTIME_SUCCESS,
	FKMI_CU_OUT_OF_MEMORY = FKMI_RUNTIME_OUT_OF_MEMORY,
	FKMI_CU_NO_DEVICE = FKMI_RUNTIME_NO_DEVICE,
	FKMI_CU_NOT_FOUND = FKMI_RUNTIME_NOT_FOUND,
};

enum {
	FKMI_CU_MAX_THREADS_PER_BLOCK = 1, /* CUdevice_attribute */
	FKMI_CU_WARP_SIZE = 10,
	FKMI_CU_MULTIPROCESSOR_COUNT = 16,
	FKMI_CU_MEMORY_CLOCK_RATE = 36, /* kHz */
	FKMI_CU_MEMORY_BUS_WIDTH = 37,  /* bits */
	FKMI_CU_CAPABILITY_MAJOR = 75,
	FKMI_CU_CAPABILITY_MINOR = 76,
	FKMI_CU_SHARED_MEMORY_OPTIN = 97,
};

enum {
	FKMI_CU_FUNCTION_LOCAL_BYTES = 3, /* CUfunction_attribute */
	FKMI_CU_FUNCTION_REGISTERS = 4,
	FKMI_CU_FUNCTION_BINARY_VERSION = 6,
	FKMI_CU_FUNCTION_MAX_DYNAMIC_SHARED = 8,
};

enum {
	FKMI_CU_LAUNCH_COOPERATIVE = 2, /* CUlaunchAttributeID */
	FKMI_CU_LAUNCH_CLUSTER = 4,
	FKMI_CU_LAUNCH_PROGRAMMATIC = 6,
};

struct fkmi_cu_launch_attribute { /* CUlaunchAttribute */
	int32_t id;
	int32_t padding;
	union {
		uint32_t cluster[3];
		int32_t programmatic;
		int32_t cooperative;
		unsigned char all[64];
	} value;
};

struct fkmi_cu_launch_config { /* CUlaunchConfig */
	uint32_t grid[3], block[3];
	uint32_t shared_bytes;
	fkmi_cu_stream stream;
	struct fkmi_cu_launch_attribute *attributes;
	uint32_t attribute_count;
};

struct fkmi_cu_tensor_map { /* CUtensorMap; a kernel takes it by value, as a __grid_constant__ parameter */
	_Alignas(128) uint64_t opaque[16];
};

enum {
	FKMI_CU_TENSOR_F16 = 6, /* CUtensorMapDataType */
	FKMI_CU_TENSOR_F32 = 7,
	FKMI_CU_TENSOR_BF16 = 9,
	FKMI_CU_TENSOR_TF32 = 11,
};
enum { FKMI_CU_SWIZZLE_NONE = 0, FKMI_CU_SWIZZLE_32B = 1, FKMI_CU_SWIZZLE_64B = 2, FKMI_CU_SWIZZLE_128B = 3 };
enum { FKMI_CU_L2_PROMOTION_NONE = 0, FKMI_CU_L2_PROMOTION_128B = 2, FKMI_CU_L2_PROMOTION_256B = 3 };

/* What only CUDA has, or has in another way than HIP: member, exact symbol, parameters. */
#define FKMI_CUDA_FUNCTIONS(X)                                                                                         \
	X(init, cuInit, (unsigned flags))                                                                                  \
	X(error_name, cuGetErrorName, (fkmi_cu_result result, const char **name))                                          \
	X(error_string, cuGetErrorString, (fkmi_cu_result result, const char **text))                                      \
	X(primary_retain, cuDevicePrimaryCtxRetain, (fkmi_cu_context * context, fkmi_cu_device device))                    \
	X(primary_release, cuDevicePrimaryCtxRelease_v2, (fkmi_cu_device device))                                          \
	X(context_push, cuCtxPushCurrent_v2, (fkmi_cu_context context))                                                    \
	X(context_pop, cuCtxPopCurrent_v2, (fkmi_cu_context * context))                                                    \
	X(context_device, cuCtxGetDevice, (fkmi_cu_device * device))                                                       \
	X(stream_context, cuStreamGetCtx, (fkmi_cu_stream stream, fkmi_cu_context * context))                              \
	X(function_get, cuFuncGetAttribute, (int *value, int attribute, fkmi_cu_function function))                        \
	X(function_set, cuFuncSetAttribute, (fkmi_cu_function function, int attribute, int value))                         \
	X(launch, cuLaunchKernelEx,                                                                                        \
	  (const struct fkmi_cu_launch_config *config, fkmi_cu_function function, void **arguments, void **extra))         \
	X(tensor_map, cuTensorMapEncodeTiled,                                                                              \
	  (struct fkmi_cu_tensor_map * map, int type, uint32_t rank, void *address, const uint64_t *sizes,                 \
	   const uint64_t *strides, const uint32_t *box, const uint32_t *steps, int interleave, int swizzle,               \
	   int l2_promotion, int out_of_bounds))

struct fkmi_cuda_driver {
	struct fkmi_runtime_calls calls;
#define FKMI_CUDA_MEMBER(member, symbol, parameters) fkmi_cu_result(*member) parameters;
	FKMI_CUDA_FUNCTIONS(FKMI_CUDA_MEMBER)
#undef FKMI_CUDA_MEMBER
};

extern struct fkmi_cuda_driver fkmi_cuda_driver;

/*
 * Opens the driver on the first call of the process (environment FKM_CUDA_LIBRARY: a path in place of libcuda.so.1) and
 * initialises it: fkmi_runtime.start. FKM_ERROR_NO_DEVICE with the reason: no library, a symbol missing, too old, or it
 * does not start.
 */
enum fkm_status fkmi_cuda_driver_start(void);
/* fkmi_runtime.describe */
void fkmi_cuda_describe(fkmi_cu_result result, const char **name, const char **text);

#endif
