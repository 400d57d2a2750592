/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that CUDA, HIP and OpenCL share, compiled as CUDA, and kernels for any CUDA device. */
#include "kernels/common/kernels.h"
#include "kernels/common/store.h"
#include "assign_split.cuh"
#include "small.cuh"
