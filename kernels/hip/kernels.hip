/* SPDX-License-Identifier: Apache-2.0 */
/* All kernels of the HIP backend: the steps that CUDA, HIP and OpenCL share, and those for matrix cores where the target
 * has them; compiled as CUDA, for the shim of the tests, mma.sync stands in for MFMA. */
#include "kernels/common/kernels.h"
#include "kernels/common/store.h"
#if defined(__gfx90a__) || defined(__gfx942__) || defined(__GFX11__) || !defined(__HIP__)
#define FKMI_MATRIX_STAND_IN
#include "kernels/matrix/kernels.h"
#endif
