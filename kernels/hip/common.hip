/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that CUDA, HIP and OpenCL share, compiled as HIP. */
#include "../common/kernels.h"
#include "../common/store.h"
