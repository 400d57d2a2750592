/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that CUDA, HIP and OpenCL share, compiled as CUDA, and the one kernel that only CUDA needs. */
#include "kernels/common/kernels.h"
#include "store.h"

/* Writes bytes that travel as the kernel's own argument: see memory.c of the backend. */
extern "C" __global__ void __launch_bounds__(FKMI_STORE_THREADS)
	fkmi_cuda_store(const __grid_constant__ struct fkmi_store_bytes block, unsigned char *to, int count)
{
	for (int i = (int)threadIdx.x; i < count; i += FKMI_STORE_THREADS)
		to[i] = block.bytes[i];
}
