/* SPDX-License-Identifier: Apache-2.0 */
/* The constants of backends/hip/driver.h are those of AMD's header. Compiling it is the test. */
#include <hip/hip_runtime_api.h>

#include "backends/hip/driver.h"

#define SAME(own, theirs) _Static_assert((int)(own) == (int)(theirs), #own " is " #theirs)

SAME(sizeof(int), sizeof(hipError_t));
SAME(sizeof(int), sizeof(hipDevice_t));
SAME(sizeof(fkmi_runtime_pointer), sizeof(hipDeviceptr_t));

SAME(FKMI_RUNTIME_SUCCESS, hipSuccess);
SAME(FKMI_RUNTIME_OUT_OF_MEMORY, hipErrorOutOfMemory);
SAME(FKMI_RUNTIME_NO_DEVICE, hipErrorNoDevice);
SAME(FKMI_RUNTIME_NOT_FOUND, hipErrorNotFound);

SAME(FKMI_RUNTIME_STREAM_APART, hipStreamNonBlocking);
SAME(FKMI_RUNTIME_EVENT_UNTIMED, hipEventDisableTiming);
SAME(FKMI_RUNTIME_NOT_READY, hipErrorNotReady);
SAME(FKMI_RUNTIME_HOST_POINTER, HIP_POINTER_ATTRIBUTE_HOST_POINTER);

SAME(FKMI_HIP_MAX_THREADS_PER_BLOCK, hipDeviceAttributeMaxThreadsPerBlock);
SAME(FKMI_HIP_MEMORY_BUS_WIDTH, hipDeviceAttributeMemoryBusWidth);
SAME(FKMI_HIP_MEMORY_CLOCK_RATE, hipDeviceAttributeMemoryClockRate);
SAME(FKMI_HIP_MULTIPROCESSOR_COUNT, hipDeviceAttributeMultiprocessorCount);
SAME(FKMI_HIP_SHARED_MEMORY, hipDeviceAttributeMaxSharedMemoryPerBlock);
SAME(FKMI_HIP_WARP_SIZE, hipDeviceAttributeWarpSize);

/* The header's struct is that of the function which its name means. */
#if defined(hipGetDeviceProperties)
SAME(FKMI_HIP_TARGET_R0600, offsetof(hipDeviceProp_t, gcnArchName));
#else
SAME(FKMI_HIP_TARGET_R0000, offsetof(hipDeviceProp_t, gcnArchName));
#endif
_Static_assert(sizeof(hipDeviceProp_t) <= FKMI_HIP_PROPERTIES_BYTES, "hipDeviceProp_t");
