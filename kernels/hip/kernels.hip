/* SPDX-License-Identifier: Apache-2.0 */
/* All kernels of the HIP backend: the steps that CUDA, HIP and OpenCL share. */
#include "kernels/common/kernels.h"
#include "kernels/common/store.h"
